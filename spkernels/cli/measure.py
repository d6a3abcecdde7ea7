"""Measuring one matrix at one number of columns of B."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import scipy.sparse as sp

from .. import _core
from .._inputs.dense import NATIVE
from .._inputs.errors import raise_status
from .._inputs.sparse import sparse_arrays
from .._ops.spmm import spmm
from .._runtime.threads import resolve_workers
from .accuracy import worst_error
from .timing import Timing, interleave, settle

#: A dense form of A above this many bytes is not made.
DENSE_LIMIT = 1 << 28
#: Nearer to 1 than this, two times are a draw.
DRAW = 1.05


@dataclass(frozen=True)
class Budget:
    """How long to measure, and with what."""

    seconds: float
    rounds: int
    workers: int | None
    #: What `workers` amounts to.
    threads: int
    seed: int


@dataclass(frozen=True)
class Cell:
    """What one matrix gave at one number of columns."""

    name: str
    shape: tuple[int, int]
    nnz: int
    format: str
    dtype: str
    columns: int
    kernel: str
    #: Largest error as a share of its bound.
    error: float
    #: Peer -> times; "dense" is missing where A was too large.
    timings: dict[str, Timing]

    @property
    def sparsity(self) -> float:
        """Share of the entries that are not stored."""
        return max(0.0, 1 - self.nnz / max(1, self.shape[0] * self.shape[1]))

    @property
    def dense_bytes(self) -> int:
        """Bytes that the dense form of the matrix takes."""
        return self.shape[0] * self.shape[1] * np.dtype(self.dtype).itemsize

    @property
    def noisy(self) -> bool:
        """Whether a time is one of disturbed samples only, and without that another might win."""
        ours = self.timings["spkernels"]
        for peer in self.timings.keys() & {"dense", "scipy"}:
            theirs = self.timings[peer]
            low = theirs.least / ours.seconds
            high = theirs.seconds / ours.least if ours.least else math.inf
            if _rank(low) != _rank(high):
                return True
        return False

    @property
    def flops_per_term(self) -> int:
        """Operations of a multiplication and an addition: a complex pair takes four real ones."""
        return 8 if np.dtype(self.dtype).kind == "c" else 2

    def gflops(self, peer: str) -> float:
        """Return the useful operations per nanosecond: what is done with zeros does not count."""
        flops = self.flops_per_term * self.nnz * self.columns
        return flops / self.timings[peer].seconds * 1e-9

    def speedup(self, peer: str) -> float | None:
        """Return how many times faster than `peer` spkernels was; None if that was not timed."""
        if peer not in self.timings:
            return None
        return self.timings[peer].seconds / self.timings["spkernels"].seconds


def _rank(speedup: float) -> int:
    """Return 1 for a win, 0 for a draw, -1 for a loss."""
    return int(speedup >= DRAW) - int(speedup <= 1 / DRAW)


def in_precision(A: Any, dtype: np.dtype) -> Any:
    """Give a matrix the precision of `dtype`; complex ones stay complex."""
    wanted = np.result_type(dtype, np.complex64) if A.dtype.kind == "c" else dtype
    with np.errstate(over="ignore"):
        # Not A.astype, which adds up duplicates.
        data = A.data.astype(wanted, copy=False)
    if not np.array_equal(np.isfinite(data), np.isfinite(A.data)):
        raise ValueError(f"expected values in the range of {wanted}, found larger ones")
    A.data = data
    return A


def measure(name: str, A: Any, columns: int, budget: Budget) -> Cell:
    """Multiply `A` by a random matrix in every way, check the result and time it."""
    B = _dense_operand(A, columns, budget.seed)
    ours = partial(spmm, A, B, workers=budget.workers)
    error = worst_error(A, B, ours())
    calls = {"scipy": partial(_product, A, B), "spkernels": ours}
    if A.shape[0] * A.shape[1] * A.dtype.itemsize <= DENSE_LIMIT:
        # Last in each round: its threads spin for the longest.
        calls["dense"] = partial(_product, A.toarray(), B)
    settle()
    timings = interleave(calls, budget.seconds, budget.rounds, budget.threads)
    return Cell(
        name=name,
        shape=tuple(map(int, A.shape)),
        nnz=int(A.nnz),
        format=A.format,
        dtype=A.dtype.name,
        columns=columns,
        kernel=_kernel(A, B, budget.workers),
        error=error,
        timings=timings,
    )


def _product(A: Any, B: Any) -> Any:
    return A @ B


def _dense_operand(A: Any, columns: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    shape = (A.shape[1], columns)
    B = rng.standard_normal(shape)
    if A.dtype.kind == "c":
        B = B + 1j * rng.standard_normal(shape)
    return B.astype(A.dtype)


def _kernel(A: sp.sparray, B: np.ndarray, workers: int | None) -> str:
    """Return the name of the kernel that `spmm` chooses."""
    if A.dtype not in NATIVE:
        return f"scipy's own: no kernel for {A.dtype}"
    C = np.empty((A.shape[0], B.shape[1]), A.dtype)
    status, name = _core.kernel_name(
        sparse_arrays(A, A.dtype, "A"), B, C, resolve_workers(workers), 0
    )
    if status:
        raise_status(status, A, "A")
    return f"{_core.isa()} {name}"
