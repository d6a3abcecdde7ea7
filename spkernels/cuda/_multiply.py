"""The product C = A @ B on the GPU."""

from __future__ import annotations

import ctypes
from numbers import Real
from typing import Any, NamedTuple

from . import _library
from ._errors import raise_status
from ._operands import activation_code, as_factor, check_apart, check_operand, dense, enqueue, read

__all__ = ["Options", "multiply", "not_prepared", "workspace"]

_ORDERS = (None, "C", "F", "K")


class Options(NamedTuple):
    """The options of ``activation(alpha * A @ B + beta * out + bias)``; `activation` is a code."""

    out: Any = None
    alpha: float = 1.0
    beta: float = 0.0
    bias: Any = None
    activation: int = 0
    order: str | None = None

    @classmethod
    def of(cls, out, alpha, beta, bias, activation, order):
        """Return the options of a caller's arguments, or raise with the name of a wrong one."""
        if order not in _ORDERS:
            raise ValueError(f"order must be None, 'C', 'F' or 'K', got {order!r}")
        if out is not None and order is not None:
            raise ValueError(
                f"order must be None where out is given, whose layout is used, got {order!r}"
            )
        alpha, beta = as_factor(alpha, "alpha"), as_factor(beta, "beta")
        if out is None and beta != 0:
            raise ValueError(
                f"beta must be 0 without out, which holds what it multiplies, got {beta!r}"
            )
        return cls(out, alpha, beta, bias, activation_code(activation), order)


_PLAIN = Options()


def multiply(packed, right, D, names, options=_PLAIN, stream=None):
    """Return ``A @ D`` or, with `right`, ``D @ A.T``.

    The latter is computed as ``(A @ D.T).T``, for which only strides are swapped.  `names` are the
    caller's names of `D` and of the sparse matrix, which is A or A.T.
    """
    D = read(D, names[0])
    shape = D.shape
    if len(shape) == 1:
        n, inner, row, col = 1, shape[0], D.strides[0], 1
    elif len(shape) != 2:
        raise ValueError(f"{D.name} must be 1-D or 2-D, got shape {tuple(shape)}")
    elif right:
        n, inner = shape
        col, row = D.strides
    else:
        inner, n = shape
        row, col = D.strides
    if inner != packed.shape[1]:
        raise _mismatch(D, packed.shape, right, names)
    if D.dtype != packed.dtype or D.device != packed.device or D.pointer % 8:
        check_operand(D, packed)
    B = dense(D, inner, n, row, col, D.pointer)
    return enqueue(D, packed.device, stream, _run, packed, right, D, B, n, options)


def _run(packed, right, D, B, n, options, stream):
    """Multiply on `stream`; new arrays are made on the current device and stream."""
    arrays, device, m = D.library, packed.device, packed.shape[0]
    vector = len(D.shape) == 1
    given = None
    if options.out is None:
        # C or its transpose is made row-major, whichever has the order that the caller wants.
        order = options.order
        by_column = order == "F" or (order == "K" and _is_column_major(D))
        transposed = not vector and by_column != right
        shape = (m,) if vector else (n, m) if transposed else (m, n)
        result, pointer = arrays.empty(shape, packed.dtype, device)
        row, col = (1, m) if transposed else (n, 1)
        C = _library.Dense(B.dtype, m, n, row, col, pointer)
        if by_column and not vector:
            result = arrays.transposed(result)
    else:
        result = options.out
        given = read(result, "out")
        C = _given(given, packed, right, vector, m, n)
        check_apart(given, D)
    epilogue = held = room = None  # `held` and `room` must live until all work is enqueued
    if options is not _PLAIN:
        epilogue, held = _epilogue(packed, right, vector, D, n, given, options)
    library, size = packed.library, ctypes.c_size_t()
    status = library.spk_cuda_spmm_workspace(packed.pointer, B, C, size)
    address = None
    if status == _library.OK:
        if size.value:
            room, address = workspace(arrays, size.value, device)
        status = library.spk_cuda_spmm(packed.pointer, B, C, epilogue, address, stream)
    if status != _library.OK:
        if status == _library.ERR_PREPARED:
            raise not_prepared(packed, "spmm")
        raise_status(library, status, "multiplying")
    return result


