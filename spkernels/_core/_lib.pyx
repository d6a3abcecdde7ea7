# cython: language_level=3, boundscheck=False, wraparound=False
"""The compiled module: its functions pass arrays to the C library, and return a status.

Python modules check the arguments.  Only the fast entries check arguments themselves, as a small
product takes about a microsecond.  They take ordinary calls alone, and leave all other calls,
errors among them, to Python.
"""
cimport numpy as cnp
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from cpython.pycapsule cimport PyCapsule_New
from cpython.ref cimport PyObject
from libc.stdint cimport int8_t, int32_t, int64_t
from libc.string cimport memcmp, memset, strcpy

from .header cimport *

from collections import namedtuple
from math import prod

from numpy import empty as numpy_empty
from numpy import promote_types

cnp.import_array()

cdef extern from "numpy/ndarraytypes.h":
    int NPY_HALF

cdef extern from "Python.h":
    long long PyLong_AsLongLongAndOverflow(object, int *) except? -1

CSR = <int>SPK_CSR
CSC = <int>SPK_CSC
COO = <int>SPK_COO
BSR = <int>SPK_BSR
SORTED = SPK_SORTED
CHECKED = SPK_CHECKED
# The statuses for which errors name an operand.
ERR_ARGUMENT = <int>SPK_ERR_ARGUMENT
ERR_INDPTR = <int>SPK_ERR_INDPTR
ERR_INDEX = <int>SPK_ERR_INDEX
ERR_MEMORY = <int>SPK_ERR_MEMORY
ERR_ISA = <int>SPK_ERR_ISA
ERR_SPARSE = <int>SPK_ERR_SPARSE

cdef dict _activations = {
    None: <int>SPK_IDENTITY,
    "relu": <int>SPK_RELU,
    "gelu": <int>SPK_GELU,
    "silu": <int>SPK_SILU,
    "tanh": <int>SPK_TANH,
    "sigmoid": <int>SPK_SIGMOID,
    "gelu_tanh": <int>SPK_GELU_TANH,
    "leaky_relu": <int>SPK_LEAKY_RELU,
    "elu": <int>SPK_ELU,
    "hardswish": <int>SPK_HARDSWISH,
    "hardsigmoid": <int>SPK_HARDSIGMOID,
    "relu6": <int>SPK_RELU6,
}
ACTIVATIONS = _activations

#: The arrays of a sparse operand for the functions below; arrays that its format does not have are
#: None.  Index arrays and values are contiguous, and index arrays have the same dtype.
SparseArrays = namedtuple(
    "SparseArrays",
    "format shape block offsets indices row_indices values",
    module="spkernels._core",
)

# The formats by scipy's classes, and the function that converts `workers` to a number of threads.
# The fast entries use them, and the import of the package sets them.
cdef dict _formats = {}
cdef object _resolve_workers = None


def register(formats, resolve_workers):
    """Set the sparse classes that the fast entries take, and the function for `workers`."""
    global _resolve_workers
    _formats.update(formats)
    _resolve_workers = resolve_workers


# All parts are one compilation unit, so that the fast entries inline the functions that fill
# structs.
include "structs.pxi"
include "results.pxi"
include "handles.pxi"
include "calls.pxi"
include "arguments.pxi"
include "fast.pxi"
include "state.pxi"
