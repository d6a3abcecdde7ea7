"""Dense times sparse: C = X @ A."""

from __future__ import annotations

import numpy as np

from ..problem import Problem
from ._sizes import matrix_bytes

NAME = "dense_spmm"
TITLE = "dense @ sparse"
WIDTH = "N"
PEERS = ("scipy", "torch", "sparse_dot_mkl", "numpy dense", "torch dense", "spkernels")
DENSE = ("numpy dense", "torch dense")


def operands(matrix, width, rng, dtype) -> dict[str, np.ndarray]:
    """Make X: (width, m), or a vector."""
    head = () if width is None else (width,)
    return {"b": rng.standard_normal((*head, matrix.shape[0])).astype(dtype)}


def reference(problem: Problem):
    """Return the answer in float64, its sums of absolute products, and their lengths."""
    A = problem.sparse().astype(np.float64)
    b = problem.b.astype(np.float64)
    lengths = np.bincount(problem.indices, minlength=problem.shape[1])
    return b @ A, np.abs(b) @ abs(A), lengths


def flops(problem: Problem) -> int:
    """Return 2 * nnz * N."""
    return 2 * problem.nnz * (problem.b.shape[0] if problem.b.ndim == 2 else 1)


def bytes(problem: Problem) -> int:
    """Return the size of A, of the columns of X that A touches, and of C."""
    column = problem.b.nbytes // max(1, problem.shape[0])
    touched = np.count_nonzero(np.diff(problem.indptr))
    return int(matrix_bytes(problem) + column * (touched + problem.shape[1]))
