"""Sampled dense-dense matrix multiplication (SDDMM)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, overload

import numpy as np
import scipy.sparse as sp

from .. import _core
from .._inputs import tensors
from .._inputs.dense import NATIVE, dense_array, dense_view, numbers
from .._inputs.errors import raise_status
from .._inputs.foreign import as_sparse
from .._inputs.out import apart_from, arrays_apart, check_out, check_sparse_out
from .._inputs.scalars import integral_factor, scalar
from .._inputs.sparse import KERNEL_FORMATS, normalised, positions, sparse_arrays, to_csr, validated
from .._runtime.threads import resolve_workers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    from .._inputs.types import (
        Matrix,
        Operand,
        OtherArray,
        OtherMatrix,
        Result,
        Sparse,
        SparseLike,
        SparseOut,
        Stack,
        Tensor,
        Unranked,
    )

__all__ = ["sddmm"]

# The bytes of gathered rows that `_by_numpy` holds at a time.
_CHUNK_BYTES = 1 << 20


@overload
def sddmm(
    P: Tensor[Result],
    X: ArrayLike,
    Y: ArrayLike,
    *,
    out: None = None,
    alpha: float = 1.0,
    beta: float = 0.0,
    scale: bool = False,
    workers: int | None = None,
    check: bool = True,
) -> Result: ...
@overload
def sddmm(
    P: SparseLike,
    X: ArrayLike,
    Y: ArrayLike,
    *,
    out: SparseOut,
    alpha: float = 1.0,
    beta: float = 0.0,
    scale: bool = False,
    workers: int | None = None,
    check: bool = True,
) -> SparseOut: ...
@overload
def sddmm(
    P: SparseLike,
    X: Unranked,
    Y: ArrayLike,
    *,
    out: None = None,
    alpha: float = 1.0,
    beta: float = 0.0,
    scale: bool = False,
    workers: int | None = None,
    check: bool = True,
) -> Any: ...
@overload
def sddmm(
    P: SparseLike,
    X: ArrayLike,
    Y: Unranked,
    *,
    out: None = None,
    alpha: float = 1.0,
    beta: float = 0.0,
    scale: bool = False,
    workers: int | None = None,
    check: bool = True,
) -> Any: ...
@overload
def sddmm(
    P: Sparse,
    X: Matrix,
    Y: Matrix,
    *,
    out: None = None,
    alpha: float = 1.0,
    beta: float = 0.0,
    scale: bool = False,
    workers: int | None = None,
    check: bool = True,
) -> Sparse: ...
@overload
def sddmm(
    P: OtherArray,
    X: Matrix,
    Y: Matrix,
    *,
    out: None = None,
    alpha: float = 1.0,
    beta: float = 0.0,
    scale: bool = False,
    workers: int | None = None,
    check: bool = True,
) -> sp.csr_array: ...
@overload
def sddmm(
    P: OtherMatrix,
    X: Matrix,
    Y: Matrix,
    *,
    out: None = None,
    alpha: float = 1.0,
    beta: float = 0.0,
    scale: bool = False,
    workers: int | None = None,
    check: bool = True,
) -> sp.csr_matrix: ...
@overload
def sddmm(
    P: SparseLike,
    X: Stack,
    Y: ArrayLike,
    *,
    out: None = None,
    alpha: float = 1.0,
    beta: float = 0.0,
    scale: bool = False,
    workers: int | None = None,
    check: bool = True,
) -> NDArray[Any]: ...
@overload
def sddmm(
    P: Sequence[Sparse],
    X: ArrayLike,
    Y: ArrayLike,
    *,
    out: None = None,
    alpha: float = 1.0,
    beta: float = 0.0,
    scale: bool = False,
    workers: int | None = None,
    check: bool = True,
) -> list[Sparse]: ...
@overload
def sddmm(
    P: SparseLike | Sequence[SparseLike],
    X: ArrayLike,
    Y: ArrayLike,
    *,
    out: None = None,
    alpha: float = 1.0,
    beta: float = 0.0,
    scale: bool = False,
    workers: int | None = None,
    check: bool = True,
) -> Any: ...
def sddmm(
    P: SparseLike | Sequence[SparseLike],
    X: ArrayLike,
    Y: ArrayLike,
    *,
    out: SparseLike | NDArray[Any] | None = None,
    alpha: float = 1.0,
    beta: float = 0.0,
    scale: bool = False,
    workers: int | None = None,
    check: bool = True,
) -> Any:
    """Sample the product of two dense matrices at the entries of a sparse one [1]_.

    The result is ``alpha * (X @ Y) + beta * P`` at the entries of `P`.  With `scale` it is
    ``alpha * P * (X @ Y) + beta * P``.  The m x n product is never formed.

    Parameters
    ----------
    P : sparse array or matrix of shape (m, n)
        The matrix whose structure is sampled.  Explicit zeros are entries.  CSR, CSC, COO and BSR
        are used as they are; for other formats the result is in CSR.  A list has one matrix for
        each leading index of `X` and `Y`.
    X : array_like of shape (..., m, k)
        The left factor; row-major is the fastest layout.  Each index of the leading dimensions
        (heads, batches) is a product of its own at the same positions.
    Y : array_like of shape (..., k, n)
        The right factor.  ``Yt.T`` of a row-major `Yt` of shape (n, k) is the fastest layout, and
        is used without a copy.
    out : sparse array, sparse matrix or ndarray, optional
        The array for the result, which is returned.  It has P's format, shape and structure, and
        data of the result's dtype, which are overwritten.  It may be `P` itself.  With leading
        dimensions, it is an ndarray of these and of the entries.  A list of matrices takes no
        `out`.
    alpha, beta : float, optional
        The factors of the product and of P's values.  If `beta` is 0 and `scale` is False, the
        values are not read, so NaN in them does not spread.  In `torch.sparse.sampled_addmm`,
        `beta` is 1 by default, and a `beta` of 0 still reads the values (torch 2.13).
    scale : bool, optional
        Whether to multiply the product by P's values.  Both forms are in use: False is the formula
        of `torch.sparse.sampled_addmm`, and True that of DGL's ``u_mul_v`` weighted by edges and of
        the Hadamard form ``P * (X @ Y)`` of the literature.
    workers : int, optional
        The largest number of threads; a negative number counts from the number of CPUs, as in
        `scipy.fft`.  The default is `get_num_threads`.  Small products use fewer threads.
    check : bool, optional
        Whether to check P's index arrays before data are read through them; see `spmm`.

    Returns
    -------
    sparse array or matrix, ndarray, or list
        Without leading dimensions, a sparse array of P's class.  It shares P's index arrays if `P`
        is in canonical format (each row, or column of CSC, sorted and without duplicates) or in
        COO, and has copies of them otherwise; see the notes.  With leading dimensions, an ndarray
        of shape ``(..., *P.data.shape)`` with the values, in the order of ``P.data``.  For a list
        of matrices, a list of sparse arrays.  The dtype follows NumPy's promotion of `P`, `X` and
        `Y`; a boolean `P` leaves the dtype of `X` and `Y`.  float16, which scipy.sparse does not
        have, becomes float32.  For a sparse tensor `P` of PyTorch the result is one, and for dense
        tensors `X` and `Y` with leading dimensions the values are a tensor; see :ref:`foreign`.

    Raises
    ------
    TypeError
        If `P` is not sparse, or an argument has the wrong type.
    ValueError
        If shapes do not fit, or `P` is corrupted.

    See Also
    --------
    spmm : multiplies a sparse and a dense matrix.
    prepare : inspects a matrix once for many sampled products, with ``op="sddmm"``.

    Notes
    -----
    The call takes ``2 * nnz * k`` operations and a workspace of a few MiB per thread.  The result
    has the same bits for every number of threads.

    Each step is rounded to the dtype of the result.  The dot product is finished first.  Then it is
    multiplied by `alpha` and, with `scale`, by the value of `P`, and `beta` times that value is
    added.  A dot product that overflows or underflows stays infinite, 0 or subnormal for any
    `alpha`.

    Each entry gets a sample of its own.  If `P` has duplicates, each of them does, as parallel
    edges of a graph do in DGL.  Call ``P.sum_duplicates()`` first if duplicates should be one
    entry.

    Shared index arrays belong to `P` and to the result.  A method that writes to them in place in
    one of the two moves the values of the other to wrong positions.  In scipy these methods are
    ``eliminate_zeros()`` and ``resize()`` of CSR, CSC and BSR, and assignments to elements of the
    arrays; take a ``copy()`` before.  Other methods, such as ``sum_duplicates()`` and
    ``sort_indices()``, change nothing in canonical format, or make new arrays.  scipy finds out at
    the first call whether `P` is canonical, and stores the answer (``P.has_canonical_format``).

    References
    ----------
    .. [1] I. Nisa, A. Sukumaran-Rajam, S. E. Kurt, C. Hong, P. Sadayappan, "Sampled Dense Matrix
       Multiplication for High-Performance Machine Learning", HiPC 2018.

    Examples
    --------
    >>> import numpy as np
    >>> import scipy.sparse as sp
    >>> from spkernels import sddmm
    >>> P = sp.csr_array([[0.0, 3.0], [1.0, 0.0]])
    >>> X = np.array([[1.0, 2.0], [3.0, 4.0]])
    >>> Y = np.array([[5.0, 6.0], [7.0, 8.0]])
    >>> sddmm(P, X, Y).toarray()
    array([[ 0., 22.],
           [43.,  0.]])
    >>> sddmm(P, X, Y, scale=True).toarray()
    array([[ 0., 66.],
           [43.,  0.]])
    """
    values = _core.sddmm_fast(P, X, Y, out, alpha, beta, scale, workers, check)
    if values is not None:
        return with_data(P, values) if out is None else out
    if isinstance(P, list | tuple):
        return _each(P, X, Y, out, alpha, beta, scale, workers, check)
    if tensors.found(P, out) or tensors.dense_among(X, Y):
        like = P if tensors.found(P) else None
        operands = {"P": as_sparse(P, "P"), "X": X, "Y": Y}
        options = {
            "out": out, "alpha": alpha, "beta": beta, "scale": scale, "workers": workers,
            "check": check,
        }  # fmt: skip
        return tensors.call(sddmm, operands, options, X, Y, like=like)
    P = as_sparse(P, "P")
    if P.ndim != 2:
        raise ValueError(f"P must be 2-D, got shape {P.shape}")
    threads = resolve_workers(workers)
    X, Y = factors(P, X, Y)
    if X.ndim > 2 or Y.ndim > 2:
        return _batch(P, X, Y, out, alpha, beta, scale, workers, check)
    P = _with_kernels(P)
    dtype = supported(P.dtype, X.dtype, Y.dtype)
    real = dtype in NATIVE
    alpha, beta = scalar(alpha, "alpha", real=real), scalar(beta, "beta", real=real)
    if not real:
        alpha = integral_factor(alpha, "alpha", dtype)
        beta = integral_factor(beta, "beta", dtype)
        # As in `spmm`, an alpha of 1 and a beta of 0 do not take part in the promotion.
        dtype = supported(dtype, *(f for f, none in ((alpha, 1), (beta, 0)) if f != none))
    if out is None:
        values = _core.empty(P.data.shape, dtype)
    else:
        values = check_sparse_out(out, P, dtype)
    if dtype in NATIVE:
        native(P, X, Y, values, alpha, beta, scale, threads, check)
    else:
        _by_numpy(P, X, Y, values, alpha, beta, scale)
    return with_data(P, values) if out is None else out


def supported(*dtypes):
    """Return the promotion of dtypes to a dtype that scipy.sparse has."""
    dtype = np.result_type(*dtypes)
    return np.dtype(np.float32) if dtype == np.float16 else dtype


def factors(P: Any, X: Any, Y: Any) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return both factors as arrays, or raise unless they fit `P` and each other."""
    X, Y = dense_array(X, "X"), dense_array(Y, "Y")
    for name, array in (("X", X), ("Y", Y)):
        if array.ndim < 2:
            raise ValueError(f"{name} must have 2 dimensions or more, got shape {array.shape}")
        numbers(array, name)
    m, n = P.shape
    if X.shape[-2] != m:
        raise ValueError(f"X must have {m} rows as P has, got shape {X.shape}")
    if Y.shape[-1] != n:
        raise ValueError(f"Y must have {n} columns as P has, got shape {Y.shape}")
    if X.shape[-1] != Y.shape[-2]:
        raise ValueError(f"dimension mismatch in X @ Y: shapes {X.shape} and {Y.shape}")
    return X, Y


