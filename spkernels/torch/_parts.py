"""The weight of a convolution, cut into the matrices that its products need."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
import torch

from ._lowering import Geometry
from ._packed import Weight, weight_of

__all__ = ["Part", "Parts", "parts_of"]

#: Weights that a row of the kernel has for each output at least if it is a product of its own.
#: Each product reads and writes the sums once more.
_MIN_ENTRIES = 8
#: Divisions of a weight into parts that are kept.
_MAX_KEPT = 8


class Part:
    """Some rows and columns of a weight as a matrix; its columns are kernel columns by channels.

    Attributes
    ----------
    weight : Weight
        The matrix and what is prepared from it.
    first, last : int
        The rows of the whole weight that it has.
    """

    def __init__(self, whole: sp.csr_array, first: int, last: int, chosen, columns, width: int):
        begin, end = whole.indptr[first], whole.indptr[last]
        rows = np.repeat(np.arange(last - first), np.diff(whole.indptr[first : last + 1]))
        places = begin + np.flatnonzero(chosen[begin:end])
        rows, columns = rows[places - begin], columns[places]
        order = np.lexsort((columns, rows))
        offsets = np.zeros(last - first + 1, whole.indptr.dtype)
        np.cumsum(np.bincount(rows, minlength=last - first), out=offsets[1:])
        self.first, self.last = first, last
        self._order = torch.from_numpy(places[order])
        self._shape = last - first, width
        self._structure = (
            torch.from_numpy(columns[order].astype(whole.indices.dtype)),
            torch.from_numpy(offsets),
        )
        self._values: torch.Tensor | None = None
        self.weight: Weight

    @property
    def nnz(self) -> int:
        """The number of entries."""
        return self._order.shape[0]

    def read(self, values: torch.Tensor) -> None:
        """Take the values of the whole weight."""
        taken = values[self._order]
        if self._values is None or self._values.dtype is not taken.dtype:
            self._values = taken
            self.weight = Weight(taken, *self._structure, self._shape, None)
        else:
            self._values.copy_(taken)
            self.weight.renew(self._values, *self._structure, self._shape)


class _Whole:
    """A weight that is one product as it is, in place of a `Part`."""

    def __init__(self, weight):
        self.weight = weight
        self.first, self.last = 0, weight.csr.shape[0]
        self.nnz = weight.csr.nnz

    def read(self, values):
        """Do nothing, as the whole weight was read."""


class Parts:
    """The parts of a weight.

    Attributes
    ----------
    split : bool
        Whether each row of the kernel is a product of its own.
    groups : list of list of Part or of the whole weight
        The parts for each group of channels: one for each row of the kernel, or one.
    reads : int
        The reads of the whole weight when its values were taken.
    """

    def __init__(
        self, whole: Weight, kernel: tuple[int, int], groups: int, slides: Geometry | None
    ):
        csr = whole.csr
        area, height = kernel[0] * kernel[1], csr.shape[0]
        self.reads = 0
        self.groups: list[list[Any]] = []
        self._patterned = kernel == (1, 1)
        enough = csr.nnz >= _MIN_ENTRIES * height * kernel[0]
        self.split = kernel[0] > 1 and enough and slides is None
        if self._patterned and groups == 1:
            self.groups.append([_Whole(whole)])
            return
        channels, rest = np.divmod(csr.indices, area)
        down, across = np.divmod(rest, kernel[1])
        each, rows = csr.shape[1] // area, height // groups
        for first in range(0, height, max(1, rows)):
            if slides is not None:
                columns = slides.places(channels, down, across)
                parts = [Part(csr, first, first + rows, down >= 0, columns, slides.reach)]
            elif self.split:
                columns = across * each + channels
                parts = [Part(csr, first, first + rows, down == row, columns, kernel[1] * each)
                         for row in range(kernel[0])]  # fmt: skip
            else:
                columns = rest * each + channels
                parts = [Part(csr, first, first + rows, down >= 0, columns, area * each)]
            self.groups.append(parts)

    def read(self, values: torch.Tensor, reads: int) -> None:
        """Take the values of the whole weight, which was read so often."""
        # The parts outlive inference mode, in which tensors could not be written to outside it.
        with torch.inference_mode(False), torch.no_grad():
            values = values.detach()
            for parts in self.groups:
                for part in parts:
                    part.read(values)
        self.reads = reads

    def pattern(self, pattern: str | None) -> str | None:
        """Return what `spkernels.prepare` is told: windows of columns are others in the parts."""
        if self._patterned or pattern is None or pattern.endswith("x1"):
            return pattern
        return "auto"


def parts_of(
    values: torch.Tensor,
    columns: torch.Tensor,
    offsets: torch.Tensor,
    width: int,
    kernel: tuple[int, int],
    groups: int,
    trained: bool = False,
    slides: Geometry | None = None,
) -> Parts:
    """Return the parts of a weight, with the values as they are now.

    Values that are trained are read each time, as changes through ``.data`` leave no trace.  With
    `slides`, columns are places of the padded images of that convolution.
    """
    whole = weight_of(values, columns, offsets, width)
    key = kernel, groups, slides
    made = whole.derived.get(key)
    if made is None:
        if len(whole.derived) >= _MAX_KEPT:  # each size of the input may have parts of its own
            whole.derived.clear()
        made = whole.derived[key] = Parts(whole, *key)
    if trained or made.reads != whole.reads:
        made.read(values, whole.reads)
    return made
