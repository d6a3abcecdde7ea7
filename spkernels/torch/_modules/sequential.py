"""`SparseSequential`, in which neighbouring sparse layers pass arrays to each other."""

from __future__ import annotations

import operator
from typing import Any

import torch
from torch import nn
from torch.nn.modules import module as _module

import spkernels

from .._eager import is_plain
from .._threads import threads_of
from .fused import Fused
from .linear import SparseLinear

__all__ = ["SparseSequential", "has_hooks"]

_GLOBAL_HOOKS: tuple[dict[int, Any], ...] = (
    _module._global_forward_hooks,
    _module._global_forward_pre_hooks,
    _module._global_backward_hooks,
    _module._global_backward_pre_hooks,
)


class SparseSequential(nn.Sequential):
    """What `sparsify_` makes of a Sequential with sparse layers; its modules stay as they are.

    Without gradients, hooks and tracing, layers that follow each other are a `spkernels.Chain`, as
    a module takes four microseconds to call.
    """

    def forward(self, input: Any) -> Any:
        """Call all modules in turn."""
        if torch.is_grad_enabled() or _is_traced() or any(_GLOBAL_HOOKS):
            return super().forward(input)
        layers: list[SparseLinear] = []
        for module in self._modules.values():
            kind = type(module)
            if (kind is SparseLinear or kind is Fused) and not has_hooks(module):
                if kind is SparseLinear:
                    layers.append(module)
                continue
            if layers:
                input = _call(layers, input)
                layers.clear()
            input = module(input)
        return _call(layers, input) if layers else input


def _is_traced():
    return torch.compiler.is_compiling() or torch._C._get_tracing_state() is not None


def has_hooks(module: nn.Module) -> bool:
    """Return whether code is called before or after a module."""
    return bool(
        module._forward_hooks or module._forward_pre_hooks or module._backward_hooks
    )


def _chain(layers, packed):
    """Return the layers as a chain, which is kept until one of them is packed anew."""
    first = layers[0]
    known, chain = first._chain
    if len(known) != len(packed) or any(map(operator.is_not, known, packed)):
        chain = spkernels.Chain(
            [weight.matrix for weight in packed],
            [weight.bias for weight in packed],
            [layer.activation for layer in layers],
        )
        first._chain = packed, chain
    return chain


def _packed(layers):
    """Return what is packed of several layers with the same workers, or None."""
    packed, workers = [], layers[0].workers
    for layer in layers:
        weight = layer.packed()
        if weight is None or layer.workers != workers:
            return None
        packed.append(weight)
    return packed


def _call(layers, x):
    """Return what the layers return if each is called with the result of the one before."""
    packed = _packed(layers) if len(layers) > 1 else None
    if packed is None or not (is_plain(x) and x.dim() and packed[0].suits(x)):
        for layer in layers:
            x = layer(x)
        return x
    array = (x.detach() if x.requires_grad else x).numpy()
    if array.ndim > 2:
        array = array.reshape(-1, array.shape[-1])
    result = _chain(layers, packed)(array, workers=threads_of(layers[0].workers))
    made = torch.from_numpy(result)
    return made.view(*x.shape[:-1], result.shape[-1]) if x.dim() > 2 else made
