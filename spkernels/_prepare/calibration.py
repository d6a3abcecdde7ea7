"""Factors that correct the model's predictions for this machine, measured once per process."""

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

#: The seconds of a cycle before any measurement: a rough guess is enough, as only ratios matter.
CYCLE = 0.3e-9

#: The numbers of the strategies in `_core.predict`.
STRATEGIES = {"rows": 0, "packed": 1, "dense": 2, "bitmap": 3}

#: The product that is measured: a layer of this shape and density, times these numbers of columns.
_SHAPE, _DENSITY, _WIDTHS = (512, 512), 0.2, (1, 64)
#: The factor of one column holds for fewer columns than this, and the other one for more.
_NARROW = 8
#: The seconds for the measurement of each number of columns.
_BUDGET = 0.01
#: Factors outside of these limits come from a disturbance, not from the machine.
_MIN, _MAX = 0.25, 16.0

_lock = Lock()


def factor(name, n):
    """Return the measured time of a strategy divided by its prediction, relative to plain `spmm`.

    The first call in a process measures; the dense product uses the threads of the BLAS.  The
    factor is 1 if the machine was too busy to measure.
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
        # The BLAS always uses all of its threads.
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
