"""Rows of runs of consecutive columns, and what sets of them make.

Runs of some rows are three arrays: `offsets` (int64, one more than rows), and the first columns and
the ends of runs (int32), ascending in each row; they do not overlap.
"""

from __future__ import annotations

import numpy as np

from .._inputs.sparse import MAX_PATTERN_COLUMNS

__all__ = ["MAX_COLS", "at_least", "complement", "from_csr", "one_per_row", "positions"]

#: Columns that a mask may have: runs hold them in 32 bits.
MAX_COLS = MAX_PATTERN_COLUMNS


def _packed(rows, starts, stops, count):
    """Arrays of the runs that are not empty, in order of `rows`, which ascend."""
    real = starts < stops
    rows, starts, stops = rows[real], starts[real], stops[real]
    offsets = np.zeros(count + 1, np.int64)
    np.cumsum(np.bincount(rows, minlength=count), out=offsets[1:])
    return offsets, starts.astype(np.int32), stops.astype(np.int32)


def one_per_row(starts, stops):
    """Return the runs of rows that have one each, where `starts` is below `stops`."""
    return _packed(np.arange(len(starts)), starts, stops, len(starts))


def _rows_of(runs):
    return np.repeat(np.arange(len(runs[0]) - 1), np.diff(runs[0]))


def at_least(depth, parts, cols):
    """Return the columns that at least `depth` of the parts have: 1 for |, all for &."""
    count = len(parts[0][0]) - 1
    rows = np.concatenate([_rows_of(part) for part in parts])
    # Beginnings sort before ends, so that runs which touch become one.
    width = 2 * (int(cols) + 1)
    starts = rows * width + 2 * np.concatenate([part[1] for part in parts]).astype(np.int64)
    stops = rows * width + 2 * np.concatenate([part[2] for part in parts]).astype(np.int64) + 1
    events = np.sort(np.concatenate([starts, stops]))
    level = np.cumsum(1 - 2 * (events & 1))
    enter = (level == depth) & (events & 1 == 0)
    leave = (level == depth - 1) & (events & 1 == 1)
    row, at = np.divmod(events[enter], width)
    return _packed(row, at // 2, events[leave] % width // 2, count)


def complement(runs, cols):
    """Return the columns that the runs leave out."""
    count = len(runs[0]) - 1
    rows = np.arange(count)
    # Between any two: from an end, or 0, to the next beginning, or the last column.
    starts = np.insert(runs[2].astype(np.int64), runs[0][:-1], 0)
    stops = np.insert(runs[1].astype(np.int64), runs[0][1:], cols)
    return _packed(np.repeat(rows, np.diff(runs[0]) + 1), starts, stops, count)


def from_csr(indptr, indices):
    """Return the runs of sorted rows without duplicates."""
    rows = np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))
    indices = indices[: len(rows)].astype(np.int64)
    first = np.ones(len(rows), bool)
    first[1:] = (np.diff(indices) != 1) | (np.diff(rows) != 0)
    last = np.append(first[1:], True)[: len(rows)]
    return _packed(rows[first], indices[first], indices[last] + 1, len(indptr) - 1)


def positions(runs):
    """Return indptr and indices of CSR."""
    offsets, starts, stops = runs
    lengths = (stops - starts).astype(np.int64)
    ends = np.cumsum(lengths)
    total = int(ends[-1]) if ends.size else 0
    indices = np.arange(total) + np.repeat(starts - (ends - lengths), lengths)
    return np.concatenate([[0], ends])[offsets], indices
