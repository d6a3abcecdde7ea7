"""What is judged by a tolerance, where the error of an answer has no bound that can be computed."""

from __future__ import annotations

import numpy as np

from ..problem import Problem


def within(exact: np.ndarray, tolerance: float, problem: Problem):
    """Return a reference that allows an error of `tolerance` times the largest element of it."""
    unit = np.finfo(problem.dtype).eps / 2
    size = np.full_like(exact, tolerance * np.abs(exact).max(initial=0.0) / unit)
    # One rounding of that size, together with those that a check adds.
    return exact, size, np.full(exact.shape, -3.0)
