"""Sparse linear layers that follow each other, called as one `spkernels.Chain`."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.nn.modules import module as _module

import spkernels

from .._eager import is_plain
from .._threads import threads_of
from .linear import SparseLinear

__all__ = ["call_chain", "has_hooks", "may_chain"]

_GLOBAL_HOOKS: tuple[dict[int, Any], ...] = (
    _module._global_forward_hooks,
    _module._global_forward_pre_hooks,
    _module._global_backward_hooks,
    _module._global_backward_pre_hooks,
)


def may_chain() -> bool:
    """Return whether layers may pass arrays on: without gradients, hooks of all modules, traces."""
    traced = torch.compiler.is_compiling() or torch._C._get_tracing_state() is not None
    return not (torch.is_grad_enabled() or traced or any(_GLOBAL_HOOKS))


def has_hooks(module: nn.Module) -> bool:
    """Return whether code is called before or after a module, or in place of it."""
    return bool(
        module._forward_hooks
        or module._forward_pre_hooks
        or module._backward_hooks
        or "forward" in module.__dict__
    )


def call_chain(layers: Sequence[SparseLinear], x: Any) -> Any:
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
