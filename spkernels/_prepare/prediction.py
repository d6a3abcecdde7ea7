"""What the model of the C library says that kernels take, and which of them it prefers."""

from __future__ import annotations

import math

import numpy as np

from .. import _core
from .._runtime.threads import thread_count
from .calibration import CYCLE, STRATEGIES, factor
from .measurement import exclusive
from .strategies import blas_threads

__all__ = ["best_padding", "calibrated", "eligible", "predict", "predictions"]

#: The largest dense matrix that is made to see whether it is faster, in bytes.
_MAX_DENSE = 1 << 28

#: The smallest whose memory matters, in bytes.
_SMALL_DENSE = 1 << 16

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


def _cycles(csr, nnz, n, strategy):
    rows, cols = csr.shape
    cycles = _core.predict(rows, cols, nnz, csr.dtype == np.float64, n, STRATEGIES[strategy])
    # It is 0 for sizes that cannot be packed.
    return cycles if cycles > 0 or strategy == "rows" else math.inf


def _padded_cycles(csr, padding, n, workers):
    size = csr.dtype.itemsize
    width = "vector" if n == 1 else "narrow" if n * size <= _NARROW_BYTES else "wide"
    # Rows go in groups of 2, 4, ...: of those that divide the height, the largest counts.
    together = min(4, (padding.height & -padding.height).bit_length() - 1)
    share = _SHARING[width][together - 1] if together else 1.0
    looking = csr.shape[1] * math.ceil(n * size / 64) * _LOOKING + _LOOKING_ONCE
    return _cycles(csr, padding.nnz, n, "packed") * share + looking * thread_count(workers)


def predictions(csr, n, workers, padding=None):
    """Return kernels and the seconds that a product is said to take (``src/plan/cost.c``).

    Those that have no place are left out: packed where a matrix is too sparse, padded where nothing
    is to be, dense where it would fill the memory with zeros or the BLAS has more threads than are
    allowed.
    """
    rows, cols = csr.shape
    unit = CYCLE / thread_count(workers)
    cycles = {strategy: _cycles(csr, csr.nnz, n, strategy) for strategy in ("rows", "packed")}
    if padding is not None:
        cycles["padded"] = _padded_cycles(csr, padding, n, workers)
    if rows * cols * csr.dtype.itemsize <= _MAX_DENSE and thread_count(workers) >= blas_threads():
        # Of our threads, as many as the BLAS has.
        share = thread_count(workers) / min(thread_count(workers), blas_threads())
        cycles["dense"] = _cycles(csr, csr.nnz, n, "dense") * share
    return {name: value * unit for name, value in cycles.items() if math.isfinite(value)}


def calibrated(csr, n, workers, padding=None):
    """Return the same, corrected by what this machine was measured to take for other products."""
    predicted = predictions(csr, n, workers, padding)
    with exclusive:
        return {
            name: seconds * factor("packed" if name == "padded" else name, n)
            for name, seconds in predicted.items()
        }


def predict(csr, n, workers, padding=None):
    """Return the name of the kernel that the model says is fastest."""
    predicted = predictions(csr, n, workers, padding)
    return min(eligible(csr, predicted), key=predicted.get)


def eligible(csr, names):
    """Return the names of kernels that keep no more than the dense array has, if that is large.

    Where CSR, with indices of 32 bits, takes more than its zeros written out, others take less.
    """
    size = csr.dtype.itemsize
    dense = csr.shape[0] * csr.shape[1] * size
    rows = csr.nnz * (size + 4) + 4 * (csr.shape[0] + 1)
    large = dense >= _SMALL_DENSE and rows > dense
    return [name for name in names if name != "rows" or not large] or list(names)


def best_padding(csr, paddings, n, workers):
    """Return the one of some paddings that the model says is fastest, or None."""
    return min(paddings, key=lambda p: _padded_cycles(csr, p, n, workers), default=None)