def leading(
    X: NDArray[Any], Y: NDArray[Any]
) -> tuple[tuple[int, ...], NDArray[Any], NDArray[Any]]:
    """Return the common leading dimensions of two factors, and both factors broadcast to them."""
    try:
        lead = np.broadcast_shapes(X.shape[:-2], Y.shape[:-2])
    except ValueError:
        raise ValueError(
            f"leading dimensions of X and Y must broadcast, got shapes {X.shape} and {Y.shape}"
        ) from None
    X = np.broadcast_to(X, (*lead, *X.shape[-2:]))
    return lead, X, np.broadcast_to(Y, (*lead, *Y.shape[-2:]))


def batch_values(out, shape, dtype):
    """Return a new array for the values of a batch, after a check of `out`.

    A product of the batch may fail, so `out` is written only after all products are done.
    """
    if out is None:
        return _core.empty(shape, dtype)
    check_out(out, shape, dtype)
    return np.empty_like(out, subok=False)


def batch_result(out, values):
    """Return the values of a batch, copied into `out` if given."""
    if out is None:
        return values
    out[...] = values
    return out


def _with_kernels(P: Any) -> Operand:
    """Return `P` in a format with kernels, with index arrays that scipy accepts in a result."""
    return normalised(P, "P") if P.format in KERNEL_FORMATS else to_csr(P, "P")


