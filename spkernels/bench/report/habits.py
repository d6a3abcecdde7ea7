"""Tables of the suite "habits": comparisons with scipy, C order, an earlier build, one thread."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from .. import analysis
from ..analysis import Cell
from ..measure.stats import geometric_mean
from ..ops.bert_layer import NAME as BERT_LAYER
from ..ops.chosen import NAME as CHOSEN
from ..ops.estimators import ESTIMATORS
from ..ops.fused import ACTIVATIONS
from ..peers import SUBJECT
from ..results import KEY, key_of
from .text import number, table

_PRODUCTS = ("habit", "dense_habit")
_ACCELERATE = "accelerate"
_ONE_BLAS_THREAD = " one BLAS thread"
_ONE_THREAD = "spkernels one thread"
_BEFORE = {SUBJECT: "spkernels before", _ACCELERATE: "accelerate before"}


def sections(cells: Sequence[Cell]) -> list[str]:
    """Return the sections of the report on the cells of the suite."""
    parts = []
    for (threads,), group in analysis.grouped(cells, "threads").items():
        heading = f"{threads} thread{'s' * (threads > 1)}"
        products = [cell for cell in group if cell.labels["op"] in _PRODUCTS]
        idle = [cell for cell in products if _load(cell) == "none"]
        loaded = [cell for cell in products if _load(cell) != "none"]
        for title, make, chosen in (
            ("layouts, formats and dtypes", _layouts, idle),
            ("machines that are not idle", _loads, loaded),
            ("estimators of scikit-learn", _estimators, _of(group, ESTIMATORS)),
            ("activations in the product", _activations, _of(group, ACTIVATIONS)),
            ("what prepare chooses", _chosen, _of(group, [CHOSEN])),
            ("a layer of BERT", _layers, _of(group, [BERT_LAYER])),
        ):
            if chosen:
                parts.append(f"## Habits: {title}, {heading}\n\n{make(chosen)}")
    return parts


def _of(cells: Sequence[Cell], ops: Iterable[str]) -> list[Cell]:
    chosen = set(ops)
    return [cell for cell in cells if cell.labels["op"] in chosen]


def _load(cell: Cell) -> str:
    return cell.labels.get("load", "none")


def _layout(cell: Cell) -> str:
    return cell.labels.get("layout", "C")


def _ratios(
    cells: Iterable[Cell], over: str, under: str, figure: str = "median"
) -> list[tuple[float, Cell]]:
    """Return the ratios of the times of two peers, with the cells that have both times."""
    found = []
    for cell in cells:
        above, below = cell.seconds(over, figure), cell.seconds(under, figure)
        if above and below:
            found.append((above / below, cell))
    return found


def _summary(ratios: Sequence[tuple[float, Cell]], worst: Callable = min) -> list[str]:
    """Return the geometric mean of ratios, the worst ratio, and the words for its cell."""
    if not ratios:
        return ["-", "-", "-"]
    value, cell = worst(ratios, key=lambda pair: pair[0])
    return [number(geometric_mean(ratio for ratio, _ in ratios)), number(value), _place(cell)]


def _place(cell: Cell) -> str:
    width = cell.labels["width"]
    return f"{cell.labels['matrix']}, {'vector' if width is None else width}"


def _layouts(cells: Sequence[Cell]) -> str:
    """Return the speed-ups over scipy and an earlier build, and times relative to C order."""
    in_c_order = {key_of(cell.labels): cell for cell in cells if _layout(cell) == "C"}
    position = KEY.index("layout")

    def against_c_order(group):
        found = []
        for cell in group:
            key = key_of(cell.labels)
            plain = in_c_order.get((*key[:position], "C", *key[position + 1 :]))
            if plain is not None and cell.seconds(SUBJECT) and plain.seconds(SUBJECT):
                found.append((cell.seconds(SUBJECT) / plain.seconds(SUBJECT), cell))
        return found

    head = ["product", "format", "layout", "dtypes", "cells"]
    for peer in (SUBJECT, _ACCELERATE):
        head += [f"{peer} against scipy", "worst", "on"]
    head += ["time over C order", "worst", "on", "against before", "worst", "on"]
    rows = []
    for labels, group in analysis.grouped(cells, "op", "container", "layout", "dtype").items():
        op, container, layout, dtype = labels
        row = [
            "dense @ sparse" if op == "dense_habit" else "sparse @ dense",
            container.partition("_")[0].upper(),
            layout,
            dtype,
            len(group),
        ]
        for peer in (SUBJECT, _ACCELERATE):
            row += _summary(_ratios(group, "scipy", peer))
        plain = layout == "C"
        row += ["-"] * 3 if plain else _summary(against_c_order(group), max)
        row += _summary(_ratios(group, _BEFORE[SUBJECT], SUBJECT))
        rows.append(row)
    return table(head, rows, 4)


def _loads(cells: Sequence[Cell]) -> str:
    """Return the mean and the 95th percentile of calls, relative to scipy and to one thread."""
    head = ["load", "product", "scipy, mean us", "one thread", "before", SUBJECT]
    head += ["mean over scipy's", "95% over scipy's", "mean over one thread's"]
    rows = []
    for (load,), group in analysis.grouped(cells, "load").items():
        for cell in group:
            peers = ("scipy", _ONE_THREAD, _BEFORE[SUBJECT], SUBJECT)
            means = [cell.seconds(peer, "mean") for peer in peers]
            row = [load, _place(cell), *(number(t and 1e6 * t) for t in means)]
            for rival, figure in (("scipy", "mean"), ("scipy", "slowest"), (_ONE_THREAD, "mean")):
                ratio = _ratios([cell], SUBJECT, rival, figure)
                row.append(number(ratio[0][0]) if ratio else "-")
            rows.append(row)
    return table(head, rows, 2)


def _estimators(cells: Sequence[Cell]) -> str:
    """Return the times of fits with and without `accelerate`, and the speed-ups over scipy."""
    rivals = ("scipy", f"scipy{_ONE_BLAS_THREAD}")
    peers = (*rivals, _BEFORE[_ACCELERATE], _ACCELERATE, f"{_ACCELERATE}{_ONE_BLAS_THREAD}")
    ours = peers[-2:]
    head = ["estimator", "load", *(f"{peer}, s" for peer in peers)]
    head += [f"{peer} against scipy" for peer in ours] + [f"{ours[1]} against the faster scipy"]
    rows = []
    for (load,), group in analysis.grouped(cells, "load").items():
        figure = "median" if load == "none" else "mean"
        speedups = {}
        for cell in group:
            found = [cell.speedup(("scipy",), figure, peer) for peer in ours]
            found.append(cell.speedup(rivals, figure, ours[1]))
            speedups[cell.labels["op"]] = found
            times = [cell.seconds(peer, figure) for peer in peers]
            rows.append([cell.labels["op"], load, *map(number, times), *map(number, found)])
        means = [
            geometric_mean(value for value in column if value)
            for column in zip(*speedups.values(), strict=True)
        ]
        rows.append(["geometric mean", load, *([""] * len(peers)), *map(number, means)])
    return table(head, rows, 2)


def _activations(cells: Sequence[Cell]) -> str:
    """Return the nanoseconds that an activation adds per element, and its share of the product."""
    nothing = next(op for op, activation in ACTIVATIONS.items() if activation is None)
    plain = {c.labels["matrix"]: c for c in cells if c.labels["op"] == nothing}
    head = ["activation", "matrix", "before, ns an element", f"{SUBJECT}, ns", "of the product"]
    rows = []
    for cell in cells:
        without = plain.get(cell.labels["matrix"])
        if cell is without or without is None:
            continue
        elements = cell.labels["rows"] * cell.labels["width"]
        row = [ACTIVATIONS[cell.labels["op"]], cell.labels["matrix"]]
        for peer in (_BEFORE[SUBJECT], SUBJECT):
            with_, product = cell.seconds(peer, "min"), without.seconds(peer, "min")
            row.append(number(1e9 * (with_ - product) / elements) if with_ and product else "-")
        with_, product = cell.seconds(SUBJECT, "min"), without.seconds(SUBJECT, "min")
        row.append(f"{100 * (with_ / product - 1):.0f}%" if with_ and product else "-")
        rows.append(row)
    return table(head, rows, 2)


def _chosen(cells: Sequence[Cell]) -> str:
    """Return the speed-ups of `prepare`'s choice over the faster of plain `spmm` and NumPy."""
    head = ["load", "cells", "against the faster", "worst", "on", "within 10% of it or faster"]
    head += ["ms to prepare (median)", "most"]
    rows = []
    for (load,), group in analysis.grouped(cells, "load").items():
        figure = "median" if load == "none" else "mean"
        found = [
            (speedup, cell)
            for cell in group
            if (speedup := cell.speedup(("numpy dense", "spkernels plain"), figure))
        ]
        first = sorted(c.peers[SUBJECT]["first prepare"] for _, c in found)
        within = sum(speedup >= 1 / 1.1 for speedup, _ in found)
        row = [load, len(found), *_summary(found), f"{within} of {len(found)}"]
        row += [number(1e3 * first[len(first) // 2]), number(1e3 * first[-1])] if first else []
        rows.append(row)
    return table(head, rows)


def _layers(cells: Sequence[Cell]) -> str:
    """Return the milliseconds of a layer of BERT."""
    peers = ("numpy dense", _BEFORE[SUBJECT], SUBJECT)
    head = ["tokens", *(f"{peer}, ms" for peer in peers), "against dense", "against before"]
    rows = []
    for cell in cells:
        row = [cell.labels["width"]]
        row += [number(t and 1e3 * t) for t in (cell.seconds(peer) for peer in peers)]
        for peer in peers[:-1]:
            found = _ratios([cell], peer, SUBJECT)
            row.append(number(found[0][0]) if found else "-")
        rows.append(row)
    return table(head, rows, 0)
