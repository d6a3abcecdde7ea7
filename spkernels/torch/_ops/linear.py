"""The operator ``linear``: a layer whose weight is sparse."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch

import spkernels

from .._library import register
from .._packed import array_of, weight_of
from .._threads import threads_of
from .activation import check_activation, gradient_of
from .checks import check_bias, check_dense, check_sparse
from .sddmm import sddmm

__all__ = ["linear", "linear_now"]

_SCHEMA = (
    "linear(Tensor x, Tensor values, Tensor columns, Tensor offsets, SymInt width, "
    "Tensor? bias=None, str? activation=None, Tensor? residual=None, bool transpose=False, "
    "int? workers=None) -> Tensor"
)


def linear_now(
    x: torch.Tensor,
    values: torch.Tensor,
    columns: torch.Tensor,
    offsets: torch.Tensor,
    width: int,
    bias: torch.Tensor | None = None,
    activation: str | None = None,
    residual: torch.Tensor | None = None,
    transpose: bool = False,
    workers: int | None = None,
    *,
    pack: bool = True,
    pattern: str | None = None,
) -> torch.Tensor:
    """Compute the operator for CPU tensors, without PyTorch's dispatcher.

    With `pack`, the weight is packed if its tensors come a second time, and packed values are used.
    `pattern` is that of `spkernels.prepare`.
    """
    workers = threads_of(workers)
    weight = weight_of(values, columns, offsets, width)
    rows, cols = weight.csr.shape[::-1] if transpose else weight.csr.shape
    _check(x, values, bias, activation, residual, rows, cols)
    array = array_of(x)
    extra = None if bias is None else weight.bias(bias)
    out: np.ndarray | None = None
    beta = 0.0
    if residual is not None:
        # The sum is formed in the array of the result, which a copy of the residual becomes.
        out = array_of(residual.clone(memory_format=torch.contiguous_format))
        beta = 1.0
    options: dict[str, Any] = {"activation": activation, "beta": beta, "workers": workers}
    left: Any
    if transpose:
        matrix = weight.packed if pack else None
        left = weight.csr.T if matrix is None else matrix.T
    else:
        n = math.prod(array.shape[:-1])
        matrix = weight.matrix(n, workers, pattern) if pack else None
        left = weight.csr if matrix is None else matrix
    if matrix is None:
        result = _unpacked(left, array, extra, out, options)
    else:
        result = left.linear(array, extra, out=out, **options)
    made = torch.from_numpy(result)
    return made if made.dtype is x.dtype else made.to(x.dtype)


def _unpacked(left, array, bias, out, options):
    """Return ``array @ left.T`` with the epilogue, for a matrix that was not prepared."""
    shape = (*array.shape[:-1], left.shape[0])
    count = math.prod(shape[:-1])
    rows = array.reshape(count, left.shape[1])
    into = None if out is None else out.reshape(count, left.shape[0]).T
    column = None if bias is None else bias[:, None]
    if out is None:
        options = {**options, "order": "F"}
    result = spkernels.spmm(left, rows.T, out=into, bias=column, **options)
    return result.T.reshape(shape)


def _check(x, values, bias, activation, residual, rows, cols):
    check_dense("x", x, values.dtype)
    if x.dim() == 0 or x.shape[-1] != cols:
        raise ValueError(f"x must have shape (..., {cols}), got {tuple(x.shape)}")
    check_activation(activation)
    if bias is not None:
        check_bias(bias, rows, values.dtype)
    if residual is not None:
        check_dense("residual", residual, values.dtype)
        shape = (*x.shape[:-1], rows)
        if residual.shape != shape:
            raise ValueError(
                f"residual must have shape {tuple(shape)}, got {tuple(residual.shape)}"
            )


def _fake(x, values, columns, offsets, width, bias=None, activation=None, residual=None,
          transpose=False, workers=None):  # fmt: skip
    check_sparse(values, columns, offsets)
    height = offsets.shape[0] - 1
    rows, cols = (width, height) if transpose else (height, width)
    _check(x, values, bias, activation, residual, rows, cols)
    return x.new_empty((*x.shape[:-1], rows))


def _compute(x, values, columns, offsets, width, *rest, **options):
    check_sparse(values, columns, offsets)
    # An optimizer changes trained values soon, perhaps through `.data`, which leaves no trace.
    pack = not values.requires_grad
    return linear_now(x, values, columns, offsets, width, *rest, pack=pack, **options)


def _setup_context(ctx, inputs, output):
    (x, values, columns, offsets, width, bias, activation, residual, transpose, workers) = inputs
    tensors = x, values, columns, offsets, bias, residual
    ctx.save_for_forward(*tensors)
    if activation is None:
        # The inputs of a layer whose values are fixed may be freed.
        read = x if ctx.needs_input_grad[1] else None
        tensors = read, values, columns, offsets, None, None
    ctx.save_for_backward(*tensors)
    ctx.width, ctx.activation, ctx.transpose, ctx.workers = width, activation, transpose, workers
    ctx.dtypes = [None if t is None else t.dtype for t in (x, bias, residual)]


def _backward(ctx, gradient):
    x, values, columns, offsets, bias, residual = ctx.saved_tensors
    x_dtype, bias_dtype, residual_dtype = ctx.dtypes
    weight = values, columns, offsets, ctx.width
    options = {"transpose": ctx.transpose, "workers": ctx.workers}
    if ctx.activation is not None:
        before = linear(x, *weight, bias, None, residual, **options)
        gradient = gradient_of(ctx.activation, before, gradient)
    by_x = by_values = by_bias = by_residual = None
    if ctx.needs_input_grad[0]:
        turned = {**options, "transpose": not ctx.transpose}
        by_x = linear(gradient.to(x_dtype), *weight, **turned)
    count = gradient.shape[:-1].numel()
    rows = gradient.reshape(count, gradient.shape[-1])
    if ctx.needs_input_grad[1]:
        inputs = x.reshape(count, x.shape[-1])
        pair = (inputs.mT, rows) if ctx.transpose else (rows.mT, inputs)
        by_values = sddmm(columns, offsets, *pair, ctx.workers).to(values.dtype)
    if ctx.needs_input_grad[5]:
        by_bias = rows.sum(0, dtype=bias_dtype)
    if ctx.needs_input_grad[7]:
        by_residual = gradient.to(residual_dtype)
    return by_x, by_values, None, None, None, by_bias, None, by_residual, None, None


def _jvp(ctx, d_x, d_values, _columns, _offsets, _width, d_bias, _activation, d_residual, *_):
    x, values, columns, offsets, bias, residual = ctx.saved_tensors
    rest = columns, offsets, ctx.width
    options = {"transpose": ctx.transpose, "workers": ctx.workers}
    parts = [d_bias, d_residual]
    if d_x is not None:
        parts.append(linear(d_x, values, *rest, **options))
    if d_values is not None:
        parts.append(linear(x, d_values, *rest, **options))
    shape = *x.shape[:-1], ctx.width if ctx.transpose else offsets.shape[0] - 1
    tangent = sum(part for part in parts if part is not None).to(x.dtype).expand(shape)
    if ctx.activation is None:
        return tangent
    before = linear(x, values, *rest, bias, None, residual, **options)
    # An activation takes each element alone: both modes multiply by the same factors.
    return gradient_of(ctx.activation, before, tangent)


def _vmap(info, in_dims, x, values, columns, offsets, width, bias, activation, residual, *rest):
    if any(dim is not None for place, dim in enumerate(in_dims) if place not in (0, 7)):
        return NotImplemented
    x, residual = (
        value if value is None
        else value.unsqueeze(0).expand(info.batch_size, *value.shape) if dim is None
        else value.movedim(dim, 0)
        for value, dim in ((x, in_dims[0]), (residual, in_dims[7]))
    )  # fmt: skip
    return linear(x, values, columns, offsets, width, bias, activation, residual, *rest), 0


linear = register(
    _SCHEMA, _compute, _fake, _setup_context, _backward, jvp=_jvp, vmap=_vmap, autocast=True
)
