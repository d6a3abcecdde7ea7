"""What a model needs of its modules besides the results of their calls."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn
from torch.nn.utils import prune
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from ._record import is_dense

__all__ = ["Readers", "own_of"]

_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


def own_of(module: nn.Module, names: Iterable[str]) -> str | None:
    """Return what a module has besides its class and its parameters `names`, or None.

    Masks of pruning are known.  All else would be lost with the module.
    """
    if "forward" in vars(module):
        return "its method forward is its own"
    for kind in _HOOKS:
        hooks = getattr(module, kind).values()
        if not all(isinstance(hook, prune.BasePruningMethod) for hook in hooks):
            return "it has hooks, which a sparse module would not call"
    known = {part for name in names for part in (name, f"{name}_orig", f"{name}_mask")}
    state = [name for name, _ in (*module.named_parameters(), *module.named_buffers())]
    own = [name for name in state if name not in known]
    return f"it has parameters or buffers of its own: {', '.join(own)}" if own else None


class Readers(TorchDispatchMode):
    """Finds which of some tensors operations read while it is active.

    Attributes
    ----------
    found : set
        The owners of these tensors.
    """

    def __init__(self, tensors: Iterable[tuple[torch.Tensor, Any]]):
        super().__init__()
        self._spans = [(_span(tensor), owner) for tensor, owner in tensors if tensor.numel()]
        self.found: set[Any] = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        """Note what an operation reads, and call it."""
        for value in tree_leaves((args, kwargs)):
            if type(value) in (torch.Tensor, nn.Parameter) and is_dense(value) and value.numel():
                first, last = _span(value)
                self.found.update(
                    owner for (low, high), owner in self._spans if low < last and first < high
                )
        return func(*args, **(kwargs or {}))


def _span(tensor):
    """Return the addresses of the first element of a tensor and of the end of its last one."""
    last = sum((size - 1) * step for size, step in zip(tensor.shape, tensor.stride(), strict=True))
    first = tensor.data_ptr()
    return first, first + (last + 1) * tensor.element_size()
