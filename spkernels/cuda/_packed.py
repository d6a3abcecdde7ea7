"""Handles of matrices that the library has packed."""

from __future__ import annotations

import ctypes
import weakref

import numpy as np

from .._runtime.locks import Lock
from . import _library
from ._errors import raise_status
from ._runtime import current_device, library

__all__ = ["Packed", "Source"]


class Packed:
    """One handle of the library, which is destroyed together with this object."""

    def __init__(self, rows, dtype, precision, kernel, operations, width):
        self.shape, self.dtype, self.nnz = rows.shape, dtype, rows.nnz
        self.operations = operations
        self.has_values = rows.values is not None
        self.order = rows.order
        self.indices = {}
        self.library = library()
        self.device = current_device()
        given = None if rows.values is None else rows.values.ctypes.data
        sparse = _library.Sparse(
            format=0,
            dtype=int(self.has_values and rows.values.dtype == np.float64),
            itype=int(rows.offsets.dtype == np.int64),
            rows=rows.shape[0],
            cols=rows.shape[1],
            nnz=rows.nnz,
            block_rows=1,
            block_cols=1,
            offsets=rows.offsets.ctypes.data,
            indices=rows.columns.ctypes.data,
            values=given,
        )
        desc = _library.Desc(
            ctypes.pointer(sparse),
            _library.DTYPES[dtype],
            _library.PRECISIONS[precision],
            _library.KERNELS[kernel],
            sum(_library.OPERATIONS[operation] for operation in operations),
            width,
        )
        made = ctypes.c_void_p()
        status = self.library.spk_cuda_prepare(ctypes.byref(desc), ctypes.byref(made))
        if status in (_library.ERR_DTYPE, _library.ERR_ARGUMENT):
            raise ValueError(
                f"kernel={kernel!r}, precision={precision!r}, dtype={dtype!r} and op={operations} "
                "do not go together"
            )
        if status == _library.ERR_SHAPE:
            raise ValueError(f"A must have fewer than 2**31 columns, got shape {rows.shape}")
        if status != _library.OK:
            raise_status(self.library, status, "packing A")
        self.pointer = made.value
        # The end of the process frees the memory anyway.
        weakref.finalize(self, self.library.spk_cuda_destroy, made.value).atexit = False

    def kernel_name(self, n):
        """Return the name of the kernel that multiplies by `n` columns."""
        return self.library.spk_cuda_kernel_name(self.pointer, n).decode()

    @property
    def nbytes(self):
        """The device memory of the handle, in bytes."""
        return self.library.spk_cuda_bytes(self.pointer)

    def index(self, arrays, inverse):
        """Return the positions that bring the caller's values into packed order, on the device.

        With `inverse` they bring packed values into the caller's order.  `take` takes them.
        """
        key = (arrays.name, inverse)
        found = self.indices.get(key)
        if found is None:
            places = self.order
            if inverse:
                places = np.empty_like(self.order)
                places[self.order] = np.arange(len(places))
            found = self.indices[key] = arrays.index(places, self.device)
        return found


class Source:
    """A matrix and its transpose, each of which is packed by its first use."""

    def __init__(self, rows, where, dtype, precision, kernel, operations, width):
        self.shape, self.nnz, self.dtype = rows.shape, rows.nnz, dtype
        self.operations, self.width = operations, width
        self._options = (dtype, precision, kernel, operations, width)
        self._rows, self._where = rows, where
        self._packed = [None, None]
        self._updated = False
        self._lock = Lock()

    def packed(self, transposed):
        """Return the handle of the matrix or of its transpose, which the first call packs."""
        found = self._packed[transposed]
        if found is None:
            with self._lock:
                found = self._packed[transposed]
                if found is None:
                    found = self._packed[transposed] = self._pack(transposed)
        return found

    def known(self, transposed):
        """Return the handle of the matrix or of its transpose, or None if it is not packed yet."""
        return self._packed[transposed]

    def _pack(self, transposed):
        if self._updated:
            raise ValueError(
                "W was given new values before its transpose was packed, which W.T @ B and X @ W "
                "need: prepare(A, transpose=True) packs it at once"
            )
        other = self._packed[not transposed]
        with self._where:
            if other is not None and current_device() != other.device:
                raise ValueError(
                    f"W is on device {other.device}: make it the current one where W's transpose "
                    "is first used"
                )
            made = Packed(self._rows.T if transposed else self._rows, *self._options)
        if other is not None:
            self._rows = None
        return made

    @property
    def device(self):
        """The number of the device that holds the matrix."""
        return self.made()[0].device

    def made(self):
        """Return the handles that are packed so far."""
        return [packed for packed in self._packed if packed is not None]

    def update(self, fill):
        """Call `fill` with every handle that is packed."""
        with self._lock:
            for packed in self.made():
                fill(packed)
            self._updated = True
