"""The activations of epilogues, and PyTorch's functions that equal them."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F

__all__ = ["ACTIVATIONS", "check_activation", "gradient_of"]


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


def check_activation(activation: str | None) -> None:
    """Raise an error unless this is the name of an activation or None."""
    if activation is not None and activation not in ACTIVATIONS:
        raise ValueError(
            f"activation must be None or one of {', '.join(ACTIVATIONS)}, got {activation!r}"
        )


def gradient_of(name: str, before: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
    """Return the gradient by the input of an activation, differentiable where it is wanted."""
    _, pull = torch.func.vjp(ACTIVATIONS[name], before)
    return pull(gradient)[0]
