"""Sparse times dense: C = A @ B."""

from __future__ import annotations

import numpy as np

from ..problem import Problem
from ._sizes import matrix_bytes

NAME = "spmm"
TITLE = "sparse @ dense"
WIDTH = "N"
PEERS = (
    "scipy",
    "mkl",
    "mkl bsr",
    "torch",
    "sparse_dot_mkl",
    "numba",
    "graphblas",
    "aocl",
    "onnxruntime",
    "pydata",
    "numpy dense",
    "mkl dense",
    "torch dense",
    "spkernels",
)
DENSE = ("numpy dense", "mkl dense", "torch dense")


def operands(matrix, width, rng, dtype) -> dict[str, np.ndarray]:
    """Make B: (k, width), or a vector."""
    tail = () if width is None else (width,)
    return {"b": rng.standard_normal((matrix.shape[1], *tail)).astype(dtype)}


def reference(problem: Problem):
    """Return the answer in float64, its sums of absolute products, and their lengths."""
    A = problem.sparse().astype(np.float64)
    b = problem.b.astype(np.float64)
    lengths = np.diff(problem.indptr).reshape((-1,) + (1,) * (b.ndim - 1))
    return A @ b, abs(A) @ np.abs(b), lengths


def flops(problem: Problem) -> int:
    """Return 2 * nnz * N."""
    return 2 * problem.nnz * (problem.b.shape[1] if problem.b.ndim == 2 else 1)


def bytes(problem: Problem) -> int:
    """Return the size of A, of the rows of B that A touches, and of C."""
    row = problem.b.nbytes // max(1, problem.b.shape[0])
    touched = np.unique(problem.indices).size
    return int(matrix_bytes(problem) + row * (touched + problem.shape[0]))
