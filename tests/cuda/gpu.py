"""Memory of the GPU for tests, and products by way of the C interface alone.

Where the library emulates the GPU, device memory is the host's, and NumPy arrays stand for arrays
of the device; else CuPy's do.
"""

import ctypes
import os

import numpy as np
from reference import ACTIVATIONS, EXTRA_OPERATIONS, LIPSCHITZ, gamma, terms, to_float64

from spkernels.cuda import _library

#: Half the distance from 1 to the next number.
UNITS = {"float32": 2.0**-24, "float64": 2.0**-53, "float16": 2.0**-11, "bfloat16": 2.0**-8}
#: The least positive numbers.
SMALLEST = {"float32": 2.0**-149, "float64": 2.0**-1074, "float16": 2.0**-24, "bfloat16": 2.0**-133}

EMULATED = "emulated" in os.path.basename(os.environ.get("SPKERNELS_CUDA_LIBRARY", ""))
#: NaN, in each dtype.
_FILL = 0xFF


def round_to(array, dtype):
    """The nearest values of a dtype, as an array that NumPy can compute with."""
    if dtype != "bfloat16":
        return np.asarray(array).astype(dtype)
    return from_bits(to_bits(array, dtype), dtype)


def to_bits(array, dtype):
    """What device memory holds: of bfloat16, which NumPy has not, the 16 bits."""
    if dtype != "bfloat16":
        return np.asarray(array).astype(dtype)
    array = np.asarray(array, np.float32)
    bits = array.view(np.uint32).astype(np.uint64)
    rounded = ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype(np.uint16)
    return np.where(np.isnan(array), np.uint16(0x7FC0), rounded)


def from_bits(array, dtype):
    if dtype != "bfloat16":
        return array
    return (array.astype(np.uint32) << 16).view(np.float32)


def assert_product(
    C,
    A,
    B,
    dtype,
    *,
    alpha=1.0,
    beta=0.0,
    before=0.0,
    biases=(),
    activation=None,
    operand_unit=0.0,
):
    """Check activation(alpha * A @ B + beta * before + biases), of finite operands, by its bound.

    Sums are float32, of float64 operands float64, and rounded once to `dtype`; each operand was
    rounded by `operand_unit` before it was multiplied.
    """
    B = np.asarray(B, float)
    value, size = alpha * (to_float64(A) @ B), abs(alpha) * (to_float64(A, np.abs) @ np.abs(B))
    spread = 2 * operand_unit + operand_unit**2
    value, bound = value + beta * before, size * spread
    size = size + np.abs(beta * before)
    for bias in biases:
        value, size = value + bias, size + np.abs(bias)
    sums = np.float64 if dtype == "float64" else np.float32
    count = terms(A, 1) + EXTRA_OPERATIONS
    bound += (gamma(count, sums) + gamma(count, np.float64)) * size
    bound += count * float(np.finfo(sums).smallest_subnormal)
    if activation is not None:
        unit = np.finfo(sums).eps
        bound = LIPSCHITZ * (bound + 2 * unit * np.abs(value))
        value = ACTIVATIONS[activation](value)
        bound += 8 * unit * np.abs(value)
    bound += UNITS[dtype] * (np.abs(value) + bound) + SMALLEST[dtype]
    error = np.abs(C.astype(float) - value)
    assert not np.isnan(error).any(), "NaN where finite operands give none"
    assert (error <= bound).all(), f"off by {(error / bound).max():.3g} times what is allowed"


