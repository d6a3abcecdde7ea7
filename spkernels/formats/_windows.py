"""Conversion of CSR to windows of columns with n values each, and back."""

from __future__ import annotations

import numpy as np

from .._inputs.assemble import make_csr

__all__ = ["check", "place", "take"]


def _count(cols, m):
    return -(-cols // m)


def place(csr, n, m, name, noun):
    """Return the values, positions and padding marks of windows, each of shape (rows, windows, n).

    `csr` must be canonical.  If a window has more than n entries, the ValueError calls the array
    `name` and its entries `noun`.
    """
    rows, cols = csr.shape
    windows = _count(cols, m)
    if rows * windows > np.iinfo(np.int64).max // m:
        raise MemoryError(f"{name} of shape {csr.shape} has too many windows of {m} columns")
    window = np.repeat(np.arange(rows) * windows, np.diff(csr.indptr)) + csr.indices // m
    counts = np.bincount(window, minlength=rows * windows)
    if (counts > n).any():
        row, at = divmod(int(np.argmax(counts > n)), windows)
        first, last = at * m, min(at * m + m, cols) - 1
        raise ValueError(
            f"{name} must be {n}:{m}, but row {row} has {counts[row * windows + at]} {noun} in "
            f"window {at} (columns {first} to {last})"
        )
    real = np.zeros((rows * windows, m), bool)
    real[window, csr.indices % m] = True
    free = ~real
    # Padding takes the first free positions of a window, and positions are sorted with it: they
    # ascend in every window.
    missing = (n - counts)[:, None]
    used = real | free & (np.cumsum(free, axis=1, dtype=np.uint8) <= missing)
    positions = np.broadcast_to(np.arange(m, dtype=np.uint8), used.shape)[used]
    padding = free[used]
    values = np.zeros(padding.size, csr.dtype)
    values[~padding] = csr.data
    return tuple(array.reshape(rows, windows, n) for array in (values, positions, padding))


def take(values, positions, padding, shape, m):
    """Return the entries, without the padding, as a CSR array with sorted indices."""
    real = ~padding
    cols = (np.arange(_count(shape[1], m))[:, None] * m + positions)[real]
    indptr = np.concatenate([[0], np.cumsum(np.count_nonzero(real, axis=(1, 2)))])
    return make_csr(values[real], cols, indptr, shape)


def check(values, positions, padding, shape, m):
    """Raise ValueError unless `place` could have made these arrays; kernels rely on that."""
    if (positions[..., 1:] <= positions[..., :-1]).any():
        raise ValueError("packed_indices must ascend in each window")
    windows, n = values.shape[1:]
    widths = np.minimum(m, shape[1] - np.arange(windows) * m)[:, None]
    if (positions >= np.maximum(widths, n)).any() or (positions >= widths)[~padding].any():
        raise ValueError(
            f"packed_indices must be below the width of their window: {m}, or what is left of "
            f"{shape[1]} columns"
        )
    if values[padding].any():
        raise ValueError("values must be 0 where packed_padding is 1")
