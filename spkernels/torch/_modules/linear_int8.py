"""`SparseInt8Linear`, which stands for `torch.nn.Linear` with weights and inputs of int8."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn

import spkernels

from .._eager import is_plain
from .._ops import linear_int8, linear_int8_now, multiply_rounded, step_of
from .._packed import PackedBytes, int8_of
from .._record import Call, ranges_over
from .._weights import Csr, bias_of, dense_of
from .family import Options
from .layer import SparseModule

__all__ = ["SparseInt8Linear", "check_float32", "make_int8", "observe"]


class SparseInt8Linear(SparseModule):
    """A linear layer whose sparse weight has a scale for each row, and its inputs have one scale.

    `sparsify_` makes it, with ``dtype="int8"``.  Inputs are rounded to bytes: values beyond the
    range of the example inputs become the nearest byte.  Sums are exact, so results have the same
    bits on every machine.

    Attributes
    ----------
    values : Tensor of shape (nnz,), int8
        The weights that are stored, row by row.
    columns, offsets : Tensor, int32
        The structure, as in `SparseLinear`.
    scales : Tensor of shape (out_features,), float32
        What one step of the weights of a row stands for.
    scale : float
        What one step of the inputs stands for.
    zero_point : int
        The byte that stands for the input 0.
    bias : Parameter of shape (out_features,), or None
    weight : Tensor of shape (out_features, in_features)
        What the bytes stand for as a dense tensor, which each access makes anew.
    """

    values: torch.Tensor
    columns: torch.Tensor
    offsets: torch.Tensor
    scales: torch.Tensor
    bias: torch.Tensor | None

    def __init__(
        self,
        csr: Csr,
        bias: torch.Tensor | None,
        scale: float,
        zero_point: int,
        activation: str | None = None,
        workers: int | None = None,
    ):
        super().__init__()
        matrix = spkernels.prepare(csr.toscipy(), dtype="int8")
        self.in_features, self.out_features = csr.width, csr.offsets.shape[0] - 1
        self.scale, self.zero_point = scale, zero_point
        self.activation, self.workers = activation, workers
        self.register_buffer("values", torch.from_numpy(matrix.toscipy().data))
        self.register_buffer("columns", csr.columns)
        self.register_buffer("offsets", csr.offsets)
        self.register_buffer("scales", torch.from_numpy(matrix.scale.copy()))
        self.register_parameter("bias", bias)
        self._packed: PackedBytes | None = None
        # A plain attribute: what `densify_` needs is no buffer of the module.
        self._floats = csr

    def _drop(self):
        self._packed = None
        super()._drop()

    def weights(self) -> tuple[Csr, ...]:
        """Return the weights before they were rounded."""
        return (self._floats,)

    @property
    def weight(self) -> torch.Tensor:
        """The weight that the bytes stand for, as a dense tensor."""
        rows = torch.repeat_interleave(self.scales, self.offsets.diff())
        shape = self.out_features, self.in_features
        return dense_of(Csr(self.values * rows, self.columns, self.offsets, shape[1], shape))

    def describe(self) -> tuple[str, str]:
        """Return the patterns of the weight, of which there are none, and the kernel."""
        matrix = int8_of(self.values, self.columns, self.offsets, self.scales, self.in_features)
        return "", matrix.kernel

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return ``activation(x @ W.T + bias)`` for `x` of shape (..., in_features)."""
        bias = self._parameters["bias"] if "bias" in self._parameters else self.bias
        return self.product(x, bias)

    def product(self, x: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        """Return what `forward` returns, with another bias."""
        # `__getattr__` of modules takes a third of a microsecond.
        buffers = self._buffers
        values, columns, offsets = buffers["values"], buffers["columns"], buffers["offsets"]
        scales, step = buffers["scales"], (self.scale, self.zero_point)
        weight = values, columns, offsets, scales, self.in_features
        if not is_plain(x, bias):
            return linear_int8(x, *weight, *step, bias, self.activation, self.workers)
        packed = self._packed
        if packed is not None and packed.suits(x) and packed.has_scales(scales):
            if packed.is_current(values, columns, offsets, bias):
                return multiply_rounded(
                    packed.matrix, x, packed.bias, *step, self.activation, self.workers
                )
        result = linear_int8_now(x, *weight, *step, bias, self.activation, self.workers)
        self._packed = PackedBytes.of(weight, bias)
        return result

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_packed": None}  # another process packs anew

    def extra_repr(self) -> str:
        """Return the facts that ``print(model)`` shows."""
        return (
            f"in_features={self.in_features}, out_features={self.out_features}, "
            f"bias={self.bias is not None}, nnz={self.values.shape[0]}, scale={self.scale:.3g}, "
            f"zero_point={self.zero_point}"
            + ("" if self.activation is None else f", activation={self.activation}")
        )


def make_int8(
    module: nn.Linear,
    weights: Sequence[Csr],
    calls: Sequence[Call],
    min_speedup: float,
    activation: str | None,
    options: Options,
) -> SparseInt8Linear:
    """Return the layer for inputs of the range that the calls have."""
    bias = bias_of(module)
    check_float32("bias", bias)
    (inputs,) = ranges_over(call.ranges for call in calls)
    return SparseInt8Linear(weights[0], bias, *step_of(*inputs), activation, options.workers)


def check_float32(name: str, bias: torch.Tensor | None) -> None:
    """Raise an error if a bias cannot be added to sums of bytes."""
    if bias is not None and bias.dtype is not torch.float32:
        raise TypeError(f"{name} must be float32, got {bias.dtype}")


def observe(module: nn.Module) -> Callable[..., Sequence[torch.Tensor]]:
    """Return a function that returns what the layer rounds, the input of a call."""
    return lambda input: (input,)
