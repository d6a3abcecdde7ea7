"""Structures that sparse matrices have: n:m, blocks, balanced windows, complementary rows."""

from .._runtime.public import publish
from ._found import Pattern
from ._recognise import recognise

__all__ = ["Pattern", "recognise"]

publish(__name__, *map(globals().get, __all__))
