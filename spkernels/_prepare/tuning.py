"""Which kernel a prepared product uses: predicted by a model, or measured."""

from __future__ import annotations

import json
import math
import os
import platform
import sys
import zlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .. import _core
from .._inputs.canonical import some_rows
from .._runtime.files import read_bytes, replaced
from .._runtime.locks import Lock
from .._runtime.threads import resolve_workers
from .measurement import Calls, decide, measure
from .probe import CYCLE, WAYS, factor
from .strategies import KERNELS, blas_threads, width_class

if TYPE_CHECKING:
    from ..patterns import Pattern

__all__ = ["Candidate", "Explanation", "load_tuning", "save_tuning"]

#: Seconds that measuring may take: in `prepare`, and in `explain`, which measures all there is.
BUDGET = 0.05
_EXPLAIN_BUDGET = 0.5
#: Seconds of a product on one thread that is measured whole; of others, some rows and columns are.
_PRODUCT_SECONDS = 4e-3
#: Rows that are left of a matrix at least: what packing B costs is shared by them.
_LEAST_ROWS = 512
#: Columns that are left of a product, which has several tiles of them.
_LEAST_COLUMNS = 128
#: Multiply-adds that start a thread (src/driver/parallel.c), and rows of a share at least.
_WORK_PER_THREAD, _LEAST_SHARE = 40000, 64
#: A kernel whose model says that it takes so many times as long as the best is not measured, unless
#: it is plain `spmm`, which costs nothing to make.
_HOPELESS = 3.0
#: The largest dense matrix that is made to see whether it is faster, in bytes.
_MOST_DENSE = 1 << 28
#: The smallest whose memory matters, in bytes.
_SMALL_DENSE = 1 << 16

#: The largest dense operand or result that it is measured with, in elements.
_MOST_ELEMENTS = 1 << 25

#: What was measured in this process, or loaded: key -> name of the fastest kernel.
_known: dict[str, str] = {}
#: Of what was measured in this process: key -> the basis of the verdict.
_basis: dict[str, str] = {}
#: Products that are measured at once would disturb each other.
_measuring = Lock()


# Predictions --------------------------------------------------------------------------------------

#: What products take where 2, 4, 8 or 16 rows share their columns, as a share of what scattered
#: entries take: with a vector, with columns that fill one SIMD vector, and with more.  Of 120
#: products (Zen 5, 2048 x 2048, 90 and 95% sparse, vectors of 2 to 16 rows that are 75 to 95% full,
#: 1 to 256 columns), padding was chosen by it where that lost more than 5% in one, for which a
#: factor was adjusted afterwards.
_SHARING = {"vector": (1.0, 0.7, 0.55, 0.45), "narrow": (1.0, 0.95, 0.75, 0.75),
            "wide": (0.8, 0.65, 0.65, 0.65)}  # fmt: skip
_NARROW_BYTES = 64
#: Cycles of the look for infinity and NaN on one thread: for each row of an operand and each 64
#: bytes of it, and in all.
_LOOKING, _LOOKING_ONCE = 1.5, 6000.0


def _threads(workers):
    return resolve_workers(workers) or _core.get_num_threads()


def _cycles(csr, nnz, n, way):
    rows, cols = csr.shape
    cycles = _core.predict(rows, cols, nnz, csr.dtype == np.float64, n, WAYS[way])
    # It is 0 for sizes that cannot be packed.
    return cycles if cycles > 0 or way == "rows" else math.inf


def _padded_cycles(csr, padding, n, workers):
    size = csr.dtype.itemsize
    width = "vector" if n == 1 else "narrow" if n * size <= _NARROW_BYTES else "wide"
    # Rows go in groups of 2, 4, ...: of those that divide the height, the largest counts.
    together = min(4, (padding.height & -padding.height).bit_length() - 1)
    share = _SHARING[width][together - 1] if together else 1.0
    looking = csr.shape[1] * math.ceil(n * size / 64) * _LOOKING + _LOOKING_ONCE
    return _cycles(csr, padding.nnz, n, "packed") * share + looking * _threads(workers)


