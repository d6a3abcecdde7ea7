"""Sampled dense-dense matrix multiplication."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, overload

import numpy as np
import scipy.sparse as sp

from .. import _core
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
        Sparse,
        SparseLike,
        SparseOut,
        Stack,
        Unranked,
    )

__all__ = ["sddmm"]

# Bytes of gathered rows that the path for other dtypes holds at a time.
_CHUNK_BYTES = 1 << 20


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
    """Sample the product of two dense matrices at the stored positions of a sparse one.

    ``alpha * (X @ Y) + beta * P`` at the stored positions of `P`, nothing elsewhere; with `scale`,
    ``alpha * P * (X @ Y) + beta * P``.  The m x n product is never formed.

    Parameters
    ----------
    P : sparse array or matrix of shape (m, n)
        The pattern: every stored entry, explicit zeros included.  CSR, CSC, COO and BSR are used
        as they are; of other formats the result is CSR.  A list of patterns has one for each
        leading index of `X` and `Y`.
    X : array_like of shape (..., m, k)
        The left factor; row-major is fastest.  Leading dimensions (heads, batches) are products of
        their own at the same positions.
    Y : array_like of shape (..., k, n)
        The right factor.  ``Yt.T`` with `Yt` row-major of shape (n, k) is the fast layout and is
        used without a copy.
    out : sparse array, sparse matrix or ndarray, optional
        Where to write: of P's format, shape and pattern; its data has the dtype of the result and
        is overwritten.  May be `P` itself.  Returned.  With leading dimensions, an array of them
        and the stored entries; not for a list of patterns.
    alpha, beta : float, optional
        Factors of the product and of P's values.  The values are not read where `beta` is 0 and
        `scale` is False: NaN in them does not spread.  In `torch.sparse.sampled_addmm`, `beta` is
        1 by default, and 0 still reads them (torch 2.13).
    scale : bool, optional
        Whether to multiply the product by P's values.  Both semantics are in use: False is the
        formula of `torch.sparse.sampled_addmm`, True that of DGL's ``u_mul_v`` weighted by edges
        and of the Hadamard form ``P * (X @ Y)`` of the literature.
    workers : int, optional
        Threads, at most; negative counts from the number of CPUs, as in `scipy.fft`.  By default
        `get_num_threads`, and fewer where the work is small.
    check : bool, optional
        Whether to check P's index arrays before anything is read through them; see `spmm`.

    Returns
    -------
    sparse array or matrix, ndarray, or list
        With leading dimensions, an array of shape ``(..., *P.data.shape)``: the values, in the
        order of ``P.data``; for a list of patterns, a list of sparse arrays.  Else a sparse array
        of P's class.  It shares P's index arrays where P is in canonical format (each row, or
        column of CSC, sorted and without duplicates) or COO, and has copies of them otherwise; see
        the notes.  The dtype follows NumPy's promotion of `P`, `X` and `Y` (a boolean `P` leaves
        that of `X` and `Y`), but for float16, which scipy.sparse does not have: it becomes float32.

    Raises
    ------
    TypeError
        If `P` is not sparse, or an argument has the wrong type.
    ValueError
        If shapes do not fit, or `P` is corrupted.

    See Also
    --------
    spmm : sparse times dense.

    Notes
    -----
    In the dtype of the result, every step rounded: the dot product is finished first; then `alpha`
    times it, times the value of `P` with `scale`, plus `beta` times that value.  A dot product that
    overflows or underflows stays infinite, 0 or subnormal, whatever `alpha` is.

    Takes ``2 * nnz * k`` operations and a workspace of a few MiB per thread.  Each stored entry
    gets its own sample: where `P` holds duplicates, each of them does (as parallel edges of a
    graph do in DGL); ``P.sum_duplicates()`` first for the other reading.  The result has the same
    bits for every number of threads.

    Index arrays that are shared are those of both: what writes to them in place in one leaves the
    other with values that are not where they belong.  In scipy these are ``eliminate_zeros()`` and
    ``resize()`` of CSR, CSC and BSR, and assignments to the arrays' elements; take a ``copy()``
    first.  Others, such as ``sum_duplicates()`` and ``sort_indices()``, find nothing to do in
    canonical format, or make new arrays.  Whether P is canonical scipy finds out at the first call,
    and keeps (``P.has_canonical_format``).

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
        # As in `spmm`: 1 and 0 stand for factors that are not there.
        dtype = supported(dtype, *(f for f, none in ((alpha, 1), (beta, 0)) if f != none))
    if out is None:
        values = np.empty(P.data.shape, dtype)
    else:
        values = check_sparse_out(out, P, dtype)
    if dtype in NATIVE:
        native(P, X, Y, values, alpha, beta, scale, threads, check)
    else:
        _by_numpy(P, X, Y, values, alpha, beta, scale)
    return with_data(P, values) if out is None else out


