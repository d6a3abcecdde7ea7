"""Drawing positions without replacement."""

from __future__ import annotations

import numpy as np

# Keys per chunk of rows, which bounds the memory of the dense way to draw.
_CHUNK = 1 << 20
# A row fuller than this is drawn by ranking keys for all its columns; else draws are rejected.
_CROWDED = 1 / 4


def largest(keys: np.ndarray, count: int) -> np.ndarray:
    """Return the positions of the `count` largest keys, in order.

    By rank and not by a threshold, so that no tie can change the count.
    """
    if count == 0:
        return np.empty(0, dtype=np.int64)
    return np.sort(np.argpartition(keys, keys.size - count)[keys.size - count :])


def sample(rng: np.random.Generator, size: int, count: int) -> np.ndarray:
    """Draw `count` of `size` positions, in order."""
    return np.sort(rng.choice(size, count, replace=False, shuffle=False))


def merged(flat: np.ndarray, new: np.ndarray) -> np.ndarray:
    """Merge new positions into a sorted set of them."""
    # The stable sort merges runs that are already sorted, in linear time; numpy.union1d does not.
    flat = np.sort(np.concatenate([flat, np.sort(new)]), kind="stable")
    return flat[np.concatenate([[True], flat[1:] != flat[:-1]])] if flat.size else flat


def sample_rows(
    rng: np.random.Generator, cols: int, counts: np.ndarray, taken: np.ndarray
) -> np.ndarray:
    """Add `counts` further columns to the rows of a pattern, uniformly among the free ones.

    `taken` and the result are sorted row-major positions ``row * cols + column``.
    """
    wanted = counts + np.bincount(taken // cols, minlength=counts.size)
    if wanted[counts > 0].max(initial=0) > _CROWDED * cols:
        return _ranked(rng, cols, wanted, taken)
    flat = taken
    while (missing := wanted - np.bincount(flat // cols, minlength=counts.size)).any():
        # As many draws as are missing never overshoot, so this is drawing one by one.
        rows = np.repeat(np.arange(counts.size), missing)
        flat = merged(flat, rows * cols + rng.integers(cols, size=rows.size))
    return flat


def _ranked(
    rng: np.random.Generator, cols: int, wanted: np.ndarray, taken: np.ndarray
) -> np.ndarray:
    """Rank a key per column and keep the first; those taken rank before all others."""
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
