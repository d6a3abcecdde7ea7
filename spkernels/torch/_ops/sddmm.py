"""The operator ``sddmm``: a dense product that is sampled at the entries of a sparse matrix."""

from __future__ import annotations

import torch

from .._library import register
from .._packed import array_of, pattern_of
from .._threads import threads_of
from .checks import check_dense, check_structure

__all__ = ["sddmm"]

_SCHEMA = "sddmm(Tensor columns, Tensor offsets, Tensor x, Tensor y, int? workers=None) -> Tensor"


def _check(columns, offsets, x, y):
    check_structure(columns, offsets)
    check_dense("x", x, x.dtype)
    check_dense("y", y, x.dtype)
    rows = offsets.shape[0] - 1
    if x.dim() != 2 or x.shape[0] != rows:
        raise ValueError(f"x must have shape ({rows}, k), got {tuple(x.shape)}")
    if y.dim() != 2 or y.shape[0] != x.shape[1]:
        raise ValueError(f"y must have shape ({x.shape[1]}, n), got {tuple(y.shape)}")


def _compute(columns, offsets, x, y, workers=None):
    _check(columns, offsets, x, y)
    left, right = array_of(x), array_of(y)
    if right.dtype != left.dtype:
        right = right.astype(left.dtype)
    workers = threads_of(workers)
    pattern = pattern_of(columns, offsets, y.shape[1], left.dtype)
    values = torch.from_numpy(pattern.sddmm(left, right, workers=workers).data)
    return values.to(x.dtype)


def _fake(columns, offsets, x, y, workers=None):
    _check(columns, offsets, x, y)
    return x.new_empty(columns.shape)


def _setup_context(ctx, inputs, output):
    columns, offsets, x, y, workers = inputs
    ctx.save_for_forward(columns, offsets, x, y)
    ctx.save_for_backward(columns, offsets, x, y)
    ctx.workers = workers


def _backward(ctx, gradient):
    columns, offsets, x, y = ctx.saved_tensors
    spmm = torch.ops.spkernels.spmm.default
    weight = gradient, columns, offsets, y.shape[1]
    by_x = by_y = None
    if ctx.needs_input_grad[2]:
        by_x = spmm(*weight, y.mT, False, ctx.workers).to(x.dtype)
    if ctx.needs_input_grad[3]:
        by_y = spmm(*weight, x, True, ctx.workers).mT.to(y.dtype)
    return None, None, by_x, by_y, None


def _jvp(ctx, _columns, _offsets, d_x, d_y, _workers):
    columns, offsets, x, y = ctx.saved_tensors
    parts = []
    if d_x is not None:
        parts.append(sddmm(columns, offsets, d_x, y, ctx.workers))
    if d_y is not None:
        parts.append(sddmm(columns, offsets, x, d_y, ctx.workers))
    return sum(parts)


sddmm = register(_SCHEMA, _compute, _fake, _setup_context, _backward, jvp=_jvp)
