"""Dense arrays on the GPU: those of CuPy, torch, numba and other libraries that share memory.

Each library has a class here.  Its methods return the address and the layout of an array, and make
new arrays.  `resolve` chooses the class by the type of an array.  Arrays are not copied.
"""

from __future__ import annotations

import contextlib
import importlib
from typing import Any

import numpy as np

from . import _library

__all__ = ["default_library", "dtype_name", "register", "resolve", "stream_pointer"]

#: The types of devices in DLPack for CUDA memory and for managed CUDA memory.
_DLPACK_CUDA = (2, 13)


def dtype_name(dtype):
    """Return the name of a dtype, on which NumPy, CuPy and torch agree; a string is such a name."""
    if isinstance(dtype, str):
        return dtype
    text = str(dtype)
    return text.removeprefix("torch.") if text.startswith("torch.") else np.dtype(dtype).name


def on_host(value, name):
    """Return the TypeError for an operand that is in host memory."""
    kind = f"{type(value).__module__}.{type(value).__qualname__}".removeprefix("builtins.")
    return TypeError(
        f"{name} must be an array on the GPU (CuPy, torch, __cuda_array_interface__ or DLPack), "
        f"got {kind} in host memory: use spkernels.cuda.asarray({name}), or copy=True in "
        "spkernels.cuda.spmm and its kin"
    )


class Torch:
    """Tensors of torch."""

    name = "torch"
    #: Whether the library makes and copies arrays on the stream that `stream` returns.
    has_current_stream = True

    def __init__(self):
        import torch

        self._torch = torch
        self._names = {getattr(torch, name): name for name in _library.DTYPES}
        self._dtypes = {name: dtype for dtype, name in self._names.items()}
        self._devices = {None: torch.device("cuda")}
        # The function that torch's own compiled code calls: it makes no object, so it is quick.
        self._raw_stream = getattr(torch._C, "_cuda_getCurrentRawStream", None)

    def is_here(self, tensor):
        """Return whether a tensor is on a GPU."""
        return tensor.is_cuda

    def read(self, tensor, name):
        """Return (pointer, shape, strides in elements, dtype name, device), or raise TypeError."""
        if not self.is_here(tensor):
            raise on_host(tensor, name)
        if tensor.layout is not self._torch.strided:
            raise TypeError(f"{name} must be dense, got a tensor of layout {tensor.layout}")
        dtype = self._names.get(tensor.dtype) or dtype_name(tensor.dtype)
        return tensor.data_ptr(), tensor.shape, tensor.stride(), dtype, tensor.get_device()

    def is_read_only(self, tensor):
        """Return whether a tensor must not be written; torch has no such tensors."""
        return False

    def stream(self, tensor, device):
        """Return the current stream of torch on a device, as a pointer."""
        if self._raw_stream is not None:
            return self._raw_stream(device)
        return self._torch.cuda.current_stream(device).cuda_stream

    def empty(self, shape, dtype, device):
        """Return a new row-major tensor and its pointer."""
        made = self._torch.empty(shape, dtype=self._dtypes[dtype], device=self.device(device))
        return made, made.data_ptr()

    def room(self, size, device):
        """Return a new workspace of `size` bytes and its pointer."""
        made = self._torch.empty(size, dtype=self._torch.uint8, device=self.device(device))
        return made, made.data_ptr()

    def device(self, number):
        """Return torch's object for the device `number`; None stands for the current device."""
        found = self._devices.get(number)
        if found is None:
            found = self._devices[number] = self._torch.device("cuda", number)
        return found

    def transposed(self, tensor):
        """Return the transpose of a matrix, as a view."""
        return tensor.t()

    def filled(self, size, value, dtype, device):
        """Return a new vector of `size` elements that are all `value`, and its pointer."""
        made, pointer = self.empty((size,), dtype, device)
        made.fill_(value)
        return made, pointer

    def index(self, positions, device):
        """Copy positions from host memory to a device, for `take`."""
        return self._torch.from_numpy(positions).to(self.device(device))

    def take(self, tensor, index):
        """Return the elements at the positions `index` along the last dimension."""
        return tensor.index_select(-1, index)

    def assign(self, to, tensor):
        """Copy the elements of `tensor` into `to`, which has the same shape."""
        to.copy_(tensor)

    def asarray(self, value, dtype=None):
        """Return `value` on the current device; an array that is there already is not copied."""
        dtype = None if dtype is None else self._dtypes[dtype]
        if isinstance(value, np.ndarray) and not value.flags.writeable:
            value = value.copy()  # torch warns about read-only arrays
        return self._torch.as_tensor(value, dtype=dtype, device=self.device(None))

    def from_dlpack(self, value):
        """Return an array that shares the memory of another library's array."""
        return self._torch.from_dlpack(value)

    def to_numpy(self, tensor):
        """Return a copy in host memory, after a wait for the GPU."""
        return tensor.detach().cpu().numpy()

    @contextlib.contextmanager
    def on(self, device, stream):
        """Make `device` and `stream` current.

        The memory of arrays that are made meanwhile is reused only after `stream` has passed the
        work that uses it.
        """
        cuda = self._torch.cuda
        # 1 is another name of CUDA for the legacy default stream.  torch reserves odd numbers for
        # streams of its own.
        stream = 0 if stream == 1 else stream
        with cuda.device(device), cuda.stream(cuda.ExternalStream(stream, device=device)):
            yield


