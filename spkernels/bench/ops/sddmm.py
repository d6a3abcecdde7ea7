"""Sampled dense times dense: the values of X @ Y at the positions of P."""

from __future__ import annotations

import numpy as np

from ..problem import Problem
from ._sizes import matrix_bytes

NAME = "sddmm"
TITLE = "sampled dense @ dense"
WIDTH = "k"
PEERS = ("torch", "numpy dense", "mkl dense", "torch dense", "spkernels")
DENSE = ("numpy dense", "mkl dense", "torch dense")


def operands(matrix, width, rng, dtype) -> dict[str, np.ndarray]:
    """Make X (m, width) and the transpose of Y (n, width): the layout of queries and keys."""
    width = 1 if width is None else width
    m, n = matrix.shape
    return {
        "x": rng.standard_normal((m, width)).astype(dtype),
        "yt": rng.standard_normal((n, width)).astype(dtype),
    }


def reference(problem: Problem):
    """Return the answer in float64, its sums of absolute products, and their lengths."""
    x, yt = problem.x.astype(np.float64), problem.yt.astype(np.float64)
    exact, size = np.empty(problem.nnz), np.empty(problem.nnz)
    # Ranges of entries bound the memory: m x n elements would not fit for a graph.
    rows, step = problem.rows(), max(1, (1 << 22) // max(1, x.shape[1]))
    for start in range(0, problem.nnz, step):
        part = slice(start, start + step)
        left, right = x[rows[part]], yt[problem.indices[part]]
        exact[part] = np.einsum("ij,ij->i", left, right)
        size[part] = np.einsum("ij,ij->i", np.abs(left), np.abs(right))
    return exact, size, x.shape[1]


def flops(problem: Problem) -> int:
    """Return 2 * nnz * k."""
    return 2 * problem.nnz * problem.x.shape[1]


def bytes(problem: Problem) -> int:
    """Return the bytes of P, of the rows of X and columns of Y that it uses, and of the values."""
    row = problem.x.nbytes // max(1, problem.x.shape[0])
    touched = np.count_nonzero(np.diff(problem.indptr)) + np.unique(problem.indices).size
    return int(matrix_bytes(problem) + row * touched)