def supported(*dtypes):
    """Promote dtypes to one that scipy.sparse has."""
    dtype = np.result_type(*dtypes)
    return np.dtype(np.float32) if dtype == np.float16 else dtype


def factors(P: Any, X: Any, Y: Any) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return both factors as arrays, or raise unless they fit the pattern and each other."""
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
    """Leading dimensions of two factors, to which both are broadcast."""
    try:
        lead = np.broadcast_shapes(X.shape[:-2], Y.shape[:-2])
    except ValueError:
        raise ValueError(
            f"leading dimensions of X and Y must broadcast, got shapes {X.shape} and {Y.shape}"
        ) from None
    X = np.broadcast_to(X, (*lead, *X.shape[-2:]))
    return lead, X, np.broadcast_to(Y, (*lead, *Y.shape[-2:]))


def batch_values(out, shape, dtype):
    """Return an array for the values of a batch.

    Not `out` itself, which keeps what it holds until all products are done: one of them may fail.
    """
    if out is None:
        return np.empty(shape, dtype)
    check_out(out, shape, dtype)
    return np.empty_like(out, subok=False)


def batch_result(out, values):
    """Return the values of a batch, in `out` where that is given."""
    if out is None:
        return values
    out[...] = values
    return out


def _with_kernels(P: Any) -> Operand:
    """Return `P` in a format with kernels, and with index arrays that scipy takes in the result."""
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
    X, Y = dense_array(X, "X"), dense_array(Y, "Y")
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


def native(P, X, Y, values, alpha, beta, scale, threads, check, pattern=None):
    dtype = values.dtype
    X, Y = apart_from(values, dense_view(X, dtype)), apart_from(values, dense_view(Y, dtype))
    arrays = sparse_arrays(P, dtype, "P")
    direct = values.flags.c_contiguous and values.flags.aligned
    if values is not P.data:
        # In place is fine, but not at an offset.
        direct = direct and arrays_apart(values, arrays) is arrays
    target = values if direct else np.empty(values.shape, dtype)
    flags = _core.trusted_flags(P, check)
    status = _core.sddmm(
        arrays, X, Y, target, alpha, beta, bool(scale), threads, flags, pattern
    )
    if status:
        raise_status(status, P, "P")
    if not direct:
        values[...] = target


def _by_numpy(P, X, Y, values, alpha, beta, scale):
    """Sample in chunks of bounded size: integer, complex and other dtypes."""
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
    """Return a sparse array like P with other values, sharing index arrays that scipy lets be."""
    # Not through the constructor, which may narrow or prune index arrays, nor through copy.copy:
    # each would cost more than a small product.
    canonical = _is_canonical(P)
    result = object.__new__(type(P))
    result.__dict__.update(P.__dict__)
    result.data = data
    if not canonical:
        # Many a method of scipy that only reads, `max` and `abs` among them, sorts or adds up what
        # is stored first, in place: the values of P would no longer be where its indices say.
        result.indptr, result.indices = result.indptr.copy(), result.indices.copy()
    return result


def _is_canonical(P):
    """Whether scipy leaves the index arrays of P as they are; it looks once and keeps that in P."""
    if P.format == "coo":
        return True  # whose methods make new ones
    try:
        return P.has_canonical_format
    except ValueError:
        return False  # indices of a dtype that scipy does not look at
