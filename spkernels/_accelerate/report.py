"""Counting calls, and showing the counts."""

from __future__ import annotations

import contextlib
from collections import Counter, deque
from dataclasses import dataclass
from typing import NamedTuple

__all__ = ["CONTENDED", "TAKEN", "Calls", "Report", "Tally"]

#: The outcome of a call that ran on the kernels; the others say why it did not.
TAKEN = "taken"

#: What is noted, beside the outcome, of a call that contention for CPUs took threads from.
CONTENDED = ("contended",)


class Calls(NamedTuple):
    """Calls of one kind, as `Report` lists them.

    Attributes
    ----------
    format : str
        Of the sparse operand, as the product saw it: ``B @ A`` multiplies by ``A.T``, which is CSC
        for a CSR `A`.
    dtype : str
        Of the operands; both where they differ, the sparse one first.
    operation : {"vector", "matrix"}
        What the sparse operand met; a matrix of one column counts as a vector.
    outcome : str
        "taken", or the reason why scipy multiplied.
    count : int
        How many.
    """

    format: str
    dtype: str
    operation: str
    outcome: str
    count: int  # type: ignore[assignment]  # tuple has a method of that name


@dataclass(frozen=True)
class Report:
    """What `accelerate` took and what it left to scipy; printing it shows a table.

    Attributes
    ----------
    calls : tuple of Calls
        The counts, the largest first.
    contended : int
        How many of the products on the kernels met contention: they ran on fewer threads because
        others were using the CPUs, or waited for a thread that had lost its CPU.  Calls from
        several threads at once may count for each other.
    """

    calls: tuple[Calls, ...] = ()
    contended: int = 0

    @property
    def taken(self) -> int:
        """How many products ran on the kernels."""
        return self.outcomes.get(TAKEN, 0)

    @property
    def left(self) -> int:
        """How many products were left to scipy."""
        return sum(self.outcomes.values()) - self.taken

    @property
    def outcomes(self) -> dict[str, int]:
        """How many products had each outcome: "taken", and the reasons of those left."""
        totals: Counter[str] = Counter()
        for row in self.calls:
            totals[row.outcome] += row.count
        return dict(totals)

    @property
    def notes(self) -> tuple[str, ...]:
        """What slows products down that ran on the kernels, and what to do about it."""
        taken = {row.dtype for row in self.calls if row.outcome == TAKEN}
        mixed = sorted(dtype for dtype in taken if " x " in dtype)
        return tuple(
            f"{dtype}: each product converts an operand; one dtype for both is faster"
            for dtype in mixed
        )

    def __str__(self):
        """Lay the counts out as a table."""
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

    A call is noted in a deque, whose append is atomic: a lock would cost a tenth of a small
    product.  The notes are counted when there are many, and when somebody wants to know.  Where it
    met contention, a note of its own says so.
    """

    #: Whoever appends to `notes` has them counted from so many on.
    MAX_NOTES = 4096

    def __init__(self, lock):
        self._lock = lock
        self.notes = deque()
        self._counts = Counter()

    def read(self, reset):
        """Return the counts as a `Report`, and forget them if asked to."""
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
        """Count the calls that were noted by now."""
        with self._lock, contextlib.suppress(IndexError):
            while True:
                self._counts[self.notes.popleft()] += 1
