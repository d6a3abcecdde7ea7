"""`sparsify_`, which replaces the modules that a sparse kernel makes faster, and `densify_`."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from numbers import Integral, Real
from typing import Any

import torch
from torch import nn

from ._chain import Chains, Following, unbroken
from ._difference import difference_of
from ._measure import Times, predict, times_of, total
from ._modules import FAMILIES, Options
from ._modules.family import Family, Original
from ._needed import Readers, own_of
from ._profile import profile, shares_of
from ._record import Call, eager, every_module_called, example_calls, is_dense, record
from ._report import Layer, Report, count_of
from ._swap import Place, Swap, places_of, restore
from ._weights import NO_SHAPE, PARAMETRIZED, Csr, csr_of, owner_of, pruned_by, read_weight

__all__ = ["densify_", "sparsify_"]

#: The share of zeros of a module's sparsest weight below which no sparse kernel is tried.
_MIN_SPARSITY = 0.3
#: A whole model that is slower than before by less than this share is slower by noise alone.
_NOISE = 0.03
#: The batches that modules are measured with if no inputs are given.
_DEFAULT_BATCHES = (1,)


@dataclass
class _Candidate:
    """A module that may be replaced, and what is known about it."""

    layer: Layer
    module: nn.Module
    family: Family
    places: list[Place]
    weights: list[Csr] = field(default_factory=list)
    #: What follows and becomes part of it.
    followings: tuple[Following, ...] = ()
    calls: list[Call] = field(default_factory=list)
    sparse: nn.Module | None = None
    #: Of the dense module and its sparse forms, and the place of the form that is `sparse`.
    times: tuple[Times, int] | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def activation(self) -> str | None:
        """The name of the activation that follows, or None."""
        return self.followings[-1].activation if self.followings else None

    @property
    def norms(self) -> list[nn.Module]:
        """The batch norm that follows, if there is one."""
        return [one.module for one in self.followings if one.activation is None and one.module]

    @property
    def outer(self) -> nn.Module | None:
        """The module that must make all calls, or None if any code may."""
        return self.followings[-1].place.parent if self.followings else None

    def on_dense(self, call: Call) -> Any:
        """Call the dense module and what follows it."""
        result = call.on(self.module)
        for following in self.followings:
            result = following.function(result)
        return result


def sparsify_(
    model: nn.Module,
    *,
    example_inputs: Any = None,
    filter_fn: Callable[[nn.Module, str], bool] | None = None,
    min_speedup: float = 1.05,
    dtype: str | torch.dtype | None = None,
    pattern: str | None = "auto",
    workers: int | None = None,
) -> Report:
    """Replace the modules of a pruned model that a sparse kernel makes faster, in place.

    Parameters
    ----------
    model : torch.nn.Module
        A model on the CPU whose weights hold zeros: dense tensors, weights with a mask of
        `torch.nn.utils.prune`, or sparse tensors.
    example_inputs : tensor, tuple, dict, list of these, or int or list of int, optional
        The arguments of a call of the model: a tensor, a tuple of arguments, or a dict of keyword
        arguments.  A list holds several calls.  Each module is measured at the shapes that these
        calls produce, and so is the whole model.  Integers are batch sizes, 1 by default: modules
        are then measured with random inputs if they alone tell their shapes, and the model is not
        called.
    filter_fn : callable, optional
        ``filter_fn(module, name)`` returns whether a module may be replaced.
    min_speedup : float, optional
        A module stays dense unless it becomes faster by this factor.
    dtype : {None, "int8"}, optional
        The dtype of products.  None keeps that of the weights.  With "int8", the weights of linear
        layers are rounded to bytes with a scale for each row, and so are their inputs, by the range
        that the example inputs produce.  This is done where bytes are faster than floats; the
        report has the error that it makes.
    pattern : str, optional
        The pattern of the weights, as in `spkernels.prepare`.
    workers : int, optional
        The largest number of threads of the new modules; by default `torch.get_num_threads` at each
        call.

    Returns
    -------
    Report
        What was done with each module, and why; ``print`` shows a table.

    Raises
    ------
    TypeError, ValueError
        If an argument has a wrong type or value.  The model is then as it was.

    See Also
    --------
    densify_ : gives the original model back.
    SparseLinear : a layer that trains sparse weights.

    Notes
    -----
    The dense weights are freed, except the parts from which a mask of pruning makes one.  New
    modules are for inference: their weights are buffers in CSR, which no optimizer sees, and
    gradients flow to their inputs and biases.  They can be saved, loaded, copied, compiled and
    exported as others can.

    The model is called many times, in evaluation mode and without gradients.  A module stays dense
    if it has hooks, a method ``forward`` or parameters of its own, if other code of the model reads
    its weight, or if the model fails with the sparse one.

    In `torch.nn.MultiheadAttention` each weight is measured on its own, and so are the linear
    layers of `torch.nn.TransformerEncoderLayer`.  The fused path of that layer reads dense weights,
    and is left out where one became sparse.  It is part of the time of the whole model before, and
    not of the times of modules.

    In `torch.nn.LSTM`, `GRU`, `RNN` and their cells each weight is measured on its own as well.
    Integers as `example_inputs` stand for batches of sequences of 32 steps there.

    A linear layer or a convolution computes the activation that follows it as well: ReLU, GELU,
    SiLU, Tanh, Sigmoid, LeakyReLU, ELU, Hardswish, Hardsigmoid or ReLU6.  So does a convolution
    that a batch norm in evaluation mode follows: its weights are multiplied by the scales of the
    norm, so that the model is for evaluation alone, and a call in training mode is an error.  What
    follows is the next module of a `torch.nn.Sequential`, the activation of a Transformer's layer,
    or what `torch.fx` finds in the `forward` of other modules, if it calls both modules once.  This
    is not done if other code calls the layer, or if a module that follows has hooks.

    Examples
    --------
    >>> import torch
    >>> import spkernels.torch as st
    >>> model = torch.nn.Sequential(torch.nn.Linear(1024, 1024), torch.nn.ReLU()).eval()
    >>> _ = torch.nn.utils.prune.l1_unstructured(model[0], "weight", amount=0.95)
    >>> report = st.sparsify_(model, example_inputs=torch.randn(8, 1024))
    >>> [layer.name for layer in report.layers]
    ['0']
    """
    options = _checked(model, filter_fn, min_speedup, dtype, pattern, workers)
    calls, batches = _inputs(example_inputs)
    if options.int8 and not calls:
        raise ValueError("example_inputs must be inputs for dtype 'int8', which they calibrate")
    # Tensors that are made in inference mode count no changes, so they could not be packed.
    with torch.inference_mode(False), torch.no_grad(), eager():
        return _sparsify(model, filter_fn, min_speedup, options, calls, batches)


def densify_(model: nn.Module) -> nn.Module:
    """Give a model that `sparsify_` changed its dense modules back, in place.

    Weights have the bits that they had, unless values of the sparse modules were changed since.
    Changes of a convolution that computes a batch norm as well are lost.

    Parameters
    ----------
    model : torch.nn.Module
        The model.  One that `sparsify_` did not change stays as it is.

    Returns
    -------
    torch.nn.Module
        The model.

    Examples
    --------
    >>> import torch
    >>> import spkernels.torch as st
    >>> model = torch.nn.Sequential(torch.nn.Linear(1024, 1024)).eval()
    >>> _ = torch.nn.utils.prune.l1_unstructured(model[0], "weight", amount=0.95)
    >>> _ = st.sparsify_(model, example_inputs=torch.randn(8, 1024))
    >>> st.densify_(model)
    Sequential(
      (0): Linear(in_features=1024, out_features=1024, bias=True)
    )
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"model must be a torch.nn.Module, got {type(model).__name__}")
    for module, places in places_of(model).items():
        original = module.__dict__.get("original")
        if isinstance(original, Original):
            dense = original.restore(module)
            dense.train(module.training)
            for place in places:
                place.parent._modules[place.name] = dense
    for module in model.modules():
        restore(module)
    return model


