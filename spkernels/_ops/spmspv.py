"""Activations of which most are zero: how they are made so, and products with them."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np
import scipy.sparse as sp

from .. import _core
from .._inputs.dense import (
    NATIVE,
    apart_from,
    check_out,
    check_out_dtype,
    dense_array,
    native_order,
    numbers,
)
from .._inputs.foreign import as_sparse, find_sparse
from .._inputs.sparse import (
    KERNEL_FORMATS,
    is_hypersparse,
    normalised,
    positions,
    raise_status,
    sparse_arrays,
    to_csc,
    to_csr,
    transposed_arrays,
    validated,
)
from .._runtime.threads import resolve_workers

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from .._inputs.types import Out, SparseLike

__all__ = ["kwinners", "spmspm", "spmspv"]


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
    threads = resolve_workers(workers)
    A, x = _sparse_or_dense(A, "A"), _sparse_or_dense(x, "x")
    if A.ndim != 2:
        raise ValueError(f"A must be 2-D, got shape {A.shape}")
    shape = tuple(int(extent) for extent in A.shape)
    ids, values = _entries(x, shape, check)
    dtype = np.result_type(A.dtype, x.dtype)
    _check_out(out, shape[:1], {"A": A, "x": x})
    if sp.issparse(A) and sp.issparse(x) and A.format != "csc":
        A, ids = _narrowed(A, ids, check)
    if dtype not in NATIVE:
        if sp.issparse(A):
            A = validated(A, "A", check=check)
        # Some versions of scipy make a scalar of a row in COO times a vector.
        product = np.asarray(A @ _vector(x, ids, values, A.shape[1])).reshape(shape[:1])
        return _into(out, product)
    if out is not None:
        check_out_dtype(out, dtype)
    values = values.astype(dtype, copy=False)
    if not sp.issparse(A):
        return _into(out, _active_columns(A, ids, values, threads))
    if A.format != "csc":
        A = to_csc(A, "A", dtype=dtype, check=check)
    arrays = sparse_arrays(A, dtype, "A")
    if A.shape[1] > np.iinfo(np.int32).max:
        arrays = _widened(arrays)  # for the numbers of columns
    ids, values = np.ascontiguousarray(ids, arrays[4].dtype), np.ascontiguousarray(values)
    direct = out is not None and out.flags.carray
    y = out if direct else np.empty(shape[0], dtype)
    status = _core.spmspv(arrays, ids, values, y, threads, _core.trusted_flags(A, check))
    if status:
        raise_status(status, A, "A")
    return y if direct else _into(out, y)


def _sparse_or_dense(value, name):
    """Return a sparse operand as one of scipy's, any other as an array."""
    sparse = find_sparse(value, name)
    return np.asarray(numbers(dense_array(value, name), name)) if sparse is None else sparse


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
    out: NDArray[Any] | None = None,
    workers: int | None = None,
) -> NDArray[Any]:
    """Multiply two sparse matrices into a dense one: ``(A @ B).toarray()`` in one pass.

    Parameters
    ----------
    A : sparse array or matrix of shape (m, k)
        Two operands in CSR, or two in CSC, are used as they are, unless it pays to convert both.
        Other formats are converted to what takes least.
    B : sparse array or matrix of shape (k, n)
        The same.
    out : ndarray of shape (m, n), optional
        Where to write, with the dtype of the result, apart from `A` and `B`; returned.
    workers : int, optional
        Threads, at most, as in `spmm`.

    Returns
    -------
    ndarray of shape (m, n)
        float32 or float64, as NumPy promotes both; other dtypes are multiplied by scipy.  Where it
        was made by columns (see Notes), in Fortran order.

    Raises
    ------
    TypeError
        If `A` or `B` is not sparse, or `out` is no ndarray.
    ValueError
        If shapes do not fit, `out` overlaps an operand, or an operand is corrupted.

    See Also
    --------
    spmspv : the product with one sparse vector.
    spmm : the product with a dense matrix.

    Notes
    -----
    Takes two operations for each entry of `A` and each of the row of `B` that it meets, and
    ``m * n`` writes; no memory besides the result.  By rows, each entry of `A` adds a row of `B` to
    a row of the result; by columns, each entry of `B` adds a column of `A` to a column of it.  What
    counts is how often that is begun: weights times a batch of activations go by columns, with both
    in CSC, where ``kwinners(X, k, format="csr").T`` is, and a batch times weights by rows, in CSR.
    Rows (columns) go to threads; results have the same bits for every number of them.

    For results of which much is not zero: scipy's product builds them as sparse arrays first.  If
    activations are not very sparse, ``prepare(A) @ B.toarray()`` is faster: with weights of
    2048 x 2048, of which 95% are zero, and two threads, this product takes over at some 97% of
    zeros in a batch of 32 to 128 activations, at 98 to 99% in one of 8, and at 90% the prepared one
    takes half the time (Zen 5).

    References
    ----------
    .. [1] F. Gustavson, "Two fast algorithms for sparse matrices: multiplication and permuted
       transposition", ACM Transactions on Mathematical Software 4, 1978, for the product by rows.

    Examples
    --------
    >>> import scipy.sparse as sp
    >>> from spkernels import spmspm
    >>> A = sp.csr_array([[1.0, 0.0, 2.0], [0.0, 3.0, 0.0]])
    >>> spmspm(A, A.T)
    array([[5., 0.],
           [0., 9.]])
    """
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
    _check_out(out, shape, {"A": A, "B": B})
    A, B = _with_kernels(A, "A"), _with_kernels(B, "B")
    if not A.format == B.format in ("csr", "csc"):
        A, B = _without_gaps(A, B)
    if dtype not in NATIVE:
        return _into(out, (validated(A, "A") @ validated(B, "B")).toarray())
    if out is not None:
        check_out_dtype(out, dtype)
    by_columns = _by_columns(A, B)
    left, right = _as_csr(A, dtype, "A", by_columns), _as_csr(B, dtype, "B", by_columns)
    if by_columns:  # B^T A^T is the transpose of A B
        left, right = right, left
    if left[4].dtype != right[4].dtype:
        left, right = _widened(left), _widened(right)
    into = out if out is None or not by_columns else out.T
    direct = into is not None and into.flags.carray
    C = into if direct else np.empty(shape[::-1] if by_columns else shape, dtype)
    status = _core.spmspm(left, right, C, threads)
    if status:
        # One of them is corrupted: this tells which, and raises.
        validated(A, "A")
        validated(B, "B")
        raise_status(status, A, "A")
    return out if direct else _into(out, C.T if by_columns else C)


