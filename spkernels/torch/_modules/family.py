"""What every kind of layer that can be replaced offers, and how the original is kept."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

import spkernels

from .._weights import Csr, dense_of, negative_zeros, owner_of, pruned_by

__all__ = ["Family", "Options", "Original", "describe"]


@dataclass(frozen=True)
class Options:
    """What `sparsify_` was told, for the modules that it makes."""

    int8: bool = False
    pattern: str | None = "auto"
    workers: int | None = None


@dataclass(frozen=True)
class Family:
    """A kind of layer that can be replaced by a sparse one.

    Attributes
    ----------
    kinds : tuple of type
        The classes of the modules.
    weights : callable
        ``weights(module)`` returns the names of the parameters that become sparse.  One of a child
        has the child's name and a dot before it.
    refuse : callable
        ``refuse(module)`` returns why a module must stay dense, or None.
    make : callable
        ``make(module, weights, activation, options)`` returns the sparse module.  `weights` are the
        `Csr` of the names.
    example : callable
        ``example(module, batch)`` returns the arguments of a call with a batch of that size, or
        None if the module alone does not tell their shapes.
    fuses : bool
        Whether the layer may compute an activation that follows it.
    make_int8 : callable, optional
        ``make_int8(module, weights, inputs, activation, options)`` returns a module that multiplies
        bytes, for inputs of the range ``inputs``, or raises an error that says why it cannot.
    make_for : callable, optional
        ``make_for(module, weights, calls, min_speedup, options)`` stands for `make` where the calls
        of the module are known.
    """

    kinds: tuple[type, ...]
    weights: Callable[[nn.Module], Sequence[str]]
    refuse: Callable[[nn.Module], str | None]
    make: Callable[[nn.Module, Sequence[Csr], str | None, Options], nn.Module]
    example: Callable[[nn.Module, int], tuple[Any, ...] | None]
    fuses: bool = False
    make_int8: Callable[..., nn.Module] | None = None
    make_for: Callable[..., nn.Module] | None = None


class Original:
    """A dense module whose weights are freed while a sparse module stands for it.

    The sparse module holds it as a plain object, so its parameters are not counted twice.  It is
    copied and pickled with the sparse module.
    """

    def __init__(self, module: nn.Module, names: Sequence[str]):
        self.module = module
        self.names = tuple(names)
        self._zeros: dict[str, np.ndarray | None] = {}
        self._strides: dict[str, tuple[int, ...]] = {}

    def __deepcopy__(self, memo: dict[int, Any]) -> Original:
        # Parameters in CSR, CSC, BSR and BSC cannot be copied by `copy.deepcopy`.
        for weight in self.module._parameters.values():
            if weight is not None and weight.layout is not torch.strided:
                copied = nn.Parameter(weight.detach().clone(), weight.requires_grad)
                memo[id(weight)] = copied
        made = Original.__new__(Original)
        memo[id(self)] = made
        made.__dict__.update(copy.deepcopy(self.__dict__, memo))
        return made

    def free(self) -> None:
        """Free the dense weights; those that pruning holds by parts, or that are sparse, stay."""
        for name in self.names:
            owner, leaf = owner_of(self.module, name)
            weight = owner._parameters.get(leaf)
            if weight is None or weight.layout is not torch.strided:
                continue
            self._zeros[name] = negative_zeros(weight.detach())
            self._strides[name] = weight.stride()
            weight.data = weight.data.new_empty(0)

    def restore(self, weights: Sequence[Csr]) -> nn.Module:
        """Return the module with the values that the sparse module has now."""
        for name, csr in zip(self.names, weights, strict=True):
            owner, leaf = owner_of(self.module, name)
            if name in self._strides:
                weight = owner._parameters[leaf]
                assert weight is not None
                dense = dense_of(csr, self._zeros.pop(name))
                into = torch.empty_strided(csr.shape, self._strides.pop(name), dtype=dense.dtype)
                weight.data = into.copy_(dense)
            elif pruned_by(owner, leaf) is not None:
                kept = dense_of(csr)
                part = owner._parameters[f"{leaf}_orig"]
                mask = kept != 0
                part.data[mask] = kept[mask].to(part.dtype)
        return self.module


def describe(*matrices: spkernels.PreparedMatrix) -> tuple[str, str]:
    """Return the names of the patterns of packed weights, and their kernels, each once."""
    patterns = dict.fromkeys(
        ", ".join(pattern.name for pattern in matrix.patterns) for matrix in matrices
    )
    kernels = dict.fromkeys(matrix.kernel for matrix in matrices)
    return " / ".join(patterns), " / ".join(kernels)
