"""The inputs that the modules of a model meet when it is called with example inputs."""

from __future__ import annotations

import itertools
import math
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

__all__ = ["Call", "eager", "every_module_called", "example_calls", "is_dense", "ranges_over",
           "record", "union"]  # fmt: skip


def is_dense(tensor: torch.Tensor) -> bool:
    """Return whether all elements of a tensor lie in the memory of the CPU."""
    return tensor.is_cpu and tensor.layout is torch.strided and not tensor.is_nested


@dataclass
class Call:
    """A call of a module, and others with inputs of the same shapes.

    Attributes
    ----------
    args, kwargs
        The arguments of the first call.
    count : int
        The number of calls.
    ranges : list of (float, float)
        The smallest and the largest element of each tensor that is observed, in all calls.
    within : bool
        Whether the parent of the module made all calls, so that no other code reads the results.
    changes : bool
        Whether the module changes its arguments, so that each call is given a copy.
    """

    args: tuple[Any, ...]
    kwargs: dict[str, Any] = field(default_factory=dict)
    count: int = 1
    ranges: list[tuple[float, float]] = field(default_factory=list)
    within: bool = True
    changes: bool = False

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the first tensor; () if there is none."""
        return next((tuple(tensor.shape) for tensor in self.tensors() if not tensor.is_nested), ())

    def tensors(self) -> Iterator[torch.Tensor]:
        """Yield the arguments that are tensors."""
        for value in (*self.args, *self.kwargs.values()):
            if isinstance(value, torch.Tensor):
                yield value

    def widen(self, tensors: Sequence[torch.Tensor]) -> None:
        """Note the ranges of tensors that are observed at a call."""
        self.ranges = ranges_over([self.ranges or [_EMPTY] * len(tensors), map(_range, tensors)])

    @property
    def signature(self) -> Any:
        """What calls that take the same time have in common: sizes, strides and dtypes."""
        return _signature((self.args, self.kwargs))

    def on(self, module: nn.Module) -> Any:
        """Call a module with these arguments."""
        args, kwargs = self.args, self.kwargs
        if self.changes:
            args, kwargs = _copied((args, kwargs))
        return module(*args, **kwargs)

    def try_on(self, module: nn.Module) -> None:
        """Call a module with a copy of these arguments, and note whether it changes them."""
        copies: dict[int, torch.Tensor] = {}
        args, kwargs = _copied((self.args, self.kwargs), copies)
        before = [(copied, copied._version) for copied in copies.values()]
        module(*args, **kwargs)
        self.changes = any(copied._version != version for copied, version in before)


_EMPTY = math.inf, -math.inf


def _range(tensor):
    if not (is_dense(tensor) and tensor.numel() and tensor.is_floating_point()):
        return _EMPTY
    low, high = (part.item() for part in tensor.aminmax())
    return low, high


def ranges_over(
    many: Iterable[Iterable[tuple[float, float]]],
) -> list[tuple[float, float]]:
    """Return the ranges that hold those of several lists, place by place."""
    return [union(*ranges) for ranges in zip(*many, strict=True)]


def union(*ranges: tuple[float, float]) -> tuple[float, float]:
    """Return the range that holds several ones; NaN if one has NaN."""
    if any(map(math.isnan, itertools.chain(*ranges))):
        return math.nan, math.nan
    lows, highs = zip(*ranges, strict=True)
    return min(lows), max(highs)


def example_calls(example_inputs: Any) -> list[Call]:
    """Return the calls of a model that example inputs stand for.

    These are a tensor, a tuple of arguments, a dict of keyword arguments, or a list of these.
    """
    many = example_inputs if isinstance(example_inputs, list) else [example_inputs]
    if not many:
        raise ValueError("example_inputs must hold at least one input, got an empty list")
    calls = []
    for one in many:
        if isinstance(one, torch.Tensor):
            calls.append(Call((one,)))
        elif isinstance(one, Mapping):
            calls.append(Call((), dict(one)))
        elif isinstance(one, tuple):
            calls.append(Call(one))
        else:
            raise TypeError(
                "example_inputs must be a tensor, a tuple of arguments, a dict of keyword "
                f"arguments, or a list of these, got {type(one).__name__}"
            )
    return calls


@contextmanager
def every_module_called() -> Iterator[None]:
    """Turn off the fused path of encoder layers, which calls no module, and set it back.

    Not all releases of PyTorch leave that path if modules have hooks.
    """
    fused = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fused)


@contextmanager
def eager() -> Iterator[None]:
    """Call models without what `torch.compile` made of them: hooks would be compiled with them."""
    stance = getattr(torch.compiler, "set_stance", None)
    if stance is None or "torch._dynamo" not in sys.modules:  # so nothing was compiled
        yield
        return
    with stance("force_eager"):
        yield


def record(
    model: nn.Module,
    modules: Mapping[nn.Module, nn.Module | None],
    calls: list[Call],
    observers: Mapping[nn.Module, Callable[..., Sequence[torch.Tensor]]],
) -> dict[nn.Module, list[Call]]:
    """Call the model, and return the calls that reach each of the modules.

    `modules` have their parents as values, or None where it does not matter who calls them.
    `observers` are called with the arguments of their modules, and return the tensors whose ranges
    are noted.
    """
    found: dict[nn.Module, dict[Any, Call]] = {}
    running: list[nn.Module] = []

    def hook(module, args, kwargs):
        same = found.setdefault(module, {})
        key = _signature((args, kwargs))
        if key in same:
            same[key].count += 1
        else:
            same[key] = Call(*_copied((args, kwargs)))
        if module in observers and all(map(is_dense, Call(args, kwargs).tensors())):
            same[key].widen(observers[module](*args, **kwargs))
        parent = modules[module]
        same[key].within &= parent is None or parent in running

    handles = [module.register_forward_pre_hook(hook, with_kwargs=True) for module in modules]
    for parent in {parent for parent in modules.values() if parent is not None}:
        handles.append(parent.register_forward_pre_hook(lambda one, args: running.append(one)))
        handles.append(parent.register_forward_hook(lambda one, args, made: running.remove(one)))
    try:
        with torch.no_grad(), every_module_called():
            for call in calls:
                call.try_on(model)
    finally:
        for handle in handles:
            handle.remove()
    return {module: list(same.values()) for module, same in found.items()}


def _signature(value, seen=None):
    """Return what calls that take the same time have in common.

    One tensor that is given twice is not two tensors: attention multiplies it once.
    """
    seen = [] if seen is None else seen
    if isinstance(value, torch.Tensor):
        place = next((place for place, one in enumerate(seen) if one is value), len(seen))
        seen.append(value)
        if value.is_nested or value.layout is not torch.strided:
            return place, value.layout, value.dtype
        return place, tuple(value.shape), value.stride(), value.dtype
    if isinstance(value, Mapping):
        return tuple((key, _signature(part, seen)) for key, part in value.items())
    if isinstance(value, tuple | list):
        return tuple(_signature(part, seen) for part in value)
    return value if isinstance(value, bool) else type(value)


def _copied(value, copies=None):
    """Return a copy, as modules that follow may change their input in place.

    A tensor that is given twice has one copy.  Containers of other classes stay as they are.
    """
    copies = {} if copies is None else copies
    if isinstance(value, torch.Tensor):
        if id(value) not in copies:
            copies[id(value)] = value.detach().clone()
        return copies[id(value)]
    if type(value) is dict:
        return {key: _copied(part, copies) for key, part in value.items()}
    if type(value) in (tuple, list):
        return type(value)(_copied(part, copies) for part in value)
    return value
