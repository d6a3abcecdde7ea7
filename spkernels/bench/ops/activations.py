"""Sparse times a dense matrix of mostly zeros, as after ReLU or k winners: C = A @ B.

Peers that cannot use the zeros of B multiply by the dense B.  Other peers get B in their own
format, as an earlier layer would make it.
"""

from __future__ import annotations

import numpy as np

from ..problem import Problem
from . import spmm
from ._sizes import matrix_bytes
from .spmm import DENSE, WIDTH, reference

__all__ = ["DENSE", "NAME", "PEERS", "TITLE", "WIDTH", "bytes", "flops", "operands", "reference"]

NAME = "activations"
TITLE = "sparse @ sparse activations"
PEERS = (
    "scipy",
    "mkl",
    "numpy dense",
    "mkl dense",
    "torch dense",
    "spkernels prepared",
    "spkernels",
)
#: The share of the elements of a column of B that are not zero.
ACTIVE = 0.1


def operands(matrix, width, rng, dtype) -> dict[str, np.ndarray]:
    """Make B: (k, width), or a vector, with the same number of active elements in each column."""
    b = spmm.operands(matrix, width, rng, dtype)["b"]
    order = rng.permuted(np.broadcast_to(np.arange(len(b)), b.T.shape), axis=-1).T
    return {"b": np.where(order < round(ACTIVE * len(b)), b, dtype.type(0))}


def flops(problem: Problem) -> int:
    """Return two operations for each pair of an entry of A and a nonzero of B that it meets."""
    return 2 * int(np.count_nonzero(problem.b[problem.indices]))


def bytes(problem: Problem) -> int:
    """Return the bytes of the active columns of A, of the nonzeros of B, and of C."""
    b = problem.b.reshape(len(problem.b), -1)
    met = np.any(b, axis=1)[problem.indices].mean() if problem.nnz else 0.0
    entry = b.itemsize + problem.indices.itemsize
    result = problem.shape[0] * b.shape[1] * b.itemsize
    return int(met * matrix_bytes(problem) + np.count_nonzero(b) * entry + result)
