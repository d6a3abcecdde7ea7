"""Sparse matrix times dense matrix."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import scipy.sparse as sp

from . import _core
from ._operands import (
    NATIVE,
    apart_from,
    check_indices,
    dense_view,
    is_spmatrix,
    numbers,
    plan_bias,
    raise_status,
    scalar,
    sparse_arrays,
    transposed_arrays,
)
from ._threads import resolve_workers

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["spmm"]

_ACTIVATIONS = _core.ACTIVATIONS
_ORDERS = (None, "C", "F", "K")


def spmm(
    A,
    B,
    *,
    out: NDArray | None = None,
    alpha: float = 1.0,
    beta: float = 0.0,
    bias: ArrayLike | None = None,
    activation: str | None = None,
    order: str | None = None,
    workers: int | None = None,
    check: bool = True,
) -> NDArray:
    """Multiply a sparse and a dense matrix: ``activation(alpha * A @ B + beta * out + bias)``.

    One of `A` and `B` is a scipy.sparse array or matrix, the other is dense.  Shapes, dtypes and
    containers follow ``A @ B`` of scipy; dense operands and `out` may have any strides.  Nothing is
    copied as a whole but what has another dtype than the result, what is not aligned or has strides
    that are not whole elements, inputs that `out` overlaps, and sparse operands as said below.

    Parameters
    ----------
    A : sparse array or matrix of shape (m, k), or array_like of shape (k,) or (m, k)
        The left operand.  CSR, CSC, COO and BSR are used as they are, but for two: BSR on the right
        is transposed first, and COO goes through ``tocsr()``, as other formats do, where the dense
        operand or the result is not row-major (on the right: column-major) and 2-D.  Unsorted
        indices, duplicates (which add up) and explicit zeros are fine.
    B : array_like of shape (k,) or (k, n), or sparse array or matrix of shape (k, n)
        The right operand, sparse if `A` is dense.
    out : ndarray, optional
        Where to write, with the shape and dtype of the result and any strides; returned.
    alpha, beta : float, optional
        Factors of the product and of what `out` held; `beta` other than 0 needs `out`, and with 0
        `out` is not read: NaN in it is overwritten.
    bias : array_like, optional
        Added to the product; broadcast as NumPy would: shape (n,) or (1, n) along the columns,
        (m, 1) along the rows, a scalar; (m,) where the result is 1-D.
    activation : {None, "relu", "gelu", "silu", "tanh", "sigmoid"}, optional
        Applied last.  "gelu" is the exact form, ``x * Phi(x)``.
    order : {None, "C", "F", "K"}, optional
        Memory layout of a new result; None is "C", "K" follows the dense operand.
    workers : int, optional
        Threads, at most; negative counts from the number of CPUs, as in `scipy.fft`.  By default
        `get_num_threads`, and fewer where the work is small.
    check : bool, optional
        Whether to check the index arrays before anything is read through them, which costs a few
        percent.  With False the caller vouches for them, and for ``has_sorted_indices`` if it was
        ever computed: a wrong index then reads outside of `B`.

    Returns
    -------
    ndarray
        Of shape (m, n), or 1-D where the dense operand is.  float32 and float64 are kept; mixed
        dtypes are promoted by NumPy's rules; integer, complex and other dtypes are multiplied by
        scipy.

    Raises
    ------
    TypeError
        If not exactly one of `A` and `B` is sparse, or an argument has the wrong type.
    ValueError
        If shapes do not fit, an option is unknown, or the sparse operand is corrupted.

    See Also
    --------
    sddmm : the sampled product of two dense matrices.
    accelerate : let scipy's own ``A @ B`` run on these kernels.

    Notes
    -----
    Takes ``2 * nnz * n`` operations and a workspace of a few MiB per thread, whatever the shapes.
    Structural zeros do not read `B`: NaN in a row of `B` reaches only rows of the result with an
    entry in that column, as in scipy.  The result has the same bits for every number of threads.

    References
    ----------
    .. [1] C. Yang, A. Buluc, J. D. Owens, "Design Principles for Sparse Matrix Multiplication on
       the GPU", Euro-Par 2018, for the row-split form of the product.
    .. [2] T. Gale, M. Zaharia, C. Young, E. Elsen, "Sparse GPU Kernels for Deep Learning", SC'20,
       for its use on pruned layers.

    Examples
    --------
    >>> import numpy as np
    >>> import scipy.sparse as sp
    >>> from spkernels import spmm
    >>> A = sp.csr_array([[0.0, 2.0], [1.0, 0.0]])
    >>> B = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    >>> spmm(A, B)
    array([[ 8., 10., 12.],
           [ 1.,  2.,  3.]])
    >>> spmm(A, B, bias=[-9.0, 0.0, 0.0], activation="relu")
    array([[ 0., 10., 12.],
           [ 0.,  2.,  3.]])
    """
    result = _core.spmm_fast(A, B, out, alpha, beta, bias, activation, order, workers, check)
    if result is not None:
        return result
    if sp.issparse(A) == sp.issparse(B):
        kind = "sparse (use A @ B)" if sp.issparse(A) else "dense (use numpy.matmul)"
        raise TypeError(f"exactly one of A and B must be a scipy.sparse array, both are {kind}")
    options = (out, alpha, beta, bias, activation, order, resolve_workers(workers), check)
    if sp.issparse(A):
        return _spmm(A, _dense(B, "B"), "A", "B", False, *options)
    return _spmm(B, _dense(A, "A"), "B", "A", True, *options)


def _dense(array, name):
    array = np.asanyarray(array)
    if array.ndim not in (1, 2):
        hint = " (use * for scalars)" if array.ndim == 0 else ""
        raise ValueError(f"{name} must be 1-D or 2-D, got shape {array.shape}{hint}")
    return numbers(array, name)


def _result_shape(S, D, s_name, d_name, dense_first):
    """Return the shape of the product, or raise with both shapes."""
    if dense_first:
        fits = D.shape[-1] == S.shape[0]
        shape = D.shape[:-1] + S.shape[1:]
        signature = f"{d_name} @ {s_name}"
        shapes = f"{d_name} has shape {D.shape} and {s_name} has shape {S.shape}"
    else:
        fits = D.shape[0] == S.shape[-1]
        shape = S.shape[:-1] + D.shape[1:]
        signature = f"{s_name} @ {d_name}"
        shapes = f"{s_name} has shape {S.shape} and {d_name} has shape {D.shape}"
    if not fits:
        raise ValueError(f"dimension mismatch in {signature}: {shapes}")
    return tuple(int(extent) for extent in shape)


def _spmm(
    S,
    D,
    s_name,
    d_name,
    dense_first,
    out,
    alpha,
    beta,
    bias,
    activation,
    order,
    threads,
    check,
):
    if not isinstance(activation, str | None) or activation not in _ACTIVATIONS:
        names = ", ".join(repr(name) for name in _ACTIVATIONS)
        raise ValueError(f"activation must be one of {names}, got {activation!r}")
    if not isinstance(order, str | None) or order not in _ORDERS:
        raise ValueError(f"order must be None, 'C', 'F' or 'K', got {order!r}")
    shape = _result_shape(S, D, s_name, d_name, dense_first)
    # As in scipy: np.matrix begets np.matrix, if the sparse operand is a matrix too.
    as_matrix = isinstance(D, np.matrix) and is_spmatrix(S) and out is None
    D = np.asarray(D)
    dtype = np.result_type(S.dtype, D.dtype)
    native = dtype in NATIVE and S.ndim == 2
    alpha, beta = scalar(alpha, "alpha", real=native), scalar(beta, "beta", real=native)
    if out is not None:
        _check_out(out, shape, order)
    elif beta != 0:
        raise ValueError(f"beta={beta!r} needs out, which holds what it multiplies")
    layout = "F" if order == "F" or (order == "K" and D.flags.fnc) else "C"
    if not native:
        if check:
            check_indices(S, s_name)
        product = np.asarray(D @ S if dense_first else S @ D)
        result = _finish(product, out, alpha, beta, bias, activation, layout)
        return np.asmatrix(result) if as_matrix else result

    if out is None:
        result = np.empty(shape, dtype, order=layout)
    else:
        _check_out_dtype(out, dtype)
        result = out
    D = apart_from(out, dense_view(D, dtype))
    bias_row, bias_col = (apart_from(out, part) for part in plan_bias(bias, shape, dtype))
    if S.format == "coo" and not all(
        _has_plain_rows(view.T if dense_first else view) for view in (D, result)
    ):
        # The kernel for entries in any order walks rows; other layouts cost it a miss per element.
        if check:
            check_indices(S, s_name)
        # In the result's dtype first: tocsr adds duplicates up in that of S.
        S = S.astype(dtype, copy=False).tocsr()
    arrays = sparse_arrays(S, dtype, s_name)
    if out is not None:
        arrays = (*arrays[:3], *(apart_from(out, array) for array in arrays[3:]))
    direct = result.flags.aligned and all(step % result.itemsize == 0 for step in result.strides)
    target = result if direct else result.copy()
    flags = _core.trusted_flags(S, check)

    into = target
    if dense_first:
        # D @ S = (S^T D^T)^T: transposes of everything, none of them copied but for BSR.
        if S.format == "bsr" and check:
            check_indices(S, s_name)
        arrays, D, into = transposed_arrays(arrays), D.T, target.T
        if target.ndim == 2:
            bias_row, bias_col = bias_col, bias_row
    status = _core.spmm(
        arrays,
        D,
        into,
        alpha,
        beta,
        bias_row,
        bias_col,
        _ACTIVATIONS[activation],
        threads,
        flags,
    )
    if status:
        raise_status(status, S, s_name)
    if target is not result:
        result[...] = target
    return np.asmatrix(result) if as_matrix else result


def _has_plain_rows(array):
    return array.ndim == 1 or array.shape[1] == 1 or array.strides[1] == array.itemsize


def _check_out(out, shape, order):
    if not isinstance(out, np.ndarray):
        raise TypeError(f"out must be an ndarray, got {type(out).__name__}")
    if out.shape != shape:
        raise ValueError(f"out must have shape {shape}, got {out.shape}")
    if not out.flags.writeable:
        raise ValueError("out is read-only")
    if order is not None:
        raise ValueError("order and out exclude each other: the layout of out is used")


def _check_out_dtype(out, dtype):
    if out.dtype != dtype:
        raise ValueError(f"out must have dtype {dtype}, got {out.dtype}")


def _finish(product, out, alpha, beta, bias, activation, layout):
    """Apply the epilogue to a product of scipy: of other dtypes, or not of 2-D."""
    result = product
    if alpha != 1:
        result = alpha * result
    if beta != 0:
        result = result + beta * out
    if bias is not None:
        result = result + _broadcast_bias(bias, product.shape)
    if activation == "relu" and result.dtype.kind in "biuf":
        result = np.maximum(result, result.dtype.type(0))
    elif activation is not None:
        raise TypeError(
            f"activation {activation!r} needs a real floating result, this one is {result.dtype}"
        )
    if out is None:
        return np.asarray(result, order=layout)
    _check_out_dtype(out, result.dtype)
    out[...] = result
    return out


def _broadcast_bias(bias, shape):
    try:
        return np.broadcast_to(numbers(np.asarray(bias), "bias"), shape)
    except ValueError:
        raise ValueError(
            f"bias of shape {np.shape(bias)} does not broadcast to the result's {shape}"
        ) from None