def _predictions(csr, n, workers, padding=None):
    """Return kernels and the seconds that a product is said to take (``src/plan/cost.c``).

    Those that have no place are left out: packed where a matrix is too sparse, padded where nothing
    is to be, dense where it would fill the memory with zeros or the BLAS has more threads than are
    allowed.
    """
    rows, cols = csr.shape
    unit = CYCLE / _threads(workers)
    cycles = {way: _cycles(csr, csr.nnz, n, way) for way in ("rows", "packed")}
    if padding is not None:
        cycles["padded"] = _padded_cycles(csr, padding, n, workers)
    if rows * cols * csr.dtype.itemsize <= _MOST_DENSE and _threads(workers) >= blas_threads():
        # Of our threads, as many as the BLAS has.
        share = _threads(workers) / min(_threads(workers), blas_threads())
        cycles["dense"] = _cycles(csr, csr.nnz, n, "dense") * share
    return {name: value * unit for name, value in cycles.items() if math.isfinite(value)}


def _calibrated(csr, n, workers, padding=None):
    """Return the same, corrected by what this machine was measured to take for other products."""
    predicted = _predictions(csr, n, workers, padding)
    with _measuring:
        return {
            name: seconds * factor("packed" if name == "padded" else name, n)
            for name, seconds in predicted.items()
        }


def predict(csr, n, workers, padding=None):
    """Return the name of the kernel that the model says is fastest."""
    predicted = _predictions(csr, n, workers, padding)
    return min(_eligible(csr, predicted), key=predicted.get)


def _eligible(csr, names):
    """Return the names of kernels that keep no more than the dense array has, if that is large.

    Where CSR, with indices of 32 bits, takes more than its zeros written out, others take less.
    """
    size = csr.dtype.itemsize
    dense = csr.shape[0] * csr.shape[1] * size
    rows = csr.nnz * (size + 4) + 4 * (csr.shape[0] + 1)
    large = dense >= _SMALL_DENSE and rows > dense
    return [name for name in names if name != "rows" or not large] or list(names)


def best_padding(csr, paddings, n, workers):
    """Return the one of some ways to pad that the model says is fastest, or None."""
    return min(paddings, key=lambda p: _padded_cycles(csr, p, n, workers), default=None)


# Measuring ----------------------------------------------------------------------------------------


