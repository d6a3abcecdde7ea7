"""The shared library for GPUs through ctypes: its structures, its functions and its path.

All numbers are those of include/spkernels/cuda.h; a test compares them.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
from ctypes import POINTER, Structure, c_double, c_int, c_size_t, c_ssize_t, c_uint, c_void_p
from pathlib import Path

ABI_VERSION = 1

#: The numbers of dtypes, by the names that NumPy, CuPy and torch agree on.
DTYPES = {"float32": 0, "float64": 1, "float16": 2, "bfloat16": 3}
ITEMSIZES = {"float32": 4, "float64": 8, "float16": 2, "bfloat16": 2}
PRECISIONS = {"strict": 0, "tf32": 1, "3xtf32": 2}
KERNELS = {"auto": 0, "rows": 1, "panels": 2, "gather": 3, "bitmap": 4}
OPERATIONS = {"spmm": 1, "sddmm": 2, "attention": 4}
ACTIVATIONS = {
    None: 0, "relu": 1, "gelu": 2, "silu": 3, "tanh": 4, "sigmoid": 5, "gelu_tanh": 6,
    "leaky_relu": 7, "elu": 8, "hardswish": 9, "hardsigmoid": 10, "relu6": 11,
}  # fmt: skip

OK, ERR_ARGUMENT, ERR_SHAPE, ERR_DTYPE, ERR_INDPTR, ERR_INDEX, ERR_MEMORY = range(7)
ERR_DRIVER, ERR_DEVICE, ERR_RUNTIME, ERR_WORKSPACE, ERR_PREPARED = range(100, 105)

#: A workspace must begin at a multiple of this number of bytes.
ALIGNMENT = 256

#: The package that the wheel with the library installs.
WHEEL_PACKAGE = "spkernels_cuda13"
FILE_NAME = "libspkernels_cuda.so"


class Sparse(Structure):
    _fields_ = [
        ("format", c_int),
        ("dtype", c_int),
        ("itype", c_int),
        ("flags", c_uint),
        ("rows", c_ssize_t),
        ("cols", c_ssize_t),
        ("nnz", c_ssize_t),
        ("block_rows", c_ssize_t),
        ("block_cols", c_ssize_t),
        ("offsets", c_void_p),
        ("indices", c_void_p),
        ("row_indices", c_void_p),
        ("values", c_void_p),
    ]


class Desc(Structure):
    _fields_ = [
        ("A", POINTER(Sparse)),
        ("dtype", c_int),
        ("precision", c_int),
        ("kernel", c_int),
        ("operations", c_uint),
        ("width", c_ssize_t),
    ]


class Dense(Structure):
    _fields_ = [
        ("dtype", c_int),
        ("rows", c_ssize_t),
        ("cols", c_ssize_t),
        ("row_stride", c_ssize_t),
        ("col_stride", c_ssize_t),
        ("data", c_void_p),
    ]


class Epilogue(Structure):
    _fields_ = [
        ("alpha", c_double),
        ("beta", c_double),
        ("bias_row", c_void_p),
        ("bias_col", c_void_p),
        ("activation", c_int),
    ]


class Sampling(Structure):
    _fields_ = [("alpha", c_double), ("beta", c_double), ("scale", c_int)]


class Device(Structure):
    _fields_ = [
        ("device", c_int),
        ("count", c_int),
        ("major", c_int),
        ("minor", c_int),
        ("multiprocessors", c_int),
        ("driver_version", c_int),
        ("runtime_version", c_int),
    ]


class Attention(Structure):
    _fields_ = [
        ("dtype", c_int),
        ("batch", c_ssize_t),
        ("heads", c_ssize_t),
        ("kv_heads", c_ssize_t),
        ("d", c_ssize_t),
        ("dv", c_ssize_t),
        ("scale", c_double),
        ("Q", c_void_p),
        ("K", c_void_p),
        ("V", c_void_p),
        ("out", c_void_p),
        ("q_strides", c_ssize_t * 3),
        ("k_strides", c_ssize_t * 3),
        ("v_strides", c_ssize_t * 3),
        ("out_strides", c_ssize_t * 3),
        ("lse", c_void_p),
    ]


_DENSE = POINTER(Dense)
_FUNCTIONS = {
    "spk_cuda_query": (c_int, [c_int, POINTER(Device)]),
    "spk_cuda_prepare": (c_int, [POINTER(Desc), POINTER(c_void_p)]),
    "spk_cuda_destroy": (c_int, [c_void_p]),
    "spk_cuda_update_values": (c_int, [c_void_p, c_void_p, c_void_p]),
    "spk_cuda_spmm_workspace": (c_int, [c_void_p, _DENSE, _DENSE, POINTER(c_size_t)]),
    "spk_cuda_sddmm_workspace": (c_int, [c_void_p, _DENSE, _DENSE, POINTER(c_size_t)]),
    "spk_cuda_spmm": (c_int, [c_void_p, _DENSE, _DENSE, POINTER(Epilogue), c_void_p, c_void_p]),
    "spk_cuda_sddmm": (
        c_int,
        [c_void_p, _DENSE, _DENSE, c_void_p, POINTER(Sampling), c_void_p, c_void_p],
    ),
    "spk_cuda_attend": (c_int, [c_void_p, POINTER(Attention), c_void_p]),
    "spk_cuda_kernel_name": (ctypes.c_char_p, [c_void_p, c_ssize_t]),
    "spk_cuda_bytes": (c_size_t, [c_void_p]),
    "spk_cuda_abi_version": (c_int, []),
    "spk_cuda_status_string": (ctypes.c_char_p, [c_int]),
    "spk_cuda_last_error": (ctypes.c_char_p, []),
}


def find() -> Path | None:
    """Return the path of the library, or None if it is not installed.

    The path that the environment variable ``SPKERNELS_CUDA_LIBRARY`` names comes first, then a
    library beside this file, then the library of the wheel.
    """
    named = os.environ.get("SPKERNELS_CUDA_LIBRARY")
    if named:
        return Path(named)
    beside = Path(__file__).with_name(FILE_NAME)
    if beside.exists():
        return beside
    spec = importlib.util.find_spec(WHEEL_PACKAGE)
    for folder in (spec and spec.submodule_search_locations) or ():
        if (Path(folder) / FILE_NAME).exists():
            return Path(folder) / FILE_NAME
    return None


def load(path: Path) -> ctypes.CDLL:
    """Load a library, and declare the types of its functions.

    Raises
    ------
    OSError
        If the library cannot be loaded, lacks a function, or has another ABI version.
    """
    library = ctypes.CDLL(str(path))
    for name, (result, arguments) in _FUNCTIONS.items():
        try:
            function = getattr(library, name)
        except AttributeError:
            raise OSError(f"{path} has no function {name}: it is not of this version") from None
        function.restype, function.argtypes = result, arguments
    version = library.spk_cuda_abi_version()
    if version != ABI_VERSION:
        raise OSError(f"{path} has ABI version {version}, this package needs {ABI_VERSION}")
    return library
