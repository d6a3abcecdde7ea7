"""The functions that multiply on the GPU, by prepared matrices or by others for one call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ._arrays import default_library, dtype_name
from ._attend import attend
from ._matrix import CudaMatrix, source_of
from ._multiply import Options, multiply
from ._operands import read
from ._sample import sample
from ._sparse import is_sparse

if TYPE_CHECKING:
    from .._inputs.types import Activation, Order

__all__ = ["asarray", "sddmm", "sparse_attention", "spmm"]


def asarray(value: Any, dtype: Any = None) -> Any:
    """Copy an array to the current GPU, as an array of CuPy or, without CuPy, as a torch tensor.

    Parameters
    ----------
    value : array_like
        The array.  If it is on the GPU already, it is not copied.
    dtype : dtype, optional
        The dtype of the result; by default that of `value`.

    Returns
    -------
    cupy.ndarray or torch.Tensor
        The array on the GPU.

    Raises
    ------
    ImportError
        If neither CuPy nor torch is installed.

    Examples
    --------
    >>> B = spkernels.cuda.asarray(np.ones((512, 64), np.float32))  # doctest: +SKIP
    """
    return default_library().asarray(value, None if dtype is None else dtype_name(dtype))


def _is_operand(value):
    return isinstance(value, CudaMatrix) or is_sparse(value)


def _on_gpu(copy, stream, *values):
    """Return `values`; with `copy`, NumPy's arrays among them become copies on the GPU."""
    if not copy:
        return values
    if stream is not None:
        raise ValueError(
            f"stream must be None with copy=True, which uses the current stream, got {stream!r}"
        )
    return [asarray(value) if isinstance(value, np.ndarray) else value for value in values]


def _returned(copy, result, out, *operands):
    """Return the result for the caller; with `copy`, in host memory if the caller's arrays are.

    A given `out` decides, else the dense operands: all of them must be arrays of NumPy.
    """
    if not copy:
        return result
    if out is not None:
        if isinstance(out, np.ndarray):
            out[...] = default_library().to_numpy(result)
        return out
    if all(isinstance(value, np.ndarray) for value in operands):
        return default_library().to_numpy(result)
    return result


def spmm(
    A: Any,
    B: Any,
    *,
    out: Any = None,
    alpha: float = 1.0,
    beta: float = 0.0,
    bias: Any = None,
    activation: Activation | None = None,
    order: Order | None = None,
    stream: Any = None,
    copy: bool = False,
) -> Any:
    """Multiply a sparse and a dense matrix: ``activation(alpha * A @ B + beta * out + bias)``.

    Parameters
    ----------
    A : CudaMatrix, or sparse matrix that `prepare` takes, of shape (m, k); or dense
        The left operand.  A sparse matrix that is not prepared is packed on the CPU for this call
        alone, and freed again.  Packing takes far longer than the product, and waits for the GPU.
    B : dense array on the GPU, of shape (k,) or (k, n); or as `A`
        The right operand, which must be sparse if `A` is dense.
        ``spmm(X, W.T, bias=b, activation="relu")`` is a linear layer.
    out, alpha, beta, bias, activation, order, stream
        As in `CudaMatrix.spmm`.
    copy : bool, optional
        Whether the dense operand, `out` and `bias` may be arrays of NumPy, which CuPy or torch
        copies to the GPU.  The result is copied back if the dense operand is an array of NumPy.

    Returns
    -------
    array
        On the GPU, of the dense operand's library; with `copy`, an array of NumPy if the dense
        operand is one.  Its dtype is that of the prepared matrix.  A matrix that is packed for this
        call takes the dtype of the dense operand.

    Raises
    ------
    TypeError
        If not exactly one of `A` and `B` is sparse, or an operand is not on the GPU.
    ValueError
        If shapes, strides or devices do not fit, or an option is unknown.

    See Also
    --------
    prepare : packs a matrix once for many products.
    spkernels.spmm : multiplies on the CPU.

    Examples
    --------
    >>> spkernels.cuda.spmm(W, B, activation="relu")  # doctest: +SKIP
    >>> spkernels.cuda.spmm(A, np.ones((512, 64), np.float32), copy=True)  # doctest: +SKIP
    """
    dense_first = not _is_operand(A)
    if dense_first != _is_operand(B):
        kind = "dense" if dense_first else "sparse"
        raise TypeError(f"exactly one of A and B must be sparse, both are {kind}")
    S, D = (B, A) if dense_first else (A, B)
    names = ("A", "B") if dense_first else ("B", "A")
    on_gpu, into, added = _on_gpu(copy, stream, D, out, bias)
    packed = _packed(S, names[1], read(on_gpu, names[0]).dtype, "spmm", dense_first)
    options = Options.of(into, alpha, beta, added, activation, order)
    result = multiply(packed, dense_first, on_gpu, names, options, stream)
    return _returned(copy, result, out, D)


