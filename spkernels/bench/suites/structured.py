"""Structured patterns of one layer: vectors, blocks and N:M, beside scattered entries.

The choice follows T. Hoefler et al., "Sparsity in deep learning", JMLR 2021, and Numenta's question
what 95% of zeros are worth.
"""

from __future__ import annotations

from functools import cache, partial

import numpy as np
from scipy.sparse import csr_array

from ... import prune
from ..cells import SEED, Matrix
from .common import product

NAME = "structured"
TITLE = "Structured patterns"
SUFFIXES = ()
SIZE = (2048, 2048)
SPARSITIES = (0.5, 0.7, 0.8, 0.9, 0.95, 0.98)
SHAPES = ((4, 1), (8, 1), (16, 1), (4, 4), (16, 16))
RATIOS = ((2, 4), (1, 4), (1, 8), (1, 16))


@cache
def _weight(size):
    return np.random.default_rng(SEED).standard_normal(size, np.float32)


def pruned(size, how, *arguments):
    """Return the mask that the function `how` of `prune` keeps of a random weight, as CSR."""
    return csr_array(how(_weight(size), *arguments).mask.astype(np.float32))


def patterns(size, sparsities, shapes=SHAPES, ratios=RATIOS, name=""):
    """Yield layers of a size with every pattern; `name` distinguishes them from other layers."""
    for sparsity in sparsities:
        level = f"{100 * sparsity:g}%{name}"
        scattered = partial(pruned, size, prune.magnitude, sparsity)
        yield Matrix(f"scattered {level}", "scattered", scattered)
        for shape in shapes:
            kind = "{} x {}".format(*shape)
            blocks = partial(pruned, size, prune.block, shape, sparsity)
            yield Matrix(f"{kind} {level}", kind, blocks)
    for n, m in ratios:
        yield Matrix(f"{n}:{m}{name}", "n:m", partial(pruned, size, prune.nm, n, m))


def matrices(options):
    """Return layers of 2048 x 2048 with every pattern."""
    if options.quick:
        return patterns(SIZE, SPARSITIES[-2:-1], SHAPES[2:4], RATIOS[1:2])
    return patterns(SIZE, SPARSITIES)


def cells(found, options):
    """Return cells of prepared products with 1 to 512 columns, in float32 and in 8 bits."""
    widths = (None, 64) if options.quick else (None, 8, 32, 128, 512)
    return product(NAME, found, {"prepared": widths, "int8": widths}, options)
