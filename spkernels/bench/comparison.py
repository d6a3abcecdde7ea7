"""The test whether one run is slower than another, on a machine that is never quiet."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from . import analysis
from .analysis import Cell
from .peers import SUBJECT
from .results import Results, key_of

#: The number of resamplings of the bootstrap, and the confidence of its intervals.
RESAMPLES = 2000
LEVEL = 0.95
#: The smallest relative change that counts, even if a smaller one is certain.
SMALLEST = 0.03


@dataclass(frozen=True)
class Change:
    """The new time divided by the old time (above 1 is slower), with a 95% interval."""

    name: str
    cells: int
    ratio: float
    low: float
    high: float

    @property
    def verdict(self) -> str:
        """The verdict in a word: "slower", "faster", "same" or "unclear"."""
        if self.low > 1 + SMALLEST:
            return "slower"
        if self.high < 1 - SMALLEST:
            return "faster"
        return "same" if self.high <= 1 + SMALLEST and self.low >= 1 - SMALLEST else "unclear"


def pairs(old: Results, new: Results) -> list[tuple[Cell, Cell]]:
    """Return the cells for which both files have a time of spkernels."""
    before = {key_of(c.labels): c for c in analysis.cells_of(old.results)}
    found = []
    for cell in analysis.cells_of(new.results):
        other = before.get(key_of(cell.labels))
        if other is not None and other.seconds(SUBJECT) and cell.seconds(SUBJECT):
            found.append((other, cell))
    return found


def drift(old: Cell, new: Cell) -> float:
    """Return the factor by which the machine was slower in the new run.

    It is the median of the other peers' ratios of times, as these peers did not change; 1 if no
    other peer has times in both runs.
    """
    ratios = [
        after / before
        for peer in old.peers
        if peer != SUBJECT
        if (before := old.seconds(peer)) and (after := new.seconds(peer))
    ]
    return float(np.exp(np.median(np.log(ratios)))) if ratios else 1.0


def compare(old: Results, new: Results, rng: np.random.Generator) -> list[Change]:
    """Return the change of each group of cells (suite, operation, width, threads), and of all.

    The ratio of a cell is spkernels' new time over its old time, divided by the machine's `drift`,
    so that a slower machine does not look like a slower kernel.  The bootstrap resamples the
    samples of each cell and the cells of a group.
    """
    groups: dict[str, list[tuple[Cell, Cell]]] = {}
    for before, after in pairs(old, new):
        groups.setdefault(_group(after, width=True), []).append((before, after))
    found = [_change(name, group, rng) for name, group in groups.items()]
    if len(groups) > 1:
        found.append(_change("all", [pair for group in groups.values() for pair in group], rng))
    return found


@dataclass(frozen=True)
class Agreement:
    """The geometric means of the speed-ups over one peer in two runs, for the cells of both.

    There are means of medians, and means of minima, which other programs disturb less.
    """

    name: str
    peer: str
    cells: int
    old: float
    new: float
    old_minima: float
    new_minima: float


def agreements(old: Results, new: Results) -> list[Agreement]:
    """Return the agreement of two runs on every peer, per suite, operation, threads and caches."""
    groups: dict[tuple[str, str], list[tuple[Cell, Cell]]] = {}
    for before, after in pairs(old, new):
        for peer in after.peers:
            if peer != SUBJECT and before.seconds(peer) and after.seconds(peer):
                groups.setdefault((_group(after, width=False), peer), []).append((before, after))
    return [
        Agreement(
            name,
            peer,
            len(group),
            *(
                analysis.mean_speedup([pair[i] for pair in group], [peer], figure)
                for figure in ("median", "min")
                for i in (0, 1)
            ),
        )
        for (name, peer), group in groups.items()
    ]


def _group(cell: Cell, *, width: bool) -> str:
    labels = cell.labels
    words = [labels["suite"], labels["op"]]
    if width:
        words.append("vector" if labels["width"] is None else str(labels["width"]))
    threads = f"{labels['threads']} thread{'s' * (labels['threads'] > 1)}"
    return f"{' '.join(words)}, {threads}, {labels['cache']}"


def _change(name: str, group: Sequence[tuple[Cell, Cell]], rng: np.random.Generator) -> Change:
    drifts = np.log([drift(before, after) for before, after in group])
    logs = np.empty((len(group), RESAMPLES))
    centre = np.empty(len(group))
    for index, (before, after) in enumerate(group):
        taken, took = after.seconds(SUBJECT), before.seconds(SUBJECT)
        assert taken is not None and took is not None  # as `pairs` sees to
        centre[index] = math.log(taken / took)
        logs[index] = _medians(after, rng) - _medians(before, rng)
    centre -= drifts
    logs -= drifts[:, None]
    chosen = rng.integers(0, len(group), (len(group), RESAMPLES))
    means = np.take_along_axis(logs, chosen, axis=0).mean(axis=0)
    low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Change(name, len(group), math.exp(centre.mean()), math.exp(low), math.exp(high))


def _medians(cell: Cell, rng: np.random.Generator) -> np.ndarray:
    """Return the logarithms of the medians of resampled samples."""
    seconds = np.array(cell.peers[SUBJECT]["samples"]["seconds"])
    chosen = rng.integers(0, seconds.size, (RESAMPLES, seconds.size))
    return np.log(np.median(seconds[chosen], axis=1))
