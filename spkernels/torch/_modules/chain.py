"""Sparse linear layers that follow each other, called as one `spkernels.Chain`."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn.modules import module as _module

import spkernels

from .._eager import is_watched
from .._kept import Run, has_hooks
from .._threads import threads_of
from .fused import Fused
from .linear import SparseLinear

__all__ = ["call_modules", "may_chain"]

_forward_hooks = _module._global_forward_hooks
_forward_pre_hooks = _module._global_forward_pre_hooks
_backward_hooks = _module._global_backward_hooks
_backward_pre_hooks = _module._global_backward_pre_hooks
_tracing = torch._C._get_tracing_state

#: The modules that a run is made of.
_KINDS = frozenset({SparseLinear, Fused})


def may_chain() -> bool:
    """Return whether layers may pass arrays on: without gradients, hooks of all modules, traces."""
    return not (
        torch.is_grad_enabled()
        or torch.compiler.is_compiling()
        or _tracing() is not None
        or _forward_hooks
        or _forward_pre_hooks
        or _backward_hooks
        or _backward_pre_hooks
    )


def call_modules(modules: tuple[nn.Module, ...], x: Any) -> Any:
    """Call modules in turn, and layers that follow each other as one, where layers may chain."""
    place = 0
    while place < len(modules):
        module = modules[place]
        if type(module) is SparseLinear:
            run = _run_at(modules, place)
            result = None if run is None else _call(run, x)
            if run is not None and result is not None:
                x = result
                place += len(run)
                continue
        if type(module) is not Fused or has_hooks(module):
            x = module(x)
        place += 1
    return x


def _run_at(modules, place):
    """Return the run that begins at a layer, as it is now, or None if it is one of one layer."""
    run = modules[place]._run
    if run is not None and run.covers(modules, place):
        return run
    made = _made(modules, place)
    if made is not run:
        modules[place]._run = made
    return made


def _made(modules, place):
    """Return the longest run that begins at a layer, or None if its layers are not packed yet."""
    if len(modules) < place + 2 or type(modules[place + 1]) not in _KINDS:
        return None
    first, taken, kept = modules[place], [], []
    for module in modules[place:]:
        kind = type(module)
        if kind not in _KINDS or has_hooks(module):
            break
        packed = None
        if kind is SparseLinear:
            packed = module.packed()
            if packed is None or module.workers != first.workers:
                break
        taken.append(module)
        kept.append(packed)
    layers = [module for module, packed in zip(taken, kept, strict=True) if packed is not None]
    if len(layers) < 2:
        return None
    weights = [packed for packed in kept if packed is not None]
    chain = spkernels.Chain(
        [packed.matrix for packed in weights],
        [packed.bias for packed in weights],
        [layer.activation for layer in layers],
    )
    return Run(tuple(taken), tuple(kept), (chain, weights[0]))


def _call(run, x):
    """Return the result of a run, or None if the input must go through the first layer alone."""
    if type(x) is not torch.Tensor or not x.is_cpu or is_watched():
        return None
    chain, first = run.call
    if not first.suits(x):
        return None
    array = (x.detach() if x.requires_grad else x).numpy()
    shape = None
    if array.ndim > 2:
        shape = array.shape
        array = array.reshape(-1, shape[-1])
    result = torch.from_numpy(chain(array, workers=threads_of(run.workers)))
    return result if shape is None else result.view(*shape[:-1], result.shape[-1])
