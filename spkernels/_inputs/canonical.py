"""Canonical CSR, and the slots that map the entries of its source to its own entries."""

from __future__ import annotations

import enum

import numpy as np
import scipy.sparse as sp

from .dense import dense_array
from .sparse import KERNEL_FORMATS, normalised, positions, to_csr, validated, with_arrays

__all__ = [
    "Order",
    "canonical",
    "canonical_pattern",
    "first_rows",
    "known_canonical",
    "pack_slots",
    "place",
    "same",
    "some_rows",
    "transposed",
    "unpack_slots",
    "with_values",
]


class Order(enum.Enum):
    """An order of a source's entries from which slots are computed when needed, to save memory."""

    COLUMNS = "columns"  # sorted by columns, without duplicates


def pack_slots(slots):
    """Return slots in the form for a pickle: an `Order` becomes its name."""
    return slots.value if isinstance(slots, Order) else slots


def unpack_slots(slots):
    """Return the slots that `pack_slots` was given."""
    is_order = isinstance(slots, str) and slots in [order.value for order in Order]
    return Order(slots) if is_order else slots


def canonical(A, dtype, name):
    """Return a copy of `A` in canonical CSR, and slots.

    ``slots[k]`` is the number of the result's entry to which entry k of ``A.data`` was added.
    Slots are an array or an `Order`.  They are None if both orders are equal, and the name of A's
    format if that format has no order of entries.
    """
    if A.ndim != 2:
        raise ValueError(f"{name} must be 2-D, got shape {A.shape}")
    if A.dtype.kind not in "biuf":
        raise TypeError(f"{name} must hold real numbers, got dtype {A.dtype}")
    if A.format not in KERNEL_FORMATS:
        csr = sp.csr_array(to_csr(A, name, dtype=dtype), copy=True)
        csr.sum_duplicates()
        return csr, A.format
    A = _validated_copy(A, name, dtype)
    if A.format == "csr":
        csr = sp.csr_array((A.data, A.indices, A.indptr), shape=A.shape)
        if csr.has_canonical_format:
            return csr, None
    numbered = _numbered_rows(A)
    places, values = numbered.data, A.data.reshape(-1)
    first = _first_of_each(numbered)
    if first.all():
        if np.array_equal(places, np.arange(places.size)):
            slots, values = None, values.copy()
        else:
            by_columns = A.format == "csc" and A.has_sorted_indices
            slots, values = Order.COLUMNS if by_columns else _inverse(places), values[places]
        return known_canonical(values, numbered.indices, numbered.indptr, A.shape), slots
    slots = np.empty_like(places)
    slots[places] = np.cumsum(first) - 1
    before = np.zeros(first.size + 1, numbered.indptr.dtype)
    np.cumsum(first, out=before[1:])
    indices, indptr = numbered.indices[first], before[numbered.indptr]
    values = _added_up(values, slots, indices.size, values.dtype)
    return known_canonical(values, indices, indptr, A.shape), slots


def canonical_pattern(A, name):
    """Return the structure of `A` as a canonical CSR array of True."""
    if A.ndim != 2:
        raise ValueError(f"{name} must be 2-D, got shape {A.shape}")
    # Booleans, as scipy can neither convert nor sum values of every dtype that A may have.
    if A.format in KERNEL_FORMATS:
        A = _validated_copy(A, name, None)
    else:
        A = to_csr(A, name, dtype=bool)
    csr = sp.csr_array(with_arrays(A, data=np.ones(A.data.shape, bool)), copy=True)
    csr.sum_duplicates()
    return csr


def _validated_copy(A, name, dtype):
    """Return a validated copy in a format with kernels; other code cannot change it later."""
    A = normalised(A, name, dtype=dtype)
    if A.format != "coo":
        own = {part: getattr(A, part).copy() for part in ("data", "indices", "indptr")}
    elif hasattr(A, "coords"):
        own = {"data": A.data.copy(), "coords": tuple(coord.copy() for coord in A.coords)}
    else:
        own = {part: getattr(A, part).copy() for part in ("data", "row", "col")}
    return validated(with_arrays(A, **own), name, dtype=dtype)


def _numbered_rows(A):
    """Return a validated matrix in sorted CSR, whose values are the entries' numbers in ``A.data``.

    Duplicates stay separate.  Rows are sorted one by one, as a key of row and column might not fit
    in 64 bits.
    """
    numbers = np.arange(A.data.size)
    if A.format == "csr":
        csr = sp.csr_array((numbers, A.indices, A.indptr), shape=A.shape, copy=True)
    elif A.format == "csc":
        csr = sp.csc_array((numbers, A.indices, A.indptr), shape=A.shape).tocsr()
    else:
        coo = sp.coo_array((numbers, positions(A)), shape=A.shape)
        coo.has_canonical_format = True  # otherwise tocsr() would sum duplicates
        csr = coo.tocsr()
        csr = sp.csr_array((csr.data, csr.indices, csr.indptr), shape=A.shape)
    csr.sort_indices()
    return csr


