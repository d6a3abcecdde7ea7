"""The pattern that a user declares to `prepare`: its check, and the padding that follows."""

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
    """A declared pattern, or "auto", or none; blocks of at least `fill` may be padded."""

    kind: str | None = None  # None, "auto", or a kind of pattern
    size: tuple[int, ...] = ()
    fill: float = DEFAULT_FILL

    @classmethod
    def of(cls, pattern, fill):
        """Return the structure for the arguments `pattern` and `fill` of `prepare`, or raise."""
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
        """The structure of the transpose."""
        return self._replace(size=self.size[::-1])

    def check(self, csr):
        """Raise ValueError if a declared pattern does not hold."""
        if self.kind not in (None, "auto"):
            check(csr, self.kind, self.size, self.fill)

    def padding(self, csr, n, workers):
        """Return the padding for products with `n` columns, or None for no padding."""
        if csr.nnz == 0:
            return None
        paddings = []
        if self.kind == "auto":
            found = heights(ones(csr), self.fill)  # entries are counted; values might overflow
            paddings = [Padding(h, round(csr.nnz / fill)) for h, fill, _ in found]
        elif self.kind == "block":
            height = min(self.size[0], csr.shape[0])
            transposed, _ = by_column(ones(csr))
            blocks = coarse(transposed, height)
            paddings = [Padding(height, places_of(blocks, transposed.shape, 1, height))]
        best = prediction.best_padding(csr, paddings, n, workers)
        # Rows that share all of their columns need no padding.
        return None if best is None or best.nnz == csr.nnz else best
