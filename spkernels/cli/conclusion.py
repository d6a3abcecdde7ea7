"""The conclusions of the demo, in words."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from .measure import DRAW, Cell
from .table import percent, shortened, times


@dataclass(frozen=True)
class Conclusion:
    """The conclusion for one number of columns.

    At sparsities from `always` up, spkernels was faster than the dense product for every matrix.
    At sparsities up to `never`, it was faster for no matrix.  Each is None if no measured sparsity
    has the property.  `over_scipy` is the geometric mean of the speed-ups over scipy.
    """

    columns: int
    always: float | None
    never: float | None
    over_scipy: float | None
    text: list[str]


def conclude(cells: Sequence[Cell]) -> list[Conclusion]:
    """Return a conclusion for each number of columns; noisy and empty cells do not count."""
    widths = sorted({cell.columns for cell in cells})
    return [_conclude(n, [cell for cell in cells if cell.columns == n]) for n in widths]


def _conclude(columns: int, measured: list[Cell]) -> Conclusion:
    filled = [cell for cell in measured if cell.nnz]
    cells = [cell for cell in filled if not cell.noisy]
    if not cells:
        why = "too disturbed to tell" if filled else "nothing to gain, no matrix has an entry"
        return Conclusion(columns, None, None, None, [f"N = {columns}: {why}."])
    compared = sorted(
        (cell for cell in cells if "dense" in cell.timings), key=lambda cell: cell.sparsity
    )
    over_dense = [(cell.sparsity, gain) for cell in compared if (gain := cell.speedup("dense"))]
    won = [sparsity for sparsity, gain in over_dense if gain >= DRAW]
    lost = [sparsity for sparsity, gain in over_dense if gain < DRAW]
    always = min((s for s in won if s > max(lost, default=-1)), default=None)
    never = max((s for s in lost if s < min(won, default=2)), default=None)
    over_scipy = [gain for cell in cells if (gain := cell.speedup("scipy"))]
    text = [
        f"N = {columns}: "
        + _against_dense(compared, won, lost, always, never, len(measured) - len(compared)),
        f"N = {columns}: " + _against_scipy(cells),
    ]
    return Conclusion(columns, always, never, statistics.geometric_mean(over_scipy), text)


def _against_dense(compared, won, lost, always, never, left_out: int) -> str:
    if not compared:
        return "no dense form was small enough to compare with."
    these = "of these matrices"
    if left_out:
        these = f"matrices that could be compared ({left_out} of {len(compared) + left_out} not)"
    span = _span([cell.speedup("dense") for cell in compared])
    if not lost:
        return (
            f"sparsity pays on all {these}, {percent(min(won))} zeros and more: "
            f"spkernels runs at {span} the speed of the dense product."
        )
    if not won:
        return (
            f"sparsity does not pay on any {these}, up to {percent(max(lost))} zeros: "
            f"spkernels runs at {span} the speed of the dense product."
        )
    parts = []
    if always is not None:
        gains = [cell.speedup("dense") for cell in compared if cell.sparsity >= always]
        parts.append(f"from {percent(always)} zeros on sparsity pays ({_span(gains)} dense)")
    if never is not None:
        losses = [cell.speedup("dense") for cell in compared if cell.sparsity <= never]
        parts.append(f"up to {percent(never)} it does not ({_span(losses)} dense)")
    low, high = min(won), max(lost)
    if low <= high:
        between = [low <= cell.sparsity <= high for cell in compared]
        winners = sum(low <= sparsity <= high for sparsity in won)
        where = f"from {percent(low)} to {percent(high)}" if low < high else f"at {percent(low)}"
        parts.append(f"{where} it depends on the matrix (it pays on {winners} of {sum(between)})")
    return "; ".join(parts) + "."


def _against_scipy(cells: list[Cell]) -> str:
    over_scipy = [(cell.name, gain) for cell in cells if (gain := cell.speedup("scipy"))]
    gains = [gain for _, gain in over_scipy]
    slower = [name for name, gain in over_scipy if gain <= 1 / DRAW]
    mean = statistics.geometric_mean(gains)
    said = f"{times(mean)} the speed of scipy (geometric mean; {_span(gains)})"
    if not slower:
        return said + ", slower on none."
    listed = ", ".join(shortened(name, 60) for name in slower[:3])
    more = ", ..." if len(slower) > 3 else "."
    return f"{said}, slower on {len(slower)} of {len(cells)}: {listed}{more}"


def _span(ratios: Sequence[float]) -> str:
    low, high = times(min(ratios)), times(max(ratios))
    return low if low == high else f"{low} to {high}"
