"""Products with vectors that are sparse, as activations are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import scipy.sparse as sp

from . import _core
from ._operands import (
    NATIVE,
    check_indices,
    dense_array,
    numbers,
    raise_status,
    sparse_arrays,
    to_csr,
)

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from ._typing import SparseLike

__all__ = ["spmspv"]


def spmspv(
    A: SparseLike | ArrayLike,
    x: SparseLike | ArrayLike,
    *,
    out: NDArray | None = None,
    check: bool = True,
) -> NDArray:
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
    writes, and memory for the entries of `x`; on one thread.  Columns that are not active are not
    read: NaN there reaches nothing, as in ``A[:, active] @ x[active]``.

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
    result = _core.spmspv_fast(A, x, out, check)
    if result is not None:
        return result
    if not sp.issparse(A):
        A = np.asarray(numbers(dense_array(A, "A"), "A"))
    if A.ndim != 2:
        raise ValueError(f"A must be 2-D, got shape {A.shape}")
    shape = tuple(int(extent) for extent in A.shape)
    if not sp.issparse(x):
        x = np.asarray(numbers(dense_array(x, "x"), "x"))
    ids, values = _entries(x, shape, check)
    dtype = np.result_type(A.dtype, x.dtype)
    _check_out(out, shape[:1], {"A": A, "x": x})
    if dtype not in NATIVE:
        if check and sp.issparse(A):
            check_indices(A, "A")
        return _into(out, np.asarray(A @ _vector(x, ids, values, shape[1])))
    if out is not None and out.dtype != dtype:
        raise ValueError(f"out must have dtype {dtype}, got {out.dtype}")
    values = values.astype(dtype, copy=False)
    if not sp.issparse(A):
        with np.errstate(all="ignore"):  # silent, as the kernels are
            return _into(out, values @ A.T[ids].astype(dtype, copy=False))
    arrays = sparse_arrays(_to_csc(A, dtype, check), dtype, "A")
    ids, values = np.ascontiguousarray(ids, arrays[4].dtype), np.ascontiguousarray(values)
    direct = out is not None and out.flags.carray
    y = out if direct else np.empty(shape[0], dtype)
    status = _core.spmspv(arrays, ids, values, y, _core.trusted_flags(A, check))
    if status:
        raise_status(status, A, "A")
    return y if direct else _into(out, y)


def _entries(x, shape, check):
    """Return where a vector is active and what it has there."""
    if x.shape not in ((shape[1],), (shape[1], 1), (1, shape[1]))[: 3 if sp.issparse(x) else 1]:
        raise ValueError(f"dimension mismatch in A @ x: A has shape {shape} and x {x.shape}")
    if not sp.issparse(x):
        ids = np.flatnonzero(x)
        return ids, x[ids]
    if check:
        check_indices(x, "x")
    column = x.ndim == 2 and x.shape[1] == 1
    x = x.tocoo()
    return (x.row if column else x.col), x.data


def _vector(x, ids, values, size):
    """Return a vector with its zeros."""
    if not sp.issparse(x):
        return x
    dense = np.zeros(size, x.dtype)
    np.add.at(dense, ids, values)
    return dense


def _to_csc(A, dtype, check):
    if A.format == "csc":
        return A
    if A.format not in ("csr", "coo", "bsr"):
        A = to_csr(A, "A")
    if check:
        check_indices(A, "A")
    # In the result's dtype first: tocsc adds duplicates of COO up in that of A.
    return A.astype(dtype, copy=False).tocsc()


def _check_out(out, shape, operands):
    if out is None:
        return
    if not isinstance(out, np.ndarray):
        raise TypeError(f"out must be an ndarray, got {type(out).__name__}")
    if out.shape != shape:
        raise ValueError(f"out must have shape {shape}, got {out.shape}")
    if not out.flags.writeable:
        raise ValueError("out is read-only")
    for name, operand in operands.items():
        parts = ("data", "indptr", "indices", "row", "col") if sp.issparse(operand) else ()
        arrays = [getattr(operand, part, None) for part in parts] if parts else [operand]
        if any(isinstance(a, np.ndarray) and np.may_share_memory(out, a) for a in arrays):
            raise ValueError(f"out must not overlap {name}")


def _into(out, result):
    if out is None:
        return result
    if out.dtype != result.dtype:
        raise ValueError(f"out must have dtype {result.dtype}, got {out.dtype}")
    out[...] = result
    return out
