"""NumPy on the densified matrix; for a sampled product: multiply, then take what the mask keeps."""

from functools import partial

import numpy as np

from ..ops.kwinners import winners


def versions():
    blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    return {"numpy": np.__version__, blas["name"]: blas["version"]}


def bind(problem):
    if problem.product == "spmm":
        return partial(np.matmul, problem.dense(), problem.b)
    if problem.product == "dense_spmm":
        return partial(np.matmul, problem.b, problem.dense())
    if problem.product == "kwinners":
        return partial(_winners, problem.x, winners(problem))
    if problem.product != "sddmm":
        raise NotImplementedError(f"no dense form of {problem.product}")
    positions = problem.rows() * problem.shape[1] + problem.indices

    def multiply_then_mask(x=problem.x, y=problem.yt.T):
        return (x @ y).ravel().take(positions)

    return multiply_then_mask


def _winners(x, k):
    kept = np.argpartition(x, -k, axis=-1)[..., -k:]
    result = np.zeros_like(x)
    np.put_along_axis(result, kept, np.take_along_axis(x, kept, -1), -1)
    return result


def to_numpy(result, problem):
    return result
