"""Judging a product by the error bound of a sum.

However the k products of an entry are summed, ``|computed - exact| <= gamma_k * (|A| @ |B|)`` with
``gamma_k = k*u / (1 - k*u)`` (Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed.,
section 3.1); a complex product takes two roundings more (section 3.6).
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from .._runtime.rounding import gamma

#: The dtype of the reference; its own error must not show.
_WIDER = {
    "float32": np.float64,
    "float64": np.longdouble,
    "complex64": np.complex128,
    "complex128": np.clongdouble,
}
#: Entries of the reference that are held at a time.
_CHUNK = 1 << 22


def worst_error(A, B: NDArray, C: NDArray) -> float:
    """Return the largest error of `C` as the product of `A` and `B`, as a share of its bound.

    NaN where the product is not finite but ought to be, infinity where an entry that must be exact
    is not.  Of an entry without a finite value only that counts, and of one whose terms add up to
    more than the dtype holds, nothing.
    """
    wide = _WIDER[C.dtype.name]
    A = sp.csr_array(A)
    terms = np.diff(A.indptr) + (2 if C.dtype.kind == "c" else 0)
    data = A.data.astype(wide)
    # Not abs(A), which adds up duplicates, and in the index arrays of the caller at that.
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
        share[error == 0] = 0  # also where the bound is 0, as in empty rows
        share[np.isfinite(most) & (most > np.finfo(C.dtype).max)] = 0
        special = ~np.isfinite(right)
        share[special] = np.where(np.isfinite(C[:, columns][special]), np.inf, 0)
        worst = np.max(share, initial=worst)
    return float(worst)
