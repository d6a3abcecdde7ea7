"""MKL's inspector-executor BSR through ctypes, for matrices of full square blocks."""

from . import _mkl
from .mkl_csr import bind_handle, create, to_numpy, versions

__all__ = ["bind", "to_numpy", "versions"]

SIZES = (16, 8, 4, 2)


def _blocks(problem):
    A = problem.sparse()
    for size in SIZES:
        if A.shape[0] % size == 0 and A.shape[1] % size == 0:
            B = A.tobsr((size, size))
            if B.data.size == A.nnz:
                return B
    raise NotImplementedError("no full square blocks")


def bind(problem):
    B = _blocks(problem)
    size = B.blocksize[0]
    rows, cols = (extent // size for extent in B.shape)
    handle = create(problem, B, "bsr", _mkl.ROW_MAJOR, rows, cols, size)
    return bind_handle(problem, handle)
