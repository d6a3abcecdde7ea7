"""How much the outputs of two models differ."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch

__all__ = ["difference_of"]


def difference_of(expected: Any, found: Any) -> float:
    """Return the largest difference of tensors, as a share of the largest element of each.

    It is NaN if their shapes differ, as they may where shapes depend on values.
    """
    if isinstance(expected, Mapping):
        expected, found = list(expected.values()), list(found.values())
    if isinstance(expected, torch.Tensor) and expected.is_nested:
        expected, found = expected.unbind(), found.unbind()
    if isinstance(expected, tuple | list):
        if len(expected) != len(found):
            return math.nan
        errors = [difference_of(*pair) for pair in zip(expected, found, strict=True)]
        return math.nan if any(map(math.isnan, errors)) else max(errors, default=0.0)
    if not isinstance(expected, torch.Tensor):
        return 0.0
    if expected.shape != found.shape:
        return math.nan
    wide = torch.complex128 if expected.is_complex() else torch.float64
    expected, found = (each.detach().to_dense().to(wide) for each in (expected, found))
    gaps, sizes = (expected - found).abs(), expected.abs()
    # Infinity less infinity is no number.
    gaps[(expected == found) | (expected.isnan() & found.isnan())] = 0
    gaps.nan_to_num_(math.inf, math.inf)
    return _largest(gaps) / (_largest(sizes[sizes.isfinite()]) or 1.0)


def _largest(values):
    return values.max().item() if values.numel() else 0.0
