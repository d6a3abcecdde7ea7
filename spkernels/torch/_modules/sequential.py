"""`SparseSequential`, in which neighbouring sparse layers pass arrays to each other."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn.modules import module as _module

from .._eager import is_plain
from .._threads import threads_of
from .fused import Fused
from .linear import SparseLinear

__all__ = ["SparseSequential"]

_GLOBAL_HOOKS: tuple[dict[int, Any], ...] = (
    _module._global_forward_hooks,
    _module._global_forward_pre_hooks,
    _module._global_backward_hooks,
    _module._global_backward_pre_hooks,
)


class SparseSequential(nn.Sequential):
    """What `sparsify_` makes of a Sequential with sparse layers; its modules stay as they are.

    Without gradients, hooks and tracing, layers that follow each other pass arrays on, with the
    rows of a batch next to each other: kernels multiply columns, and a module takes four
    microseconds to call.
    """

    def forward(self, input: Any) -> Any:
        """Call all modules in turn."""
        if torch.compiler.is_compiling() or torch.is_grad_enabled() or any(_GLOBAL_HOOKS):
            return super().forward(input)
        layers: list[SparseLinear] = []
        for module in self._modules.values():
            if type(module) is Fused and not _has_hooks(module):
                continue
            if type(module) is SparseLinear and not _has_hooks(module):
                layers.append(module)
                continue
            if layers:
                input = _call(layers, input)
                layers.clear()
            input = module(input)
        return _call(layers, input) if layers else input


def _has_hooks(module):
    return module._forward_hooks or module._forward_pre_hooks or module._backward_hooks


def _call(layers, x):
    """Return what the layers return if each is called with the result of the one before."""
    packed = [layer.packed() for layer in layers] if len(layers) > 1 else [None]
    if None in packed or not (is_plain(x) and x.dim() and packed[0].suits(x)):
        for layer in layers:
            x = layer(x)
        return x
    lead = x.shape[:-1]
    array = (x.detach() if x.requires_grad else x).numpy()
    if len(lead) > 1:
        array = array.reshape(lead.numel(), array.shape[-1])
    turned, last = array.T, layers[-1]
    for layer, weight in zip(layers, packed, strict=True):
        turned = weight.matrix.spmm(
            turned,
            bias=weight.column if lead else weight.bias,
            activation=layer.activation,
            order="F" if layer is last else None,
            workers=threads_of(layer.workers),
        )
    result = torch.from_numpy(turned.T)
    return result.view(*lead, result.shape[-1]) if len(lead) > 1 else result
