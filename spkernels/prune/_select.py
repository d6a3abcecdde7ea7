"""The choice of the largest magnitudes."""

from __future__ import annotations

import numpy as np

__all__ = ["in_windows", "largest"]


def largest(sizes, count):
    """Mark the `count` largest elements along the last axis; of equal ones, the first ones."""
    width = sizes.shape[-1]
    if count in (0, width):
        return np.full(sizes.shape, count > 0)
    least = np.partition(sizes, width - count, axis=-1)[..., width - count, None]
    mask, equal = sizes > least, sizes == least
    missing = count - np.count_nonzero(mask, axis=-1, keepdims=True)
    mask |= equal & (np.cumsum(equal, axis=-1) <= missing)
    return mask


def in_windows(sizes, width, count):
    """Mark the ``count(w)`` largest elements in each window of w columns of a row.

    A window has w = `width` columns; the last window of a row has fewer if `width` does not divide
    the columns.  Of equal elements, those in the first columns are marked.
    """
    rows, cols = sizes.shape
    whole = cols - cols % width
    mask = np.empty(sizes.shape, bool)
    for start, stop, w in ((0, whole, width), (whole, cols, cols - whole)):
        if start < stop:
            windows = sizes[:, start:stop].reshape(rows, (stop - start) // w, w)
            mask[:, start:stop] = largest(windows, count(w)).reshape(rows, stop - start)
    return mask
