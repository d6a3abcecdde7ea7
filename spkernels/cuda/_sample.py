"""Products of dense matrices, sampled at the entries of a sparse one, on the GPU (SDDMM)."""

from __future__ import annotations

import ctypes

import numpy as np

from . import _library
from ._errors import raise_status
from ._multiply import not_prepared, workspace
from ._operands import as_factor, check_apart, check_operand, dense, enqueue, read

__all__ = ["check_values", "sample"]


def sample(packed, X, Y, out=None, alpha=1.0, beta=0.0, scale=False, stream=None):
    """Return ``alpha * (X @ Y) + beta * P`` at the entries of the packed P.

    With `scale`, the product is multiplied by the values of P, too.
    """
    X, Y = read(X, "X"), read(Y, "Y")
    lead = _check_factors(packed, X, Y)
    alpha, beta = as_factor(alpha, "alpha"), as_factor(beta, "beta")
    if (scale or beta != 0) and not packed.has_values:
        raise ValueError("scale and beta need values: the matrix was prepared as a mask alone")
    sampling = _library.Sampling(alpha, beta, bool(scale))
    return enqueue(X, packed.device, stream, _run, packed, X, Y, lead, out, sampling)


def _check_factors(packed, X, Y):
    """Return the leading dimensions of the result, or raise if the factors do not fit."""
    for operand in (X, Y):
        if len(operand.shape) < 2:
            raise ValueError(
                f"{operand.name} must have 2 dimensions or more, got shape {tuple(operand.shape)}"
            )
        check_operand(operand, packed)
    m, n = packed.shape
    if X.shape[-2] != m:
        raise ValueError(f"X must have {m} rows as P has, got shape {tuple(X.shape)}")
    if Y.shape[-1] != n:
        raise ValueError(f"Y must have {n} columns as P has, got shape {tuple(Y.shape)}")
    if X.shape[-1] != Y.shape[-2]:
        raise ValueError(
            f"dimension mismatch in X @ Y: shapes {tuple(X.shape)} and {tuple(Y.shape)}"
        )
    try:
        return np.broadcast_shapes(tuple(X.shape[:-2]), tuple(Y.shape[:-2]))
    except ValueError:
        raise ValueError(
            f"leading dimensions of X and Y must broadcast, got shapes {tuple(X.shape)} and "
            f"{tuple(Y.shape)}"
        ) from None


def check_values(values, packed, shape):
    """Raise unless `values` are contiguous, of shape `shape`, and of the matrix's dtype."""
    check_operand(values, packed)
    if tuple(values.shape) != shape:
        raise ValueError(f"{values.name} must have shape {shape}, got {tuple(values.shape)}")
    step = 1
    for extent, stride in zip(reversed(shape), reversed(tuple(values.strides)), strict=True):
        if extent > 1 and stride != step:
            raise ValueError(
                f"{values.name} must be contiguous, got strides of {tuple(values.strides)} elements"
            )
        step *= extent


def _run(packed, X, Y, lead, out, sampling, stream):
    arrays, device = X.library, packed.device
    shape = (*lead, packed.nnz)
    reads = None
    if out is not None:
        reads = read(out, "out")
        check_values(reads, packed, shape)
        if reads.library.is_read_only(reads.array):
            raise ValueError("out must be writeable, got a read-only array")
        check_apart(reads, X, Y)
    ordered = packed.order is None or isinstance(packed.order, str)
    direct = ordered and out is not None
    if direct:
        made, pointer = out, reads.pointer
    else:
        made, pointer = arrays.empty(shape, packed.dtype, device)
    _all(packed, X, Y, lead, pointer, sampling, arrays, stream)
    if ordered:
        return made
    made = arrays.take(made, packed.index(arrays, inverse=True))
    if out is None:
        return made
    arrays.assign(out, made)
    return out


def _all(packed, X, Y, lead, pointer, sampling, arrays, stream):
    """Sample the product of each leading index; all share a workspace, as a stream is in order."""
    library, device = packed.library, packed.device
    size = _library.ITEMSIZES[packed.dtype]
    address, room, bytes_ = None, None, ctypes.c_size_t()
    for number, head in enumerate(np.ndindex(*lead)):
        left, right = _matrix(X, head), _matrix(Y, head)
        status = _library.OK
        if room is None:
            status = library.spk_cuda_sddmm_workspace(packed.pointer, left, right, bytes_)
            if status == _library.OK and bytes_.value:
                room, address = workspace(arrays, bytes_.value, device)
        if status == _library.OK:
            status = library.spk_cuda_sddmm(
                packed.pointer,
                left,
                right,
                pointer + number * packed.nnz * size,
                sampling,
                address,
                stream,
            )
        if status == _library.ERR_PREPARED:
            raise not_prepared(packed, "sddmm")
        if status != _library.OK:
            raise_status(library, status, "sampling")


def _matrix(operand, head):
    """Return the matrix of an operand at a leading index of the result; dimensions of 1 repeat."""
    (rows, cols), (row, col) = operand.shape[-2:], operand.strides[-2:]
    own = len(operand.shape) - 2
    places = zip(head[len(head) - own :], operand.shape, operand.strides, strict=False)
    offset = sum(at * stride for at, extent, stride in places if extent > 1)
    pointer = operand.pointer + offset * _library.ITEMSIZES[operand.dtype]
    return dense(operand, rows, cols, row, col, pointer)
