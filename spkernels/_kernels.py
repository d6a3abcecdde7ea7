"""The kernels between which a prepared product chooses, one class each.

A kernel is made from a canonical CSR array and the columns that it is packed for; `multiply` takes
`B` and the options of `spmm`, for any number of columns, and promotes dtypes as `spmm` does.
"""

from __future__ import annotations

import time

import numpy as np

from . import _core
from ._operands import raise_status, sparse_arrays
from ._spmm import multiply_dense, multiply_packed, spmm

__all__ = ["KERNELS", "Dense", "Rows", "Strips", "width_class"]

#: Widest tile of strips, in vectors.
_TILE_VECTORS = 4


def width_class(n, dtype):
    """Return the least number of columns that one packing serves as well as `n`."""
    lanes = _core.lanes(dtype == np.float64)
    return n if n <= 1 else min(-(-n // lanes), _TILE_VECTORS) * lanes


class Rows:
    """Row by row, without packing: what `spmm` does."""

    name = "rows"
    nbytes = 0
    packing_seconds = 0.0

    def __init__(self, csr, n):
        self.csr = csr

    def multiply(self, B, out, alpha, beta, bias, activation, order, workers):
        """Multiply by `spmm`."""
        return spmm(
            self.csr, B, out=out, alpha=alpha, beta=beta, bias=bias, activation=activation,
            order=order, workers=workers, check=False,
        )  # fmt: skip

    def describe(self):
        """Say what runs."""
        return f"{self.name}: CSR as it is"


class Strips(Rows):
    """Strips of rows x blocks of columns: see ``src/plan/strips.h``."""

    name = "strips"

    def __init__(self, csr, n):
        super().__init__(csr, n)
        start = time.perf_counter()
        width = width_class(n, csr.dtype)
        status, self.packed = _core.pack(sparse_arrays(csr, csr.dtype, "A"), width, 0, 0, 0)
        if status:
            raise_status(status, csr, "A")
        self.packing_seconds = time.perf_counter() - start
        self.nbytes = self.packed.nbytes

    def multiply(self, B, out, alpha, beta, bias, activation, order, workers):
        """Multiply by the packed values, if `B` has their dtype."""
        options = (out, alpha, beta, bias, activation, order)
        result = _core.spmm_fast(self.packed, B, *options, workers, True)
        if result is not None:
            return result
        if not _keeps_dtype(self.csr, B):
            return super().multiply(B, *options, workers)
        return multiply_packed(self.packed, self.csr, B, *options, workers=workers)

    def describe(self):
        """Say what runs."""
        return f"{self.name}: rows of one length together, {self.packed.block_rows} columns a block"


class Dense(Rows):
    """The zeros written out, by NumPy's BLAS with its threads."""

    name = "dense"

    def __init__(self, csr, n):
        super().__init__(csr, n)
        start = time.perf_counter()
        self.dense = csr.toarray()
        self.packing_seconds = time.perf_counter() - start
        self.nbytes = self.dense.nbytes

    def multiply(self, B, out, alpha, beta, bias, activation, order, workers):
        """Multiply by ``numpy.matmul`` where zeros times `B` are zeros."""
        simple = activation is None or (type(activation) is str and activation == "relu")
        if simple and _keeps_dtype(self.csr, B) and np.isfinite(np.sum(B)):
            return multiply_dense(
                self.dense, B, out, alpha, beta, bias, activation, order, workers=workers
            )
        return super().multiply(B, out, alpha, beta, bias, activation, order, workers)

    def describe(self):
        """Say what runs."""
        return f"{self.name}: zeros written out, numpy.matmul"


KERNELS = {kernel.name: kernel for kernel in (Rows, Strips, Dense)}


def _keeps_dtype(csr, B):
    """Whether the product is computed in the dtype of the packed values; False where `B` is odd."""
    try:
        B = np.asanyarray(B)
    except ValueError:
        return False
    return B.dtype.kind in "biuf" and np.result_type(B.dtype, csr.dtype) == csr.dtype