def _inverse(places):
    """Return the inverse of a permutation."""
    inverse = np.empty_like(places)
    inverse[places] = np.arange(places.size)
    return inverse


def _first_of_each(csr):
    """Return True for each entry of sorted rows that does not repeat the entry before."""
    first = np.empty(csr.indices.size, bool)
    first[:1] = True
    np.not_equal(csr.indices[1:], csr.indices[:-1], out=first[1:])
    starts = csr.indptr[:-1]
    first[starts[starts < csr.indptr[1:]]] = True
    return first


def _added_up(values, slots, size, dtype):
    """Return the sum of the values of each slot, computed in float64 and rounded once."""
    sums = np.bincount(slots, weights=values.astype(np.float64), minlength=size)
    with np.errstate(over="ignore"):  # sums of kernels overflow to infinity silently, too
        return sums.astype(dtype)


def known_canonical(data, indices, indptr, shape):
    """Return a CSR array of arrays that are known to be canonical."""
    csr = sp.csr_array((data, indices, indptr), shape=shape)
    # The flags save later checks.  Plans cut rows only if rows are known to be sorted.
    csr.has_sorted_indices = csr.has_canonical_format = True
    return csr


def with_values(csr, values):
    """Return a matrix of the structure of a canonical one, with other values."""
    return known_canonical(values, csr.indices, csr.indptr, csr.shape)


def first_rows(csr, rows):
    """Return the first `rows` rows of a canonical matrix, which share its arrays."""
    end = csr.indptr[rows]
    shape = (rows, csr.shape[1])
    return known_canonical(csr.data[:end], csr.indices[:end], csr.indptr[: rows + 1], shape)


def some_rows(csr, rows):
    """Return about `rows` rows of a canonical matrix, in ranges spread over the matrix.

    Ranges begin at multiples of 64 rows, so that blocks and vectors of rows stay whole.
    """
    height = 64
    chunks = -(-csr.shape[0] // height)
    taken = min(chunks, max(1, rows // height))
    groups = min(taken, 8)
    firsts = [chunks * group // groups for group in range(groups)]
    counts = np.diff([taken * group // groups for group in range(groups + 1)])
    spans = [slice(f * height, (f + c) * height) for f, c in zip(firsts, counts, strict=True)]
    lengths = np.concatenate([np.diff(csr.indptr)[span] for span in spans])
    places = [slice(csr.indptr[s.start], csr.indptr[min(s.stop, csr.shape[0])]) for s in spans]
    indptr = np.zeros(lengths.size + 1, csr.indptr.dtype)
    np.cumsum(lengths, out=indptr[1:])
    indices = np.concatenate([csr.indices[place] for place in places])
    data = np.concatenate([csr.data[place] for place in places])
    return known_canonical(data, indices, indptr, (lengths.size, csr.shape[1]))


def transposed(csr):
    """Return the transpose of a canonical matrix in canonical CSR."""
    turned = csr.T.tocsr()
    return known_canonical(turned.data, turned.indices, turned.indptr, turned.shape)


def same(one, other):
    """Return whether two canonical matrices have the same structure."""
    return (
        one.shape == other.shape
        and np.array_equal(one.indptr, other.indptr)
        and np.array_equal(one.indices, other.indices)
    )


def place(data, slots, csr, dtype=None):
    """Return values in the order of `csr` from values in the order of its source.

    Values of equal slots are summed.  The result has the dtype of `csr` by default.
    """
    dtype = csr.dtype if dtype is None else dtype
    if isinstance(slots, str):
        raise ValueError(f"data must be a sparse matrix, as one in {slots.upper()} was prepared")
    data = dense_array(data, "data")
    if slots is Order.COLUMNS:
        numbers = np.arange(csr.nnz)
        slots = sp.csr_array((numbers, csr.indices, csr.indptr), shape=csr.shape).tocsc().data
    stored = csr.nnz if slots is None else slots.size
    if data.size != stored:
        raise ValueError(f"data must have {stored} values, got shape {data.shape}")
    if data.dtype.kind not in "biuf":
        raise TypeError(f"data must hold real numbers, got dtype {data.dtype}")
    data = data.reshape(-1)
    if slots is None:
        return data.astype(dtype)
    return _added_up(data, slots, csr.nnz, dtype)
