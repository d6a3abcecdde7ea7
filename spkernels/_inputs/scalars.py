"""Checks of arguments that the subpackages share."""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

# A seed is whatever numpy.random.default_rng takes, as in SPEC 7.
RNG = int | np.random.Generator | np.random.SeedSequence | None


def as_generator(rng: RNG) -> np.random.Generator:
    """Return the generator that `rng` is or seeds."""
    try:
        return np.random.default_rng(rng)
    except (TypeError, ValueError) as exc:
        raise type(exc)(
            f"rng: expected None, a non-negative int or a numpy.random.Generator, got {rng!r}"
        ) from exc


def as_count(name: str, value: Any, low: int = 1, high: int | None = None) -> int:
    """Return `value` as an int of at least `low` and at most `high`."""
    try:
        count = operator.index(value)
    except TypeError:
        raise TypeError(f"{name}: expected an int, got {value!r}") from None
    if count < low or (high is not None and count > high):
        bounds = f"of at least {low}" if high is None else f"from {low} to {high}"
        raise ValueError(f"{name}: expected an int {bounds}, got {count}")
    return count


def as_real(name: str, value: Any) -> float:
    """Return `value` as a finite float."""
    try:
        real = float(value)
    except (TypeError, ValueError):
        raise TypeError(f"{name}: expected a real number, got {value!r}") from None
    if not math.isfinite(real):
        raise ValueError(f"{name}: expected a finite number, got {real}")
    return real


def as_sparsity(sparsity: Any) -> float:
    """Return the fraction of zeros `sparsity` as a float in [0, 1]."""
    fraction = as_real("sparsity", sparsity)
    if not 0 <= fraction <= 1:
        raise ValueError(f"sparsity: expected a fraction from 0 to 1, got {fraction}")
    return fraction


def kept(size: int, sparsity: float) -> int:
    """Return how many of `size` entries are left at `sparsity`."""
    return round((1 - sparsity) * size)


def as_dtype(dtype: DTypeLike, kinds: str = "biufc") -> np.dtype:
    """Return `dtype` as one that scipy.sparse computes with, its kind being one of `kinds`."""
    result = np.dtype(dtype)
    if result.kind not in kinds or result == np.float16:
        expected = "a floating or complex" if kinds == "fc" else "a boolean or numeric"
        raise ValueError(f"dtype: expected {expected} dtype of scipy.sparse, got {result}")
    return result
