"""scipy's own operators, with a BLAS of one thread: for solvers, which multiply densely as well."""

import scipy.linalg  # noqa: F401 - it loads a BLAS of its own
from threadpoolctl import threadpool_limits

from .scipy_csr import bind, to_numpy, versions

__all__ = ["bind", "to_numpy", "versions"]

threadpool_limits(1, user_api="blas")
