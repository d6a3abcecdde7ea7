"""The activations of epilogues, and PyTorch's functions that equal them."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F

__all__ = ["ACTIVATIONS", "gradient_of"]


def _gelu_tanh(x):
    return F.gelu(x, approximate="tanh")


#: By the name that `spkernels.spmm` takes.
ACTIVATIONS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "relu": F.relu,
    "gelu": F.gelu,
    "gelu_tanh": _gelu_tanh,
    "silu": F.silu,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "leaky_relu": F.leaky_relu,
    "elu": F.elu,
    "hardswish": F.hardswish,
    "hardsigmoid": F.hardsigmoid,
    "relu6": F.relu6,
}


def gradient_of(name: str, before: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
    """Return the gradient by the input of an activation, differentiable where it is wanted."""
    _, pull = torch.func.vjp(ACTIVATIONS[name], before)
    return pull(gradient)[0]
