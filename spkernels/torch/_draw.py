"""Random weights with the patterns that pruning makes."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

import numpy as np
import torch

from spkernels import datasets

from ._weights import Csr

__all__ = ["Pattern", "outline_of"]

_FORMS = re.compile(r"unstructured|(?P<height>[1-9]\d*)x(?P<width>[1-9]\d*)|"
                    r"(?P<kept>[1-9]\d*):(?P<group>[1-9]\d*)")  # fmt: skip
_INT32_MAX = 2**31 - 1


@dataclass(frozen=True)
class Pattern:
    """A pattern of pruning: "unstructured", blocks such as "16x1", or "2:4"."""

    name: str
    block: tuple[int, int] | None = None
    group: tuple[int, int] | None = None

    @classmethod
    def of(cls, name: str) -> Pattern:
        """Return the pattern of a name."""
        found = _FORMS.fullmatch(name) if isinstance(name, str) else None
        if found is None:
            raise ValueError(
                "patterns must be 'unstructured', rows x columns of a block such as '16x1', or "
                f"kept:group such as '2:4', got {name!r}"
            )
        if found["height"]:
            return cls(name, block=(int(found["height"]), int(found["width"])))
        if found["kept"]:
            kept, group = int(found["kept"]), int(found["group"])
            if kept >= group:
                raise ValueError(f"patterns must keep fewer weights than a group has, got {name!r}")
            return cls(name, group=(kept, group))
        return cls(name)

    def sparsities(self, wanted: tuple[float, ...]) -> tuple[float, ...]:
        """Return the sparsities of those wanted that the pattern has; "2:4" has one alone."""
        return wanted if self.group is None else (1 - self.group[0] / self.group[1],)

    def draw(self, outline: Csr, sparsity: float, rng: np.random.Generator) -> Csr:
        """Return a random weight of the shape and dtype of `outline`.

        Blocks at the lower and right edges are smaller where a block does not divide the weight.
        """
        rows, cols = outline.offsets.shape[0] - 1, outline.width
        if self.group is not None:
            csr = datasets.nm_pruned(rows, cols, *self.group, rng=rng)
        elif self.block is not None:
            height, width = self.block
            whole = -(-rows // height) * height, -(-cols // width) * width
            csr = datasets.block_pruned(*whole, self.block, sparsity, rng=rng)[:rows, :cols]
            csr.sort_indices()
        else:
            csr = datasets.random_pruned(rows, cols, sparsity, rng=rng)
        scale = 1 / math.sqrt(max(1.0, csr.nnz / max(1, rows)))
        index = np.int32 if max(csr.nnz, cols) <= _INT32_MAX else np.int64
        return Csr(
            torch.from_numpy(csr.data * np.float32(scale)).to(outline.values.dtype),
            torch.from_numpy(csr.indices.astype(index)),
            torch.from_numpy(csr.indptr.astype(index)),
            cols,
            outline.shape,
        )


def outline_of(weight: torch.Tensor) -> Csr:
    """Return a weight of the same shape and dtype without entries."""
    shape = tuple(weight.shape)
    offsets = weight.new_zeros(shape[0] + 1, dtype=torch.int32)
    none = weight.new_zeros(0, dtype=torch.int32)
    return Csr(weight.new_zeros(0), none, offsets, math.prod(shape[1:]), shape)
