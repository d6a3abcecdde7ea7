"""Results as lines of JSON, written as they come, and what is computed of many of them."""

import json
import math
from pathlib import Path

#: A file that would grow beyond this is left as it is.
MAX_BYTES = 15 << 20


class Writer:
    """Appends records to a file; each is on disk when `write` returns."""

    def __init__(self, path, stage=None):
        self._file = Path(path).open("a", encoding="utf-8")
        self.stage = stage

    def write(self, **record):
        """Append a record; numbers that are not finite become strings, as JSON has none."""
        common = {"stage": self.stage} if self.stage else {}
        line = json.dumps({**common, **{key: plain(value) for key, value in record.items()}})
        if self._file.tell() + len(line) < MAX_BYTES:
            self._file.write(line + "\n")
            self._file.flush()


def plain(value):
    """A value as JSON has it."""
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else str(value)
    return value


def read(path):
    """Return the records of a file; a line that a crash cut short is left out."""
    records = []
    if Path(path).exists():
        for line in Path(path).read_text(encoding="utf-8").splitlines():
            try:
                records.append(json.loads(line))
            except json.JSONDecodeError:
                continue
    return records


def geometric_mean(values):
    """Return the geometric mean of positive numbers; None of none."""
    values = [float(value) for value in values]
    if not values:
        return None
    return math.exp(sum(map(math.log, values)) / len(values))


def grouped(records, *names):
    """Return {tuple of the fields: records}, in order of appearance."""
    groups = {}
    for record in records:
        groups.setdefault(tuple(record.get(name) for name in names), []).append(record)
    return groups
