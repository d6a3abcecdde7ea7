"""A reader of NumPy's ``.npz`` archives that does not trust their headers, and never unpickles.

`numpy.load` allocates the size that an array's header claims before it reads the data.
"""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Iterator
from typing import Literal

import numpy as np

__all__ = ["Archive"]

_SUFFIX = ".npy"
# The compression methods of numpy.savez and numpy.savez_compressed.
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


class Archive:
    """The named arrays of an ``.npz`` file; every fault of its bytes is a ValueError."""

    def __init__(self, content: bytes) -> None:
        try:
            self._zip = zipfile.ZipFile(io.BytesIO(content))
        except Exception as error:  # zipfile, struct and codecs raise various exceptions
            raise ValueError(f"expected a NumPy .npz file, a whole zip archive: {error}") from error
        members = self._zip.infolist()
        self._members = {member.filename.removesuffix(_SUFFIX): member for member in members}

    def __contains__(self, name: str) -> bool:
        return name in self._members

    def __iter__(self) -> Iterator[str]:
        return iter(self._members)

    def __getitem__(self, name: str) -> np.ndarray:
        member = self._members[name]
        if member.compress_type not in _METHODS:
            raise ValueError(f"expected {name} stored or deflated, as numpy.savez does")
        try:
            # This reads the data that exist, not the size that the archive's directory claims.
            content = self._zip.read(member)
        except MemoryError:
            raise
        except Exception as error:  # zipfile, zlib and struct raise various exceptions
            raise ValueError(f"expected an undamaged array {name}: {error}") from error
        return _array(name, content)


def _array(name: str, content: bytes) -> np.ndarray:
    """Return the array of a ``.npy`` file."""
    stream = io.BytesIO(content)
    try:
        version = np.lib.format.read_magic(stream)
        shape, fortran_order, dtype = _HEADERS[version](stream)
    except Exception as error:  # the parser of the header, a Python literal, raises many kinds
        raise ValueError(f"expected {name} to be a NumPy array: {error}") from error
    if dtype.hasobject:
        raise ValueError(
            f"expected {name} to hold numbers, found pickled Python objects, which are not read"
        )
    if dtype.itemsize == 0:  # such a header could claim any number of elements
        raise ValueError(f"expected {name} to hold numbers, found dtype {dtype}")
    claimed, found = math.prod(shape) * dtype.itemsize, len(content) - stream.tell()
    if min(shape, default=0) < 0 or claimed != found:
        raise ValueError(
            f"expected {name} of shape {shape} and dtype {dtype} to take {claimed} bytes, "
            f"found {found}"
        )
    order: Literal["F", "C"] = "F" if fortran_order else "C"
    # The copy is writeable, unlike an array of the bytes.
    return np.ndarray(shape, dtype, content, stream.tell(), order=order).copy(order=order)
