"""Tables of results in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from .. import analysis
from ..analysis import Cell, Record
from ..ops import OPS
from ..peers import SUBJECT
from ..results import Results
from ..suites import SUITES
from ..suites.habits import NAME as HABITS
from ..suites.models import NAME as MODELS
from . import habits, models
from .text import number, table

__all__ = ["markdown", "table"]

#: If more than this share of all medians is noisy, the report warns its reader.
MUCH_NOISE = 0.1
#: The name of the row of speed-ups over the fastest of all other peers.
BEST = "the best of them"
#: The functions that make the sections of suites with tables of their own.
_OWN_TABLES = {HABITS: habits.sections, MODELS: models.sections}


def markdown(results: Results, plots: Sequence[tuple[str, str]] = ()) -> str:
    """Return the whole report; `plots` are pairs of a title and a file name."""
    cells = analysis.cells_of(results.results)
    parts = ["# Benchmark\n", _machine(results), _noise(cells)]
    for (suite,), members in analysis.grouped(cells, "suite").items():
        if suite in _OWN_TABLES:
            parts += _OWN_TABLES[suite](members)
            parts += sorted(set(_failures(members)))
            continue
        for (op,), group in analysis.grouped(members, "op").items():
            parts.append(_section(suite, op, group, results))
    parts += [f"## {title}\n\n![{title}]({name})\n" for title, name in plots]
    parts.append(_versions(results))
    return "\n".join(part for part in parts if part)


def _machine(results: Results) -> str:
    lines = []
    for run in results.runs:
        machine, settings = run["machine"], run["settings"]
        load = ", ".join(f"{value:.2f}" for value in machine["load average"] or ())
        lines.append(
            f"- {machine['cpu']} (family/model/stepping {machine['family/model/stepping']}; "
            f"{', '.join(machine['caches of cpu0'])}), {machine['cpus']} CPUs, "
            f"{machine['system']}, {machine['date']}, load before {load}; at least "
            f"{settings['rounds']} rounds of {1e3 * settings['seconds']:g} ms; "
            f"`{' '.join(machine['command line'])}`"
        )
    for line in results.rooflines:
        rates = ", ".join(f"{name} {rate:.0f}" for name, rate in line["GFLOP/s"].items())
        levels = ", ".join(f"{name} {rate:.0f}" for name, rate in line["GB/s"].items())
        lines.append(
            f"- rooflines, {line['threads']} thread{'s' * (line['threads'] > 1)}, {line['isa']}: "
            f"{rates} GFLOP/s from registers; {levels} GB/s loaded"
        )
    lines.append(
        "- Medians of interleaved samples; a ratio above 1 means that spkernels is faster. "
        "GFLOP/s are useful ones, 2 x stored entries x width, also for dense peers. Means are "
        "geometric."
    )
    return "\n".join(lines) + "\n"


def _noise(cells: Sequence[Cell]) -> str:
    found = [p for cell in cells for p in cell.peers.values() if "median" in p]
    if not found:
        return "Nothing measured.\n"
    noisy = sum(p["noisy"] for p in found)
    dropped, kept = (sum(p[what] for p in found) for what in ("dropped", "kept"))
    wide = sum((p["high"] - p["low"]) / 2 > 0.1 * p["median"] for p in found)
    text = (
        f"{kept + dropped} samples, {dropped} dropped as the machine was slow around them; of "
        f"{len(found)} medians {wide} are known to no better than 10% (95% interval), {noisy} rest "
        "on slow samples alone.\n"
    )
    if noisy > MUCH_NOISE * len(found) or wide > 0.5 * len(found):
        text += "\n**This machine was too noisy for conclusions from single cells.**\n"
    return text


def _section(suite: str, op: str, cells: Sequence[Cell], results: Results) -> str:
    title = f"## {SUITES[suite].TITLE}: {OPS[op].TITLE}\n"
    peers = analysis.peers_of(cells)
    rivals = [peer for peer in peers if peer != SUBJECT]
    if SUBJECT not in peers:
        return title + "\nNothing measured.\n"
    parts = [title]
    for (threads, cache), group in analysis.grouped(cells, "threads", "cache").items():
        if cache == "warm" and suite == "tiny":
            parts.append(_microseconds(group, peers))
        else:
            heading = f"{threads} thread{'s' * (threads > 1)}, {cache} caches"
            parts.append(f"### {heading}\n\n{_rates(op, group, peers, results.rooflines)}")
        parts.append(_speedups(group, rivals))
        parts.append(_preparation(group, peers))
    parts += sorted(set(_failures(cells)))
    return "\n".join(part for part in parts if part) + "\n"


def _rates(op: str, cells: Sequence[Cell], peers: Sequence[str], rooflines) -> str:
    width = OPS[op].WIDTH
    head = [width, "sparsity", "cells", *(f"{peer}, GFLOP/s" for peer in peers)]
    head += ["of peak", "of roof"]
    rows = []
    for (columns,), group in analysis.grouped(cells, "width").items():
        classes: dict[str, list[Cell]] = {}
        for cell in group:
            classes.setdefault(cell.sparsity_class, []).append(cell)
        ordered = sorted(classes.items(), key=lambda item: analysis.sortable(item[0]))
        for name, members in [*ordered, *([("all", group)] if len(ordered) > 1 else [])]:
            rates = [number(analysis.mean_rate(members, peer)) for peer in peers]
            shares = [
                number(100 * analysis.mean_fraction(members, rooflines, of_peak=of_peak), 2) + "%"
                for of_peak in (True, False)
            ]
            label = "vector" if columns is None else columns
            rows.append([label, name, len(members), *rates, *shares])
    return table(head, rows, 2)


def _microseconds(cells: Sequence[Cell], peers: Sequence[str]) -> str:
    head = ["matrix", "B", "dtype", "container", *(f"{peer}, us" for peer in peers)]
    rows = []
    for cell in cells:
        labels = cell.labels
        width = "vector" if labels["width"] is None else f"{labels['width']} columns"
        times = [cell.seconds(peer) for peer in peers]
        shown = [number(None if t is None else 1e6 * t) for t in times]
        rows.append([labels["matrix"], width, labels["dtype"], labels["container"], *shown])
    return table(head, rows, 4)


def _speedups(cells: Sequence[Cell], rivals: Sequence[str]) -> str:
    head = ["spkernels against", "cells", "geometric mean", "of minima", "worst", "on"]
    rows = []
    choices: list[tuple[str, tuple[str, ...]]] = [(peer, (peer,)) for peer in rivals]
    if len(rivals) > 1:
        choices.append((BEST, tuple(rivals)))
    for name, chosen in choices:
        compared = [(s, c) for c in cells if (s := c.speedup(chosen)) is not None]
        if not compared:
            continue
        worst, where = min(compared, key=lambda pair: pair[0])
        width = where.labels["width"]
        means = [analysis.mean_speedup(cells, chosen, figure) for figure in ("median", "min")]
        place = f"{where.labels['matrix']}, {'vector' if width is None else width}"
        rows.append([name, len(compared), *map(number, means), number(worst), place])
    return table(head, rows)


def _preparation(cells: Sequence[Cell], peers: Sequence[str]) -> str:
    """Return the times of preparing a matrix, for peers that take longer than for a product."""
    rows = []
    for peer in peers:
        # The subject's preparation is compared with scipy, which prepares nothing.
        against = SUBJECT if peer != SUBJECT else "scipy"
        members = [c for c in cells if c.seconds(peer) is not None]
        ratio = [c.peers[peer]["prepare"] / c.seconds(peer) for c in members]
        if not ratio or sorted(ratio)[len(ratio) // 2] < 1:
            continue
        calls = sorted(analysis.break_even(c, peer, against) for c in members if c.seconds(against))
        if not calls:
            continue
        middle = sorted(ratio)[len(ratio) // 2]
        rows.append([peer, number(middle), against, number(calls[len(calls) // 2])])
    if not rows:
        return ""
    head = ["preparing a matrix", "takes products (median)", "pays against", "calls (median)"]
    return table(head, rows)


def _failures(cells: Sequence[Cell]) -> Iterable[str]:
    for cell in cells:
        for peer, record in cell.peers.items():
            if "failure" in record:
                yield f"- {peer} failed on {cell.labels['matrix']}: {record['failure']}"


def _versions(results: Results) -> str:
    versions: dict[str, Record] = {}
    left_out: dict[str, str] = {}
    for run in results.runs:
        versions |= run["versions"]
        left_out |= run["left out"]
    rows = [
        [peer, ", ".join(f"{name} {version}" for name, version in found.items())]
        for peer, found in versions.items()
    ]
    text = "## Versions\n\n" + table(["peer", "versions"], rows, 2)
    absent = {peer: why for peer, why in left_out.items() if peer not in versions}
    return text + "".join(f"\nLeft out: {peer} ({why})\n" for peer, why in absent.items())
