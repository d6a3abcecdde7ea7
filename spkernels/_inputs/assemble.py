"""CSR arrays from arrays that are known to be valid, without checks."""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_array

__all__ = ["INT32_MAX", "from_positions", "make_csr", "ranges"]

INT32_MAX = np.iinfo(np.int32).max


def make_csr(
    data: np.ndarray, indices: np.ndarray, indptr: np.ndarray, shape: tuple[int, int]
) -> csr_array:
    """Return a CSR array whose indices are int32 if they fit."""
    index = np.int32 if max(*shape, indices.size) <= INT32_MAX else np.int64
    parts = (data, indices.astype(index, copy=False), indptr.astype(index, copy=False))
    return csr_array(parts, shape=shape)


def from_positions(flat: np.ndarray, data: np.ndarray, shape: tuple[int, int]) -> csr_array:
    """Return a CSR array from sorted row-major positions ``row * shape[1] + column``."""
    rows, cols = shape
    indptr = np.searchsorted(flat, np.arange(rows + 1) * cols)
    return make_csr(data, flat % cols, indptr, shape)


def ranges(starts: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Return the concatenation of ``arange(start, start + count)`` for each start and count."""
    ends = np.cumsum(counts)
    return np.arange(ends[-1]) + np.repeat(starts - (ends - counts), counts)
