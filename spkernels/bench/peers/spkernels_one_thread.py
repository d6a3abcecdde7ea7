"""The package under test on one thread, which more threads must never be slower than."""

from functools import partial

import spkernels

from .spkernels_csr import order_of, to_numpy, versions

__all__ = ["bind", "to_numpy", "versions"]


def bind(problem):
    operands = {
        "spmm": (problem.sparse(), problem.operands.get("b")),
        "dense_spmm": (problem.operands.get("b"), problem.sparse()),
    }
    if problem.product not in operands:
        raise NotImplementedError(f"no {problem.product} is asked of one thread")
    return partial(spkernels.spmm, *operands[problem.product], workers=1, order=order_of(problem))