def _sparsify(model, filter_fn, min_speedup, options, calls, batches):
    """Measure, replace and report, with arguments that were checked."""
    candidates, layers = _candidates(model, filter_fn, bool(calls))
    with _evaluating(model), _strided(candidates):
        _find_calls(model, candidates, calls, batches)
        for candidate in candidates:
            _try(candidate, options, min_speedup)
        _leave_needed(model, calls, candidates)
        swap = _swap_of(model, candidates)
        report = _whole(model, swap, calls, min(min_speedup, 1 - _NOISE), candidates)
    swap.copy_modes()
    for candidate in candidates:
        if candidate.sparse is not None:
            _finish(candidate)
    known = {candidate.layer.name: candidate.layer for candidate in candidates}
    return replace(
        report,
        layers=tuple(known.get(layer.name, layer) for layer in layers),
        notes=_notes(model, candidates),
    )


def _checked(model, filter_fn, min_speedup, dtype, pattern, workers):
    if not isinstance(model, nn.Module):
        raise TypeError(f"model must be a torch.nn.Module, got {type(model).__name__}")
    if isinstance(model, torch.jit.ScriptModule):
        raise TypeError("model must not be TorchScript, whose layers cannot be replaced")
    check_callable("filter_fn", filter_fn)
    if isinstance(min_speedup, bool) or not isinstance(min_speedup, Real) or not min_speedup > 0:
        raise ValueError(f"min_speedup must be a positive number, got {min_speedup!r}")
    if dtype not in (None, "int8", torch.int8):
        raise ValueError(f"dtype must be None or 'int8', got {dtype!r}")
    return Options(dtype is not None, pattern, checked_workers(workers))


