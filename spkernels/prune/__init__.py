"""Pruning: masks that keep the largest magnitudes of a dense weight under a pattern.

Each function returns a boolean mask and the share of the magnitudes that the mask keeps.  Multiply
a weight by the mask, store the product as a sparse array, and give it to `spkernels.prepare`.
"""

from .._runtime.public import publish
from ._block import block, vector
from ._complementary import complementary
from ._magnitude import magnitude, nm
from ._pruned import Pruned

__all__ = ["Pruned", "block", "complementary", "magnitude", "nm", "vector"]

publish(__name__, *map(globals().get, __all__))
