"""The arguments of products of int8: bytes, scales, zero points and a dtype.

A step is the difference that neighbouring bytes stand for, that is, the scale.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _core
from .._inputs.dense import dense_array, is_single, numbers
from .._inputs.errors import raise_status
from .._inputs.scalars import as_count, scalar
from .._runtime.threads import resolve_workers

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "FLOAT32",
    "INT32",
    "as_bytes",
    "no_zero",
    "output_step",
    "result_dtype",
    "steps_of",
    "zero_points_of",
]

_MAX_FLOAT = float(np.finfo(np.float32).max)

# A small product takes a few microseconds.  Dtypes are compared by identity, as == takes long.
INT32, FLOAT32, _UINT8 = np.dtype(np.int32), np.dtype(np.float32), np.dtype(np.uint8)

#: The smallest and the largest value of the dtypes of bytes.
_RANGES = {np.dtype(np.int8): (-128, 127), np.dtype(np.uint8): (0, 255)}
_KINDS: list[np.dtype[Any]] = [INT32, FLOAT32, *_RANGES]
_RESULTS: dict[Any, np.dtype[Any]] = {kind: kind for kind in _KINDS}
_RESULTS |= {kind.type: kind for kind in _RESULTS}


def result_dtype(dtype, out, scaled):
    """Return the dtype of a result: `dtype`, or that of `out`, or float32 if sums are scaled."""
    if dtype is None:
        dtype = out.dtype if out is not None else FLOAT32 if scaled else INT32
    found = _RESULTS.get(dtype) if isinstance(dtype, np.dtype | type) else None
    if found is None:
        dtype = np.dtype(dtype)
        found = _RESULTS.get(dtype)
    if found is None:
        name = "out" if out is not None and dtype == out.dtype else "dtype"
        raise TypeError(f"{name} must be of int32, float32, int8 or uint8, got {dtype}")
    return found


def as_bytes(
    value: Any, name: str, scale: Any = None, zero_point: Any = 0, workers: int | None = None
) -> NDArray[Any]:
    """Return an array of bytes.  If there is a scale, float32 is rounded to uint8."""
    if type(value) is not np.ndarray:
        value = dense_array(value, name)
    if scale is not None and value.dtype is FLOAT32 and value.ndim:
        return _rounded(value, name, scale, zero_point, workers)
    if value.dtype == np.bool_:
        value = value.view(np.uint8)
    if value.dtype not in _RANGES:
        raise TypeError(
            f"{name} must be of int8, uint8 or bool, got {value.dtype}: quantise it first, or "
            "give the scale for float32 to `spmm` or `linear`"
        )
    return value


def _rounded(value, name, scale, zero_point, workers):
    """Return the bytes that are nearest to floats, rows or columns of which are contiguous."""
    for argument, what in ((scale, "scale"), (zero_point, "zero_point")):
        if not is_single(argument):
            raise ValueError(f"{what} must be a number where {name} is of float32, got an array")
    step = _finite(scale, "scale")
    if not np.float32(step) > 0:
        raise ValueError(f"scale must be positive where {name} is of float32, got {step}")
    if isinstance(zero_point, np.ndarray):
        zero_point = zero_point.item()
    zero = _value_of(zero_point, "zero_point", _UINT8)
    if value.ndim == 2 and value.strides[0] == 4 and value.strides[1] != 4:
        return _rounded(value.T, name, step, zero, workers).T
    strides = value.strides
    if not (value.ndim == 2 and strides[1] == 4 and strides[0] % 4 == 0 and value.flags.aligned):
        value = np.ascontiguousarray(value)
    result = _core.empty(value.shape, _UINT8)
    rows = value if value.ndim == 2 else value.reshape(-1, value.shape[-1] if value.size else 1)
    ld = rows.strides[0] // 4
    status = _core.quantise(rows, ld, step, zero, result, resolve_workers(workers))
    if status:
        raise_status(status, None, name)
    return result


def _one_for_each(value, name, shapes):
    """Return an array of a number for each column, or None if `value` is a single number."""
    if is_single(value):
        return None
    array = numbers(dense_array(value, name), name)
    if array.shape not in shapes:
        wanted = " or ".join(("a number", *(f"of shape {shape}" for shape in shapes)))
        raise ValueError(f"{name} must be {wanted}, got shape {array.shape}")
    return array.reshape(-1)


def steps_of(scale, shapes):
    """Return the step of all columns and None, or 1.0 and an array of a step per column."""
    if scale is None:
        return 1.0, None
    array = None if type(scale) is float else _one_for_each(scale, "scale", shapes)
    if array is None:
        return _finite(scale, "scale"), None
    if array.dtype.kind == "c":
        raise TypeError(f"scale must be real, got dtype {array.dtype}")
    with np.errstate(over="ignore"):
        steps = np.ascontiguousarray(array, np.float32)
    wrong = np.flatnonzero(~np.isfinite(steps))
    if wrong.size:
        raise ValueError(f"scale must be finite as float32, got {array[wrong[0]]} at {wrong[0]}")
    return 1.0, steps


def zero_points_of(zero_point, dtype, shapes):
    """Return the zero point of all columns and None, or 0 and an array of one per column."""
    array = None if type(zero_point) is int else _one_for_each(zero_point, "zero_point", shapes)
    if array is None:
        if isinstance(zero_point, np.ndarray):
            zero_point = zero_point.item()
        return _value_of(zero_point, "zero_point", dtype), None
    if array.dtype.kind not in "iu":
        raise TypeError(f"zero_point must be of integers, got dtype {array.dtype}")
    low, high = _RANGES[dtype]
    wrong = np.flatnonzero((array < low) | (array > high))
    if wrong.size:
        raise ValueError(
            f"zero_point must be from {low} to {high}, got {array[wrong[0]]} at {wrong[0]}"
        )
    return 0, np.ascontiguousarray(array, np.int32)


def _finite(value, name):
    if type(value) is not float:
        value = scalar(value, name)
    if not abs(value) <= _MAX_FLOAT:
        raise ValueError(f"{name} must be finite as float32, got {value}")
    return value


def _value_of(value, name, dtype):
    low, high = _RANGES[dtype]
    if type(value) is int and low <= value <= high:
        return value
    return as_count(name, value, low, high)


def no_zero(out_zero_point, dtype):
    if out_zero_point != 0:
        raise ValueError(
            f"out_zero_point must be 0 for a result of {dtype}, got {out_zero_point!r}"
        )


def output_step(dtype, out_scale, out_zero_point):
    """Return the step and the zero point of the result."""
    if dtype is FLOAT32:
        if out_scale is not None:
            raise ValueError("out_scale must be None for a result of float32")
        no_zero(out_zero_point, dtype)
        return 1.0, 0
    if out_scale is None:
        raise ValueError(f"out_scale must be given for a result of {dtype}")
    step = _finite(out_scale, "out_scale")
    if not np.float32(step) > 0:
        raise ValueError(f"out_scale must be positive, got {step}")
    return step, _value_of(out_zero_point, "out_zero_point", dtype)
