"""The rounding error that a sum may have."""

from __future__ import annotations

import numpy as np

__all__ = ["gamma"]


def gamma(k, dtype):
    """Return the factor of the error bound for k roundings in a dtype: ``k*u / (1 - k*u)``."""
    roundings = k * (np.finfo(dtype).eps / 2)
    return roundings / (1.0 - roundings)
