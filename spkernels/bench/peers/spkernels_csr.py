"""The package under test."""

from functools import partial

import numpy as np
import scipy

import spkernels


def versions():
    return {
        "spkernels": spkernels.__version__,
        "scipy": scipy.__version__,
        "numpy": np.__version__,
    }


def bind(problem):
    if problem.op == "spmm":
        return partial(spkernels.spmm, problem.sparse(), problem.b)
    if problem.op == "dense_spmm":
        return partial(spkernels.spmm, problem.b, problem.sparse())
    if problem.op != "sddmm":
        raise NotImplementedError(f"spkernels has no {problem.op}")
    return partial(spkernels.sddmm, problem.sparse(), problem.x, problem.yt.T)


def to_numpy(result, problem):
    return result.data if problem.op == "sddmm" else result
