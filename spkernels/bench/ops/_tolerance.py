"""The reference of operations whose error has no bound that can be computed: a tolerance."""

from __future__ import annotations

import numpy as np

from ..problem import Problem


def within(exact: np.ndarray, tolerance: float, problem: Problem):
    """Return a reference that allows an error of `tolerance` times its largest element."""
    unit = np.finfo(problem.dtype).eps / 2
    size = np.full_like(exact, tolerance * np.abs(exact).max(initial=0.0) / unit)
    # `measure.check` adds 4 roundings; -3 of them leave one rounding of this size.
    return exact, size, np.full(exact.shape, -3.0)