def workspace(arrays, size, device):
    """Return memory of `size` bytes, and its address, which is a multiple of `ALIGNMENT`."""
    room, address = arrays.room(size, device)
    if address % _library.ALIGNMENT:
        room, address = arrays.room(size + _library.ALIGNMENT, device)
        address += -address % _library.ALIGNMENT
    return room, address


def not_prepared(packed, wanted):
    """Return the ValueError for a matrix that was not prepared for the operation `wanted`."""
    return ValueError(
        f"the matrix must be prepared with {wanted!r} in op, got op={packed.operations}"
    )


def _mismatch(D, shape, right, names):
    dense_name, sparse_name = names
    if right:
        return ValueError(
            f"dimension mismatch in {dense_name} @ {sparse_name}: {dense_name} has shape "
            f"{tuple(D.shape)} and {sparse_name} has shape {shape[::-1]}"
        )
    return ValueError(
        f"dimension mismatch in {sparse_name} @ {dense_name}: {sparse_name} has shape {shape} and "
        f"{dense_name} has shape {tuple(D.shape)}"
    )


def _is_column_major(D):
    """Return whether an operand is column-major, and not row-major as well."""
    if len(D.shape) != 2:
        return False
    (rows, cols), (row, col) = D.shape, D.strides
    return not ((col == 1 or cols <= 1) and (row >= cols or rows <= 1))


def _given(out, packed, right, vector, m, n):
    """Return the caller's `out` as the matrix C of the library, or raise."""
    shape = (m,) if vector else (n, m) if right else (m, n)
    if tuple(out.shape) != shape:
        raise ValueError(f"out must have shape {shape}, got {tuple(out.shape)}")
    if out.dtype != packed.dtype:
        raise ValueError(f"out must have dtype {packed.dtype}, got {out.dtype}")
    check_operand(out, packed)
    if out.library.is_read_only(out.array):
        raise ValueError("out must be writeable, got a read-only array")
    if vector:
        row, col = out.strides[0], 1
    else:
        col, row = out.strides if right else out.strides[::-1]
    return dense(out, m, n, row, col, out.pointer)


def _epilogue(packed, right, vector, D, n, out, options):
    """Return the epilogue, and the bias array that must live as long as the epilogue."""
    alpha, beta, bias, code = options.alpha, options.beta, options.bias, options.activation
    if bias is None:
        return _library.Epilogue(alpha, beta, None, None, code), None
    m = packed.shape[0]
    if isinstance(bias, Real):
        value = as_factor(bias, "bias")
        held, pointer = D.library.filled(m, value, packed.dtype, packed.device)
        return _library.Epilogue(alpha, beta, pointer, None, code), held
    bias = read(bias, "bias")
    check_operand(bias, packed)
    if out is not None:
        check_apart(out, bias)
    along = _bias_axis(bias, (m,) if vector else (n, m) if right else (m, n))
    # bias_row has an element per row of A and so of C, whose transpose is the caller's result if A
    # is on the right.
    if vector or (along == 0) != right:
        return _library.Epilogue(alpha, beta, bias.pointer, None, code), bias
    return _library.Epilogue(alpha, beta, None, bias.pointer, code), bias


def _bias_axis(bias, result):
    """Return the axis along which a bias varies, for a result of shape `result`, or raise."""
    shape = tuple(bias.shape)
    if len(result) == 1:
        along, expected = 0 if shape == result else None, f"({result[0]},)"
    else:
        rows, cols = result
        along = 1 if shape in ((cols,), (1, cols)) else 0 if shape == (rows, 1) else None
        expected = f"({cols},), (1, {cols}) or ({rows}, 1)"
    if along is None:
        raise ValueError(f"bias must be a number or have shape {expected}, got {shape}")
    long = max(range(len(shape)), key=lambda axis: shape[axis])
    if shape[long] > 1 and bias.strides[long] != 1:
        raise ValueError(
            f"bias must be contiguous, got strides of {tuple(bias.strides)} elements for shape "
            f"{shape}"
        )
    return along
