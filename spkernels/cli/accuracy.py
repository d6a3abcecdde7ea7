"""The check of a product by the error bound of a sum.

In any order of summation of the k products of an element, ``|computed - exact| <= gamma_k *
(|A| @ |B|)`` with ``gamma_k = k*u / (1 - k*u)`` (Higham, Accuracy and Stability of Numerical
Algorithms, 2nd ed., section 3.1).  A complex product has two more roundings (section 3.6).
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from .._runtime.rounding import gamma

#: The dtype of the reference: wide enough that the reference's own error does not matter.
_WIDER = {
    "float32": np.float64,
    "float64": np.longdouble,
    "complex64": np.complex128,
    "complex128": np.clongdouble,
}
#: The number of elements of the reference that are computed at a time, which bounds memory.
_CHUNK = 1 << 22


def worst_error(A, B: NDArray, C: NDArray) -> float:
    """Return the largest error of an element of `C` = A @ B, divided by the element's bound.

    The result is NaN or infinity if an element is not finite but should be.  It is infinity if an
    element with a bound of 0 is wrong, or if an element is finite but should not be.  Elements
    whose absolute terms sum to more than the dtype holds do not count.
    """
    wide = _WIDER[C.dtype.name]
    A = sp.csr_array(A)
    terms = np.diff(A.indptr) + (2 if C.dtype.kind == "c" else 0)
    data = A.data.astype(wide)
    # abs(A) would sum duplicates, and would do so in the caller's index arrays.
    exact, size = (
        sp.csr_array((values, A.indices, A.indptr), shape=A.shape) for values in (data, abs(data))
    )
    factor = gamma(terms[:, None], C.dtype)
    worst = 0.0
    step = max(1, _CHUNK // max(1, *A.shape))
    for start in range(0, B.shape[1], step):
        columns = slice(start, start + step)
        part = B[:, columns].astype(wide)
        with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
            right, most = exact @ part, size @ np.abs(part)
            error = np.abs(C[:, columns] - right)
            share = error / (factor * most)
        share[error == 0] = 0  # in empty rows the bound is 0, too
        share[np.isfinite(most) & (most > np.finfo(C.dtype).max)] = 0
        special = ~np.isfinite(right)
        share[special] = np.where(np.isfinite(C[:, columns][special]), np.inf, 0)
        worst = np.max(share, initial=worst)
    return float(worst)
