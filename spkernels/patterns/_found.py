"""What a pattern is called, in words and as users declare it."""

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
    """A structure that a matrix has; ``str`` says it in words.

    Attributes
    ----------
    kind : {"n:m", "block", "balanced", "complementary"}
        At most n entries in every m columns of a row; blocks that are all or nearly full; n entries
        exactly in every m columns; sets of rows that have no column in common.
    size : tuple of int
        n and m, or the rows and columns of a block, or the rows of a set.
    fill : float
        The share of the places which the pattern allows that hold entries: of n in every m columns,
        of the blocks that have any, of the columns of all sets.

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
        """What `spkernels.prepare` takes as ``pattern``."""
        if self.kind == "n:m":
            return "{}:{}".format(*self.size)
        if self.kind == "block":
            return "{}x{}".format(*self.size)
        if self.kind == "balanced":
            return "balanced {}:{}".format(*self.size)
        return "complementary {}".format(*self.size)

    def __str__(self):
        first, last = self.size[0], self.size[-1]
        # Rounded down: what is not quite full is not called full.
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
    """Return the kind and the size of a declared pattern."""
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
