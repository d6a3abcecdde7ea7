"""The file of results: one JSON object per line, appended as soon as a cell is measured.

A file whose name ends in ``.gz`` is compressed.

A line is a ``run`` (its date, machine, settings and versions), a ``roofline``, or a ``result`` of
one peer for one cell, with the number of its run.  A run that was interrupted goes on where its
file ends.  A last line that was cut short is dropped.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Any

from .measure import stats
from .measure.session import Samples

KEY = (
    "suite",
    "op",
    "matrix",
    "width",
    "threads",
    "cache",
    "dtype",
    "container",
    "layout",
    "load",
)
#: The values of labels that older files do not have.
_FORMERLY = {"layout": "C", "load": "none"}
#: The labels that identify a measurement across files.
PEER_KEY = (*KEY, "peer")


def key_of(record: dict[str, Any], names: Iterable[str] = KEY) -> tuple:
    """Return the values that identify a record."""
    return tuple(
        record.get(name, _FORMERLY[name]) if name in _FORMERLY else record[name] for name in names
    )


class Results:
    """A file of results, which is read once and appended to."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lines: list[dict[str, Any]] = []
        if path.exists():
            self.lines = _read(path)

    @property
    def runs(self) -> list[dict[str, Any]]:
        """The runs, oldest first."""
        return [line for line in self.lines if line["line"] == "run"]

    @property
    def rooflines(self) -> list[dict[str, Any]]:
        """The measured rooflines of the machine."""
        return [line for line in self.lines if line["line"] == "roofline"]

    @property
    def results(self) -> list[dict[str, Any]]:
        """The results, the last one of each peer and cell."""
        found = {key_of(r, PEER_KEY): r for r in self.lines if r["line"] == "result"}
        return list(found.values())

    def append(self, lines: Iterable[dict[str, Any]]) -> None:
        """Append lines to the file and to `lines`."""
        lines = list(lines)
        with _open(self.path, "at") as file:
            file.write("".join(json.dumps(line) + "\n" for line in lines))
        self.lines += lines

    def begin(self, run: dict[str, Any]) -> int:
        """Append a run, and return its number."""
        number = len(self.runs)
        self.append([{"line": "run", "run": number, **run}])
        return number

    def done(self) -> dict[tuple, set[str]]:
        """Return the peers that have results, for each cell."""
        peers: dict[tuple, set[str]] = {}
        for result in self.results:
            peers.setdefault(key_of(result), set()).add(result["peer"])
        return peers


def _read(path: Path) -> list[dict[str, Any]]:
    try:
        with _open(path, "rt") as file:
            text = file.read()
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: no text: {error}") from None
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ValueError(f"{path}: no gzip: {error}") from None
    lines, end = [], 0
    for number, line in enumerate(text.splitlines(keepends=True), 1):
        try:
            record = json.loads(line)
            if not isinstance(record, dict) or "line" not in record:
                raise ValueError("not a result")
        except (ValueError, RecursionError):
            if end + len(line) == len(text) and not line.endswith("\n"):
                break  # cut short by the end of its run
            raise ValueError(f"{path}, line {number}: no result: {line[:60]!r}") from None
        lines.append(record)
        end += len(line)
    whole = text[:end] + "\n" * (end > 0 and text[end - 1] != "\n")
    if whole != text:
        with _open(path, "wt") as file:
            file.write(whole)
    return lines


def _open(path: Path, mode: str) -> IO[str]:
    """Open a text file, which is compressed if its name ends in ``.gz``."""
    file: Any = gzip.open(path, mode) if path.suffix == ".gz" else path.open(mode)
    return file


def rounded(value: float) -> float:
    """Return a measured value, rounded to five digits."""
    return float(f"{value:.5g}")


def result(
    labels: dict[str, Any], peer: str, run: int, samples: Samples, typical_guard: float
) -> dict[str, Any]:
    """Return the line of one peer for one cell: its raw samples and their statistics."""
    line = {"line": "result", "run": run, **labels, "peer": peer}
    if samples.failure is not None:
        return line | {"failure": samples.failure}
    loaded = labels["load"] != "none"
    summary = stats.describe(samples.taken, typical_guard, loaded=loaded) if samples.taken else {}
    columns = {
        name: [rounded(sample[name]) for sample in samples.taken]
        for name in ("seconds", "guard", "waited", "slowest")
        if all(name in sample for sample in samples.taken)
    }
    summary = {
        name: rounded(value) if isinstance(value, float) else value
        for name, value in summary.items()
    }
    prepared = {"prepare": rounded(samples.prepare), "first prepare": rounded(samples.first)}
    return line | prepared | {"samples": columns} | summary
