"""The cells of a benchmark: a matrix, an operation, a width, threads and a state of the machine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from .ops import OPS
from .ops.estimators import ESTIMATORS
from .ops.networks import NETWORKS
from .problem import Problem

SEED = 20240


@dataclass(frozen=True)
class Matrix:
    """The structure of a sparse matrix, which `make` returns when it is needed."""

    name: str
    kind: str
    make: Callable = field(repr=False, compare=False)

    def load(self):
        """Return the matrix as a csr_array, with 32-bit indices if these suffice."""
        from scipy.sparse import csr_array

        A = csr_array(self.make())
        A.sum_duplicates()
        if max(A.shape) < 2**31 and A.nnz < 2**31:
            A.indptr, A.indices = A.indptr.astype(np.int32), A.indices.astype(np.int32)
        return A


@dataclass(frozen=True)
class Cell:
    """One comparison of peers.

    `dtype` is the dtype of both operands, or names both, as ``"int64 x float32"`` with the sparse
    operand first.  `layout` is one of `problem.LAYOUTS`, and `load` one of `measure.load.LOADS`.
    """

    suite: str
    op: str
    matrix: Matrix
    width: int | None
    threads: int
    cache: str = "warm"
    dtype: str = "float32"
    container: str = "csr_array"
    layout: str = "C"
    load: str = "none"

    @property
    def key(self) -> tuple:
        """The labels in results that identify this cell."""
        return (
            self.suite,
            self.op,
            self.matrix.name,
            self.width,
            self.threads,
            self.cache,
            self.dtype,
            self.container,
            self.layout,
            self.load,
        )

    def problem(self, A) -> Problem:
        """Return the inputs, which are made from a fixed seed.

        Values are ones for sampled products and masks, integers for int8, and normal otherwise.
        For estimators they are not negative, as the weights of words are.  Those of networks are
        the matrix's own.
        """
        rng = np.random.default_rng(SEED)
        sparse, _, dense = self.dtype.partition(" x ")
        dtype = np.dtype(sparse)
        if self.op in NETWORKS:
            data = A.data.astype(dtype)
        elif self.op in ("sddmm", "prepared_sddmm", "attention"):
            data = np.ones(A.nnz, dtype)
        elif self.op == "int8" or dtype.kind in "iub":
            data = rng.integers(-127, 128, A.nnz).astype(dtype)
        else:
            data = rng.standard_normal(A.nnz).astype(dtype)
            if self.op in ESTIMATORS:
                data = np.abs(data)
        op = OPS[self.op]
        operands = op.operands(A, self.width, rng, np.dtype(dense or sparse))
        found = Problem(
            self.op, A.shape, A.indptr, A.indices, data, operands, self.container, self.layout
        )
        if hasattr(op, "complete"):
            op.complete(found)
        return found


def describe(cell: Cell, A, problem: Problem) -> dict:
    """Return the labels of a cell in results."""
    rows, cols = (int(extent) for extent in A.shape)
    op = OPS[cell.op]
    return {
        "suite": cell.suite,
        "op": cell.op,
        "matrix": cell.matrix.name,
        "kind": cell.matrix.kind,
        "rows": rows,
        "cols": cols,
        "nnz": int(A.nnz),
        "sparsity": 1.0 - A.nnz / (rows * cols) if rows * cols else 1.0,
        "width": cell.width,
        "threads": cell.threads,
        "cache": cell.cache,
        "dtype": cell.dtype,
        "container": cell.container,
        "layout": cell.layout,
        "load": cell.load,
        "flops": op.flops(problem),
        "bytes": op.bytes(problem),
    }
