"""The counts of calls, and the report that shows them."""

from __future__ import annotations

import contextlib
from collections import Counter, deque
from dataclasses import dataclass
from typing import NamedTuple

__all__ = ["CONTENDED", "TAKEN", "Calls", "Report", "Tally"]

#: The outcome of a call that ran on the kernels; all other outcomes are reasons why it did not.
TAKEN = "taken"

#: The additional note for a call that had fewer threads because of contention for CPUs.
CONTENDED = ("contended",)


class Calls(NamedTuple):
    """Calls of one kind, as `Report` lists them.

    Attributes
    ----------
    format : str
        The format of the sparse operand of scipy's product.  ``B @ A`` multiplies by ``A.T``, which
        is CSC for a CSR `A`.
    dtype : str
        The dtype of the operands; if they differ, both dtypes, that of the sparse operand first.
    operation : {"vector", "matrix"}
        The kind of the dense operand; a matrix of one column counts as a vector.
    outcome : str
        "taken", or the reason why scipy multiplied.
    count : int
        The number of calls.
    """

    format: str
    dtype: str
    operation: str
    outcome: str
    count: int  # type: ignore[assignment]  # tuple has a method of that name


@dataclass(frozen=True)
class Report:
    """The products that `accelerate` took and those that it left to scipy; ``str`` makes a table.

    Attributes
    ----------
    calls : tuple of Calls
        The counts, the largest first.
    contended : int
        The number of products on the kernels that met contention: they ran on fewer threads because
        other programs were using the CPUs, or waited for a thread that had lost its CPU.  Calls
        from several threads at once may count for each other.
    """

    calls: tuple[Calls, ...] = ()
    contended: int = 0

    @property
    def taken(self) -> int:
        """The number of products that ran on the kernels."""
        return self.outcomes.get(TAKEN, 0)

    @property
    def left(self) -> int:
        """The number of products that were left to scipy."""
        return sum(self.outcomes.values()) - self.taken

    @property
    def outcomes(self) -> dict[str, int]:
        """The number of products by outcome: "taken", or the reason why scipy multiplied."""
        totals: Counter[str] = Counter()
        for row in self.calls:
            totals[row.outcome] += row.count
        return dict(totals)

    @property
    def notes(self) -> tuple[str, ...]:
        """The causes that slowed down products on the kernels, and their remedies."""
        taken = {row.dtype for row in self.calls if row.outcome == TAKEN}
        mixed = sorted(dtype for dtype in taken if " x " in dtype)
        return tuple(
            f"{dtype}: each product converts an operand; one dtype for both is faster"
            for dtype in mixed
        )

    def __str__(self):
        """Return the counts as a table."""
        rows = [Calls._fields, *((*row[:-1], str(row.count)) for row in self.calls)]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [
            "  ".join([*map(str.ljust, row[:-1], widths), row[-1].rjust(widths[-1])])
            for row in rows
        ]
        if self.contended:
            lines.append(f"met contention for CPUs: {self.contended}")
        lines.extend(f"note: {note}" for note in self.notes)
        return "\n".join([f"taken {self.taken}, left to scipy {self.left}", *lines])


class Tally:
    """Counts of (format, dtype, dtype, operation, outcome).

    A call appends a note to a deque, which is atomic; a lock would take a tenth of the time of a
    small product.  A call that met contention appends another note.  The notes are counted when
    there are many, and before a report.
    """

    #: Calls that append to `notes` call `count_notes` from this number of notes on.
    MAX_NOTES = 4096

    def __init__(self, lock):
        self._lock = lock
        self.notes = deque()
        self._counts = Counter()

    def read(self, reset):
        """Return the counts as a `Report`, and set them to zero with `reset`."""
        with self._lock:
            self.count_notes()
            counts = self._counts.copy()
            if reset:
                self._counts.clear()
        contended = counts.pop(CONTENDED, 0)
        rows = [
            Calls(
                format,
                str(left) if left == right else f"{left} x {right}",
                operation,
                outcome,
                count,
            )
            for (format, left, right, operation, outcome), count in counts.items()
        ]
        return Report(tuple(sorted(rows, key=lambda row: (-row.count, row[:-1]))), contended)

    def count_notes(self):
        """Move all notes to the counts."""
        with self._lock, contextlib.suppress(IndexError):
            while True:
                self._counts[self.notes.popleft()] += 1
