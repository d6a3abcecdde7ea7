"""The measurement of one matrix with one number of columns of B."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from .. import _core
from .._inputs.dense import NATIVE
from .._inputs.errors import raise_status
from .._inputs.sparse import sparse_arrays
from .._ops.spmm import spmm
from .._runtime.threads import resolve_workers
from .accuracy import worst_error
from .timing import Timing, interleave, settle

#: The largest dense form of A that is made, in bytes.
DENSE_LIMIT = 1 << 28
#: Two times are a draw if their ratio is below this number.
DRAW = 1.05


@dataclass(frozen=True)
class Budget:
    """The time and the threads of a measurement, and the seed of its operands.

    At least `rounds` turns of each library are taken, and at least `seconds` pass.
    """

    seconds: float
    rounds: int
    workers: int | None
    #: The number of threads that `workers` stands for.
    threads: int
    seed: int


@dataclass(frozen=True)
class Cell:
    """The result of one matrix with one number of columns."""

    name: str
    shape: tuple[int, int]
    nnz: int
    format: str
    dtype: str
    columns: int
    kernel: str
    #: The largest error of an element of the result, divided by the element's bound.
    error: float
    #: The times by peer; "dense" is missing if A was too large.
    timings: dict[str, Timing]

    @property
    def sparsity(self) -> float:
        """The share of positions without an entry, from 0 to 1."""
        return max(0.0, 1 - self.nnz / max(1, self.shape[0] * self.shape[1]))

    @property
    def dense_bytes(self) -> int:
        """The number of bytes of the dense form of the matrix."""
        return self.shape[0] * self.shape[1] * np.dtype(self.dtype).itemsize

    @property
    def noisy(self) -> bool:
        """Whether samples were so disturbed that without the disturbance another peer might win."""
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
        """The number of real operations of one multiplication and one addition.

        A complex pair takes four multiplications and four additions.
        """
        return 8 if np.dtype(self.dtype).kind == "c" else 2

    def gflops(self, peer: str) -> float:
        """Return the useful GFLOP/s of a peer: operations with zeros do not count."""
        flops = self.flops_per_term * self.nnz * self.columns
        return flops / self.timings[peer].seconds * 1e-9

    def speedup(self, peer: str) -> float | None:
        """Return the time of `peer` divided by that of spkernels; None if `peer` was not timed."""
        if peer not in self.timings:
            return None
        return self.timings[peer].seconds / self.timings["spkernels"].seconds


def _rank(speedup: float) -> int:
    """Return 1 for a win, 0 for a draw, -1 for a loss."""
    return int(speedup >= DRAW) - int(speedup <= 1 / DRAW)


def in_precision(A: Any, dtype: np.dtype) -> Any:
    """Convert a matrix to the precision of `dtype`; a complex matrix stays complex."""
    wanted = np.result_type(dtype, np.complex64) if A.dtype.kind == "c" else dtype
    with np.errstate(over="ignore"):
        # A.astype would sum duplicates.
        data = A.data.astype(wanted, copy=False)
    if not np.array_equal(np.isfinite(data), np.isfinite(A.data)):
        raise ValueError(f"expected values in the range of {wanted}, found larger ones")
    A.data = data
    return A


def measure(name: str, A: Any, columns: int, budget: Budget) -> Cell:
    """Multiply `A` by a random matrix with every library; check spkernels' result and time all."""
    B = _dense_operand(A, columns, budget.seed)
    ours = partial(spmm, A, B, workers=budget.workers)
    error = worst_error(A, B, ours())
    calls = {"scipy": partial(_product, A, B), "spkernels": ours}
    if A.shape[0] * A.shape[1] * A.dtype.itemsize <= DENSE_LIMIT:
        # It is last in each round, as its threads spin for the longest time.
        calls["dense"] = partial(_product, A.toarray(), B)
    settle()
    timings = interleave(calls, budget.seconds, budget.rounds, budget.threads)
    return Cell(
        name=name,
        shape=(int(A.shape[0]), int(A.shape[1])),
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


def _kernel(A: Any, B: np.ndarray, workers: int | None) -> str:
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
