"""Fused sparse attention on the CPU."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np

from .. import _core
from .._inputs import tensors
from .._inputs.dense import NATIVE, dense_array, dense_view, numbers
from .._inputs.errors import raise_status
from .._inputs.foreign import as_sparse
from .._inputs.out import apart_from, check_out
from .._inputs.scalars import scalar
from .._inputs.sparse import check_pattern_columns, sparse_arrays, to_csr, with_arrays
from .._runtime.threads import resolve_workers
from ..masks import Mask

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from .._inputs.types import Result, SparseLike, Tensor

__all__ = ["sparse_attention"]


@overload
def sparse_attention(
    Q: Tensor[Result],
    K: ArrayLike,
    V: ArrayLike,
    mask: SparseLike | Mask,
    *,
    scale: float | None = None,
    bias: ArrayLike | None = None,
    out: NDArray[Any] | Tensor[Any] | None = None,
    return_lse: Literal[False] = False,
    workers: int | None = None,
) -> Result: ...


@overload
def sparse_attention(
    Q: Tensor[Result],
    K: ArrayLike,
    V: ArrayLike,
    mask: SparseLike | Mask,
    *,
    scale: float | None = None,
    bias: ArrayLike | None = None,
    out: NDArray[Any] | Tensor[Any] | None = None,
    return_lse: Literal[True],
    workers: int | None = None,
) -> tuple[Result, Result]: ...


@overload
def sparse_attention(
    Q: Tensor[Result],
    K: ArrayLike,
    V: ArrayLike,
    mask: SparseLike | Mask,
    *,
    scale: float | None = None,
    bias: ArrayLike | None = None,
    out: NDArray[Any] | Tensor[Any] | None = None,
    return_lse: bool,
    workers: int | None = None,
) -> Result | tuple[Result, Result]: ...


@overload
def sparse_attention(
    Q: ArrayLike,
    K: ArrayLike,
    V: ArrayLike,
    mask: SparseLike | Mask,
    *,
    scale: float | None = None,
    bias: ArrayLike | None = None,
    out: NDArray[Any] | None = None,
    return_lse: Literal[False] = False,
    workers: int | None = None,
) -> NDArray[Any]: ...


@overload
def sparse_attention(
    Q: ArrayLike,
    K: ArrayLike,
    V: ArrayLike,
    mask: SparseLike | Mask,
    *,
    scale: float | None = None,
    bias: ArrayLike | None = None,
    out: NDArray[Any] | None = None,
    return_lse: Literal[True],
    workers: int | None = None,
) -> tuple[NDArray[Any], NDArray[Any]]: ...


@overload
def sparse_attention(
    Q: ArrayLike,
    K: ArrayLike,
    V: ArrayLike,
    mask: SparseLike | Mask,
    *,
    scale: float | None = None,
    bias: ArrayLike | None = None,
    out: NDArray[Any] | None = None,
    return_lse: bool,
    workers: int | None = None,
) -> NDArray[Any] | tuple[NDArray[Any], NDArray[Any]]: ...


def sparse_attention(
    Q: Any,
    K: Any,
    V: Any,
    mask: SparseLike | Mask,
    *,
    scale: float | None = None,
    bias: ArrayLike | None = None,
    out: Any = None,
    return_lse: bool = False,
    workers: int | None = None,
) -> Any:
    """Compute sparse attention: ``softmax(scale * Q @ K.T + bias) @ V`` over the entries of a mask.

    Scores are computed, normalised and multiplied by `V` in one pass over blocks of queries.  They
    never leave the cache.

    Parameters
    ----------
    Q : array_like of shape (..., heads, n, d)
        The queries.
    K : array_like of shape (..., key_heads, m, d)
        The keys.  `key_heads` divides `heads`: ``heads / key_heads`` consecutive heads of `Q` share
        a head of `K` (grouped heads [4]_).  Other leading dimensions broadcast.  Arrays without a
        dimension of heads have shape (n, d).
    V : array_like of shape (..., key_heads, m, dv)
        The values.
    mask : sparse array, sparse matrix or `spkernels.masks.Mask`, of shape (n, m)
        Row i has entries for the keys that query i attends to; all heads share the mask.  Explicit
        zeros are entries.  A sparse array is inspected at every call.  A `spkernels.masks.Mask` is
        inspected once for many calls; `spkernels.masks.from_sparse` makes one of a sparse array.
    scale : float, optional
        The factor of the scores, ``1 / sqrt(d)`` by default.
    bias : array_like that broadcasts to (..., heads, n, m), optional
        Is added to the scores.  It is dense, with strides of 0 where it broadcasts.
    out : ndarray of shape (..., heads, n, dv), optional
        The array for the result, which is returned.
    return_lse : bool, optional
        Whether to return the logarithm of the sum of the exponentials of each query's scores, too.
        These logarithms allow to merge attention to several sets of keys.
    workers : int, optional
        The largest number of threads; a negative number counts from the number of CPUs, as in
        `scipy.fft`.

    Returns
    -------
    out : ndarray of shape (..., heads, n, dv)
        float32 or float64, as NumPy promotes `Q`, `K` and `V`; float16 becomes float32, and
        integers become float64.  Of tensors of PyTorch it is a tensor, in their dtype; see
        :ref:`foreign`.  A query that attends to no key, or whose scores are all -infinity,
        gets zeros.  If `bias` makes only some scores of a query -infinity, infinity and NaN in the
        values of these keys make NaN, as in the dense formula.
    lse : ndarray of shape (..., heads, n)
        The logarithms, only with `return_lse`; -infinity for a query that attends to no key.  They
        are float32 where tensors have 16 bits.

    Raises
    ------
    TypeError
        If an argument has the wrong type.
    ValueError
        If shapes do not fit, or `mask` is corrupted or has more than 2147479551 columns.

    See Also
    --------
    sddmm, masked_softmax, spmm : the steps one by one, which also return the scores.

    Notes
    -----
    The call takes ``2 * heads * nnz * (d + dv)`` useful operations, and some 100 KiB of memory per
    thread besides 16 rows of `Q` and `out`.  The column runs of a sparse array take 8 bytes each
    during the call; a scattered mask has nearly one run per entry.  Queries are processed in tiles
    of 16, together with all keys that any of them attends to.  So masks whose neighbouring queries
    share most keys (windows, blocks, global tokens) run at nearly the rate of a dense product.
    Queries that share few keys are processed one by one.

    Softmax is computed online over blocks of keys [1]_ [2]_.  Its exponentials are within 1.1 units
    in the last place, and 0 where they would be subnormal.  Values of keys that a query does not
    attend to do not reach its result, even if they are infinite or NaN.  Results have the same bits
    for every number of threads.

    References
    ----------
    .. [1] M. Milakov, N. Gimelshein, "Online normalizer calculation for softmax", 2018,
       arXiv:1805.02867.
    .. [2] T. Dao et al., "FlashAttention", NeurIPS 2022, arXiv:2205.14135.
    .. [3] M. Zaheer et al., "Big Bird: transformers for longer sequences", NeurIPS 2020,
       arXiv:2007.14062.
    .. [4] J. Ainslie et al., "GQA: training generalized multi-query transformer models", EMNLP
       2023, arXiv:2305.13245.

    Examples
    --------
    >>> import numpy as np
    >>> from spkernels import masks, sparse_attention
    >>> rng = np.random.default_rng(0)
    >>> Q, K, V = rng.standard_normal((3, 8, 512, 64), dtype=np.float32)
    >>> mask = masks.causal_window(512, 64) | masks.global_tokens(512, 2)
    >>> sparse_attention(Q, K, V, mask).shape
    (8, 512, 64)
    """
    if tensors.dense_among(Q, K, V, bias, out):
        operands = {"Q": Q, "K": K, "V": V, "mask": mask}
        options = {
            "scale": scale, "bias": bias, "out": out, "return_lse": return_lse, "workers": workers,
        }  # fmt: skip
        return tensors.call(sparse_attention, operands, options, Q, K, V)
    threads = resolve_workers(workers)
    Q, K, V, dtype = _operands(Q, K, V)
    n, d = Q.shape[-2:]
    m, dv = V.shape[-2:]
    if not isinstance(mask, Mask):
        mask = as_sparse(mask, "mask")
    column_runs = _column_runs(mask, (n, m), threads)
    scale = (1.0 / np.sqrt(d) if d else 1.0) if scale is None else scalar(scale, "scale")
    heads = _heads(Q, K, V)
    added = _bias(bias, (*heads, n, m), dtype)
    shape = (*heads, n, dv)
    if out is None:
        target = out = _core.empty(shape, dtype)
    else:
        target = _target(out, shape, dtype)
        Q, K, V, added = (apart_from(target, array) for array in (Q, K, V, added))
    Q, K, V = (_rows_dense(dense_view(array, dtype)) for array in (Q, K, V))
    lse = np.empty((*heads, n), dtype) if return_lse else None
    of_heads = [(array, _core.head_offsets(array, heads)) for array in (Q, K, V, target)]
    of_bias = (None, None) if added is None else (added, _core.head_offsets(added, heads))
    q, k, v, into = of_heads
    status = _core.attend(column_runs, q, k, v, into, of_bias, lse, scale, threads)
    if status:
        raise_status(status, mask, "mask")
    if target is not out:
        out[...] = target
    return out if lse is None else (out, lse)


def _operands(
    *given: Any,
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any], np.dtype[Any]]:
    """Return Q, K and V as arrays of at least two dimensions that fit, and the result's dtype."""
    arrays = [
        numbers(dense_array(array, name), name) for array, name in zip(given, "QKV", strict=True)
    ]
    for array, name in zip(arrays, "QKV", strict=True):
        if array.ndim < 2:
            raise ValueError(f"{name} must have two dimensions or more, got shape {array.shape}")
        if array.dtype.kind == "c":
            raise TypeError(f"{name} must hold real numbers, got dtype {array.dtype}")
    Q, K, V = arrays
    if Q.shape[-1] != K.shape[-1]:
        raise ValueError(
            f"K must have rows of {Q.shape[-1]} elements as Q has, got shape {K.shape}"
        )
    if K.shape[-2] != V.shape[-2]:
        raise ValueError(f"V must have {K.shape[-2]} rows as K has, got shape {V.shape}")
    dtype = np.result_type(Q, K, V)
    if dtype == np.float16:
        dtype = np.dtype(np.float32)
    return Q, K, V, dtype if dtype in NATIVE else np.dtype(np.float64)


