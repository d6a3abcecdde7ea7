"""scipy's own operators while `accelerate` is on and holds the BLAS to one thread."""

import spkernels

from .scipy_csr import bind, to_numpy
from .spkernels_csr import versions

__all__ = ["bind", "to_numpy", "versions"]

spkernels.accelerate.enable(blas_threads=1)
