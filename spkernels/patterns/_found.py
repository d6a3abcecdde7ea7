"""The names of patterns: as users declare them, and in words."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .._inputs.types import PatternKind

__all__ = ["Pattern", "parse"]

_FORMS = {
    "n:m": r"(\d+):(\d+)",
    "block": r"(\d+)x(\d+)",
    "balanced": r"balanced (\d+):(\d+)",
    "complementary": r"complementary (\d+)",
}


@dataclass(frozen=True)
class Pattern:
    """A rule that the structure of a matrix obeys; ``str`` gives it in words.

    Attributes
    ----------
    kind : {"n:m", "block", "balanced", "complementary"}
        The rule.  "n:m": every m consecutive columns of a row have at most n entries.  "block":
        entries lie in aligned blocks that are full or nearly full.  "balanced": every m consecutive
        columns of a row have exactly n entries.  "complementary": the rows of each set of
        consecutive rows have no column in common.
    size : tuple of int
        (n, m) of "n:m" and "balanced", (rows, columns) of a block, or (rows,) of a set.
    fill : float
        The share of the allowed places that hold entries, from 0 to 1.  Allowed are n places in
        every m columns, the places of all blocks that have an entry, or one place per column and
        set.

    Examples
    --------
    >>> from spkernels import patterns
    >>> found = patterns.Pattern("block", (16, 1), 0.95)
    >>> found.name
    '16x1'
    >>> print(found)
    16x1: blocks of 16 rows and 1 column, 95% full
    """

    kind: PatternKind
    size: tuple[int, ...]
    fill: float

    @property
    def name(self) -> str:
        """The text that `spkernels.prepare` takes as its argument ``pattern``."""
        if self.kind == "n:m":
            return "{}:{}".format(*self.size)
        if self.kind == "block":
            return "{}x{}".format(*self.size)
        if self.kind == "balanced":
            return "balanced {}:{}".format(*self.size)
        return "complementary {}".format(*self.size)

    def __str__(self):
        first, last = self.size[0], self.size[-1]
        # Rounded down, so that only a fill of 1 reads as 100%.
        share = f"{math.floor(1000 * self.fill) / 10:g}%"
        words = {
            "n:m": f"at most {first} of every {last} columns of a row, {share} of that",
            "block": f"blocks of {_count(first, 'row')} and {_count(last, 'column')}, {share} full",
            "balanced": f"{first} of every {last} columns of a row",
            "complementary": f"every {_count(first, 'row')} have no column in common, "
            f"and {share} of all",
        }
        return f"{self.name}: {words[self.kind]}"


def _count(number, noun):
    return f"{number} {noun}" + "s" * (number != 1)


def parse(text):
    """Return the kind and the size of a pattern that a user declares as text."""
    if not isinstance(text, str):
        raise TypeError(f"pattern must be None or a string, got {text!r}")
    for kind, form in _FORMS.items():
        match = re.fullmatch(form, text, re.ASCII)
        if match:
            size = tuple(map(int, match.groups()))
            in_window = ":" not in form or size[0] <= size[1]
            if min(size) >= 1 and in_window:
                return kind, size
    raise ValueError(
        "pattern must be 'auto', 'n:m' or 'balanced n:m' (with 1 <= n <= m), 'VxW', or "
        f"'complementary K', with numbers from 1 in the place of letters, got {text!r}"
    )
