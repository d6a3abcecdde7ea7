"""A reader of the sparse matrices in MATLAB files of versions 4 to 7.2.

`scipy.io.loadmat` trusts the sizes that a file claims, so it cannot read files of unknown origin.
This reader takes sparse matrices alone, as variables and as fields of 1 x 1 structs.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
from scipy.sparse import csr_array

from ._keys import pick
from ._layouts import build

__all__ = ["mat_keys", "read_mat"]

# The number of bytes of the header of versions from 5 on, and the signature of HDF5 files.
_HEADER = 128
_HDF5 = b"\x89HDF\r\n\x1a\n"
_NUMBERS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8",
            13: "u8"}  # fmt: skip
_MATRIX, _COMPRESSED = 14, 15
_CLASSES = {1: "cell", 2: "struct", 3: "object", 4: "char", 5: "sparse", 6: "double", 7: "single",
            8: "int8", 9: "uint8", 10: "int16", 11: "uint16", 12: "int32", 13: "uint32",
            14: "int64", 15: "uint64"}  # fmt: skip
_STRUCT, _SPARSE = 2, 5
_COMPLEX, _LOGICAL = 0x08, 0x02
# The number of levels of nested structs that are read.  SuiteSparse's files have one level.
_DEEPEST = 8
# Of version 4: the dtypes of numbers, and the classes of variables.
_NUMBERS4 = ("f8", "f4", "i4", "i2", "u2", "u1")
_CLASSES4 = ("double", "char", "sparse")

# A variable of a file: its name, its class, and for a sparse matrix a function that reads it.
_Found = tuple[str, str, Callable[[], csr_array] | None]


def mat_keys(content: bytes) -> list[str]:
    """Return the names of the sparse matrices in a MATLAB file."""
    return [name for name, _, read in _variables(content) if read is not None]


def read_mat(content: bytes, key: str | None) -> csr_array:
    """Read a sparse matrix from a MATLAB file."""
    found = _variables(content)
    sparse = {name: read for name, _, read in found if read is not None}
    if not sparse:
        listing = ", ".join(f"{name!r} ({kind})" for name, kind, _ in found)
        raise ValueError(f"expected a sparse matrix, found {listing or 'no variables'}")
    return sparse[pick(key, list(sparse))]()


def _variables(content: bytes) -> list[_Found]:
    mark = content[124:128]
    version = mark[1 if mark[2:] == b"IM" else 0] if len(mark) == 4 else 0
    if content[512 : 512 + len(_HDF5)] == _HDF5 or content.startswith(_HDF5) or version == 2:
        raise ValueError(
            "expected a MATLAB file of version 4 to 7.2, found version 7.3, which is HDF5: write "
            "it again by save(file, 'A', '-v7') in MATLAB, or read it with h5py"
        )
    try:
        if 0 in content[:4] or len(content) < _HEADER:
            return list(_version_4(content))
        if mark[2:] not in (b"IM", b"MI") or version != 1:
            raise ValueError("its header names no version and byte order")
        return list(_version_5(content, "<" if mark[2:] == b"IM" else ">"))
    except (ValueError, struct.error, zlib.error, UnicodeDecodeError) as error:
        raise ValueError(f"expected a MATLAB file of version 4 to 7.2, but {error}") from error


# Versions 5 to 7.2 --------------------------------------------------------------------------------


def _elements(data: memoryview, order: str) -> Iterator[tuple[int, memoryview]]:
    """Yield the type and the bytes of each element of a sequence of data elements."""
    start = 0
    while start < len(data):
        (word,) = struct.unpack_from(f"{order}I", data, start)
        small = word >> 16
        if small:
            kind, size, begin, end = word & 0xFFFF, small, start + 4, start + 8
            if size > 4:
                raise ValueError(f"a small element claims {size} bytes")
        else:
            kind, (size,) = word, struct.unpack_from(f"{order}I", data, start + 4)
            begin = start + 8
            end = begin + (size if kind == _COMPRESSED else -(-size // 8) * 8)
        if begin + size > len(data):
            raise ValueError(f"an element claims {size} bytes where {len(data) - begin} are left")
        yield kind, data[begin : begin + size]
        start = end


def _version_5(content: bytes, order: str) -> Iterator[_Found]:
    for kind, data in _elements(memoryview(content)[_HEADER:], order):
        if kind == _COMPRESSED:
            ((kind, data),) = _elements(memoryview(zlib.decompress(data)), order)
        if kind != _MATRIX:
            raise ValueError(f"there is an element of type {kind} in place of a variable")
        yield from _matrix(data, order, "", 0)


def _matrix(data: memoryview, order: str, name: str, depth: int) -> Iterator[_Found]:
    """Yield a variable and, if the variable is a struct, its sparse fields."""
    parts = _elements(data, order)
    first = next(parts, None)
    if first is None:  # an empty field
        return
    (flags,) = struct.unpack_from(f"{order}I", first[1])
    kind, flags = flags & 0xFF, flags >> 8
    if kind not in _CLASSES:  # objects, which have another layout
        yield name or "(an object)", f"class {kind}", None
        return
    dims = _numbers(next(parts, (0, None)), order)
    own = bytes(next(parts, (0, b""))[1]).decode("latin-1")
    name = name or own
    if kind == _SPARSE:
        arrays = list(parts)
        yield name, _CLASSES[kind], lambda: _sparse(arrays, dims, flags, order)
        return
    yield name, _CLASSES[kind], None
    if kind == _STRUCT and math.prod(dims.tolist()) == 1 and depth < _DEEPEST:
        names = _field_names(parts, order)
        for field in names:
            kind, data = next(parts, (0, memoryview(b"")))
            if kind != _MATRIX:
                raise ValueError(f"field {field} of {name} is missing")
            yield from (
                found for found in _matrix(data, order, f"{name}.{field}", depth + 1) if found[2]
            )


def _field_names(parts: Iterator[tuple[int, memoryview]], order: str) -> list[str]:
    width = _numbers(next(parts, (0, None)), order)
    names = bytes(next(parts, (0, b""))[1])
    if width.size != 1 or width[0] < 1 or len(names) % width[0]:
        raise ValueError("the names of a struct's fields are damaged")
    step = int(width[0])
    return [
        names[i : i + step].partition(b"\0")[0].decode("latin-1")
        for i in range(0, len(names), step)
    ]


def _numbers(element: tuple[int, memoryview | None], order: str) -> np.ndarray:
    kind, data = element
    if kind not in _NUMBERS or data is None:
        raise ValueError(f"there is an element of type {kind} in place of numbers")
    return np.frombuffer(data, order + _NUMBERS[kind])


def _complex(real: np.ndarray, imaginary: np.ndarray) -> np.ndarray:
    # real + 1j * imaginary would be NaN where the imaginary part is infinite.
    floating = real.dtype.kind == imaginary.dtype.kind == "f"
    dtype = np.result_type(real, imaginary, np.complex64 if floating else np.complex128)
    values = np.empty(real.shape, dtype)
    values.real, values.imag = real, imaginary
    return values


def _sparse(
    parts: list[tuple[int, memoryview]], dims: np.ndarray, flags: int, order: str
) -> csr_array:
    wanted = 4 if flags & _COMPLEX else 3
    if len(parts) != wanted:
        raise ValueError(f"expected {wanted} arrays of a sparse matrix, found {len(parts)}")
    indices, indptr, data, *imaginary = (_numbers(part, order) for part in parts)
    if dims.size != 2 or dims.dtype.kind not in "iu" or dims.min() < 0:
        raise ValueError(f"expected two dimensions, found {dims[:8].tolist()}")
    rows, cols = dims.tolist()
    # MATLAB may store longer arrays than the entries need.
    indptr = indptr[: cols + 1]
    count = int(indptr[-1]) if indptr.size and indptr.dtype.kind in "iu" else -1
    if count >= 0:
        indices, data = indices[:count], data[:count]
    if imaginary:
        if imaginary[0].size < data.size:
            raise ValueError(f"expected {data.size} imaginary parts, found {imaginary[0].size}")
        data = _complex(data, imaginary[0][:count])
    elif flags & _LOGICAL:
        data = data != 0
    elif data.dtype.kind in "iu" and data.itemsize < 8:
        # MATLAB's sparse numbers are doubles, which a file stores in fewer bytes where they fit.
        data = data.astype(np.float64)
    return build("csc", {"data": data, "indices": indices, "indptr": indptr}, (rows, cols))


# Version 4 ----------------------------------------------------------------------------------------


def _version_4(content: bytes) -> Iterator[_Found]:
    start = 0
    while start < len(content):
        order = "<" if 0 <= struct.unpack_from("<i", content, start)[0] < 1000 else ">"
        code, rows, cols, imaginary, length = struct.unpack_from(f"{order}5i", content, start)
        # The digit of thousands is 1 for big-endian numbers.
        rest, kind = divmod(code - (1000 if order == ">" else 0), 10)
        if not (0 <= rest < len(_NUMBERS4) and kind < len(_CLASSES4)):
            raise ValueError(f"a header begins with {code}")
        if min(rows, cols, length - 1) < 0 or imaginary not in (0, 1):
            raise ValueError("the sizes of a variable are negative")
        dtype = np.dtype(order + _NUMBERS4[rest])
        begin = start + 20 + length
        size = rows * cols * dtype.itemsize
        end = begin + size * (1 + imaginary)
        if end > len(content):
            raise ValueError(
                f"a variable of {rows} x {cols} claims {end - begin} bytes where "
                f"{max(0, len(content) - begin)} are left"
            )
        name = content[start + 20 : begin - 1].decode("latin-1")
        values = np.frombuffer(content, dtype, rows * cols, begin).reshape(cols, rows)
        sparse = _CLASSES4[kind] == "sparse"
        yield name, _CLASSES4[kind], partial(_triplets, values) if sparse else None
        start = end


def _triplets(table: np.ndarray) -> csr_array:
    """Return the matrix of a table of rows, columns and values, whose last line is the shape."""
    if len(table) not in (3, 4) or table.shape[1] < 1:
        raise ValueError(f"expected 3 or 4 columns of a sparse matrix, found {len(table)}")
    places = table[:2].astype(np.float64)
    if not ((places >= 0) & (places < 2**53) & (places == np.floor(places))).all():
        raise ValueError("expected whole numbers as rows and columns")
    row, col = places.astype(np.int64)
    # In version 4 all numbers are MATLAB's doubles, whatever dtype stores them.
    data = table[2].astype(np.float64)
    if len(table) == 4:
        data = _complex(data, table[3])
    arrays = {"data": data[:-1], "row": row[:-1] - 1, "col": col[:-1] - 1}
    return build("coo", arrays, (int(row[-1]), int(col[-1])))
