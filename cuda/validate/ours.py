"""Products by the library, through its C interface."""

import ctypes
import re

import numpy as np
from library import ctypes_layer

api = ctypes_layer()

#: Statuses of prepare by which the library says that it has no such kernel.
NOT_THERE = (api.ERR_ARGUMENT, api.ERR_DTYPE, api.ERR_PREPARED)
#: What runs each operation.
FUNCTIONS = {"spmm": "spk_cuda_spmm", "sddmm": "spk_cuda_sddmm", "attention": "spk_cuda_attend"}


class NotThere(Exception):
    """The library has no such kernel, or no such function."""


class Failed(Exception):
    """The library returned an error."""


class Library:
    """The library and the device whose memory it is given."""

    def __init__(self, path, device):
        self.functions, self.device = api.load(path), device

    def function(self, name):
        """Return a function of the C interface."""
        try:
            return getattr(self.functions, name)
        except AttributeError as missing:
            raise NotThere(f"the library has no {name}") from missing

    def check(self, status, what):
        """Raise `Failed` with the library's words, unless all is well."""
        if status != api.OK:
            text = self.functions.spk_cuda_status_string(status).decode()
            if status == api.ERR_RUNTIME:
                text += f" ({self.functions.spk_cuda_last_error().decode()})"
            raise Failed(f"{what}: {text}")


class Prepared:
    """A matrix that the library has packed, of a scipy CSR matrix."""

    def __init__(
        self,
        library,
        A,
        dtype,
        operation="spmm",
        kernel="auto",
        precision="strict",
        width=0,
    ):
        self._library, self.shape, self.dtype = library, A.shape, dtype
        self.nnz, self.pointer = A.nnz, ctypes.c_void_p()
        library.function(FUNCTIONS[operation])  # raises where there is none
        values = np.ascontiguousarray(A.data, np.float64)
        indptr = np.ascontiguousarray(A.indptr, np.int32)
        indices = np.ascontiguousarray(A.indices, np.int32)
        arrays = (indptr.ctypes.data, indices.ctypes.data, None, values.ctypes.data)
        sparse = api.Sparse(0, 1, 0, 0, *A.shape, A.nnz, 1, 1, *arrays)
        desc = api.Desc(
            ctypes.pointer(sparse),
            api.DTYPES[dtype],
            api.PRECISIONS[precision],
            api.KERNELS[kernel],
            api.OPERATIONS[operation],
            width,
        )
        prepare = library.function("spk_cuda_prepare")
        status = prepare(ctypes.byref(desc), ctypes.byref(self.pointer))
        if status in NOT_THERE:
            text = library.functions.spk_cuda_status_string(status).decode()
            raise NotThere(f"prepare: {text}")
        library.check(status, "prepare")
        if kernel not in ("auto", *re.findall("[a-z]+", self.name(128))):
            raise NotThere(f"prepared as {self.name(128)} instead")

    def __del__(self):
        if self.pointer:
            self._library.functions.spk_cuda_destroy(self.pointer)

    def name(self, n):
        """The kernel that runs for n columns."""
        return self._library.function("spk_cuda_kernel_name")(self.pointer, n).decode()

    def _room(self, function, first, second, poisoned=True):
        size = ctypes.c_size_t()
        status = function(self.pointer, first, second, ctypes.byref(size))
        if status == api.ERR_PREPARED:
            raise NotThere("the handle does not know this operation")
        self._library.check(status, "workspace")
        return self._library.device.room(size.value, poisoned) if size.value else None

    def _checked(self, call, operation, *kept):
        """Return `run(stream)`, which keeps alive what the call points to."""
        check = self._library.check

        def run(stream=None, kept=kept):
            status = call(stream)
            if status == api.ERR_PREPARED:
                raise NotThere("the handle does not know this operation")
            check(status, operation)

        return run

    def spmm(self, B, C, poisoned=True):
        """Return `run(stream)`: C = A @ B, of `device.Matrix`."""
        function = self._library.function("spk_cuda_spmm")
        b, c = dense(B), dense(C)
        room = self._room(self._library.function("spk_cuda_spmm_workspace"), b, c, poisoned)
        at = self._library.device.pointer(room) if room is not None else None
        pointer = self.pointer
        return self._checked(
            lambda stream: function(pointer, b, c, None, at, stream), "spmm", room, B, C, self
        )

    def sddmm(self, X, Y, values):
        """Return `run(stream)`: values = X @ Y at the positions of the matrix."""
        function = self._library.function("spk_cuda_sddmm")
        x, y = dense(X), dense(Y)
        room = self._room(self._library.function("spk_cuda_sddmm_workspace"), x, y)
        at = self._library.device.pointer(room) if room is not None else None
        pointer, to = self.pointer, values.pointer
        return self._checked(
            lambda stream: function(pointer, x, y, to, None, at, stream),
            "sddmm",
            room,
            X,
            Y,
            values,
            self,
        )

    def attend(self, Q, K, V, out, lse, scale):
        """Return `run(stream)`: attention of 4-D arrays of bits, (batch, heads, rows, width)."""
        function = self._library.function("spk_cuda_attend")
        pointer, size = self._library.device.pointer, Q.itemsize
        strides = [
            (ctypes.c_ssize_t * 3)(*(step // size for step in array.strides[:3]))
            for array in (Q, K, V, out)
        ]
        task = api.Attention(
            api.DTYPES[self.dtype],
            Q.shape[0],
            Q.shape[1],
            K.shape[1],
            Q.shape[3],
            V.shape[3],
            scale,
            *(pointer(array) for array in (Q, K, V, out)),
            *strides,
            None if lse is None else pointer(lse),
        )
        handle = self.pointer
        return self._checked(
            lambda stream: function(handle, ctypes.byref(task), stream),
            "attend",
            Q,
            K,
            V,
            out,
            lse,
            self,
        )


def dense(M):
    """A `device.Matrix` as the C interface takes it."""
    return api.Dense(api.DTYPES[M.dtype], *M.shape, *M.strides, M.pointer)


def variants(dtype):
    """Yield (kernel, precision) that could be asked for."""
    for precision in api.PRECISIONS if dtype == "float32" else ("strict",):
        for kernel in api.KERNELS:
            yield kernel, precision