def _packed(S, name, dtype, op, transposed=False):
    """Return the handle of `S` or of its transpose; a matrix that is not prepared is packed now."""
    if isinstance(S, CudaMatrix):
        return S._source.packed(S._is_transposed != transposed)
    return source_of(S, name, dtype, op=op).packed(transposed)


def sddmm(
    P: Any,
    X: Any,
    Y: Any,
    *,
    out: Any = None,
    alpha: float = 1.0,
    beta: float = 0.0,
    scale: bool = False,
    stream: Any = None,
    copy: bool = False,
) -> Any:
    """Sample the product of two dense matrices at the stored positions of a sparse one.

    Parameters
    ----------
    P : CudaMatrix, or sparse matrix that `prepare` takes, of shape (m, n)
        The sparse matrix whose structure is sampled.  One that is not prepared with ``op="sddmm"``
        is packed on the CPU for this call alone, and freed again.  Packing takes far longer than
        the product, and waits for the GPU.
    X, Y, out, alpha, beta, scale, stream
        As in `CudaMatrix.sddmm`.
    copy : bool, optional
        Whether the factors and `out` may be arrays of NumPy, which CuPy or torch copies to the GPU.
        The result is copied back if both factors are arrays of NumPy.

    Returns
    -------
    array of shape (..., nnz)
        The sampled values, in the order of the values of `P`.

    Raises
    ------
    TypeError, ValueError
        As `spmm`.

    See Also
    --------
    spkernels.sddmm : samples on the CPU, and returns a sparse array.

    Examples
    --------
    >>> values = spkernels.cuda.sddmm(P, X, Y, scale=True)  # doctest: +SKIP
    """
    left, right, into = _on_gpu(copy, stream, X, Y, out)
    packed = _packed(P, "P", read(left, "X").dtype, "sddmm")
    result = sample(packed, left, right, into, alpha, beta, scale, stream)
    return _returned(copy, result, out, X, Y)


def sparse_attention(
    Q: Any,
    K: Any,
    V: Any,
    mask: Any,
    *,
    scale: float | None = None,
    out: Any = None,
    return_lse: bool = False,
    stream: Any = None,
    copy: bool = False,
) -> Any:
    """Compute sparse attention: ``softmax(scale * Q @ K.T) @ V`` over the entries of a mask.

    Parameters
    ----------
    Q, K, V : dense arrays on the GPU
        As in `CudaMatrix.attend`.
    mask : CudaMatrix, sparse matrix that `prepare` takes or `spkernels.masks.Mask`
        Its row i has entries for the keys that query i attends to; all heads share it.  A mask that
        is not prepared with ``op="attention"`` is packed on the CPU for this call alone, and freed
        again.  Packing takes far longer than the product, and waits for the GPU.
    scale, out, return_lse, stream
        As in `CudaMatrix.attend`.
    copy : bool, optional
        Whether the operands and `out` may be arrays of NumPy, which CuPy or torch copies to the
        GPU.  The results are copied back if all operands are arrays of NumPy.

    Returns
    -------
    out, lse
        As from `CudaMatrix.attend`.

    Raises
    ------
    TypeError, ValueError
        As `spmm`.

    See Also
    --------
    spkernels.sparse_attention : computes attention on the CPU.

    Examples
    --------
    >>> mask = spkernels.masks.causal_window(4096, 256)  # doctest: +SKIP
    >>> M = spkernels.cuda.prepare(mask, "float16", op="attention")  # doctest: +SKIP
    >>> spkernels.cuda.sparse_attention(Q, K, V, M)  # doctest: +SKIP
    """
    q, k, v, into = _on_gpu(copy, stream, Q, K, V, out)
    packed = _packed(mask, "mask", read(q, "Q").dtype, "attention")
    result = attend(packed, q, k, v, scale, into, return_lse, stream)
    if not return_lse:
        return _returned(copy, result, out, Q, K, V)
    return _returned(copy, result[0], out, Q, K, V), _returned(copy, result[1], None, Q, K, V)
