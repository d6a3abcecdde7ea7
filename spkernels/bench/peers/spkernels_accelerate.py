"""scipy's own operators while `accelerate` is on, also inside of estimators."""

import spkernels

from . import scipy_csr
from .scipy_csr import to_numpy
from .spkernels_csr import versions

__all__ = ["bind", "to_numpy", "versions"]

spkernels.accelerate.enable()


def bind(problem):
    return scipy_csr.bind(problem)
