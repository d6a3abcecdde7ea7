"""scipy.sparse: ``A @ B`` and ``B @ A``, one thread."""

import operator
from functools import partial

import numpy as np
import scipy


def versions():
    return {"scipy": scipy.__version__, "numpy": np.__version__}


def bind(problem):
    if problem.product == "spmm":
        return partial(operator.matmul, problem.sparse(), problem.b)
    if problem.product == "dense_spmm":
        return partial(operator.matmul, problem.b, problem.sparse())
    raise NotImplementedError(f"scipy has no {problem.product}")


def to_numpy(result, problem):
    return result
