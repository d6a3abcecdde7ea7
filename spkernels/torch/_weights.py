"""Weights of modules as they come from pruning, in CSR, and back to dense tensors bit for bit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import prune

from ._packed import STORAGE, array_of

__all__ = ["NO_SHAPE", "PARAMETRIZED", "Csr", "bias_of", "csr_of", "dense_of", "joined",
           "negative_zeros", "owner_of", "pruned_by", "put_back", "read_weight",
           "rows_of"]  # fmt: skip

#: Why a parametrized module stays dense.
PARAMETRIZED = "it is parametrized: torch.nn.utils.parametrize.remove_parametrizations"
#: Why a module of `torch.nn.modules.lazy` stays dense.
NO_SHAPE = "its weight has no shape yet: call the model once before"

_INT32_MAX = 2**31 - 1


@dataclass(frozen=True)
class Csr:
    """A sparse weight: the tensors, the number of columns, and the shape of the dense tensor."""

    values: torch.Tensor
    columns: torch.Tensor
    offsets: torch.Tensor
    width: int
    shape: tuple[int, ...]

    def toscipy(self) -> sp.csr_array:
        """Return the weight as an array of scipy, which shares memory if its dtype allows that."""
        values, columns, offsets = (array_of(t) for t in (self.values, self.columns, self.offsets))
        shape = (len(offsets) - 1, self.width)
        return sp.csr_array((values, columns, offsets), shape, copy=False)

    @property
    def sparsity(self) -> float:
        """The share of zeros, from 0 to 1."""
        size = (self.offsets.shape[0] - 1) * self.width
        return 1 - self.values.shape[0] / size if size else 0.0


def owner_of(module: nn.Module, name: str) -> tuple[nn.Module, str]:
    """Return the module that has a parameter, and its name there; children have dots in `name`."""
    child, _, leaf = name.rpartition(".")
    return module.get_submodule(child), leaf


def pruned_by(module: nn.Module, name: str) -> prune.BasePruningMethod | None:
    """Return the hook of `torch.nn.utils.prune` that makes a parameter of a module, or None."""
    for hook in module._forward_pre_hooks.values():
        if isinstance(hook, prune.BasePruningMethod) and hook._tensor_name == name:
            return hook
    return None


def read_weight(module: nn.Module, name: str) -> torch.Tensor | str:
    """Return the weight that a module multiplies by, without a gradient, or why it must stay."""
    module, name = owner_of(module, name)
    if nn.utils.parametrize.is_parametrized(module, name):
        return PARAMETRIZED
    hook = pruned_by(module, name)
    if hook is not None:
        weight = hook.apply_mask(module).detach()
    else:
        weight = module._parameters.get(name)
        if weight is None:
            return "its weight is computed by a hook"
        if nn.parameter.is_lazy(weight):
            return NO_SHAPE
        weight = weight.detach()
    if weight.device.type != "cpu":
        return f"its weight is on the device {weight.device.type}"
    if weight.dtype not in STORAGE:
        return f"its weight has dtype {str(weight.dtype).removeprefix('torch.')}"
    if type(weight) is not torch.Tensor:
        return f"its weight is a {type(weight).__name__}"
    return weight


def bias_of(module: nn.Module, name: str = "bias") -> nn.Parameter | None:
    """Return the bias that a module adds; one that a mask of pruning makes is fixed."""
    module, name = owner_of(module, name)
    hook = pruned_by(module, name)
    if hook is None:
        return module._parameters.get(name)
    return nn.Parameter(hook.apply_mask(module).detach().clone(), requires_grad=False)


def put_back(module: nn.Module, name: str, value: torch.Tensor) -> None:
    """Give a module a value of a parameter: by its parts if a mask of pruning makes it.

    Elements that the mask leaves out keep what they were, unless they have a value now.
    """
    hook = pruned_by(module, name)
    if hook is None:
        setattr(module, name, value)
        return
    part, mask = module._parameters[f"{name}_orig"], module._buffers[f"{name}_mask"]
    assert part is not None and mask is not None
    value = value.detach()
    part.data = part.data.to(value.dtype)
    changed = part.data * mask != value
    part.data[changed] = value[changed]
    mask[changed & (value != 0)] = 1
    setattr(module, name, hook.apply_mask(module))


def csr_of(weight: torch.Tensor) -> Csr:
    """Return a dense or sparse weight in CSR, with one row for each of its first dimension.

    Zeros of either sign are left out.
    """
    shape = tuple(weight.shape)
    if weight.layout is not torch.strided:
        weight = weight.to_dense()
    weight = weight.flatten(1)
    mask = weight != 0
    counts = mask.sum(1)
    total = int(counts.sum())
    index = torch.int32 if max(total, weight.shape[1]) <= _INT32_MAX else torch.int64
    offsets = torch.zeros(shape[0] + 1, dtype=index, device=weight.device)
    torch.cumsum(counts, 0, dtype=index, out=offsets[1:])
    columns = mask.nonzero()[:, 1].to(index)
    return Csr(weight[mask], columns, offsets, weight.shape[1], shape)


def rows_of(csr: Csr, first: int, last: int) -> Csr:
    """Return the rows [first, last) of a weight of two dimensions, as a copy."""
    offsets = csr.offsets[first : last + 1]
    begin, end = int(offsets[0]), int(offsets[-1])
    values, columns = csr.values[begin:end].clone(), csr.columns[begin:end].clone()
    return Csr(values, columns, offsets - begin, csr.width, (last - first, csr.width))


def joined(parts: Sequence[Csr]) -> Csr:
    """Return a weight of two dimensions whose rows are those of the parts."""
    if len(parts) == 1:
        return parts[0]
    values, columns = (
        torch.cat([getattr(part, name) for part in parts]) for name in ("values", "columns")
    )
    counts = torch.cat([part.offsets.diff() for part in parts])
    offsets = F.pad(counts.cumsum(0, dtype=counts.dtype), (1, 0))
    width = parts[0].width
    return Csr(values, columns, offsets, width, (len(counts), width))


def dense_of(csr: Csr, zeros: np.ndarray | None = None) -> torch.Tensor:
    """Return the dense tensor of a weight, with the zeros of `negative_zeros` where they were."""
    height = csr.offsets.shape[0] - 1
    counts = csr.offsets.diff()
    rows = torch.repeat_interleave(torch.arange(height, device=counts.device), counts)
    dense = csr.values.new_zeros(height, csr.width)
    if zeros is not None:
        bits = np.unpackbits(zeros, count=height * csr.width).astype(bool)
        dense[torch.from_numpy(bits).view(height, csr.width)] = -0.0
    dense[rows, csr.columns.long()] = csr.values.detach()
    return dense.reshape(csr.shape)


def negative_zeros(weight: torch.Tensor) -> np.ndarray | None:
    """Return one bit for each element of a dense tensor that is -0, or None if there are none.

    ``weight * mask`` makes them of negative weights.
    """
    found = (weight == 0) & torch.signbit(weight)
    return np.packbits(found.reshape(-1).numpy()) if found.any() else None
