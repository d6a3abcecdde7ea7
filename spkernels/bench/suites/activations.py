"""Layers whose inputs are mostly zeros, as after ReLU or k winners.

The setting is that of S. Ahmad, L. Scheinkman, "How can we be so dense? The benefits of using
highly sparse representations", 2019: 95% of the weights and 90% of the activations are zero.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from ... import prune
from ..cells import Matrix
from .common import product
from .structured import pruned

NAME = "activations"
TITLE = "Sparse activations"
SUFFIXES = ()
SIZE = (2048, 2048)
SPARSITY = 0.95


def _ones():
    return np.ones(SIZE, np.float32)


def matrices(options):
    """Yield layers of 2048 x 2048: of scattered entries, of vectors of 16 rows, and dense."""
    level = f"{100 * SPARSITY:g}%"
    scattered = partial(pruned, SIZE, prune.magnitude, SPARSITY)
    yield Matrix(f"scattered {level}", "scattered", scattered)
    if not options.quick:
        vectors = partial(pruned, SIZE, prune.block, (16, 1), SPARSITY)
        yield Matrix(f"16 x 1 {level}", "16 x 1", vectors)
    yield Matrix("dense", "dense", _ones)


def cells(found, options):
    """Yield cells of 1, 8, 32 and 128 inputs for sparse layers; k winners of 1 and 64 rows."""
    for matrix in found:
        widths = {"activations": (None, 8, 32, 128)}
        if matrix.kind == "dense":
            widths = {"activations": (None,), "kwinners": (1, 64)}
        yield from product(NAME, [matrix], widths, options)
