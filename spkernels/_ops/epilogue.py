"""The epilogue of products that NumPy or scipy computes: in place, or in parts of bounded size."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp

from .. import _core
from .._inputs.dense import NATIVE, dense_array, numbers
from .._inputs.out import apart_from, check_out_dtype

__all__ = ["broadcast_bias", "check_epilogue", "dense_product", "finish"]

#: The bytes of a part of a result that cannot be computed in place.
_PART_BYTES = 4 << 20

#: Matrices of shape (1, 0): their products have an epilogue but no terms.
_NO_TERMS: dict[Any, Any] = {dtype: sp.csr_array((1, 0), dtype=dtype) for dtype in NATIVE}


def finish(product, out, alpha, beta, bias, activation, layout):
    """Return the epilogue of `product`, in `out` if given.

    `product` must be a new array: it is overwritten if the result has its dtype.
    """
    result = _finished(product, out, alpha, beta, bias, activation)
    if out is None:
        return np.asarray(result, order=layout)
    check_out_dtype(out, result.dtype)
    out[...] = result
    return out


def _finished(result, out, alpha, beta, bias, activation):
    shape = result.shape
    if alpha != 1:
        result = _in_place(np.multiply, result, alpha)
    if beta != 0:
        result = _plus_old(result, beta, out)
    if bias is not None:
        result = _in_place(np.add, result, broadcast_bias(bias, shape))
    if activation not in (None, "relu") and result.dtype in NATIVE:
        result = _activated(result, activation)
    elif activation in ("relu", "relu6") and result.dtype.kind in "biuf":
        result = _in_place(np.maximum, result, result.dtype.type(0))
        if activation == "relu6":
            result = _in_place(np.minimum, result, result.dtype.type(6))
    elif activation is not None:
        raise TypeError(
            f"activation must be None for a result of {result.dtype}, got {activation!r}: it needs "
            "float32 or float64"
        )
    return result


def check_epilogue(shape, dtype, out, alpha, beta, bias, activation):
    """Raise the errors of `finish` before the product is computed, by a call with empty arrays."""
    if bias is not None:
        bias = np.empty((0,) * len(shape), broadcast_bias(bias, shape).dtype)
    # scipy.sparse does not have float16.
    dtype = np.dtype(np.float32) if dtype == np.float16 else dtype
    nothing = np.empty((0,) * len(shape), dtype)
    into = None if out is None else out[(slice(0),) * len(shape)]
    finish(nothing, into, alpha, beta, bias, activation, "C")


def dense_product(A, B, out, alpha, beta, bias, activation, layout):
    """Return the epilogue of ``A @ B`` of two dense arrays; all is of the dtype of `A`.

    No memory as large as the result is allocated besides the result, and nothing is written before
    all memory is allocated.
    """
    shape = (A.shape[0], *B.shape[1:])
    B = apart_from(out, np.asarray(B, A.dtype))
    bias = None if bias is None else broadcast_bias(apart_from(out, np.asarray(bias)), shape)
    result = _core.empty(shape, A.dtype, layout) if out is None else out
    if beta == 0 and result.flags.forc and result.flags.aligned:
        np.matmul(A, B, out=result)
        return _finished(result, None, alpha, 0, bias, activation)
    rows = max(1, _PART_BYTES // max(1, result.itemsize * int(np.prod(shape[1:]))))
    part = np.empty((min(rows, shape[0]), *shape[1:]), A.dtype)
    for first in range(0, shape[0], rows):
        these = slice(first, first + rows)
        sums = part[: min(rows, shape[0] - first)]
        np.matmul(A[these], B, out=sums)
        biased = None if bias is None else bias[these]
        finish(sums, result[these], alpha, beta, biased, activation, layout)
    return result


def broadcast_bias(bias, shape):
    """Return `bias` as an array, broadcast to the shape of the result."""
    bias = numbers(dense_array(bias, "bias"), "bias")
    try:
        return np.broadcast_to(bias, shape)
    except ValueError:
        raise ValueError(
            f"bias must broadcast to the result's shape {shape}, got shape {bias.shape}"
        ) from None


def _in_place(ufunc, array, other):
    """Return ``ufunc(array, other)``, written to `array` if `array` has the result's dtype."""
    same = array.ndim > 0 and np.result_type(array, other) == array.dtype
    return ufunc(array, other, out=array if same else None)


def _activated(array, activation):
    """Return the activation of an array by the kernels, in place if the array is contiguous."""
    if not (array.flags.forc and array.flags.behaved):
        array = array.copy()
    # This is the epilogue of a product without terms.  With alpha = -1 the sum of no terms becomes
    # -0, which leaves every element as it is, -0 among them.
    flat = np.asarray(array).reshape(1, -1, order="A")
    none = np.empty((0, flat.shape[1]), array.dtype)
    _core.spmm_fast(_NO_TERMS[array.dtype], none, flat, -1.0, 1.0, None, str(activation), workers=1)
    return array


def _plus_old(result, beta, out):
    """Return ``result + beta * out``, in `result` as `_in_place` does, part by part."""
    if result.ndim == 0 or np.result_type(result, beta, out) != result.dtype:
        return result + beta * out
    size = max(1, result.nbytes // max(1, result.shape[0]))
    rows = max(1, _PART_BYTES // size)
    for first in range(0, result.shape[0], rows):
        these = slice(first, first + rows)
        result[these] += beta * out[these]
    return result
