"""Judges an answer against float64 by the error bound of a recursive sum.

In any order of summation ``|computed - exact| <= gamma_k * sum |a||b|`` with
``gamma_k = k*u / (1 - k*u)`` for k roundings on the way to a result (Higham, Accuracy and Stability
of Numerical Algorithms, 2nd ed., section 3.1).
"""

import numpy as np
import scipy.sparse

from .problems import Problem

#: Roundings that a correct kernel may add to those of the sum: alpha, beta, the final store.
EXTRA_ROUNDINGS = 4


def gamma(k: np.ndarray | int, dtype: np.dtype) -> np.ndarray | float:
    """The factor of the bound for k roundings in a dtype."""
    roundings = k * (np.finfo(dtype).eps / 2)
    return roundings / (1.0 - roundings)


def reference(problem: Problem) -> tuple[np.ndarray, np.ndarray]:
    """The float64 answer and the largest error allowed, entry by entry."""
    dtype = problem.data.dtype
    if problem.op == "spmm":
        arrays = (problem.data.astype(np.float64), problem.indices, problem.indptr)
        a = scipy.sparse.csr_array(arrays, shape=problem.shape)
        b = problem.b.astype(np.float64)
        exact, size = a @ b, abs(a) @ np.abs(b)
        k = np.diff(problem.indptr).reshape((-1,) + (1,) * (b.ndim - 1))
    else:
        x, yt = problem.x.astype(np.float64), problem.yt.astype(np.float64)
        rows = problem.rows()
        exact = (x @ yt.T)[rows, problem.indices]
        size = (np.abs(x) @ np.abs(yt).T)[rows, problem.indices]
        k = x.shape[1]
    bound = gamma(k + EXTRA_ROUNDINGS, dtype) * size
    if dtype == np.float64:
        bound *= 2  # the reference has rounding errors of the same size
    return exact, bound


def fault(answer: np.ndarray, exact: np.ndarray, bound: np.ndarray, dtype: np.dtype) -> str | None:
    """What is wrong with an answer, or None."""
    if answer.shape != exact.shape or answer.dtype != dtype:
        return f"answer is {answer.shape} {answer.dtype}, expected {exact.shape} {dtype}"
    error = np.abs(answer - exact)
    wrong = ~(error <= bound)
    if wrong.any():
        worst = np.nanmax(np.where(bound > 0, error, 0) / np.where(bound > 0, bound, 1), initial=0)
        return f"{wrong.sum()} of {wrong.size} entries off, worst {worst:.3g} times the bound"
    return None