def _batch(P, X, Y, out, alpha, beta, scale, workers, check):
    P = _with_kernels(P)
    lead, X, Y = leading(X, Y)
    dtype = supported(P.dtype, X.dtype, Y.dtype)
    values = batch_values(out, (*lead, *P.data.shape), dtype)
    if check:
        validated(P, "P")
    for head in np.ndindex(lead):
        S = sddmm(
            P, X[head], Y[head], alpha=alpha, beta=beta, scale=scale, workers=workers, check=False
        )
        values[head] = S.data
    return batch_result(out, values)


def _each(patterns, X, Y, out, alpha, beta, scale, workers, check):
    if out is not None:
        raise ValueError("out must be None for a list of patterns")
    # A tensor stays one, so that the product with each of its matrices has the dtype of tensors.
    X, Y = (
        value if tensors.dense_among(value) else dense_array(value, name)
        for name, value in (("X", X), ("Y", Y))
    )
    for name, array in (("X", X), ("Y", Y)):
        if array.ndim > 2 and len(array) != len(patterns):
            raise ValueError(
                f"{name} must have {len(patterns)} as its first dimension, one per pattern, got "
                f"shape {array.shape}"
            )
    options = {"alpha": alpha, "beta": beta, "scale": scale, "workers": workers, "check": check}
    return [
        sddmm(P, X[i] if X.ndim > 2 else X, Y[i] if Y.ndim > 2 else Y, **options)
        for i, P in enumerate(patterns)
    ]


