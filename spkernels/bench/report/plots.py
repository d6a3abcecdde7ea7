"""Plots of results as PNG and SVG, which are legible in black and white, too."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullLocator

from .. import analysis
from ..analysis import Cell
from ..ops import OPS
from ..peers import SUBJECT
from ..results import Results
from ..suites import SUITES

#: The colour and the marker of each peer.  The first colours are of Okabe and Ito's palette, which
#: people with any colour vision can tell apart.
_STYLES = {
    "spkernels": ("#0072B2", "o"),
    "spkernels prepared": ("#56B4E9", "p"),
    "scipy": ("#999999", "s"),
    "mkl": ("#D55E00", "^"),
    "torch": ("#CC79A7", "v"),
    "sparse_dot_mkl": ("#F0E442", "<"),
    "numba": ("#009E73", "D"),
    "graphblas": ("#56B4E9", ">"),
    "aocl": ("#882255", "d"),
    "onnxruntime": ("#44AA99", "H"),
    "pydata": ("#8C6D31", "P"),
    "numpy dense": ("#E69F00", "X"),
    "mkl dense": ("#A0522D", "*"),
    "torch dense": ("#5D3A9B", "h"),
    "torch sdpa": ("#CC79A7", "v"),
    "torch flex": ("#009E73", "D"),
}
#: Points at more sparsities than this are put into this number of bins.
_MAX_LEVELS = 8
_GRID = {"color": "0.9", "linewidth": 0.8}
_SPARSITIES = (0, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.999, 0.9999)
_SETTINGS: dict[Any, Any] = {"font.size": 10, "svg.hashsalt": "spkernels", "svg.fonttype": "none"}


def save_all(results: Results, folder: Path) -> list[tuple[str, str]]:
    """Draw every plot that the results have data for; return the titles and PNG names of these."""
    cells = analysis.cells_of(results.results)
    drawn = []
    with rc_context(_SETTINGS):
        for (suite, op), group in analysis.grouped(cells, "suite", "op").items():
            if suite in ("tiny", "habits", "models"):
                continue
            title = f"{SUITES[suite].TITLE}, {OPS[op].TITLE}"
            for what, name, draw in (
                ("speed-up against sparsity", "speedup", _speedups),
                ("every peer's speed", "peers", _boxes),
                ("useful speed and dense speed", "crossover", _crossover),
                ("kinds of matrices", "kinds", _kinds),
                ("roofline", "roofline", lambda cells, r=results: _roofline(cells, r.rooflines)),
                ("threads", "threads", _scaling),
            ):
                figure = draw(_main(group) if name != "threads" else group)
                if figure is None:
                    continue
                figure.suptitle(f"{title}\n{what}", x=0.01, ha="left", fontsize=11)
                stem = f"{suite}-{op}-{name}"
                _save(figure, folder / stem)
                drawn.append((f"{title}: {what}", f"{stem}.png"))
    return drawn


def _main(cells: Sequence[Cell]) -> list[Cell]:
    """Return the cells of the largest number of threads, with warm caches if there are such."""
    threads = max(cell.labels["threads"] for cell in cells)
    chosen = [cell for cell in cells if cell.labels["threads"] == threads]
    warm = [cell for cell in chosen if cell.labels["cache"] == "warm"]
    return warm or chosen


def _figure(panels: int, width: float = 4.2, height: float = 4.0):
    """Return a figure, its panels, and the number of panels in a row: three if there are many."""
    columns = panels if panels <= 5 else 3
    rows = -(-panels // columns)
    size = (width * columns + 1.4, height * rows + 0.6)
    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    axes = list(figure.subplots(rows, columns, squeeze=False, sharey=True).flat)
    for axis in axes[panels:]:
        axis.remove()
    return figure, axes[:panels], columns


def _save(figure: Figure, path: Path) -> None:
    figure.savefig(path.with_suffix(".png"), dpi=130)
    figure.savefig(path.with_suffix(".svg"), metadata={"Date": None})


def _style(peer: str) -> tuple[str, str]:
    return _STYLES.get(peer, ("#000000", "."))


def _width(op: str, width: int | None) -> str:
    return "vector" if width is None else f"{OPS[op].WIDTH} = {width}"


def _sparsity_axis(axis, cells: Sequence[Cell]) -> None:
    """Scale the x axis by 1 / density, so that 90, 99 and 99.9% are equally far apart."""
    highest = max(cell.labels["sparsity"] for cell in cells)
    axis.set_xscale("log")
    ticks = [s for s in _SPARSITIES if s <= highest + 0.05]
    axis.xaxis.set_major_locator(FixedLocator([1 / (1 - s) for s in ticks]))
    axis.xaxis.set_minor_locator(NullLocator())
    axis.xaxis.set_major_formatter(
        FuncFormatter(lambda x, _: f"{100 * (1 - 1 / x):.4g}" if x > 0 else "")
    )
    axis.tick_params(axis="x", labelrotation=60)
    axis.set_xlabel("sparsity, %")


def _log_axis(axis, label: str) -> None:
    axis.set_yscale("log")
    axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.yaxis.set_minor_locator(NullLocator())
    axis.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:g}"))
    axis.set_ylabel(label)


def _position(cell: Cell) -> float:
    return 1 / max(1e-6, 1 - cell.labels["sparsity"])


def _per_width(cells: Sequence[Cell], draw: Callable) -> Figure | None:
    """Return a figure with a panel per width, which `draw` fills; None if all panels are empty."""
    groups = analysis.grouped(cells, "width")
    figure, axes, side_by_side = _figure(len(groups))
    drawn = False
    for axis, ((width,), group) in zip(axes, groups.items(), strict=True):
        axis.set_title(_width(group[0].labels["op"], width), loc="left", fontsize=10)
        axis.grid(**_GRID)
        axis.set_axisbelow(True)
        drawn = draw(axis, group) or drawn
    if not drawn:
        return None
    for number, axis in enumerate(axes):
        if number % side_by_side:
            axis.set_ylabel("")
    handles: dict[str, Any] = {}
    for axis in axes:
        handles |= dict(zip(*axis.get_legend_handles_labels()[::-1], strict=True))
    columns = 3 * side_by_side
    figure.legend(
        handles.values(), handles.keys(), loc="outside lower center", ncols=columns, frameon=False
    )
    return figure


def _speedups(cells: Sequence[Cell]) -> Figure | None:
    def draw(axis, group):
        drawn = False
        for peer in analysis.peers_of(group):
            points = [
                (_position(c), s) for c in group if peer != SUBJECT and (s := c.speedup((peer,)))
            ]
            if not points:
                continue
            colour, marker = _style(peer)
            x, y = np.array(sorted(points)).T
            axis.plot(x, y, marker, color=colour, markersize=4, alpha=0.5, markeredgewidth=0)
            axis.plot(*_trend(x, y), "-", color=colour, marker=marker, linewidth=1.5,
                      label=f"against {peer}")  # fmt: skip
            drawn = True
        if drawn:
            axis.axhline(1, color="0.3", linewidth=1)
            _sparsity_axis(axis, group)
            _log_axis(axis, "speed-up of spkernels")
        return drawn

    return _per_width(cells, draw)


def _trend(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return geometric means at each sparsity or, if there are many, over bins of equal sizes."""
    levels, level_of = np.unique(np.log(x).round(1), return_inverse=True)
    if levels.size <= _MAX_LEVELS:
        parts = [np.flatnonzero(level_of == level) for level in range(levels.size)]
    else:
        parts = np.array_split(np.argsort(x, kind="stable"), _MAX_LEVELS)
    means = [np.array([np.exp(np.log(v[part]).mean()) for part in parts]) for v in (x, y)]
    return means[0], means[1]


