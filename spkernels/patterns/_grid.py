"""A matrix cut into blocks, of which those that hold entries are counted.

A grid is a canonical CSR array with an element for each such block: the number of its entries.
Everything takes time and memory in the number of entries and of rows; where there are many more
columns than these, only columns with entries count.
"""

from __future__ import annotations

import numpy as np

from .._inputs.canonical import known_canonical, transposed, with_values
from .._inputs.sparse import is_hypersparse

__all__ = [
    "areas",
    "by_column",
    "by_row",
    "coarse",
    "coarse_rows",
    "has_many_columns",
    "ones",
    "place_of",
    "places_of",
]


def ones(csr):
    """Return the grid of the entries themselves."""
    return with_values(csr, np.ones(csr.nnz, np.int64))


def coarse(grid, width):
    """Return the grid of blocks that are `width` columns of `grid` wide."""
    rows, cols = grid.shape
    width = min(width, max(1, cols))  # which any dtype of indices holds
    shape = rows, -(-cols // width)
    window = grid.indices // width
    # Rows are sorted: a block begins where the window or the row changes.
    first = np.empty(window.size, bool)
    first[:1] = True
    np.not_equal(window[1:], window[:-1], out=first[1:])
    first[grid.indptr[:-1][grid.indptr[:-1] < grid.indptr[1:]]] = True
    starts = np.flatnonzero(first)
    before = np.zeros(window.size + 1, grid.indptr.dtype)
    np.cumsum(first, out=before[1:])
    counts = np.add.reduceat(grid.data, starts) if starts.size else grid.data
    return known_canonical(counts, window[starts], before[grid.indptr], shape)


def has_many_columns(grid):
    """Whether an array of an element per column would be most of the memory."""
    return is_hypersparse(grid.shape[1], grid.nnz + grid.shape[0])


def by_column(grid):
    """Return the transpose of a grid, and the columns that its rows are: None for all of them.

    Where there are many, those without entries are left out.
    """
    if not has_many_columns(grid):
        return transposed(grid), None
    columns, numbers = np.unique(grid.indices, return_inverse=True)
    shape = grid.shape[0], columns.size
    return transposed(known_canonical(grid.data, numbers, grid.indptr, shape)), columns


def by_row(grid, columns, cols):
    """Return the transpose of what `by_column` made of a grid of so many columns."""
    turned = transposed(grid)
    if columns is None:
        return turned
    shape = turned.shape[0], cols
    return known_canonical(turned.data, columns[turned.indices], turned.indptr, shape)


def coarse_rows(grid, height):
    """Return the grid of blocks that are `height` rows of `grid` high."""
    turned, columns = by_column(grid)
    return by_row(coarse(turned, height), columns, grid.shape[1])


def areas(grid, shape, height, width):
    """Return the places in each block of a grid of `height` x `width`, all inside of `shape`.

    In float64, which holds as many as there can be entries exactly, and more without overflow.
    """
    # Blocks at the edges are smaller.
    height, width = min(height, max(1, shape[0])), min(width, max(1, shape[1]))
    heights = np.minimum(height, shape[0] - np.arange(0, shape[0], height))
    widths = np.minimum(width, shape[1] - grid.indices.astype(np.int64) * width)
    return np.repeat(heights.astype(np.float64), np.diff(grid.indptr)) * widths


def places_of(grid, shape, height, width):
    """Return the places in all blocks of a grid."""
    return int(areas(grid, shape, height, width).sum())


def place_of(grid, at):
    """Return the row and the column of a grid's element."""
    return int(np.searchsorted(grid.indptr, at, side="right")) - 1, int(grid.indices[at])
