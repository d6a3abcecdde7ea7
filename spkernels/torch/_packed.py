"""Matrices that are prepared from the tensors of a sparse weight.

A weight in CSR is three tensors: ``values``, ``columns`` and ``offsets``.  What is packed from them
lies in a table beside them, not in a module: a module's buffers are then all that is saved, copied
and shared, and packing suits the machine that runs the model.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from torch.autograd.graph import increment_version
from torch.optim.optimizer import register_optimizer_step_post_hook

import spkernels
from spkernels import masks

from ._kept import Kept
from ._threads import threads_of

__all__ = ["STORAGE", "Packed", "PackedBytes", "Weight", "array_of", "can_keep", "checked_csr",
           "forget", "int8_of", "mask_of", "pattern_of", "weight_of"]  # fmt: skip

#: The dtypes of weights, with the dtype and the storage of what is prepared from them.
STORAGE: dict[torch.dtype, tuple[Any, Any]] = {
    torch.float32: (np.float32, None),
    torch.float64: (np.float64, None),
    torch.float16: (np.float32, "float16"),
    torch.bfloat16: (np.float32, "bfloat16"),
}

_LOW = frozenset({torch.float16, torch.bfloat16})

_table: dict[int, Weight] = {}


def array_of(tensor: torch.Tensor) -> np.ndarray:
    """Return the elements of a CPU tensor as an array of NumPy; float16 and bfloat16 as float32.

    No gradient flows back through it: callers have checked that none is wanted.
    """
    if tensor.dtype in _LOW:
        tensor = tensor.float()
    if tensor.requires_grad or tensor.is_conj() or tensor.is_neg():
        tensor = tensor.detach().resolve_conj().resolve_neg()
    return tensor.numpy()


class Weight:
    """A sparse weight: its tensors, and what is prepared from them.

    The first product with new values reads them where they are; the second one packs them.  So a
    step of training, after which the values change, packs nothing.

    Attributes
    ----------
    derived : dict
        What an operator made from the weight, by a key of its own.
    reads : int
        How often the values were read, so that what was derived knows whether it is current.
    """

    __slots__ = ("_bias", "_columns", "_csr", "_matrix", "_offsets", "_packed", "_pointers",
                 "_seen", "_shape", "_values", "_versions", "derived", "reads")  # fmt: skip

    def __init__(self, values, columns, offsets, shape, forget):
        self._values: Callable[[], Any] = weakref.ref(values, forget)
        self._columns: Callable[[], Any] = weakref.ref(columns)
        self._offsets: Callable[[], Any] = weakref.ref(offsets)
        self._shape = shape
        self._matrix: spkernels.PreparedMatrix | None = None
        #: The values that are packed; threads that read others meanwhile replace `_csr`.
        self._packed: sp.csr_array | None = None
        self._bias: tuple[Any, np.ndarray | None] = None, None
        self.derived: dict[Any, Any] = {}
        self.reads = 0
        self._read(values, columns, offsets)

    def _read(self, values, columns, offsets):
        for name, tensor in (("values", values), ("columns", columns), ("offsets", offsets)):
            if not tensor.is_cpu:
                raise TypeError(f"{name} must be on the CPU, got a tensor on {tensor.device}")
        self._csr = checked_csr(array_of(values), array_of(columns), array_of(offsets), self._shape)
        self._seen = 0
        self.reads += 1
        # The arrays keep the memory alive, so an address means the same memory.
        self._pointers = values.data_ptr(), columns.data_ptr(), offsets.data_ptr()
        self._versions: Any = _versions(values, columns, offsets)

    def holds(self, values, columns, offsets, shape) -> bool:
        """Return whether these are the weight's tensors and they have not changed."""
        return (
            self._values() is values
            and self._columns() is columns
            and self._offsets() is offsets
            and self._pointers == (values.data_ptr(), columns.data_ptr(), offsets.data_ptr())
            and self._versions == _versions(values, columns, offsets)
            and self._shape == shape
        )

    def renew(self, values, columns, offsets, shape) -> bool:
        """Read values that have changed; False if the tensors are others or the structure changed.

        What was measured about the structure is kept.
        """
        versions = _versions(values, columns, offsets)
        if (
            self._values() is not values
            or self._columns() is not columns
            or self._offsets() is not offsets
            or self._versions is None
            or versions is None
            or self._versions[1:] != versions[1:]
            or self._pointers[1:] != (columns.data_ptr(), offsets.data_ptr())
            or self._shape != shape
        ):
            return False
        self._read(values, columns, offsets)
        return True

    @property
    def csr(self) -> sp.csr_array:
        """The weight in CSR; float32 and float64 share the memory of the tensors."""
        return self._csr

    def matrix(
        self, n: int, workers: int | None = None, pattern: str | None = None
    ) -> spkernels.PreparedMatrix | None:
        """Return the weight prepared for products with `n` rows, or None at its first product."""
        if self._packed is self._csr:
            return self._matrix
        self._seen += 1
        return None if self._seen == 1 or n == 0 else self.pack(n, workers, pattern)

    def bias(self, bias: torch.Tensor) -> np.ndarray:
        """Return a bias as an array of the dtype that products have, without a copy if possible."""
        known, array = self._bias
        key = bias.data_ptr(), bias.stride(), bias.dtype
        if array is None or known != key:
            array = array_of(bias)
            if array.dtype != self._csr.dtype:
                return array.astype(self._csr.dtype)
            if bias.dtype in _LOW:
                return array
            # It shares the memory of the tensor, keeps it alive, and so may be used again.
            self._bias = key, array
        return array

    @property
    def packed(self) -> spkernels.PreparedMatrix | None:
        """The prepared weight if its values are packed, else None."""
        return self._matrix if self._packed is self._csr else None

    def pack(
        self, n: int, workers: int | None = None, pattern: str | None = None
    ) -> spkernels.PreparedMatrix:
        """Prepare the weight for products with `n` rows; what was measured of it is kept."""
        csr = self._csr
        if self._matrix is None:
            dtype, storage = STORAGE[self._values().dtype]
            self._matrix = spkernels.prepare(
                csr, n=n, dtype=dtype, storage=storage, pattern=pattern, workers=workers
            )
        else:
            self._matrix.update_values(csr.data)
        self._packed = csr
        return self._matrix


