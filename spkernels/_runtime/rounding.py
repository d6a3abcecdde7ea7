"""The bound of the rounding error of a sum."""

from __future__ import annotations

import numpy as np

__all__ = ["gamma"]


def gamma(k, dtype):
    """Return the error bound's factor for k roundings in `dtype`, ``k*u / (1 - k*u)``.

    u is the unit roundoff (Higham, 2002).
    """
    roundings = k * (np.finfo(dtype).eps / 2)
    return roundings / (1.0 - roundings)
