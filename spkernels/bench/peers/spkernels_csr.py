"""The package under test."""

from functools import partial

import numpy as np
import scipy

import spkernels

from ..ops import bert_layer
from ..ops.fused import ACTIVATIONS
from ..ops.kwinners import winners
from ..ops.networks import NETWORKS


def versions():
    return {
        "spkernels": spkernels.__version__,
        "scipy": scipy.__version__,
        "numpy": np.__version__,
    }


def width_of(problem):
    """Return the number of columns of the dense operand of a product."""
    return problem.b.shape[1] if problem.b.ndim == 2 else 1


def order_of(problem):
    """Return the memory order of the result that the layout of a problem asks for."""
    return "F" if problem.layout == "result in F" else "C"


def bind(problem):
    if problem.op == "activations":
        return _sparse_activations(problem)
    if problem.op == bert_layer.NAME:
        return _bert_layer(problem)
    if problem.op in NETWORKS:
        # torch is imported for networks alone.
        from . import spkernels_network

        return spkernels_network.bind(problem)
    if problem.op in ACTIVATIONS:
        # Without tuning, all activations are compared on the same layout.
        weight = spkernels.prepare(problem.sparse(), n=width_of(problem), tune=False)
        return partial(weight.spmm, problem.b, activation=ACTIVATIONS[problem.op])
    if problem.op == "kwinners":
        return partial(spkernels.kwinners, problem.x, winners(problem))
    if problem.op in ("prepared", "chosen"):
        return partial(spkernels.prepare(problem.sparse(), n=width_of(problem)).spmm, problem.b)
    if problem.op == "int8":
        if problem.data.dtype != np.float32:
            raise NotImplementedError("spkernels has sums of int8 as float32 alone")
        whole = problem.sparse().astype(np.int8)
        weights = spkernels.prepare(whole, n=width_of(problem), dtype="int8")
        return partial(weights.spmm, problem.b.astype(np.uint8), dtype=np.float32)
    if problem.op == "prepared_sddmm":
        pattern = spkernels.prepare(problem.sparse(), op="sddmm", k=problem.x.shape[1])
        return partial(pattern.sddmm, problem.x, problem.yt.T)
    if problem.product == "spmm":
        return partial(spkernels.spmm, problem.sparse(), problem.b, order=order_of(problem))
    if problem.product == "dense_spmm":
        return partial(spkernels.spmm, problem.b, problem.sparse(), order=order_of(problem))
    if problem.product == "attention":
        mask = spkernels.masks.from_sparse(problem.sparse())
        mask.nnz  # noqa: B018 - the first access inspects the mask, which must not be timed
        arrays = (problem.operands[name] for name in "qkv")
        return partial(spkernels.sparse_attention, *arrays, mask)
    if problem.product != "sddmm":
        raise NotImplementedError(f"spkernels has no {problem.product}")
    return partial(spkernels.sddmm, problem.sparse(), problem.x, problem.yt.T)


def _bert_layer(problem):
    prepared = {
        name: spkernels.prepare(weight, n=width_of(problem))
        for name, weight in bert_layer.weights(problem).items()
    }

    def multiply(name, x, bias, activation):
        return prepared[name].spmm(x, bias=bias[:, None], activation=activation)

    return partial(bert_layer.run, problem, multiply)


def _sparse_activations(problem):
    A, b = problem.sparse().tocsc(), problem.b
    if b.ndim == 2:
        return partial(spkernels.spmspm, A, type(A)(b))
    dense = problem.nnz == problem.shape[0] * problem.shape[1]
    return partial(spkernels.spmspv, np.asfortranarray(A.toarray()) if dense else A, b)


def to_numpy(result, problem):
    return result.data if problem.product == "sddmm" else np.asarray(result)
