"""The modules that follow a module: each alone reads what the one before it gives.

In a Sequential these are its next modules.  What follows in the `forward` of another parent is seen
by `torch.fx`, which traces it with all children as they are.  A parent whose `forward` cannot be
traced, because it depends on data, tells nothing.
"""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import fx, nn

from ._kept import has_hooks
from ._modules import (
    SparseSequential,
    SparseTransformerDecoderLayer,
    SparseTransformerEncoderLayer,
)
from ._modules.fused import can_fold
from ._swap import Place, places_of

__all__ = ["Chains", "Following", "unbroken"]

_MODULES: dict[type, Callable[[Any], str | None]] = {
    nn.ReLU: lambda module: "relu",
    nn.GELU: lambda module: "gelu" if module.approximate == "none" else "gelu_tanh",
    nn.SiLU: lambda module: "silu",
    nn.Tanh: lambda module: "tanh",
    nn.Sigmoid: lambda module: "sigmoid",
    nn.LeakyReLU: lambda module: "leaky_relu" if module.negative_slope == 0.01 else None,
    nn.ELU: lambda module: "elu" if module.alpha == 1.0 else None,
    nn.Hardswish: lambda module: "hardswish",
    nn.Hardsigmoid: lambda module: "hardsigmoid",
    nn.ReLU6: lambda module: "relu6",
}
_FUNCTIONS: dict[Any, str] = {
    F.relu: "relu", torch.relu: "relu", F.gelu: "gelu", F.silu: "silu"
}  # fmt: skip
_LAYERS = (
    nn.TransformerEncoderLayer, nn.TransformerDecoderLayer,
    SparseTransformerEncoderLayer, SparseTransformerDecoderLayer,
)  # fmt: skip
_SEQUENTIALS = (nn.Sequential, SparseSequential)
#: The name for the result of a parent.
_RESULT = ""


@dataclass(frozen=True)
class Following:
    """What follows: the name of an activation, or None for a norm; how to call it; and where."""

    activation: str | None
    function: Callable[[torch.Tensor], torch.Tensor]
    place: Place

    @property
    def module(self) -> nn.Module | None:
        """The module that is called, if it is one."""
        return self.function if isinstance(self.function, nn.Module) else None


class Chains:
    """What follows the modules of a model.

    Parameters
    ----------
    model : torch.nn.Module
    traces : bool
        Whether code is traced.  Calls must show then that what was traced is what runs.
    """

    def __init__(self, model: nn.Module, traces: bool):
        self._places, self._traces = places_of(model), traces
        self._traced: dict[nn.Module, Mapping[str, str]] = {}

    def after(self, module: nn.Module, folds: bool) -> tuple[Following, ...]:
        """Return the norm, if the module `folds` one, and the activation that follow a module."""
        found: list[Following] = []
        places = self._places.get(module, [])
        while len(places) == 1:
            following = self._following(places[0])
            if following is None or (following.activation is None and not folds):
                break
            if following.activation is None and not can_fold(following.module, module):
                break
            found.append(following)
            if following.activation is not None:
                break
            folds, places = False, [following.place]
        return tuple(found)

    def _following(self, place):
        parent = place.parent
        if type(parent) in _LAYERS:
            if place.name != "linear1":
                return None
            found, function = Place(parent, "activation"), parent.activation
        else:
            found = self._next(place)
            function = None if found is None else found.parent._modules[found.name]
        if isinstance(function, nn.Module):
            if has_hooks(function):
                return None
            if isinstance(function, nn.modules.batchnorm._BatchNorm):
                return Following(None, function, found)
        name = _name_of(function)
        return None if name is None else Following(name, function, found)

    def _next(self, place):
        """Return the place of what alone reads the result of the module at a place, or None."""
        parent = place.parent
        name: str | None = _RESULT
        following = next_of(place)
        if following is not None:
            return following
        if type(parent) not in _SEQUENTIALS:
            name = self._trace(parent).get(place.name) if self._traces else None
        if name is None:
            return None
        if name != _RESULT:
            return Place(parent, name)
        places = self._places.get(parent, [])
        return self._next(places[0]) if len(places) == 1 and not has_hooks(parent) else None

    def _trace(self, parent):
        if parent not in self._traced:
            self._traced[parent] = _traced(parent)
        return self._traced[parent]


