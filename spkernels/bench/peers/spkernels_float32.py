"""The package under test without int8: what that is measured against."""

from functools import partial

import spkernels

from .spkernels_csr import to_numpy, versions, width_of

__all__ = ["bind", "to_numpy", "versions"]


def bind(problem):
    if problem.product != "spmm":
        raise NotImplementedError("spkernels in float32 is a peer of int8 alone")
    return partial(spkernels.prepare(problem.sparse(), n=width_of(problem)).spmm, problem.b)