def _column_runs(mask, shape, threads):
    if tuple(mask.shape) != shape:
        raise ValueError(
            f"mask must have shape {shape}, a row per query and a column per key, got {mask.shape}"
        )
    if isinstance(mask, Mask):
        return mask._column_runs(threads)
    check_pattern_columns(shape, "mask")
    if mask.format != "csr":
        mask = to_csr(mask, "mask")
    arrays = sparse_arrays(mask, None, "mask")
    status, column_runs = _core.column_runs_of(arrays, threads, 0)
    if status == _core.ERR_ARGUMENT:
        # In CSR this status means unsorted rows; the indices are known to be in range by then.
        indices = arrays.indices.copy()
        ones = np.ones(len(indices), bool)
        ordered = with_arrays(mask, indptr=arrays.offsets, indices=indices, data=ones)
        ordered.sort_indices()
        status, column_runs = _core.column_runs_of(sparse_arrays(ordered, None, "mask"), threads, 0)
    if status:
        raise_status(status, mask, "mask")
    return column_runs


def _heads(Q, K, V):
    """Return the leading dimensions of the result, or raise if those of K or V do not fit."""
    lead = Q.shape[:-2]
    if lead == K.shape[:-2] == V.shape[:-2]:
        return lead
    for array, name in ((K, "K"), (V, "V")):
        theirs = array.shape[:-2]
        if theirs and lead and _shared(theirs[-1], lead[-1]) > 1:
            theirs = (*theirs[:-1], lead[-1])
        try:
            lead = np.broadcast_shapes(lead, theirs)
        except ValueError:
            raise ValueError(
                f"{name} must have leading dimensions that broadcast with {lead}, or a number of "
                f"heads that divides Q's, got shape {array.shape}"
            ) from None
    return lead


