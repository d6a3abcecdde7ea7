"""Where results are written: one rule for `out`, whichever operation it is given to."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

__all__ = ["apart_from", "check_apart", "check_out", "check_out_dtype", "write"]


def check_out(out, shape):
    """Raise unless `out` is a writeable ndarray of a shape."""
    if not isinstance(out, np.ndarray):
        raise TypeError(f"out must be an ndarray, got {type(out).__name__}")
    if out.shape != shape:
        raise ValueError(f"out must have shape {shape}, got {out.shape}")
    if not out.flags.writeable:
        raise ValueError("out is read-only")


def check_out_dtype(out, dtype):
    """Raise unless `out` has a dtype."""
    if out.dtype != dtype:
        raise ValueError(f"out must have dtype {dtype}, got {out.dtype}")


def apart_from(out, array):
    """Return `array`, or a copy of it where it may overlap `out`."""
    if array is None or out is None or not np.may_share_memory(out, array):
        return array
    return array.copy(order="K")


def check_apart(out, shape, operands):
    """Raise unless `out`, if any, can be written without a change of the operands."""
    if out is None:
        return
    check_out(out, shape)
    for name, operand in operands.items():
        parts = ("data", "indptr", "indices", "row", "col") if sp.issparse(operand) else ()
        arrays = [getattr(operand, part, None) for part in parts] if parts else [operand]
        if any(isinstance(a, np.ndarray) and np.may_share_memory(out, a) for a in arrays):
            raise ValueError(f"out must not overlap {name}")


def write(out, result):
    if out is None:
        return result
    check_out_dtype(out, result.dtype)
    out[...] = result
    return out
