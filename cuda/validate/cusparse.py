"""cuSPARSE's generic interface by ctypes: SpMM and SDDMM of CSR matrices.

CuPy and torch choose the algorithm and the layout themselves; here each is asked for.  The numbers
are those of cusparse.h and library_types.h of CUDA 13: see `ENUMERATORS`.
"""

import ctypes
import site
from ctypes import POINTER, byref, c_float, c_int, c_int64, c_size_t, c_void_p
from pathlib import Path

#: By the names that the headers have.
ENUMERATORS = {
    "CUSPARSE_STATUS_SUCCESS": 0,
    "CUSPARSE_STATUS_NOT_SUPPORTED": 10,
    "CUSPARSE_OPERATION_NON_TRANSPOSE": 0,
    "CUSPARSE_INDEX_32I": 2,
    "CUSPARSE_INDEX_BASE_ZERO": 0,
    "CUSPARSE_ORDER_COL": 1,
    "CUSPARSE_ORDER_ROW": 2,
    "CUSPARSE_SPMM_ALG_DEFAULT": 0,
    "CUSPARSE_SPMM_CSR_ALG1": 4,
    "CUSPARSE_SPMM_CSR_ALG2": 6,
    "CUSPARSE_SPMM_CSR_ALG3": 12,
    "CUSPARSE_SDDMM_ALG_DEFAULT": 0,
    "CUDA_R_32F": 0,
    "CUDA_R_16F": 2,
    "CUDA_R_16BF": 14,
}
ALGORITHMS = {
    "default": ENUMERATORS["CUSPARSE_SPMM_ALG_DEFAULT"],
    "alg1": ENUMERATORS["CUSPARSE_SPMM_CSR_ALG1"],
    "alg2": ENUMERATORS["CUSPARSE_SPMM_CSR_ALG2"],
    "alg3": ENUMERATORS["CUSPARSE_SPMM_CSR_ALG3"],
}
DTYPES = {
    "float32": ENUMERATORS["CUDA_R_32F"],
    "float16": ENUMERATORS["CUDA_R_16F"],
    "bfloat16": ENUMERATORS["CUDA_R_16BF"],
}
_ORDERS = {"C": ENUMERATORS["CUSPARSE_ORDER_ROW"], "F": ENUMERATORS["CUSPARSE_ORDER_COL"]}

_CSR = [POINTER(c_void_p), c_int64, c_int64, c_int64, c_void_p, c_void_p, c_void_p]
_CSR += [c_int, c_int, c_int, c_int]
_DENSE = [POINTER(c_void_p), c_int64, c_int64, c_int64, c_void_p, c_int, c_int]
# handle, opA, opB, alpha, two operands, beta, result, type, algorithm
_PRODUCT = [c_void_p, c_int, c_int, c_void_p, c_void_p, c_void_p, c_void_p, c_void_p, c_int, c_int]
SIGNATURES = {
    "cusparseCreate": [POINTER(c_void_p)],
    "cusparseSetStream": [c_void_p, c_void_p],
    "cusparseGetVersion": [c_void_p, POINTER(c_int)],
    "cusparseCreateCsr": _CSR,
    "cusparseCreateDnMat": _DENSE,
    "cusparseDestroySpMat": [c_void_p],
    "cusparseDestroyDnMat": [c_void_p],
    "cusparseSpMM_bufferSize": [*_PRODUCT, POINTER(c_size_t)],
    "cusparseSpMM_preprocess": [*_PRODUCT, c_void_p],
    "cusparseSpMM": [*_PRODUCT, c_void_p],
    "cusparseSDDMM_bufferSize": [*_PRODUCT, POINTER(c_size_t)],
    "cusparseSDDMM_preprocess": [*_PRODUCT, c_void_p],
    "cusparseSDDMM": [*_PRODUCT, c_void_p],
}


