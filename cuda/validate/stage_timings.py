"""The timings: which matrices, sizes and dtypes meet which contenders."""

import random

import contenders
import measure
import numpy as np
import patterns
import readers
from ours import Library
from progress import Progress
from timing import clock

COLUMNS = (128, 512, 2048)
#: Of matrices that are also multiplied by a vector.
VECTORS = 6
GRAPH_COLUMNS = (32, 128)
SPARSITIES = (0.5, 0.75, 0.9, 0.95, 0.98)


class Bench:
    """What every timing needs."""

    def __init__(self, options, device, deadline, writer):
        self.options, self.device = options, device
        self.deadline, self.writer = deadline, writer
        self.library = Library(options.library, device)
        self.clock = clock(device, options.quick)
        self.others = contenders.Others(device, self.clock)
        self.rng = np.random.default_rng(0)
        path = options.output / "timings.jsonl"
        self.progress = Progress(path, writer, writer.stage, device, measure.BLAMED)

    def matrices(self, suffixes):
        """Yield (name, A) of the files that there is time for, shuffled."""
        names = readers.names(self.options.data) if self.options.data else []
        names = [name for name in names if name.removesuffix(".gz").endswith(suffixes)]
        random.Random(0).shuffle(names)
        for name in names[:2] if self.options.emulated else names:
            if self.deadline.passed():
                self.writer.write(status="not reached", matrix=name, why="out of time")
                continue
            for key, A in readers.load(self.options.data, name):
                if A.nnz:
                    yield key, A

    def spmm(self, name, A, n, dtype="float32", kernels=None, **about):
        """Time the contenders of a product."""
        made = contenders.spmm(self.library, self.others, A, dtype, n, self.rng, kernels)
        self.run(made, 2 * A.nnz * n, matrix=name, **shape(A), n=n, dtype=dtype, **about)

    def run(self, made, flops, **about):
        """Time contenders, unless it is too late."""
        if self.deadline.passed():
            self.writer.write(status="not reached", **about, why="out of time")
        else:
            measure.run(self.clock, self.device, made, flops, self.progress, **about)


def shape(A):
    """The shape of a matrix as fields of a record."""
    sparsity = 1 - A.nnz / (A.shape[0] * A.shape[1])
    return {"rows": A.shape[0], "cols": A.shape[1], "nnz": A.nnz, "sparsity": sparsity}


def spmm(*arguments):
    """Layers of DLMC in float32."""
    bench = Bench(*arguments)
    for position, (name, A) in enumerate(bench.matrices((".smtx",))):
        for n in (8,) if bench.options.emulated else COLUMNS:
            bench.spmm(name, A, n)
        if position < VECTORS:
            bench.spmm(name, A, 1)


def graphs(*arguments):
    """Graphs and meshes in float32."""
    bench = Bench(*arguments)
    for name, A in bench.matrices((".mtx",)):
        for n in (8,) if bench.options.emulated else GRAPH_COLUMNS:
            bench.spmm(name, A, n)


def masks(bench, sizes, sparsities):
    """Yield (fields of a record, mask as CSR with values)."""
    for size in sizes:
        for sparsity in sparsities:
            for name, make in patterns.MASKS.items():
                mask = patterns.with_values(make(size, 1 - sparsity, bench.rng), bench.rng)
                yield {"matrix": name, **shape(mask), "target": sparsity}, mask


def sddmm(*arguments):
    """Products sampled at attention masks."""
    bench = Bench(*arguments)
    small = bench.options.emulated
    sizes, sparsities = ((64,), (0.9,)) if small else ((1024, 2048, 512), SPARSITIES)
    for about, mask in masks(bench, sizes, sparsities):
        for dtype in ("bfloat16", "float16", "float32"):
            for k in (64,) if small else (64, 128):
                made = contenders.sddmm(bench.library, bench.others, mask, dtype, k, bench.rng)
                bench.run(made, 2 * mask.nnz * k, **about, n=k, dtype=dtype)


def shared(*arguments):
    """16-bit products where rows share columns, as structured pruning leaves them."""
    bench = Bench(*arguments)
    small = bench.options.emulated
    sizes = ((64, 64),) if small else ((4096, 4096), (2048, 512), (1024, 4096))
    kernels = [(kernel, "strict") for kernel in ("auto", "gather", "bitmap", "rows")]
    for rows, cols in sizes:
        for sparsity in (0.9,) if small else (0.75, 0.9, 0.95):
            for name, make in patterns.SHARED.items():
                mask = make(rows, cols, 1 - sparsity, bench.rng)
                A = patterns.with_values(mask, bench.rng)
                for n in (8,) if small else COLUMNS:
                    for dtype in ("bfloat16", "float16"):
                        if dtype == "bfloat16" or (rows, n) == (4096, 512):
                            bench.spmm(name, A, n, dtype, kernels, target=sparsity)


def attention(*arguments):
    """Fused attention over masks, against torch's."""
    bench = Bench(*arguments)
    small = bench.options.emulated
    heads, widths = (1, (64,)) if small else (16, (64, 128))
    sizes, sparsities = ((64,), (0.9,)) if small else ((2048, 1024, 4096), (0.75, 0.9, 0.95))
    for flex in (False, True):
        if flex and small:
            continue
        # Compiling takes many seconds: one size, and last.
        for about, mask in masks(bench, sizes[:1] if flex else sizes, sparsities):
            for d in widths[:1] if flex else widths:
                made = contenders.attention(
                    bench.library, bench.others, mask, "bfloat16", heads, d, bench.rng, flex
                )
                flops = 4 * mask.nnz * d * heads
                bench.run(made, flops, **about, n=d, heads=heads, dtype="bfloat16")
