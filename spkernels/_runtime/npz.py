"""NumPy's ``.npz`` archives, read without trusting what their headers claim, and without pickles.

`numpy.load` allocates what the header of an array claims before it looks at what there is.
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
# What numpy.savez and numpy.savez_compressed write.
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


class Archive:
    """The named arrays of an ``.npz`` file; whatever is wrong with its bytes is a ValueError."""

    def __init__(self, content: bytes) -> None:
        try:
            self._zip = zipfile.ZipFile(io.BytesIO(content))
        except Exception as error:  # of zipfile, struct or codecs, whichever finds it first
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
            # Only what is there is read, whatever size the archive's directory claims.
            content = self._zip.read(member)
        except MemoryError:
            raise
        except Exception as error:  # of zipfile, zlib or struct, whichever finds it first
            raise ValueError(f"expected an undamaged array {name}: {error}") from error
        return _array(name, content)


def _array(name: str, content: bytes) -> np.ndarray:
    """Return the array that a ``.npy`` file holds."""
    stream = io.BytesIO(content)
    try:
        version = np.lib.format.read_magic(stream)
        shape, fortran_order, dtype = _HEADERS[version](stream)
    except Exception as error:  # a header is a Python literal, whose parser raises all kinds
        raise ValueError(f"expected {name} to be a NumPy array: {error}") from error
    if dtype.hasobject:
        raise ValueError(
            f"expected {name} to hold numbers, found pickled Python objects, which are not read"
        )
    if dtype.itemsize == 0:  # any number of elements fits in no bytes
        raise ValueError(f"expected {name} to hold numbers, found dtype {dtype}")
    claimed, found = math.prod(shape) * dtype.itemsize, len(content) - stream.tell()
    if min(shape, default=0) < 0 or claimed != found:
        raise ValueError(
            f"expected {name} of shape {shape} and dtype {dtype} to take {claimed} bytes, "
            f"found {found}"
        )
    order: Literal["F", "C"] = "F" if fortran_order else "C"
    # A copy, which can be written to.
    return np.ndarray(shape, dtype, content, stream.tell(), order=order).copy(order=order)
