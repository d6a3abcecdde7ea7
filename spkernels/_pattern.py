"""Canonical CSR, and where the entries of the matrix that it was made from are in it."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from ._operands import check_indices, to_csr

__all__ = [
    "canonical",
    "first_rows",
    "known_canonical",
    "place",
    "same",
    "transposed",
    "with_values",
]

#: Formats whose ``data`` has an entry per stored one, in an order of its own.
_ORDERED = ("csr", "csc", "coo", "bsr")


def canonical(A, dtype, name):
    """Return `A` as a CSR array of its own, sorted and without duplicates, and slots.

    Slots say, for each entry of ``A.data``, which entry of the result it was added to: an array,
    None where the order is the same, and the format's name where it has no such order.
    """
    if A.ndim != 2:
        raise ValueError(f"{name} must be 2-D, got shape {A.shape}")
    if A.dtype.kind not in "biuf":
        raise TypeError(f"{name} must hold real numbers, got dtype {A.dtype}")
    if A.format in _ORDERED:
        check_indices(A, name)
    # In the final dtype first: conversions add duplicates up in that of A.
    converted = to_csr(A.astype(dtype, copy=False), name)
    csr = sp.csr_array(converted, copy=True)
    if A.format == "csr" and csr.has_canonical_format:
        return csr, None
    entries = A.tocoo() if A.format in _ORDERED else None
    csr.sum_duplicates()
    if entries is None:
        return csr, A.format
    # Rows are sorted: one search finds all places.
    width = max(1, csr.shape[1])
    rows = np.repeat(np.arange(csr.shape[0], dtype=np.int64), np.diff(csr.indptr))
    keys = rows * width + csr.indices
    return csr, np.searchsorted(keys, entries.row.astype(np.int64) * width + entries.col)


def known_canonical(data, indices, indptr, shape):
    """Return a CSR array of arrays that are sorted and have no duplicates."""
    csr = sp.csr_array((data, indices, indptr), shape=shape)
    # Said, so that nobody looks again: plans cut rows only if these are known to be sorted.
    csr.has_sorted_indices = csr.has_canonical_format = True
    return csr


def with_values(csr, values):
    """Return the pattern of a canonical matrix with other values."""
    return known_canonical(values, csr.indices, csr.indptr, csr.shape)


def first_rows(csr, rows):
    """Return the first rows of a canonical matrix, sharing its arrays."""
    end = csr.indptr[rows]
    shape = (rows, csr.shape[1])
    return known_canonical(csr.data[:end], csr.indices[:end], csr.indptr[: rows + 1], shape)


def transposed(csr):
    """Return the transpose of a canonical matrix, canonical as well."""
    turned = csr.T.tocsr()
    return known_canonical(turned.data, turned.indices, turned.indptr, turned.shape)


def same(one, other):
    """Whether two canonical matrices have one pattern."""
    return (
        one.shape == other.shape
        and np.array_equal(one.indptr, other.indptr)
        and np.array_equal(one.indices, other.indices)
    )


def place(data, slots, csr):
    """Return values in the order of `csr` from those in the order of the original matrix."""
    if isinstance(slots, str):
        raise ValueError(f"data must be a sparse matrix, as one in {slots.upper()} was prepared")
    data = np.asarray(data)
    stored = csr.nnz if slots is None else slots.size
    if data.size != stored:
        raise ValueError(f"data must have {stored} values, got shape {data.shape}")
    if data.dtype.kind not in "biuf":
        raise TypeError(f"data must hold real numbers, got dtype {data.dtype}")
    data = data.reshape(-1)
    if slots is None:
        return data.astype(csr.dtype)
    weights = data.astype(np.float64)
    return np.bincount(slots, weights=weights, minlength=csr.nnz).astype(csr.dtype)