#: Nanoseconds that it takes to begin with another row or column, whose end cannot be predicted, and
#: to convert an entry (Zen 5).
_BEGIN, _CONVERT = 8.0, 3.0


def _with_kernels(A, name):
    return normalised(A, name) if A.format in KERNEL_FORMATS else to_csr(A, name)


def _without_gaps(A, B):
    """Return both without the columns of `A`, rows of `B`, that are empty, if most of them are."""
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


def _by_columns(A, B):
    """Whether a product of two sparse matrices is to go by columns: which begins less often."""
    rows, columns = _BEGIN * A.data.size, _BEGIN * B.data.size
    for operand in (A, B):
        rows += _CONVERT * operand.data.size * (operand.format != "csr")
        columns += _CONVERT * operand.data.size * (operand.format != "csc")
    return columns < rows


def _as_csr(A, dtype, name, transposed):
    """Return the arrays of `A`, or of its transpose, in CSR."""
    wanted = "csc" if transposed else "csr"
    if A.format != wanted:
        A = (to_csc if transposed else to_csr)(A, name, dtype=dtype)
    arrays = sparse_arrays(A, dtype, name)
    return transposed_arrays(arrays) if transposed else arrays


def _widened(arrays):
    """Return the same with 64-bit indices."""
    code, shape, block, offsets, indices, rows, data = arrays
    offsets, indices = (part.astype(np.int64, copy=False) for part in (offsets, indices))
    return code, shape, block, offsets, indices, rows, data


