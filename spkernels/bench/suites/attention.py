"""Attention masks: window, global, random and BigBird, at the lengths of the survey."""

from __future__ import annotations

from functools import partial

from ... import datasets
from ..cells import SEED, Matrix
from .common import product

NAME = "attention"
TITLE = "Attention masks"
SUFFIXES = ()
LENGTHS = (512, 1024, 2048)
# The first sparsity, at which a sampled product should already win, is not of the survey.
SPARSITIES = (0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98)


def _bigbird(n, sparsity):
    # The first choice that leaves room for random blocks: the sparsest masks leave little.
    for global_blocks, window_blocks in ((2, 3), (1, 3), (1, 1), (0, 1)):
        try:
            return datasets.bigbird_mask(
                n,
                sparsity=sparsity,
                global_blocks=global_blocks,
                window_blocks=window_blocks,
                rng=SEED,
            )
        except ValueError:
            continue
    raise ValueError(f"no BigBird mask of length {n} is {sparsity:.0%} sparse")


KINDS = {
    "window": lambda n, sparsity: datasets.window_mask(n, sparsity=sparsity),
    "global": lambda n, sparsity: datasets.global_mask(n, sparsity=sparsity),
    "random": lambda n, sparsity: datasets.random_mask(n, sparsity=sparsity, rng=SEED),
    "BigBird": _bigbird,
}


def matrices(options):
    """Return the survey's 84 masks and 12 at 40% sparsity: 4 kinds, 3 lengths, 8 sparsities."""
    return masks(*(((1024,), (0.7, 0.95)) if options.quick else (LENGTHS, SPARSITIES)))


def masks(lengths, sparsities):
    """Yield a mask of every kind for each length and sparsity."""
    for n in lengths:
        for sparsity in sparsities:
            for kind, make in KINDS.items():
                name = f"{kind} {n} {100 * sparsity:g}%"
                yield Matrix(name, kind, partial(make, n, sparsity))


def cells(found, options):
    """Return cells of sddmm at k = 32 to 256 (the scores), and spmm at N = 64 (weighted values)."""
    depths = (64,) if options.quick else (32, 64, 128, 256)
    widths = {"sddmm": depths, "prepared_sddmm": depths, "spmm": (64,)}
    return product(NAME, found, widths, options)