def check_callable(name: str, function: Any) -> None:
    """Raise an error unless an optional argument is a function."""
    if function is not None and not callable(function):
        raise TypeError(f"{name} must be None or callable, got {type(function).__name__}")


def checked_workers(workers: Any) -> int | None:
    """Return the argument `workers`, or raise an error that names it."""
    if workers is None:
        return None
    if isinstance(workers, bool) or not isinstance(workers, Integral) or workers < 1:
        raise ValueError(f"workers must be None or at least 1, got {workers!r}")
    return int(workers)


def _inputs(example_inputs):
    """Return the calls of the model, or the batch sizes if there are none."""
    if example_inputs is None:
        return [], _DEFAULT_BATCHES
    many = example_inputs if isinstance(example_inputs, list | tuple) else [example_inputs]
    if many and all(isinstance(one, int) and not isinstance(one, bool) for one in many):
        if min(many) < 1:
            raise ValueError(f"example_inputs must be positive batch sizes, got {min(many)}")
        return [], tuple(many)
    return example_calls(example_inputs), ()


def _candidates(model, filter_fn, traces, read=csr_of):
    """Return the modules that may be replaced, and the layers of all that have weights.

    `traces` is that of `Chains`, and `read` makes a `Csr` of a dense weight.
    """
    places, chains = places_of(model), Chains(model, traces)
    owners: dict[nn.Parameter, list[tuple[str, nn.Module]]] = {}
    for name, module in model.named_modules():
        for parameter in module._parameters.values():
            if parameter is not None:
                owners.setdefault(parameter, []).append((name, module))
    candidates, layers = [], []
    # Children whose weights are those of their parent, and all that is part of a sparse module.
    covered: set[nn.Module] = set()
    for name, module in model.named_modules():
        kind = type(module)
        family = FAMILIES.get(kind)
        if _is_sparse(module):
            covered.update(module.modules())
        if module in covered:
            continue
        if family is None:
            reason = _why_unknown(module)
            if reason is not None:
                layers.append(Layer(name, kind.__name__, _largest(module), reason=reason))
                covered.update(module.modules())
            continue
        covered.update(owner_of(module, weight)[0] for weight in family.weights(module))
        layer = Layer(name, kind.__name__, ())
        candidate = _Candidate(layer, module, family, places.get(module, []))
        if family.fuses:
            candidate.followings = chains.after(module, family.folds)
        reason = _why_not(candidate, owners, filter_fn, read)
        candidate.layer = replace(candidate.layer, reason=reason or "")
        layers.append(candidate.layer)
        if reason is None:
            candidates.append(candidate)
    return candidates, layers


def _is_sparse(module):
    """Return whether a module stands for a dense one, or for an activation that is fused."""
    return isinstance(module.__dict__.get("original"), Original)


