"""The checks of `out`, the argument for the result, which all operations share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp

from .sparse import KERNEL_FORMATS, normalised

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "apart_from",
    "arrays_apart",
    "check_apart",
    "check_out",
    "check_out_dtype",
    "check_sparse_out",
    "write",
]


def check_out(out, shape, dtype=None):
    """Raise unless `out` is a writeable ndarray of `shape`, and of `dtype` if given."""
    if not isinstance(out, np.ndarray):
        raise TypeError(f"out must be an ndarray, got {type(out).__name__}")
    if out.shape != shape:
        raise ValueError(f"out must have shape {shape}, got {out.shape}")
    if dtype is not None:
        check_out_dtype(out, dtype)
    if not out.flags.writeable:
        raise ValueError("out must be writeable, got a read-only array")


def check_out_dtype(out, dtype):
    """Raise unless `out` has the dtype `dtype`."""
    if out.dtype != dtype:
        raise ValueError(f"out must have dtype {dtype}, got {out.dtype}")


def apart_from(out, array):
    """Return `array`, or a copy of it if it may overlap `out`."""
    if array is None or out is None or not np.may_share_memory(out, array):
        return array
    return array.copy(order="K")


def arrays_apart(out, arrays):
    """Return the arrays of a sparse operand; arrays that may overlap `out` are copied."""
    names = ("offsets", "indices", "row_indices", "values")
    apart = {name: apart_from(out, getattr(arrays, name)) for name in names}
    if all(apart[name] is getattr(arrays, name) for name in names):
        return arrays
    return arrays._replace(**apart)


def check_apart(out, shape, operands):
    """Raise if `out` has another shape than `shape`, or may overlap an operand."""
    if out is None:
        return
    check_out(out, shape)
    for name, operand in operands.items():
        parts = ("data", "indptr", "indices", "row", "col") if sp.issparse(operand) else ()
        arrays = [getattr(operand, part, None) for part in parts] if parts else [operand]
        if any(isinstance(a, np.ndarray) and np.may_share_memory(out, a) for a in arrays):
            raise ValueError(f"out must not overlap {name}")


def write(out: NDArray[Any] | None, result: NDArray[Any]) -> NDArray[Any]:
    if out is None:
        return result
    check_out_dtype(out, result.dtype)
    out[...] = result
    return out


def check_sparse_out(out, P, dtype):
    """Return the values of `out`, or raise unless it has P's structure and can take the result.

    The values must be writeable and of `dtype`.
    """
    if not sp.issparse(out):
        raise TypeError(f"out must be a scipy.sparse array, got {type(out).__name__}")
    if out.format != P.format or out.shape != P.shape or out.data.shape != P.data.shape:
        raise ValueError(
            f"out must have the format, shape and pattern of P ({P.format}, {P.shape}, "
            f"{P.data.size} values), got {out.format}, {out.shape}, {_held(out)} values"
        )
    pattern = normalised(out, "out")
    for name in ("row", "col") if P.format == "coo" else ("indptr", "indices"):
        mine, theirs = getattr(P, name), getattr(pattern, name)
        if mine is not theirs and not np.array_equal(mine, theirs):
            raise ValueError(f"out must have the pattern of P: out.{name} differs from P.{name}")
    if out.data.dtype != dtype:
        raise ValueError(f"out must have dtype {dtype}, got {out.data.dtype}")
    if not out.data.flags.writeable:
        raise ValueError("out.data must be writeable, got a read-only array")
    return out.data


def _held(A):
    """Return the number of values of a sparse operand, which may be corrupted."""
    return np.size(A.data) if A.format in KERNEL_FORMATS else A.nnz