@overload
def kwinners(
    X: ArrayLike,
    k: int,
    *,
    axis: int = -1,
    format: Literal["dense"] = "dense",
    out: None = None,
    workers: int | None = None,
) -> NDArray[Any]: ...
@overload
def kwinners(
    X: ArrayLike,
    k: int,
    *,
    axis: int = -1,
    format: Literal["dense"] = "dense",
    out: Out,
    workers: int | None = None,
) -> Out: ...
@overload
def kwinners(
    X: ArrayLike,
    k: int,
    *,
    axis: int = -1,
    format: Literal["csr"],
    out: None = None,
    workers: int | None = None,
) -> sp.csr_array: ...
def kwinners(
    X: ArrayLike,
    k: int,
    *,
    axis: int = -1,
    format: Literal["dense", "csr"] = "dense",
    out: NDArray[Any] | None = None,
    workers: int | None = None,
) -> NDArray[Any] | sp.csr_array:
    """Keep the `k` largest elements along an axis, the winners, and make all others zero.

    Parameters
    ----------
    X : array_like of float32 or float64
        Of any number of dimensions but none.
    k : int
        How many to keep of each row; all where a row has fewer.
    axis : int, optional
        Along which rows are.
    format : {"dense", "csr"}, optional
        "csr" takes a 2-D `X` and its last axis.
    out : ndarray, optional
        Where to write a dense result, of X's shape and dtype; may be `X` itself.  Returned.
    workers : int, optional
        Threads, at most, as in `spmm`.

    Returns
    -------
    ndarray or csr_array
        Of X's shape and dtype.  In CSR a row has ``min(k, n)`` entries, in order, also where a
        winner is 0.

    Raises
    ------
    TypeError
        If `X` is neither float32 nor float64, or an argument has the wrong type.
    ValueError
        If `k` is negative, `format` is unknown or does not go with `X`, which has fewer than 2**31
        columns for "csr", or `out` does not fit.

    See Also
    --------
    spmspv : the product with what is kept of a vector.

    Notes
    -----
    Winners are the largest by value, not by magnitude.  Of equal ones, -0 and 0 among them, those
    of lower index win; NaN counts as larger than any number.  Takes at most 32 (float32) or 64
    (float64) looks at each row, by bisection on the bits of the k-th largest, whatever `k` is;
    another axis than the last takes a copy.  Rows go to threads; results do not depend on how many.

    References
    ----------
    .. [1] S. Ahmad, L. Scheinkman, "How can we be so dense? The benefits of using highly sparse
       representations", 2019, arXiv:1903.11257.

    Examples
    --------
    >>> import numpy as np
    >>> from spkernels import kwinners
    >>> X = np.array([[3.0, -1.0, 2.0, 3.0], [-4.0, -2.0, -3.0, -1.0]])
    >>> kwinners(X, 2)
    array([[ 3.,  0.,  0.,  3.],
           [ 0., -2.,  0., -1.]])
    >>> kwinners(X, 1, format="csr").indices
    array([0, 3], dtype=int32)
    """
    X = native_order(np.asarray(dense_array(X, "X")))
    if X.dtype not in NATIVE:
        raise TypeError(f"X must be float32 or float64, got dtype {X.dtype}")
    if X.ndim == 0:
        raise ValueError("X must have a dimension or more, got shape ()")
    try:
        k = operator.index(k)
    except TypeError:
        raise TypeError(f"k must be an integer, got {k!r}") from None
    if k < 0:
        raise ValueError(f"k must not be negative, got {k}")
    try:
        axis = operator.index(axis)
    except TypeError:
        raise TypeError(f"axis must be an integer, got {axis!r}") from None
    if not -X.ndim <= axis < X.ndim:
        raise ValueError(f"axis must be from {-X.ndim} to {X.ndim - 1}, got {axis}")
    axis %= X.ndim
    if not isinstance(format, str) or format not in ("dense", "csr"):
        raise ValueError(f"format must be 'dense' or 'csr', got {format!r}")
    k, threads = min(k, X.shape[axis]), resolve_workers(workers)
    if format == "csr":
        return _winners_csr(X, k, axis, out, threads)
    if out is not None:
        check_out(out, X.shape)
        check_out_dtype(out, X.dtype)
    rows = _rows(_last(X, axis))
    into = None if out is None else _last(out, axis)
    # In place is fine, but not at an offset.
    same = out is not None and out.ctypes.data == rows.ctypes.data
    rows = rows if same else apart_from(out, rows)
    target = into if into is not None and into.flags.carray else np.empty(rows.shape, rows.dtype)
    flat = (-1, rows.shape[-1]) if rows.size else (0, 0)
    _run_kwinners(rows.reshape(flat), k, target.reshape(flat), None, threads)
    if out is None:
        return target if axis == X.ndim - 1 else np.ascontiguousarray(np.moveaxis(target, -1, axis))
    if target is not into:
        into[...] = target
    return out