def _over_dense(cells: Sequence[Cell], peer: str, dense: Sequence[str]) -> list:
    """Return pairs of position and speed-up of a peer over the best dense product, sorted."""
    points = []
    for cell in cells:
        rivals = [t for p in dense if (t := cell.seconds(p))]
        own = cell.seconds(peer)
        if rivals and own:
            points.append((_position(cell), min(rivals) / own))
    return sorted(points)


def _over_dense_axes(axis, cells: Sequence[Cell]) -> None:
    """Mark the speed of the dense product, and the ideal speed-up of 1 / density."""
    axis.axhline(1, color="0.3", linewidth=1)
    axis.plot(*[np.array([1, max(map(_position, cells))])] * 2, ":", color="0.3",
              linewidth=1, label="the ideal: 1 / density")  # fmt: skip
    _sparsity_axis(axis, cells)
    _log_axis(axis, "speed-up over the best dense product")


def _crossover(cells: Sequence[Cell]) -> Figure | None:
    """Return the speed-ups over the best dense product: above 1, sparsity pays."""
    dense = OPS[cells[0].labels["op"]].DENSE

    def draw(axis, group):
        reached = []
        for peer in [p for p in analysis.peers_of(group) if p not in dense]:
            points = _over_dense(group, peer, dense)
            if not points:
                continue
            colour, marker = _style(peer)
            x, y = np.array(points).T
            axis.plot(x, y, marker, color=colour, markersize=4, alpha=0.4, markeredgewidth=0)
            axis.plot(*_trend(x, y), "-", color=colour, marker=marker, linewidth=1.5, label=peer)
            reached += [y.min(), y.max()]
        if reached:
            _over_dense_axes(axis, group)
            # The limits follow the points; the line of the ideal may leave the picture.
            axis.set_ylim(min(reached) / 1.5, 2 * max(reached))
        return bool(reached)

    return _per_width(cells, draw)


