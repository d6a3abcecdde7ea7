"""The arrays of sparse operands: native, aligned and of matching lengths.

The contents of index arrays are not checked here.
"""

from __future__ import annotations

import numpy as np

from .. import _core

__all__ = [
    "compressed_arrays",
    "coo_arrays",
    "coordinates",
    "has_dtype",
    "index_arrays",
    "plain",
    "shape_2d",
    "transposed_arrays",
    "values_of",
    "widened",
]

_INDEX_DTYPES = (np.dtype(np.int32), np.dtype(np.int64))


def _index_array(array, name):
    array = np.asarray(array)
    if array.ndim != 1:
        raise ValueError(f"{name} must be 1-D, got shape {array.shape}")
    if array.dtype.kind not in "iu":
        raise ValueError(f"{name} must hold integers, got dtype {array.dtype}")
    return array


def index_arrays(**arrays):
    """Return index arrays of one native dtype, contiguous and aligned; others are copied."""
    found = {name: _index_array(array, name) for name, array in arrays.items()}
    wanted = np.result_type(*(array.dtype for array in found.values()))
    # NumPy promotes int64 and uint64 to float64.
    wanted = wanted if wanted in _INDEX_DTYPES else np.dtype(np.int64)
    result = []
    for name, array in found.items():
        if array.dtype.kind == "u" and array.dtype.itemsize == 8 and array.size:
            most, held = np.iinfo(np.int64).max, array.max()
            if held > most:
                raise ValueError(f"{name} must hold values up to {most}, got {held}")
        result.append(plain(array, wanted))
    return result


def plain(array, dtype):
    """Return `array` if it is contiguous, aligned and of `dtype`, else such a copy."""
    array = np.ascontiguousarray(array, dtype=dtype)
    return array if array.flags.aligned else array.copy()


def has_dtype(array, dtype):
    return dtype is None or array.dtype == dtype  # NumPy compares None as float64


def values_of(data, dtype, name, ndim):
    """Return stored values in `dtype` or, if it is None, in their dtype in native byte order."""
    data = np.asarray(data)
    if data.ndim != ndim:
        raise ValueError(f"{name} must be {ndim}-D, got shape {data.shape}")
    return plain(data, data.dtype.newbyteorder("=") if dtype is None else dtype)


def coordinates(A, name):
    """Return the index arrays of COO, one per dimension, by their names in errors."""
    coords = getattr(A, "coords", None)
    if coords is None:  # scipy before 1.13
        return {f"{name}.row": A.row, f"{name}.col": A.col}
    if len(coords) != A.ndim:
        raise ValueError(
            f"{name}.coords must hold {A.ndim} arrays for shape {A.shape}, got {len(coords)}"
        )
    if A.ndim > 2:
        return {f"{name}.coords[{axis}]": array for axis, array in enumerate(coords)}
    return dict(zip((f"{name}.row", f"{name}.col")[2 - A.ndim :], coords, strict=True))


def coo_arrays(A, dtype, name):
    """Return the index arrays and the values of COO of any dimension, in native dtypes."""
    named = coordinates(A, name)
    coords = index_arrays(**named)
    data = values_of(A.data, dtype, f"{name}.data", 1)
    if any(len(array) != len(data) for array in coords):
        parts = [*named, f"{name}.data"]
        lengths = [str(len(array)) for array in (*coords, data)]
        raise ValueError(
            f"{', '.join(parts[:-1])} and {parts[-1]} must have equal lengths, got "
            f"{', '.join(lengths[:-1])} and {lengths[-1]}"
        )
    return coords, data


def shape_2d(A):
    """Return the 2-D shape of an operand of one or two dimensions; a vector is a row."""
    return (1,) * (2 - A.ndim) + tuple(int(extent) for extent in A.shape)


def compressed_arrays(A, dtype, name):
    """Return the block shape and the arrays of CSR, CSC or BSR, in native dtypes."""
    shape = shape_2d(A)
    offsets, indices = index_arrays(
        **{f"{name}.indptr": A.indptr, f"{name}.indices": A.indices}
    )
    block = (1, 1)
    if A.format == "bsr":
        data = values_of(A.data, dtype, f"{name}.data", 3)
        block = data.shape[1:]
        if min(block) < 1 or shape[0] % block[0] or shape[1] % block[1]:
            raise ValueError(f"{name}.data must have blocks that divide shape {shape}, got {block}")
        outer = shape[0] // block[0]
    else:
        data = values_of(A.data, dtype, f"{name}.data", 1)
        outer = shape[1] if A.format == "csc" else shape[0]
    if len(offsets) != outer + 1:
        raise ValueError(
            f"{name}.indptr must have length {outer + 1} for shape {shape}, got {len(offsets)}"
        )
    return block, offsets, indices, data


def transposed_arrays(arrays):
    """Return the arrays of the transpose; only those of BSR are copied, as its blocks change.

    `arrays` must be valid.
    """
    if arrays.format == _core.BSR:
        return _core.transpose_blocks(arrays)
    shape = arrays.shape[::-1]
    if arrays.format == _core.COO:
        return arrays._replace(
            shape=shape, indices=arrays.row_indices, row_indices=arrays.indices
        )
    return arrays._replace(
        shape=shape, format=_core.CSC if arrays.format == _core.CSR else _core.CSR
    )


def widened(arrays):
    """Return the arrays of a compressed operand with 64-bit indices."""
    return arrays._replace(
        offsets=arrays.offsets.astype(np.int64, copy=False),
        indices=arrays.indices.astype(np.int64, copy=False),
    )
