"""`SparseSequential`, in which neighbouring sparse layers pass arrays to each other."""

from __future__ import annotations

from typing import Any

from torch import nn

from .chain import call_modules, may_chain

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
        return call_modules(tuple(self._modules.values()), input)
