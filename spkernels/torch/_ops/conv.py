"""The operator ``conv``: a convolution of one or two dimensions whose weight is sparse."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np
import torch

import spkernels

from .._library import register
from .._lowering import Geometry, as_matrix, blocks_of, images_together, parted, slides
from .._packed import array_of
from .._parts import Parts, parts_of
from .._threads import threads_of
from .activation import check_activation, gradient_of
from .checks import check_bias, check_dense, check_sparse

__all__ = ["Plan", "conv"]

_SCHEMA = (
    "conv(Tensor x, Tensor values, Tensor columns, Tensor offsets, int[] kernel_size, "
    "int[] stride, int[] padding, int[] dilation, int groups=1, Tensor? bias=None, "
    "str? activation=None, Tensor? residual=None, int? workers=None) -> Tensor"
)

class Plan:
    """A convolution of inputs of one shape and layout, which is made once for many calls.

    Attributes
    ----------
    is_packed : bool
        Whether all weights are packed, so that the plan holds until one of its tensors changes.
    """

    def __init__(self, x, weight, kernel_size, stride, padding, dilation, groups, bias, activation,
                 residual, *, pack, pattern=None, workers):  # fmt: skip
        values, columns, offsets = weight
        self._geometry = geometry = _checked(
            x, values, offsets, kernel_size, stride, padding, dilation, groups, bias, activation,
            residual,
        )  # fmt: skip
        self._rank, rows = len(kernel_size), offsets.shape[0] - 1
        images = _images(x, self._rank)
        self._single = x.dim() == self._rank + 1
        self._last = _has_last(images, self._rank)
        self._wide = torch.float64 if values.dtype is torch.float64 else torch.float32
        self._dtype = np.float64 if values.dtype is torch.float64 else np.float32
        self._sizes = images.shape[0], rows, *geometry.out
        self._shape = (*x.shape[: -self._rank - 1], rows, *geometry.out[2 - self._rank :])
        self.is_packed = self._slides = False
        if 0 in self._sizes:
            return
        count, self._nnz = images.shape[0], values.shape[0]
        self._slides = not self._last and slides(geometry, rows, self._nnz)
        width = math.prod(kernel_size) * geometry.channels // groups
        self._parts = parts_of(
            values, columns, offsets, width, geometry.kernel, groups, not pack,
            slides=geometry if self._slides else None,
        )  # fmt: skip
        self._is_product = geometry.is_product and (
            self._last or images_together(geometry, self._parts.split, self._nnz, count) == 1
        )
        if self._is_product or self._slides:
            self._blocks = []
            n = math.prod(geometry.out) * (count if self._last else 1)
        else:
            self._blocks = list(blocks_of(
                geometry, self._parts.split, self._nnz, count, self._last, self._wide
            ))  # fmt: skip
            images_of, rows_of = self._blocks[0].size
            n = images_of * rows_of * geometry.out[1]
        packs = pack and not self._slides
        self._products = _Products(
            self._parts, n, bias, activation, residual is not None, packs, pattern, workers
        )  # fmt: skip
        self.is_packed = self._products.are_packed or (pack and self._slides)

    def describe(self) -> str | None:
        """Return the kernel if it is not that of packed matrices, else None."""
        return "rows: CSR as it is, rows of the input overlap" if self._slides else None

    def run(
        self, x: torch.Tensor, residual: torch.Tensor | None, workers: int | None
    ) -> torch.Tensor:
        """Return the result for an input like the one that the plan was made with."""
        workers = threads_of(workers)
        count, rows, high, wide = self._sizes
        if self._last:
            out = spkernels.empty((count, high, wide, rows), self._dtype).transpose(0, 3, 1, 2)
        else:
            out = spkernels.empty(self._sizes, self._dtype)
        if out.size:
            if x.is_neg():
                x = x.resolve_neg()
            images = _images(x, self._rank)
            if residual is not None:
                torch.from_numpy(out).copy_(_images(residual, self._rank))
            if self._slides:
                self._slide(images, out, workers)
            elif self._is_product:
                self._multiply(array_of(images), out, workers)
            else:
                self._fill(images, out, workers)
        if not self._last:
            made = torch.from_numpy(out.reshape(self._shape))
        else:
            made = torch.from_numpy(out[0] if self._single else out)
        return made if made.dtype is x.dtype else made.to(x.dtype)

    def _multiply(self, x, out, workers):
        """Multiply images as they are."""
        geometry = self._geometry
        if self._last:
            n = out.size // out.shape[1]
            pairs = [(x.swapaxes(0, 1).reshape(-1, n), out.swapaxes(0, 1).reshape(-1, n))]
        else:
            n = out.shape[2] * out.shape[3]
            pairs = list(zip(x.reshape(len(x), -1, n), out.reshape(len(out), -1, n), strict=True))
        for columns, into in pairs:
            self._products.run(parted(columns, geometry.groups), into, workers)

    def _slide(self, x, out, workers):
        """Multiply images whose rows of columns overlap, and drop what is beyond their edges."""
        count, rows, high, wide = self._sizes
        geometry = self._geometry
        found = geometry.sliding(x, self._dtype)
        line = geometry.phases[1]
        made = spkernels.empty((rows, high * line), self._dtype)
        whole = made.reshape(rows, high, line)[:, :, :wide]
        for image, operands in zip(out, found, strict=True):
            if self._products.adds:
                whole[...] = image
            self._products.run(operands, made[:, : geometry.slid], workers)
            image[...] = whole

    def _fill(self, x, out, workers):
        """Multiply copies of blocks of the images."""
        rows, wide = self._sizes[1], self._sizes[3]
        target = None
        for where in self._blocks:
            block, (images, high) = where.block(), where.size
            image, row, n = where.image, where.row, images * high * wide
            block.fill(x, image, row)
            if images == 1:
                into = out[image, :, row : row + high]
                self._products.run(block.operands, as_matrix(into, n), workers)
                continue
            # Columns of the products go by rows and then by images, those of the result do not.
            sizes = (high, images, wide)
            if self._last:
                made = torch.empty(*sizes, rows, dtype=self._wide).movedim(3, 0)
            else:
                made = torch.empty(rows, *sizes, dtype=self._wide)
            target = torch.from_numpy(out) if target is None else target
            into = target[image : image + images].permute(1, 2, 0, 3)
            if self._products.adds:
                made.copy_(into)
            self._products.run(block.operands, as_matrix(made.numpy(), n), workers)
            into.copy_(made)


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


def _has_last(images, rank):
    """Return whether the channels of the result come last in memory, as those of the images do."""
    return rank == 2 and _is_last(images)


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
    size, kernel, step, gap = (
        (1, *pair)[-2:] for pair in (size, kernel_size, stride, dilation)
    )
    geometry = Geometry(channels, size, kernel, step, (0, *padding)[-2:], gap, groups)
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


class _Products:
    """The products of a call, whose sum is the result; all blocks repeat them.

    Attributes
    ----------
    adds : bool
        Whether the result is added to what its array holds.
    are_packed : bool
        Whether all weights are packed.
    """

    def __init__(self, parts: Parts, n, bias, activation, adds, pack, pattern, workers):
        self._groups: list[tuple[slice | None, list[Any]]] = []
        self.adds, self.are_packed = adds, True
        pattern = parts.pattern(pattern)
        for group in parts.groups:
            kept = [(place, part) for place, part in enumerate(group) if part.nnz]
            kept = kept or [(0, group[0])]
            calls: list[tuple[Any, int, dict[str, Any]]] = []
            for place, part in kept:
                matrix = part.weight.matrix(n, threads_of(workers), pattern) if pack else None
                if matrix is None:
                    self.are_packed = False
                    call = partial(spkernels.spmm, part.weight.csr, check=False)
                else:
                    call = matrix.spmm
                options: dict[str, Any] = {"beta": 1.0 if adds or calls else 0.0}
                calls.append((call, place, options))
            if bias is not None:
                whole = group[0].weight.bias(bias)
                options["bias"] = whole[group[0].first : group[0].last, None]
            options["activation"] = activation
            rows = slice(group[0].first, group[0].last) if len(parts.groups) > 1 else None
            self._groups.append((rows, calls))

    def run(self, operands, out, workers):
        """Write the result for the operands of each group to the columns `out`."""
        for (rows, calls), matrices in zip(self._groups, operands, strict=True):
            into = out if rows is None else out[rows]
            for call, place, options in calls:
                call(matrices[place], out=into, workers=workers, **options)


def _fake(x, values, columns, offsets, kernel_size, stride, padding, dilation, groups=1, bias=None,
          activation=None, residual=None, workers=None):  # fmt: skip
    check_sparse(values, columns, offsets)
    geometry = _checked(
        x, values, offsets, kernel_size, stride, padding, dilation, groups, bias, activation,
        residual,
    )  # fmt: skip
    rank = len(kernel_size)
    images, rows = _images(x, rank), offsets.shape[0] - 1
    last = _has_last(images, rank)
    made = torch.empty(
        (images.shape[0], rows, *geometry.out),
        dtype=x.dtype,
        device=x.device,
        memory_format=torch.channels_last if last else torch.contiguous_format,
    )
    return _unlike_images(made, x, rank)


def _compute(x, values, columns, offsets, kernel_size, stride, padding, dilation, groups=1,
             bias=None, activation=None, residual=None, workers=None):  # fmt: skip
    check_sparse(values, columns, offsets)
    # As in `linear`: an optimizer changes trained values soon.
    plan = Plan(
        x, (values, columns, offsets), kernel_size, stride, padding, dilation, groups, bias,
        activation, residual, pack=not values.requires_grad, workers=workers,
    )  # fmt: skip
    return plan.run(x, residual, workers)


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
            torch.repeat_interleave(offsets.diff().long(), output_size=nnz),
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
