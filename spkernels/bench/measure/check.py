"""The check of an answer against float64 by the error bound of a sum.

In any order of summation ``|computed - exact| <= gamma_k * sum |a||b|`` with
``gamma_k = k*u / (1 - k*u)`` for k roundings on the way to a result (Higham, Accuracy and Stability
of Numerical Algorithms, 2nd ed., section 3.1).
"""

from __future__ import annotations

import numpy as np

from ..._runtime.rounding import gamma
from ..ops import OPS
from ..problem import Problem

#: The number of roundings that a correct kernel may add to those of the sum: by alpha, by beta and
#: by the final store.
EXTRA_ROUNDINGS = 4


def reference(problem: Problem) -> tuple[np.ndarray, np.ndarray]:
    """Return the float64 answer and the largest allowed error of each element."""
    dtype = problem.dtype
    exact, size, lengths = OPS[problem.op].reference(problem)
    bound = gamma(lengths + EXTRA_ROUNDINGS, dtype) * size
    if dtype == np.float64:
        bound = 2 * bound  # the float64 reference has rounding errors of the same size
    return exact, bound


def fault(answer: np.ndarray, exact: np.ndarray, bound: np.ndarray, dtype) -> str | None:
    """Return the words for what is wrong with an answer, or None."""
    if answer.shape != exact.shape or answer.dtype != dtype:
        return f"answer is {answer.shape} {answer.dtype}, expected {exact.shape} {dtype}"
    error = np.abs(answer - exact)
    wrong = ~(error <= bound)
    if wrong.any():
        worst = np.nanmax(np.where(bound > 0, error, 0) / np.where(bound > 0, bound, 1), initial=0)
        return f"{wrong.sum()} of {wrong.size} entries off, worst {worst:.3g} times the bound"
    return None