def can_keep(values: torch.Tensor, bias: torch.Tensor | None) -> bool:
    """Return whether arrays share the memory of values and bias, whose changes are counted."""
    same = bias is None or bias.dtype is values.dtype
    return same and values.dtype not in _LOW and not values.is_inference()


class Packed(Kept):
    """A packed weight and its bias as a module keeps them, for calls that change neither.

    Attributes
    ----------
    matrix : PreparedMatrix
        The weight.
    bias : ndarray of shape (m,), or None
        The bias, which shares the memory of the tensor.
    """

    __slots__ = ("_dtype", "_width", "bias", "matrix")

    def __init__(self, tensors, matrix, bias, array):
        super().__init__(tensors, bias)
        self._dtype, self._width = tensors[0].dtype, matrix.shape[1]
        self.matrix, self.bias = matrix, array

    @classmethod
    def of(cls, weight: tuple[Any, ...], bias: torch.Tensor | None) -> Packed | None:
        """Return what a module keeps, or None if the weight is not packed or must be converted."""
        values, columns, offsets, width = weight
        if not can_keep(values, bias):
            return None
        if bias is not None and not bias.is_contiguous():  # a copy would not see later changes
            return None
        found = weight_of(values, columns, offsets, width)
        if found.packed is None:
            return None
        array = None if bias is None else found.bias(bias)
        return cls((values, columns, offsets), found.packed, bias, array)

    def suits(self, x: torch.Tensor) -> bool:
        """Return whether `x` can be multiplied as it is."""
        shape = x.shape
        return (
            x.dtype is self._dtype and len(shape) > 0 and shape[-1] == self._width
            and not x.is_neg()
        )  # fmt: skip

    def linear(
        self, x: torch.Tensor, activation: str | None, workers: int | None
    ) -> torch.Tensor:
        """Return the layer's result for an input that `suits`."""
        array = (x.detach() if x.requires_grad else x).numpy()
        workers = threads_of(workers)
        return torch.from_numpy(
            self.matrix.linear(array, self.bias, activation=activation, workers=workers)
        )


class PackedBytes(Packed):
    """A packed weight of int8 and its bias as a module keeps them, for calls that change neither.

    `matrix` is an `Int8Matrix`.
    """

    __slots__ = ("_scales", "_scales_version")

    _scales: torch.Tensor
    _scales_version: int

    @classmethod
    def of(cls, weight: tuple[Any, ...], bias: torch.Tensor | None) -> PackedBytes | None:
        """Return what a module keeps, or None if changes of its tensors are not counted."""
        values, columns, offsets, scales, width = weight
        if any(tensor.is_inference() for tensor in (values, columns, offsets, scales)):
            return None
        matrix = int8_of(values, columns, offsets, scales, width)
        array = None if bias is None else array_of(bias)
        made = cls((values, columns, offsets), matrix, bias, array)
        made._scales, made._scales_version = scales, scales._version
        return made

    def has_scales(self, scales) -> bool:
        """Return whether this is the tensor of scales that was packed, as it was."""
        return scales is self._scales and scales._version == self._scales_version

    def suits(self, x: torch.Tensor) -> bool:
        """Return whether `x` can be rounded and multiplied as it is."""
        shape = x.shape
        return x.dtype is torch.float32 and len(shape) > 0 and shape[-1] == self._width


