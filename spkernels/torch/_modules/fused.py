"""Modules that stand where a module was that the layer before it computes now."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from .family import Original

__all__ = ["Fused", "FusedNorm", "can_fold", "identity", "scales_of"]


def identity(x: torch.Tensor) -> torch.Tensor:
    """Return `x`: the activation of a layer in which the product before it computes that."""
    return x


class Fused(nn.Identity):
    """Stands where an activation was that the layer before it computes now."""

    def __init__(self, module: nn.Module):
        super().__init__()
        # A plain attribute: the module is no longer among the modules of the model.
        self.__dict__["original"] = Original(module, ())


class FusedNorm(Fused):
    """Stands where a batch norm was that the convolution before it computes now."""

    def __init__(self, module: nn.Module):
        super().__init__(module)
        self.eval()

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Return the input; in training mode, raise an error."""
        if self.training:
            raise RuntimeError(
                "the batch norm became part of the convolution before it, by its running "
                "statistics: call model.eval(), or spkernels.torch.densify_(model) to train it"
            )
        return input


_NORMS: dict[type, type] = {nn.Conv1d: nn.BatchNorm1d, nn.Conv2d: nn.BatchNorm2d}


def can_fold(norm: Any, conv: Any) -> bool:
    """Return whether a convolution can compute a batch norm that follows it."""
    kind: Any = type(norm)
    if _NORMS.get(type(conv)) is not kind or norm.training:
        return False
    if norm.running_mean is None or norm.running_var is None:
        return False
    # A product with a weight of 16 bits would round once more.
    if not {conv.weight.dtype, norm.running_mean.dtype} <= {torch.float32, torch.float64}:
        return False
    if norm.num_features != conv.out_channels:
        return False
    scales, shifts = scales_of(norm)
    return bool(scales.isfinite().all() and shifts.isfinite().all())


def scales_of(norm: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """Return what a batch norm multiplies channels by and adds to them, in float64."""
    scales = (norm.running_var.double() + norm.eps).rsqrt()
    if norm.weight is not None:
        scales = scales * norm.weight.detach().double()
    shifts = -norm.running_mean.double() * scales
    if norm.bias is not None:
        shifts = shifts + norm.bias.detach().double()
    return scales, shifts