def find():
    """Load libcusparse: the one that CuPy or torch has loaded, else of a wheel or the toolkit."""
    name = "libcusparse.so.12"
    wheels = [Path(folder) for folder in site.getsitepackages()]
    candidates = [name, *(str(path) for at in wheels for path in at.glob(f"nvidia/*/lib/{name}"))]
    candidates.append(f"/usr/local/cuda/lib64/{name}")
    for candidate in candidates:
        try:
            return ctypes.CDLL(candidate)
        except OSError as error:
            reason = error
    raise reason


class Error(Exception):
    """A function of cuSPARSE returned an error."""


class CuSparse:
    """A handle of cuSPARSE."""

    def __init__(self, device):
        self.device, self._library = device, find()
        for name, arguments in SIGNATURES.items():
            function = getattr(self._library, name)
            function.restype, function.argtypes = c_int, arguments
        self._handle = c_void_p()
        self._call("cusparseCreate", byref(self._handle))
        self._one, self._zero = c_float(1), c_float(0)

    def _call(self, name, *arguments):
        status = getattr(self._library, name)(*arguments)
        if status != ENUMERATORS["CUSPARSE_STATUS_SUCCESS"]:
            words = "not supported" if status == 10 else f"status {status}"
            raise Error(f"{name}: {words}")

    @property
    def version(self):
        """As cuSPARSE has it: 1000 * major + 100 * minor + patch."""
        version = c_int()
        self._call("cusparseGetVersion", self._handle, byref(version))
        return version.value

    def csr(self, indptr, indices, values, shape, dtype):
        """A descriptor of CSR arrays on the device, int32 indices."""
        made, pointer, at = c_void_p(), self.device.pointer, ENUMERATORS
        arrays = (pointer(indptr), pointer(indices), pointer(values))
        kinds = (at["CUSPARSE_INDEX_32I"], at["CUSPARSE_INDEX_32I"], at["CUSPARSE_INDEX_BASE_ZERO"])
        size = indices.size
        self._call("cusparseCreateCsr", byref(made), *shape, size, *arrays, *kinds, DTYPES[dtype])
        return Descriptor(self, made, "cusparseDestroySpMat", (indptr, indices, values))

    def dense(self, M):
        """A descriptor of a `device.Matrix`."""
        made, leading = c_void_p(), max(M.strides)
        order = _ORDERS[M.layout]
        arguments = (*M.shape, leading, M.pointer, DTYPES[M.dtype], order)
        self._call("cusparseCreateDnMat", byref(made), *arguments)
        return Descriptor(self, made, "cusparseDestroyDnMat", M)

    def product(self, verb, first, second, result, algorithm=0):
        """Return `run(stream)` of cusparseSpMM or cusparseSDDMM, preprocessed: sums in float32."""
        no = ENUMERATORS["CUSPARSE_OPERATION_NON_TRANSPOSE"]
        one, zero = ctypes.addressof(self._one), ctypes.addressof(self._zero)
        operands = (first.pointer, second.pointer, zero, result.pointer)
        arguments = (self._handle, no, no, one, *operands, ENUMERATORS["CUDA_R_32F"], algorithm)
        size = c_size_t()
        self._call(f"cusparse{verb}_bufferSize", *arguments, byref(size))
        buffer = self.device.room(max(size.value, 1))
        at = self.device.pointer(buffer)
        self._call("cusparseSetStream", self._handle, None)
        self._call(f"cusparse{verb}_preprocess", *arguments, at)
        self.device.synchronize()
        call, set_stream = self._call, self._library.cusparseSetStream
        handle, name = self._handle, f"cusparse{verb}"

        def run(stream, kept=(first, second, result, buffer)):
            set_stream(handle, stream)
            call(name, *arguments, at)

        return run


class Descriptor:
    """A descriptor, and what must live as long."""

    def __init__(self, owner, pointer, destroy, kept):
        self._owner, self.pointer, self._destroy, self._kept = owner, pointer, destroy, kept

    def __del__(self):
        getattr(self._owner._library, self._destroy)(self.pointer)
