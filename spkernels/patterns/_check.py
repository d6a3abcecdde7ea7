"""The check that a matrix has the pattern that its user declares."""

from __future__ import annotations

import numpy as np

from ._found import Pattern
from ._grid import areas, coarse, coarse_rows, ones, place_of

__all__ = ["check"]


def check(csr, kind, size, fill):
    """Raise ValueError if a declared pattern does not hold; the message names the first breach."""
    options = (fill,) if kind == "block" else ()
    broken = _CHECKS[kind](ones(csr), *size, *options)
    if broken:
        raise ValueError(f"A breaks pattern={Pattern(kind, size, fill).name!r}: {broken}")


def _range(noun, first, size, length):
    """Return the words for the rows or columns of a block, as "rows 4 to 7"."""
    last = min(first + size, length) - 1
    return f"{noun} {first}" if last == first else f"{noun}s {first} to {last}"


def _in_window(grid, row, window, m, count):
    columns = _range("column", window * m, m, grid.shape[1])
    entries = "entry" if count == 1 else "entries"
    return f"row {row} has {count} {entries} in window {window} ({columns})"


def _n_of_m(grid, n, m):
    windows = coarse(grid, m)
    many = windows.data > n
    if not many.any():
        return None
    at = int(np.argmax(many))
    return _in_window(grid, *place_of(windows, at), m, windows.data[at])


def _balanced(grid, n, m):
    rows, cols = grid.shape
    full = cols // m  # a shorter window at the end of a row may hold any number of entries
    windows = coarse(grid, m)
    lengths, whole = np.diff(windows.indptr), windows.indices < full
    row = np.repeat(np.arange(rows), lengths)[whole]
    place = (np.arange(windows.nnz) - np.repeat(windows.indptr[:-1], lengths))[whole]
    counts, missing = windows.data[whole], windows.indices[whole] != place
    # A grid has no element for an empty window, so a window is wrong if it has another number of
    # entries than n, or if a later window is in its place.
    found = [
        (int(row[i]), int(place[i]), 0 if missing[i] else int(counts[i]))
        for i in np.flatnonzero(missing | (counts != n))[:1]
    ]
    present = np.bincount(row, minlength=rows)
    found += [(int(i), int(present[i]), 0) for i in np.flatnonzero(present < full)[:1]]
    if not found:
        return None
    at, window, count = min(found)
    return _in_window(grid, at, window, m, count)


def _block(grid, v, w, fill):
    blocks = coarse_rows(coarse(grid, w), v)
    places = areas(blocks, grid.shape, v, w)
    share = grid.nnz / int(places.sum()) if grid.nnz else 1.0
    if share >= fill:
        return None
    at = int(np.argmax(blocks.data < fill * places))
    row, col = place_of(blocks, at)
    rows = _range("row", row * v, v, grid.shape[0])
    columns = _range("column", col * w, w, grid.shape[1])
    wanted = "all" if fill == 1 else f"{fill:g}"
    return (
        f"the block of {rows} and {columns} has {blocks.data[at]} of {places[at]:.0f} entries, and "
        f"blocks are {share:.4g} full on average, where {wanted} was expected (fill)"
    )


def _complementary(grid, size):
    sets = coarse_rows(grid, size)
    many = sets.data > 1
    if not many.any():
        return None
    at = int(np.argmax(many))
    group, column = place_of(sets, at)
    rows = _range("row", group * size, size, grid.shape[0])
    return f"{rows} have {sets.data[at]} entries in column {column}"


_CHECKS = {
    "n:m": _n_of_m,
    "block": _block,
    "balanced": _balanced,
    "complementary": _complementary,
}
