"""The plot of the demo: the speed of each library, and the sparsity from which on sparsity pays."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from .. import _core
from .measure import Cell
from .table import distinct

#: The label, colour and marker of each library.  The colours are of Okabe and Ito's palette, which
#: people with any colour vision can tell apart.
_PEERS = {
    "scipy": ("scipy (1 thread)", "#999999", "s"),
    "dense": ("dense NumPy", "#E69F00", "D"),
    "spkernels": ("spkernels", "#0072B2", "o"),
}
_MARKERS = "o^sDvP*X"
_BLUES = ("#0072B2", "#56B4E9", "#003A5C", "#009E73", "#CC79A7", "#D55E00")
#: The largest number of matrices that get a line each.
_MAX_LINES = 40
#: The candidates for ticks, by importance; a tick that is too near to an earlier one is left out.
_SPARSITIES = (0.9, 0.99, 0.999, 0.9999, 0.99999, 0, 0.5, 0.8, 0.95, 0.98, 0.7)
_TICK_DISTANCE = 0.07
_STYLE = {"color": "0.9", "linewidth": 0.8, "zorder": 0}


def save(cells: Sequence[Cell], threads: int, left_out: int, path: Path) -> None:
    """Draw `cells`, note the number `left_out` of other cells, and save the figure as PNG."""
    widths = sorted({cell.columns for cell in cells})
    names = list(dict.fromkeys(cell.name for cell in cells))
    listed = len(names) <= _MAX_LINES
    height = 1.9 + 0.3 * len(names) if listed else 5.5
    figure = Figure(figsize=(3.6 + 3.2 * len(widths) + 4.6, max(4.8, height)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(
        1, len(widths) + 1, width_ratios=[3.2] * len(widths) + [4.2], squeeze=False
    )[0]
    draw = _draw_lines if listed else _draw_cloud
    for axis, columns in zip(axes, widths, strict=False):
        if axis is not axes[0]:
            axis.sharex(axes[0])
            axis.sharey(axes[0])
        draw(axis, [cell for cell in cells if cell.columns == columns], names)
        axis.set_title(f"N = {columns}", loc="left", fontsize=11)
    if listed:
        for axis in axes[1:-1]:
            axis.tick_params(labelleft=False)
    figure.legend(
        *axes[0].get_legend_handles_labels(),
        loc="outside upper right",
        ncols=3,
        frameon=False,
        handletextpad=0.3,
        columnspacing=1.2,
    )
    _draw_speedups(axes[-1], cells, widths)
    dtypes = ", ".join(sorted({cell.dtype for cell in cells}))
    plural = "" if threads == 1 else "s"
    figure.suptitle(
        f"Sparse A times dense B: {dtypes}, {threads} thread{plural}, {_core.isa()}",
        x=0.01,
        ha="left",
        fontsize=12,
        fontweight="bold",
    )
    if left_out:
        figure.supxlabel(
            f"Not shown: {left_out} of {len(cells) + left_out} products, which other programs "
            "disturbed or whose matrix is empty.",
            x=0.01,
            ha="left",
            fontsize=9,
        )
    figure.savefig(path, dpi=150)


def _draw_lines(axis, cells: Sequence[Cell], names: Sequence[str]) -> None:
    """Draw a line per matrix, from the slowest library to the fastest."""
    rows = {name: row for row, name in enumerate(names)}
    for cell in cells:
        rates = [cell.gflops(peer) for peer in cell.timings]
        axis.hlines(rows[cell.name], min(rates), max(rates), color="0.8", linewidth=1, zorder=1)
    for peer, (label, colour, marker) in _PEERS.items():
        found = [cell for cell in cells if peer in cell.timings]
        axis.plot(
            [cell.gflops(peer) for cell in found],
            [rows[cell.name] for cell in found],
            linestyle="",
            marker=marker,
            color=colour,
            markersize=7,
            label=label,
            markeredgecolor="white",
            markeredgewidth=0.6,
        )
    axis.set_yticks(range(len(names)), distinct(names, 42))
    axis.set_ylim(len(names) - 0.5, -0.5)
    axis.set_xlabel(_rate_label(cells))
    axis.tick_params(axis="y", length=0)
    axis.grid(axis="y", **_STYLE)
    _logarithmic(axis, "x")


def _rate_label(cells: Sequence[Cell]) -> str:
    flops = sorted({cell.flops_per_term for cell in cells})
    return f"useful GFLOP/s ({' or '.join(map(str, flops))} nnz N / time), more is better"


def _draw_cloud(axis, cells: Sequence[Cell], names: Sequence[str]) -> None:
    """Draw a dot per matrix and library."""
    for peer, (label, colour, marker) in _PEERS.items():
        found = [cell for cell in cells if peer in cell.timings]
        axis.plot(
            [_position(cell.sparsity) for cell in found],
            [cell.gflops(peer) for cell in found],
            linestyle="",
            marker=marker,
            color=colour,
            markersize=5,
            label=label,
            alpha=0.8,
            markeredgecolor="white",
            markeredgewidth=0.4,
        )
    axis.set_ylabel(_rate_label(cells))
    _logarithmic(axis, "y")
    _sparsity_axis(axis, cells)


def _draw_speedups(axis, cells: Sequence[Cell], widths: Sequence[int]) -> None:
    """Draw the speed-up over the dense product against the sparsity."""
    found = [cell for cell in cells if "dense" in cell.timings]
    for index, columns in enumerate(widths):
        chosen = [cell for cell in found if cell.columns == columns]
        axis.plot(
            [_position(cell.sparsity) for cell in chosen],
            [cell.speedup("dense") for cell in chosen],
            linestyle="",
            marker=_MARKERS[index % len(_MARKERS)],
            color=_BLUES[index % len(_BLUES)],
            markersize=7,
            label=f"N = {columns}",
            markeredgecolor="white",
            markeredgewidth=0.6,
        )
    axis.set_title("When does sparsity pay?", loc="left", fontsize=11)
    axis.set_ylabel("speed-up of spkernels over dense NumPy")
    if found:
        _logarithmic(axis, "y", "x")
        low, high = axis.get_ylim()
        axis.set_ylim(min(low, 0.5), max(high, 2))
        axis.axhspan(1e-9, 1, color="#D55E00", alpha=0.08, linewidth=0, zorder=0)
        axis.axhline(1, color="#D55E00", linewidth=1.2, zorder=1)
        axis.text(
            0.98,
            0.02,
            "here the dense product is faster",
            transform=axis.transAxes,
            ha="right",
            fontsize=9,
            color="#A04000",
        )
        if len(widths) > 1:
            axis.legend(loc="upper left", frameon=False)
    else:
        axis.text(0.5, 0.5, "no dense product was timed", transform=axis.transAxes, ha="center")
    _sparsity_axis(axis, found or cells)


def _position(sparsity: float) -> float:
    """Return the position of a sparsity on its axis, a logarithmic scale of the density."""
    return float(-np.log10(1 - sparsity))


def _sparsity_axis(axis, cells: Sequence[Cell]) -> None:
    places = [_position(cell.sparsity) for cell in cells]
    margin = max(0.08, 0.06 * (max(places) - min(places)))
    low, high = min(places) - margin, max(places) + margin
    ticks: dict[float, str] = {}
    for sparsity in _SPARSITIES:
        place = _position(sparsity)
        near = any(abs(place - other) < _TICK_DISTANCE * (high - low) for other in ticks)
        if low <= place <= high and not near:
            ticks[place] = f"{100 * sparsity:.10g}%"
    axis.set_xlim(low, high)
    axis.set_xticks(list(ticks), list(ticks.values()))
    axis.set_xlabel("sparsity (share of zeros)")
    axis.grid(axis="x", **_STYLE)


def _logarithmic(axis, which: str, unit: str = "") -> None:
    """Make an axis logarithmic, with ticks at 1, 2, 5 times powers of ten."""
    scale = axis.xaxis if which == "x" else axis.yaxis
    (axis.set_xscale if which == "x" else axis.set_yscale)("log")
    ticks = [digit * 10.0**power for power in range(-6, 7) for digit in (1, 2, 5)]
    scale.set_major_locator(FixedLocator(ticks))
    scale.set_minor_locator(NullLocator())
    scale.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}{unit}"))
    axis.grid(axis=which, **_STYLE)
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)
