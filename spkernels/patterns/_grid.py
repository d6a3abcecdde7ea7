"""Grids: a matrix is cut into blocks, and the entries of each block are counted.

A grid is a canonical CSR array with one element for each block that has entries: the number of its
entries.  All functions take time and memory linear in the numbers of entries, rows and columns.  A
hypersparse matrix has far more columns than entries and rows; then its empty columns take none.
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
    """Return the grid of blocks of one element: a one for each entry."""
    return with_values(csr, np.ones(csr.nnz, np.int64))


def coarse(grid, width):
    """Return the grid whose blocks join `width` neighbouring columns of `grid`."""
    rows, cols = grid.shape
    width = min(width, max(1, cols))  # a width above cols may not fit the dtype of indices
    shape = rows, -(-cols // width)
    window = grid.indices // width
    # Indices are sorted, so a block begins where the window or the row changes.
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
    """Return whether an array with an element per column would take most of the memory."""
    return is_hypersparse(grid.shape[1], grid.nnz + grid.shape[0])


def by_column(grid):
    """Return the transpose of a grid, and the columns of the grid that its rows stand for.

    The columns are None if all of them are rows of the result.  A hypersparse grid's empty columns
    are left out; then the columns are an ascending array.
    """
    if not has_many_columns(grid):
        return transposed(grid), None
    columns, numbers = np.unique(grid.indices, return_inverse=True)
    shape = grid.shape[0], columns.size
    return transposed(known_canonical(grid.data, numbers, grid.indptr, shape)), columns


def by_row(grid, columns, cols):
    """Return the transpose of a result of `by_column`, as a grid of `cols` columns."""
    turned = transposed(grid)
    if columns is None:
        return turned
    shape = turned.shape[0], cols
    return known_canonical(turned.data, columns[turned.indices], turned.indptr, shape)


def coarse_rows(grid, height):
    """Return the grid whose blocks join `height` neighbouring rows of `grid`."""
    turned, columns = by_column(grid)
    return by_row(coarse(turned, height), columns, grid.shape[1])


def areas(grid, shape, height, width):
    """Return the number of places in each block of a grid of `height` x `width` blocks.

    Places beyond the matrix's `shape` do not count, so blocks at the edges have fewer.  Numbers are
    float64: it holds any possible number of entries exactly, and larger areas do not overflow.
    """
    height, width = min(height, max(1, shape[0])), min(width, max(1, shape[1]))
    heights = np.minimum(height, shape[0] - np.arange(0, shape[0], height))
    widths = np.minimum(width, shape[1] - grid.indices.astype(np.int64) * width)
    return np.repeat(heights.astype(np.float64), np.diff(grid.indptr)) * widths


def places_of(grid, shape, height, width):
    """Return the number of places in all blocks of a grid."""
    return int(areas(grid, shape, height, width).sum())


def place_of(grid, at):
    """Return the row and the column, in blocks, of element number `at` of a grid."""
    return int(np.searchsorted(grid.indptr, at, side="right")) - 1, int(grid.indices[at])
