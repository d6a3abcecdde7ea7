"""What layers with a sparse weight of a fixed structure have in common."""

from __future__ import annotations

import math
from typing import Any, NoReturn, Self

import numpy as np
import torch
from torch import nn

import spkernels

from .._packed import STORAGE, array_of, checked_csr, forget
from .._weights import Csr, csr_of, dense_of, read_weight
from .fused import scales_of

__all__ = ["SparseLayer", "SparseModule", "drawn", "taken"]


class SparseModule(nn.Module):
    """A module from whose tensors something is packed."""

    values: torch.Tensor

    def repack(self) -> None:
        """Have the next product read the tensors anew, after a change through ``.data``."""
        self._drop()
        forget(*self.parameters(), *self.buffers())

    def _drop(self):
        """Drop what is packed from the values."""
        forget(self.values)

    def _apply(self, *args: Any, **options: Any) -> Self:
        self._leave_to_be_swapped()
        return super()._apply(*args, **options)

    def _load_from_state_dict(self, *args: Any) -> None:
        self._leave_to_be_swapped()
        super()._load_from_state_dict(*args)

    def _leave_to_be_swapped(self):
        # PyTorch swaps no tensors to which there are weak references.
        if torch.__future__.get_swap_module_params_on_conversion():
            self.repack()

    def __prepare_scriptable__(self) -> NoReturn:
        raise TypeError(
            f"{type(self).__name__} cannot be compiled by torch.jit.script: torch.jit.trace and "
            "torch.export record it, torch.compile compiles it"
        )


class SparseLayer(SparseModule):
    """A layer whose weight is three tensors in CSR; what it computes is up to subclasses.

    The values are a Parameter if they are trained, and a buffer otherwise.
    """

    columns: torch.Tensor
    offsets: torch.Tensor
    bias: torch.Tensor | None

    def __init__(
        self,
        csr: Csr,
        bias: torch.Tensor | None,
        activation: str | None,
        workers: int | None,
        pattern: str | None,
        trained: bool,
    ):
        super().__init__()
        self.activation, self.workers, self.pattern = activation, workers, pattern
        self.trained = trained
        self._shape, self._width = csr.shape, csr.width
        # A plain attribute: what `densify_` needs is no buffer of the module.
        self._unfolded: Csr | None = None
        if trained:
            self.values = nn.Parameter(csr.values)
        else:
            self.register_buffer("values", csr.values)
        self.register_buffer("columns", csr.columns)
        self.register_buffer("offsets", csr.offsets)
        self.register_parameter("bias", bias)

    def _begin(self, device, generator):
        """Draw the first values, and move what was made on the CPU to a device."""
        self.reset_parameters(generator)
        # Old releases of torch.get_default_device do not know of ``with torch.device``.
        self.to(torch.empty(0).device if device is None else device)

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        """Draw values and bias anew: uniform, to the bound of PyTorch's dense layers.

        The bound is the inverse root of the mean number of values of a row.
        """
        with torch.no_grad():
            mean = self.values.numel() / max(1, self._shape[0])
            bound = 1 / math.sqrt(max(1.0, mean))
            for tensor in (self.values, self.bias):
                if tensor is not None:
                    tensor.uniform_(-bound, bound, generator=generator)

    @property
    def csr(self) -> Csr:
        """The weight in CSR, as tensors that share the memory of the layer."""
        return Csr(self.values, self.columns, self.offsets, self._width, self._shape)

    def weights(self) -> tuple[Csr, ...]:
        """Return the sparse weights, in the order of the names that the family has.

        Those of a layer that computes a batch norm as well are those before that.
        """
        return (self.csr if self._unfolded is None else self._unfolded,)

    def check_structure(self, name: str) -> None:
        """Raise an error that begins with a name if the tensors are no matrix in CSR."""
        if not self.values.is_cpu:
            return
        values, columns, offsets = map(array_of, (self.values, self.columns, self.offsets))
        try:
            checked_csr(values, columns, offsets, (len(offsets) - 1, self._width))
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None

    @property
    def is_folded(self) -> bool:
        """Whether the layer computes a batch norm as well."""
        return self._unfolded is not None

    def fold(self, norm: nn.Module) -> None:
        """Have the layer compute a batch norm of its channels as well, by running statistics."""
        scales, shifts = scales_of(norm)
        self._unfolded = csr = self.csr
        each = torch.repeat_interleave(scales, csr.offsets.diff())
        self._buffers["values"] = (csr.values.double() * each).to(csr.values.dtype)
        if self.bias is not None:
            shifts = shifts + self.bias.detach().double() * scales
        self.bias = nn.Parameter(shifts.to(csr.values.dtype), requires_grad=False)

    def _tensors(self):
        """Return the values, the columns, the offsets and the bias."""
        # `__getattr__` of modules takes a third of a microsecond.
        parameters, buffers = self._parameters, self._buffers
        try:
            values = parameters["values"] if self.trained else buffers["values"]
            return values, buffers["columns"], buffers["offsets"], parameters["bias"]
        except KeyError:  # the bias is parametrized, and computed at each access
            return self.values, self.columns, self.offsets, self.bias

    @property
    def weight(self) -> torch.Tensor:
        """The weight as a dense tensor."""
        return self._spread(self.values)

    @property
    def mask(self) -> torch.Tensor:
        """The places of the weights that are stored, as a dense tensor of bool."""
        return self._spread(torch.ones_like(self.values, dtype=torch.bool))

    def _spread(self, values):
        rows = torch.arange(self._shape[0], device=values.device)
        places = torch.repeat_interleave(rows, self.offsets.diff()), self.columns.long()
        dense = values.new_zeros(self._shape[0], self._width).index_put(places, values)
        return dense.reshape(self._shape)

    def _load_from_state_dict(self, state_dict, prefix, *rest):
        if getattr(state_dict.get(f"{prefix}offsets"), "shape", None) == self.offsets.shape:
            for name, tensor in (("values", self.values), ("columns", self.columns)):
                loaded = state_dict.get(prefix + name)
                if loaded is not None and loaded.dim() == 1 and loaded.shape != tensor.shape:
                    tensor.data = tensor.data.new_empty(loaded.shape)
                    tensor.grad = None
                    self.repack()
        super()._load_from_state_dict(state_dict, prefix, *rest)

    def train(self, mode: bool = True) -> Self:
        """Set the mode.  While values are trained, they are read where they are, not packed."""
        if mode and self.trained:
            self._drop()
        return super().train(mode)

    def _given_to(self, layer):
        """Give a dense layer the weight, the bias and the mode, and return it."""
        with torch.no_grad():
            layer.weight.copy_(dense_of(self.csr))
            if self.bias is not None:
                layer.bias.copy_(self.bias)
        return layer.train(self.training)

    def leave_inference_mode(self) -> None:
        """Copy buffers that were made in inference mode, as by ``model.to``: they cannot be packed.

        Changes of such tensors are not counted.
        """
        with torch.inference_mode(False):
            for name in ("values", "columns", "offsets"):
                self._buffers[name] = getattr(self, name).clone()

    def _facts(self):
        """Return what ``print(model)`` shows of every layer."""
        facts = (
            f"bias={self.bias is not None}, nnz={self.values.shape[0]}, "
            f"sparsity={self.csr.sparsity:.1%}"
        )
        return facts if self.activation is None else f"{facts}, activation={self.activation}"


