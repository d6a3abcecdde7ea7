"""Checks of numbers, counts, dtypes and names, with errors that name the argument."""

from __future__ import annotations

import math
import operator
import sys
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from .. import _core

# A seed is any value that numpy.random.default_rng takes, as in SPEC 7.
RNG = int | np.random.Generator | np.random.SeedSequence | None


def as_generator(rng: RNG) -> np.random.Generator:
    """Return `rng` if it is a generator, else a generator that it seeds."""
    try:
        return np.random.default_rng(rng)
    except (TypeError, ValueError) as exc:
        raise type(exc)(
            f"rng must be None, a non-negative int or a numpy.random.Generator, got {rng!r}"
        ) from exc


def as_count(name: str, value: Any, low: int = 1, high: int | None = None) -> int:
    """Return `value` as an int from `low` to `high`, or raise an error that names it."""
    try:
        count = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} must be an integer, got {value!r}") from None
    if count < low or (high is not None and count > high):
        bounds = f"at least {low}" if high is None else f"from {low} to {high}"
        raise ValueError(f"{name} must be {bounds}, got {count}")
    return count


def as_real(name: str, value: Any) -> float:
    """Return `value` as a finite float, or raise an error that names it."""
    try:
        real = float(value)
    except (TypeError, ValueError):
        raise TypeError(f"{name} must be a real number, got {value!r}") from None
    if not math.isfinite(real):
        raise ValueError(f"{name} must be finite, got {real}")
    return real


def as_sparsity(sparsity: Any) -> float:
    """Return the share of zeros `sparsity` as a float from 0 to 1, or raise."""
    fraction = as_real("sparsity", sparsity)
    if not 0 <= fraction <= 1:
        raise ValueError(f"sparsity must be a fraction from 0 to 1, got {fraction}")
    return fraction


def kept(size: int, sparsity: float) -> int:
    """Return the number of `size` entries that stay at `sparsity`; halves round to even."""
    return round((1 - sparsity) * size)


def as_dtype(dtype: DTypeLike, kinds: str = "biufc") -> np.dtype:
    """Return a dtype of scipy.sparse whose kind is one of `kinds`, or raise."""
    result = np.dtype(dtype)
    if result.kind not in kinds or result == np.float16:
        expected = "a floating or complex" if kinds == "fc" else "a boolean or numeric"
        raise ValueError(f"dtype must be {expected} dtype of scipy.sparse, got {result}")
    return result


def as_extent(value, name):
    """Return `value` as a positive int that can be an array's dimension, or raise."""
    try:
        value = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} must be an integer, got {value!r}") from None
    if not 1 <= value <= sys.maxsize:
        raise ValueError(f"{name} must be at least 1 and at most {sys.maxsize}, got {value}")
    return value


def scalar(value, name, *, real=True):
    """Return a number (a float if it must be real), or raise an error that names it."""
    if isinstance(value, Real) and np.asarray(value).dtype.kind == "O":
        # The value is a fraction, or an integer that no dtype holds.
        try:
            value = float(value)
        except OverflowError:
            raise ValueError(
                f"{name} must be within the range of float64, which ends at "
                f"{np.finfo(np.float64).max:.2g}"
            ) from None
    try:
        kind = np.asarray(value).dtype.kind if np.ndim(value) == 0 else ""
    except (TypeError, ValueError, RuntimeError):
        kind = ""  # a nested sequence of unequal lengths, or a tensor that NumPy cannot read
    if not kind or kind not in ("biuf" if real else "biufc"):
        raise TypeError(f"{name} must be a {'real ' if real else ''}number, got {value!r}")
    return float(value) if real else value


def integral_factor(value, name, dtype):
    """Return a whole factor of an integer product as an int, so that the result stays integer.

    An int that the dtype cannot hold is a ValueError; NumPy 2 has an OverflowError for it.
    """
    if dtype.kind not in "biu" or not isinstance(value, int | float | np.floating):
        return value
    # The product of bool and int is NumPy's default integer.
    range_ = np.iinfo(np.int64 if dtype.kind == "b" else dtype)
    if isinstance(value, int):
        if not range_.min <= value <= range_.max:
            raise ValueError(
                f"{name} must be from {range_.min} to {range_.max} as an int, for a product in "
                f"{dtype}, got {value}; a float makes the result one"
            )
        return value
    return int(value) if value.is_integer() and range_.min <= value <= range_.max else value


def activation_code(activation, name="activation"):
    """Return the number of an activation, or raise a ValueError that lists all names."""
    if not isinstance(activation, str | None) or activation not in _core.ACTIVATIONS:
        names = ", ".join(repr(each) for each in _core.ACTIVATIONS)
        raise ValueError(f"{name} must be one of {names}, got {activation!r}")
    return _core.ACTIVATIONS[activation]
