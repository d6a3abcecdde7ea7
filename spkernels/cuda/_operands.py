"""Operands of products on the GPU: their addresses and layouts, and errors that name them."""

from __future__ import annotations

from typing import NamedTuple

from .._inputs.scalars import scalar
from . import _library
from ._arrays import resolve, stream_pointer

__all__ = [
    "Operand",
    "activation_code",
    "as_factor",
    "check_apart",
    "check_operand",
    "dense",
    "enqueue",
    "extent",
    "read",
]


class Operand(NamedTuple):
    """An array on the GPU, with the name of its argument; strides count elements."""

    name: str
    array: object
    library: object
    pointer: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    dtype: str
    device: int | None


def read(value, name):
    """Return an array as an `Operand`, or raise a TypeError with its name."""
    library, value = resolve(value, name)
    return Operand(name, value, library, *library.read(value, name))


def enqueue(operand, device, stream, run, *task):
    """Call ``run(*task, stream)`` in a context where new arrays belong to the device and stream.

    `stream` is the caller's argument; None stands for the stream that the operand's library names.
    """
    arrays = operand.library
    if stream is None:
        stream = arrays.stream(operand.array, device)
        if arrays.has_current_stream:
            return run(*task, stream)
    else:
        stream = stream_pointer(stream)
    with arrays.on(device, stream):
        return run(*task, stream)


def check_operand(operand, packed):
    """Raise unless an operand has the dtype and the device of a packed matrix."""
    if operand.dtype != packed.dtype:
        raise TypeError(
            f"{operand.name} must have dtype {packed.dtype}, which the matrix was prepared for, "
            f"got {operand.dtype}"
        )
    if operand.pointer % _library.ITEMSIZES[operand.dtype]:
        raise ValueError(
            f"{operand.name} must begin at a multiple of its elements' size, got {operand.pointer}"
        )
    if operand.device is not None and operand.device != packed.device:
        raise ValueError(
            f"{operand.name} must be on device {packed.device}, where the matrix was prepared, got "
            f"device {operand.device}"
        )


def dense(operand, rows, cols, row, col, pointer):
    """Return a matrix as the library's structure; `row` and `col` are its strides in elements."""
    if not (
        ((col == 1 or cols <= 1) and (row >= cols or rows <= 1))
        or ((row == 1 or rows <= 1) and (col >= rows or cols <= 1))
    ):
        raise ValueError(
            f"{operand.name} must be row-major or column-major, got strides of "
            f"{tuple(operand.strides)} elements for shape {tuple(operand.shape)}: make it "
            f"contiguous ({operand.name}.contiguous() of torch, cupy.ascontiguousarray)"
        )
    return _library.Dense(_library.DTYPES[operand.dtype], rows, cols, row, col, pointer)


def extent(operand):
    """Return the address of an array's first byte, and the address after its last byte."""
    first = last = 0
    for length, stride in zip(operand.shape, operand.strides, strict=True):
        if length == 0:
            return operand.pointer, operand.pointer
        first += min(0, (length - 1) * stride)
        last += max(0, (length - 1) * stride)
    size = _library.ITEMSIZES[operand.dtype]
    return operand.pointer + first * size, operand.pointer + (last + 1) * size


def check_apart(out, *others):
    """Raise ValueError if `out` may overlap one of the other operands."""
    begin, end = extent(out)
    for other in others:
        if other is not None:
            first, last = extent(other)
            if begin < last and first < end:
                raise ValueError(f"out must not overlap {other.name}")


def as_factor(value, name):
    """Return a real number as a float, or raise an error that names the argument."""
    return value if type(value) is float else scalar(value, name)


def activation_code(activation):
    """Return the number of an activation, or raise a ValueError that lists all names."""
    if not isinstance(activation, str | None) or activation not in _library.ACTIVATIONS:
        names = ", ".join(repr(name) for name in _library.ACTIVATIONS)
        raise ValueError(f"activation must be one of {names}, got {activation!r}")
    return _library.ACTIVATIONS[activation]
