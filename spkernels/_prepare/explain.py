"""The reports of `explain`: the time of every strategy, and the reason for the one in use."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .. import _core
from .._runtime.threads import resolve_workers, thread_count
from . import cache, selection
from .measurement import Calls
from .prediction import calibrated
from .strategies import KERNELS

if TYPE_CHECKING:
    from ..patterns import Pattern

__all__ = ["Candidate", "Explanation", "explain_int8", "explain_matrix"]


def _how(state, n, workers, chosen):
    """Return the words for how the strategy for `n` columns was chosen."""
    key = cache.key_of(state, n, workers)
    if cache.known.get(key) != chosen:
        return "chosen by the model, without measuring"
    return _CHOSEN[cache.basis.get(key, "loaded")]


_CHOSEN = {
    "measured": "chosen by measuring",
    "CPU time": "chosen by the CPU time of one thread, as other processes were running",
    "within noise": "not sure: the model chose among kernels that differed by less than the noise",
    "predicted": "chosen by the model, as other processes were running",
    "loaded": "chosen by a measurement that was loaded",
}


@dataclass(frozen=True)
class Candidate:
    """A strategy that could multiply.

    Attributes
    ----------
    name : str
        The name of the strategy.
    describes : str
        A description of its layout.
    predicted, measured : float
        The time of a product in seconds, by the model and by measurement; NaN if there is none.
    packing : float
        The time of packing in seconds.
    nbytes : int
        The memory of the packed data in bytes.
    spread : float
        The relative difference of two halves of the measurements.
    """

    name: str
    describes: str
    predicted: float
    measured: float
    packing: float
    nbytes: int
    spread: float = math.nan


@dataclass(frozen=True)
class Explanation:
    """The report of a prepared matrix's `explain`; ``str`` makes a table of it.

    Attributes
    ----------
    title : str
        The matrix, the number of columns and the threads.
    flops : int
        The number of useful operations of a product.
    chosen : str
        The name of the strategy in use.
    candidates : tuple of Candidate
        All strategies, with their times.
    patterns : tuple of spkernels.patterns.Pattern
        The patterns of the matrix.
    basis : str
        The basis of the times: "measured"; "CPU time" of one thread, if other processes were
        running; "within noise" if the fastest differ by less; "predicted" by the model.
    how : str
        The words for how the strategy in use was chosen.
    notes : tuple of str
        Causes that slowed products down, and remedies.
    """

    title: str
    flops: int
    chosen: str
    candidates: tuple[Candidate, ...]
    patterns: tuple[Pattern, ...] = ()
    basis: str = "measured"
    how: str = ""
    notes: tuple[str, ...] = ()

    def candidate_of(self, pattern: Pattern) -> Candidate:
        """Return the candidate that uses a pattern."""
        found = {candidate.name: candidate for candidate in self.candidates}
        gaps = pattern.kind == "block" and pattern.size[0] > 1 and pattern.fill < 1
        name = "padded" if gaps and "padded" in found else "packed"
        return found.get(name, found["rows"])

    def __str__(self):
        heads = ("predicted", "measured", "spread", "GFLOP/s", "packing")
        widths = (10, 10, 7, 8, 10)
        titles = " ".join(f"{h:>{w}}" for h, w in zip(heads, widths, strict=True))
        lines = [self.title, f"{'kernel':8} {titles}  pays"]
        plain = next(c.measured for c in self.candidates if c.name == "rows")
        for c in sorted(self.candidates, key=lambda c: c.measured):
            gain = plain - c.measured
            pays = f"after {math.ceil(c.packing / gain)} products" if gain > 0 else "never"
            if c.packing == 0:
                pays = "at once"
            mark = "*" if c.name == self.chosen else " "
            lines.append(
                f"{mark}{c.name:7} {_time(c.predicted):>10} {_time(c.measured):>10} "
                f"{_share(c.spread):>7} {self.flops / c.measured / 1e9:8.1f} "
                f"{_time(c.packing):>10}  {pays}"
            )
        best = min(self.candidates, key=lambda c: c.measured)
        used = next(c for c in self.candidates if c.name == self.chosen)
        lines.append(f"* in use: {used.describes}")
        if self.how:
            lines.append(f"  {self.how}")
        lines.append(f"  {_BASES[self.basis]}")
        if best.name != self.chosen:
            share = 100 * (used.measured / best.measured - 1)
            lines.append(f"  {best.name} was {share:.0f}% faster this time")
        for pattern in self.patterns:
            c = self.candidate_of(pattern)
            cost = f"{c.name}, predicted {_time(c.predicted)}, measured {_time(c.measured)}"
            lines.append(f"pattern {pattern}: {cost}")
        lines.extend(f"note: {note}" for note in self.notes)
        return "\n".join(lines)


#: The words for the basis of a report's times.
_BASES = {
    "measured": "sure: measured on all threads, which nothing disturbed",
    "CPU time": "less sure: other processes were running, so that it is the CPU time of one thread "
    "that was compared",
    "within noise": "not sure: the fastest differ by less than the noise",
    "predicted": "not sure: other processes were running, so that the model was asked",
}


def _share(spread):
    return f"{100 * spread:.1f}%" if math.isfinite(spread) else "-"


def _time(seconds):
    if math.isnan(seconds):
        return "-"
    for unit, name in ((1.0, "s"), (1e-3, "ms")):
        if seconds >= unit:
            return f"{seconds / unit:.3g} {name}"
    return f"{seconds * 1e6:.3g} us"


def explain_matrix(state, n, workers, chosen, used, patterns):
    """Return the report on all strategies; only those in `used` keep their packed data."""
    csr = state.csr
    predicted = calibrated(csr, n, workers, state.padding, state.storage)
    names = ["rows", *(name for name in predicted if name != "rows")]
    kernels, verdict = selection.timed(state, n, workers, names, predicted, thorough=True)
    share = csr.nnz / max(1, kernels["rows"].csr.nnz)  # above 1 if a sample of rows was measured
    candidates = tuple(
        Candidate(
            name, kernel.describe(), predicted[name], verdict.seconds[name],
            kernel.packing_seconds * share, int(kernel.nbytes * share), verdict.spread[name],
        )
        for name, kernel in kernels.items()
    )  # fmt: skip
    title = _title(csr, csr.dtype, n, workers)
    how = _how(state, n, workers, chosen)
    notes = _notes(state)
    for name in kernels.keys() - used:
        state.drop(name, n)
    return Explanation(
        title, 2 * csr.nnz * n, chosen, candidates, patterns, verdict.basis, how, notes
    )


def _notes(state):
    """Return notes on earlier products that could not use the packed data."""
    found = {kernel.promoted for kernel in list(state.kernels.values())} - {None}
    return tuple(
        f"products with operands of other dtypes do not use what was packed: they ran on a CSR in "
        f"{dtype}, which is kept; convert the operand to {state.dtype}, or prepare the matrix in "
        f"{dtype}"
        for dtype in sorted(found, key=str)
    )


def explain_int8(csr, layouts, n, workers, chosen):
    """Return the report on products of int8 by layouts, and on that of `csr` in float32.

    `layouts` has, by name, the packed data, their description and the seconds of packing.
    """
    rows, cols = csr.shape
    columns = max(1, min(n, selection.MAX_ELEMENTS // max(1, rows, cols)))
    shape = (columns,) if n > 1 else ()
    B, sums = np.zeros((cols, *shape), np.uint8), np.empty((rows, *shape), np.int32)
    X, out = np.ones(B.shape, np.float32), np.empty(sums.shape, np.float32)
    plain = KERNELS["rows"](csr, n)
    several = thread_count(workers) > 1

    def int8_calls(packed):
        def call(threads):
            return lambda: _core.spmm_int8(
                packed, B, sums, 0, None, None, 0, 1.0, 0, resolve_workers(threads)
            )

        return Calls(call(1), call(workers) if several else None)

    calls = {name: int8_calls(packed) for name, (packed, _, _) in layouts.items()}
    calls |= selection.candidates_of({"rows": plain}, {"rows": plain}, X, out, workers)
    # There are no predictions.  Among layouts within the noise, the one in use is preferred.
    preferred = {name: float(name != chosen) for name in calls}
    verdict = selection.verdict_on(calls, preferred, None, 1, thorough=True)
    seconds, scale = verdict.seconds, n / columns
    candidates = [
        Candidate(
            name, describes, math.nan, seconds[name] * scale, packing, packed.nbytes,
            verdict.spread[name],
        )
        for name, (packed, describes, packing) in layouts.items()
    ]  # fmt: skip
    described = f"{plain.describe()}, float32"
    candidates.append(
        Candidate(
            "rows", described, math.nan, seconds["rows"] * scale, 0.0, 0, verdict.spread["rows"]
        )
    )
    title = _title(csr, np.dtype(np.int8), n, workers)
    how = "chosen by the number of columns alone"
    return Explanation(title, 2 * csr.nnz * n, chosen, tuple(candidates), (), verdict.basis, how)


def _title(csr, dtype, n, workers):
    rows, cols = csr.shape
    sparsity = 1 - csr.nnz / max(1, rows * cols)
    return (
        f"{rows} x {cols}, {csr.nnz} stored ({100 * sparsity:.4g}% sparse), {dtype}, n = {n}, "
        f"at most {thread_count(workers)} threads, {_core.isa()}"
    )
