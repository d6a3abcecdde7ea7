"""The product of two sparse matrices as a dense one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, overload

import numpy as np
import scipy.sparse as sp

from .. import _core
from .._inputs import tensors
from .._inputs.arrays import transposed_arrays, widened
from .._inputs.dense import NATIVE
from .._inputs.errors import raise_status
from .._inputs.foreign import as_sparse
from .._inputs.out import check_apart, check_out_dtype, write
from .._inputs.sparse import (
    KERNEL_FORMATS,
    is_hypersparse,
    normalised,
    positions,
    sparse_arrays,
    to_csc,
    to_csr,
    validated,
)
from .._runtime.threads import resolve_workers
from .crossover import goes_by_columns

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .._inputs.types import Operand, Out, Result, SparseLike, Tensor

__all__ = ["spmspm"]


@overload
def spmspm(  # type: ignore[overload-overlap]  # types of tensors tell no layouts
    A: Tensor[Result],
    B: SparseLike,
    *,
    out: None = None,
    workers: int | None = None,
) -> Result: ...


@overload
def spmspm(  # type: ignore[overload-overlap]  # types of tensors tell no layouts
    A: SparseLike,
    B: Tensor[Result],
    *,
    out: None = None,
    workers: int | None = None,
) -> Result: ...


@overload
def spmspm(
    A: SparseLike,
    B: SparseLike,
    *,
    out: None = None,
    workers: int | None = None,
) -> NDArray[Any]: ...


@overload
def spmspm(
    A: SparseLike,
    B: SparseLike,
    *,
    out: Out,
    workers: int | None = None,
) -> Out: ...


def spmspm(
    A: SparseLike,
    B: SparseLike,
    *,
    out: Any = None,
    workers: int | None = None,
) -> Any:
    """Multiply two sparse matrices into a dense one: ``(A @ B).toarray()`` in one pass.

    Parameters
    ----------
    A : sparse array or matrix of shape (m, k)
        The left operand.  Two operands in CSR, or two in CSC, are used as they are, unless it pays
        to convert both.  Other formats are converted to the format that takes the least time.
    B : sparse array or matrix of shape (k, n)
        The right operand, likewise.
    out : ndarray of shape (m, n), optional
        The array for the result, which is returned.  It has the dtype of the result, and must not
        overlap `A` or `B`.
    workers : int, optional
        The largest number of threads, as in `spmm`.

    Returns
    -------
    ndarray of shape (m, n)
        float32 or float64, as NumPy promotes both operands; scipy multiplies other dtypes.  A new
        result that was computed by columns (see Notes) is in Fortran order.  If `A` or `B` is a
        sparse tensor of PyTorch, the result is a tensor; see :ref:`foreign`.

    Raises
    ------
    TypeError
        If `A` or `B` is not sparse, or `out` is not an ndarray.
    ValueError
        If shapes do not fit, `out` overlaps an operand, or an operand is corrupted.

    See Also
    --------
    spmspv : multiplies a matrix by one sparse vector.
    spmm : multiplies a sparse matrix by a dense one.

    Notes
    -----
    The call takes two operations for each pair of an entry of `A` and an entry of the row of `B`
    that it meets, ``m * n`` writes, and no memory besides the result.

    By rows [1]_, each entry of `A` adds a row of `B` to a row of the result.  By columns, each
    entry of `B` adds a column of `A` to a column of the result.  The faster way is the one that
    begins fewer rows or columns.  Weights times a batch of activations are multiplied by columns,
    best with both in CSC, which is the format of ``kwinners(X, k, format="csr").T``.  A batch times
    weights is multiplied by rows, best in CSR.  Rows (columns) are distributed over threads, and
    results have the same bits for every number of threads.

    This product is for results with many nonzeros, which scipy's product builds as sparse arrays
    first.  If activations are not very sparse, ``prepare(A) @ B.toarray()`` is faster.  With
    weights of 2048 x 2048, of which 95% are zero, and two threads (Zen 5), this product is faster
    from some 97% of zeros on in a batch of 32 to 128 activations, and from 98 to 99% on in a batch
    of 8.  At 90% of zeros the prepared product takes half the time.

    References
    ----------
    .. [1] F. Gustavson, "Two fast algorithms for sparse matrices: multiplication and permuted
       transposition", ACM Transactions on Mathematical Software 4, 1978.

    Examples
    --------
    >>> import scipy.sparse as sp
    >>> from spkernels import spmspm
    >>> A = sp.csr_array([[1.0, 0.0, 2.0], [0.0, 3.0, 0.0]])
    >>> spmspm(A, A.T)
    array([[5., 0.],
           [0., 9.]])
    """
    if tensors.found(A, B, out):
        operands = {"A": as_sparse(A, "A"), "B": as_sparse(B, "B")}
        return tensors.call(spmspm, operands, {"out": out, "workers": workers}, A, B)
    A, B = as_sparse(A, "A"), as_sparse(B, "B")
    for operand, name in ((A, "A"), (B, "B")):
        if operand.ndim != 2:
            raise ValueError(f"{name} must be 2-D, got shape {operand.shape}")
    if A.shape[1] != B.shape[0]:
        raise ValueError(
            f"dimension mismatch in A @ B: A has shape {A.shape} and B has shape {B.shape}"
        )
    threads = resolve_workers(workers)
    shape = (int(A.shape[0]), int(B.shape[1]))
    dtype = np.result_type(A.dtype, B.dtype)
    check_apart(out, shape, {"A": A, "B": B})
    A, B = _with_kernels(A, "A"), _with_kernels(B, "B")
    if not A.format == B.format in ("csr", "csc"):
        A, B = _without_gaps(A, B)
    if dtype not in NATIVE:
        return write(out, (validated(A, "A") @ validated(B, "B")).toarray())
    if out is not None:
        check_out_dtype(out, dtype)
    by_columns = goes_by_columns(A, B)
    left, right = _as_csr(A, dtype, "A", by_columns), _as_csr(B, dtype, "B", by_columns)
    if by_columns:  # B^T A^T is the transpose of A B
        left, right = right, left
    if left.indices.dtype != right.indices.dtype:
        left, right = widened(left), widened(right)
    into = out if out is None or not by_columns else out.T
    direct = into is not None and into.flags.carray
    C: Any = into if direct else _core.empty(shape[::-1] if by_columns else shape, dtype)
    status = _core.spmspm(left, right, C, threads)
    if status:
        # An operand is corrupted: `validated` raises the error that names it.
        validated(A, "A")
        validated(B, "B")
        raise_status(status, A, "A")
    return out if out is not None and direct else write(out, C.T if by_columns else C)


def _with_kernels(A: Any, name: str) -> Operand:
    return normalised(A, name) if A.format in KERNEL_FORMATS else to_csr(A, name)


def _without_gaps(A, B):
    """Return A and B without columns of `A` and rows of `B` that are empty, if most are empty."""
    if not is_hypersparse(A.shape[1], A.data.size + B.data.size):
        return A, B
    A, B = validated(A, "A"), validated(B, "B")
    (rows, inner), (other, cols) = positions(A), positions(B)
    used = np.unique(np.concatenate([inner, other]))
    left, right = (rows, np.searchsorted(used, inner)), (np.searchsorted(used, other), cols)
    return (
        sp.coo_array((A.data.reshape(-1), left), shape=(A.shape[0], used.size)),
        sp.coo_array((B.data.reshape(-1), right), shape=(used.size, B.shape[1])),
    )


def _as_csr(A, dtype, name, transposed):
    """Return the CSR arrays of `A` or, with `transposed`, of its transpose."""
    wanted = "csc" if transposed else "csr"
    if A.format != wanted:
        A = (to_csc if transposed else to_csr)(A, name, dtype=dtype)
    arrays = sparse_arrays(A, dtype, name)
    return transposed_arrays(arrays) if transposed else arrays
