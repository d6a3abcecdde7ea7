"""MKL's dense product of the densified matrix: the cost of a product that ignores the zeros.

For a sampled product, only the dense product is timed; the check of the answer samples it.
"""

import numpy as np

from . import _mkl

library = _mkl.load()


def versions():
    return {"mkl": _mkl.version(library)}


def bind(problem):
    if problem.product == "sddmm":
        return _whole_product(problem.x, problem.yt)
    if problem.product != "spmm":
        raise NotImplementedError(f"MKL has no {problem.product}")
    letter, scalar = _mkl.scalar(problem.data)
    a, b = problem.dense(), problem.b
    m, k = problem.shape
    shape = (m, *b.shape[1:])
    head = (_mkl.ROW_MAJOR, _mkl.NO_TRANSPOSE)
    if b.ndim == 1:
        multiply = getattr(library, f"cblas_{letter}gemv")
        before = (*head, m, k, scalar(1.0), _mkl.pointer(a), k, _mkl.pointer(b), 1, scalar(0.0))
        stride = 1
    else:
        n = b.shape[1]
        multiply = getattr(library, f"cblas_{letter}gemm")
        before = (*head, _mkl.NO_TRANSPOSE, m, n, k, scalar(1.0))
        before += (_mkl.pointer(a), k, _mkl.pointer(b), n, scalar(0.0))
        stride = n

    # The pointers in `before` keep no array alive: `a` is held as a default, `b` by the closure.
    def call(a=a):
        c = np.empty(shape, b.dtype)
        multiply(*before, _mkl.pointer(c), stride)
        return c

    return call


def _whole_product(x, yt):
    letter, scalar = _mkl.scalar(x)
    (m, k), n = x.shape, len(yt)
    multiply = getattr(library, f"cblas_{letter}gemm")
    before = (_mkl.ROW_MAJOR, _mkl.NO_TRANSPOSE, _mkl.TRANSPOSE, m, n, k, scalar(1.0))
    before += (_mkl.pointer(x), k, _mkl.pointer(yt), k, scalar(0.0))

    def call(operands=(x, yt)):
        c = np.empty((m, n), x.dtype)
        multiply(*before, _mkl.pointer(c), n)
        return c

    return call


def to_numpy(result, problem):
    if problem.product == "sddmm":
        return result[problem.rows(), problem.indices]
    return result
