"""k-winners: the largest tenth of each row stays; the matrix only gives the number of columns."""

from __future__ import annotations

import numpy as np

from ..problem import Problem

NAME = "kwinners"
TITLE = "k winners of each row"
WIDTH = "rows"
PEERS = ("numpy dense", "torch dense", "spkernels")
DENSE = ("numpy dense", "torch dense")


def winners(problem: Problem) -> int:
    """Return the number of winners of a row."""
    return round(0.1 * problem.x.shape[-1])


def operands(matrix, width, rng, dtype) -> dict[str, np.ndarray]:
    """Make X: (width, n), or a vector."""
    head = () if width is None else (width,)
    return {"x": rng.standard_normal((*head, matrix.shape[1])).astype(dtype)}


def reference(problem: Problem):
    """Return the exact answer, and the absolute elements as the scale of errors."""
    x = problem.x.astype(np.float64)
    rank = np.argsort(np.argsort(-x, axis=-1, kind="stable"), axis=-1)
    return np.where(rank < winners(problem), x, 0.0), np.abs(x), 1


def flops(problem: Problem) -> int:
    """Return one operation for each element."""
    return problem.x.size


def bytes(problem: Problem) -> int:
    """Return the bytes of X and of the result."""
    return 2 * problem.x.nbytes
