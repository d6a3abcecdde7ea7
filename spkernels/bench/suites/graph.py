"""Graphs: adjacency matrices with power-law degrees, or files of real ones."""

from __future__ import annotations

from functools import partial

from ... import datasets
from ..cells import SEED, Matrix
from .common import product

NAME = "graph"
TITLE = "Graphs"
SUFFIXES = (".mtx", ".mm", ".mat", ".npz")
SIZES = ((3000, 4), (20_000, 10), (20_000, 50), (100_000, 10))


def matrices(options):
    """Yield power-law graphs of 3,000 to 100,000 nodes."""
    for nodes, degree in SIZES[:2] if options.quick else SIZES:
        make = partial(datasets.power_law_graph, nodes, degree, rng=SEED)
        yield Matrix(f"power law {nodes:,} nodes, degree {degree}", "power law", make)


def cells(found, options):
    """Return spmm at a vector, N = 32, 128 and sddmm at k = 64, 128: a layer of a graph network."""
    columns = (None, 32) if options.quick else (None, 32, 128)
    widths = {"spmm": columns, "prepared": columns[1:], "sddmm": (64, 128)}
    return product(NAME, found, widths, options)
