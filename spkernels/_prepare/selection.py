"""The choice of a strategy: it is predicted, or measured if predictions are close, and cached."""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np

from .. import _core
from .._inputs.canonical import some_rows
from .._runtime.threads import thread_count
from . import cache
from .measurement import Calls, decide, exclusive, measure
from .prediction import calibrated, eligible, predictions
from .strategies import width_class

__all__ = ["MAX_ELEMENTS", "candidates_of", "choose", "pack_candidates", "timed", "verdict_on"]

#: The seconds that measuring may take: in `prepare`, and in `explain`, which measures all.
BUDGET = 0.05
_EXPLAIN_BUDGET = 0.5

#: The longest product that is measured as a whole, in seconds on one thread.  Of longer products,
#: some rows and columns are measured.
_PRODUCT_SECONDS = 4e-3

#: The smallest number of rows of a sample, which share the cost of packing B.
_MIN_ROWS = 512

#: The smallest number of columns of a sample, which are several tiles.
_MIN_COLUMNS = 128

#: The number of multiply-adds per thread (src/threads/parallel.c), and the smallest number of rows
#: of a thread's share.
_WORK_PER_THREAD, _MIN_SHARE = 40000, 64

#: A strategy is not measured if its predicted time is above this multiple of the best one.  Plain
#: `spmm`, which needs no packing, is always measured.
_HOPELESS = 3.0

#: The largest dense operand or result of a measurement, in elements.
MAX_ELEMENTS = 1 << 25


def _sample(csr, n, predicted, workers):
    """Return the matrix or some of its rows, and a number of columns, for a short measurement."""
    serial = max(min(predicted.values()) * thread_count(workers), 1e-12)
    columns = min(n, max(_MIN_COLUMNS, int(n * _PRODUCT_SECONDS / serial)))
    columns = max(1, min(columns, MAX_ELEMENTS // max(1, *csr.shape)))
    serial *= columns / n
    rows = max(_MIN_ROWS, int(csr.shape[0] * _PRODUCT_SECONDS / serial))
    return (csr if rows >= csr.shape[0] else some_rows(csr, rows)), columns


def _product(kernel, B, out, workers):
    """Return a function that multiplies as `PreparedMatrix.spmm` does."""
    options = (out, 1.0, 0.0, None, None, None, workers)
    if kernel.operand is None:
        return lambda: kernel.multiply(B, *options)
    return lambda: _core.spmm_fast(kernel.operand, B, *options, False)


def candidates_of(kernels, shares, B, out, workers, rows=None, width=None):
    """Return the `Calls` that measure kernels, by their names.

    `shares` are the same kernels for one thread's share, which has `rows` rows and `width` columns.
    """
    several = thread_count(workers) > 1
    B_share, out_share = (B, out[:rows]) if B.ndim == 1 else (B[:, :width], out[:rows, :width])
    calls = {}
    for name, kernel in kernels.items():
        parallel = _product(kernel, B, out, workers) if several else None
        serial = None
        if name != "dense" or not several:
            serial = _product(shares[name], B_share, out_share, 1)
        calls[name] = Calls(serial, parallel, foreign=name == "dense")
    return calls


def timed(state, n, workers, names, predicted, thorough=False):
    """Return kernels and the verdict on them; its seconds are those of products with all rows."""
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
    calls = candidates_of(kernels, shares, B, out, workers, part.shape[0], width)
    # Kernels count their work differently, so of small products some use one thread only.
    uneven = csr.nnz * columns < 4 * _WORK_PER_THREAD
    verdict = verdict_on(calls, predicted, eligible(own, kernels), parts, thorough, uneven)
    scale = (state.nnz / csr.nnz if csr.nnz else 1.0) * n / columns
    seconds = {name: value * scale for name, value in verdict.seconds.items()}
    return kernels, replace(verdict, seconds=seconds)


def _one_share(csr, columns, workers):
    """Return the rows and the number of columns of one thread's share, and the number of shares.

    Shares are those of the drivers: tiles of columns, and parts of the rows if there are more
    threads than tiles.
    """
    threads = min(thread_count(workers), int(csr.nnz * columns / _WORK_PER_THREAD))
    tile = width_class(columns, csr.dtype)
    tiles = -(-columns // tile)
    groups = max(1, min(threads, tiles))
    width = min(columns, -(-tiles // groups) * tile)
    rows = csr.shape[0] // max(1, threads // groups)
    part = some_rows(csr, rows) if _MIN_SHARE <= rows < csr.shape[0] else csr
    return part, width, csr.nnz / max(1, part.nnz) * columns / width


def verdict_on(calls, predicted, eligible, shares, thorough, uneven=False):
    budget = _EXPLAIN_BUDGET if thorough else BUDGET
    with exclusive:
        found = measure(calls, budget=budget, shares=shares, uneven=uneven, thorough=thorough)
    return decide(found, predicted, eligible)


def _has_operands(rows, dtype):
    """Return whether NumPy can make an array of this number of rows."""
    return rows * dtype.itemsize <= sys.maxsize


def _dense_operand(rows, columns, dtype):
    """Return a dense operand for a measurement, in bounded memory."""
    shape = (rows,) if columns is None else (rows, columns)
    # If there are more rows, one row stands for all; the measurement then lacks cache misses.
    if not _has_operands(rows, dtype):
        raise ValueError(f"nothing to measure: no dense operand of {dtype} has {rows} rows")
    if rows > MAX_ELEMENTS:
        return np.broadcast_to(np.ones(shape[1:], dtype), shape)
    return np.ones(shape, dtype)


def _settled(state, n, workers):
    """Return the name of the strategy if it needs no measurement, or None.

    It is plain `spmm` for matrices without entries or without possible operands, and else the
    strategy of an earlier measurement.
    """
    csr = state.csr
    if csr.nnz == 0 or csr.shape[0] == 0 or not _has_operands(csr.shape[1], csr.dtype):
        return "rows"
    found = cache.known.get(cache.key_of(state, n, workers))
    return found if found in predictions(csr, n, workers, state.padding, state.storage) else None


def _measured_names(predicted):
    """Return the names of the strategies to measure; plain `spmm` is always among them."""
    least = min(predicted.values())
    names = [name for name, seconds in predicted.items() if seconds <= _HOPELESS * least]
    return ["rows", *(name for name in names if name != "rows")]


def pack_candidates(state, n, workers):
    """Pack the strategies that `choose` will measure as a whole.

    Dense arrays are left out, as they take the most memory.
    """
    names = [_settled(state, n, workers)]
    if names == [None]:
        predicted = calibrated(state.csr, n, workers, state.padding, state.storage)
        names = _measured_names(predicted)
        if len(names) > 1 and _sample(state.csr, n, predicted, workers)[0] is not state.csr:
            return
    for name in names:
        if name != "dense":
            try:
                state.kernel(name, n)
            except MemoryError:  # `choose` raises it again if the strategy is needed
                return


def choose(state, n, workers):
    """Return the name of the fastest strategy, which is measured once per structure and width."""
    settled = _settled(state, n, workers)
    if settled is not None:
        return settled
    predicted = calibrated(state.csr, n, workers, state.padding, state.storage)
    names = _measured_names(predicted)
    if len(names) == 1:
        return "rows"
    _, verdict = timed(state, n, workers, names, predicted)
    for name in verdict.seconds:
        if name != verdict.best:
            state.drop(name, n)
    key = cache.key_of(state, n, workers)
    cache.known[key], cache.basis[key] = verdict.best, verdict.basis
    return verdict.best
