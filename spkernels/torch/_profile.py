"""The times that the modules of a model take within calls of the model."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

from ._measure import SystemClock, Times, one_thread
from ._record import every_module_called

__all__ = ["REST", "profile", "shares_of"]

#: The name of what is in none of the modules.
REST = ""

#: The smallest number of calls, and the seconds after which no call begins.
_MIN_CALLS, _SECONDS = 3, 0.05


def profile(
    call: Callable[[], Any],
    owners: Mapping[nn.Module, str],
    *,
    wall: bool = True,
    serial: bool = True,
    clock: Any = SystemClock,
) -> dict[str, Times]:
    """Return the shortest times that modules, and the rest, take in one call of a model.

    A module that is called alone finds its weights in the caches.  The shortest times of the parts
    need not be of the same call, so other processes disturb their sum less than that of any call.

    Parameters
    ----------
    call : callable
        Calls the model.
    owners : mapping of Module to str
        Modules of the model, with the names by which their times are added.
    wall, serial : bool
        Whether the times on all threads and by one thread are measured.  One of them stands for the
        other where that is not.
    clock : SystemClock
        The clocks.
    """
    found = []
    if wall:
        found.append(_shortest(call, owners, clock.wall, clock))
    if serial:
        with one_thread(()):
            found.append(_shortest(call, owners, clock.cpu, clock))
    return {name: Times((seconds,), (found[-1][name],)) for name, seconds in found[0].items()}


def shares_of(whole: Times, parts: Mapping[str, Times]) -> dict[str, float]:
    """Return the share of the time of a model that each of its parts takes, except `REST`.

    The rest may be missing: then it is what is left of `whole`.
    """
    seconds = {}
    for name, part in parts.items():
        # What takes longer on all threads than on one was disturbed.
        seconds[name] = min(part.wall + part.serial) if whole.calm else part.serial[0]
    rest = seconds.pop(REST, math.inf)
    layers = sum(seconds.values())
    # The hooks that measure parts take time of the rest.
    total = max(layers, min(layers + rest, whole.seconds[0]))
    return {name: part / total for name, part in seconds.items()}


def _shortest(call, owners, read, clock):
    starts: dict[nn.Module, float] = {}
    spent: dict[str, float] = {}

    def before(module, args):
        starts[module] = read()

    def after(module, args, result):
        name = owners[module]
        spent[name] = spent.get(name, 0.0) + read() - starts[module]

    handles = []
    for module in owners:
        handles.append(module.register_forward_pre_hook(before))
        handles.append(module.register_forward_hook(after, prepend=True))
    shortest: dict[str, float] = {}
    try:
        with torch.no_grad(), every_module_called():
            end, done = clock.wall() + _SECONDS, 0
            while done < _MIN_CALLS or clock.wall() < end:
                spent.clear()
                start = read()
                call()
                spent[REST] = read() - start - sum(spent.values())
                done += 1
                for name, seconds in spent.items():
                    shortest[name] = min(seconds, shortest.get(name, seconds))
    finally:
        for handle in handles:
            handle.remove()
    return shortest
