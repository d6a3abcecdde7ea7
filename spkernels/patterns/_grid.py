"""A matrix cut into blocks, of which those that hold entries are counted.

A grid is a canonical CSR array with an element for each such block: the number of its entries.
Everything takes time and memory in the number of entries, of rows and of columns.
"""

from __future__ import annotations

import numpy as np

from .._pattern import known_canonical, transposed, with_values

__all__ = ["areas", "coarse", "coarse_rows", "ones", "place_of", "places_of"]


def ones(csr):
    """Return the grid of the entries themselves."""
    return with_values(csr, np.ones(csr.nnz, np.int64))


def coarse(grid, width):
    """Return the grid of blocks that are `width` columns of `grid` wide."""
    rows, cols = grid.shape
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


def coarse_rows(grid, height):
    """Return the grid of blocks that are `height` rows of `grid` high."""
    return transposed(coarse(transposed(grid), height))


def areas(grid, shape, height, width):
    """Return the places in each block of a grid of `height` x `width`, all inside of `shape`."""
    # Blocks at the edges are smaller.
    heights = np.minimum(height, shape[0] - np.arange(0, shape[0], height))
    widths = np.minimum(width, shape[1] - grid.indices.astype(np.int64) * width)
    return np.repeat(heights, np.diff(grid.indptr)) * widths


def places_of(grid, shape, height, width):
    """Return the places in all blocks of a grid."""
    return int(areas(grid, shape, height, width).sum())


def place_of(grid, at):
    """Return the row and the column of a grid's element."""
    return int(np.searchsorted(grid.indptr, at, side="right")) - 1, int(grid.indices[at])
