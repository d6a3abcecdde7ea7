"""MKL's inspector-executor CSR through ctypes: hint for this width, optimise, then execute."""

import ctypes
import weakref

import numpy as np

from . import _mkl

NO_TRANSPOSE = 10
MATRIX_GENERAL = 20
EXPECTED_CALLS = 1000

library = _mkl.load()


class Description(ctypes.Structure):
    """``struct matrix_descr``."""

    _fields_ = [("type", ctypes.c_int), ("mode", ctypes.c_int), ("diag", ctypes.c_int)]


GENERAL = Description(MATRIX_GENERAL, 0, 0)


def versions():
    return {"mkl": _mkl.version(library)}


def _succeed(status):
    if status != 0:
        raise RuntimeError(f"a function of mkl_sparse returned status {status}")


def create(problem, matrix, format, *sizes):
    """Return a handle on the arrays of `matrix`; the arrays live as long as the problem."""
    if problem.product != "spmm":
        raise NotImplementedError(f"MKL has no {problem.product}")
    letter, _ = _mkl.scalar(problem.data)
    handle = ctypes.c_void_p()
    starts = matrix.indptr.ctypes.data
    status = getattr(library, f"mkl_sparse_{letter}_create_{format}")(
        ctypes.byref(handle),
        0,
        *sizes,
        ctypes.c_void_p(starts),
        ctypes.c_void_p(starts + matrix.indptr.itemsize),
        _mkl.pointer(matrix.indices),
        _mkl.pointer(matrix.data),
    )
    _succeed(status)

    def destroy(handle, arrays):
        library.mkl_sparse_destroy(handle)

    # MKL borrows the arrays, so they and the handle are freed together with the problem.
    arrays = None if matrix is problem else matrix
    weakref.finalize(problem, destroy, handle, arrays)
    return handle


def bind(problem):
    return bind_handle(problem, create(problem, problem, "csr", *problem.shape))


def bind_handle(problem, handle):
    """Return the call that multiplies the matrix behind a handle."""
    letter, scalar = _mkl.scalar(problem.data)
    b = problem.b
    shape = (problem.shape[0], *b.shape[1:])
    if b.ndim == 1:
        _succeed(library.mkl_sparse_set_mv_hint(handle, NO_TRANSPOSE, GENERAL, EXPECTED_CALLS))
        multiply = getattr(library, f"mkl_sparse_{letter}_mv")
        layout, b_stride, c_stride = (), (), ()
    else:
        n = b.shape[1]
        _succeed(
            library.mkl_sparse_set_mm_hint(
                handle, NO_TRANSPOSE, GENERAL, _mkl.ROW_MAJOR, n, EXPECTED_CALLS
            )
        )
        multiply = getattr(library, f"mkl_sparse_{letter}_mm")
        layout, b_stride, c_stride = (_mkl.ROW_MAJOR,), (n, n), (n,)
    _succeed(library.mkl_sparse_optimize(handle))
    before = (NO_TRANSPOSE, scalar(1.0), handle, GENERAL, *layout, _mkl.pointer(b), *b_stride)
    before += (scalar(0.0),)

    def call():
        c = np.empty(shape, problem.b.dtype)  # the use of `problem` keeps it and the handle alive
        _succeed(multiply(*before, _mkl.pointer(c), *c_stride))
        return c

    return call


def to_numpy(result, problem):
    return result