def _sample(csr, n, predicted, workers):
    """Return rows and a number of columns to measure with: all, unless products take too long."""
    serial = max(min(predicted.values()) * _threads(workers), 1e-12)
    columns = min(n, max(_LEAST_COLUMNS, int(n * _PRODUCT_SECONDS / serial)))
    columns = max(1, min(columns, _MOST_ELEMENTS // max(1, *csr.shape)))
    serial *= columns / n
    rows = max(_LEAST_ROWS, int(csr.shape[0] * _PRODUCT_SECONDS / serial))
    return (csr if rows >= csr.shape[0] else some_rows(csr, rows)), columns


def _product(kernel, B, out, workers):
    """Return a call that multiplies as `PreparedMatrix.spmm` would."""
    options = (out, 1.0, 0.0, None, None, None, workers)
    if kernel.operand is None:
        return lambda: kernel.multiply(B, *options)
    return lambda: _core.spmm_fast(kernel.operand, B, *options, False)


def _candidates(kernels, shares, B, out, workers, rows=None, width=None):
    """Return what is to be measured of kernels, by their names.

    `shares`: the same kernels of the rows that one thread has, so many, with so many columns.
    """
    several = _threads(workers) > 1
    B_share, out_share = (B, out[:rows]) if B.ndim == 1 else (B[:, :width], out[:rows, :width])
    calls = {}
    for name, kernel in kernels.items():
        parallel = _product(kernel, B, out, workers) if several else None
        serial = None
        if name != "dense" or not several:
            serial = _product(shares[name], B_share, out_share, 1)
        calls[name] = Calls(serial, parallel, foreign=name == "dense")
    return calls


def _timed(state, n, workers, names, predicted, thorough=False):
    """Return kernels, and a verdict on them with their seconds per product, of all rows."""
    own = state.csr
    csr, columns = _sample(own, n, predicted, workers)
    part, width, parts = _one_share(csr, columns, workers)
    kernels, shares = {}, {}
    for name in names:
        try:
            kernel = state.kernel(name, n) if csr is own else state.make(name, csr, n)
            shares[name] = kernel
            if part is not csr and name != "dense":
                shares[name] = state.make(name, part, n, 1)
            kernels[name] = kernel
        except MemoryError:
            if name == "rows":
                raise
    B = _dense_operand(csr.shape[1], columns if n > 1 else None, csr.dtype)
    out = np.empty((csr.shape[0], *B.shape[1:]), csr.dtype)
    calls = _candidates(kernels, shares, B, out, workers, part.shape[0], width)
    # Kernels count their work in other ways: of the smallest products, some have one thread.
    uneven = csr.nnz * columns < 4 * _WORK_PER_THREAD
    verdict = _verdict(calls, predicted, _eligible(own, kernels), parts, thorough, uneven)
    scale = (state.nnz / csr.nnz if csr.nnz else 1.0) * n / columns
    seconds = {name: value * scale for name, value in verdict.seconds.items()}
    return kernels, replace(verdict, seconds=seconds)


def _one_share(csr, columns, workers):
    """Return the rows and the columns of one thread's share, and how many such shares there are.

    As the drivers deal out tiles of columns, and parts of the rows where threads outnumber these.
    """
    threads = min(_threads(workers), int(csr.nnz * columns / _WORK_PER_THREAD))
    tile = width_class(columns, csr.dtype)
    tiles = -(-columns // tile)
    groups = max(1, min(threads, tiles))
    width = min(columns, -(-tiles // groups) * tile)
    rows = csr.shape[0] // max(1, threads // groups)
    part = some_rows(csr, rows) if _LEAST_SHARE <= rows < csr.shape[0] else csr
    return part, width, csr.nnz / max(1, part.nnz) * columns / width


def _verdict(calls, predicted, eligible, shares, thorough, uneven=False):
    budget = _EXPLAIN_BUDGET if thorough else BUDGET
    with _measuring:
        found = measure(calls, budget=budget, shares=shares, uneven=uneven, thorough=thorough)
    return decide(found, predicted, eligible)


def _has_operands(rows, dtype):
    """Whether NumPy has arrays of so many rows."""
    return rows * dtype.itemsize <= sys.maxsize


def _dense_operand(rows, columns, dtype):
    """Return an operand to measure with, in bounded memory."""
    shape = (rows,) if columns is None else (rows, columns)
    # Of more rows than that, one stands for all: what is measured then lacks cache misses.
    if not _has_operands(rows, dtype):
        raise ValueError(f"nothing to measure: no dense operand of {dtype} has {rows} rows")
    if rows > _MOST_ELEMENTS:
        return np.broadcast_to(np.ones(shape[1:], dtype), shape)
    return np.ones(shape, dtype)


def _settled(state, n, workers):
    """Return the name of the kernel of which nothing is measured, or None.

    Plain `spmm` where nothing is multiplied or no operand exists; else what was chosen before.
    """
    csr = state.csr
    if csr.nnz == 0 or csr.shape[0] == 0 or not _has_operands(csr.shape[1], csr.dtype):
        return "rows"
    known = _known.get(_key(state, n, workers))
    return known if known in _predictions(csr, n, workers, state.padding) else None


def _measured_names(predicted):
    """Return the names of the kernels that are measured; plain `spmm` is always among them."""
    least = min(predicted.values())
    names = [name for name, seconds in predicted.items() if seconds <= _HOPELESS * least]
    return ["rows", *(name for name in names if name != "rows")]


def pack_candidates(state, n, workers):
    """Pack what `choose` will measure whole, but for dense arrays, which take most memory."""
    names = [_settled(state, n, workers)]
    if names == [None]:
        predicted = _calibrated(state.csr, n, workers, state.padding)
        names = _measured_names(predicted)
        if len(names) > 1 and _sample(state.csr, n, predicted, workers)[0] is not state.csr:
            return
    for name in names:
        if name != "dense":
            try:
                state.kernel(name, n)
            except MemoryError:  # said where it is needed, if it is
                return


def choose(state, n, workers):
    """Measure what may be fastest, once per pattern and width; return the best kernel's name."""
    settled = _settled(state, n, workers)
    if settled is not None:
        return settled
    predicted = _calibrated(state.csr, n, workers, state.padding)
    names = _measured_names(predicted)
    if len(names) == 1:
        return "rows"
    _, verdict = _timed(state, n, workers, names, predicted)
    for name in verdict.seconds:
        if name != verdict.best:
            state.drop(name, n)
    key = _key(state, n, workers)
    _known[key], _basis[key] = verdict.best, verdict.basis
    return verdict.best


def _how(state, n, workers, chosen):
    """Say how the kernel in use for `n` columns was chosen."""
    key = _key(state, n, workers)
    if _known.get(key) != chosen:
        return "chosen by the model, without measuring"
    return _CHOSEN[_basis.get(key, "loaded")]


_CHOSEN = {
    "measured": "chosen by measuring",
    "CPU time": "chosen by the CPU time of one thread, as other processes were running",
    "within noise": "not sure: the model chose among kernels that differed by less than the noise",
    "predicted": "chosen by the model, as other processes were running",
    "loaded": "chosen by a measurement that was loaded",
}


# Reports ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Candidate:
    """A kernel that could multiply: times in seconds per product, packing in seconds."""

    name: str
    describes: str
    predicted: float
    measured: float
    packing: float
    nbytes: int
    #: By which share two halves of the measurements differ.
    spread: float = math.nan


@dataclass(frozen=True)
class Explanation:
    """What the `explain` of a prepared matrix found."""

    title: str
    flops: int
    chosen: str
    candidates: tuple[Candidate, ...]
    patterns: tuple[Pattern, ...] = ()
    #: How the times above are known: "measured"; "CPU time" of one thread, where other processes
    #: were running; "within noise" if the fastest differ by less; "predicted" by the model.
    basis: str = "measured"
    #: How the kernel in use was chosen.
    how: str = ""
    #: What slows products down that were made, and what to do about it.
    notes: tuple[str, ...] = ()

    def candidate_of(self, pattern: Pattern) -> Candidate:
        """Return the kernel that makes use of a pattern."""
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


#: What is said of the times of a report.
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


def explain(state, n, workers, chosen, used, patterns):
    """Measure all kernels; keep what was packed for those in `used`."""
    csr = state.csr
    predicted = _calibrated(csr, n, workers, state.padding)
    names = ["rows", *(name for name in predicted if name != "rows")]
    kernels, verdict = _timed(state, n, workers, names, predicted, thorough=True)
    share = csr.nnz / max(1, kernels["rows"].csr.nnz)  # of what was measured, or a sample
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
    """Return what is to be said of products that were made."""
    found = {kernel.promoted for kernel in list(state.kernels.values())} - {None}
    return tuple(
        f"products with operands of other dtypes do not use what was packed: they ran on a CSR in "
        f"{dtype}, which is kept; convert the operand to {state.dtype}, or prepare the matrix in "
        f"{dtype}"
        for dtype in sorted(found, key=str)
    )


def explain_int8(csr, layouts, n, workers, chosen):
    """Measure products of int8 by layouts, and that of `csr`, which has the values in float32.

    `layouts`: what was packed, what it says of itself and the seconds that it took, by name.
    """
    rows, cols = csr.shape
    columns = max(1, min(n, _MOST_ELEMENTS // max(1, rows, cols)))
    shape = (columns,) if n > 1 else ()
    B, sums = np.zeros((cols, *shape), np.uint8), np.empty((rows, *shape), np.int32)
    X, out = np.ones(B.shape, np.float32), np.empty(sums.shape, np.float32)
    plain = KERNELS["rows"](csr, n)
    several = _threads(workers) > 1

    def int8_calls(packed):
        def call(threads):
            return lambda: _core.spmm_int8(
                packed, B, sums, 0, None, None, 0, 1.0, 0, resolve_workers(threads)
            )

        return Calls(call(1), call(workers) if several else None)

    calls = {name: int8_calls(packed) for name, (packed, _, _) in layouts.items()}
    calls |= _candidates({"rows": plain}, {"rows": plain}, X, out, workers)
    # Nothing is predicted: of those within the noise, the one in use is named.
    preferred = {name: float(name != chosen) for name in calls}
    verdict = _verdict(calls, preferred, None, 1, thorough=True)
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
        f"at most {_threads(workers)} threads, {_core.isa()}"
    )


# Memory -------------------------------------------------------------------------------------------


def _key(state, n, workers):
    csr = state.csr
    rows, cols = csr.shape
    pattern = zlib.crc32(csr.indices, zlib.crc32(csr.indptr))
    values = csr.dtype if state.storage is None else state.storage
    key = f"{rows}x{cols} {csr.nnz} {pattern:08x} {values} n={n} threads={_threads(workers)}"
    # With other candidates, another may win.
    return key if state.padding is None else f"{key} rows={state.padding.height}"


def _machine():
    """Return what choices hold for."""
    return {
        "isa": _core.isa(),
        "machine": platform.machine(),
        "cpu": _cpu_name(),
    }


def _cpu_name():
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    wanted = ("vendor_id", "cpu family", "model", "model name")
    values = dict(line.split("\t", 1) for line in lines if "\t" in line)
    return ", ".join(values.get(name, "").strip(": \t") for name in wanted)


def save_tuning(path: str | os.PathLike[str]) -> None:
    """Write what `prepare` has measured in this process to a file, for `load_tuning`.

    Choices that the model made are left out: kernels differed by less than the noise there, or the
    machine was too busy to measure the one that was chosen.

    Parameters
    ----------
    path : str or os.PathLike
        The file, replaced as a whole if it exists.

    Raises
    ------
    OSError
        If it cannot be written; what was there then stays.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import spkernels
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "tuning.json")
    ...     spkernels.save_tuning(path)
    ...     spkernels.load_tuning(path)
    """
    by_model = {
        key for key, basis in list(_basis.items()) if basis in ("within noise", "predicted")
    }
    kernels = {key: name for key, name in list(_known.items()) if key not in by_model}
    text = json.dumps({"format": 1, "machine": _machine(), "kernels": kernels}, indent=1)
    with replaced(path) as file:
        file.write(text.encode())


def load_tuning(path: str | os.PathLike[str]) -> None:
    """Take over what another process measured: `prepare` does not measure it again.

    Parameters
    ----------
    path : str or os.PathLike
        A file of `save_tuning`.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is something else, or was written on another machine.
    """
    try:
        content = json.loads(read_bytes(path))
        machine, kernels = content["machine"], content["kernels"]
        right = content["format"] == 1 and all(name in KERNELS for name in kernels.values())
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        right = False
    if not right:
        raise ValueError(f"{path}: expected a file of save_tuning")
    if machine != _machine():
        raise ValueError(f"{path}: expected tuning of this machine, {_machine()}, found {machine}")
    _known.update(kernels)
    for key in kernels:
        _basis.pop(key, None)
