"""Sparse attention on the GPU."""

from __future__ import annotations

import math

from . import _library
from ._errors import raise_status
from ._multiply import not_prepared
from ._operands import as_factor, check_apart, check_operand, enqueue, read

__all__ = ["attend"]

#: The kernels take rows whose number of elements is a multiple of _STEP and at most _MAX, and whose
#: addresses are multiples of _ALIGNMENT bytes.
_STEP, _MAX = 8, 256
_ALIGNMENT = 16


def attend(packed, Q, K, V, scale=None, out=None, return_lse=False, stream=None):
    """Return ``softmax(scale * Q @ K.T) @ V`` over the entries of the packed mask."""
    operands = [read(value, name) for value, name in ((Q, "Q"), (K, "K"), (V, "V"))]
    if packed.dtype not in ("float16", "bfloat16"):
        raise TypeError(
            f"mask must be prepared for float16 or bfloat16, got {packed.dtype}"
        )
    _check_shapes(packed, *operands)
    d = operands[0].shape[-1]
    scale = 1.0 / math.sqrt(d) if scale is None else as_factor(scale, "scale")
    task = (packed, *operands, scale, out, return_lse)
    return enqueue(operands[0], packed.device, stream, _run, *task)


def _check_shapes(packed, Q, K, V):
    rows, cols = packed.shape
    for operand, extent, of in ((Q, rows, "queries"), (K, cols, "keys"), (V, cols, "values")):
        shape = tuple(operand.shape)
        if not 2 <= len(shape) <= 4:
            raise ValueError(f"{operand.name} must have 2 to 4 dimensions, got shape {shape}")
        if shape[-2] != extent:
            raise ValueError(
                f"{operand.name} must have {extent} rows, as the mask of shape {packed.shape} has "
                f"{of}, got shape {shape}"
            )
        if shape[-1] % _STEP or not 0 < shape[-1] <= _MAX:
            raise ValueError(
                f"{operand.name} must have rows of a multiple of {_STEP} elements up to {_MAX}, "
                f"got shape {shape}"
            )
        _check_rows(operand, packed)
    if Q.shape[-1] != K.shape[-1]:
        raise ValueError(
            f"K must have rows of {Q.shape[-1]} elements as Q has, got shape {tuple(K.shape)}"
        )


def _check_rows(operand, packed):
    """Raise unless the rows of an operand are contiguous and aligned."""
    check_operand(operand, packed)
    size = _library.ITEMSIZES[operand.dtype]
    strides, shape = tuple(operand.strides), tuple(operand.shape)
    steps = [stride for stride, extent in zip(strides, shape, strict=True) if extent > 1]
    if 0 in shape:
        return
    if strides[-1] != 1 or any(step < 0 for step in steps):
        raise ValueError(
            f"{operand.name} must have contiguous rows, got strides of {strides} elements"
        )
    if operand.pointer % _ALIGNMENT or any(step * size % _ALIGNMENT for step in steps[:-1]):
        raise ValueError(
            f"{operand.name} must have rows that are aligned to {_ALIGNMENT} bytes, got address "
            f"{operand.pointer:#x} and strides of {strides} elements"
        )


def _lead(Q, K, V):
    """Return (batch, heads of Q, heads of K and V), or raise if leading dimensions do not fit."""
    (batch, heads), *others = [(1, 1, *operand.shape)[-4:-2] for operand in (Q, K, V)]
    kv_heads = others[0][1]
    for operand, (theirs, their_heads) in zip((K, V), others, strict=True):
        if theirs not in (1, batch) or their_heads != kv_heads or heads % max(kv_heads, 1):
            raise ValueError(
                f"{operand.name} must have leading dimensions that broadcast with "
                f"{tuple(Q.shape[:-2])}, or a number of heads that divides Q's and is that of K, "
                f"got shape {tuple(operand.shape)}"
            )
    return batch, heads, kv_heads


def _strides(operand):
    """Return the strides of batch, head and row, in elements; 0 for a batch or head of size 1."""
    shape, strides = (1, 1, *operand.shape)[-4:], (0, 0, *operand.strides)[-4:]
    batch, head = (0 if shape[axis] == 1 else strides[axis] for axis in (0, 1))
    return batch, head, strides[2]


def _run(packed, Q, K, V, scale, out, return_lse, stream):
    arrays, device = Q.library, packed.device
    batch, heads, kv_heads = _lead(Q, K, V)
    dv = V.shape[-1]
    shape = (*Q.shape[:-1], dv)
    if out is None:
        out, _ = arrays.empty(shape, packed.dtype, device)
        target = read(out, "out")
    else:
        target = read(out, "out")
        if tuple(target.shape) != shape:
            raise ValueError(f"out must have shape {shape}, got {tuple(target.shape)}")
        _check_rows(target, packed)
        if target.library.is_read_only(target.array):
            raise ValueError("out must be writeable, got a read-only array")
        if any(n > 1 and not step for n, step in zip(shape, target.strides, strict=True)):
            raise ValueError("out must have a place for every element, got a stride of 0")
        check_apart(target, Q, K, V)
    lse, lse_pointer = None, None
    if return_lse:
        lse, lse_pointer = arrays.empty(tuple(Q.shape[:-1]), "float32", device)
    task = _library.Attention(
        dtype=_library.DTYPES[packed.dtype],
        batch=batch,
        heads=heads,
        kv_heads=kv_heads,
        d=Q.shape[-1],
        dv=dv,
        scale=scale,
        Q=Q.pointer,
        K=K.pointer,
        V=V.pointer,
        out=target.pointer,
        q_strides=_strides(Q),
        k_strides=_strides(K),
        v_strides=_strides(V),
        out_strides=_strides(target),
        lse=lse_pointer,
    )
    status = packed.library.spk_cuda_attend(packed.pointer, task, stream)
    if status == _library.ERR_PREPARED:
        raise not_prepared(packed, "attention")
    if status != _library.OK:
        raise_status(packed.library, status, "attending")
    return (out, lse) if return_lse else out
