"""C = A @ B on the GPU."""

from __future__ import annotations

import ctypes
from numbers import Real

from . import _library
from ._errors import raise_status
from ._operands import activation_code, as_factor, check_apart, check_operand, dense, enqueue, read

__all__ = ["multiply"]

_ORDERS = (None, "C", "F", "K")


def multiply(
    packed,
    right,
    D,
    names,
    out=None,
    alpha=1.0,
    beta=0.0,
    bias=None,
    activation=None,
    order=None,
    stream=None,
):
    """Return A @ D, or with `right` D @ A^T = (A @ D^T)^T, where nothing is turned but strides.

    `names` are what the caller calls `D` and the sparse matrix, which is A or A^T.
    """
    D = read(D, names[0])
    m, k = packed.shape
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
    if inner != k:
        raise _mismatch(D, packed.shape, right, names)
    if D.dtype != packed.dtype or D.device != packed.device:
        check_operand(D, packed)
    B = dense(D, k, n, row, col, D.pointer)
    code = activation_code(activation)
    alpha, beta = as_factor(alpha, "alpha"), as_factor(beta, "beta")
    if order not in _ORDERS or (out is not None and order is not None):
        _check_order(order)
    if out is None and beta != 0:
        raise ValueError(f"beta={beta!r} needs out, which holds what it multiplies")
    task = (packed, right, D, B, n, out, alpha, beta, bias, code, order)
    return enqueue(D, packed.device, stream, _run, *task)


def _run(packed, right, D, B, n, out, alpha, beta, bias, code, order, stream):
    """Multiply, and make what is needed for it on the device and for the stream that is current."""
    arrays, device = D.library, packed.device
    m = packed.shape[0]
    vector = len(D.shape) == 1
    reads = None
    if out is None:
        # Row-major as C, or as C^T; either may be the result or its transpose.
        by_column = order == "F" or (order == "K" and _is_column_major(D))
        turned = not vector and by_column != right
        shape = (m,) if vector else (n, m) if turned else (m, n)
        made, pointer = arrays.empty(shape, packed.dtype, device)
        row, col = (1, m) if turned else (n, 1)
        C = _library.Dense(B.dtype, m, n, row, col, pointer)
        result = arrays.turned(made) if by_column and not vector else made
    else:
        result = out
        reads = read(out, "out")
        C = _given(reads, packed, right, vector, m, n)
        check_apart(reads, D)
    epilogue, bias_held = None, None
    if alpha != 1.0 or beta != 0.0 or bias is not None or code:
        epilogue, bias_held = _epilogue(packed, right, vector, D, n, alpha, beta, bias, code)
        if reads is not None and hasattr(bias_held, "pointer"):
            check_apart(reads, bias_held)
    size = ctypes.c_size_t()
    library = packed.library
    status = library.spk_cuda_spmm_workspace(packed.pointer, B, C, size)
    room, address = None, None
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
    """Return memory of so many bytes and its address, aligned as the library wants it."""
    room, address = arrays.room(size, device)
    if address % _library.ALIGNMENT:
        room, address = arrays.room(size + _library.ALIGNMENT, device)
        address += -address % _library.ALIGNMENT
    return room, address


def not_prepared(packed, wanted):
    """Return the error for a matrix that was prepared for something else."""
    return ValueError(
        f"the matrix was prepared with op={packed.operations}: this needs {wanted!r} among them"
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


def _check_order(order):
    if order not in _ORDERS:
        raise ValueError(f"order must be None, 'C', 'F' or 'K', got {order!r}")
    raise ValueError("order and out exclude each other: the layout of out is used")


def _is_column_major(D):
    """Whether it is column-major and not row-major as well."""
    if len(D.shape) != 2:
        return False
    (rows, cols), (row, col) = D.shape, D.strides
    return not ((col == 1 or cols <= 1) and (row >= cols or rows <= 1))


def _given(out, packed, right, vector, m, n):
    """Return `out` as C, or raise."""
    shape = (m,) if vector else (n, m) if right else (m, n)
    if tuple(out.shape) != shape:
        raise ValueError(f"out must have shape {shape}, got {tuple(out.shape)}")
    if out.dtype != packed.dtype:
        raise ValueError(f"out must have dtype {packed.dtype}, got {out.dtype}")
    check_operand(out, packed)
    if out.library.is_read_only(out.array):
        raise ValueError("out is read-only")
    if vector:
        row, col = out.strides[0], 1
    else:
        col, row = out.strides if right else out.strides[::-1]
    return dense(out, m, n, row, col, out.pointer)


def _epilogue(packed, right, vector, D, n, alpha, beta, bias, code):
    """Return the epilogue, and what must live as long as it."""
    if bias is None:
        return _library.Epilogue(alpha, beta, None, None, code), None
    m = packed.shape[0]
    if isinstance(bias, Real):
        value = as_factor(bias, "bias")
        held, pointer = D.library.filled(m, value, packed.dtype, packed.device)
        return _library.Epilogue(alpha, beta, pointer, None, code), held
    held = read(bias, "bias")
    check_operand(held, packed)
    rows, cols = (n, m) if right else (m, n)
    shape = tuple(held.shape)
    if vector:
        along, expected = 0 if shape == (m,) else None, f"({m},)"
    else:
        along = 1 if shape in ((cols,), (1, cols)) else 0 if shape == (rows, 1) else None
        expected = f"({cols},), (1, {cols}) or ({rows}, 1)"
    if along is None:
        raise ValueError(f"bias must be a number or have shape {expected}, got {shape}")
    long = max(range(len(shape)), key=lambda axis: shape[axis])
    if shape[long] > 1 and held.strides[long] != 1:
        raise ValueError(
            f"bias must be contiguous, got strides of {tuple(held.strides)} elements for shape "
            f"{shape}"
        )
    # Along the rows of A, and so of C, which is turned where A is on the right.
    if vector or (along == 0) != right:
        return _library.Epilogue(alpha, beta, held.pointer, None, code), held
    return _library.Epilogue(alpha, beta, None, held.pointer, code), held
