"""Convolutions as products: blocks of the input are laid out so that a product reads them.

A convolution with a kernel of one element is a product with the input as it is.  Otherwise a block
of images and output rows is copied into a buffer that stays in the cache: for each column of the
kernel, the channels of the input, shifted by it.  The rows of the kernel need no copies of their
own, as they read the same buffer from another row on.  So a kernel of 3 x 3 is three products that
add up, and a third of what im2col would copy.  Where rows of the kernel have few weights, each has
its own copy, and there is one product.
"""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import torch

__all__ = ["Block", "Geometry", "as_matrix", "blocks_of", "images_together"]

#: Bytes of a buffer, if one row of outputs does not need more.
_BUFFER_BYTES = 2**20
#: Multiplications of a product below which several images share one.
_MIN_WORK = 2**19
#: Buffers that a thread keeps.
_MAX_KEPT = 8

_kept = threading.local()


@dataclass(frozen=True)
class Geometry:
    """The sizes of a convolution of two dimensions; pairs are vertical and horizontal."""

    channels: int
    size: tuple[int, int]
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int]
    groups: int

    #: The height and the width of the result.
    out: tuple[int, int] = field(init=False)

    def __post_init__(self) -> None:
        high, wide = (
            (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1
            for size, kernel, stride, padding, dilation in zip(
                self.size, self.kernel, self.stride, self.padding, self.dilation, strict=True
            )
        )
        object.__setattr__(self, "out", (high, wide))  # once, as the class is frozen

    @property
    def is_product(self) -> bool:
        """Whether the convolution is a product with the input as it is."""
        return self.kernel == (1, 1) and self.stride == (1, 1) and self.padding == (0, 0)


@dataclass(frozen=True)
class _Plane:
    """A copy of the input: the input row of its first row, and how many rows it has beyond."""

    shift: int
    beyond: int


def _planes(geometry, split):
    """Return the planes, and the plane and the first row there that each kernel row reads."""
    steps = [row * geometry.dilation[0] for row in range(geometry.kernel[0])]
    if not split:
        return [_Plane(step, 0) for step in steps], [(place, 0) for place in range(len(steps))]
    stride = geometry.stride[0]
    beyond: dict[int, int] = {}
    for step in steps:
        beyond[step % stride] = step // stride
    # All planes have one height, so that they can be dimensions of an array.
    planes = [_Plane(phase, max(beyond.values())) for phase in beyond]
    order = list(beyond)
    return planes, [(order.index(step % stride), step // stride) for step in steps]


class Block:
    """A buffer for some images and output rows, and the operands of products in it.

    Parameters
    ----------
    geometry : Geometry
    split : bool
        Whether each row of the kernel is a product.
    images, rows : int
        The size of the block.
    last : bool
        Whether channels come last in memory.
    dtype : torch.dtype
    """

    def __init__(self, geometry, split, images, rows, last, dtype):
        self.geometry, self.images, self.rows = geometry, images, rows
        self._planes, firsts = _planes(geometry, split)
        groups, across = geometry.groups, geometry.kernel[1]
        each = geometry.channels // groups
        high, wide = rows + self._planes[0].beyond, geometry.out[1]
        sizes = (groups, len(self._planes), across, each, high, images, wide)
        # Places of a plane are columns of the products, and so adjacent: rows, images, columns.
        order = (1, 4, 5, 6, 0, 2, 3) if split else (4, 5, 6, 0, 1, 2, 3)
        if not last:
            order = (1, 0, 2, 3, 4, 5, 6) if split else (0, 1, 2, 3, 4, 5, 6)
        memory = torch.zeros([sizes[place] for place in order], dtype=dtype)
        logical = [order.index(place) for place in range(7)]
        self._buffer = memory.permute(logical)
        count = rows * images * wide
        array = self._buffer.numpy()
        if split:
            self.operands = [
                [as_matrix(array[group, plane, :, :, first : first + rows], count)
                 for plane, first in firsts]
                for group in range(groups)
            ]  # fmt: skip
        else:
            self.operands = [[as_matrix(array[group], count)] for group in range(groups)]
        self._columns = self._horizontal()

    def _horizontal(self):
        """Return for each column of the kernel where the input has what the buffer needs."""
        geometry, found = self.geometry, []
        for column in range(geometry.kernel[1]):
            start = column * geometry.dilation[1] - geometry.padding[1]
            found.append(_valid(start, geometry.stride[1], geometry.out[1], geometry.size[1]))
        return found

    def fill(self, x: torch.Tensor, image: int, row: int) -> None:
        """Copy what the output rows from `row` on of the images from `image` on need."""
        geometry = self.geometry
        down, right = geometry.stride
        by_image, by_channel, by_row, by_column = x.stride()
        groups, each = geometry.groups, geometry.channels // geometry.groups
        origin = x.storage_offset() + image * by_image
        for place, plane in enumerate(self._planes):
            start = row * down + plane.shift - geometry.padding[0]
            high = self.rows + plane.beyond
            first, end = _valid(start, down, high, geometry.size[0])
            into = self._buffer[:, place]
            if self.rows < geometry.out[0]:
                into[:, :, :, :first].zero_()
                into[:, :, :, end:].zero_()
            if first == end:
                continue
            for column, (begin, stop) in enumerate(self._columns):
                if begin == stop:
                    continue
                left = begin * right + column * geometry.dilation[1] - geometry.padding[1]
                size = (groups, each, end - first, self.images, stop - begin)
                strides = (each * by_channel, by_channel, down * by_row, by_image,
                           right * by_column)  # fmt: skip
                offset = origin + (start + first * down) * by_row + left * by_column
                target = into[:, column, :, first:end, :, begin:stop]
                target.copy_(x.as_strided(size, strides, offset))


def _valid(start, step, count, size):
    """Return the range of places i in [0, count) whose ``start + i * step`` lies in [0, size)."""
    first = min(count, max(0, -(start // step)))
    end = max(first, min(count, -((start - size) // step)))
    return first, end


def as_matrix(array: np.ndarray, count: int) -> np.ndarray:
    """Return an array whose last dimensions are `count` places as a matrix, without a copy."""
    made = array.reshape(-1, count)
    assert np.shares_memory(made, array) or not made.size
    return made


def images_together(geometry: Geometry, split: bool, nnz: int, images: int) -> int:
    """Return how many images share products, because those of one are small."""
    products = geometry.groups * (geometry.kernel[0] if split else 1)
    work = nnz * math.prod(geometry.out) // products
    return max(1, min(images, -(-_MIN_WORK // max(1, work))))


def blocks_of(
    geometry: Geometry, split: bool, nnz: int, images: int, last: bool, dtype: torch.dtype
) -> Iterator[tuple[Block, int, int]]:
    """Yield blocks that cover all images and output rows, with the first image and row of each."""
    high, wide = geometry.out
    planes, _ = _planes(geometry, split)
    line = len(planes) * geometry.kernel[1] * geometry.channels * wide * dtype.itemsize
    fitting = _BUFFER_BYTES // max(1, line) - planes[0].beyond
    together, rows = 1, high
    if fitting < high:
        pieces = -(-high // max(1, fitting))
        rows = -(-high // pieces)
    else:
        fitting = _BUFFER_BYTES // max(1, line * (high + planes[0].beyond))
        together = min(fitting, images_together(geometry, split, nnz, images))
    for first in range(0, images, together):
        for row in range(0, high, rows):
            size = min(together, images - first), min(rows, high - row)
            yield _block(geometry, split, *size, last, dtype), first, row


def _block(*key):
    """Return a block of the thread, which keeps those that it used last."""
    kept = _kept.__dict__.setdefault("blocks", OrderedDict())
    block = kept.get(key)
    if block is None:
        # Tensors made in inference mode could not be written to outside it.
        with torch.inference_mode(False):
            block = kept[key] = Block(*key)
        if len(kept) > _MAX_KEPT:
            kept.popitem(last=False)
    else:
        kept.move_to_end(key)
    return block
