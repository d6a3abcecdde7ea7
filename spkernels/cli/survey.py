"""The measurement of many matrices, which goes on after bad files and a lack of memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from .measure import Budget, Cell, in_precision, measure
from .progress import Progress
from .sources import Source


@dataclass
class Survey:
    """The measured cells, the skipped matrices with reasons, and whether Ctrl-C ended the run."""

    cells: list[Cell] = field(default_factory=list)
    skipped: list[dict[str, str]] = field(default_factory=list)
    interrupted: bool = False


def survey(
    found: Sequence[Source],
    columns: Sequence[int],
    dtype: np.dtype,
    budget: Budget,
    show: Callable[[Progress, Cell], None],
) -> Survey:
    """Measure each matrix with each number of columns, and show each cell as soon as it is done."""
    result = Survey()
    with Progress(len(found) * len(columns)) as progress:
        try:
            for source in found:
                _measure_source(source, columns, dtype, budget, show, progress, result)
        except KeyboardInterrupt:
            result.interrupted = True
            progress.warn("\ninterrupted: what follows covers what was measured until now")
    return result


def _measure_source(source, columns, dtype, budget, show, progress, result) -> None:
    progress.describe(source.name[-40:])
    left = len(columns)
    try:
        A = in_precision(source.load(), dtype)
        for n in columns:
            cell = measure(source.name, A, n, budget)
            result.cells.append(cell)
            show(progress, cell)
            progress.step()
            left -= 1
    except BrokenPipeError:
        raise  # stdout is closed; the matrix is not at fault
    except (ValueError, OSError, MemoryError) as error:
        reason = str(error).removeprefix(f"{source.path}: ") or "not enough memory"
        if "key=" in reason:
            reason += f" (write {source.name}#KEY)"
        result.skipped.append({"name": source.name, "reason": reason})
        progress.warn(f"skipped {source.name}: {reason}")
        progress.step(left)