def native(P, X, Y, values, alpha, beta, scale, threads, check, column_runs=None):
    dtype = values.dtype
    X, Y = apart_from(values, dense_view(X, dtype)), apart_from(values, dense_view(Y, dtype))
    arrays = sparse_arrays(P, dtype, "P")
    direct = values.flags.c_contiguous and values.flags.aligned
    if values is not P.data:
        # The result may be P's own values, but must not overlap P's arrays at an offset.
        direct = direct and arrays_apart(values, arrays) is arrays
    target = values if direct else _core.empty(values.shape, dtype)
    flags = _core.trusted_flags(P, check)
    status = _core.sddmm(
        arrays, X, Y, target, alpha, beta, bool(scale), threads, flags, column_runs
    )
    if status:
        raise_status(status, P, "P")
    if not direct:
        values[...] = target


def _by_numpy(P, X, Y, values, alpha, beta, scale):
    """Sample by NumPy in chunks of bounded size, for integer, complex and other dtypes."""
    P = validated(P, "P")
    rows, cols = positions(P)
    old = P.data.reshape(-1)[: len(rows)]
    result = np.zeros(values.shape, values.dtype)
    flat = result.reshape(-1)
    step = max(1, _CHUNK_BYTES // max(1, X.shape[1] * values.itemsize))
    for start in range(0, len(rows), step):
        part = slice(start, min(start + step, len(rows)))
        sample = np.einsum(
            "pk,kp->p", X[rows[part]], Y[:, cols[part]], dtype=values.dtype, casting="unsafe"
        )
        if alpha != 1:
            sample = alpha * sample
        if scale:
            sample = sample * old[part]
        if beta != 0:
            sample = sample + beta * old[part]
        flat[part] = sample
    values[...] = result


def with_data(P, data):
    """Return a sparse array of P's structure with the values `data`.

    It shares P's index arrays if scipy's methods do not write to them in place.
    """
    # The constructor may narrow or prune index arrays, and both it and copy.copy take longer than a
    # small product.
    canonical = _is_canonical(P)
    result = object.__new__(type(P))
    result.__dict__.update(P.__dict__)
    result.data = data
    if not canonical:
        # Methods of scipy that seem only to read, such as `max` and `abs`, first sort the indices
        # or sum duplicates in place.  P's values would then be at wrong positions.
        result.indptr, result.indices = result.indptr.copy(), result.indices.copy()
    return result


def _is_canonical(P):
    """Return whether scipy's methods leave P's index arrays unchanged; P stores the answer."""
    if P.format == "coo":
        return True  # methods of COO make new arrays
    try:
        return P.has_canonical_format
    except ValueError:
        return False  # scipy does not support the dtype of these indices
