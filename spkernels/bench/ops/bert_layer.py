"""A layer of BERT: attention, two layer norms and a feed-forward network with the exact gelu.

The matrix of the problem has the six weights below each other: those of queries, keys and values
(each d x d), of attention's output (d x d), of the feed-forward network's first layer (4d x d) and
of its second layer (4d x d, transposed).  Activations are columns: d x tokens.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..problem import Problem
from ._tolerance import within
from .fused import FUNCTIONS

NAME = "bert_layer"
TITLE = "a layer of BERT"
WIDTH = "tokens"
PEERS = ("numpy dense", "spkernels before", "spkernels")
DENSE = ("numpy dense",)
HEADS = 12
#: The allowed error in float32, relative to the largest number in the result.
TOLERANCE = 1e-4
_EPSILON = 1e-12

#: A function that multiplies by the weight of a name: ``multiply(name, x, bias, activation)``.
Multiply = Callable[[str, np.ndarray, np.ndarray, str | None], np.ndarray]


def operands(matrix, width, rng, dtype) -> dict[str, np.ndarray]:
    """Make the activations and a bias for each row of a weight."""
    d = matrix.shape[1]
    return {
        "b": rng.standard_normal((d, width)).astype(dtype),
        "bias": 0.1 * rng.standard_normal(9 * d).astype(dtype),
    }


def weights(problem: Problem) -> dict[str, object]:
    """Return the weights by name, in CSR, scaled such that activations keep their size."""
    d = problem.shape[1]
    A = problem.sparse().tocsr()
    A.data = A.data * (A.nnz / A.shape[0]) ** -0.5
    return {
        "qkv": A[: 3 * d],
        "out": A[3 * d : 4 * d],
        "up": A[4 * d : 8 * d],
        "down": A[8 * d :].T.tocsr(),
    }


def run(problem: Problem, multiply: Multiply) -> np.ndarray:
    """Return the layer's result; `multiply` computes the products with weights."""
    d = problem.shape[1]
    x, bias = problem.b, problem.operands["bias"]
    tokens = x.shape[1]
    qkv = multiply("qkv", x, bias[: 3 * d], None).reshape(3, HEADS, d // HEADS, tokens)
    q, k, v = qkv
    scores = q.transpose(0, 2, 1) @ k
    scores *= (d // HEADS) ** -0.5
    scores -= scores.max(axis=2, keepdims=True)
    np.exp(scores, out=scores)
    scores /= scores.sum(axis=2, keepdims=True)
    mixed = (v @ scores.transpose(0, 2, 1)).reshape(d, tokens)
    y = _normalise(multiply("out", mixed, bias[3 * d : 4 * d], None), x)
    hidden = multiply("up", y, bias[4 * d : 8 * d], "gelu")
    return _normalise(multiply("down", hidden, bias[8 * d : 9 * d], None), y)


def _normalise(x: np.ndarray, residual: np.ndarray) -> np.ndarray:
    x += residual
    x -= x.mean(axis=0)
    x /= np.sqrt((x * x).mean(axis=0) + x.dtype.type(_EPSILON))
    return x


def reference(problem: Problem):
    """Return the answer in float64, and its tolerance as `within` returns it."""
    wide = Problem(
        problem.op,
        problem.shape,
        problem.indptr,
        problem.indices,
        problem.data.astype(np.float64),
        {name: array.astype(np.float64) for name, array in problem.operands.items()},
    )
    found = weights(wide)

    def multiply(name, x, bias, activation):
        return FUNCTIONS[activation](found[name] @ x + bias[:, None])

    return within(run(wide, multiply), TOLERANCE, problem)


def flops(problem: Problem) -> int:
    """Return the number of operations of the sparse products and of attention."""
    tokens = problem.b.shape[1]
    return 2 * tokens * (problem.nnz + 2 * problem.shape[1] * tokens)


def bytes(problem: Problem) -> int:
    """Return the bytes of the weights, of the activations and of the result."""
    matrix = problem.data.nbytes + problem.indices.nbytes + problem.indptr.nbytes
    return matrix + 2 * problem.b.nbytes
