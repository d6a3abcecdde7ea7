"""NumPy on the densified matrix; a sampled product takes entries of the dense product."""

from functools import partial

import numpy as np

from ..ops import bert_layer
from ..ops.fused import ACTIVATIONS, FUNCTIONS
from ..ops.kwinners import winners


def versions():
    blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    return {"numpy": np.__version__, blas["name"]: blas["version"]}


def bind(problem):
    if problem.op in ACTIVATIONS:
        return partial(_layer, problem.dense(), problem.b, ACTIVATIONS[problem.op])
    if problem.op == bert_layer.NAME:
        weights = {n: w.toarray() for n, w in bert_layer.weights(problem).items()}

        def multiply(name, x, bias, activation):
            return _layer(weights[name], x, activation, bias[:, None])

        return partial(bert_layer.run, problem, multiply)
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


def _layer(weight, x, activation, bias=None):
    result = weight @ x
    if bias is not None:
        result += bias
    return _ACTIVATIONS[activation](result)


def _gelu(x):
    if x.dtype != np.float32:
        return FUNCTIONS["gelu"](x)
    # erf by formula 7.1.26 of Abramowitz and Stegun, whose error is below 1.5e-7.
    z = np.abs(x) * x.dtype.type(0.5**0.5)
    t = 1 / (1 + x.dtype.type(0.3275911) * z)
    polynomial = t * x.dtype.type(1.061405429) - x.dtype.type(1.453152027)
    for coefficient in (1.421413741, -0.284496736, 0.254829592):
        polynomial *= t
        polynomial += x.dtype.type(coefficient)
    erf = np.copysign(1 - polynomial * t * np.exp(-z * z), x)
    return x.dtype.type(0.5) * x * (1 + erf)


_ACTIVATIONS = FUNCTIONS | {"gelu": _gelu}


def _winners(x, k):
    kept = np.argpartition(x, -k, axis=-1)[..., -k:]
    result = np.zeros_like(x)
    np.put_along_axis(result, kept, np.take_along_axis(x, kept, -1), -1)
    return result


def to_numpy(result, problem):
    return result
