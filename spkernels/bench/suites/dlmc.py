"""Pruned layers like those of the Deep Learning Matrix Collection, or the collection's files.

T. Gale, M. Zaharia, C. Young, E. Elsen, "Sparse GPU kernels for deep learning", SC'20.
"""

from __future__ import annotations

from functools import partial

from ... import datasets
from ..cells import SEED, Matrix
from .common import product

NAME = "dlmc"
TITLE = "Pruned layers"
SUFFIXES = (".smtx",)
SHAPES = ((512, 512), (2048, 512), (512, 2048), (256, 2304))
SPARSITIES = (0.5, 0.7, 0.8, 0.9, 0.95, 0.98)


def matrices(options):
    """Yield layers of a transformer's and ResNet-50's shapes, by magnitude and random pruning."""
    shapes = SHAPES[1:2] if options.quick else SHAPES
    sparsities = (0.7, 0.9, 0.98) if options.quick else SPARSITIES
    kinds = {"magnitude": datasets.magnitude_pruned, "random": datasets.random_pruned}
    for shape in shapes:
        for kind, make in kinds.items():
            if options.quick and kind == "random":
                continue
            for sparsity in sparsities:
                name = f"{kind} {shape[0]}x{shape[1]} {100 * sparsity:g}%"
                yield Matrix(name, kind, partial(make, *shape, sparsity, rng=SEED))


def cells(found, options):
    """Return cells of spmm at N = 32, 128, 512 (the batch), and prepared ones at more widths."""
    widths = (128,) if options.quick else (32, 128, 512)
    all_widths = widths if options.quick else (None, 4, 8, 16, 32, 64, 128, 256, 512)
    ops = {"spmm": widths, "prepared": all_widths, "dense_spmm": widths[:1]}
    return product(NAME, found, ops, options)
