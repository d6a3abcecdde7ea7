"""Arrays of the device: CuPy's on a GPU, NumPy's where the library emulates one.

What is written with `Device.xp` and `Device.sparse` runs with either.
"""

import numpy as np

#: The unit roundoff of each dtype.
UNITS = {"float32": 2.0**-24, "float64": 2.0**-53, "float16": 2.0**-11, "bfloat16": 2.0**-8}
#: Beneath this a dtype has no more bits to round to.
SMALLEST = {"float32": 2.0**-126, "float64": 2.0**-1000, "float16": 2.0**-24, "bfloat16": 2.0**-126}
#: What a workspace must be aligned to.
ALIGNMENT = 256


class Device:
    """The arrays of one device, and its words for memory."""

    def __init__(self, emulated):
        self.emulated = emulated
        if emulated:
            import scipy.sparse

            self.xp, self.sparse = np, scipy.sparse
            self.out_of_memory = MemoryError
        else:
            import cupy
            import cupyx.scipy.sparse

            self.xp, self.sparse = cupy, cupyx.scipy.sparse
            self.out_of_memory = cupy.cuda.memory.OutOfMemoryError

    def put(self, array):
        """Copy a NumPy array to the device."""
        return self.xp.asarray(array)

    def get(self, array):
        """Copy an array of the device to the host."""
        return np.asarray(array) if self.emulated else array.get()

    def pointer(self, array):
        """Return the address of an array's first element."""
        return array.ctypes.data if self.emulated else array.data.ptr

    def synchronize(self):
        """Wait until the device has done all that it was asked to."""
        if not self.emulated:
            self.xp.cuda.Device().synchronize()

    def room(self, size, poisoned=True):
        """Return bytes that are aligned as a workspace, full of NaN of any dtype if poisoned."""
        room = self.xp.empty(size + ALIGNMENT, np.uint8)
        if poisoned:
            room.fill(0xFF)
        start = -self.pointer(room) % ALIGNMENT
        return room[start : start + size]

    def csr(self, A):
        """Copy a scipy CSR matrix to the device, in float64, repeated entries added up."""
        import scipy.sparse as sp

        A = sp.csr_matrix(A, dtype=np.float64, copy=True)
        A.sum_duplicates()
        return A if self.emulated else self.sparse.csr_matrix(A)

    def product(self, A, B):
        """A (of `csr`) @ B in float64."""
        if A.nnz == 0:
            return self.xp.zeros((A.shape[0], B.shape[1]))
        return A @ B


def to_bits(xp, array, dtype):
    """What device memory holds: of bfloat16, which NumPy has not, the 16 bits."""
    if dtype != "bfloat16":
        return array.astype(dtype)
    array = array.astype(np.float32)
    bits = array.view(np.uint32).astype(np.uint64)
    rounded = ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype(np.uint16)
    return xp.where(xp.isnan(array), xp.uint16(0x7FC0), rounded)


def from_bits(array, dtype):
    """The values of `to_bits`, as an array that can be computed with."""
    if dtype != "bfloat16":
        return array
    return (array.astype(np.uint32) << 16).view(np.float32)


class Matrix:
    """A dense matrix in device memory, "C" row-major or "F" column-major."""

    def __init__(self, device, bits, dtype, layout="C"):
        self.device, self.dtype, self.layout = device, dtype, layout
        order = device.xp.ascontiguousarray if layout == "C" else device.xp.asfortranarray
        self.bits = order(bits)
        self.shape = self.bits.shape

    @classmethod
    def rounded(cls, device, values, dtype, layout="C"):
        """Round values of the device to a dtype."""
        return cls(device, to_bits(device.xp, values, dtype), dtype, layout)

    @classmethod
    def poisoned(cls, device, shape, dtype, layout="C"):
        """A matrix full of NaN."""
        kind = np.uint16 if dtype == "bfloat16" else np.dtype(dtype)
        outer = shape if layout == "C" else shape[::-1]
        room = device.room(int(np.prod(shape)) * kind_size(kind))
        bits = room.view(kind).reshape(outer)
        return cls(device, bits if layout == "C" else bits.T, dtype, layout)

    @property
    def values(self):
        """In a dtype that can be computed with."""
        return from_bits(self.bits, self.dtype)

    @property
    def pointer(self):
        """The address of the first element."""
        return self.device.pointer(self.bits)

    @property
    def strides(self):
        """Of rows and columns, in elements."""
        rows, cols = self.shape
        return (max(cols, 1), 1) if self.layout == "C" else (1, max(rows, 1))

    def poison(self):
        """Fill with NaN."""
        (self.bits if self.layout == "C" else self.bits.T).view(np.uint8)[...] = 0xFF

    def has_bits_of(self, bits):
        """Whether it holds exactly these."""
        integers = np.dtype(f"u{self.bits.itemsize}")
        mine = self.bits if self.layout == "C" else self.bits.T
        other = bits if self.layout == "C" else bits.T
        return bool((mine.view(integers) == other.view(integers)).all())


def kind_size(kind):
    """The bytes of an element."""
    return np.dtype(kind).itemsize
