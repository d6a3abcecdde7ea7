"""Formats for patterns that take few bytes per entry; see `NMArray`."""

from ._nm import NMArray, NMTransposed

__all__ = ["NMArray", "NMTransposed"]
