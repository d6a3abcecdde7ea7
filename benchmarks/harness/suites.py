"""The suites: which cells they measure, with which peers, and how their results are grouped."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from .claims import Claim
from .problems import (
    Pattern,
    from_mask,
    random_mask,
    read_smtx,
    sddmm_problem,
    spmm_problem,
    window_mask,
)
from .session import Cell

SEED = 20240
SUBJECT = "spkernels"
MODULES = {
    "scipy": "peers.scipy_csr",
    "mkl": "peers.mkl_csr",
    "torch": "peers.torch_csr",
    "numpy dense": "peers.numpy_dense",
    "mkl dense": "peers.mkl_dense",
    SUBJECT: "peers.spkernels_csr",
}
#: Upper ends of the classes of sparsity in the tables, in percent.
CLASSES = (55.0, 65.0, 75.0, 85.0, 92.5, 96.5, 99.0, 100.0)


@dataclass(frozen=True)
class Suite:
    """A family of cells."""

    name: str
    title: str
    peers: tuple[str, ...]
    #: Labels whose values make a row of the table.
    group_by: tuple[str, ...]
    unit: str
    claims: tuple[Claim, ...]
    #: Peers without an OpenMP runtime of their own may share a process, which spares the pauses.
    one_process: bool = False


SPMM = Suite(
    "spmm",
    "Sparse times dense, float32, real pruned layers",
    tuple(MODULES),
    ("N", "sparsity"),
    "GFLOP/s",
    (Claim(SUBJECT, ("scipy",), 7.0, 1.0), Claim(SUBJECT, ("mkl", "torch"), 1.2, None)),
)
SDDMM = Suite(
    "sddmm",
    "Sampled dense times dense, float32, attention-like masks",
    ("torch", "numpy dense", SUBJECT),
    ("mask", "k", "sparsity"),
    "GFLOP/s",
    (Claim(SUBJECT, ("torch",), 4.0, None), Claim(SUBJECT, ("numpy dense",), None, None)),
)
TINY = Suite(
    "tiny",
    "Small products: what a call costs",
    ("scipy", SUBJECT),
    ("matrix", "B", "dtype", "container"),
    "us",
    (Claim(SUBJECT, ("scipy",), None, 1.0),),
    one_process=True,
)
SUITES = {suite.name: suite for suite in (SPMM, SDDMM, TINY)}


def cells(name: str, data: Path | None, quick: bool) -> list[Cell]:
    """The cells of a suite; `quick` keeps a small spread of them."""
    if name == SPMM.name:
        if data is None:
            raise ValueError("the spmm suite reads .smtx.gz files: say where with --data DIR")
        return list(_spmm_cells(data, quick))
    return list(_sddmm_cells(quick) if name == SDDMM.name else _tiny_cells())


def _class_of(sparsity: float) -> str:
    index = int(np.searchsorted(CLASSES, 100.0 * sparsity))
    return f"{CLASSES[index - 1] if index else 0:g}-{CLASSES[index]:g}%"


def _describe(pattern: Pattern) -> dict[str, Any]:
    rows, cols = pattern.shape
    nnz = pattern.indices.size
    return {"matrix": pattern.name, "rows": rows, "cols": cols, "nnz": nnz}


def _spread(items: Sequence[Any], count: int) -> list[Any]:
    """At most `count` items, evenly spaced from first to last."""
    if len(items) <= count:
        return list(items)
    return [items[round(i)] for i in np.linspace(0, len(items) - 1, count)]


def _spmm_cells(data: Path, quick: bool) -> Iterator[Cell]:
    paths = sorted(data.rglob("*.smtx.gz"))
    if not paths:
        raise ValueError(f"no .smtx.gz file under {data}")
    patterns = [
        read_smtx(path, path.relative_to(data).as_posix().removesuffix(".smtx.gz"))
        for path in paths
    ]
    patterns.sort(key=lambda pattern: pattern.sparsity)
    for pattern in _spread(patterns, 8) if quick else patterns:
        for n in (32, 128, 512):
            labels = {"sparsity": _class_of(pattern.sparsity), "N": n}
            yield Cell(_describe(pattern) | labels, partial(spmm_problem, pattern, n, SEED))


def _sddmm_cells(quick: bool) -> Iterator[Cell]:
    for n in (512, 1024) if quick else (512, 1024, 2048):
        for percent in (50, 90, 98) if quick else (50, 70, 80, 90, 95, 98):
            entries = n * n * (100 - percent) // 100
            masks = {
                "random": random_mask(n, entries, np.random.default_rng(SEED)),
                "window": window_mask(n, entries),
            }
            for kind, mask in masks.items():
                pattern = from_mask(f"{kind} {n} {percent}%", mask)
                for k in (64, 128):
                    labels = {"mask": kind, "n": n, "k": k, "sparsity": f"{percent}%"}
                    yield Cell(
                        _describe(pattern) | labels, partial(sddmm_problem, pattern, k, SEED)
                    )


def _tiny_cells() -> Iterator[Cell]:
    rng = np.random.default_rng(SEED)
    patterns = [
        from_mask(f"{n} x {n}, {entries} entries", random_mask(n, entries, rng))
        for n, entries in ((10, 30), (1000, 1000))
    ]
    widths = {"(K,)": None, "(K, 1)": 1, "(K, 4)": 4}
    dtypes = (np.float32, np.float64)
    containers = ("csr_array", "csr_matrix")
    for pattern, b, dtype, container in product(patterns, widths, dtypes, containers):
        labels = {"B": b, "dtype": np.dtype(dtype).name, "container": container}
        yield Cell(
            _describe(pattern) | labels,
            partial(spmm_problem, pattern, widths[b], SEED, dtype, container),
        )
