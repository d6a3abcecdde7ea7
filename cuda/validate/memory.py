"""Device memory without CuPy: every array is an allocation of its own, to the byte.

So that a checker of memory sees what is beyond its end; a pool would hide it.
"""

import ctypes
import site
from ctypes import POINTER, byref, c_int, c_size_t, c_void_p
from pathlib import Path

import numpy as np

_TO_DEVICE, _TO_HOST = 1, 2  # cudaMemcpyKind


def _cudart():
    wheels = [Path(folder) for folder in site.getsitepackages()]
    places = []
    for name in ("libcudart.so.13", "libcudart.so.12"):
        places += [f"/usr/local/cuda/lib64/{name}", name]
        places += [str(path) for at in wheels for path in at.glob(f"nvidia/*/lib/{name}")]
    for place in places:
        try:
            library = ctypes.CDLL(place)
        except OSError as error:
            reason = error
            continue
        library.cudaMalloc.argtypes = [POINTER(c_void_p), c_size_t]
        library.cudaFree.argtypes = [c_void_p]
        library.cudaMemcpy.argtypes = [c_void_p, c_void_p, c_size_t, c_int]
        return library
    raise reason


class Memory:
    """An array in device memory."""

    def __init__(self, device, array, dtype=None):
        self._device = device
        self.host = np.ascontiguousarray(array)
        self.dtype, self.shape = dtype or self.host.dtype.name, self.host.shape
        self.itemsize = self.host.itemsize
        self.strides = self.host.strides
        self.pointer = device.allocate(self.host)

    def __del__(self):
        self._device.release(self.pointer)

    def get(self):
        """Copy it to the host."""
        self._device.read(self.host, self.pointer)
        return self.host


class Operand:
    """A dense matrix in `Memory`, as `ours.dense` takes it."""

    def __init__(self, memory, shape, dtype, strides):
        self.memory, self.shape, self.dtype, self.strides = memory, shape, dtype, strides

    @property
    def pointer(self):
        """The address of the first element."""
        return self.memory.pointer


class RawDevice:
    """What `ours` asks of a device."""

    def __init__(self, emulated):
        self._cuda = None if emulated else _cudart()
        self._kept = {}

    def _check(self, status):
        if status:
            raise RuntimeError(f"CUDA error {status}")

    def allocate(self, array):
        """Copy an array to memory of its own and return the address."""
        if self._cuda is None:
            # Aligned as the device's memory is.
            room = np.empty(array.nbytes + 256, np.uint8)
            start = -room.ctypes.data % 256
            room[start : start + array.nbytes] = array.reshape(-1).view(np.uint8)
            self._kept[room.ctypes.data + start] = room
            return room.ctypes.data + start
        pointer = c_void_p()
        self._check(self._cuda.cudaMalloc(byref(pointer), max(array.nbytes, 1)))
        self._check(self._cuda.cudaMemcpy(pointer, array.ctypes.data, array.nbytes, _TO_DEVICE))
        return pointer.value

    def release(self, pointer):
        """Give memory back."""
        if self._cuda is None:
            del self._kept[pointer]
        else:
            self._cuda.cudaFree(pointer)

    def read(self, array, pointer):
        """Copy memory to an array of the host."""
        if self._cuda is None:
            ctypes.memmove(array.ctypes.data, pointer, array.nbytes)
        else:
            self._check(self._cuda.cudaMemcpy(array.ctypes.data, pointer, array.nbytes, _TO_HOST))

    def room(self, size, poisoned=True):
        """A workspace of exactly so many bytes, full of NaN."""
        return Memory(self, np.full(size, 0xFF, np.uint8))

    def pointer(self, memory):
        """The address of an array."""
        return memory.pointer

    def synchronize(self):
        """Wait until the device has done all that it was asked to."""
        if self._cuda is not None:
            self._check(self._cuda.cudaDeviceSynchronize())
