"""Tables of the suite "models": milliseconds of networks, and speed-ups over the peers."""

from __future__ import annotations

from collections.abc import Sequence

from .. import analysis
from ..analysis import Cell
from ..measure.stats import geometric_mean
from ..ops.networks import Network
from ..peers import SUBJECT
from .text import number, table

#: The peer that uses the zeros, too.
_SPARSE = ("deepsparse",)
_FIGURES = ("median", "min")


def sections(cells: Sequence[Cell]) -> list[str]:
    """Return the sections of the report on the cells of the suite."""
    parts = []
    for (threads,), group in analysis.grouped(cells, "threads").items():
        heading = f"{threads} thread{'s' * (threads > 1)}"
        parts.append(f"## Networks, {heading}\n\n{_times(group)}")
        if SUBJECT in analysis.peers_of(group):
            parts.append(f"## Networks: speed-ups, {heading}\n\n{_speedups(group)}")
    return parts


def _times(cells: Sequence[Cell]) -> str:
    """Return the milliseconds of every peer: the median, and the minimum after a stroke."""
    peers = analysis.peers_of(cells)
    head = ["network", "batch", *(f"{peer}, ms" for peer in peers)]
    rows = []
    for cell in cells:
        row = [cell.labels["matrix"], cell.labels["width"]]
        for peer in peers:
            times = [cell.seconds(peer, figure) for figure in _FIGURES]
            row.append(" / ".join(number(t and 1e3 * t) for t in times))
        rows.append(row)
    return table(head, rows)


def _speedups(cells: Sequence[Cell]) -> str:
    """Return the speed-ups over the fastest dense peer, then those over each peer.

    The first are those of medians and minima; for each peer there are the mean and the worst.
    """
    single = [(peer,) for peer in (*Network.DENSE, *_SPARSE)]
    head = ["network", "batches", "against the fastest dense", "of minima", "worst", "at batch"]
    head += [f"{peer} (worst)" for (peer,) in single] + ["s to prepare"]
    rows = []
    for (matrix,), group in analysis.grouped(cells, "matrix").items():
        found = [(s, cell) for cell in group if (s := cell.speedup(Network.DENSE)) is not None]
        if not found:
            continue
        worst, where = min(found, key=lambda pair: pair[0])
        means = [geometric_mean(s for s, _ in found)]
        means.append(analysis.mean_speedup(group, Network.DENSE, "min"))
        row = [matrix, len(found), *map(number, means), number(worst), where.labels["width"]]
        row += [_mean_and_worst(group, peer) for peer in single]
        rows.append([*row, number(max(cell.peers[SUBJECT]["prepare"] for _, cell in found))])
    return table(head, rows)


def _mean_and_worst(cells: Sequence[Cell], peer: tuple[str]) -> str:
    speedups = [s for cell in cells if (s := cell.speedup(peer)) is not None]
    if not speedups:
        return "-"
    return f"{number(geometric_mean(speedups))} ({number(min(speedups))})"
