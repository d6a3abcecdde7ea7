"""A layer with its activation: C = activation(W @ B), prepared; one operation per activation."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from ..problem import Problem
from . import spmm

_SQRT_HALF = math.sqrt(0.5)
_ROOT_2_BY_PI = math.sqrt(2 / math.pi)
#: Each activation in float64.
FUNCTIONS: dict[str | None, Callable[[np.ndarray], np.ndarray]] = {
    None: lambda x: x,
    "relu": lambda x: np.maximum(x, 0),
    "gelu": lambda x: 0.5 * x * (1 + np.vectorize(math.erf)(x * _SQRT_HALF)),
    "silu": lambda x: x / (1 + np.exp(-x)),
    "tanh": np.tanh,
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "gelu_tanh": lambda x: 0.5 * x * (1 + np.tanh(_ROOT_2_BY_PI * (x + 0.044715 * x * x * x))),
    "leaky_relu": lambda x: np.where(x < 0, 0.01 * x, x),
    "elu": lambda x: np.where(x < 0, np.expm1(np.minimum(x, 0)), x),
    "hardswish": lambda x: x * np.clip(x + 3, 0, 6) / 6,
    "hardsigmoid": lambda x: np.clip(x + 3, 0, 6) / 6,
    "relu6": lambda x: np.clip(x, 0, 6),
}
#: The steepest slope of an activation: that of hardswish at 3.
LIPSCHITZ = 1.5
#: The number of roundings of an activation, relative to its value.
_ROUNDINGS = 8


class Fused:
    """The operation of one activation."""

    WIDTH = spmm.WIDTH
    PEERS = ("numpy dense", "spkernels before", "spkernels")
    DENSE = ("numpy dense",)
    operands = staticmethod(spmm.operands)
    flops = staticmethod(spmm.flops)
    bytes = staticmethod(spmm.bytes)

    def __init__(self, activation: str | None) -> None:
        self.activation = activation
        self.NAME = f"fused {activation or 'nothing'}"
        self.TITLE = f"{activation or 'no activation'} of prepared sparse @ dense"

    def reference(self, problem: Problem):
        """Return the answer in float64, sums of absolute products, and their lengths."""
        exact, size, lengths = spmm.reference(problem)
        value = FUNCTIONS[self.activation](exact)
        return value, LIPSCHITZ * size + _ROUNDINGS * np.abs(value), lengths


FUSED = [Fused(activation) for activation in FUNCTIONS]
#: The activations by the names of their operations.
ACTIVATIONS = {op.NAME: op.activation for op in FUSED}