def _shared(few, many):
    """Return the number of heads that share one of `few` heads, or 1 if heads only broadcast."""
    return many // few if 1 < few < many and many % few == 0 else 1


def _rows_dense(array: NDArray[Any]) -> NDArray[Any]:
    """Return `array`, or a copy of it if the elements of a row are not contiguous."""
    if array.strides[-1] == array.itemsize or array.shape[-1] <= 1 or array.size == 0:
        return array
    return np.ascontiguousarray(array)


def _bias(bias: Any, shape: tuple[int, ...], dtype: Any) -> NDArray[Any] | None:
    if bias is None:
        return None
    bias = numbers(dense_array(bias, "bias"), "bias")
    if bias.dtype.kind == "c":
        raise TypeError(f"bias must hold real numbers, got dtype {bias.dtype}")
    try:
        # The conversion comes before broadcasting, as it then copies fewer elements.
        return np.broadcast_to(dense_view(bias, dtype), shape)
    except ValueError:
        raise ValueError(f"bias must broadcast to {shape}, got shape {bias.shape}") from None


def _target(out, shape, dtype):
    """Return `out` if kernels can write to it, else a new array for the result."""
    check_out(out, shape, dtype)
    if dense_view(out, dtype) is not out or _rows_dense(out) is not out:
        return _core.empty(shape, dtype)
    return out