def _why_unknown(module):
    """Return why a module that has a matrix is none of those that can be replaced, or None."""
    reason = _LEFT_DENSE.get(type(module))
    if reason is not None:
        return reason
    if nn.utils.parametrize.is_parametrized(module):
        return PARAMETRIZED
    if any(map(nn.parameter.is_lazy, module._parameters.values())):
        return NO_SHAPE
    for kind in type(module).__mro__[1:]:
        if kind in FAMILIES:
            return f"it is a subclass of {kind.__name__}, which may compute something else"
    if not module._modules and len(_largest(module)) > 1:
        return "there is no sparse form of it"
    return None


_LEFT_DENSE: dict[type, str] = {
    nn.Bilinear: "a bilinear layer has no sparse kernel",
    nn.Embedding: "a lookup reads only the rows that it needs",
    nn.EmbeddingBag: "a lookup reads only the rows that it needs",
}


def _largest(module):
    shapes = [
        tuple(parameter.shape)
        for parameter in module._parameters.values()
        if parameter is not None and not nn.parameter.is_lazy(parameter)
    ]
    return max(shapes, key=math.prod, default=())


def _why_not(candidate, owners, filter_fn, read):
    """Read the weights of a candidate, and return why it must stay dense, or None."""
    module, name = candidate.module, candidate.layer.name
    if not candidate.places:
        return "it is the whole model: put it into a torch.nn.Sequential"
    if filter_fn is not None and not filter_fn(module, name):
        return "filter_fn"
    weights = []
    for which in candidate.family.weights(module):
        owner, leaf = owner_of(module, which)
        holders = owners.get(owner._parameters.get(leaf), ())
        tied = [other for other, holder in holders if holder is not owner]
        if tied:
            return f"its weight is tied to that of {', '.join(tied)}"
        weight = read_weight(module, which)
        if isinstance(weight, str):
            return weight
        weights.append(weight)
    for which in candidate.family.biases(module):
        owner, leaf = owner_of(module, which)
        plain = leaf in owner._parameters or getattr(owner, leaf, None) is None
        if not plain and pruned_by(owner, leaf) is None:
            return f"its {which} is computed by a hook"
    names = *candidate.family.weights(module), *candidate.family.biases(module)
    own = own_of(module, names)
    if own is not None:
        return own
    candidate.layer = replace(
        candidate.layer, shape=max((tuple(w.shape) for w in weights), key=math.prod)
    )
    candidate.weights = [read(weight) for weight in weights]
    stored = sum(csr.values.numel() for csr in candidate.weights)
    size = sum(math.prod(csr.shape) for csr in candidate.weights)
    sparsity = 1 - stored / size if size else 0.0
    candidate.layer = replace(candidate.layer, sparsity=sparsity)
    if max((csr.sparsity for csr in candidate.weights), default=0.0) < _MIN_SPARSITY:
        return f"fewer than {_MIN_SPARSITY:.0%} of its weights are zero"
    return candidate.family.refuse(module)


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    """Put all modules into evaluation mode, keep the state of random numbers, and undo both."""
    modes = {module: module.training for module in model.modules()}
    with torch.random.fork_rng(devices=[]):
        try:
            model.eval()
            yield
        finally:
            for module, mode in modes.items():
                module.training = mode


@contextmanager
def _strided(candidates: list[_Candidate]) -> Iterator[None]:
    """Hold weights that are sparse tensors as dense ones, as few of PyTorch's modules take them."""
    held = []
    try:
        for candidate in candidates:
            for path in candidate.family.weights(candidate.module):
                owner, name = owner_of(candidate.module, path)
                parameters = owner._parameters
                weight = parameters.get(name)
                if weight is not None and weight.layout is not torch.strided:
                    held.append((parameters, name, weight))
                    parameters[name] = nn.Parameter(weight.detach().to_dense(), False)
        yield
    finally:
        for parameters, name, weight in held:
            parameters[name] = weight


def _find_calls(model, candidates, calls, batches):
    if calls:
        parents = {candidate.module: candidate.outer for candidate in candidates}
        watched = {one.module: one.followings for one in candidates if one.followings}
        with unbroken(watched) as led:
            found = record(model, parents, calls)
            for candidate in candidates:
                candidate.calls = found.get(candidate.module, [])
                # Other code may read what the norm or the activation would change.
                within = all(call.within for call in candidate.calls)
                if candidate.followings and not (within and led(candidate.module)):
                    candidate.followings = ()
        return
    for candidate in candidates:
        examples = (candidate.family.example(candidate.module, batch) for batch in batches)
        candidate.calls = [Call(args) for args in examples if args is not None]


