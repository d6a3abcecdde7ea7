"""The JSON document as Markdown."""

import math
from collections.abc import Iterable, Sequence
from typing import Any

from .claims import Claim, judge, speedup
from .stats import geometric_mean
from .suites import SUITES, Suite

#: Value of a cell in a table's unit, from its useful operations and the seconds of a call.
UNITS = {
    "GFLOP/s": lambda flops, seconds: flops / seconds / 1e9,
    "us": lambda flops, seconds: seconds * 1e6,
}


def markdown(document: dict[str, Any]) -> str:
    """The whole report."""
    parts = ["# Benchmark\n", _machine(document)]
    for name, results in document["suites"].items():
        parts.append(_suite(SUITES[name], results))
    return "\n".join(parts)


def _machine(document: dict[str, Any]) -> str:
    machine, settings = document["machine"], document["settings"]
    return (
        f"{machine['cpu']} ({', '.join(machine['caches of cpu0'])}), "
        f"{machine['threads']} of {machine['cpus']} CPUs, {machine['date']}, "
        f"load before {', '.join(f'{load:.2f}' for load in machine['load average'] or ())}; "
        f"{settings['rounds']} rounds of {1e3 * settings['seconds']:g} ms"
        f"{', real-time priority' if settings['realtime'] else ''}"
        f"{', quick subset' if settings['quick'] else ''}.  "
        "Medians; ratios above 1 mean that the first named is faster.\n"
    )


def _suite(suite: Suite, results: dict[str, Any]) -> str:
    records = results["cells"]
    measured = {name for r in records for name, found in r["peers"].items() if "median" in found}
    peers = [name for name in suite.peers if name in measured]
    lines = [f"## {suite.title}\n"]
    lines += [f"Left out: {name} ({why})\n" for name, why in results["left out"].items()]
    if not peers:
        return "\n".join([*lines, "Nothing measured.\n"])
    lines.append(_versions(results["versions"], peers))
    lines.append(_table(suite, records, peers))
    lines += [line for claim in suite.claims if (line := _claim(claim, suite, records))]
    lines.append(_samples(records))
    lines += sorted(set(_failures(records)))
    return "\n".join(lines) + "\n"


def _versions(versions: dict[str, dict[str, str]], peers: Sequence[str]) -> str:
    merged = {name: value for peer in peers for name, value in versions[peer].items()}
    return ", ".join(f"{name} {value}" for name, value in merged.items()) + "\n"


def _table(suite: Suite, records: Sequence[dict[str, Any]], peers: Sequence[str]) -> str:
    claims = [claim for claim in suite.claims if any(speedup(r, claim) for r in records)]
    ratios = [f"{claim.subject} / {' or '.join(claim.rivals)}" for claim in claims]
    units = [f"{peer}, {suite.unit}" for peer in peers]
    first = suite.group_by[0]
    rows = [[*suite.group_by, "cells", *units, *ratios]]
    rows.append(["---"] * len(suite.group_by) + ["---:"] * (1 + len(units) + len(ratios)))
    for key, group in _grouped(records, suite.group_by) + _grouped(records, (first,)):
        values = [_mean_value(group, peer, suite.unit) for peer in peers]
        values += [_mean_speedup(group, claim) for claim in claims]
        shown = ["-" if math.isnan(value) else f"{value:.3g}" for value in values]
        key += ("all",) * (len(suite.group_by) - len(key))
        rows.append([*map(str, key), str(len(group)), *shown])
    return "\n".join("| " + " | ".join(row) + " |" for row in rows) + "\n"


def _mean_speedup(group: Sequence[dict[str, Any]], claim: Claim) -> float:
    return geometric_mean(ratio for r in group if (ratio := speedup(r, claim)) is not None)


def _grouped(
    records: Iterable[dict[str, Any]], labels: Sequence[str]
) -> list[tuple[tuple[Any, ...], list[dict[str, Any]]]]:
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for record in records:
        groups.setdefault(tuple(record["labels"][label] for label in labels), []).append(record)
    return sorted(groups.items(), key=lambda item: tuple(map(_natural, item[0])))


def _natural(value: Any) -> tuple[float, str]:
    """Sorts 90% after 9%, and words as words."""
    text = str(value)
    digits = text.partition("-")[0].rstrip("%").partition(" ")[0]
    return (float(digits) if digits.replace(".", "", 1).isdigit() else 0.0, text)


def _mean_value(group: Sequence[dict[str, Any]], peer: str, unit: str) -> float:
    """The geometric mean over the cells that a peer finished and that have work in them."""
    found = [(r["flops"], r["peers"].get(peer, {}).get("median")) for r in group]
    return geometric_mean(UNITS[unit](flops, s) for flops, s in found if flops and s)


def _claim(claim: Claim, suite: Suite, records: Sequence[dict[str, Any]]) -> str | None:
    verdict = judge(claim, records)
    if verdict is None:
        return None
    named = dict.fromkeys(("matrix", *suite.group_by))
    worst = ", ".join(str(verdict.worst_cell[label]) for label in named)
    targets = [
        f"{what} at least {target:g}"
        for what, target in (("mean", claim.mean_target), ("worst", claim.worst_target))
        if target is not None
    ]
    outcome = f" (asked: {', '.join(targets)}: {'met' if verdict.met else 'MISSED'})"
    return (
        f"- **{claim.title}**: geometric mean {verdict.mean:.2f} over {verdict.cells} cells "
        f"({verdict.mean_of_minima:.2f} from minima), worst {verdict.worst:.2f} on {worst}"
        + (outcome if targets else "")
    )


def _samples(records: Sequence[dict[str, Any]]) -> str:
    found = [p for r in records for p in r["peers"].values() if "median" in p]
    kept, dropped = (sum(p[what] for p in found) for what in ("kept", "dropped"))
    noisy = sum(p["noisy"] for p in found)
    return (
        f"- {kept + dropped} samples, {dropped} dropped because the machine was slow around them; "
        f"{noisy} of {len(found)} figures rest on slow samples alone"
    )


def _failures(records: Sequence[dict[str, Any]]) -> Iterable[str]:
    for r in records:
        for name, found in r["peers"].items():
            if "failure" in found:
                yield f"- {name} failed on {r['labels']['matrix']}: {found['failure']}"
