"""A matrix times a sparse vector, of whose columns only the active ones are read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, overload

import numpy as np
import scipy.sparse as sp

from .. import _core
from .._inputs.arrays import widened
from .._inputs.dense import NATIVE, dense_array, numbers
from .._inputs.errors import raise_status
from .._inputs.foreign import find_sparse
from .._inputs.out import check_apart, check_out_dtype, write
from .._inputs.sparse import (
    KERNEL_FORMATS,
    is_hypersparse,
    positions,
    sparse_arrays,
    to_csc,
    to_csr,
    validated,
)
from .._runtime.threads import resolve_workers

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from .._inputs.types import Out, SparseLike

__all__ = ["spmspv"]


@overload
def spmspv(
    A: SparseLike | ArrayLike,
    x: SparseLike | ArrayLike,
    *,
    out: None = None,
    workers: int | None = None,
    check: bool = True,
) -> NDArray[Any]: ...


@overload
def spmspv(
    A: SparseLike | ArrayLike,
    x: SparseLike | ArrayLike,
    *,
    out: Out,
    workers: int | None = None,
    check: bool = True,
) -> Out: ...


def spmspv(
    A: SparseLike | ArrayLike,
    x: SparseLike | ArrayLike,
    *,
    out: NDArray[Any] | None = None,
    workers: int | None = None,
    check: bool = True,
) -> NDArray[Any]:
    """Multiply a matrix and a sparse vector, reading only the columns where the vector has entries.

    Parameters
    ----------
    A : sparse array or matrix, or array_like, of shape (m, k)
        CSC is used as it is; other sparse formats go through ``tocsc()`` at every call.  Of a dense
        matrix in Fortran order only the active columns are read; in any other order they are
        gathered.
    x : array_like of shape (k,), or sparse array or matrix of shape (k,), (k, 1) or (1, k)
        Active are the elements of a dense vector that are not zero (NaN is not), and the stored
        entries of a sparse one, explicit zeros among them; duplicates add up.
    out : ndarray of shape (m,), optional
        Where to write, with the dtype of the result, apart from `A` and `x`; returned.
    workers : int, optional
        Threads, at most, as in `spmm`.
    check : bool, optional
        Whether to check the index arrays before anything is read through them: in CSC those of the
        active columns.  With False the caller vouches for those of `A`.

    Returns
    -------
    ndarray of shape (m,)
        float32 or float64, as NumPy promotes both; integer, complex and other dtypes are
        multiplied by scipy (or NumPy), zeros of `x` included.

    Raises
    ------
    TypeError
        If an argument has the wrong type.
    ValueError
        If shapes do not fit, `out` overlaps an operand, or a sparse operand is corrupted.

    See Also
    --------
    spmm : the product with a dense vector or matrix.
    prepare : a matrix packed for many products with dense ones.

    Notes
    -----
    Takes ``2 * sum(nnz of the active columns)`` operations, ``k`` looks at a dense `x`, ``m``
    writes, and memory for the entries of `x`.  From some 16,000 entries on, the active columns are
    cut into parts, which go to threads, each with sums of its own; how many parts depends on the
    operands alone, so that results have the same bits for every number of threads.  Columns that
    are not active are not read: NaN there reaches nothing, as in ``A[:, active] @ x[active]``.

    References
    ----------
    .. [1] A. Azad, A. Buluc, "A work-efficient parallel sparse matrix-sparse vector multiplication
       algorithm", IPDPS 2017.

    Examples
    --------
    >>> import numpy as np
    >>> import scipy.sparse as sp
    >>> from spkernels import spmspv
    >>> A = sp.csc_array([[1.0, 0.0, 2.0], [0.0, np.nan, 3.0]])
    >>> spmspv(A, np.array([1.0, 0.0, 10.0]))
    array([21., 30.])
    """
    result = _core.spmspv_fast(A, x, out, workers, check)
    if result is not None:
        return result
    return _spmspv(_sparse_or_dense(A, "A"), _sparse_or_dense(x, "x"), out, workers, check)


def _spmspv(A, x, out, workers, check):
    """`spmspv` of operands that are scipy's or NumPy's."""
    threads = resolve_workers(workers)
    if A.ndim != 2:
        raise ValueError(f"A must be 2-D, got shape {A.shape}")
    shape = tuple(int(extent) for extent in A.shape)
    ids, values = _entries(x, shape, check)
    dtype = np.result_type(A.dtype, x.dtype)
    check_apart(out, shape[:1], {"A": A, "x": x})
    if sp.issparse(A) and sp.issparse(x) and A.format != "csc":
        A, ids = _narrowed(A, ids, check)
    if dtype not in NATIVE:
        if sp.issparse(A):
            A = validated(A, "A", check=check)
        # Some versions of scipy make a scalar of a row in COO times a vector.
        product = np.asarray(A @ _vector(x, ids, values, A.shape[1])).reshape(shape[:1])
        return write(out, product)
    if out is not None:
        check_out_dtype(out, dtype)
    values = values.astype(dtype, copy=False)
    if not sp.issparse(A):
        return write(out, _active_columns(A, ids, values, threads))
    if A.format != "csc":
        A = to_csc(A, "A", dtype=dtype, check=check)
    arrays = sparse_arrays(A, dtype, "A")
    if A.shape[1] > np.iinfo(np.int32).max:
        arrays = widened(arrays)  # for the numbers of columns
    ids, values = np.ascontiguousarray(ids, arrays.indices.dtype), np.ascontiguousarray(values)
    direct = out is not None and out.flags.carray
    y = out if direct else np.empty(shape[0], dtype)
    status = _core.spmspv(arrays, ids, values, y, threads, _core.trusted_flags(A, check))
    if status:
        raise_status(status, A, "A")
    return y if direct else write(out, y)


def _sparse_or_dense(value, name):
    """Return a sparse operand as one of scipy's, any other as an array."""
    sparse = find_sparse(value, name)
    return np.asarray(numbers(dense_array(value, name), name)) if sparse is None else sparse