class Array:
    """A matrix in device memory, with guards around it that must not be written.

    `layout` is "C" or "F"; `apart` elements lie between rows (columns), and the first one `shift`
    elements after an address that is aligned to 256 bytes.
    """

    MARGIN = 256

    def __init__(self, values, dtype, layout="C", apart=0, shift=0):
        values = np.atleast_2d(np.asarray(values))
        self.dtype, self.shape, self.layout = dtype, values.shape, layout
        bits = to_bits(values, dtype)
        rows, cols = self.shape
        outer, inner = (rows, cols) if layout == "C" else (cols, rows)
        self.stride = max(inner, 1) + apart
        size = bits.itemsize
        self.host = np.full(2 * self.MARGIN + (outer * self.stride + shift) * size, _FILL, np.uint8)
        self._start = self.MARGIN + shift * size
        self._inner, self._bits = inner, bits.dtype
        self.view[...] = bits if layout == "C" else bits.T
        self._put()

    @property
    def view(self):
        """Of what the host has: outer x inner."""
        outer = self.shape[0] if self.layout == "C" else self.shape[1]
        size = np.dtype(self._bits).itemsize
        return np.ndarray(
            (outer, self._inner), self._bits, self.host, self._start, (self.stride * size, size)
        )

    def _put(self):
        if not EMULATED:
            import cupy

            self.device = cupy.asarray(self.host)
            self.pointer = self.device.data.ptr + self._start
            return
        # Aligned as the device's memory is.
        room = np.empty(self.host.size + 256, np.uint8)
        offset = -room.ctypes.data % 256
        self.device = room[offset : offset + self.host.size]
        self.device[...] = self.host
        self.pointer = self.device.ctypes.data + self._start

    def get(self):
        """The values that it holds by now; fails if anything around them was written."""
        before = self.host.copy()
        self.host[...] = self.device if EMULATED else self.device.get()
        result = self.view.copy()
        self.view[...] = np.ndarray(
            self.view.shape, self._bits, before, self._start, self.view.strides
        )
        assert (self.host == before).all(), "memory around the result was written"
        self.view[...] = result
        return from_bits(result if self.layout == "C" else result.T, self.dtype)

    @property
    def dense(self):
        """As the C interface takes it."""
        row, col = (self.stride, 1) if self.layout == "C" else (1, self.stride)
        return _library.Dense(_library.DTYPES[self.dtype], *self.shape, row, col, self.pointer)


class Handle:
    """A matrix that was prepared by the C interface, from CSR arrays as they are."""

    def __init__(
        self,
        library,
        A,
        dtype,
        *,
        operations=("spmm",),
        kernel="auto",
        precision="strict",
        width=0,
        values=True,
        **fields,
    ):
        """`fields`: of the sparse matrix, as the C interface takes it, that are to be others."""
        self._library = library
        self.dtype, self.shape = dtype, A.shape
        data = A.data if A.data.dtype in (np.float32, np.float64) else A.data.astype(np.float32)
        indices = A.indices.astype(A.indptr.dtype, copy=False)
        sparse = _library.Sparse(
            0,
            int(data.dtype == np.float64),
            int(A.indptr.dtype == np.int64),
            0,
            *A.shape,
            len(indices),
            1,
            1,
            A.indptr.ctypes.data,
            indices.ctypes.data,
            None,
            data.ctypes.data if values else None,
        )
        for name, value in fields.items():
            setattr(sparse, name, value)
        desc = _library.Desc(
            ctypes.pointer(sparse),
            _library.DTYPES[dtype],
            _library.PRECISIONS[precision],
            _library.KERNELS[kernel],
            sum(_library.OPERATIONS[name] for name in operations),
            width,
        )
        self.pointer = ctypes.c_void_p()
        self.status = library.spk_cuda_prepare(ctypes.byref(desc), ctypes.byref(self.pointer))

    def __del__(self):
        if self.pointer:
            self._library.spk_cuda_destroy(self.pointer)

    def workspace(self, function, first, second):
        """Return room for a product, full of NaN, aligned."""
        size = ctypes.c_size_t()
        status = function(self.pointer, first, second, ctypes.byref(size))
        assert status == 0, self._library.spk_cuda_status_string(status)
        return Array(np.zeros(size.value // 8 + 1), "float64")

    def spmm(self, B, C, alpha=1.0, beta=0.0, bias_row=None, bias_col=None, activation=None):
        """C (an `Array`) = A @ B; return the status."""
        epilogue = _library.Epilogue(
            alpha,
            beta,
            bias_row and bias_row.pointer,
            bias_col and bias_col.pointer,
            _library.ACTIVATIONS[activation],
        )
        room = self.workspace(self._library.spk_cuda_spmm_workspace, B.dense, C.dense)
        status = self._library.spk_cuda_spmm(
            self.pointer, B.dense, C.dense, ctypes.byref(epilogue), room.pointer, None
        )
        room.get()  # which looks for writes beyond its end
        return status

    def update(self, values):
        """Give it new values, in the order of the arrays that it was prepared from."""
        new = Array(values, self.dtype)
        return self._library.spk_cuda_update_values(self.pointer, new.pointer, None)

    def kernel(self, n):
        """The name of the kernel for `n` columns."""
        return self._library.spk_cuda_kernel_name(self.pointer, n).decode()