def _last(array, axis):
    """Return `array` with an axis moved behind the others."""
    return array if axis == array.ndim - 1 else np.moveaxis(array, axis, -1)


def _rows(array):
    """Return an aligned array whose rows lie one after the other."""
    array = np.ascontiguousarray(array)
    return array if array.flags.aligned else array.copy()


def _winners_csr(X, k, axis, out, threads):
    if X.ndim != 2 or axis != 1:
        raise ValueError(
            f"format 'csr' needs a 2-D X and its last axis, got shape {X.shape} and axis {axis}"
        )
    if out is not None:
        raise ValueError("out goes with format 'dense' only")
    m, n = X.shape
    if n > np.iinfo(np.int32).max:
        raise ValueError(
            f"X must have at most {np.iinfo(np.int32).max} columns for format 'csr', whose winners "
            f"are found in 32 bits, got shape {X.shape}"
        )
    indices = np.empty((m, k), np.int32)
    X = _rows(X)
    _run_kwinners(X, k, None, indices, threads)
    data = np.take_along_axis(X, indices.astype(np.intp), axis=1).ravel()
    itype = np.int32 if m * k <= np.iinfo(np.int32).max else np.int64
    indptr = np.arange(m + 1, dtype=itype) * itype(k)
    result = sp.csr_array((data, indices.ravel().astype(itype, copy=False), indptr), shape=(m, n))
    result.has_sorted_indices = True
    result.has_canonical_format = True
    return result


def _run_kwinners(X, k, out, winners, threads):
    status = _core.kwinners(X, k, out, winners, threads)
    if status:
        raise_status(status, X, "X")


def _active_columns(A, ids, values, threads):
    """Multiply some columns of a dense matrix, in the dtype of `values`."""
    m, k = A.shape
    if A.dtype != values.dtype or not A.flags.f_contiguous or not A.flags.aligned:
        with np.errstate(all="ignore"):  # silent, as the kernels are
            return values @ A.T[ids].astype(values.dtype, copy=False)
    # Columns of A are rows of its transpose, and x is a sparse matrix of one row: no copy of them.
    offsets = np.array([0, ids.size], np.int64)
    indices, data = np.ascontiguousarray(ids, np.int64), np.ascontiguousarray(values)
    x = (_core.CSR, (1, k), (1, 1), offsets, indices, None, data)
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


def _check_out(out, shape, operands):
    """Raise unless `out`, if any, can be written without a change of the operands."""
    if out is None:
        return
    check_out(out, shape)
    for name, operand in operands.items():
        parts = ("data", "indptr", "indices", "row", "col") if sp.issparse(operand) else ()
        arrays = [getattr(operand, part, None) for part in parts] if parts else [operand]
        if any(isinstance(a, np.ndarray) and np.may_share_memory(out, a) for a in arrays):
            raise ValueError(f"out must not overlap {name}")


def _into(out, result):
    if out is None:
        return result
    check_out_dtype(out, result.dtype)
    out[...] = result
    return out
