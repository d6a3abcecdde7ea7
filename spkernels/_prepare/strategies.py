"""The strategies of prepared products, a class for each.

A kernel, an object of such a class, is made from a canonical CSR array, the number of columns that
it is packed for, the storage of values, the workers of products, and the number of rows to which
padding gives the same columns.  Its `multiply` takes `B` and the options of `spmm`, for any number
of columns, and promotes dtypes as `spmm` does.
"""

from __future__ import annotations

import functools
import time

import numpy as np
import scipy.sparse as sp

from .. import _core
from .._inputs.canonical import known_canonical
from .._inputs.dense import NATIVE, dense_array
from .._inputs.errors import raise_status
from .._inputs.sparse import sparse_arrays
from .._ops.spmm import multiply_dense, multiply_packed, spmm
from .._runtime.threadpools import threadpoolctl
from .._runtime.threads import resolve_workers, thread_count
from ..patterns._padding import added_columns, padded
from .storage import PLAIN, scales_of

__all__ = ["KERNELS", "Bitmap", "Dense", "Packed", "Padded", "Rows", "blas_threads", "width_class"]


def width_class(n, dtype):
    """Return the number of columns that stands for all numbers with the same packing as `n`."""
    return _core.pack_width(dtype == np.float64, n)


@functools.cache
def blas_threads():
    """Return the number of threads of NumPy's BLAS.

    It is not changed for a call, as that would disturb other threads of the process.
    """
    libraries = threadpoolctl.threadpool_info()
    return max((lib["num_threads"] for lib in libraries if lib["user_api"] == "blas"), default=1)


class Rows:
    """The strategy "rows": plain `spmm`, without packing.

    With a storage of fewer bits, the values have been rounded before, so that all strategies agree.
    """

    name = "rows"
    by_width = False  # whether packing depends on the number of columns
    #: Whether products need the CSR of the source, and whether the kernel can restore that CSR.
    needs_csr = True
    restores = False
    nbytes = 0
    packing_seconds = 0.0
    #: The dtype of earlier products that could not use the packed data, or None.
    promoted = None

    def __init__(self, csr, n, storage=PLAIN, workers=None, height=1):
        self.csr = csr
        #: The operand for `_core.spmm_fast`, or None if products need checks before.
        self.operand = csr

    def multiply(self, B, out, alpha, beta, bias, activation, order, workers):
        """Return the product by `spmm`."""
        return spmm(
            self.csr, B, out=out, alpha=alpha, beta=beta, bias=bias, activation=activation,
            order=order, workers=workers, check=False,
        )  # fmt: skip

    def describe(self):
        """Return a description of the kernel."""
        return f"{self.name}: CSR as it is"


