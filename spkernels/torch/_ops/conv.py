"""The operator ``conv``: a convolution of one or two dimensions whose weight is sparse."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import torch

import spkernels

from .._library import register
from .._lowering import Geometry, as_matrix, blocks_of, images_together
from .._packed import array_of
from .._parts import Parts, parts_of
from .._threads import threads_of
from .activation import check_activation, gradient_of
from .checks import check_bias, check_dense, check_sparse

__all__ = ["conv", "conv_now"]

_SCHEMA = (
    "conv(Tensor x, Tensor values, Tensor columns, Tensor offsets, int[] kernel_size, "
    "int[] stride, int[] padding, int[] dilation, int groups=1, Tensor? bias=None, "
    "str? activation=None, Tensor? residual=None, int? workers=None) -> Tensor"
)


def conv_now(
    x: torch.Tensor,
    values: torch.Tensor,
    columns: torch.Tensor,
    offsets: torch.Tensor,
    kernel_size: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    groups: int = 1,
    bias: torch.Tensor | None = None,
    activation: str | None = None,
    residual: torch.Tensor | None = None,
    workers: int | None = None,
    *,
    pack: bool = True,
    pattern: str | None = None,
) -> torch.Tensor:
    """Compute the operator for CPU tensors, without PyTorch's dispatcher.

    With `pack`, the weight is packed if its tensors come a second time, and packed values are used.
    `pattern` is that of `spkernels.prepare`.
    """
    geometry = _checked(
        x, values, offsets, kernel_size, stride, padding, dilation, groups, bias, activation,
        residual,
    )  # fmt: skip
    workers = threads_of(workers)
    rank, rows = len(kernel_size), offsets.shape[0] - 1
    if x.is_neg():
        x = x.resolve_neg()
    images = _images(x, rank)
    wide = torch.float64 if values.dtype is torch.float64 else torch.float32
    out = _empty(images, geometry, rows, wide, rank)
    if residual is not None:
        out.copy_(_images(residual, rank))
    if out.numel():
        width = math.prod(kernel_size) * geometry.channels // groups
        parts = parts_of(values, columns, offsets, width, geometry.kernel, groups, not pack)
        options = _Options(bias, activation, residual is not None, workers, pack, pattern)
        _convolve(images, out, geometry, parts, values.shape[0], options)
    made = _unlike_images(out, x, rank)
    return made if made.dtype is x.dtype else made.to(x.dtype)


def _images(x, rank):
    """Return a tensor as images (n, channels, height, width), without a copy."""
    if x.dim() == rank + 1:
        x = x.unsqueeze(0)
    return x if rank == 2 else x.unsqueeze(-2)


def _unlike_images(images, x, rank):
    """Return images with the dimensions that `x` has."""
    if rank == 1:
        images = images.squeeze(-2)
    return images.squeeze(0) if x.dim() == rank + 1 else images


def _is_last(images):
    """Return whether PyTorch takes the channels of images for last in memory."""
    least = 0
    for place in (1, 3, 2, 0):
        size, stride = images.shape[place], images.stride(place)
        if size == 0 or stride < max(1 if place == 1 else 0, least):
            return False
        if place == 0 and least == images.stride(1):  # an image that became a batch
            return False
        least = stride * max(1, size)
    return True


def _empty(images, geometry, rows, dtype, rank):
    """Return an empty result; channels come last if they do in the images."""
    last = rank == 2 and _is_last(images)
    return torch.empty(
        (images.shape[0], rows, *geometry.out),
        dtype=dtype,
        device=images.device,
        memory_format=torch.channels_last if last else torch.contiguous_format,
    )


def _checked(x, values, offsets, kernel_size, stride, padding, dilation, groups, bias, activation,
             residual):  # fmt: skip
    """Check the arguments, and return the sizes of the convolution in two dimensions."""
    check_dense("x", x, values.dtype)
    rank, rows = len(kernel_size), offsets.shape[0] - 1
    if rank not in (1, 2):
        raise ValueError(f"kernel_size must have 1 or 2 elements, got {list(kernel_size)}")
    for name, numbers, least in (("kernel_size", kernel_size, 1), ("stride", stride, 1),
                                 ("padding", padding, 0), ("dilation", dilation, 1)):  # fmt: skip
        if len(numbers) != rank or min(numbers) < least:
            raise ValueError(
                f"{name} must have {rank} elements of at least {least}, as kernel_size has {rank}, "
                f"got {list(numbers)}"
            )
    if x.dim() not in (rank + 1, rank + 2):
        sizes = "length" if rank == 1 else "height, width"
        raise ValueError(
            f"x must have shape (n, channels, {sizes}) or (channels, {sizes}), got {tuple(x.shape)}"
        )
    channels, size = x.shape[-rank - 1], tuple(x.shape[-rank:])
    if groups < 1 or rows % groups or channels % groups:
        raise ValueError(
            f"groups must divide the {channels} channels of x and the {rows} rows of the weight, "
            f"got {groups}"
        )
    two = [(1, *pair)[-2:] for pair in (size, kernel_size, stride, dilation)]
    two.insert(3, (0, *padding)[-2:])
    geometry = Geometry(channels, *two, groups)
    if min(geometry.out) < 1:
        raise ValueError(
            f"x must be as large as the kernel at least, got {size} with padding {list(padding)} "
            f"for kernel_size {list(kernel_size)} with dilation {list(dilation)}"
        )
    check_activation(activation)
    if bias is not None:
        check_bias(bias, rows, values.dtype)
    if residual is not None:
        check_dense("residual", residual, values.dtype)
        shape = (*x.shape[: -rank - 1], rows, *geometry.out[2 - rank :])
        if residual.shape != shape:
            raise ValueError(
                f"residual must have shape {tuple(shape)}, got {tuple(residual.shape)}"
            )
    return geometry


class _Options(NamedTuple):
    bias: torch.Tensor | None
    activation: str | None
    adds: bool
    workers: int | None
    pack: bool
    pattern: str | None


class _Products:
    """The products of a call, whose sum is the result; all blocks repeat them."""

    def __init__(self, parts: Parts, n, bias, activation, adds, workers, pack, pattern):
        self._groups = []
        pattern = parts.pattern(pattern)
        for group in parts.groups:
            kept = [(place, part) for place, part in enumerate(group) if part.nnz]
            kept = kept or [(0, group[0])]
            calls: list[tuple[Any, int, dict[str, Any]]] = []
            for place, part in kept:
                matrix = part.weight.matrix(n, workers, pattern) if pack else None
                call = partial(spkernels.spmm, part.weight.csr) if matrix is None else matrix.spmm
                beta = 1.0 if adds or calls else 0.0
                options: dict[str, Any] = {"beta": beta, "workers": workers}
                calls.append((call, place, options))
            if bias is not None:
                whole = group[0].weight.bias(bias)
                options["bias"] = whole[group[0].first : group[0].last, None]
            options["activation"] = activation
            self._groups.append((slice(group[0].first, group[0].last), calls))

    def run(self, operands, out):
        """Write the result for the operands of each group to the columns `out`."""
        for (rows, calls), matrices in zip(self._groups, operands, strict=True):
            for call, place, options in calls:
                call(matrices[place], out=out[rows], **options)


def _convolve(x, out, geometry, parts, nnz, options):
    """Write the convolution of images to `out`, which holds what is added to it."""
    count, rows, high, wide = out.shape
    last = not out.is_contiguous()
    if geometry.is_product and (last or images_together(geometry, parts.split, nnz, count) == 1):
        _multiply(array_of(x), out.numpy(), geometry, last, parts, options)
        return
    products, target = None, out.numpy()
    for block, image, row in blocks_of(geometry, parts.split, nnz, count, last, out.dtype):
        block.fill(x, image, row)
        n = block.images * block.rows * wide
        products = products or _Products(parts, n, *options)
        if block.images == 1:
            into = target[image, :, row : row + block.rows]
            products.run(block.operands, as_matrix(into, n))
            continue
        # Columns of the products go by rows and then by images, those of the result do not.
        sizes = (block.rows, block.images, wide)
        made = out.new_empty(*sizes, rows).movedim(3, 0) if last else out.new_empty(rows, *sizes)
        into = out[image : image + block.images].permute(1, 2, 0, 3)
        if options.adds:
            made.copy_(into)
        products.run(block.operands, as_matrix(made.numpy(), n))
        into.copy_(made)


def _multiply(x, out, geometry, last, parts, options):
    """Multiply images as they are."""
    each = geometry.channels // geometry.groups
    if last:
        pairs = [(x.swapaxes(0, 1), out.swapaxes(0, 1))]
    else:
        pairs = list(zip(x, out, strict=True))
    n = pairs[0][1].size // out.shape[1]
    products = _Products(parts, n, *options)
    for image, into in pairs:
        columns = image.reshape(geometry.channels, n)
        operands = [[columns[first : first + each]] for first in range(0, len(columns), each)]
        products.run(operands, as_matrix(into, n))


def _fake(x, values, columns, offsets, kernel_size, stride, padding, dilation, groups=1, bias=None,
          activation=None, residual=None, workers=None):  # fmt: skip
    check_sparse(values, columns, offsets)
    geometry = _checked(
        x, values, offsets, kernel_size, stride, padding, dilation, groups, bias, activation,
        residual,
    )  # fmt: skip
    rank = len(kernel_size)
    made = _empty(_images(x, rank), geometry, offsets.shape[0] - 1, x.dtype, rank)
    return _unlike_images(made, x, rank)


def _compute(x, values, columns, offsets, *rest, **options):
    check_sparse(values, columns, offsets)
    # As in `linear`: an optimizer changes trained values soon.
    return conv_now(x, values, columns, offsets, *rest, pack=not values.requires_grad, **options)


def _setup_context(ctx, inputs, output):
    (x, values, columns, offsets, *ctx.sizes, ctx.groups, bias, ctx.activation, residual,
     ctx.workers) = inputs  # fmt: skip
    tensors = x, values, columns, offsets, bias, residual
    ctx.save_for_forward(*tensors)
    ctx.save_for_backward(*tensors)


def _backward(ctx, gradient):
    x, values, columns, offsets, bias, residual = ctx.saved_tensors
    kernel, stride, padding, dilation = ctx.sizes
    if ctx.activation is not None:
        before = conv(x, values, columns, offsets, *ctx.sizes, ctx.groups, bias, None, residual,
                      ctx.workers)  # fmt: skip
        gradient = gradient_of(ctx.activation, before, gradient)
    rank, rows = len(kernel), offsets.shape[0] - 1
    single = x.dim() == rank + 1
    images = gradient.unsqueeze(0) if single else gradient
    by_x = by_values = by_bias = by_residual = None
    if ctx.needs_input_grad[0] or ctx.needs_input_grad[1]:
        # Dense: at 90% zeros the gradient by the weight takes what a sampled one takes, which needs
        # im2col, and PyTorch knows the derivatives of both.
        dtype = torch.promote_types(x.dtype, values.dtype)
        each = x.shape[-rank - 1] // ctx.groups
        width = each * math.prod(kernel)
        nnz = columns.shape[0]
        places = (
            torch.repeat_interleave(torch.arange(rows), offsets.diff(), output_size=nnz),
            columns.long(),
        )
        weight = values.new_zeros(rows, width).index_put(places, values)
        by_images, by_weight, _ = torch.ops.aten.convolution_backward(
            images.to(dtype), (x.unsqueeze(0) if single else x).to(dtype),
            weight.reshape(rows, each, *kernel).to(dtype), None, stride, padding, dilation, False,
            [0] * rank, ctx.groups, [*ctx.needs_input_grad[:2], False],
        )  # fmt: skip
        if ctx.needs_input_grad[0]:
            by_x = by_images.reshape(x.shape).to(x.dtype)
        if ctx.needs_input_grad[1]:
            by_values = by_weight.reshape(rows, width)[places].to(values.dtype)
    if ctx.needs_input_grad[9]:
        by_bias = images.sum([0, *range(2, rank + 2)], dtype=bias.dtype)
    if ctx.needs_input_grad[11]:
        by_residual = gradient.to(residual.dtype)
    return (by_x, by_values, *[None] * 7, by_bias, None, by_residual, None)


def _jvp(ctx, d_x, d_values, *rest):
    x, values, columns, offsets, bias, residual = ctx.saved_tensors
    d_bias, d_residual = rest[7], rest[9]
    sizes = columns, offsets, *ctx.sizes, ctx.groups
    parts = [d_residual]
    if d_bias is not None:
        parts.append(d_bias.reshape(-1, *[1] * len(ctx.sizes[0])))
    if d_x is not None:
        parts.append(conv(d_x, values, *sizes, None, None, None, ctx.workers))
    if d_values is not None:
        parts.append(conv(x, d_values, *sizes, None, None, None, ctx.workers))
    before = conv(x, values, *sizes, bias, None, residual, ctx.workers)
    tangent = sum(part for part in parts if part is not None).to(x.dtype).expand(before.shape)
    if ctx.activation is None:
        return tangent
    # An activation takes each element alone: both modes multiply by the same factors.
    return gradient_of(ctx.activation, before, tangent)


def _vmap(info, in_dims, x, values, columns, offsets, kernel_size, *rest):
    *sizes, groups, bias, activation, residual, workers = rest
    if any(in_dims[place] is not None for place in (1, 2, 3, 9)):
        return NotImplemented
    images = len(kernel_size) + 2
    x, residual = (
        value if value is None
        else value.unsqueeze(0).expand(info.batch_size, *value.shape) if dim is None
        else value.movedim(dim, 0)
        for value, dim in ((x, in_dims[0]), (residual, in_dims[11]))
    )  # fmt: skip
    lead = x.shape[: 1 - images]
    x, residual = (
        value if value is None else value.reshape(-1, *value.shape[1 - images :])
        for value in (x, residual)
    )
    made = conv(x, values, columns, offsets, kernel_size, *sizes, groups, bias, activation,
                residual, workers)  # fmt: skip
    return made.reshape(*lead, *made.shape[1:]), 0


conv = register(
    _SCHEMA, _compute, _fake, _setup_context, _backward, jvp=_jvp, vmap=_vmap, autocast=True
)
