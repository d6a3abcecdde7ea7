"""The product of a matrix and a sparse vector, which reads only the active columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, overload

import numpy as np
import scipy.sparse as sp

from .. import _core
from .._inputs import tensors
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

    from .._inputs.types import Out, Result, SparseLike, Tensor

__all__ = ["spmspv"]


@overload
def spmspv(  # type: ignore[overload-overlap]  # types of tensors tell no layouts
    A: SparseLike | ArrayLike,
    x: Tensor[Result],
    *,
    out: None = None,
    workers: int | None = None,
    check: bool = True,
) -> Result: ...


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
    out: Any = None,
    workers: int | None = None,
    check: bool = True,
) -> Any:
    """Multiply a matrix and a sparse vector [1]_: only the vector's active columns are read.

    Parameters
    ----------
    A : sparse array or matrix, or array_like, of shape (m, k)
        The matrix.  CSC is used as it is; other sparse formats are converted by ``tocsc()`` at
        every call.  In a dense matrix in Fortran order only the active columns are read; in another
        order they are copied first.
    x : array_like of shape (k,), or sparse array or matrix of shape (k,), (k, 1) or (1, k)
        The vector.  A column is active where a dense vector is not zero (NaN is active), or where a
        sparse vector has an entry, which may be an explicit zero.  Duplicates are summed.
    out : ndarray of shape (m,), optional
        The array for the result, which is returned.  It has the dtype of the result, and must not
        overlap `A` or `x`.
    workers : int, optional
        The largest number of threads, as in `spmm`.
    check : bool, optional
        Whether to check index arrays before data are read through them; in CSC those of the active
        columns are checked.  With False the caller guarantees that those of `A` are valid.

    Returns
    -------
    ndarray of shape (m,)
        float32 or float64, as NumPy promotes both operands.  scipy or NumPy multiplies integer,
        complex and other dtypes, with the zeros of `x`.  If `x` is a tensor of PyTorch, the result
        is one; see :ref:`foreign`.

    Raises
    ------
    TypeError
        If an argument has the wrong type.
    ValueError
        If shapes do not fit, `out` overlaps an operand, or a sparse operand is corrupted.

    See Also
    --------
    spmm : multiplies by a dense vector or matrix.
    prepare : packs a matrix for many products with dense operands.

    Notes
    -----
    The call takes ``2 * sum(nnz of the active columns)`` operations, ``k`` reads of a dense `x`,
    ``m`` writes, and memory for the entries of `x`.  From some 16,000 entries on, the active
    columns are cut into parts with sums of their own, which threads compute.  The number of parts
    depends on the operands alone, so results have the same bits for every number of threads.
    Columns that are not active are not read: NaN there does not reach the result, as in
    ``A[:, active] @ x[active]``.

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
    sparse = find_sparse(A, "A")
    vector = find_sparse(x, "x")
    if tensors.found(A, x, out):
        operands = {"A": A if sparse is None else sparse, "x": x if vector is None else vector}
        options = {"out": out, "workers": workers, "check": check}
        leads = (A, x) if sparse is None else (x,)
        return tensors.call(spmspv, operands, options, *leads)
    A = _dense(A, "A") if sparse is None else sparse
    x = _dense(x, "x") if vector is None else vector
    return _spmspv(A, x, out, workers, check)


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
        # Some versions of scipy return a scalar for a row in COO times a vector.
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
        arrays = widened(arrays)  # `ids`, the numbers of columns, need 64 bits
    ids, values = np.ascontiguousarray(ids, arrays.indices.dtype), np.ascontiguousarray(values)
    direct = out is not None and out.flags.carray
    y = out if direct else np.empty(shape[0], dtype)
    status = _core.spmspv(arrays, ids, values, y, threads, _core.trusted_flags(A, check))
    if status:
        raise_status(status, A, "A")
    return y if direct else write(out, y)


def _dense(value, name):
    return np.asarray(numbers(dense_array(value, name), name))


def _active_columns(A, ids, values, threads):
    """Return the product of the columns `ids` of a dense matrix, in the dtype of `values`."""
    m, k = A.shape
    if A.dtype != values.dtype or not A.flags.f_contiguous or not A.flags.aligned:
        with np.errstate(all="ignore"):  # silent, as the kernels are
            return values @ A.T[ids].astype(values.dtype, copy=False)
    # The transpose of A is a row-major operand, and x becomes a sparse matrix of one row, so that
    # `spmm` reads the active columns without a copy.
    offsets = np.array([0, ids.size], np.int64)
    indices, data = np.ascontiguousarray(ids, np.int64), np.ascontiguousarray(values)
    x = _core.SparseArrays(_core.CSR, (1, k), (1, 1), offsets, indices, None, data)
    y = np.empty((1, m), values.dtype)
    status = _core.spmm(x, A.T, y, 1.0, 0.0, None, None, 0, threads, 0)
    if status:
        raise_status(status, A, "A")
    return y[0]


def _entries(x, shape, check):
    """Return the active positions of a vector and its values there."""
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
    """Return `A` and the active columns; columns are renumbered if most of them are empty."""
    A = validated(A, "A", check=check) if A.format in KERNEL_FORMATS else to_csr(A, "A")
    if not is_hypersparse(A.shape[1], A.data.size + ids.size):
        return A, ids
    rows, cols = positions(A)
    used = np.unique(np.concatenate([cols, ids]))
    coords = rows, np.searchsorted(used, cols)
    A = sp.coo_array((A.data.reshape(-1), coords), shape=(A.shape[0], used.size))
    return A, np.searchsorted(used, ids)


def _vector(x, ids, values, size):
    """Return the vector as a dense array of `size` elements."""
    if not sp.issparse(x):
        return x
    dense = np.zeros(size, x.dtype)
    np.add.at(dense, ids, values)
    return dense