def _why_not_called(candidate):
    """Return why the calls of a candidate do not let it become sparse, or None."""
    if not candidate.calls:
        return "example_inputs do not reach it"
    if not all(is_dense(tensor) for call in candidate.calls for tensor in call.tensors()):
        return "its input is not a dense tensor on the CPU"
    return None


def _try(candidate, options, min_speedup):
    """Measure a candidate, and keep the sparse module if it is faster."""
    reason = _why_not_called(candidate)
    if reason is not None:
        _stay_dense(candidate, reason)
        return
    forms = _forms(candidate, min_speedup, options)
    first = candidate.calls[0]
    parts = []
    for call in candidate.calls:
        functions = [lambda call=call: candidate.on_dense(call)]
        functions += [lambda call=call, form=form: call.on(form) for form in forms]
        parts.append((times_of(functions, _modules(forms)), call.count))
    times = total(parts)
    dense_time, sparse_time = times.seconds[0], min(times.seconds[1:])
    place = times.seconds.index(sparse_time, 1)
    sparse = forms[place - 1]
    patterns, kernel = sparse.describe()
    layer = replace(
        candidate.layer,
        input=first.shape,
        calls=sum(call.count for call in candidate.calls),
        pattern=patterns,
        kernel=kernel,
        dense=dense_time,
        sparse=sparse_time,
        basis=times.basis,
        error=difference_of(candidate.on_dense(first), first.on(sparse)),
        fused=tuple(one.place.name for one in candidate.followings),
    )
    candidate.layer = layer
    if dense_time < min_speedup * sparse_time:
        _stay_dense(candidate, f"{layer.speedup:.2f} times as fast")
        return
    _take_attributes(sparse, candidate.module)
    candidate.sparse = sparse
    candidate.times = times, place


def _stay_dense(candidate, reason):
    candidate.sparse = None
    candidate.layer = replace(candidate.layer, reason=reason)


def _take_attributes(sparse, module):
    """Give a sparse module the attributes that other code gave the dense one."""
    for name, value in vars(module).items():
        if not (name.startswith("_") or isinstance(value, torch.Tensor) or hasattr(sparse, name)):
            sparse.__dict__[name] = value


def _modules(forms):
    return [module for form in forms for module in form.modules()]


def _forms(candidate, min_speedup, options):
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
        ranges = [call.range for call in candidate.calls]
        inputs = min(low for low, _ in ranges), max(high for _, high in ranges)
        try:
            forms.append(family.make_int8(module, weights, inputs, activation, options))
        except (TypeError, ValueError) as error:
            candidate.notes.append(f"{candidate.layer.name} has no int8: {error}")
    return [form.eval() for form in forms]


def _swap_of(model, candidates):
    """Return the changes that replace the candidates that have a sparse module."""
    swap = Swap()
    for candidate in candidates:
        if candidate.sparse is None:
            continue
        for place in candidate.places:
            swap.put(place, candidate.sparse)
        for following in candidate.followings:
            swap.fuse(following.place)
    swap.keep_padding(model)
    return swap


def _leave_needed(model, calls, candidates):
    """Keep modules dense without which the model fails, or whose weights other code reads."""
    chosen = [candidate for candidate in candidates if candidate.sparse is not None]
    if not calls or not chosen:
        return

    def call_with(some):
        swap = _swap_of(model, some)
        swap.make()
        try:
            for call in calls:
                call.on(model)
        finally:
            swap.undo()

    try:
        call_with(chosen)
    except Exception:
        call_with([])  # raises what the model raises in any case
        kept = []
        for candidate in chosen:
            try:
                call_with([*kept, candidate])
            except Exception as error:
                _stay_dense(candidate, f"the model needs it: {_in_short(error)}")
            else:
                kept.append(candidate)
        chosen = kept
    for candidate in _read_elsewhere(call_with, chosen):
        _stay_dense(candidate, "other code of the model reads its weight")


