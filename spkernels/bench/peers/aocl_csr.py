"""AMD's AOCL-Sparse through ctypes: hint for this width, optimise, then execute.

``pip install aoclda`` installs the library; that package's own interface has no sparse products.
The name of the library's file differs from wheel to wheel.  Its ``csrmm`` keeps NaN of C if beta is
0, so C must be zero before.
"""

import ctypes
import weakref
from pathlib import Path

import numpy as np

from ..measure.machine import CPUINFO

NONE = 111
ROW_MAJOR = 0
EXPECTED_CALLS = 1000
#: The letter in the names of its functions, and the C type of a scalar.
SCALARS = {"float32": ("s", ctypes.c_float), "float64": ("d", ctypes.c_double)}


def _load():
    if "AuthenticAMD" not in CPUINFO.read_text():
        raise ImportError("AOCL-Sparse is made for CPUs of AMD, and this is none")
    try:
        import aoclda._aoclda  # this import loads the libraries that AOCL-Sparse needs
    except ModuleNotFoundError:
        raise ImportError("AOCL-Sparse is not installed: pip install aoclda") from None
    folder = Path(aoclda.__file__).parents[1] / "aoclda.libs"
    found = sorted(folder.glob("libaoclsparse*.so*"))
    if not found:
        raise ImportError(f"there is no libaoclsparse in {folder}")
    return ctypes.CDLL(str(found[0]))


library = _load()
library.aoclsparse_get_version.restype = ctypes.c_char_p


def versions():
    return {"aocl-sparse": library.aoclsparse_get_version().decode().split()[1]}


def _succeed(status):
    if status != 0:
        raise RuntimeError(f"a function of AOCL-Sparse returned status {status}")


def _pointer(array):
    return ctypes.c_void_p(array.ctypes.data)


def _create(problem, letter):
    """Return a handle on the problem's arrays and its description, which live with the problem."""
    handle, description = ctypes.c_void_p(), ctypes.c_void_p()
    _succeed(library.aoclsparse_create_mat_descr(ctypes.byref(description)))
    _succeed(
        getattr(library, f"aoclsparse_create_{letter}csr")(
            ctypes.byref(handle),
            0,
            *problem.shape,
            problem.nnz,
            _pointer(problem.indptr),
            _pointer(problem.indices),
            _pointer(problem.data),
        )
    )

    def destroy(handle, description):
        library.aoclsparse_destroy(ctypes.byref(handle))
        library.aoclsparse_destroy_mat_descr(description)

    weakref.finalize(problem, destroy, handle, description)
    return handle, description


def bind(problem):
    if problem.product != "spmm":
        raise NotImplementedError(f"AOCL-Sparse is not asked for {problem.product}")
    letter, scalar = SCALARS[problem.data.dtype.name]
    handle, description = _create(problem, letter)
    b = problem.b
    shape = (problem.shape[0], *b.shape[1:])
    one, zero = scalar(1.0), scalar(0.0)
    hint = library.aoclsparse_set_mv_hint if b.ndim == 1 else library.aoclsparse_set_mm_hint
    _succeed(hint(handle, NONE, description, EXPECTED_CALLS))
    _succeed(library.aoclsparse_optimize(handle))
    if b.ndim == 1:
        multiply = getattr(library, f"aoclsparse_{letter}mv")
        one, zero = ctypes.byref(one), ctypes.byref(zero)
        before, after = (NONE, one, handle, description, _pointer(b), zero), ()
    else:
        multiply = getattr(library, f"aoclsparse_{letter}csrmm")
        n = b.shape[1]
        before = (NONE, one, handle, description, ROW_MAJOR, _pointer(b), n, n, zero)
        after = (n,)

    def call():
        c = np.zeros(shape, problem.b.dtype)  # the use of `problem` keeps it and the handle alive
        _succeed(multiply(*before, _pointer(c), *after))
        return c

    return call


def to_numpy(result, problem):
    return result
