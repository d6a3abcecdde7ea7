"""Fused sparse attention on the CPU, and softmax over a sparse pattern."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np

from .. import _core
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

    from .._inputs.types import SparseLike

__all__ = ["sparse_attention"]


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
    Q: ArrayLike,
    K: ArrayLike,
    V: ArrayLike,
    mask: SparseLike | Mask,
    *,
    scale: float | None = None,
    bias: ArrayLike | None = None,
    out: NDArray[Any] | None = None,
    return_lse: bool = False,
    workers: int | None = None,
) -> NDArray[Any] | tuple[NDArray[Any], NDArray[Any]]:
    """Attend to the keys that a mask names: ``softmax(scale * Q @ K.T + bias) @ V`` over these.

    Scores are made, normalised and used in one pass over blocks of queries, and never leave the
    cache.

    Parameters
    ----------
    Q : array_like of shape (..., heads, n, d)
        Queries.
    K : array_like of shape (..., key_heads, m, d)
        Keys.  `key_heads` divides `heads`: so many heads of `Q`, one after the other, share one of
        `K` (grouped queries [4]_).  Other leading dimensions broadcast.  Without a dimension of
        heads, arrays are (n, d).
    V : array_like of shape (..., key_heads, m, dv)
        Values.
    mask : sparse array, sparse matrix or `spkernels.masks.Mask`, of shape (n, m)
        Which keys each query attends to, the same for all heads: what is stored, explicit zeros
        included.  Masks of `spkernels.masks` are described instead, and looked at once for many
        calls; `spkernels.masks.from_sparse` does so for a sparse array.
    scale : float, optional
        Factor of the scores, ``1 / sqrt(d)`` by default.
    bias : array_like that broadcasts to (..., heads, n, m), optional
        Added to the scores; dense, with strides of 0 where it broadcasts.
    out : ndarray of shape (..., heads, n, dv), optional
        Where to write.  Returned.
    return_lse : bool, optional
        Whether to return the logarithm of the sum of the exponentials of each query's scores, too:
        what merges attention to several sets of keys.
    workers : int, optional
        Threads, at most; negative counts from the number of CPUs, as in `scipy.fft`.

    Returns
    -------
    out : ndarray of shape (..., heads, n, dv)
        float32 or float64, as NumPy promotes `Q`, `K` and `V`; float16 becomes float32, integers
        float64.  A query that attends to nothing, or whose scores are all -infinity, gets zeros.
        Where only some are -infinity, by `bias`, infinity and NaN in values of these make NaN, as
        in the dense formula.
    lse : ndarray of shape (..., heads, n)
        With `return_lse` only; -infinity for queries that attend to nothing.

    Raises
    ------
    TypeError
        If an argument has the wrong type.
    ValueError
        If shapes do not fit, or `mask` is corrupted or has more than 2147479551 columns.

    See Also
    --------
    sddmm, masked_softmax, spmm : the parts, where scores are wanted.

    Notes
    -----
    Takes ``2 * heads * nnz * (d + dv)`` useful operations, and memory of some 100 KiB per thread
    besides 16 rows of `Q` and `out`. Of a sparse array, the runs of consecutive columns are held
    during the call, 8 bytes each; a scattered mask has nearly one for each entry. Queries go by
    tiles of 16, against the keys that any of them attends to: masks whose neighbouring queries
    share most keys (windows, blocks, global tokens) run at nearly the rate of a dense product;
    where queries share few, each goes alone.

    Softmax is taken online over blocks of keys [1]_ [2]_; its exponentials are within 1.1 units in
    the last place, and 0 where they would be subnormal.  Values of keys that a query does not
    attend to do not reach it, infinity and NaN among them.  Results have the same bits for every
    number of threads.

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
    threads = resolve_workers(workers)
    Q, K, V, dtype = _operands(Q, K, V)
    n, d = Q.shape[-2:]
    m, dv = V.shape[-2:]
    if not isinstance(mask, Mask):
        mask = as_sparse(mask, "mask")
    pattern = _pattern(mask, (n, m), threads)
    scale = (1.0 / np.sqrt(d) if d else 1.0) if scale is None else scalar(scale, "scale")
    heads = _heads(Q, K, V)
    added = _bias(bias, (*heads, n, m), dtype)
    shape = (*heads, n, dv)
    if out is None:
        target = out = np.empty(shape, dtype)
    else:
        target = _target(out, shape, dtype)
        Q, K, V, added = (apart_from(target, array) for array in (Q, K, V, added))
    Q, K, V = (_rows_dense(dense_view(array, dtype)) for array in (Q, K, V))
    lse = np.empty((*heads, n), dtype) if return_lse else None
    of_heads = [(array, _core.head_offsets(array, heads)) for array in (Q, K, V, target)]
    of_bias = (None, None) if added is None else (added, _core.head_offsets(added, heads))
    q, k, v, into = of_heads
    status = _core.attend(pattern, q, k, v, into, of_bias, lse, scale, threads)
    if status:
        raise_status(status, mask, "mask")
    if target is not out:
        out[...] = target
    return out if lse is None else (out, lse)


def _operands(
    *given: Any,
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any], np.dtype[Any]]:
    """Arrays of at least two dimensions that fit one another, and the dtype to compute in."""
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


def _pattern(mask, shape, threads):
    if tuple(mask.shape) != shape:
        raise ValueError(
            f"mask must have shape {shape}, a row per query and a column per key, got {mask.shape}"
        )
    if isinstance(mask, Mask):
        return mask._pattern(threads)
    check_pattern_columns(shape, "mask")
    if mask.format != "csr":
        mask = to_csr(mask, "mask")
    arrays = sparse_arrays(mask, None, "mask")
    status, pattern = _core.column_runs_of(arrays, threads, 0)
    if status == _core.ERR_ARGUMENT:
        # In CSR, only rows that are not sorted are refused; indices were found in range before.
        indices = arrays.indices.copy()
        ones = np.ones(len(indices), bool)
        ordered = with_arrays(mask, indptr=arrays.offsets, indices=indices, data=ones)
        ordered.sort_indices()
        status, pattern = _core.column_runs_of(sparse_arrays(ordered, None, "mask"), threads, 0)
    if status:
        raise_status(status, mask, "mask")
    return pattern


def _heads(Q, K, V):
    """Leading dimensions of the result."""
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
    """How many heads share one of `few`, where that is more than broadcasting does."""
    return many // few if 1 < few < many and many % few == 0 else 1


def _rows_dense(array: NDArray[Any]) -> NDArray[Any]:
    """Return `array`, or a copy of it where the elements of a row do not lie side by side."""
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
        # Of its own shape, where that is enough, for the sake of the conversion.
        return np.broadcast_to(dense_view(bias, dtype), shape)
    except ValueError:
        raise ValueError(f"bias must broadcast to {shape}, got shape {bias.shape}") from None


def _target(out, shape, dtype):
    """Return what to write into: `out`, or an array for it."""
    check_out(out, shape, dtype)
    if dense_view(out, dtype) is not out or _rows_dense(out) is not out:
        return np.empty(shape, dtype)
    return out
