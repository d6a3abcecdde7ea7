"""Draws of positions without replacement."""

from __future__ import annotations

import numpy as np

# The number of random keys that `_ranked` draws at a time, which bounds its memory.
_CHUNK = 1 << 20
# Rejected draws cost more the fuller a row gets.  If any row is to be fuller than this share of its
# columns, all rows are drawn by ranking a random key per column instead.
_CROWDED = 1 / 4


def largest(keys: np.ndarray, count: int) -> np.ndarray:
    """Return the positions of the `count` largest keys, in ascending order.

    Keys are ranked, not compared with a threshold, so that ties cannot change the count.
    """
    if count == 0:
        return np.empty(0, dtype=np.int64)
    return np.sort(np.argpartition(keys, keys.size - count)[keys.size - count :])


def sample(rng: np.random.Generator, size: int, count: int) -> np.ndarray:
    """Draw `count` of `size` positions, and return them in ascending order."""
    return np.sort(rng.choice(size, count, replace=False, shuffle=False))


def merged(flat: np.ndarray, new: np.ndarray) -> np.ndarray:
    """Return the sorted union of `flat`, which is sorted, and `new`, which need not be."""
    # The stable sort merges two sorted parts in linear time; numpy.union1d takes longer.
    flat = np.sort(np.concatenate([flat, np.sort(new)]), kind="stable")
    return flat[np.concatenate([[True], flat[1:] != flat[:-1]])] if flat.size else flat


def sample_rows(
    rng: np.random.Generator, cols: int, counts: np.ndarray, taken: np.ndarray
) -> np.ndarray:
    """Add ``counts[i]`` entries to each row i, drawn uniformly among its free columns.

    `taken` and the result are sorted row-major positions ``row * cols + column``.  The result has
    the positions of `taken`, too.
    """
    wanted = counts + np.bincount(taken // cols, minlength=counts.size)
    if wanted[counts > 0].max(initial=0) > _CROWDED * cols:
        return _ranked(rng, cols, wanted, taken)
    flat = taken
    while (missing := wanted - np.bincount(flat // cols, minlength=counts.size)).any():
        # A round draws the missing number of entries and drops duplicates.  It never draws too
        # many, so the distribution is that of draws one by one.
        rows = np.repeat(np.arange(counts.size), missing)
        flat = merged(flat, rows * cols + rng.integers(cols, size=rows.size))
    return flat


def _ranked(
    rng: np.random.Generator, cols: int, wanted: np.ndarray, taken: np.ndarray
) -> np.ndarray:
    """Keep the columns with the smallest random keys of a row; columns of `taken` rank first."""
    parts = []
    step = max(1, _CHUNK // cols)
    for start in range(0, wanted.size, step):
        goal = wanted[start : start + step]
        begin, end = start * cols, (start + goal.size) * cols
        keys = rng.random((goal.size, cols))
        keys.ravel()[taken[slice(*np.searchsorted(taken, (begin, end)))] - begin] = -1.0
        order = np.argsort(keys, axis=1)
        first = np.arange(cols) < goal[:, None]
        flat = order + np.arange(begin, end, cols)[:, None]
        parts.append(np.sort(flat[first]))
    return np.concatenate(parts)