def next_of(place: Place) -> Place | None:
    """Return the next place of a Sequential, or None if there is none, or no Sequential."""
    if type(place.parent) not in _SEQUENTIALS:
        return None
    names = list(place.parent._modules)
    after = names[names.index(place.name) + 1 :]
    return Place(place.parent, after[0]) if after else None


class _Tracer(fx.Tracer):
    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return True


def _traced(parent: nn.Module) -> dict[str, str]:
    """Return the name of the child that alone reads what each child gives.

    Only children that are called once are there.
    """
    if type(parent).__module__.startswith("torch.") or parent.training:
        return {}
    parameters = inspect.signature(parent.forward).parameters.values()
    defaults = {one.name: one.default for one in parameters if one.default is not one.empty}
    try:
        with _unchanged(parent):
            graph = _Tracer().trace(parent, defaults)
    except Exception:  # whatever its code raises for operands that have no values
        return {}
    return _successors(graph)


@contextmanager
def _unchanged(module):
    """Give a module the attributes back that code sets to what traces compute with."""
    own = module.__dict__
    kept = dict(own)
    inner = [(value, dict(value)) for value in own.values() if isinstance(value, dict)]
    try:
        yield
    finally:
        for target, before in ((own, kept), *inner):
            if [(name, id(value)) for name, value in target.items()] != [
                (name, id(value)) for name, value in before.items()
            ]:
                target.clear()
                target.update(before)


def _successors(graph: fx.Graph) -> dict[str, str]:
    calls = [node for node in graph.nodes if node.op == "call_module"]
    # Children of children that are called or read apart from their parents.
    inner = {str(node.target).partition(".")[0] for node in graph.nodes
             if node.op in ("call_module", "get_attr") and "." in str(node.target)}  # fmt: skip
    times = Counter(node.target for node in calls)
    once = {name for name, count in times.items() if count == 1} - inner
    found = {}
    for node in calls:
        if node.target not in once or len(node.users) != 1:
            continue
        (user,) = node.users
        if user.op == "output" and user.args == (node,):
            found[node.target] = _RESULT
        elif user.op == "call_module" and user.target in once:
            if user.args == (node,) and not user.kwargs:
                found[node.target] = user.target
    return found


def _name_of(function):
    if not isinstance(function, nn.Module):
        return _FUNCTIONS.get(function)
    name = _MODULES.get(type(function))
    return None if name is None else name(function)


@contextmanager
def unbroken(
    chains: Mapping[nn.Module, tuple[Following, ...]],
) -> Iterator[Callable[[nn.Module], bool]]:
    """Watch calls, and yield what tells whether each call of a module led to all that follows it.

    Only modules are watched, as functions have no hooks.
    """
    results: dict[nn.Module, Any] = {}
    calls: Counter[nn.Module] = Counter()
    handles = []

    def watch(first, second):
        def after(module, args, result):
            calls[first] += 1
            results[first] = result

        def before(module, args):
            if args and args[0] is results.get(first):
                calls[first] -= 1

        handles.append(first.register_forward_hook(after))
        handles.append(second.register_forward_pre_hook(before))

    for module, followings in chains.items():
        path = [module, *(one.module for one in followings if one.module is not None)]
        for pair in zip(path, path[1:], strict=False):
            watch(*pair)
    try:
        yield lambda module: not any(
            calls[one] for one in (module, *(each.module for each in chains[module]))
        )
    finally:
        for handle in handles:
            handle.remove()
