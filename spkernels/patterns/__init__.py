"""Patterns of sparse matrices: n:m, blocks, balanced windows and complementary rows.

`recognise` finds the patterns of a matrix.  `spkernels.prepare` takes a pattern's name as its
argument ``pattern``, and packs the matrix so that kernels use the pattern.
"""

from .._runtime.public import publish
from ._found import Pattern
from ._recognise import recognise

__all__ = ["Pattern", "recognise"]

publish(__name__, *map(globals().get, __all__))
