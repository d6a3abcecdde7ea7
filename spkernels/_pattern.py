"""Canonical CSR, and where the entries of the matrix that it was made from are in it."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from ._operands import check_indices, to_csr

__all__ = ["canonical", "first_rows", "place", "same", "with_values"]


def canonical(A, dtype, name):
    """Return `A` as a CSR array of its own, sorted and without duplicates, and slots.

    Slots say, for each entry of ``A.data``, which entry of the result it was added to; None where
    the order is the same.
    """
    if A.format in ("csr", "csc", "coo", "bsr"):
        check_indices(A, name)
    csr = sp.csr_array(to_csr(A, name), dtype=dtype, copy=True)
    if A.format == "csr" and csr.has_canonical_format:
        return csr, None
    if A.format not in ("csr", "csc", "coo", "bsr"):
        csr.sum_duplicates()
        return csr, None
    entries = A.tocoo(copy=True)
    csr.sum_duplicates()
    # Rows are sorted: one search finds all places.
    width = max(1, csr.shape[1])
    rows = np.repeat(np.arange(csr.shape[0], dtype=np.int64), np.diff(csr.indptr))
    keys = rows * width + csr.indices
    return csr, np.searchsorted(keys, entries.row.astype(np.int64) * width + entries.col)


def with_values(csr, values):
    """Return the pattern of `csr` with other values."""
    return sp.csr_array((values, csr.indices, csr.indptr), shape=csr.shape)


def first_rows(csr, rows):
    """Return the first rows of a canonical matrix, sharing its arrays."""
    end = csr.indptr[rows]
    arrays = (csr.data[:end], csr.indices[:end], csr.indptr[: rows + 1])
    return sp.csr_array(arrays, shape=(rows, csr.shape[1]))


def same(one, other):
    """Whether two canonical matrices have one pattern."""
    return (
        one.shape == other.shape
        and np.array_equal(one.indptr, other.indptr)
        and np.array_equal(one.indices, other.indices)
    )


def place(data, slots, csr):
    """Return values in the order of `csr` from those in the order of the original matrix."""
    data = np.asarray(data)
    stored = csr.nnz if slots is None else slots.size
    if data.size != stored:
        raise ValueError(f"data must have {stored} values, got shape {data.shape}")
    if data.dtype.kind not in "biuf":
        raise TypeError(f"data must hold real numbers, got dtype {data.dtype}")
    data = data.reshape(-1)
    if slots is None:
        return data.astype(csr.dtype)
    return np.bincount(slots, weights=data, minlength=csr.nnz).astype(csr.dtype)
