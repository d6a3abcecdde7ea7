"""python-graphblas (SuiteSparse:GraphBLAS): ``A.mxm(B)`` with B a full matrix."""

import os

import graphblas
import numpy as np
from graphblas import Matrix, Vector, semiring

graphblas.ss.config["nthreads"] = int(os.environ.get("OMP_NUM_THREADS", "1"))


def versions():
    return {"python-graphblas": graphblas.__version__}


def bind(problem):
    if problem.product != "spmm":
        raise NotImplementedError(f"compared on sparse times dense only, not on {problem.product}")
    A = Matrix.ss.import_csr(
        nrows=problem.shape[0],
        ncols=problem.shape[1],
        indptr=problem.indptr.astype(np.uint64),
        col_indices=problem.indices.astype(np.uint64),
        values=problem.data,
    )
    if problem.b.ndim == 1:
        b = Vector.from_dense(problem.b)
        return lambda: semiring.plus_times(A @ b).new()
    b = Matrix.from_dense(problem.b)
    return lambda: semiring.plus_times(A @ b).new()


def to_numpy(result, problem):
    return result.to_dense(fill_value=0, dtype=problem.data.dtype)
