"""Conversion of values to int8: floats are quantised row by row, integers are kept."""

from __future__ import annotations

import numpy as np

from .._inputs import canonical

__all__ = ["check_sums", "quantised"]

#: The largest sum of the magnitudes of a row: a product with bytes up to 255 then fits int32.
MAX_ROW_SUM = (2**31 - 1) // 255


def quantised(csr, floats, name):
    """Return a canonical float64 matrix with int8 values, and the scale of each row.

    With `floats`, values are quantised; else they must be integers, and scales are 1.
    """
    if floats:
        values, scale = _quantise(csr, name)
    else:
        values, scale = _whole(csr, name), np.ones(csr.shape[0], np.float32)
    result = canonical.with_values(csr, values)
    check_sums(result, name)
    return result, scale


def check_sums(csr, name):
    """Raise ValueError if sums of products with bytes might not fit int32."""
    totals = np.bincount(
        np.repeat(np.arange(csr.shape[0]), np.diff(csr.indptr)),
        np.abs(csr.data.astype(np.int16)),
        csr.shape[0],
    )
    if totals.max(initial=0) > MAX_ROW_SUM:
        row = int(np.argmax(totals > MAX_ROW_SUM))
        raise ValueError(
            f"{name} must have rows whose magnitudes add up to at most {MAX_ROW_SUM}, so that "
            f"sums fit int32, row {row} has {totals[row]:.0f}"
        )


def _first_row(csr, wrong):
    """Return the row of the first entry for which `wrong` is true."""
    return int(np.searchsorted(csr.indptr, np.flatnonzero(wrong)[0], side="right")) - 1


def _largest(csr):
    """Return the largest magnitude of each row; 0 for empty rows."""
    largest = np.zeros(csr.shape[0])
    filled = np.flatnonzero(np.diff(csr.indptr))
    if filled.size:
        largest[filled] = np.maximum.reduceat(np.abs(csr.data), csr.indptr[filled])
    return largest


def _quantise(csr, name):
    """Return int8 values of float64 values, and the scale of each row: 127 steps on each side."""
    finite = np.isfinite(csr.data)
    if not finite.all():
        row = _first_row(csr, ~finite)
        raise ValueError(f"{name} must be finite to be quantised, row {row} holds infinity or NaN")
    largest = _largest(csr)
    with np.errstate(over="ignore"):
        scale = (largest / 127).astype(np.float32)
    if np.isinf(scale).any():
        row = int(np.flatnonzero(np.isinf(scale))[0])
        raise ValueError(
            f"{name} must have scales that float32 holds, row {row} has {largest[row]:.3g}"
        )
    scale[scale == 0] = 1  # rows of zeros, or of values too small for a scale in float32
    # A subnormal scale may be rounded down a lot; no value may exceed 127 steps of it.
    short = largest > 127.5 * scale.astype(np.float64)
    scale[short] = np.nextafter(scale[short], np.float32(np.inf))
    steps = np.rint(csr.data / np.repeat(scale.astype(np.float64), np.diff(csr.indptr)))
    return np.clip(steps, -127, 127).astype(np.int8), scale


def _whole(csr, name):
    """Return integer values as int8, or raise if one is out of range."""
    wrong = (csr.data < -128) | (csr.data > 127)
    if wrong.any():
        value = csr.data[wrong][0]
        raise ValueError(
            f"{name} must hold integers from -128 to 127 for dtype='int8' (duplicates added up), "
            f"row {_first_row(csr, wrong)} has {value:.0f}"
        )
    return csr.data.astype(np.int8)
