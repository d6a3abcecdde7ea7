"""Predicted times of strategies, by the model of the C library, and the choice by them."""

from __future__ import annotations

import math

import numpy as np

from .. import _core
from .._runtime.threads import thread_count
from .calibration import CYCLE, STRATEGIES, factor
from .measurement import exclusive
from .storage import PLAIN
from .strategies import blas_threads

__all__ = ["best_padding", "calibrated", "eligible", "predict", "predictions"]

#: The largest dense matrix that the strategy "dense" makes, in bytes.
_MAX_DENSE = 1 << 28

#: The smallest dense matrix whose memory matters for the choice, in bytes.
_SMALL_DENSE = 1 << 16

#: The time of a product whose rows share columns in groups of 2, 4, 8 or 16, relative to the time
#: with scattered entries: for a vector, for columns that fill at most one SIMD vector, and for
#: more.  Of 120 products (Zen 5, 2048 x 2048, 90 and 95% sparse, vectors of 2 to 16 rows that are
#: 75 to 95% full, 1 to 256 columns), these factors chose padding in one that it slowed down by more
#: than 5%; a factor was adjusted for it afterwards.
_SHARING = {"vector": (1.0, 0.7, 0.55, 0.45), "narrow": (1.0, 0.95, 0.75, 0.75),
            "wide": (0.8, 0.65, 0.65, 0.65)}  # fmt: skip
_NARROW_BYTES = 64

#: The most columns that a bitmap multiplies while it has expanded its values.
_BITMAP_COLUMNS = 4

#: Cycles of the search for infinity and NaN on one thread: for each 64 bytes of each row of an
#: operand, and once per product.
_LOOKING, _LOOKING_ONCE = 1.5, 6000.0


def _cycles(csr, nnz, n, strategy):
    rows, cols = csr.shape
    cycles = _core.predict(rows, cols, nnz, csr.dtype == np.float64, n, STRATEGIES[strategy])
    # The prediction is 0 for sizes that cannot be packed.
    return cycles if cycles > 0 or strategy == "rows" else math.inf


def _padded_cycles(csr, padding, n, workers):
    size = csr.dtype.itemsize
    width = "vector" if n == 1 else "narrow" if n * size <= _NARROW_BYTES else "wide"
    # The largest power of two that divides the height is the number of rows that share columns.
    together = min(4, (padding.height & -padding.height).bit_length() - 1)
    share = _SHARING[width][together - 1] if together else 1.0
    looking = csr.shape[1] * math.ceil(n * size / 64) * _LOOKING + _LOOKING_ONCE
    return _cycles(csr, padding.nnz, n, "packed") * share + looking * thread_count(workers)


def predictions(csr, n, workers, padding=None, storage=PLAIN):
    """Return the predicted seconds of a product by strategy (``src/plan/cost.c``).

    Strategies that do not apply are left out: "packed" if the matrix is too sparse, "padded"
    without padding, "bitmap" without a storage of fewer bits, those that hold integers as float32
    for few columns, and "dense" if the dense matrix is too large or the BLAS has more threads than
    `workers` allows.
    """
    rows, cols = csr.shape
    unit = CYCLE / thread_count(workers)
    cycles = {strategy: _cycles(csr, csr.nnz, n, strategy) for strategy in ("rows", "packed")}
    if storage.name is not None:
        cycles["bitmap"] = _cycles(csr, csr.nnz, n, "bitmap")
        # Who asks for integers asks for few bytes, which only bitmaps and some slices have.
        if storage.steps is not None and n <= _BITMAP_COLUMNS and math.isfinite(cycles["bitmap"]):
            names = ["rows", "bitmap"]
            if n == 1 and storage.in_slices and math.isfinite(cycles["packed"]):
                names.append("packed")
            return {name: cycles[name] * unit for name in names}
    if padding is not None:
        cycles["padded"] = _padded_cycles(csr, padding, n, workers)
    if rows * cols * csr.dtype.itemsize <= _MAX_DENSE and thread_count(workers) >= blas_threads():
        # The unit assumes all of our threads; the BLAS may have fewer.
        share = thread_count(workers) / min(thread_count(workers), blas_threads())
        cycles["dense"] = _cycles(csr, csr.nnz, n, "dense") * share
    return {name: value * unit for name, value in cycles.items() if math.isfinite(value)}


def calibrated(csr, n, workers, padding=None, storage=PLAIN):
    """Return `predictions`, corrected by measurements of other products on this machine."""
    predicted = predictions(csr, n, workers, padding, storage)
    with exclusive:
        return {
            name: seconds * factor("packed" if name == "padded" else name, n)
            for name, seconds in predicted.items()
        }


def predict(csr, n, workers, padding=None, storage=PLAIN):
    """Return the name of the strategy that the model predicts to be the fastest."""
    predicted = predictions(csr, n, workers, padding, storage)
    return min(eligible(csr, predicted), key=predicted.get)


def eligible(csr, names):
    """Return the strategies whose memory is not above that of a large dense array.

    CSR with 32-bit indices may take more memory than the dense array; then "rows" is left out, as
    all other strategies take less.
    """
    size = csr.dtype.itemsize
    dense = csr.shape[0] * csr.shape[1] * size
    rows = csr.nnz * (size + 4) + 4 * (csr.shape[0] + 1)
    large = dense >= _SMALL_DENSE and rows > dense
    return [name for name in names if name != "rows" or not large] or list(names)


def best_padding(csr, paddings, n, workers):
    """Return the padding that the model predicts to be the fastest, or None if there are none."""
    return min(paddings, key=lambda p: _padded_cycles(csr, p, n, workers), default=None)