class CuPy:
    """Arrays of CuPy."""

    name = "cupy"
    has_current_stream = True

    def __init__(self):
        import cupy

        self._cupy = cupy
        self._names = {}

    def _name(self, dtype):
        found = self._names.get(dtype)
        if found is None:
            found = self._names[dtype] = dtype.name
        return found

    def read(self, array, name):
        """Return (pointer, shape, strides in elements, dtype name, device), or raise TypeError."""
        dtype = array.dtype
        size = dtype.itemsize
        strides = tuple([stride // size for stride in array.strides])
        return array.data.ptr, array.shape, strides, self._name(dtype), array.device.id

    def is_read_only(self, array):
        """Return whether an array must not be written; CuPy has no such arrays."""
        return False

    def stream(self, array, device):
        """Return the current stream of CuPy on a device, as a pointer."""
        return self._cupy.cuda.get_current_stream(device).ptr

    def empty(self, shape, dtype, device):
        """Return a new row-major array and its pointer."""
        with self._current(device):
            made = self._cupy.empty(shape, _numpy_dtype(dtype))
        return made, made.data.ptr

    def room(self, size, device):
        """Return a new workspace of `size` bytes and its pointer."""
        with self._current(device):
            made = self._cupy.cuda.alloc(size)
        return made, made.ptr

    def _current(self, device):
        """Return a context in which `device` is current; None stands for the current device."""
        if device is None or self._cupy.cuda.runtime.getDevice() == device:
            return contextlib.nullcontext()
        return self._cupy.cuda.Device(device)

    def transposed(self, array):
        """Return the transpose of a matrix, as a view."""
        return array.T

    def filled(self, size, value, dtype, device):
        """Return a new vector of `size` elements that are all `value`, and its pointer."""
        made, pointer = self.empty(size, dtype, device)
        with self._current(device):
            made.fill(value)
        return made, pointer

    def index(self, positions, device):
        """Copy positions from host memory to a device, for `take`."""
        with self._current(device):
            return self._cupy.asarray(positions)

    def take(self, array, index):
        """Return the elements at the positions `index` along the last dimension."""
        return array.take(index, axis=-1)

    def assign(self, to, array):
        """Copy the elements of `array` into `to`, which has the same shape."""
        to[...] = array

    def asarray(self, value, dtype=None):
        """Return `value` on the current device; an array that is there already is not copied."""
        return self._cupy.asarray(value, None if dtype is None else _numpy_dtype(dtype))

    def from_dlpack(self, value):
        """Return an array that shares the memory of another library's array."""
        return self._cupy.from_dlpack(value)

    def to_numpy(self, array):
        """Return a copy in host memory, after a wait for the GPU."""
        return self._cupy.asnumpy(array)

    @contextlib.contextmanager
    def on(self, device, stream):
        """Make `device` and `stream` current, for arrays that are made meanwhile."""
        with self._current(device), self._cupy.cuda.ExternalStream(stream):
            yield


class Interface:
    """Arrays of other libraries that have ``__cuda_array_interface__``.

    The default library, CuPy or torch, makes new arrays for them.
    """

    name = "interface"
    has_current_stream = False

    def __getattr__(self, name):
        # The methods that make arrays are those of the default library.
        return getattr(default_library(), name)

    def take(self, array, index):
        """Return the elements at the positions `index` along the last dimension."""
        library = default_library()
        return library.take(library.asarray(array), index)

    def assign(self, to, array):
        """Copy the elements of `array` into `to`, which has the same shape."""
        library = default_library()
        library.assign(library.asarray(to), library.asarray(array))

    def read(self, array, name):
        """Return (pointer, shape, strides in elements, dtype name, device), or raise TypeError."""
        known = getattr(array, "__cuda_array_interface__", None)
        if known is None:  # another array of this type was on the GPU, this one is not
            raise on_host(array, name)
        if known.get("mask") is not None:
            raise TypeError(f"{name} must have no mask")
        dtype = _typed(known["typestr"], array)
        size = dtype.itemsize
        shape, strides = known["shape"], known.get("strides")
        if strides is None:
            strides = _row_major(shape)
        elif any(stride % size for stride in strides):
            raise ValueError(
                f"{name} must have strides that are whole elements, got {strides} bytes"
            )
        else:
            strides = tuple([stride // size for stride in strides])
        # The interface does not name the device, so the last element is None.
        return known["data"][0] or 0, shape, strides, dtype.name, None

    def is_read_only(self, array):
        """Return whether an array must not be written."""
        return bool(array.__cuda_array_interface__["data"][1])

    def stream(self, array, device):
        """Return the stream that the interface names, or 0, the legacy default stream."""
        return array.__cuda_array_interface__.get("stream") or 0


class Numba(Interface):
    """Arrays of numba, which makes the new arrays, too."""

    name = "numba"

    def __init__(self):
        from numba import cuda

        self._cuda = cuda

    def empty(self, shape, dtype, device):
        """Return a new row-major array on the current device, and its pointer."""
        made = self._cuda.device_array(shape, _numpy_dtype(dtype))
        return made, made.device_ctypes_pointer.value

    def room(self, size, device):
        """Return a new workspace of `size` bytes and its pointer."""
        return self.empty(size, "uint8", device)

    def filled(self, size, value, dtype, device):
        """Return a new vector of `size` elements that are all `value`, and its pointer."""
        made, pointer = self.empty(size, dtype, device)
        made[:] = value
        return made, pointer

    def transposed(self, array):
        """Return the transpose of a matrix, as a view."""
        return array.T

    @contextlib.contextmanager
    def on(self, device, stream):
        """Change nothing: numba uses the current device, and its memory belongs to no stream."""
        yield


def _row_major(shape):
    strides, step = [], 1
    for extent in reversed(shape):
        strides.append(step)
        step *= extent
    return tuple(reversed(strides))


def _typed(typestr, array):
    """Return the dtype of an array; the interface's string alone does not identify bfloat16."""
    dtype = np.dtype(typestr)
    if dtype.kind == "V" and hasattr(array, "dtype"):
        return _numpy_dtype(dtype_name(array.dtype))
    return dtype


def _numpy_dtype(name):
    if name == "bfloat16":
        return np.dtype(importlib.import_module("ml_dtypes").bfloat16)
    return np.dtype(name)


#: The library objects by the types of arrays.  The object for None makes arrays where the caller's
#: library does not.
_LIBRARIES: dict[Any, Any] = {}


def register(kind, library):
    """Use `library`, an object with the methods of `CuPy`, for arrays of the type `kind`."""
    _LIBRARIES[kind] = library


def resolve(value, name):
    """Return the library object of an operand and the operand as an array of that library.

    An operand that is not on the GPU raises a TypeError with its `name`.
    """
    library = _LIBRARIES.get(type(value))
    if library is not None:
        return library, value
    library = _by_modules(type(value))
    if library is None and hasattr(value, "__cuda_array_interface__"):
        library = _one(Numba if _comes_from(type(value), "numba") else Interface)
    if library is not None:
        register(type(value), library)
        return library, value
    if hasattr(value, "__dlpack_device__") and _dlpack_type(value) in _DLPACK_CUDA:
        library = default_library()
        return library, library.from_dlpack(value)
    raise on_host(value, name)


def _dlpack_type(value):
    return int(value.__dlpack_device__()[0])


def _comes_from(kind, module):
    return any(base.__module__.split(".")[0] == module for base in kind.__mro__)


def _by_modules(kind):
    for base in kind.__mro__:
        found = {("torch", "Tensor"): Torch, ("cupy", "ndarray"): CuPy}.get(
            (base.__module__.split(".")[0], base.__name__)
        )
        if found is not None:
            return _one(found)
    return None


_made: dict[Any, Any] = {}


def _one(kind):
    """Return the single object of a class, which the first call makes."""
    if kind not in _made:
        _made[kind] = kind()
    return _made[kind]


def default_library():
    """Return the object that makes arrays where the caller's library does not: CuPy, else torch."""
    found = _LIBRARIES.get(None)
    if found is not None:
        return found
    for kind in (CuPy, Torch):
        with contextlib.suppress(ImportError):
            register(None, _one(kind))
            return _one(kind)
    raise ImportError(
        "arrays on the GPU are made by CuPy or torch, and neither is installed: "
        "pip install cupy-cuda13x"
    )


def stream_pointer(stream):
    """Return the pointer of a stream, which is an int or an object of CuPy, torch or numba."""
    if type(stream) is int:
        if stream < 0:
            raise ValueError(f"stream must be a pointer, got {stream}")
        return stream
    if hasattr(stream, "__cuda_stream__"):
        return int(stream.__cuda_stream__()[1])
    for name in ("cuda_stream", "ptr"):
        pointer = getattr(stream, name, None)
        if isinstance(pointer, int):
            return pointer
    handle = getattr(getattr(stream, "handle", None), "value", None)  # numba's
    if isinstance(handle, int):
        return handle
    raise TypeError(
        "stream must be a pointer as an int, or an object with __cuda_stream__, cuda_stream or "
        f"ptr, got {stream!r}"
    )
