"""Formats for patterns that take few bytes per entry; see `NMArray`."""

from .._runtime.public import publish
from ._nm import NMArray, NMTransposed

__all__ = ["NMArray", "NMTransposed"]

publish(__name__, *map(globals().get, __all__))
