"""Modules with sparse weights, one file for each kind of layer."""

from .family import Family, Options
from .linear import LINEAR, SparseLinear

__all__ = ["FAMILIES", "Family", "Options", "SparseLinear"]

#: What can be replaced: by the exact type of the module, as a subclass may compute something else.
FAMILIES: dict[type, Family] = {kind: family for family in (LINEAR,) for kind in family.kinds}
