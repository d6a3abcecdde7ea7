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

from .._weights import Csr, dense_of, negative_zeros, owner_of, pruned_by, put_back

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
    biases : callable
        ``biases(module)`` returns the names of the biases.
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
    folds : bool
        Whether its sparse module has a method ``fold(norm)``, after which it computes a batch norm
        that follows it.
    make_int8 : callable, optional
        ``make_int8(module, weights, calls, min_speedup, activation, options)`` returns a module
        that multiplies bytes, for inputs of the ranges of the calls, or raises an error that says
        why it cannot.
    observe : callable, optional
        ``observe(module)`` returns a function that takes the arguments of a call of the module, and
        returns the tensors that would be rounded to bytes.
    make_for : callable, optional
        ``make_for(module, weights, calls, min_speedup, options)`` stands for `make` where the calls
        of the module are known.
    """

    kinds: tuple[type, ...]
    weights: Callable[[nn.Module], Sequence[str]]
    biases: Callable[[nn.Module], Sequence[str]]
    refuse: Callable[[nn.Module], str | None]
    make: Callable[[nn.Module, Sequence[Csr], str | None, Options], nn.Module]
    example: Callable[[nn.Module, int], tuple[Any, ...] | None]
    fuses: bool = False
    folds: bool = False
    make_int8: Callable[..., nn.Module] | None = None
    observe: Callable[[nn.Module], Callable[..., Sequence[torch.Tensor]]] | None = None
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
        """Free the dense weights; the parts that pruning holds, and sparse tensors, stay."""
        for name in self.names:
            owner, leaf = owner_of(self.module, name)
            weight = owner._parameters.get(leaf)
            if weight is None:
                owner.__dict__.pop(leaf, None)  # what a mask made of the parts
            elif weight.layout is torch.strided:
                self._zeros[name] = negative_zeros(weight.detach())
                self._strides[name] = _strides_of(weight)
                weight.data = weight.data.new_empty(0)

    def restore(self, sparse: nn.Module) -> nn.Module:
        """Return the module with the values that the sparse module has now."""
        # Loading may have put other parameters there.  The bias of a folded layer is not its own.
        folded = getattr(sparse, "is_folded", False)
        for path, parameter in () if folded else sparse.named_parameters():
            owner, leaf = _holder(self.module, path)
            if owner is not None and owner._parameters.get(leaf) is not parameter:
                _give(owner, leaf, parameter)
        weights = sparse.weights() if self.names else ()  # type: ignore[operator]
        kept = [csr for csr in weights if csr is not None]
        for name, csr in zip(self.names, kept, strict=True):
            owner, leaf = owner_of(self.module, name)
            dense = dense_of(csr, self._zeros.pop(name, None))
            weight = owner._parameters.get(leaf)
            if name in self._strides:
                assert weight is not None
                into = dense.new_empty_strided(csr.shape, self._strides.pop(name))
                weight.data = into.copy_(dense)
            else:
                _give(owner, leaf, dense)
        return self.module


def _holder(module, path):
    """Return the part of a module that has a parameter, or the parts of it, and its name there."""
    parent, _, leaf = path.rpartition(".")
    try:
        owner = module.get_submodule(parent)
    except AttributeError:
        return None, leaf
    known = leaf in owner._parameters or pruned_by(owner, leaf) is not None
    return owner if known else None, leaf


def _give(module, name, value):
    """Give a module a value of a parameter, in the layout that it has there."""
    known = module._parameters.get(name)
    if known is not None and known.layout is not torch.strided:
        if known.dtype is value.dtype and torch.equal(known.detach().to_dense(), value):
            return
        value = nn.Parameter(_in_layout(value.detach(), known), known.requires_grad)
    put_back(module, name, value)


def _strides_of(weight):
    """Return the strides of a tensor; those of a contiguous one if elements share memory."""
    strides = zip(weight.shape, weight.stride(), strict=True)
    places = 1 + sum((size - 1) * step for size, step in strides)
    if places < weight.numel():
        return torch.empty(weight.shape, device="meta").stride()
    return weight.stride()


def _in_layout(dense, like):
    """Return a tensor in the sparse layout of another one."""
    blocks = None
    if like.layout in (torch.sparse_bsr, torch.sparse_bsc):
        blocks = tuple(like.values().shape[-2:])
    return dense.to_sparse(layout=like.layout, blocksize=blocks)


def describe(*matrices: spkernels.PreparedMatrix) -> tuple[str, str]:
    """Return the names of the patterns of packed weights, and their kernels, each once."""
    patterns = dict.fromkeys(
        ", ".join(pattern.name for pattern in matrix.patterns) for matrix in matrices
    )
    kernels = dict.fromkeys(matrix.kernel for matrix in matrices)
    return " / ".join(patterns), " / ".join(kernels)