class Packed(Rows):
    """The strategy "packed": row panels and blocks of columns, or SELL slices for a vector.

    ``src/plan`` describes both layouts.
    """

    name = "packed"
    by_width = True
    needs_csr = False
    restores = True

    def __init__(self, csr, n, storage=PLAIN, workers=None, height=1):
        self.like = _Like(csr)
        self.storage = storage
        start = time.perf_counter()
        status, self.packed = self._pack(csr, n, resolve_workers(workers))
        if status:
            raise_status(status, csr, "A")
        self.operand = self.packed
        self.packing_seconds = time.perf_counter() - start
        self.entries = csr.nnz
        self._promoted = None

    def _pack(self, csr, n, threads):
        """Return the status of packing, and what was packed."""
        arrays, stored = sparse_arrays(csr, csr.dtype, "A"), self.storage
        if n == 1 and stored.in_slices:
            scales, group = scales_of(csr, stored)
            status, made = _core.pack_stored(arrays, scales, group, threads, 0, stored.number, True)
            if status != _core.ERR_SPARSE:
                return status, made
        self.storage = stored.of_panels
        width = width_class(n, csr.dtype)
        return _core.pack(arrays, width, 0, threads, 0, self.storage.number)

    def multiply(self, B, out, alpha, beta, bias, activation, order, workers):
        """Return the product by packed values if `B` keeps their dtype, else by CSR."""
        options = (out, alpha, beta, bias, activation, order)
        result = _core.spmm_fast(self.packed, B, *options, workers, True)
        if result is not None:
            return result
        csr = self._promoted
        if csr is not None and type(B) is np.ndarray and B.dtype == csr.dtype != self.like.dtype:
            result = _core.spmm_fast(csr, B, *options, workers, False)
            if result is not None:
                return result
        if not _keeps_dtype(self.like, B):
            csr = self._promoted_csr(B)
            return spmm(
                csr, B, out=out, alpha=alpha, beta=beta, bias=bias, activation=activation,
                order=order, workers=workers, check=False,
            )  # fmt: skip
        return multiply_packed(self.packed, self.like, B, *options, workers=workers)

    def _promoted_csr(self, B):
        """Return the matrix in CSR for products with a `B` of another dtype.

        Its values have the dtype of the product if kernels have that dtype.  It is kept for later
        products.
        """
        dtype = _promoted(B, self.like.dtype)
        csr = self._promoted
        if csr is None or csr.dtype != dtype:
            csr = self.csr
            csr = known_canonical(
                csr.data.astype(dtype, copy=False), csr.indices, csr.indptr, csr.shape
            )
            self._promoted = csr
        return csr

    @property
    def promoted(self):
        """The dtype of earlier products that could not use the packed data, or None."""
        return None if self._promoted is None else self._promoted.dtype

    @property
    def nbytes(self):
        """The memory that it takes."""
        csr = self._promoted
        arrays = () if csr is None else (csr.data, csr.indices, csr.indptr)
        return self.packed.nbytes + sum(array.nbytes for array in arrays)

    @property
    def csr(self):
        """The matrix in CSR, restored at each access."""
        return self.restored()

    def restored(self):
        """Return the matrix in CSR, restored from the packed data."""
        like = self.like
        offsets = np.empty(like.shape[0] + 1, like.index_dtype)
        indices, values = np.empty(like.nnz, like.index_dtype), np.empty(like.nnz, like.dtype)
        status = self.packed.unpack(offsets, indices, values)
        if status:
            raise_status(status, like, "W")
        if self.packed.layout == "sell":
            rows = sp.csr_array((values, indices, offsets), shape=like.shape)
            rows.has_sorted_indices = False
            rows.sort_indices()
            values, indices, offsets = rows.data, rows.indices, rows.indptr
        return known_canonical(values, indices, offsets, like.shape)

    def describe(self):
        """Return a description of the kernel."""
        columns = self.packed.block_rows
        values = "" if self.storage.name is None else f", values in {self.storage.describe()}"
        share = self.packed.shared / max(1, self.entries)
        common = f", {100 * share:.3g}% in rows with common columns" if share else ""
        if self.packed.layout == "sell":
            return f"{self.name}: SELL slices of rows, windows of {columns} columns{common}{values}"
        row_panels = f"row panels by their length, blocks of {columns} columns"
        return f"{self.name}: {row_panels}{common}{values}"


class Bitmap(Packed):
    """The strategy "bitmap": a bit for every place, and values of 16, 8 or 4 bits.

    It is for few columns and matrices that come from memory, of which it reads the fewest bytes.
    """

    name = "bitmap"
    by_width = False

    def _pack(self, csr, n, threads):
        arrays, stored = sparse_arrays(csr, csr.dtype, "A"), self.storage
        scales, group = (None, 0) if stored.steps is None else scales_of(csr, stored)
        return _core.pack_stored(arrays, scales, group, threads, 0, stored.number)

    def describe(self):
        """Return a description of the kernel."""
        return f"{self.name}: a bit for every place, values in {self.storage.describe()}"


class Padded(Packed):
    """The strategy "padded": packed, after zeros gave neighbouring rows the same columns.

    These rows share the loads of `B`, as the rows of full blocks do.
    """

    name = "padded"
    needs_csr = True
    restores = False  # padding cannot be distinguished from explicit zeros
    csr = None

    def __init__(self, csr, n, storage=PLAIN, workers=None, height=1):
        start = time.perf_counter()
        filled = padded(csr, height)
        super().__init__(filled, n, storage, workers)
        self.operand = None  # products must check `B` first
        self.csr = csr
        self.height = height
        self._sum = _sum_over(added_columns(csr, filled), csr)
        self.packing_seconds = time.perf_counter() - start

    @property
    def nbytes(self):
        """The memory that it takes."""
        return super().nbytes + self._sum.data.nbytes + self._sum.indices.nbytes

    def _suits(self, B, workers):
        """Return whether padding times `B` is zero, which infinity and NaN would prevent.

        A product sums the rows of `B` that padding meets: if the sums are finite, so are the rows.
        It takes 2.3 us for a vector of 2048 and 6 us for 64 columns, where NumPy's sum takes 3 and
        20 us (Zen 5).  False is also returned if finite rows have sums that overflow.
        """
        sums = _core.spmm_fast(self._sum, B, workers=workers, check=False)
        if sums is None:
            sums = spmm(self._sum, B, workers=workers, check=False)
        return np.isfinite(sums).all()

    def multiply(self, B, out, alpha, beta, bias, activation, order, workers):
        """Return the product by packed values if padding times `B` is zero, else by CSR."""
        suits = _keeps_dtype(self.csr, B) and self._suits(B, workers)
        strategy = Packed if suits else Rows
        return strategy.multiply(self, B, out, alpha, beta, bias, activation, order, workers)

    def describe(self):
        """Return a description of the kernel."""
        share = 100 * (self.entries / max(1, self.csr.nnz) - 1)
        return f"{super().describe()}, {self.height} rows at a time filled up ({share:.3g}% zeros)"


