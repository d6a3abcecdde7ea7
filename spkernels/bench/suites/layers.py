"""Structured patterns of layers of the sizes of the Deep Learning Matrix Collection."""

from __future__ import annotations

from .common import product
from .structured import patterns

NAME = "layers"
TITLE = "Structured patterns of other layers"
SUFFIXES = ()
SIZES = ((512, 512), (2048, 512), (512, 2048))
SPARSITIES = (0.9, 0.95)


def matrices(options):
    """Yield the projections and the feed-forward layers of a transformer with every pattern."""
    for size in SIZES[:1] if options.quick else SIZES:
        rows, cols = size
        if options.quick:
            yield from patterns(size, SPARSITIES[1:], ((16, 1),), (), f", {rows} x {cols}")
        else:
            yield from patterns(size, SPARSITIES, name=f", {rows} x {cols}")


def cells(found, options):
    """Return cells of prepared products with a vector and with 8 to 512 columns."""
    widths = (None, 64) if options.quick else (None, 8, 32, 128, 512)
    return product(NAME, found, {"prepared": widths}, options)
