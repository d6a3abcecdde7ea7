"""Modules with sparse weights, one file for each kind of layer."""

from .family import Family, Options
from .linear import LINEAR, SparseLinear
from .linear_int8 import SparseInt8Linear

__all__ = ["FAMILIES", "Family", "Options", "SparseInt8Linear", "SparseLinear"]

#: What can be replaced: by the exact type of the module, as a subclass may compute something else.
FAMILIES: dict[type, Family] = {kind: family for family in (LINEAR,) for kind in family.kinds}
