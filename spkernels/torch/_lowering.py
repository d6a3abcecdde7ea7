"""Convolutions as products: blocks of the input are laid out so that a product reads them.

A convolution with a kernel of one element is a product with the input as it is.  Otherwise a block
of images and output rows is copied into a buffer that stays in the cache: for each column of the
kernel, the channels of the input, shifted by it.  The rows of the kernel need no copies of their
own, as they read the same buffer from another row on.  So a kernel of 3 x 3 is three products that
add up, and a third of what im2col would copy.  Where rows of the kernel have few weights, each has
its own copy, and there is one product.

With few weights for each output no such copies are made.  The convolution is a product with the
rows of a matrix whose row stride is one element: a weight's column is the offset, in an image with
its padding, from an output to the input that the weight meets.  The places beyond the edges are
computed and dropped.  With larger strides the image is in phases, of the places a stride apart.
"""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.lib.stride_tricks import as_strided

from ._packed import array_of

__all__ = ["Block", "Geometry", "Where", "as_matrix", "blocks_of", "images_together", "parted",
           "slides"]  # fmt: skip

#: Bytes of a buffer, if one row of outputs does not need more.
_BUFFER_BYTES = 2**20
#: Multiplications of a product below which several images share one.
_MIN_WORK = 2**19
#: Rows of an image overlap in a product if an output has at most this many weights, divided by the
#: stride, or if stride is 1 and an image and a group have at most this many multiplications.  The
#: kernel that reads CSR takes up to 1.2 times what one of packed values takes then, but the copies
#: are left out (Zen 5: 3 x 3 to 7 x 7, 7 to 112 outputs, 80 to 95% zeros, batches of 1 and 8).
_MAX_SLID_ROW, _MAX_SLID_WORK = 256, 2**21
#: Buffers that a thread keeps.  ResNet-50 needs 16.
_MAX_KEPT = 32

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

    @property
    def phases(self) -> tuple[int, int]:
        """The size of an input with its padding if only every stride-th place counts."""
        high, wide = (
            -(-(size + 2 * padding) // stride)
            for size, padding, stride in zip(self.size, self.padding, self.stride, strict=True)
        )
        return high, wide

    @property
    def slid(self) -> int:
        """The columns of a product with overlapping rows: outputs, and places beyond the edges."""
        return (self.out[0] - 1) * self.phases[1] + self.out[1]

    @property
    def reach(self) -> int:
        """The number of offsets for a group of channels from which all these columns exist."""
        area = math.prod((*self.phases, *self.stride))
        return self.channels // self.groups * area - self.slid + 1

    def places(self, channels: Any, down: Any, across: Any) -> Any:
        """Return the offsets from an output to the inputs that weights meet, in an image in phases.

        Each phase has the places of the image, with its padding, that are a stride apart.
        """
        high, wide = self.phases
        below, row = divmod(down * self.dilation[0], self.stride[0])
        right, column = divmod(across * self.dilation[1], self.stride[1])
        phase = (channels * self.stride[0] + row) * self.stride[1] + column
        return (phase * high + below) * wide + right

    def sliding(self, x: torch.Tensor, dtype: Any) -> Iterator[list[list[np.ndarray]]]:
        """Yield the operands of each image, a matrix for each group."""
        high, wide = self.phases
        down, across = self.stride
        missing = [
            count * step - size - padding
            for count, step, size, padding in zip(
                self.phases, self.stride, self.size, self.padding, strict=True
            )
        ]
        if any(missing) or any(self.padding):
            x = F.pad(x, [self.padding[1], missing[1], self.padding[0], missing[0]])
        if self.stride != (1, 1):
            x = x.reshape(-1, self.channels, high, down, wide, across).permute(0, 1, 3, 5, 2, 4)
        array = np.ascontiguousarray(array_of(x), dtype)
        item, shape = array.itemsize, (self.reach, self.slid)
        for image in array:
            groups = image.reshape(self.groups, -1)
            # The last element of the last row is the last one of the group.
            yield [[as_strided(group, shape, (item, item))] for group in groups]


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
        self._copies: dict[int, tuple[list[torch.Tensor], list[tuple[Any, ...]]]] = {}

    def _horizontal(self):
        """Return for each column of the kernel where the input has what the buffer needs."""
        geometry, found = self.geometry, []
        for column in range(geometry.kernel[1]):
            start = column * geometry.dilation[1] - geometry.padding[1]
            found.append(_valid(start, geometry.stride[1], geometry.out[1], geometry.size[1]))
        return found

    def fill(self, x: torch.Tensor, image: int, row: int) -> None:
        """Copy what the output rows from `row` on of the images from `image` on need."""
        edges, copies = self._copied_at(row)
        for edge in edges:
            edge.zero_()
        by_image, by_channel, by_row, by_column = x.stride()
        down, right = self.geometry.stride
        each = self.geometry.channels // self.geometry.groups
        strides = (each * by_channel, by_channel, down * by_row, by_image, right * by_column)
        origin = x.storage_offset() + image * by_image
        for target, size, top, left in copies:
            target.copy_(x.as_strided(size, strides, origin + top * by_row + left * by_column))

    def _copied_at(self, row):
        """Return what is zero, and what is copied, for output rows from `row` on.

        A copy is its target, its size, and the row and the column of the input that it begins with.
        """
        known = self._copies.get(row)
        if known is not None:
            return known
        # Views that are made in inference mode could not be written to outside it.
        with torch.inference_mode(False):
            known = self._copies[row] = self._cut(row)
        return known

    def _cut(self, row):
        geometry = self.geometry
        down, right = geometry.stride
        groups, each = geometry.groups, geometry.channels // geometry.groups
        edges, copies = [], []
        for place, plane in enumerate(self._planes):
            start = row * down + plane.shift - geometry.padding[0]
            high = self.rows + plane.beyond
            first, end = _valid(start, down, high, geometry.size[0])
            into = self._buffer[:, place]
            if self.rows < geometry.out[0]:
                edges += [into[:, :, :, :first], into[:, :, :, end:]]
            if first == end:
                continue
            for column, (begin, stop) in enumerate(self._columns):
                if begin == stop:
                    continue
                left = begin * right + column * geometry.dilation[1] - geometry.padding[1]
                size = (groups, each, end - first, self.images, stop - begin)
                target = into[:, column, :, first:end, :, begin:stop]
                copies.append((target, size, start + first * down, left))
        return [edge for edge in edges if edge.numel()], copies


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


def parted(columns: np.ndarray, groups: int) -> Sequence[Sequence[np.ndarray]]:
    """Return the rows of a matrix for each group of channels, as operands."""
    if groups == 1:
        return ((columns,),)
    each = len(columns) // groups
    return [[columns[first : first + each]] for first in range(0, len(columns), each)]


@dataclass(frozen=True)
class Where:
    """Some images and output rows: how many, which are the first ones, and the key of a block."""

    size: tuple[int, int]
    image: int
    row: int
    key: tuple[Any, ...]

    def block(self) -> Block:
        """Return the block of the thread."""
        return _block(self.key)


def slides(geometry: Geometry, rows: int, nnz: int) -> bool:
    """Return whether the rows of an image overlap in a product, in place of copies."""
    if geometry.kernel == (1, 1):
        return False
    step = max(geometry.stride)
    small = step == 1 and nnz * math.prod(geometry.out) < _MAX_SLID_WORK * geometry.groups
    return small or nnz * step <= _MAX_SLID_ROW * rows


def images_together(geometry: Geometry, split: bool, nnz: int, images: int) -> int:
    """Return how many images share products, because those of one are small."""
    products = geometry.groups * (geometry.kernel[0] if split else 1)
    work = nnz * math.prod(geometry.out) // products
    return max(1, min(images, -(-_MIN_WORK // max(1, work))))


def blocks_of(
    geometry: Geometry, split: bool, nnz: int, images: int, last: bool, dtype: torch.dtype
) -> Iterator[Where]:
    """Yield blocks that cover all images and output rows."""
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
            yield Where(size, first, row, (geometry, split, *size, last, dtype))


def _block(key):
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
