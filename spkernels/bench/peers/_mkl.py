"""The search for MKL's single dynamic library, which ``pip install mkl`` installs."""

import ctypes
import sys
from pathlib import Path

import numpy as np

PATTERNS = ("lib/libmkl_rt.so*", "lib/libmkl_rt*.dylib", "Library/bin/mkl_rt*.dll")
ROW_MAJOR = 101
NO_TRANSPOSE = 111
TRANSPOSE = 112
#: The letter in the names of MKL's functions, and the C type of a scalar.
SCALARS = {"float32": ("s", ctypes.c_float), "float64": ("d", ctypes.c_double)}


def find():
    """Return the path of the library."""
    found = [path for pattern in PATTERNS for path in sorted(Path(sys.prefix).glob(pattern))]
    if not found:
        raise ImportError("no libmkl_rt in this environment: pip install mkl")
    return str(found[0])


def load():
    """Return the loaded library."""
    return ctypes.CDLL(find())


def version(library):
    text = ctypes.create_string_buffer(256)
    library.mkl_get_version_string(text, len(text))
    return text.value.decode().split("Version")[1].split()[0]


def pointer(array):
    return ctypes.c_void_p(array.ctypes.data)


def scalar(array):
    """Return the letter in function names and the scalar C type for an array's dtype."""
    return SCALARS[np.dtype(array.dtype).name]
