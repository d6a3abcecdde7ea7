# cython: language_level=3, boundscheck=False, wraparound=False
"""The compiled module: pointers in, status out.

Arguments are checked by the Python modules around it, but for the ordinary calls that the fast
entries take as they come, for the microseconds; all else, errors among it, they leave to Python.
"""
cimport numpy as cnp
from libc.stdint cimport int8_t, int32_t, int64_t
from libc.string cimport memcmp, memset

from .header cimport *

from collections import namedtuple

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
# What a status may be, for errors that say it of an operand.
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

#: The arrays of a sparse operand as the functions below take them: those that its format lacks are
#: None.  The index arrays and the values are contiguous, and the index arrays of one dtype.
SparseArrays = namedtuple(
    "SparseArrays",
    "format shape block offsets indices row_indices values",
    module="spkernels._core",
)

# What the fast entries need of Python, filled once, at import: scipy's own classes -> format, and
# the one function that says what `workers` means.
cdef dict _formats = {}
cdef object _resolve_workers = None


def register(formats, resolve_workers):
    """Say which sparse classes the fast entries take, and how `workers` becomes threads."""
    global _resolve_workers
    _formats.update(formats)
    _resolve_workers = resolve_workers


# In one compilation unit, so that the fast entries inline what fills structs.
include "structs.pxi"
include "handles.pxi"
include "calls.pxi"
include "arguments.pxi"
include "fast.pxi"
include "state.pxi"
