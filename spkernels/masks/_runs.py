"""Column runs of consecutive rows, and the set operations on them.

Column runs are a tuple of three arrays: `offsets` (int64, shape (rows + 1,)), `starts` and `stops`
(int32, shape (runs,)).  The runs of row i are ``[starts[k], stops[k])`` for each k with
``offsets[i] <= k < offsets[i + 1]``.  In a row they ascend and do not overlap.
"""

from __future__ import annotations

import numpy as np

from .._inputs.sparse import MAX_PATTERN_COLUMNS

__all__ = ["MAX_COLS", "at_least", "complement", "from_csr", "one_per_row", "positions"]

#: The largest number of columns of a mask, as runs hold columns in 32 bits.
MAX_COLS = MAX_PATTERN_COLUMNS


def _packed(rows, starts, stops, count):
    """Return the column runs of `count` rows without the empty runs; `rows` must ascend."""
    real = starts < stops
    rows, starts, stops = rows[real], starts[real], stops[real]
    offsets = np.zeros(count + 1, np.int64)
    np.cumsum(np.bincount(rows, minlength=count), out=offsets[1:])
    return offsets, starts.astype(np.int32), stops.astype(np.int32)


def one_per_row(starts, stops):
    """Return the column runs of rows of one run each; a row has none where starts >= stops."""
    return _packed(np.arange(len(starts)), starts, stops, len(starts))


def _rows_of(runs):
    return np.repeat(np.arange(len(runs[0]) - 1), np.diff(runs[0]))


def at_least(depth, parts, cols):
    """Return the columns that at least `depth` of the masks have: 1 for ``|``, all for ``&``.

    `parts` holds the column runs of each mask, of the same rows and of `cols` columns.  Time is
    that of sorting the starts and stops of all runs.
    """
    count = len(parts[0][0]) - 1
    rows = np.concatenate([_rows_of(part) for part in parts])
    # Starts are even and stops odd, so that a start sorts before a stop in the same column, and
    # runs that touch become one run.
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
    """Return the column runs of all columns below `cols` that `runs` leave out."""
    count = len(runs[0]) - 1
    rows = np.arange(count)
    # A gap reaches from column 0 or the stop of a run to the start of the next run or to `cols`.
    starts = np.insert(runs[2].astype(np.int64), runs[0][:-1], 0)
    stops = np.insert(runs[1].astype(np.int64), runs[0][1:], cols)
    return _packed(np.repeat(rows, np.diff(runs[0]) + 1), starts, stops, count)


def from_csr(indptr, indices):
    """Return the column runs of a canonical CSR structure."""
    rows = np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))
    indices = indices[: len(rows)].astype(np.int64)
    first = np.ones(len(rows), bool)
    first[1:] = (np.diff(indices) != 1) | (np.diff(rows) != 0)
    last = np.append(first[1:], True)[: len(rows)]
    return _packed(rows[first], indices[first], indices[last] + 1, len(indptr) - 1)


def positions(runs):
    """Return the arrays `indptr` and `indices` of the canonical CSR structure of column runs."""
    offsets, starts, stops = runs
    lengths = (stops - starts).astype(np.int64)
    ends = np.cumsum(lengths)
    total = int(ends[-1]) if ends.size else 0
    indices = np.arange(total) + np.repeat(starts - (ends - lengths), lengths)
    return np.concatenate([[0], ends])[offsets], indices