def _kinds(cells: Sequence[Cell]) -> Figure | None:
    """Return the speed-ups over dense by kind of matrix; None without two kinds and two points."""
    dense = OPS[cells[0].labels["op"]].DENSE
    kinds: dict[str, set[Any]] = {kind: set() for cell in cells if (kind := cell.labels["kind"])}
    for cell in cells:
        kinds.get(cell.labels["kind"], set()).add(round(math.log(_position(cell)), 1))
    if len(kinds) < 2 or max(map(len, kinds.values())) < 2:
        return None
    styles = dict(zip(kinds, itertools.cycle(_STYLES.values()), strict=False))

    def draw(axis, group):
        drawn = False
        for (kind,), members in analysis.grouped(group, "kind").items():
            points = _over_dense(members, SUBJECT, dense)
            if not points:
                continue
            colour, marker = styles[kind]
            axis.plot(*_trend(*np.array(points).T), "-", color=colour, marker=marker,
                      linewidth=1.5, label=kind)  # fmt: skip
            drawn = True
        if drawn:
            _over_dense_axes(axis, group)
        return drawn

    return _per_width(cells, draw)


def _boxes(cells: Sequence[Cell]) -> Figure | None:
    def draw(axis, group):
        peers = analysis.peers_of(group)
        rates = {peer: [r for c in group if (r := c.rate(peer))] for peer in peers}
        rates = {peer: values for peer, values in rates.items() if values}
        if not rates:
            return False
        boxes = axis.boxplot(
            rates.values(), tick_labels=list(rates), whis=(0, 100), patch_artist=True, widths=0.6
        )
        for patch, peer in zip(boxes["boxes"], rates, strict=True):
            patch.set(facecolor=_style(peer)[0], alpha=0.6)
        for line in boxes["medians"]:
            line.set(color="black")
        axis.tick_params(axis="x", labelrotation=60)
        _log_axis(axis, "useful GFLOP/s (box: quartiles; whiskers: all)")
        return True

    return _per_width(cells, draw)


def _roofline(cells: Sequence[Cell], rooflines) -> Figure | None:
    threads, dtype = cells[0].labels["threads"], cells[0].labels["dtype"]
    line = next((c for c in rooflines if c["threads"] == threads), None)
    points = [(c.intensity, c.rate(SUBJECT), c) for c in cells if c.rate(SUBJECT)]
    if line is None or not points:
        return None
    figure, (axis,), _ = _figure(1, 6.4, 4.4)
    peak = line["GFLOP/s"][dtype]
    low = min(p[0] for p in points) / 1.5
    high = max(2 * max(p[0] for p in points), 2 * peak / line["GB/s"]["DRAM"])
    x = np.geomspace(low, high, 200)
    for level, dash in zip(("L1", "L2", "L3", "DRAM"), ("-", "--", "-.", ":"), strict=True):
        rate = line["GB/s"][level]
        axis.plot(x, np.minimum(peak, rate * x), dash, color="0.3", linewidth=1.2,
                  label=f"{level}: {rate:.0f} GB/s")  # fmt: skip
    for (width,), group in analysis.grouped(cells, "width").items():
        drawn = [(c.intensity, c.rate(SUBJECT)) for c in group if c.rate(SUBJECT)]
        if drawn:
            axis.plot(*np.array(drawn).T, "osD^vP*"[_index(width)], markersize=5, alpha=0.7,
                      markeredgewidth=0, label=_width(cells[0].labels["op"], width))  # fmt: skip
    axis.set_xscale("log")
    axis.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    axis.set_title(
        f"{threads} thread{'s' * (threads > 1)}, {line['isa']}; FMA from registers: "
        f"{peak:.0f} GFLOP/s", loc="left", fontsize=10,
    )  # fmt: skip
    axis.set_xlabel("useful operations per byte that must move")
    axis.grid(**_GRID)
    _log_axis(axis, "useful GFLOP/s of spkernels")
    axis.legend(frameon=False, fontsize=9)
    return figure


def _index(width: int | None) -> int:
    return 0 if width is None else 1 + int(math.log2(width)) % 6


def _scaling(cells: Sequence[Cell]) -> Figure | None:
    """Return the speed on the most threads relative to that on the fewest, cell by cell."""
    counts = sorted({cell.labels["threads"] for cell in cells})
    if len(counts) < 2:
        return None

    def draw(axis, group):
        pairs = analysis.grouped(group, "matrix", "cache", "dtype")
        labels, values = [], []
        for peer in analysis.peers_of(group):
            ratios = []
            for members in pairs.values():
                times = {c.labels["threads"]: c.seconds(peer) for c in members}
                if times.get(counts[0]) and times.get(counts[-1]):
                    ratios.append(times[counts[0]] / times[counts[-1]])
            if ratios:
                labels.append(peer)
                values.append(ratios)
        if not values:
            return False
        axis.boxplot(values, tick_labels=labels, whis=(0, 100), widths=0.6)
        axis.axhline(counts[-1] / counts[0], color="0.3", linewidth=1, linestyle=":")
        axis.tick_params(axis="x", labelrotation=60)
        axis.set_ylabel(f"speed on {counts[-1]} threads over speed on {counts[0]}")
        return True

    return _per_width(cells, draw)