def drawn(
    shape: tuple[int, ...],
    sparsity: float,
    mask: torch.Tensor | None,
    dtype: torch.dtype | None,
    generator: torch.Generator | None,
) -> Csr:
    """Return a weight of a shape whose places are those of `mask`, or are drawn on the CPU."""
    dtype = torch.get_default_dtype() if dtype is None else dtype
    if dtype not in STORAGE:
        raise TypeError(f"dtype must be float32, float64, float16 or bfloat16, got {dtype}")
    if mask is None and 0 in shape:
        mask = torch.zeros(shape, dtype=torch.bool, device="cpu")
    elif mask is None:
        seed = torch.randint(2**62, (), generator=generator, device="cpu")
        rng = np.random.default_rng(int(seed))
        kept = spkernels.datasets.random_pruned(shape[0], math.prod(shape[1:]), sparsity, rng=rng)
        mask = torch.from_numpy(kept.toarray() != 0).reshape(shape)
    elif tuple(mask.shape) != shape or mask.dtype is not torch.bool:
        raise ValueError(
            f"mask must be bool of shape {shape}, got {mask.dtype} of shape {tuple(mask.shape)}"
        )
    return csr_of(mask.to(dtype))


def taken(layer: nn.Module, kind: type[nn.Module]) -> tuple[Csr, nn.Parameter | None]:
    """Return copies of the weight of a dense layer of a kind, without zeros, and of its bias."""
    if not isinstance(layer, kind):
        raise TypeError(f"layer must be a torch.nn.{kind.__name__}, got {type(layer).__name__}")
    weight = read_weight(layer, "weight")
    if isinstance(weight, str):
        raise ValueError(f"layer cannot become sparse: {weight}")
    bias = layer.bias
    if bias is not None:
        bias = nn.Parameter(bias.detach().clone(), bias.requires_grad)
    return csr_of(weight), bias
