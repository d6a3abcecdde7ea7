"""Masks that keep the most of a dense weight under a constraint, for patterns that run fast."""

from .._runtime.public import publish
from ._block import block, vector
from ._complementary import complementary
from ._magnitude import magnitude, nm
from ._pruned import Pruned

__all__ = ["Pruned", "block", "complementary", "magnitude", "nm", "vector"]

publish(__name__, *map(globals().get, __all__))
