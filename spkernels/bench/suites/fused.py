"""Fused attention over the masks of the attention suite, at the lengths of models."""

from __future__ import annotations

from . import attention
from .common import product

NAME = "fused"
TITLE = "Fused attention"
SUFFIXES = ()
LENGTHS = (1024, 2048, 4096)
SPARSITIES = (0.8, 0.9, 0.95)


def matrices(options):
    """Return 36 masks: 4 kinds, 3 lengths, 3 sparsities."""
    lengths, sparsities = ((1024,), (0.9,)) if options.quick else (LENGTHS, SPARSITIES)
    return attention.masks(lengths, sparsities)


def cells(found, options):
    """Return cells of attention with eight heads of d = 64."""
    return product(NAME, found, {"attention": (64,)}, options)
