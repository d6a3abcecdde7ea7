"""Figures from results: speed-ups, rates, and shares of the machine's roofline."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from .measure.stats import geometric_mean
from .ops import OPS
from .peers import SUBJECT
from .results import key_of

Record = dict[str, Any]

#: Upper ends of the classes of sparsity, in percent.
CLASSES = (55.0, 65.0, 75.0, 85.0, 92.5, 96.5, 99.0, 100.0)


@dataclass
class Cell:
    """The results of all peers for one cell in one run."""

    labels: Record
    peers: dict[str, Record]

    def seconds(self, peer: str, figure: str = "median") -> float | None:
        """Return a figure of a peer's times, in seconds per call, or None if it has none."""
        return self.peers.get(peer, {}).get(figure)

    def speedup(
        self, rivals: Sequence[str], figure: str = "median", subject: str = SUBJECT
    ) -> float | None:
        """Return the time of the fastest rival divided by the subject's time, or None."""
        times = [t for peer in rivals if (t := self.seconds(peer, figure)) is not None]
        own = self.seconds(subject, figure)
        return min(times) / own if times and own else None

    def rate(self, peer: str) -> float | None:
        """Return the useful GFLOP/s of a peer."""
        seconds = self.seconds(peer)
        return self.labels["flops"] / seconds / 1e9 if seconds and self.labels["flops"] else None

    @property
    def sparsity_class(self) -> str:
        """The words for the class of the cell's sparsity, as "85-92.5%"."""
        percent = 100 * self.labels["sparsity"]
        low = 0.0
        for high in CLASSES:
            if percent <= high:
                break
            low = high
        return f"{low:g}-{high:g}%"

    @property
    def intensity(self) -> float:
        """The number of useful operations per byte that must move."""
        return self.labels["flops"] / max(1, self.labels["bytes"])


def cells_of(results: Iterable[Record]) -> list[Cell]:
    """Group results into cells.

    Times of different runs do not compare, so only the latest run of a cell counts.
    """
    groups: dict[tuple, list[Record]] = {}
    for record in results:
        groups.setdefault(key_of(record), []).append(record)
    found = []
    for records in groups.values():
        latest = max(record["run"] for record in records)
        peers = {r["peer"]: r for r in records if r["run"] == latest}
        found.append(Cell(records[-1], peers))
    return found


def peers_of(cells: Iterable[Cell]) -> list[str]:
    """Return the peers that have times, in the order in which their operations list them."""
    timed, order = set(), []
    for cell in cells:
        timed |= {peer for peer in cell.peers if cell.seconds(peer) is not None}
        order += [peer for peer in OPS[cell.labels["op"]].PEERS if peer not in order]
    return [peer for peer in order if peer in timed]


def roof(cell: Cell, rooflines: Sequence[Record]) -> float | None:
    """Return the roofline of a cell in GFLOP/s: the lower of FMA rate and bandwidth.

    With warm caches, the bandwidth is that of the smallest level that holds all bytes that must
    move.  With flushed caches, it is that of memory.
    """
    for line in rooflines:
        if line["threads"] == cell.labels["threads"]:
            break
    else:
        return None
    level = "DRAM"
    if cell.labels["cache"] == "warm":
        sizes = line["cache bytes"]
        held = {
            name: sizes[name] * (1 if name == "L3" else cell.labels["threads"]) for name in sizes
        }
        level = next((n for n in ("L1", "L2", "L3") if cell.labels["bytes"] <= held[n]), "DRAM")
    peak = line["GFLOP/s"][cell.labels["dtype"]]
    return min(peak, cell.intensity * line["GB/s"][level])


def break_even(cell: Cell, peer: str, against: str = SUBJECT) -> float:
    """Return the number of calls after which a peer's preparation has paid off.

    The peer is compared with the time per call of the peer `against`.  The number is infinite if
    the peer is slower per call.
    """
    record = cell.peers[peer]
    gain = (cell.seconds(against) or math.nan) - record["median"]
    return record["prepare"] / gain if gain > 0 else math.inf


def mean_speedup(cells: Iterable[Cell], rivals: Sequence[str], figure: str = "median") -> float:
    """Return the geometric mean of the speed-ups of cells; NaN if there are none."""
    return geometric_mean(s for c in cells if (s := c.speedup(rivals, figure)) is not None)


def mean_rate(cells: Iterable[Cell], peer: str) -> float:
    """Return the geometric mean of a peer's useful GFLOP/s; NaN if there are none."""
    return geometric_mean(r for c in cells if (r := c.rate(peer)) is not None)


def mean_fraction(cells: Iterable[Cell], rooflines: Sequence[Record], *, of_peak: bool) -> float:
    """Return the geometric mean of the subject's rates divided by the FMA peak or the roofline."""

    def fraction(cell):
        rate, bound = cell.rate(SUBJECT), roof(cell, rooflines)
        if rate is None or bound is None:
            return None
        if of_peak:
            line = next(c for c in rooflines if c["threads"] == cell.labels["threads"])
            bound = line["GFLOP/s"][cell.labels["dtype"]]
        return rate / bound

    return geometric_mean(f for c in cells if (f := fraction(c)) is not None)


def grouped(cells: Iterable[Cell], *names: str) -> dict[tuple, list[Cell]]:
    """Group cells by the values of the labels `names`, and sort the groups by these values."""
    groups: dict[tuple, list[Cell]] = {}
    for cell in cells:
        groups.setdefault(tuple(cell.labels[name] for name in names), []).append(cell)
    return dict(sorted(groups.items(), key=lambda item: tuple(map(sortable, item[0]))))


def sortable(value: Any) -> tuple[float, str]:
    """Return a key that sorts None first, numbers by value, and words by the alphabet."""
    if value is None:
        return (-1.0, "")
    if isinstance(value, int | float):
        return (float(value), "")
    digits = str(value).partition("-")[0].rstrip("%")
    return (float(digits) if digits.replace(".", "", 1).isdigit() else 0.0, str(value))
