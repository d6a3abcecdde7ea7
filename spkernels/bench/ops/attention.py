"""Fused sparse attention: softmax(Q K^T / sqrt(d)) V over the entries of a mask, for 8 heads."""

from __future__ import annotations

import numpy as np

from ..problem import Problem
from ._sizes import matrix_bytes

NAME = "attention"
TITLE = "8 heads"
WIDTH = "d"
PEERS = ("torch sdpa", "torch flex", "torch dense", "spkernels")
DENSE = ("torch dense",)
HEADS = 8


def operands(matrix, width, rng, dtype) -> dict[str, np.ndarray]:
    """Make Q (heads, m, width), K and V (heads, n, width)."""
    width = 1 if width is None else width
    m, n = matrix.shape
    return {
        "q": rng.standard_normal((HEADS, m, width)).astype(dtype),
        "k": rng.standard_normal((HEADS, n, width)).astype(dtype),
        "v": rng.standard_normal((HEADS, n, width)).astype(dtype),
    }


def reference(problem: Problem):
    """Return the answer in float64, sums of absolute weighted values, and numbers of roundings.

    A score has the errors of d + 4 roundings of its absolute terms.  A weight has twice those of
    the largest score.  Its exponential and the sums add some 2 n + 24 roundings.
    """
    q, k, v = (problem.operands[name].astype(np.float64) for name in "qkv")
    mask = problem.dense() != 0
    d, scale = q.shape[-1], 1 / np.sqrt(q.shape[-1])
    exact, size = np.zeros(q.shape), np.zeros(q.shape)
    roundings = np.zeros((*q.shape[:-1], 1))
    for head in range(len(q)):
        scores = np.where(mask, scale * (q[head] @ k[head].T), -np.inf)
        largest = np.where(mask, scale * (abs(q[head]) @ abs(k[head]).T), 0).max(axis=1, initial=0)
        most = scores.max(axis=1, keepdims=True, initial=-np.inf)
        weights = np.exp(scores - np.where(most == -np.inf, 0, most))
        total = weights.sum(axis=1, keepdims=True)
        weights /= np.where(total == 0, 1, total)
        exact[head], size[head] = weights @ v[head], weights @ abs(v[head])
        roundings[head] = (2 * (d + 4) * largest + 2 * len(k[head]) + 24)[:, None]
    return exact, size, roundings


def flops(problem: Problem) -> int:
    """Return 4 * heads * nnz * d operations, for scores and for weighted values."""
    heads, _, d = problem.operands["q"].shape
    return 4 * heads * problem.nnz * d


def bytes(problem: Problem) -> int:
    """Return the bytes of the mask, and of Q, K, V and the result."""
    arrays = problem.operands
    return int(matrix_bytes(problem) + sum(array.nbytes for array in arrays.values())
               + arrays["q"].nbytes)
