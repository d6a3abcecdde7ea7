"""Sparse formats that a pattern makes smaller than CSR; see `NMArray`.

An array of a format multiplies as a prepared matrix does, and converts to and from scipy's arrays.
"""

from .._runtime.public import publish
from ._nm import NMArray, NMTransposed

__all__ = ["NMArray", "NMTransposed"]

publish(__name__, *map(globals().get, __all__))
