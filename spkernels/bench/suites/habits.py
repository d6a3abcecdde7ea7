"""Common habits of users that benchmarks leave out: layouts, formats, dtypes, loads, activations.

No cell should be slower than scipy, and no layout much slower than C order.
"""

from __future__ import annotations

import itertools
from functools import partial

import numpy as np
from scipy.sparse import csr_array, kron

from ... import datasets, prune
from ..cells import SEED, Cell, Matrix
from ..measure.load import LOADS
from ..ops.bert_layer import NAME as BERT_LAYER
from ..ops.chosen import NAME as CHOSEN
from ..ops.estimators import ESTIMATORS
from ..ops.fused import FUSED
from ..problem import LAYOUTS
from .structured import pruned

NAME = "habits"
TITLE = "Habits"
SUFFIXES = ()

#: The rows of square matrices, and the mean number of entries of a row.
SIZES = ((12, 3), (300, 10), (5000, 16), (20_000, 16))
NODES, DEGREE = 50_000, 8
BLOCK = 4
WIDTHS = (None, 8, 64, 512)
#: Pairs of dtypes besides float32 for both operands; the sparse operand's dtype is first.
DTYPES = ("float64", "int64 x float32", "float32 x float64")
LOADED_WIDTHS = (None, 8, 64)

TEXT_SHAPE = (20_000, 10_000)
WORDS = 100
#: Layers of a network: output features, input features, sparsity.
LAYERS = (
    (2048, 512, 0.9),
    (768, 3072, 0.9),
    (2048, 512, 0.59),
    (1024, 1024, 0.9),
    (768, 3072, 0.5),
    (768, 3072, 0.7),
    (768, 3072, 0.98),
    (64, 64, 0.7),
)
#: The number of these layers, from the first, whose activations are measured.
FUSED_LAYERS = 2
CHOSEN_WIDTHS = (None, 8, 64, 128)
CITATIONS = (3300, 3)
FEATURES = 768
TOKENS = 128


def _scattered(rows, entries):
    return datasets.random_pruned(rows, rows, 1 - entries / rows, rng=SEED)


def _blocks(rows, entries):
    """Return a matrix of blocks of ones, with `entries` entries in a row on average."""
    share = entries / rows
    few = datasets.random_pruned(rows // BLOCK, rows // BLOCK, max(0.0, 1 - share), rng=SEED)
    return csr_array(kron(few, np.ones((BLOCK, BLOCK), np.float32), format="csr"))


def _text():
    """Return a matrix of documents by words, whose frequencies follow Zipf's law."""
    rng = np.random.default_rng(SEED)
    rows, columns = TEXT_SHAPE
    frequencies = 1 / np.arange(1, columns + 1)
    words = rng.choice(columns, rows * WORDS, p=frequencies / frequencies.sum())
    documents = np.repeat(np.arange(rows), WORDS)
    A = csr_array((np.ones(words.size, np.float32), (documents, words)), shape=TEXT_SHAPE)
    A.sum_duplicates()
    A.data[:] = 1
    return A


def _name(layer):
    rows, columns, sparsity = layer
    return f"layer {100 * sparsity:g}%, {rows} x {columns}"


def matrices(options):
    """Yield scattered entries, blocks, a graph, a text and layers of networks."""
    sizes = SIZES[2:3] if options.quick else SIZES
    for rows, entries in sizes:
        make = partial(_scattered, rows, entries)
        yield Matrix(f"scattered {rows:,} x {rows:,}", "scattered", make)
    for rows, entries in sizes:
        yield Matrix(f"blocks {rows:,} x {rows:,}", "blocks", partial(_blocks, rows, 4 * entries))
    if not options.quick:
        graph = partial(datasets.power_law_graph, NODES, DEGREE, rng=SEED)
        yield Matrix(f"power law {NODES:,} nodes", "graph", graph)
        yield Matrix("text", "text", _text)
    for rows, columns, sparsity in LAYERS[:1] if options.quick else LAYERS:
        make = partial(pruned, (rows, columns), prune.magnitude, sparsity)
        yield Matrix(_name((rows, columns, sparsity)), "layer", make)
    if not options.quick:
        few = partial(datasets.power_law_graph, *CITATIONS, rng=SEED)
        yield Matrix(f"power law {CITATIONS[0]:,} nodes", "citations", few)
        weights = partial(pruned, (12 * FEATURES, FEATURES), prune.magnitude, 0.9)
        yield Matrix("BERT 90%", "BERT", weights)


#: The usual containers of each kind of matrix.
_CONTAINERS = {
    "scattered": ("csr_array", "csc_array", "coo_array"),
    "graph": ("csr_array", "csc_array", "coo_array"),
    "blocks": ("bsr_array",),
}


def cells(found, options):
    """Yield the cells of each matrix, by its kind."""
    for matrix in found:
        if matrix.kind in _CONTAINERS:
            made = itertools.chain(_layouts(matrix, options), _loads(matrix, options))
        elif matrix.kind == "text":
            made = _estimators(matrix, options)
        elif matrix.kind == "layer":
            made = itertools.chain(_fused(matrix, options), _chosen(matrix, options))
        elif matrix.kind == "citations":
            made = _chosen(matrix, options)
        else:
            made = _bert(matrix, options)
        yield from (
            cell
            for cell in made
            if (options.ops is None or cell.op in options.ops)
            and (options.loads is None or cell.load in options.loads)
        )


def _layouts(matrix, options):
    containers = _CONTAINERS[matrix.kind]
    widths = options.widths or (WIDTHS[::2] if options.quick else WIDTHS)
    for op, container, width, threads in itertools.product(
        ("habit", "dense_habit"), containers, widths, options.threads
    ):
        make = partial(Cell, NAME, op, matrix, width, threads, "warm")
        # A vector has fewer layouts than a matrix.
        layouts = LAYOUTS if width is not None else ("C", "columns apart", "int64 indices")
        for layout in layouts[:2] if options.quick else layouts:
            yield make("float32", container, layout)
        if not options.quick:
            for dtype in DTYPES:
                yield make(dtype, container)


def _loads(matrix, options):
    if matrix.kind != "scattered" or options.quick:
        return
    loads = [load for load in LOADS if load != "none"]
    for load, width, threads in itertools.product(
        loads, options.widths or LOADED_WIDTHS, options.threads
    ):
        yield Cell(NAME, "habit", matrix, width, threads, "warm", "float32", "csr_array", "C", load)


def _estimators(matrix, options):
    # Loads are last: after a load, it takes a second until all threads are used again.
    loads = ("none", "2 busy processes")
    for load, op, threads in itertools.product(loads, ESTIMATORS, options.threads):
        # Every cell needs a width: an estimator has one target.
        yield Cell(NAME, op, matrix, 1, threads, "warm", "float64", "csr_array", "C", load)


def _chosen(matrix, options):
    loads = ("none",) if options.quick else ("none", "4 busy processes")
    for load, width, threads in itertools.product(
        loads, options.widths or CHOSEN_WIDTHS, options.threads
    ):
        yield Cell(NAME, CHOSEN, matrix, width, threads, "warm", "float32", "csr_array", "C", load)


def _fused(matrix, options):
    if matrix.name not in {_name(layer) for layer in LAYERS[:FUSED_LAYERS]}:
        return
    for op, threads in itertools.product(FUSED, options.threads):
        yield Cell(NAME, op.NAME, matrix, TOKENS, threads)


def _bert(matrix, options):
    for tokens, threads in itertools.product((TOKENS, 3 * TOKENS), options.threads):
        yield Cell(NAME, BERT_LAYER, matrix, tokens, threads)
