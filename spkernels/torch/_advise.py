"""`advise`, which predicts the time of a model that was pruned, before anyone prunes it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from ._advice import Advice, AdvisedLayer, Outcome
from ._arguments import check_callable, checked_workers
from ._candidates import candidates_of, evaluating, find_calls, owners_of, strided
from ._draw import Pattern, outline_of
from ._exported import module_of
from ._measure import MEASURED, ONE_THREAD, Times, least, predict, times_of, total
from ._modules import Options
from ._onnx import read_onnx, session_of
from ._profile import REST, profile, shares_of
from ._record import Call, eager, example_calls
from ._trial import forms_of, modules_of

if TYPE_CHECKING:
    from onnx import ModelProto

__all__ = ["advise"]

#: A layer counts as sparse if it is faster by this factor, which is the default of `sparsify_`.
_MIN_SPEEDUP = 1.05
#: A whole model that takes fewer seconds is measured after each of its layers.
_SHORT = 0.1
#: Notes on ONNX models.
_OTHER = "the whole model was measured in onnxruntime, its layers in torch"
_ALONE = "the rest of the model counts as nothing: onnxruntime, which measures it, is not installed"


def advise(
    model: nn.Module | torch.export.ExportedProgram | ModelProto,
    example_inputs: Any,
    sparsities: Sequence[float] = (0.5, 0.7, 0.8, 0.9, 0.95),
    patterns: Sequence[str] = ("unstructured", "16x1", "4x4", "2:4"),
    *,
    filter_fn: Callable[[nn.Module, str], bool] | None = None,
    workers: int | None = None,
    progress: Callable[[str], None] | None = None,
) -> Advice:
    """Predict how fast a model would be if it were pruned, before anyone prunes it.

    Parameters
    ----------
    model : torch.nn.Module, torch.export.ExportedProgram or onnx.ModelProto
        A model on the CPU, pruned or not.  It stays as it is.
    example_inputs : tensor, tuple, dict, or list of these
        The arguments of a call of the model, as in `sparsify_`.  For an ONNX model, a dict of
        tensors by the names of its inputs.
    sparsities : sequence of float, optional
        The shares of zeros, above 0 and below 1.
    patterns : sequence of str, optional
        "unstructured", where any weight may be zero; rows x columns of blocks, such as "16x1" and
        "4x4", where all weights of a block are zero or none; and "2:4", where two of every four
        neighbouring weights of a row are zero.  Such a pattern has one sparsity, here 0.5.
    filter_fn : callable, optional
        ``filter_fn(module, name)`` returns whether a module may be pruned.
    workers : int, optional
        The largest number of threads of the sparse modules; by default `torch.get_num_threads`.
    progress : callable, optional
        Is called with a text before each measurement.

    Returns
    -------
    Advice
        ``print`` shows tables and an advice in words; `Advice.plot` draws the speed-ups.

    Raises
    ------
    TypeError, ValueError
        If an argument has a wrong type or value.

    See Also
    --------
    sparsify_ : makes a pruned model faster.

    Notes
    -----
    Each layer is measured with random weights at the shapes that the example inputs produce; layers
    with the same shapes are measured once.  What is left of the model's time stays (Amdahl's law).
    A layer that is not faster sparse counts as it is.

    Of an ONNX model, layers of torch with the same shapes are measured.  If onnxruntime is
    installed, it measures the whole model; if not, the rest of the model counts as nothing.

    Masks are random, so nothing is said about the accuracy of a pruned model.  Rows that pruning
    leaves with very different numbers of weights take somewhat longer.

    Examples
    --------
    >>> import torch
    >>> import spkernels.torch as st
    >>> model = torch.nn.Sequential(torch.nn.Linear(512, 512), torch.nn.ReLU())
    >>> advice = st.advise(model, torch.randn(8, 512), sparsities=[0.9], patterns=["16x1"])
    >>> [(outcome.pattern, outcome.sparsity) for outcome in advice.outcomes]
    [('16x1', 0.9)]
    """
    grid = _grid(sparsities, patterns)
    options = Options(workers=checked_workers(workers))
    check_callable("filter_fn", filter_fn)
    check_callable("progress", progress)
    say = progress or (lambda text: None)
    # As in `sparsify_`, whose modules pack no tensors of inference mode.
    with (
        torch.inference_mode(False),
        torch.no_grad(),
        eager(),
        torch.random.fork_rng(devices=[]),
    ):
        model, calls, run, notes = _opened(model, example_inputs)
        candidates, layers = candidates_of(model, filter_fn, True, outline_of)
        with evaluating(model), strided(candidates):
            find_calls(model, candidates, calls, ())
            whole = _Whole(lambda: [call.on(model) for call in calls], run, candidates, say)
            measured = _measured(candidates, grid, options, whole, say)
    return _advice(whole, candidates, layers, measured, grid, notes)


def _opened(model, example_inputs):
    """Return the model as a module, its calls, what else runs all of it or None, and notes."""
    if isinstance(model, torch.export.ExportedProgram):
        return module_of(model), example_calls(example_inputs), None, ()
    if isinstance(model, nn.Module):
        return model, example_calls(example_inputs), None, ()
    if type(model).__name__ != "ModelProto":
        raise TypeError(
            "model must be a torch.nn.Module, a torch.export.ExportedProgram or an "
            f"onnx.ModelProto, got {type(model).__name__}"
        )
    if not isinstance(example_inputs, Mapping):
        raise TypeError(
            "example_inputs must be a dict of tensors for an ONNX model, got "
            f"{type(example_inputs).__name__}"
        )
    run = session_of(model, example_inputs)
    note = _ALONE if run is None else _OTHER
    return read_onnx(model, example_inputs), [Call(())], run, (note,)


def _grid(sparsities, patterns):
    """Return the patterns with their sparsities."""
    try:
        wanted = tuple(sorted({float(sparsity) for sparsity in sparsities}))
    except (TypeError, ValueError):
        wanted = ()
    if not wanted or not all(0 < sparsity < 1 for sparsity in wanted):
        raise ValueError(f"sparsities must be shares above 0 and below 1, got {sparsities!r}")
    if isinstance(patterns, str) or not isinstance(patterns, Iterable) or not patterns:
        raise ValueError(f"patterns must be a sequence of at least one pattern, got {patterns!r}")
    found = [Pattern.of(name) for name in dict.fromkeys(patterns)]
    return {pattern: pattern.sparsities(wanted) for pattern in found}


class _Whole:
    """The whole model, which is measured again and again as other processes come and go."""

    def __init__(self, call, run, candidates, say):
        say("the whole model")
        self._call = call
        self._run = run or call
        self._owners = owners_of(candidates)
        self._times = [times_of([self._run])]
        self._parts = [self._profile()]

    def _profile(self):
        # One thread was tried if its times are others.
        serial = any(times.serial != times.wall for times in self._times)
        return profile(self._call, self._owners, serial=serial)

    def again(self):
        """Measure the model once more, if that takes little time."""
        if self._times[0].wall[0] < _SHORT:
            self._times.append(times_of([self._run], ready=True))
            self._parts.append(self._profile())

    @property
    def times(self):
        """The times of a call of the model."""
        return least(self._times)

    def shares(self):
        """Return the share of the time that each layer takes, by its name."""
        parts = {
            name: least([found[name] for found in self._parts])
            for name in self._parts[0]
            if name != REST or self._run is self._call
        }
        return shares_of(self.times, parts)


@dataclass
class _Measured:
    """The first layer that is alike; whether times were calm; what is left of them, by pattern."""

    like: str
    calm: bool
    left: dict[str, dict[float, float]]


def _measured(candidates, grid, options, whole, say):
    """Return what was measured of each candidate by its name.

    Candidates whose modules and calls are alike are measured once.
    """
    known: dict[Any, dict[Pattern, Times]] = {}
    firsts: dict[Any, str] = {}
    found = {}
    for candidate in candidates:
        if not candidate.calls:
            continue
        kind = _kind(candidate.module), tuple(one.activation for one in candidate.followings)
        parts = []
        for call in candidate.calls:
            key = kind, call.signature
            if key not in known:
                say(candidate.layer.name)
                known[key] = {
                    pattern: _times(candidate, call, pattern, sparsities, options)
                    for pattern, sparsities in grid.items()
                }
                whole.again()
            parts.append((known[key], call.count))
        all_calls = kind, tuple((call.signature, call.count) for call in candidate.calls)
        like = firsts.setdefault(all_calls, candidate.layer.name)
        by_pattern = {
            pattern: total([(times[pattern], count) for times, count in parts]) for pattern in grid
        }
        found[candidate.layer.name] = _Measured(
            like,
            all(times.calm for times in by_pattern.values()),
            {
                pattern.name: {
                    sparsity: times.seconds[1 + place] / times.seconds[0]
                    for place, sparsity in enumerate(grid[pattern])
                }
                for pattern, times in by_pattern.items()
            },
        )
    return found


def _kind(module):
    """Return what modules have in common that take the same time for the same call."""
    settings = tuple(
        (name, value)
        for name, value in vars(module).items()
        if isinstance(value, bool | int | float | str | tuple) and name != "training"
    )
    weights = tuple(
        (name, tuple(weight.shape), weight.dtype) for name, weight in module.named_parameters()
    )
    return type(module), settings, weights


def _times(candidate, call, pattern, sparsities, options):
    """Measure a layer as it is, and with random weights of a pattern."""
    rng = np.random.default_rng(0)
    outlines = candidate.weights
    forms = []
    for sparsity in sparsities:
        candidate.weights = [pattern.draw(outline, sparsity, rng) for outline in outlines]
        forms += forms_of(candidate, _MIN_SPEEDUP, options)
    candidate.weights = outlines
    functions = [partial(candidate.on_dense, call)]
    functions += [partial(call.on, form) for form in forms]
    return times_of(functions, modules_of(forms))


def _advice(whole, candidates, layers, measured, grid, notes):
    known, times, shares = {}, whole.times, whole.shares()
    for candidate in candidates:
        layer, found = candidate.layer, measured.get(candidate.layer.name)
        if found is None:
            reason = "the example inputs do not reach it"
            known[layer.name] = AdvisedLayer(layer.name, layer.kind, layer.shape, reason=reason)
            continue
        known[layer.name] = AdvisedLayer(
            layer.name,
            layer.kind,
            layer.shape,
            candidate.calls[0].shape,
            sum(call.count for call in candidate.calls),
            shares[layer.name] * times.seconds[0],
            shares[layer.name],
            MEASURED if found.calm else ONE_THREAD,
            {
                pattern: {sparsity: 1 / left for sparsity, left in by_sparsity.items()}
                for pattern, by_sparsity in found.left.items()
            },
            like=found.like,
        )
    advised = [
        known.get(layer.name)
        or AdvisedLayer(layer.name, layer.kind, layer.shape, reason=layer.reason)
        for layer in layers
    ]
    tried = [layer for layer in advised if not layer.reason]
    outcomes = [
        _outcome(times.seconds[0], tried, pattern.name, sparsity)
        for pattern, sparsities in grid.items()
        for sparsity in sparsities
        if tried
    ]
    return Advice(
        tuple(advised), tuple(outcomes), times.seconds[0], times.basis, torch.get_num_threads(),
        notes,
    )  # fmt: skip


def _outcome(dense, layers, pattern, sparsity):
    left = {}
    for layer in layers:
        speedup = layer.speedups[pattern][sparsity]
        left[layer.name] = 1 / speedup if speedup >= _MIN_SPEEDUP else 1.0
    seconds = predict(dense, [(layer.share, left[layer.name]) for layer in layers])
    most = max(1.0, sum(layer.share for layer in layers))
    shares = {
        layer.name: dense * layer.share / most * left[layer.name] / seconds for layer in layers
    }
    sparse = tuple(name for name, share in left.items() if share < 1)
    return Outcome(pattern, sparsity, seconds, dense / seconds, sparse, shares)
