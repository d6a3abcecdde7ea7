"""sparse_dot_mkl: MKL's products behind a call with scipy's matrices."""

import os

import scipy.sparse

from . import _mkl

os.environ.setdefault("MKL_RT", _mkl.find())
import sparse_dot_mkl  # noqa: E402  which looks for it there


def versions():
    version = ".".join(map(str, sparse_dot_mkl.mkl_get_version()[:3]))
    return {"sparse_dot_mkl": sparse_dot_mkl.__version__, "mkl": version}


def bind(problem):
    if problem.product not in ("spmm", "dense_spmm"):
        raise NotImplementedError(f"sparse_dot_mkl has no {problem.product}")
    arrays = (problem.data, problem.indices, problem.indptr)
    A, b = scipy.sparse.csr_matrix(arrays, shape=problem.shape), problem.b
    left, right = (A, b) if problem.product == "spmm" else (b, A)
    return lambda: sparse_dot_mkl.dot_product_mkl(left, right)


def to_numpy(result, problem):
    return result