def _in_short(error):
    text = next(iter(str(error).splitlines()), "")
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _read_elsewhere(call_with, candidates):
    """Return the candidates whose dense weights are read although sparse modules stand there."""
    freed = [
        (weight, place)
        for place, candidate in enumerate(candidates)
        for owner, leaf in _replaced(candidate)
        if (weight := owner._parameters.get(leaf)) is not None
    ]
    readers = Readers(freed)
    try:
        with readers:
            call_with(candidates)
    except Exception:
        return []  # the model works, but not while its operations are watched
    return [candidates[place] for place in readers.found]


def _replaced(candidate):
    """Return the owners and names of the weights of a candidate that are sparse now."""
    names = candidate.family.weights(candidate.module)
    pairs = zip(names, candidate.sparse.weights(), strict=True)
    return [owner_of(candidate.module, name) for name, csr in pairs if csr is not None]


def _whole(model, swap, calls, least, candidates):
    """Make the changes, measure the whole model, and take them back if it is slower."""
    swapped = [candidate for candidate in candidates if candidate.sparse is not None]
    if not swapped:
        return Report(())
    if not calls:
        swap.make()
        return Report(())

    made = False

    def turn(wanted):
        nonlocal made
        if made != wanted:
            swap.make() if wanted else swap.undo()
            made = wanted

    def call_as(wanted):
        turn(wanted)
        return [call.on(model) for call in calls]

    try:
        report = _compare(call_as, swapped)
        turn(report.dense >= least * report.sparse)
    except BaseException:
        turn(False)  # nobody could give the dense modules back
        raise
    if made:
        return report
    reason = f"the whole model would be {report.speedup:.2f} times as fast"
    for candidate in swapped:
        _stay_dense(candidate, reason)
    return report


def _compare(call_as, swapped):
    """Return the report of the whole model, which ``call_as(sparse)`` calls in either form."""
    state = torch.get_rng_state()

    def outputs(sparse):
        torch.set_rng_state(state)
        return call_as(sparse)

    # The fused path of encoder layers, which sparse ones do not take, gives zeros at padding.
    with every_module_called():
        error = difference_of(outputs(False), outputs(True))
    times = times_of(
        [lambda: call_as(False), lambda: call_as(True)],
        _modules(candidate.sparse for candidate in swapped),
        ready=True,
    )
    dense, sparse = times.seconds
    serial = times.serial != times.wall  # one thread was not tried if it might take long
    parts = profile(lambda: call_as(False), _owners(swapped), serial=serial)
    predicted = predict(dense, _savings(swapped, shares_of(times, parts)))
    return Report((), dense, sparse, predicted, times.basis, error)


def _owners(candidates):
    """Return the modules whose times are those of candidates, with the names of these."""
    owners = {}
    for candidate in candidates:
        owners[candidate.module] = candidate.layer.name
        for following in candidate.followings:
            if following.module is not None:
                owners[following.module] = candidate.layer.name
    return owners


def _savings(candidates, shares):
    """Return the share of the time that each candidate takes, and what is left of that."""
    return [
        (shares.get(candidate.layer.name, 0.0), times.seconds[place] / times.seconds[0])
        for candidate in candidates
        for times, place in [candidate.times]
    ]


def _finish(candidate):
    """Free the dense weights of a module that was replaced."""
    module, sparse = candidate.module, candidate.sparse
    names = [
        name
        for name, csr in zip(candidate.family.weights(module), sparse.weights(), strict=True)
        if csr is not None
    ]
    sparse.__dict__["original"] = original = Original(module, names)
    original.free()


def _notes(model, candidates):
    notes = [note for candidate in candidates for note in candidate.notes]
    swapped = sum(candidate.sparse is not None for candidate in candidates)
    standing = (module for module in model.modules() if _is_sparse(module))
    before = sum(bool(module.original.names) for module in standing) - swapped
    if before:
        notes.append(f"{count_of(before, 'module')} of the model became sparse before")
    if isinstance(getattr(model, "_orig_mod", None), nn.Module):
        notes.append("what torch.compile made of the model was left out of all measurements")
    if model.training and swapped:
        notes.append("the model is in training mode: call model.eval() for inference")
    return tuple(notes)
