"""Plain `spmm`, which a prepared product must never be slower than."""

from functools import partial

import spkernels

from .spkernels_csr import to_numpy, versions

__all__ = ["bind", "to_numpy", "versions"]


def bind(problem):
    if problem.product != "spmm":
        raise NotImplementedError(f"no plain {problem.product} is asked for")
    return partial(spkernels.spmm, problem.sparse(), problem.b)