def checked_csr(
    values: np.ndarray, columns: np.ndarray, offsets: np.ndarray, shape: tuple[int, int]
) -> sp.csr_array:
    """Return the arrays as CSR, which shares their memory, or raise an error that names one."""
    try:
        csr = sp.csr_array((values, columns, offsets), shape, copy=False)
        csr.check_format(full_check=True)
    except ValueError as error:
        raise ValueError(
            f"values, columns and offsets must be a matrix of shape {shape} in CSR: {error}"
        ) from None
    if not csr.has_canonical_format:
        raise ValueError("columns must increase within each row")
    return csr


def _versions(*tensors):
    """Return what counts changes in place, or None for tensors of inference mode: nothing does."""
    if tensors[0].is_inference():  # a parameter that was converted there keeps its version
        return None
    try:
        return tuple(tensor._version for tensor in tensors)
    except RuntimeError:
        return None


def weight_of(
    values: torch.Tensor, columns: torch.Tensor, offsets: torch.Tensor, width: int
) -> Weight:
    """Return the weight of three tensors, from the table if they have not changed."""
    key = id(values)
    found = _table.get(key)
    shape = (offsets.shape[0] - 1, width)
    if found is not None:
        if found.holds(values, columns, offsets, shape):
            return found
        if found.renew(values, columns, offsets, shape):
            return found
    weight = Weight(values, columns, offsets, shape, lambda _: _table.pop(key, None))
    if weight._versions is not None:
        _table[key] = weight
    elif found is not None:
        _table.pop(key, None)
    return weight


def _count_fused_steps(optimizer, *_):
    """Count the changes that a fused step made, which PyTorch does not count on a CPU."""
    if torch.compiler.is_compiling():
        torch.compiler.disable(_count_fused_steps)(optimizer)
        return
    for group in optimizer.param_groups:
        if group.get("fused"):
            for parameter in group["params"]:
                if id(parameter) in _table:
                    increment_version(parameter)


register_optimizer_step_post_hook(_count_fused_steps)


class _Cache:
    """What is made from some tensors, until one of them changes or the first one is freed."""

    def __init__(self, make):
        self._make = make
        # By the first tensor, and then by the facts.
        self._known: dict[int, dict[tuple[Any, ...], Any]] = {}

    def get(self, tensors: tuple[torch.Tensor, ...], *facts: Any) -> Any:
        """Return what ``make(*tensors, *facts)`` returned for these tensors as they are."""
        key = id(tensors[0])
        versions = _versions(*tensors)
        found = self._known.get(key, {}).get(facts)
        if found is not None and found[1] == versions:
            if all(ref() is tensor for ref, tensor in zip(found[0], tensors, strict=True)):
                return found[2]
        made = self._make(*tensors, *facts)
        if versions is not None:
            first = weakref.ref(tensors[0], lambda _: self._known.pop(key, None))
            entry = (first, *map(weakref.ref, tensors[1:])), versions, made
            self._known.setdefault(key, {})[facts] = entry
        return made

    def forget(self, tensor: torch.Tensor) -> None:
        """Drop what was made from a tensor, which was the first one."""
        self._known.pop(id(tensor), None)


@_Cache
def _patterns(columns, offsets, width, dtype):
    shape = (offsets.shape[0] - 1, width)
    csr = checked_csr(np.zeros(columns.shape, dtype), array_of(columns), array_of(offsets), shape)
    return spkernels.prepare(csr, op="sddmm", dtype=dtype)


@_Cache
def _masks(columns, offsets, width):
    shape = (offsets.shape[0] - 1, width)
    values = np.ones(columns.shape, bool)
    return masks.from_sparse(checked_csr(values, array_of(columns), array_of(offsets), shape))


@_Cache
def _int8(values, columns, offsets, scales, width):
    shape = (offsets.shape[0] - 1, width)
    rows = torch.repeat_interleave(scales, offsets.diff())
    csr = checked_csr(array_of(values * rows), array_of(columns), array_of(offsets), shape)
    return spkernels.prepare(csr, dtype="int8")


def pattern_of(
    columns: torch.Tensor, offsets: torch.Tensor, width: int, dtype: np.dtype
) -> spkernels.PreparedPattern:
    """Return a structure that is prepared for sampled products."""
    return _patterns.get((columns, offsets), width, dtype)


def mask_of(columns: torch.Tensor, offsets: torch.Tensor, width: int) -> masks.Mask:
    """Return a structure as a mask of attention, whose column runs are computed once."""
    return _masks.get((columns, offsets), width)


def int8_of(
    values: torch.Tensor,
    columns: torch.Tensor,
    offsets: torch.Tensor,
    scales: torch.Tensor,
    width: int,
) -> spkernels.Int8Matrix:
    """Return the packed weight of int8 that stands for ``scales[row] * values``."""
    return _int8.get((values, columns, offsets, scales), width)


def forget(*tensors: torch.Tensor) -> None:
    """Drop what was made from some tensors, which may have changed unseen (through ``.data``)."""
    for tensor in tensors:
        _table.pop(id(tensor), None)
        for cache in (_patterns, _masks, _int8):
            cache.forget(tensor)
