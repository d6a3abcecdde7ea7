"""scipy's own operators with one BLAS thread, for solvers, which also have dense products."""

import scipy.linalg  # noqa: F401 - it loads a BLAS of its own
from threadpoolctl import threadpool_limits

from .scipy_csr import bind, to_numpy, versions

__all__ = ["bind", "to_numpy", "versions"]

threadpool_limits(1, user_api="blas")
