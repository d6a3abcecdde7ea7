"""`SparseSequential`, in which neighbouring sparse layers pass arrays to each other."""

from __future__ import annotations

from typing import Any

from torch import nn

from .chain import call_chain, has_hooks, may_chain
from .fused import Fused
from .linear import SparseLinear

__all__ = ["SparseSequential"]


class SparseSequential(nn.Sequential):
    """What `sparsify_` makes of a Sequential with sparse layers; its modules stay as they are.

    Without gradients, hooks and tracing, layers that follow each other are a `spkernels.Chain`, as
    a module takes four microseconds to call.
    """

    def forward(self, input: Any) -> Any:
        """Call all modules in turn."""
        if not may_chain():
            return super().forward(input)
        layers: list[SparseLinear] = []
        for module in self._modules.values():
            kind = type(module)
            if (kind is SparseLinear or kind is Fused) and not has_hooks(module):
                if kind is SparseLinear:
                    layers.append(module)
                continue
            if layers:
                input = call_chain(layers, input)
                layers.clear()
            input = module(input)
        return call_chain(layers, input) if layers else input
