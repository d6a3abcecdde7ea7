"""pydata/sparse: ``GCXS @ ndarray``."""

import sparse


def versions():
    return {"sparse": sparse.__version__}


def bind(problem):
    if problem.product != "spmm":
        raise NotImplementedError(f"compared on sparse times dense only, not on {problem.product}")
    arrays = (problem.data, problem.indices, problem.indptr)
    A = sparse.GCXS(arrays, shape=problem.shape, compressed_axes=(0,))
    return lambda: A @ problem.b


def to_numpy(result, problem):
    return result
