"""The trial of a module: its sparse forms are made and measured, and the fastest is kept."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import nn

from ._candidates import Candidate
from ._difference import difference_of
from ._measure import Times, times_of, total
from ._modules import Options
from ._record import is_dense

__all__ = ["decide", "forms_of", "modules_of", "stay_dense", "try_candidate"]


def try_candidate(candidate: Candidate, options: Options, min_speedup: float) -> None:
    """Measure a candidate, and keep the sparse module if it is faster."""
    reason = _why_not_called(candidate)
    if reason is not None:
        stay_dense(candidate, reason)
        return
    forms = forms_of(candidate, min_speedup, options)
    first = candidate.calls[0]
    parts = []
    for call in candidate.calls:
        functions = [partial(candidate.on_dense, call)]
        functions += [partial(call.on, form) for form in forms]
        parts.append((times_of(functions, modules_of(forms)), call.count))
    times = total(parts)
    place = times.seconds.index(min(times.seconds[1:]), 1)
    sparse = forms[place - 1]
    patterns, kernel = sparse.describe()
    candidate.layer = replace(
        candidate.layer,
        input=first.shape,
        calls=sum(call.count for call in candidate.calls),
        pattern=patterns,
        kernel=kernel,
        error=difference_of(candidate.on_dense(first), first.on(sparse)),
        fused=tuple(one.place.name for one in candidate.followings),
    )
    wall, serial = ((seconds[0], seconds[place]) for seconds in (times.wall, times.serial))
    decide(candidate, sparse, Times(wall, serial, times.calm), min_speedup)


def decide(candidate: Candidate, sparse: nn.Module, times: Times, min_speedup: float) -> None:
    """Keep a sparse module if it is faster, by the times of the dense one and of this one."""
    dense_time, sparse_time = times.seconds
    candidate.layer = replace(
        candidate.layer, dense=dense_time, sparse=sparse_time, basis=times.basis, reason=""
    )
    if dense_time < min_speedup * sparse_time:
        stay_dense(candidate, f"{candidate.layer.speedup:.2f} times as fast")
        candidate.slower = sparse, times
        return
    _take_attributes(sparse, candidate.module)
    candidate.sparse, candidate.slower = sparse, None
    candidate.times = times


def _why_not_called(candidate):
    """Return why the calls of a candidate do not let it become sparse, or None."""
    if not candidate.calls:
        return candidate.uncalled
    if not all(is_dense(tensor) for call in candidate.calls for tensor in call.tensors()):
        return "its input is not a dense tensor on the CPU"
    return None


def stay_dense(candidate: Candidate, reason: str) -> None:
    """Note why a candidate stays dense."""
    candidate.sparse = None
    candidate.layer = replace(candidate.layer, reason=reason)


def _take_attributes(sparse, module):
    """Give a sparse module the attributes that other code gave the dense one."""
    for name, value in vars(module).items():
        if not (name.startswith("_") or isinstance(value, torch.Tensor) or hasattr(sparse, name)):
            sparse.__dict__[name] = value


def modules_of(forms: Iterable[nn.Module]) -> list[nn.Module]:
    """Return all modules of some modules."""
    return [module for form in forms for module in form.modules()]


def forms_of(candidate: Candidate, min_speedup: float, options: Options) -> list[Any]:
    """Return the sparse modules that may stand for a candidate."""
    module, family, weights = candidate.module, candidate.family, candidate.weights
    activation = candidate.activation
    if family.make_for is None:
        forms = [family.make(module, weights, activation, options)]
    else:
        forms = [family.make_for(module, weights, candidate.calls, min_speedup, options)]
    for norm in candidate.norms:
        forms[0].fold(norm)
    if options.int8 and family.make_int8 is not None:
        try:
            forms.append(
                family.make_int8(
                    module, weights, candidate.calls, min_speedup, activation, options
                )
            )
        except (TypeError, ValueError) as error:
            candidate.notes.append(f"{candidate.layer.name} has no int8: {error}")
    return [form.eval() for form in forms]
