"""Conversion of dense operands to arrays, with errors that name the argument."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp

from . import foreign

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

__all__ = [
    "NATIVE",
    "as_rows",
    "check_inner",
    "check_layer",
    "check_left",
    "dense_array",
    "dense_view",
    "is_single",
    "is_spmatrix",
    "native_order",
    "numbers",
    "plan_bias",
]

#: The dtypes that the kernels compute in; scipy computes in all others.
NATIVE = (np.dtype(np.float32), np.dtype(np.float64))


def dense_array(
    value: Any, name: str, convert: Callable[[Any], NDArray[Any]] = np.asarray
) -> NDArray[Any]:
    """Return an array_like as an array, or raise an error that names the argument."""
    if type(value) is not np.ndarray:
        value = foreign.check_dense(value, name)
    try:
        array = convert(value)
    except ValueError as error:  # nested sequences of unequal lengths
        raise ValueError(f"{name} must be an array of numbers, but {error}") from None
    except (TypeError, RuntimeError) as error:  # objects of other libraries raise these
        kind = foreign.type_name(value)
        raise TypeError(
            f"{name} must be an array of numbers, and {kind} is not converted: {error}"
        ) from error
    if array.ndim == 0 and array.dtype.kind == "O":
        held = value.item() if isinstance(value, np.ndarray) else value
        if sp.issparse(held):  # NumPy wraps a sparse matrix in an array of one object
            return dense_array(held, name)
        raise TypeError(f"{name} must be an array of numbers, got {foreign.type_name(value)}")
    return array


def is_single(value):
    """Return whether an argument is a single value, not an array or a sequence of values."""
    # numpy.ndim would raise for nested sequences of unequal lengths, without a name.
    ndim = getattr(value, "ndim", None)
    return not hasattr(value, "__len__") if ndim is None else ndim == 0


def numbers(array: NDArray[Any], name: str) -> NDArray[Any]:
    """Return `array` if it holds numbers, or raise an error that names the argument."""
    if array.dtype.kind not in "biufc":
        # NumPy has no arithmetic for the dtypes of ml_dtypes, such as bfloat16.
        small = array.dtype.type.__module__ == "ml_dtypes"
        line = f": {name}.astype(numpy.float32) converts it" if small else ""
        raise TypeError(f"{name} must hold numbers, got dtype {array.dtype}{line}")
    return array


def native_order(array: NDArray[Any]) -> NDArray[Any]:
    """Return `array` if its byte order is native, else a copy in native byte order."""
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def dense_view(array: Any, dtype: Any) -> NDArray[Any]:
    """Return `array` in `dtype`, aligned and with strides of whole elements; a copy if needed."""
    array = np.asarray(array, dtype=dtype)
    if array.flags.aligned and all(stride % array.itemsize == 0 for stride in array.strides):
        return array
    return array.copy(order="K")


def check_inner(shape, B):
    """Raise unless ``W @ B`` is possible for W of `shape` and a vector, matrix or stack `B`."""
    if B.shape[-2:][0] != shape[1]:
        raise ValueError(
            f"dimension mismatch in W @ B: W has shape {shape} and B has shape {B.shape}"
        )


def check_left(shape, X):
    """Raise unless ``X @ W`` is possible for W of `shape`; a 0-D `X` passes."""
    if X.ndim and X.shape[-1] != shape[0]:
        raise ValueError(
            f"dimension mismatch in X @ W: X has shape {X.shape} and W has shape {shape}"
        )


def check_layer(
    shape: tuple[int, int], X: NDArray[Any], bias: Any
) -> NDArray[Any] | None:
    """Return the bias of a linear layer as an array, or None if it is None.

    Raises ValueError unless the inputs `X` and the bias fit a weight of `shape`.
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


def as_rows(array: NDArray[Any]) -> NDArray[Any]:
    """Return an array of at least two dimensions as a matrix, as a view if strides allow it."""
    return array.reshape(math.prod(array.shape[:-1]), array.shape[-1])


def plan_bias(bias, shape, dtype):
    """Return the bias of a result of `shape` as (vector per row, vector per column).

    At least one of the two is None.  As in NumPy's broadcasting, shape (n,) or (1, n) has an
    element per column, and (m, 1) an element per row; a scalar becomes a vector per row.  For a 1-D
    result the shape is (m,).
    """
    if bias is None:
        return None, None
    bias = numbers(dense_array(bias, "bias"), "bias")
    if bias.dtype != dtype and not np.can_cast(bias.dtype, dtype, "same_kind"):
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


def is_spmatrix(A):
    """Return whether `A` is a sparse matrix, whose products with np.matrix are np.matrix."""
    return isinstance(A, sp.spmatrix)
