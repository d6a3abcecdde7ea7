"""Arrays on a GPU that is emulated: its memory is the host's, NumPy's arrays lie in it.

Each class stands for a library that users have: one with ``__cuda_array_interface__``, CuPy as far
as spkernels.cuda asks it, torch (its own class, of tensors on the CPU), and one with DLPack alone.
"""

import contextlib

import numpy as np

from spkernels.cuda import _arrays


class Plain:
    """An array with ``__cuda_array_interface__`` and nothing else."""

    def __init__(self, array, *, stream=None, read_only=False):
        self.array, self.stream, self.read_only = array, stream, read_only

    @property
    def __cuda_array_interface__(self):
        array = self.array
        if array is None:
            raise AttributeError("this one is on the host")
        return {
            "shape": array.shape,
            "typestr": array.dtype.str,
            "data": (array.ctypes.data, self.read_only),
            "strides": None if array.flags.c_contiguous else array.strides,
            "version": 3,
            "stream": self.stream,
        }


class Tensor:
    """An array of a library that makes its own: `Maker`."""

    def __init__(self, array, device=0):
        self.array, self.device = array, device


class Maker:
    """The library of `Tensor`; notes the streams and the sizes of workspaces that it is asked."""

    name = "maker"
    has_current_stream = True

    def __init__(self):
        self.current, self.streams, self.rooms = 0, [], []

    def read(self, tensor, name):
        array = tensor.array
        strides = tuple(stride // array.itemsize for stride in array.strides)
        return array.ctypes.data, array.shape, strides, array.dtype.name, tensor.device

    def is_read_only(self, tensor):
        return not tensor.array.flags.writeable

    def stream(self, tensor, device):
        return self.current

    def empty(self, shape, dtype, device):
        # NaN: what is not written shows.
        made = np.full(shape, np.nan, dtype)
        return Tensor(made), made.ctypes.data

    def room(self, size, device):
        self.rooms.append(size)
        room = np.full(size + 1, 0xFF, np.uint8)
        # As far from aligned as can be.
        return room, room.ctypes.data + (room.ctypes.data % 2 == 0)

    def transposed(self, tensor):
        return Tensor(tensor.array.T)

    def filled(self, size, value, dtype, device):
        made = np.full(size, value, dtype)
        return Tensor(made), made.ctypes.data

    def index(self, positions, device):
        return positions

    def take(self, tensor, index):
        return Tensor(np.take(tensor.array, index, axis=-1))

    def assign(self, to, tensor):
        to.array[...] = tensor.array

    def asarray(self, value, dtype=None):
        if isinstance(value, Plain):
            return Tensor(value.array)
        if isinstance(value, Tensor):
            return value
        return Tensor(np.array(value, dtype))

    def from_dlpack(self, value):
        import torch  # NumPy's arrays of DLPack are read-only

        return Tensor(torch.from_dlpack(value.on_host()).numpy())

    def to_numpy(self, tensor):
        return tensor.array.copy()

    @contextlib.contextmanager
    def on(self, device, stream):
        before, self.current = self.current, stream
        self.streams.append(stream)
        yield
        self.current = before


class OnHost:
    """What NumPy takes for an array of its own, of one with DLPack."""

    def __init__(self, array):
        self.array = array

    def __dlpack__(self, **options):
        return self.array.__dlpack__()

    def __dlpack_device__(self):
        return 1, 0


class Capsule:
    """An array with DLPack and nothing else, which says that it is on a GPU."""

    def __init__(self, array, device=(2, 0)):
        self.array, self.device = array, device

    def on_host(self):
        return OnHost(self.array)

    def __dlpack__(self, **options):
        return self.array.__dlpack__()

    def __dlpack_device__(self):
        return self.device


class HostTorch(_arrays.Torch):
    """torch, its tensors on the CPU being those of the emulated GPU."""

    def __init__(self):
        super().__init__()
        self._devices = {None: self._torch.device("cpu"), 0: self._torch.device("cpu")}
        self.streams = []

    def is_here(self, tensor):
        return True

    def read(self, tensor, name):
        return *super().read(tensor, name)[:4], 0

    def stream(self, tensor, device):
        return 0

    @contextlib.contextmanager
    def on(self, device, stream):
        self.streams.append(stream)
        yield
