"""Small products, which show the cost of a call."""

from __future__ import annotations

import itertools
from functools import partial

from ... import datasets
from ..cells import SEED, Cell, Matrix

NAME = "tiny"
TITLE = "Small products: the cost of a call"
SUFFIXES = ()
SIZES = ((10, 30), (1000, 1000))


def _random(n, entries):
    return datasets.random_pruned(n, n, 1.0 - entries / n**2, rng=SEED)


def matrices(options):
    """Yield matrices of 10 x 10 with 30 entries, and of 1000 x 1000 with 1,000 entries."""
    for n, entries in SIZES:
        yield Matrix(f"{n}x{n}, {entries:,} entries", "random", partial(_random, n, entries))


def cells(found, options):
    """Yield spmm with a vector, 1 and 4 columns, two dtypes and two containers, on one thread."""
    if options.ops is not None and "spmm" not in options.ops:
        return
    dtypes = ("float32",) if options.quick else ("float32", "float64")
    containers = ("csr_array",) if options.quick else ("csr_array", "csr_matrix")
    for matrix in found:
        for width, dtype, container in itertools.product(
            options.widths or (None, 1, 4), dtypes, containers
        ):
            yield Cell(NAME, "spmm", matrix, width, 1, "warm", dtype, container)
