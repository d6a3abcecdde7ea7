"""The operator ``linear_int8``: a layer whose sparse weight and whose inputs are bytes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch

import spkernels

from .._library import register
from .._packed import array_of, int8_of
from .._threads import threads_of
from .activation import check_activation
from .checks import check_bias, check_structure

__all__ = ["linear_int8", "linear_int8_now", "multiply_rounded", "step_of"]

_SCHEMA = (
    "linear_int8(Tensor x, Tensor values, Tensor columns, Tensor offsets, Tensor scales, "
    "SymInt width, float scale, int zero_point, Tensor? bias=None, str? activation=None, "
    "int? workers=None) -> Tensor"
)
_FLOATS = (torch.float32, torch.float16, torch.bfloat16)


def linear_int8_now(
    x: torch.Tensor,
    values: torch.Tensor,
    columns: torch.Tensor,
    offsets: torch.Tensor,
    scales: torch.Tensor,
    width: int,
    scale: float,
    zero_point: int,
    bias: torch.Tensor | None = None,
    activation: str | None = None,
    workers: int | None = None,
) -> torch.Tensor:
    """Compute the operator for CPU tensors, without PyTorch's dispatcher.

    `x` is rounded, halves to even, to bytes that stand for ``scale * (byte - zero_point)``.  Sums
    are exact.
    """
    _check(x, values, columns, offsets, scales, width, bias, activation)
    matrix = int8_of(values, columns, offsets, scales, width)
    extra = None if bias is None else array_of(bias)
    result = multiply_rounded(matrix, x, extra, scale, zero_point, activation, workers)
    return result if result.dtype is x.dtype else result.to(x.dtype)


def multiply_rounded(
    matrix: spkernels.Int8Matrix,
    x: torch.Tensor,
    bias: np.ndarray | None,
    scale: float,
    zero_point: int,
    activation: str | None,
    workers: int | None,
) -> torch.Tensor:
    """Round `x` to bytes, and return the layer's result in float32; nothing is checked."""
    # Gradients were ruled out by the caller.
    options: dict[str, Any] = {"activation": activation, "workers": threads_of(workers)}
    return torch.from_numpy(
        matrix.linear(array_of(x), bias, scale=scale, zero_point=zero_point, **options)
    )


def _check(x, values, columns, offsets, scales, width, bias, activation):
    check_structure(columns, offsets)
    rows = offsets.shape[0] - 1
    if values.dtype is not torch.int8 or values.shape != columns.shape:
        raise ValueError(
            f"values must be int8 of shape {tuple(columns.shape)}, got {values.dtype} of shape "
            f"{tuple(values.shape)}"
        )
    if scales.dtype is not torch.float32 or scales.shape != (rows,):
        raise ValueError(
            f"scales must be float32 of shape ({rows},), got {scales.dtype} of shape "
            f"{tuple(scales.shape)}"
        )
    if x.dtype not in _FLOATS:
        raise TypeError(f"x must be float32, float16 or bfloat16, got {x.dtype}")
    if x.dim() == 0 or x.shape[-1] != width:
        raise ValueError(f"x must have shape (..., {width}), got {tuple(x.shape)}")
    check_activation(activation)
    if bias is not None:
        check_bias(bias, rows, torch.float32)


def _fake(x, values, columns, offsets, scales, width, scale, zero_point, bias=None,
          activation=None, workers=None):  # fmt: skip
    _check(x, values, columns, offsets, scales, width, bias, activation)
    return x.new_empty((*x.shape[:-1], offsets.shape[0] - 1))


linear_int8 = register(_SCHEMA, linear_int8_now, _fake, autocast=True)


def step_of(low: float, high: float) -> tuple[float, int]:
    """Return the scale and the zero point of bytes that reach from `low` to `high`.

    Zero is represented exactly, as structural zeros and padding need it.
    """
    low, high = min(low, 0.0), max(high, 0.0)
    if not (math.isfinite(low) and math.isfinite(high)):
        raise ValueError(f"inputs must be finite to become int8, got a range of {low} to {high}")
    scale = max((high - low) / 255, 2.0**-100)
    return scale, min(255, max(0, round(-low / scale)))