def _active_columns(A, ids, values, threads):
    """Multiply some columns of a dense matrix, in the dtype of `values`."""
    m, k = A.shape
    if A.dtype != values.dtype or not A.flags.f_contiguous or not A.flags.aligned:
        with np.errstate(all="ignore"):  # silent, as the kernels are
            return values @ A.T[ids].astype(values.dtype, copy=False)
    # Columns of A are rows of its transpose, and x is a sparse matrix of one row: no copy of them.
    offsets = np.array([0, ids.size], np.int64)
    indices, data = np.ascontiguousarray(ids, np.int64), np.ascontiguousarray(values)
    x = _core.SparseArrays(_core.CSR, (1, k), (1, 1), offsets, indices, None, data)
    y = np.empty((1, m), values.dtype)
    status = _core.spmm(x, A.T, y, 1.0, 0.0, None, None, 0, threads, 0)
    if status:
        raise_status(status, A, "A")
    return y[0]


def _entries(x, shape, check):
    """Return where a vector is active and what it has there."""
    if x.shape not in ((shape[1],), (shape[1], 1), (1, shape[1]))[: 3 if sp.issparse(x) else 1]:
        raise ValueError(f"dimension mismatch in A @ x: A has shape {shape} and x {x.shape}")
    if not sp.issparse(x):
        ids = np.flatnonzero(x)
        return ids, x[ids]
    column = x.ndim == 2 and x.shape[1] == 1
    x = validated(x, "x", check=check)
    x = (x if x.format in KERNEL_FORMATS else to_csr(x, "x")).tocoo()
    return (x.row if column else x.col), x.data


def _narrowed(A, ids, check):
    """Return `A` and the active columns, the columns renumbered where most of them are empty."""
    A = validated(A, "A", check=check) if A.format in KERNEL_FORMATS else to_csr(A, "A")
    if not is_hypersparse(A.shape[1], A.data.size + ids.size):
        return A, ids
    rows, cols = positions(A)
    used = np.unique(np.concatenate([cols, ids]))
    coords = rows, np.searchsorted(used, cols)
    A = sp.coo_array((A.data.reshape(-1), coords), shape=(A.shape[0], used.size))
    return A, np.searchsorted(used, ids)


def _vector(x, ids, values, size):
    """Return a vector with its zeros."""
    if not sp.issparse(x):
        return x
    dense = np.zeros(size, x.dtype)
    np.add.at(dense, ids, values)
    return dense
