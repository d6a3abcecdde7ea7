"""The validation of sparse operands: no data are read through index arrays before it.

Compiled code, scipy's and ours, trusts index arrays, and scipy's conversions expect arrays of
scipy's own constructors.  So an operation never calls a method of scipy on a caller's operand, but
on the result of `validated` or of a conversion of this module.  Operands for `_core` pass
`sparse_arrays`; the compiled module validates the contents of their index arrays itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp

from .. import _core
from .arrays import (
    compressed_arrays,
    coo_arrays,
    coordinates,
    has_dtype,
    index_arrays,
    plain,
    shape_2d,
    values_of,
)
from .errors import raise_status

if TYPE_CHECKING:
    from .types import Operand

__all__ = [
    "KERNEL_FORMATS",
    "MAX_PATTERN_COLUMNS",
    "check_pattern_columns",
    "is_hypersparse",
    "normalised",
    "positions",
    "sparse_arrays",
    "to_csc",
    "to_csr",
    "to_kernel_format",
    "validated",
    "with_arrays",
]

#: The formats with kernels of their own.
KERNEL_FORMATS = ("csr", "csc", "coo", "bsr")
_CODES = {"csr": _core.CSR, "csc": _core.CSC, "coo": _core.COO, "bsr": _core.BSR}

#: The largest number of columns of column runs, which hold columns in 32 bits.
MAX_PATTERN_COLUMNS = np.iinfo(np.int32).max - 4096

#: A dimension is hypersparse above `_PER_ENTRY` times the number of entries plus `_SHORT`.
_PER_ENTRY, _SHORT = 8, 1 << 16


def sparse_arrays(A: Any, dtype: Any, name: str) -> _core.SparseArrays:
    """Return the arrays of a sparse operand, 2-D or a row, for `_core`.

    CSR, CSC, COO and BSR keep their format and, if dtypes allow it, their arrays.  Lengths are
    checked here, and the compiled module validates the contents.  Other formats are converted.
    With a dtype of None values keep their dtype, for calls that read only indices.
    """
    if A.format not in KERNEL_FORMATS:
        A = to_kernel_format(A, name)
    arrays = _core.plain_arrays(A, _CODES[A.format])
    if arrays is not None:
        if has_dtype(arrays.values, dtype):
            return arrays
        return arrays._replace(values=plain(arrays.values, dtype))
    if A.format == "coo":
        coords, data = coo_arrays(A, dtype, name)
        row, col = coords if A.ndim == 2 else (np.zeros_like(coords[0]), coords[0])
        return _core.SparseArrays(_core.COO, shape_2d(A), (1, 1), None, col, row, data)
    block, offsets, indices, data = compressed_arrays(A, dtype, name)
    code = _CODES[A.format]
    return _core.SparseArrays(code, shape_2d(A), block, offsets, indices, None, data)


def validated(A: Any, name: str, *, dtype: Any = None, check: bool = True) -> Operand:
    """Return a sparse operand on which methods of scipy are safe, or raise a ValueError.

    The result is `A` itself if its arrays are as scipy makes them: index arrays of one native dtype
    with all indices in range, values in native byte order, all arrays contiguous, and no elements
    after the last row.  Otherwise it is an operand of the same class with such arrays, in the order
    of `A`.  Only LIL and DOK become CSR, and DOK becomes COO if it has many more rows than entries.

    Parameters
    ----------
    A : sparse array or matrix
        The operand, of any format and number of dimensions.
    name : str
        The operand's name in errors.
    dtype : dtype, optional
        The dtype of the values; by default their own, in native byte order.
    check : bool, optional
        Whether to check the contents of index arrays.  With False the caller guarantees that they
        are valid; lengths and dtypes are checked in any case.

    Raises
    ------
    ValueError
        If an array has a wrong shape, length or dtype, or an index is out of range.
    """
    if A.format in KERNEL_FORMATS:
        arrays = _core.plain_arrays(A, _CODES[A.format])
        if arrays is not None and has_dtype(arrays.values, dtype) and _is_full(arrays):
            if check:
                _raise_unless_valid(arrays, A, name)
            return A
    if A.format == "lil":
        return _csr_of_lil(A, dtype, name)
    if A.format == "dok":
        return _of_dok(A, dtype, name)
    if A.format == "dia":
        return _validated_dia(A, dtype, name)
    A = normalised(A, name, dtype=dtype)
    if check:
        _check_contents(A, name)
    if A.format != "coo":
        # Some of scipy's methods take elements after the last row for entries.
        used = int(A.indptr[-1])
        if used < max(len(A.indices), len(A.data)):
            A = with_arrays(A, indptr=A.indptr, indices=A.indices[:used], data=A.data[:used])
    return A


def _is_full(arrays):
    """Return whether the arrays have no elements after the last row."""
    offsets = arrays.offsets
    return offsets is None or offsets[-1] == len(arrays.indices) == len(arrays.values)


def _raise_unless_valid(arrays, A, name):
    status, _ = _core.check(arrays)
    if status:
        raise_status(status, A, name)


def normalised(A: Any, name: str, *, dtype: Any = None) -> Operand:
    """Return CSR, CSC, COO or BSR as `validated` does, without a check of index arrays' contents.

    Elements after the last row stay, too.
    """
    if _core.plain_arrays(A, _CODES[A.format]) is not None and has_dtype(A.data, dtype):
        return A
    if A.format == "coo":
        coords, data = coo_arrays(A, dtype, name)
        own = coordinates(A, name).values()
        if data is A.data and all(new is old for new, old in zip(coords, own, strict=True)):
            return A
        if hasattr(A, "coords"):
            return with_arrays(A, coords=tuple(coords), data=data)
        return with_arrays(A, row=coords[0], col=coords[1], data=data)
    _, offsets, indices, data = compressed_arrays(A, dtype, name)
    if offsets is A.indptr and indices is A.indices and data is A.data:
        return A
    return with_arrays(A, indptr=offsets, indices=indices, data=data)


def with_arrays(A: Any, **arrays: Any) -> Operand:
    """Return an operand of A's class and shape with other arrays, and without A's flags."""
    # The constructor may narrow index arrays or check them again.
    result = object.__new__(type(A))
    result.__dict__.update(A.__dict__)
    for known in ("_has_sorted_indices", "_has_canonical_format"):
        result.__dict__.pop(known, None)
    if A.format == "coo":
        result.has_canonical_format = False
    for part, array in arrays.items():
        setattr(result, part, array)
    return result


def _check_contents(A, name):
    if A.ndim <= 2:
        _raise_unless_valid(sparse_arrays(A, None, name), A, name)
        return
    for part, coord, extent in zip(coordinates(A, name), A.coords, A.shape, strict=True):
        if coord.size and (coord.min() < 0 or coord.max() >= extent):
            raise ValueError(
                f"{part} is corrupted: an index is negative or out of range for shape {A.shape}"
            )


def _validated_dia(A, dtype, name):
    if _core.are_plain_diagonals(A) and has_dtype(A.data, dtype):
        return A
    data, offsets = _dia_arrays(A, dtype, name)
    numbers = offsets.tolist()
    if len(set(numbers)) != len(numbers):
        raise ValueError(f"{name}.offsets is corrupted: it holds an offset twice")
    rows, cols = A.shape
    if numbers and not -rows < min(numbers) <= max(numbers) < cols:
        # Diagonals outside of the matrix are dropped, as scipy subtracts offsets in their dtype,
        # which may overflow.
        inside = (offsets > -rows) & (offsets < cols)
        data, offsets = data[inside], offsets[inside]
    if data is A.data and offsets is A.offsets:
        return A
    return with_arrays(A, data=data, offsets=offsets)


def _dia_arrays(A, dtype, name):
    """Return the values and offsets of DIA, in native dtypes."""
    data, offsets = np.asarray(A.data), np.asarray(A.offsets)
    if data.ndim != 2 or offsets.shape != data.shape[:1]:
        raise ValueError(
            f"{name}.data must have a row for each of {name}.offsets, "
            f"got shapes {data.shape} and {offsets.shape}"
        )
    (offsets,) = index_arrays(**{f"{name}.offsets": offsets})
    return values_of(data, dtype, f"{name}.data", 2), offsets


def _csr_of_lil(A, dtype, name):
    for part in ("rows", "data"):
        array = np.asarray(getattr(A, part))
        if array.shape != A.shape[:1] or array.dtype.kind != "O":
            raise ValueError(
                f"{name}.{part} must be an array of {A.shape[0]} lists, got {array.dtype} of shape "
                f"{array.shape}"
            )
    try:
        lengths, held = list(map(len, A.rows)), list(map(len, A.data))
    except TypeError:
        raise ValueError(f"{name}.rows and {name}.data must hold lists") from None
    if lengths != held:
        row = next(i for i, pair in enumerate(zip(lengths, held, strict=True)) if len({*pair}) > 1)
        raise ValueError(
            f"{name}.rows and {name}.data must have equal lengths in each row, got {lengths[row]} "
            f"and {held[row]} in row {row}"
        )
    if not A.dtype.isnative:
        A = with_arrays(A, dtype=A.dtype.newbyteorder("="))  # scipy cannot flatten to other orders
    try:
        csr = A.tocsr()
    except (OverflowError, TypeError, ValueError) as error:
        raise ValueError(
            f"{name}.rows must hold integers in range for shape {A.shape} and {name}.data values "
            f"of {A.dtype}, but {error}"
        ) from None
    status, _ = _core.check(sparse_arrays(csr, None, name))
    if status:
        raise ValueError(
            f"{name}.rows is corrupted: an index is negative or out of range for shape {A.shape}"
        )
    return csr if has_dtype(csr.data, dtype) else normalised(csr, name, dtype=dtype)


def _of_dok(A, dtype, name):
    """Return DOK in sorted CSR, or in COO if it is 1-D or has many more rows than entries."""
    keys, ndim = list(A.keys()), A.ndim
    try:
        places = np.array(keys).reshape(len(keys), ndim) if keys else np.empty((0, ndim), np.int32)
        data = np.fromiter(A.values(), A.dtype.newbyteorder("="), len(keys))
    except (OverflowError, TypeError, ValueError) as error:
        raise ValueError(
            f"{name}.keys() must hold {ndim} integers each and {name}.values() numbers, but {error}"
        ) from None
    if places.dtype.kind not in "iu" or (places < 0).any() or (places >= A.shape).any():
        raise ValueError(
            f"{name}.keys() is corrupted: an index is no integer, negative or out of range for "
            f"shape {A.shape}"
        )
    data = values_of(data, dtype, f"{name}.data", 1)
    index = np.int32 if max(*A.shape, len(keys)) <= np.iinfo(np.int32).max else np.int64
    coords = tuple(places[:, axis].astype(index) for axis in range(ndim))
    kind = "matrix" if isinstance(A, sp.spmatrix) else "array"
    if ndim != 2 or is_hypersparse(A.shape[0], len(keys)):
        return getattr(sp, f"coo_{kind}")((data, coords), shape=A.shape)
    row, col = coords
    order = np.lexsort((col, row))
    offsets = np.zeros(A.shape[0] + 1, index)
    np.cumsum(np.bincount(row, minlength=A.shape[0]), out=offsets[1:])
    return getattr(sp, f"csr_{kind}")((data[order], col[order], offsets), shape=A.shape)


def to_csr(A: Any, name: str, *, dtype: Any = None, check: bool = True) -> Operand:
    """Return an operand of any format in CSR, validated, with all of its entries.

    Duplicates of COO are summed; with `dtype`, values are converted before.
    """
    A = validated(A, name, dtype=dtype, check=check)
    return _csr_of_dia(A) if A.format == "dia" else A.tocsr()


def to_csc(A: Any, name: str, *, dtype: Any = None, check: bool = True) -> Operand:
    """Return an operand of any format in CSC, as `to_csr` returns it in CSR."""
    A = validated(A, name, dtype=dtype, check=check)
    return (_csr_of_dia(A) if A.format == "dia" else A).tocsc()


def to_kernel_format(A: Any, name: str, *, check: bool = True) -> Operand:
    """Return an operand in a format with kernels, validated, in memory linear in its entries.

    Other formats become CSR, or COO if there are many more rows than entries.
    """
    if A.format in KERNEL_FORMATS:
        return validated(A, name, check=check)
    A = validated(A, name, check=check)
    if A.format != "dia":
        return A
    return _coo_of_dia(A) if is_hypersparse(A.shape[0], A.data.size) else _csr_of_dia(A)


def is_hypersparse(extent, entries):
    """Return whether offsets for a dimension of length `extent` would take most of the memory."""
    return extent > _PER_ENTRY * entries + _SHORT


def _csr_of_dia(A):
    result = A.tocsr()
    if result.nnz == A.nnz:
        return result
    # tocsr() drops the zeros of diagonals.  scipy's own products multiply by them, so that infinity
    # and NaN make NaN.  Numbers from 1 in the place of values keep all entries.
    numbers = np.arange(1, A.data.size + 1).reshape(A.data.shape)
    result = with_arrays(A, data=numbers).tocsr()
    result.data = A.data.reshape(-1)[result.data - 1]
    return result


def _coo_of_dia(A):
    rows, cols = A.shape
    col = np.arange(min(A.data.shape[1], cols))
    row = col - A.offsets[:, None].astype(np.int64)
    inside = (row >= 0) & (row < rows)
    make = sp.coo_matrix if isinstance(A, sp.spmatrix) else sp.coo_array
    coords = row[inside], np.broadcast_to(col, row.shape)[inside]
    return make((A.data[:, : col.size][inside], coords), shape=A.shape)


def positions(A):
    """Return the rows and columns of the entries of a matrix, in the order of its data.

    The matrix is validated, and in CSR, CSC, COO or BSR.
    """
    if A.format == "coo":
        return A.row, A.col
    outer = np.repeat(np.arange(len(A.indptr) - 1), np.diff(A.indptr))
    inner = A.indices[: len(outer)]
    if A.format == "bsr":
        height, width = A.data.shape[1:]
        rows = outer[:, None, None] * height + np.arange(height)[:, None]
        cols = inner[:, None, None].astype(np.int64) * width + np.arange(width)
        rows, cols = np.broadcast_arrays(rows, cols)
        return rows.ravel(), cols.ravel()
    return (outer, inner) if A.format == "csr" else (inner, outer)


def check_pattern_columns(shape, name):
    """Raise ValueError if a matrix has too many columns for column runs."""
    if shape[1] > MAX_PATTERN_COLUMNS:
        raise ValueError(
            f"{name} must have at most {MAX_PATTERN_COLUMNS} columns, which patterns hold in 32 "
            f"bits, got shape {tuple(shape)}"
        )
