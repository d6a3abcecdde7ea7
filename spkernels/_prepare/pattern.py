"""A structure that is inspected once, for many sampled products."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, overload

import numpy as np
import scipy.sparse as sp

from .. import _core
from .._inputs import canonical, tensors
from .._inputs.dense import NATIVE
from .._inputs.errors import raise_status
from .._inputs.scalars import as_extent, scalar
from .._inputs.sparse import check_pattern_columns, sparse_arrays
from .._ops.sddmm import (
    batch_result,
    batch_values,
    check_sparse_out,
    factors,
    leading,
    native,
    sddmm,
    supported,
    with_data,
)
from .._runtime.describe import describe
from .._runtime.threads import resolve_workers

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from .._inputs.types import Matrix, Result, SparseLike, SparseOut, Stack, Tensor, Unranked

__all__ = ["PreparedPattern", "prepare_pattern"]


class PreparedPattern:
    """A sparse matrix that is inspected for sampled products; `prepare` makes it.

    It holds copies, and any number of threads may use it at once.  It can be pickled.

    Attributes
    ----------
    shape : (int, int)
        The numbers of rows and columns.
    dtype : numpy.dtype
        The dtype of the values, which `beta` and `scale` read: float32 or float64.
    nnz : int
        The number of entries, after duplicates are summed.
    nbytes : int
        The memory in use, in bytes.
    """

    def __init__(self, csr, k, workers):
        self._csr = csr
        self._k = k
        self._workers = workers
        arrays = sparse_arrays(csr, None, "P")
        trusted = _core.CHECKED | _core.SORTED
        status, self._column_runs = _core.column_runs_of(arrays, resolve_workers(workers), trusted)
        if status:
            raise_status(status, csr, "P")

    def __reduce__(self):
        return type(self), (self._csr, self._k, self._workers)

    @property
    def shape(self) -> tuple[int, int]:
        """The numbers of rows and columns."""
        return self._csr.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of the values."""
        return self._csr.dtype

    @property
    def nnz(self) -> int:
        """The number of entries, after duplicates are summed."""
        return self._csr.nnz

    @property
    def nbytes(self) -> int:
        """The memory in use, in bytes."""
        csr = self._csr
        arrays = csr.data.nbytes + csr.indices.nbytes + csr.indptr.nbytes
        return arrays + self._column_runs.nbytes

    @overload
    def sddmm(
        self,
        X: Tensor[Result],
        Y: ArrayLike,
        *,
        out: None = None,
        alpha: float = 1.0,
        beta: float = 0.0,
        scale: bool = False,
        workers: int | None = None,
    ) -> Result: ...
    @overload
    def sddmm(
        self,
        X: ArrayLike,
        Y: ArrayLike,
        *,
        out: SparseOut,
        alpha: float = 1.0,
        beta: float = 0.0,
        scale: bool = False,
        workers: int | None = None,
    ) -> SparseOut: ...
    @overload
    def sddmm(
        self,
        X: Unranked,
        Y: ArrayLike,
        *,
        out: None = None,
        alpha: float = 1.0,
        beta: float = 0.0,
        scale: bool = False,
        workers: int | None = None,
    ) -> Any: ...
    @overload
    def sddmm(
        self,
        X: ArrayLike,
        Y: Unranked,
        *,
        out: None = None,
        alpha: float = 1.0,
        beta: float = 0.0,
        scale: bool = False,
        workers: int | None = None,
    ) -> Any: ...
    @overload
    def sddmm(
        self,
        X: Matrix,
        Y: Matrix,
        *,
        out: None = None,
        alpha: float = 1.0,
        beta: float = 0.0,
        scale: bool = False,
        workers: int | None = None,
    ) -> sp.csr_array: ...
    @overload
    def sddmm(
        self,
        X: Stack,
        Y: ArrayLike,
        *,
        out: None = None,
        alpha: float = 1.0,
        beta: float = 0.0,
        scale: bool = False,
        workers: int | None = None,
    ) -> NDArray[Any]: ...
    @overload
    def sddmm(
        self,
        X: ArrayLike,
        Y: ArrayLike,
        *,
        out: None = None,
        alpha: float = 1.0,
        beta: float = 0.0,
        scale: bool = False,
        workers: int | None = None,
    ) -> Any: ...
    def sddmm(
        self,
        X: Any,
        Y: Any,
        *,
        out: SparseLike | NDArray[Any] | None = None,
        alpha: float = 1.0,
        beta: float = 0.0,
        scale: bool = False,
        workers: int | None = None,
    ) -> Any:
        """Sample the product of two dense matrices at the entries; see `spkernels.sddmm`.

        Parameters
        ----------
        X : array_like of shape (..., m, k)
            The left factor.
        Y : array_like of shape (..., k, n)
            The right factor; ``Yt.T`` of a row-major `Yt` is the fastest layout.
        out : csr_array or ndarray, optional
            The array for the result, as in `spkernels.sddmm`.
        alpha, beta, scale
            As in `spkernels.sddmm`.
        workers : int, optional
            The largest number of threads; by default the number that `prepare` was given.

        Returns
        -------
        csr_array, or ndarray of shape (..., nnz)
            The samples: in CSR with sorted indices or, with leading dimensions, the values alone.

        Raises
        ------
        TypeError, ValueError
            As `spkernels.sddmm`.

        Examples
        --------
        >>> import numpy as np
        >>> import scipy.sparse as sp
        >>> import spkernels
        >>> W = spkernels.prepare(sp.csr_array([[0.0, 3.0], [1.0, 0.0]]), op="sddmm", k=2)
        >>> X, Y = np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[5.0, 6.0], [7.0, 8.0]])
        >>> W.sddmm(X, Y).toarray()
        array([[ 0., 22.],
               [43.,  0.]])
        >>> W.sddmm(np.stack([X, 2 * X]), Y)
        array([[22., 43.],
               [44., 86.]])
        """
        P = self._csr
        workers = self._workers if workers is None else workers
        values = _core.sddmm_fast(
            P, X, Y, out, alpha, beta, scale, workers, False, self._column_runs
        )
        if values is not None:
            return with_data(P, values) if out is None else out
        if tensors.dense_among(X, Y) or tensors.found(out):
            options = {
                "out": out, "alpha": alpha, "beta": beta, "scale": scale, "workers": workers,
            }  # fmt: skip
            operands = {"P": self, "X": X, "Y": Y}
            like = X if tensors.found(X) else Y
            return tensors.call(PreparedPattern.sddmm, operands, options, X, Y, like=like)
        threads = resolve_workers(workers)
        X, Y = factors(P, X, Y)
        batch = X.ndim > 2 or Y.ndim > 2
        dtype = supported(P.dtype, X.dtype, Y.dtype)
        alpha, beta = scalar(alpha, "alpha"), scalar(beta, "beta")
        if dtype not in NATIVE:
            return sddmm(P, X, Y, out=out, alpha=alpha, beta=beta, scale=scale, workers=workers)
        lead, X, Y = leading(X, Y)
        if batch:
            values = batch_values(out, (*lead, P.nnz), dtype)
        else:
            values = (
                _core.empty((P.nnz,), dtype) if out is None else check_sparse_out(out, P, dtype)
            )
        for head in np.ndindex(lead):
            native(P, X[head], Y[head], values[head], alpha, beta, scale, threads, False,
                   self._column_runs)
        if batch:
            return batch_result(out, values)
        return with_data(P, values) if out is None else out

    def explain(self, k: int | None = None) -> str:
        """Return the shares of entries that are sampled by tiles and row by row.

        Parameters
        ----------
        k : int, optional
            The number of elements of a row of X; by default the number that `prepare` was given.

        Returns
        -------
        str
            Lines of text.

        Raises
        ------
        TypeError, ValueError
            If `k` is not a positive integer.
        """
        k = self._k if k is None else as_extent(k, "k")
        tiled = self._column_runs.tiled(k)
        share = tiled / self.nnz if self.nnz else 0.0
        rows, cols = self.shape
        lines = [
            f"{rows} x {cols} pattern of {self.nnz} entries, k = {k}",
            f"{share:7.1%} by tiles of 16 rows, against all columns that one of them has",
            f"{1 - share:7.1%} row by row, eight dot products at a time",
        ]
        if self.nnz and share < 0.5:
            lines.append("tiles hold less than half of it: all of it goes row by row")
        return "\n".join(lines)

    def __repr__(self) -> str:
        return describe(
            "PreparedPattern",
            self.shape,
            f"{self.nnz} stored",
            self.dtype,
            f"kernel chosen by each product, for rows of {self._k} elements",
        )

    def __sizeof__(self) -> int:
        return object.__sizeof__(self) + self.nbytes


def prepare_pattern(P, dtype, k, workers):
    """Return the `PreparedPattern` of a sparse 2-D matrix `P`."""
    check_pattern_columns(P.shape, "A")
    csr, _ = canonical.canonical(P, dtype, "A")
    return PreparedPattern(csr, k, workers)
