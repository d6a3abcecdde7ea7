"""The modules of a model that may be replaced, what follows them, and the calls that reach them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import nn

from ._following import Chains, Following, unbroken
from ._measure import Times
from ._modules import FAMILIES
from ._modules.family import Family, Original
from ._needed import own_of
from ._record import Call, record
from ._report import Layer
from ._swap import Place, places_of
from ._weights import NO_SHAPE, PARAMETRIZED, Csr, csr_of, owner_of, pruned_by, read_weight

__all__ = ["Candidate", "candidates_of", "evaluating", "find_calls", "is_sparse", "owners_of",
           "strided"]  # fmt: skip

#: The share of zeros of a module's sparsest weight below which no sparse kernel is tried.
_MIN_SPARSITY = 0.3
_LEFT_DENSE: dict[type, str] = {
    nn.Bilinear: "a bilinear layer has no sparse kernel",
    nn.Embedding: "a lookup reads only the rows that it needs",
    nn.EmbeddingBag: "a lookup reads only the rows that it needs",
}


@dataclass
class Candidate:
    """A module that may be replaced, and what is known about it."""

    layer: Layer
    module: nn.Module
    family: Family
    places: list[Place]
    weights: list[Csr] = field(default_factory=list)
    #: What follows and becomes part of it.
    followings: tuple[Following, ...] = ()
    calls: list[Call] = field(default_factory=list)
    #: Why there are no calls, if there are none.
    uncalled: str = "example_inputs do not reach it"
    sparse: nn.Module | None = None
    #: A sparse module that is slower on its own, and the times of the dense one and of this one.
    slower: tuple[nn.Module, Times] | None = None
    #: Of the dense module and of `sparse`.
    times: Times | None = None
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
        return self.follow(call.on(self.module))

    def follow(self, result: Any) -> Any:
        """Return what all that follows the module makes of its result."""
        for following in self.followings:
            result = following.function(result)
        return result


def candidates_of(
    model: nn.Module,
    filter_fn: Callable[[nn.Module, str], bool] | None,
    traces: bool,
    read: Callable[[torch.Tensor], Any] = csr_of,
) -> tuple[list[Candidate], list[Layer]]:
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
        if is_sparse(module):
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
        candidate = Candidate(layer, module, family, places.get(module, []))
        if family.fuses:
            candidate.followings = chains.after(module, family.folds)
        reason = _why_not(candidate, owners, filter_fn, read)
        candidate.layer = replace(candidate.layer, reason=reason or "")
        layers.append(candidate.layer)
        if reason is None:
            candidates.append(candidate)
    return candidates, layers


def is_sparse(module: nn.Module) -> bool:
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
def strided(candidates: list[Candidate]) -> Iterator[None]:
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


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Put all modules into evaluation mode, keep the state of random numbers, and undo both."""
    modes = {module: module.training for module in model.modules()}
    with torch.random.fork_rng(devices=[]):
        try:
            model.eval()
            yield
        finally:
            for module, mode in modes.items():
                module.training = mode


def find_calls(
    model: nn.Module,
    candidates: list[Candidate],
    calls: list[Call],
    batches: Sequence[int],
    int8: bool = False,
) -> None:
    """Note the calls of each candidate, and leave out what follows where other code reads.

    For `int8`, the ranges of what would be rounded are noted as well.
    """
    if calls:
        parents = {candidate.module: candidate.outer for candidate in candidates}
        watched = {one.module: one.followings for one in candidates if one.followings}
        observers = {
            candidate.module: candidate.family.observe(candidate.module)
            for candidate in candidates
            if int8 and candidate.family.observe is not None
        }
        with unbroken(watched) as led:
            found = record(model, parents, calls, observers)
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
        candidate.uncalled = "a batch size does not tell the shape of its input"


def owners_of(candidates: list[Candidate]) -> dict[nn.Module, str]:
    """Return the modules whose times are those of candidates, with the names of these."""
    owners = {}
    for candidate in candidates:
        owners[candidate.module] = candidate.layer.name
        for following in candidate.followings:
            if following.module is not None:
                owners[following.module] = candidate.layer.name
    return owners
