"""From what users pass to what the compiled module takes, with errors that name the argument."""

from __future__ import annotations

import math
import operator
import sys
from numbers import Real

import numpy as np
import scipy.sparse as sp

from .. import _core
from . import foreign

__all__ = [
    "NATIVE",
    "activation_code",
    "apart_from",
    "as_extent",
    "as_rows",
    "check_inner",
    "check_layer",
    "check_left",
    "check_out",
    "check_out_dtype",
    "dense_array",
    "dense_view",
    "integral_factor",
    "is_single",
    "is_spmatrix",
    "native_order",
    "numbers",
    "plan_bias",
    "scalar",
]

#: The dtypes that the kernels compute in; everything else is scipy's.
NATIVE = (np.dtype(np.float32), np.dtype(np.float64))

def dense_array(value, name, convert=np.asarray):
    """Return an array_like as an array, or raise naming the argument where it is none."""
    if type(value) is not np.ndarray:
        value = foreign.check_dense(value, name)
    try:
        array = convert(value)
    except ValueError as error:  # nested sequences of unequal lengths
        raise ValueError(f"{name} must be an array of numbers, but {error}") from None
    except (TypeError, RuntimeError) as error:  # of other libraries
        kind = foreign.type_name(value)
        raise TypeError(
            f"{name} must be an array of numbers, and {kind} is not converted: {error}"
        ) from error
    if array.ndim == 0 and array.dtype.kind == "O":
        held = value.item() if isinstance(value, np.ndarray) else value
        if sp.issparse(held):  # which NumPy puts into arrays as an object
            return dense_array(held, name)
        raise TypeError(f"{name} must be an array of numbers, got {foreign.type_name(value)}")
    return array


def is_single(value):
    """Whether an argument is one value, and no array or sequence of them."""
    # numpy.ndim would raise for nested sequences of unequal lengths, without a name.
    ndim = getattr(value, "ndim", None)
    return not hasattr(value, "__len__") if ndim is None else ndim == 0


def numbers(array, name):
    """Return `array` if it holds numbers, or raise naming the argument."""
    if array.dtype.kind not in "biufc":
        # bfloat16 and the like, of which NumPy knows no arithmetic.
        small = array.dtype.type.__module__ == "ml_dtypes"
        line = f": {name}.astype(numpy.float32) converts it" if small else ""
        raise TypeError(f"{name} must hold numbers, got dtype {array.dtype}{line}")
    return array


def as_extent(value, name):
    """Return a positive integer that an array may have as a dimension, or raise naming it."""
    try:
        value = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} must be an integer, got {value!r}") from None
    if not 1 <= value <= sys.maxsize:
        raise ValueError(f"{name} must be at least 1 and at most {sys.maxsize}, got {value}")
    return value


def native_order(array):
    """Return an array in native byte order; itself where it is that."""
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def dense_view(array, dtype):
    """Return `array` in `dtype` with strides that are whole elements; a copy only where needed."""
    array = np.asarray(array, dtype=dtype)
    if array.flags.aligned and all(stride % array.itemsize == 0 for stride in array.strides):
        return array
    return array.copy(order="K")


def check_inner(shape, B):
    """Raise unless a matrix of `shape`, which users have as W, can be multiplied by `B`.

    That is a vector, a matrix, or a stack of matrices.
    """
    if B.shape[-2:][0] != shape[1]:
        raise ValueError(
            f"dimension mismatch in W @ B: W has shape {shape} and B has shape {B.shape}"
        )


def check_left(shape, X):
    """Raise unless `X`, of one dimension or more, can be multiplied by a matrix of `shape`."""
    if X.ndim and X.shape[-1] != shape[0]:
        raise ValueError(
            f"dimension mismatch in X @ W: X has shape {X.shape} and W has shape {shape}"
        )


