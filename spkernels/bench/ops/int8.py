"""Prepared sparse times dense in 8 bits: whole numbers, which are bytes for spkernels alone.

All peers compute the same product, in float32 where they have nothing else; the answer is float32.
"""

from __future__ import annotations

import numpy as np

from ..problem import Problem
from .spmm import DENSE, WIDTH, flops, reference

__all__ = ["DENSE", "NAME", "PEERS", "TITLE", "WIDTH", "bytes", "flops", "operands", "reference"]

NAME = "int8"
TITLE = "prepared sparse @ dense in 8 bits"
PEERS = ("mkl", "mkl bsr", "numpy dense", "mkl dense", "spkernels prepared", "spkernels")


def operands(matrix, width, rng, dtype) -> dict[str, np.ndarray]:
    """Make B of whole numbers from 0 to 255: (n, width), or a vector."""
    tail = () if width is None else (width,)
    return {"b": rng.integers(0, 256, (matrix.shape[1], *tail)).astype(dtype)}


def bytes(problem: Problem) -> int:
    """Return the size of A in 8 bits with indices of 16, of B's bytes, and of C."""
    columns = problem.b.shape[1] if problem.b.ndim == 2 else 1
    return 3 * problem.nnz + columns * (problem.shape[1] + 4 * problem.shape[0])
