"""Padding: zeros that give neighbouring rows the same columns."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .._inputs.canonical import known_canonical
from ._grid import by_column, by_row, coarse, has_many_columns, ones

__all__ = ["Padding", "added_columns", "padded"]


class Padding(NamedTuple):
    """A plan to give every `height` rows the union of their columns: `nnz` entries in all."""

    height: int
    nnz: int


def padded(csr, height):
    """Return `csr` with explicit zeros, such that every `height` rows have the same columns."""
    transposed, columns = by_column(csr)
    blocks = coarse(ones(transposed), height)
    # In the transpose the entries of a block are neighbours.  Each block gets `height` places, and
    # an entry goes to the place of its row.
    block = np.repeat(np.arange(blocks.nnz), blocks.data)
    values = np.zeros(blocks.nnz * height, csr.dtype)
    values[block * height + transposed.indices % height] = transposed.data
    rows = (blocks.indices[:, None] * height + np.arange(height)).reshape(-1)
    ends = blocks.indptr.astype(np.int64) * height
    if csr.shape[0] % height:  # the last block has fewer rows
        inside = rows < csr.shape[0]
        before = np.concatenate([[0], np.cumsum(inside)])
        values, rows, ends = values[inside], rows[inside], before[ends]
    return by_row(known_canonical(values, rows, ends, transposed.shape), columns, csr.shape[1])


def added_columns(csr, filled):
    """Return the columns that have more entries in `filled` than in `csr`."""
    if has_many_columns(csr):
        # The same columns have entries in both, so counts compare element by element.
        (columns, more), (_, less) = (
            np.unique(A.indices, return_counts=True) for A in (filled, csr)
        )
        return columns[more > less].astype(csr.indices.dtype)
    cols = csr.shape[1]
    added = np.bincount(filled.indices, minlength=cols) - np.bincount(csr.indices, minlength=cols)
    return np.flatnonzero(added).astype(csr.indices.dtype)
