"""Checks of the arguments that the pruning functions share."""

from __future__ import annotations

import numpy as np

from .._inputs.dense import NATIVE, dense_array, native_order

__all__ = ["as_flag", "as_magnitudes"]

# A power of two that is larger than the number of elements of any array.
_MANY = 2.0**64


def as_magnitudes(W):
    """Return |W| as a new C-ordered array whose sums do not overflow; errors name W.

    float32 and float64 are kept, and other dtypes become float64.
    """
    W = native_order(dense_array(W, "W"))
    if W.ndim != 2:
        raise ValueError(f"W must be 2-D, got shape {W.shape}")
    if W.dtype.kind not in "biuf":
        raise TypeError(f"W must hold real numbers, got dtype {W.dtype}")
    sizes = np.array(W, W.dtype if W.dtype in NATIVE else np.float64, order="C")
    np.abs(sizes, out=sizes)
    most = sizes.max(initial=0)
    if not np.isfinite(most):
        row, col = np.unravel_index(np.argmin(np.isfinite(sizes)), sizes.shape)
        raise ValueError(
            f"W must hold finite numbers, got {W[row, col]} in row {row}, column {col}"
        )
    if most > np.finfo(np.float64).max / _MANY:
        sizes /= _MANY  # a power of two rounds only values that are too small to matter
    return sizes


def as_flag(name, value):
    """Return `value` as a bool, or raise TypeError: `magnitude` takes other values by this name."""
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{name} must be True or False, got {value!r}")
    return bool(value)
