"""What `prepare` is told of the structure of a matrix, and what it makes of it."""

from __future__ import annotations

from typing import NamedTuple

from ..patterns._check import check
from ..patterns._found import parse
from ..patterns._grid import by_column, coarse, ones, places_of
from ..patterns._padding import Padding
from ..patterns._recognise import DEFAULT_FILL, as_fill, heights
from . import prediction

__all__ = ["Structure"]


class Structure(NamedTuple):
    """Blocks are padded that are `fill` full: of any height, of a declared one, or none."""

    kind: str | None = None  # or "auto", or what `parse` returns
    size: tuple[int, ...] = ()
    fill: float = DEFAULT_FILL

    @classmethod
    def of(cls, pattern, fill):
        """Return what the arguments of `prepare` mean."""
        if pattern is None or (isinstance(pattern, str) and pattern == "auto"):
            kind, size = pattern, ()
        else:
            kind, size = parse(pattern)
        if fill is None:
            return cls(kind, size, 1.0 if kind == "block" else DEFAULT_FILL)
        if kind not in ("auto", "block"):
            raise ValueError(
                f"fill must be None but for blocks, pattern='auto' or 'VxW', got fill={fill!r} and "
                f"pattern={pattern!r}"
            )
        return cls(kind, size, as_fill(fill))

    @property
    def T(self):
        """What this means for the transpose."""
        return self._replace(size=self.size[::-1])

    def check(self, csr):
        """Raise ValueError if a declared pattern does not hold."""
        if self.kind not in (None, "auto"):
            check(csr, self.kind, self.size, self.fill)

    def padding(self, csr, n, workers):
        """Return how to pad for products with `n` columns, or None where nothing is to be."""
        if csr.nnz == 0:
            return None
        paddings = []
        if self.kind == "auto":
            found = heights(ones(csr), self.fill)  # counts, as values may not add up
            paddings = [Padding(h, round(csr.nnz / fill)) for h, fill, _ in found]
        elif self.kind == "block":
            height = min(self.size[0], csr.shape[0])
            transposed, _ = by_column(ones(csr))
            blocks = coarse(transposed, height)
            paddings = [Padding(height, places_of(blocks, transposed.shape, 1, height))]
        best = prediction.best_padding(csr, paddings, n, workers)
        # Rows that have their columns in common already need none.
        return None if best is None or best.nnz == csr.nnz else best
