"""scipy.sparse: ``A @ B``, one thread."""

import operator
from functools import partial

import numpy as np
import scipy

NAME = "scipy"


def versions():
    return {"scipy": scipy.__version__, "numpy": np.__version__}


def bind(problem):
    if problem.op != "spmm":
        raise NotImplementedError("scipy has no sampled product")
    return partial(operator.matmul, problem.sparse(), problem.b)


def to_numpy(result, problem):
    return result
