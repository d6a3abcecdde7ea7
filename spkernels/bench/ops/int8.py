"""Prepared sparse times dense in 8 bits; only spkernels stores the integers as bytes.

All peers compute the same product; peers without 8-bit products use float32.  Answers are float32.
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
    """Return B of integers from 0 to 255: (n, width), or a vector."""
    tail = () if width is None else (width,)
    return {"b": rng.integers(0, 256, (matrix.shape[1], *tail)).astype(dtype)}


def bytes(problem: Problem) -> int:
    """Return the bytes of A (8-bit values, 16-bit indices), of B in 8 bits, and of C."""
    columns = problem.b.shape[1] if problem.b.ndim == 2 else 1
    return 3 * problem.nnz + columns * (problem.shape[1] + 4 * problem.shape[0])
