"""The operator ``spmm``: the product of a sparse and a dense matrix."""

from __future__ import annotations

from typing import Any

import torch

import spkernels

from .._library import register
from .._packed import array_of, weight_of
from .._threads import threads_of
from .checks import check_dense, check_sparse
from .sddmm import sddmm

__all__ = ["spmm"]

_SCHEMA = (
    "spmm(Tensor values, Tensor columns, Tensor offsets, SymInt width, Tensor dense, "
    "bool transpose=False, int? workers=None) -> Tensor"
)


def _shape(values, columns, offsets, width, dense, transpose):
    """Check the arguments, and return the shape of the result."""
    check_sparse(values, columns, offsets)
    check_dense("dense", dense, values.dtype)
    height = offsets.shape[0] - 1
    rows, cols = (width, height) if transpose else (height, width)
    if dense.dim() not in (1, 2) or dense.shape[0] != cols:
        raise ValueError(
            f"dense must have shape ({cols}, n) or ({cols},), got {tuple(dense.shape)}"
        )
    return (rows, *dense.shape[1:])


def _compute(values, columns, offsets, width, dense, transpose=False, workers=None):
    _shape(values, columns, offsets, width, dense, transpose)
    workers = threads_of(workers)
    weight, array = weight_of(values, columns, offsets, width), array_of(dense)
    pack = not values.requires_grad  # as in `linear`: an optimizer changes trained values soon
    left: Any
    if transpose:
        matrix = weight.packed if pack else None
        left = weight.csr.T if matrix is None else matrix.T
    else:
        n = array.size // max(1, array.shape[0])
        matrix = weight.matrix(n, workers) if pack else None
        left = weight.csr if matrix is None else matrix
    if matrix is None:
        result = spkernels.spmm(left, array, workers=workers)
    else:
        result = left.spmm(array, workers=workers)
    return torch.from_numpy(result).to(dense.dtype)


def _fake(values, columns, offsets, width, dense, transpose=False, workers=None):
    return dense.new_empty(_shape(values, columns, offsets, width, dense, transpose))


def _setup_context(ctx, inputs, output):
    values, columns, offsets, width, dense, transpose, workers = inputs
    ctx.save_for_forward(values, columns, offsets, dense)
    read = dense if ctx.needs_input_grad[0] else None
    ctx.save_for_backward(values, columns, offsets, read)
    ctx.width, ctx.transpose, ctx.workers, ctx.dtype = width, transpose, workers, dense.dtype


def _backward(ctx, gradient):
    values, columns, offsets, dense = ctx.saved_tensors
    by_values = by_dense = None
    if ctx.needs_input_grad[0]:
        a, b = (gradient, dense) if dense.dim() == 2 else (gradient[:, None], dense[:, None])
        pair = (b, a.mT) if ctx.transpose else (a, b.mT)
        by_values = sddmm(columns, offsets, *pair, ctx.workers).to(values.dtype)
    if ctx.needs_input_grad[4]:
        weight = values, columns, offsets, ctx.width
        by_dense = spmm(*weight, gradient.to(ctx.dtype), not ctx.transpose, ctx.workers)
    return by_values, None, None, None, by_dense, None, None


def _jvp(ctx, d_values, _columns, _offsets, _width, d_dense, *_):
    values, columns, offsets, dense = ctx.saved_tensors
    rest = columns, offsets, ctx.width
    parts = []
    if d_values is not None:
        parts.append(spmm(d_values, *rest, dense, ctx.transpose, ctx.workers))
    if d_dense is not None:
        parts.append(spmm(values, *rest, d_dense, ctx.transpose, ctx.workers))
    return sum(parts)


def _vmap(info, in_dims, values, columns, offsets, width, dense, *rest):
    if any(dim is not None for place, dim in enumerate(in_dims) if place != 4):
        return NotImplemented
    # The members of the batch are more columns.
    columns_of_all = dense.movedim(in_dims[4], -1).flatten(1)
    result = spmm(values, columns, offsets, width, columns_of_all, *rest)
    return result.unflatten(1, (*dense.movedim(in_dims[4], -1).shape[1:],)), dense.dim() - 1


spmm = register(
    _SCHEMA, _compute, _fake, _setup_context, _backward, jvp=_jvp, vmap=_vmap, autocast=True
)
