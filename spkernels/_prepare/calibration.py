"""What this machine takes for products, against what the model says: measured once per process."""

from __future__ import annotations

import functools
import math

import numpy as np

from .. import _core
from .._inputs.canonical import known_canonical
from .._runtime.locks import Lock
from .measurement import Calls, measure
from .strategies import KERNELS, blas_threads

__all__ = ["CYCLE", "STRATEGIES", "factor"]

#: Seconds of a cycle, before anything is measured: a rough guess, as only ratios decide then.
CYCLE = 0.3e-9

#: How `_core.predict` numbers the kernels.
STRATEGIES = {"rows": 0, "packed": 1, "dense": 2}

#: A layer of that shape, of which that share is stored, times so many columns.
_SHAPE, _DENSITY, _WIDTHS = (512, 512), 0.2, (1, 64)
#: What is measured for so many columns stands for up to that many times as many.
_NARROW = 8
#: Seconds for each width.
_BUDGET = 0.01
#: Factors beyond these are no news of the machine but of what disturbed it.
_MIN, _MAX = 0.25, 16.0

_lock = Lock()


def factor(name, n):
    """Return what a kernel takes by what the model says, relative to plain `spmm`.

    Measured at the first call in a process, for the dense product with the threads of the BLAS;
    1 of what could not be measured, as the machine was busy.
    """
    with _lock:
        found = _factors()
    return found.get((name, n < _NARROW), 1.0)


@functools.cache
def _factors():
    found = {}
    csr = _layer()
    for n in _WIDTHS:
        kernels = {name: KERNELS[name](csr, n, workers=1) for name in ("rows", "packed", "dense")}
        B = np.ones((csr.shape[1], n) if n > 1 else csr.shape[1], csr.dtype)
        out = np.empty((csr.shape[0], *B.shape[1:]), csr.dtype)
        calls = {name: _calls(kernel, B, out) for name, kernel in kernels.items()}
        dense = calls.pop("dense")
        own = measure(calls, budget=_BUDGET, thorough=True)
        measured = dict(own.timings)
        if not own.crowded:
            measured |= measure({"dense": dense}, budget=_BUDGET, thorough=True).timings
        seconds = {}
        for name, timing in measured.items():
            cycles = _core.predict(*csr.shape, csr.nnz, False, n, STRATEGIES[name])
            if timing.serial:
                seconds[name] = min(timing.serial) / cycles
            elif timing.is_believable(1):
                seconds[name] = min(timing.clean) * blas_threads() / cycles
        for name, value in seconds.items():
            share = value / seconds["rows"]
            if math.isfinite(share):
                found[name, n < _NARROW] = min(_MAX, max(_MIN, share))
    return found


def _calls(kernel, B, out):
    def call(workers):
        return lambda: kernel.multiply(B, out, 1.0, 0.0, None, None, None, workers)

    if kernel.name == "dense":
        # Not with fewer threads than the BLAS has.
        product = functools.partial(np.matmul, kernel.dense, B, out)
        return Calls(None, product, foreign=True)
    return Calls(call(1), None)


def _layer():
    rng = np.random.default_rng(0)
    kept = rng.random(_SHAPE) < _DENSITY
    offsets = np.zeros(_SHAPE[0] + 1, np.int32)
    np.cumsum(kept.sum(axis=1), out=offsets[1:])
    indices = np.nonzero(kept)[1].astype(np.int32)
    return known_canonical(np.ones(indices.size, np.float32), indices, offsets, _SHAPE)
