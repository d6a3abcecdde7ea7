"""The options and functions that suites share."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..cells import Cell, Matrix


@dataclass(frozen=True)
class Options:
    """The choices of a run, which all suites share; None stands for a suite's own choice."""

    quick: bool = False
    ops: Sequence[str] | None = None
    widths: Sequence[int | None] | None = None
    threads: Sequence[int] = (1,)
    caches: Sequence[str] = ("warm",)
    loads: Sequence[str] | None = None
    sparsities: Sequence[float] | None = None


def product(
    suite: str, matrices: Iterable[Matrix], widths: dict[str, Sequence[int]], options: Options
) -> Iterator[Cell]:
    """Yield the cells of all matrices x operations x widths x threads x caches."""
    for matrix in matrices:
        for op, usual in widths.items():
            if options.ops is not None and op not in options.ops:
                continue
            for width, threads, cache in itertools.product(
                options.widths or usual, options.threads, options.caches
            ):
                yield Cell(suite, op, matrix, width, threads, cache)


def spread(items: Sequence[Any], count: int) -> list[Any]:
    """Return at most `count` items, evenly spaced from first to last."""
    if len(items) <= count:
        return list(items)
    return [items[round(i)] for i in np.linspace(0, len(items) - 1, count)]