class Dense(Rows):
    """The strategy "dense": a dense array, multiplied by NumPy's BLAS with its threads."""

    name = "dense"
    needs_csr = False

    def __init__(self, csr, n, storage=PLAIN, workers=None, height=1):
        start = time.perf_counter()
        self.like = _Like(csr)
        self.dense = csr.toarray()
        self.operand = None
        # A dense array does not distinguish explicit zeros from structural ones.
        self.restores = np.count_nonzero(self.dense) == csr.nnz
        self.needs_csr = not self.restores
        self._csr = csr if self.needs_csr else None
        self.packing_seconds = time.perf_counter() - start

    @property
    def csr(self):
        """The matrix in CSR, for products that the dense array cannot do; kept after first use."""
        if self._csr is None:
            self._csr = self.restored()
        return self._csr

    @property
    def nbytes(self):
        """The memory in bytes, without a CSR that the state counts."""
        csr = None if self.needs_csr else self._csr
        arrays = () if csr is None else (csr.data, csr.indices, csr.indptr)
        return self.dense.nbytes + sum(array.nbytes for array in arrays)

    def restored(self):
        """Return the matrix in CSR, restored from the dense array."""
        like, rows = self.like, self.dense != 0
        offsets = np.zeros(like.shape[0] + 1, like.index_dtype)
        np.cumsum(np.count_nonzero(rows, axis=1), out=offsets[1:])
        indices = np.nonzero(rows)[1].astype(like.index_dtype)
        return known_canonical(self.dense[rows], indices, offsets, like.shape)

    def multiply(self, B, out, alpha, beta, bias, activation, order, workers):
        """Return the product by ``numpy.matmul``, or by CSR.

        CSR is used if zeros times `B` might not be zero, or if `workers` allows fewer threads than
        the BLAS has.
        """
        few = thread_count(workers) < blas_threads()
        if not few and _keeps_dtype(self.like, B) and _is_finite(B):
            return multiply_dense(
                self.dense, B, out, alpha, beta, bias, activation, order, workers=workers
            )
        return super().multiply(B, out, alpha, beta, bias, activation, order, workers)

    def describe(self):
        """Return a description of the kernel."""
        return f"{self.name}: zeros written out, numpy.matmul"


class _Like:
    """The facts about a CSR array, without its arrays."""

    format = "csr"
    ndim = 2

    def __init__(self, csr):
        self.shape, self.dtype, self.nnz = csr.shape, csr.dtype, csr.nnz
        self.index_dtype = csr.indices.dtype


KERNELS = {kernel.name: kernel for kernel in (Rows, Packed, Bitmap, Padded, Dense)}


def _sum_over(columns, csr):
    """Return a matrix of one row of ones at `columns`, which sums these rows of an operand."""
    ends = np.array([0, columns.size], csr.indptr.dtype)
    return known_canonical(np.ones(columns.size, csr.dtype), columns, ends, (1, csr.shape[1]))


def _is_finite(B):
    """Return whether all of `B` is finite; False also if the sum of finite elements overflows."""
    with np.errstate(all="ignore"):
        return np.isfinite(np.sum(B))


def _promoted(B, own):
    """Return the promotion of `own` and B's dtype if kernels have that dtype, else `own`."""
    dtype = np.result_type(dense_array(B, "B", np.asanyarray).dtype, own)
    return dtype if dtype in NATIVE else own


def _keeps_dtype(csr, B):
    """Return whether the product has the dtype of the packed values; False for an invalid `B`."""
    try:
        B = np.asanyarray(B)
    except ValueError:
        return False
    return B.dtype.kind in "biuf" and np.result_type(B.dtype, csr.dtype) == csr.dtype
