"""numba: the parallel loop over rows that a user would write."""

import os

import numba
import numpy as np

numba.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", numba.get_num_threads())))


def versions():
    return {"numba": numba.__version__, "numpy": np.__version__}


@numba.njit(parallel=True, fastmath=True)
def multiply(indptr, indices, data, b):
    rows, columns = indptr.size - 1, b.shape[1]
    c = np.zeros((rows, columns), b.dtype)
    for i in numba.prange(rows):
        for p in range(indptr[i], indptr[i + 1]):
            a, k = data[p], indices[p]
            for j in range(columns):
                c[i, j] += a * b[k, j]
    return c


@numba.njit(parallel=True, fastmath=True)
def multiply_vector(indptr, indices, data, b):
    rows = indptr.size - 1
    c = np.empty(rows, b.dtype)
    for i in numba.prange(rows):
        total = b.dtype.type(0)
        for p in range(indptr[i], indptr[i + 1]):
            total += data[p] * b[indices[p]]
        c[i] = total
    return c


def bind(problem):
    if problem.product != "spmm":
        raise NotImplementedError(f"no loop for {problem.product}")
    function = multiply if problem.b.ndim == 2 else multiply_vector
    arrays = (problem.indptr, problem.indices, problem.data, problem.b)
    function(*arrays)  # the first call of a dtype compiles, which must not be timed
    return lambda: function(*arrays)


def to_numpy(result, problem):
    return result