def check_layer(shape, X, bias):
    """Return the bias of a linear layer as an array, or None where there is none.

    Raises unless the inputs `X` and the bias fit a weight of `shape`.
    """
    rows, cols = shape
    if X.ndim == 0:
        raise ValueError(f"X must have shape (..., {cols}), got a number")
    if X.shape[-1] != cols:
        raise ValueError(
            f"dimension mismatch in W.linear(X), which is X @ W.T: X has shape {X.shape} and W has "
            f"shape {shape}"
        )
    if bias is None:
        return None
    bias = numbers(dense_array(bias, "bias"), "bias")
    if bias.shape not in ((), (rows,)):
        raise ValueError(f"bias must be a number or have shape ({rows},), got {bias.shape}")
    return bias


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


def as_rows(array):
    """Return an array of two dimensions or more as a matrix: a view where strides allow it."""
    return array.reshape(math.prod(array.shape[:-1]), array.shape[-1])


def scalar(value, name, *, real=True):
    """Return a number (a float, if it must be real), or raise naming the argument."""
    if isinstance(value, Real) and np.asarray(value).dtype.kind == "O":
        # A fraction, or an integer that no dtype holds.
        try:
            value = float(value)
        except OverflowError:
            raise ValueError(
                f"{name} must be within the range of float64, which ends at "
                f"{np.finfo(np.float64).max:.2g}"
            ) from None
    try:
        kind = np.asarray(value).dtype.kind if np.ndim(value) == 0 else ""
    except (TypeError, ValueError, RuntimeError):
        kind = ""  # nested sequences of unequal lengths, and tensors that NumPy cannot read
    if not kind or kind not in ("biuf" if real else "biufc"):
        raise TypeError(f"{name} must be a {'real ' if real else ''}number, got {value!r}")
    return float(value) if real else value


def integral_factor(value, name, dtype):
    """Return a factor of integers as an int where it is whole: 1.0 and 2.0 make no floats of them.

    An int that the dtype does not hold is a ValueError, as it is an OverflowError of NumPy 2.
    """
    if dtype.kind not in "biu" or not isinstance(value, int | float | np.floating):
        return value
    # bool times int is NumPy's default integer.
    range_ = np.iinfo(np.int64 if dtype.kind == "b" else dtype)
    if isinstance(value, int):
        if not range_.min <= value <= range_.max:
            raise ValueError(
                f"{name} must be from {range_.min} to {range_.max} as an int, for a product in "
                f"{dtype}, got {value}; a float makes the result one"
            )
        return value
    return int(value) if value.is_integer() and range_.min <= value <= range_.max else value


def plan_bias(bias, shape, dtype):
    """Return (per row, per column) bias vectors of a result of `shape`; None for none.

    NumPy's broadcasting decides: (n,) and (1, n) go along columns, (m, 1) along rows, a scalar
    everywhere; for a 1-D result, (m,).
    """
    if bias is None:
        return None, None
    bias = numbers(dense_array(bias, "bias"), "bias")
    if not np.can_cast(bias.dtype, dtype, "same_kind"):
        raise TypeError(f"bias must be castable to {dtype}, got dtype {bias.dtype}")
    bias = bias.astype(dtype, copy=False)
    vector_result = len(shape) == 1
    rows = shape[0]
    cols = 1 if vector_result else shape[1]
    if bias.size == 1 and bias.ndim <= len(shape):
        return np.full(rows, bias.item(), dtype), None
    if vector_result and bias.shape == (rows,):
        return np.ascontiguousarray(bias), None
    if not vector_result and bias.shape in ((cols,), (1, cols)):
        return None, np.ascontiguousarray(bias.reshape(cols))
    if not vector_result and bias.shape == (rows, 1):
        return np.ascontiguousarray(bias.reshape(rows)), None
    expected = f"({rows},)" if vector_result else f"({cols},), (1, {cols}) or ({rows}, 1)"
    raise ValueError(f"bias must be a scalar or have shape {expected}, got {bias.shape}")


def activation_code(activation):
    """Return the number of an activation, or raise with the names of all."""
    if not isinstance(activation, str | None) or activation not in _core.ACTIVATIONS:
        names = ", ".join(repr(name) for name in _core.ACTIVATIONS)
        raise ValueError(f"activation must be one of {names}, got {activation!r}")
    return _core.ACTIVATIONS[activation]


def is_spmatrix(A):
    """Whether `A` is one of scipy's matrices, whose products with np.matrix are np.matrix."""
    return isinstance(A, sp.spmatrix)
