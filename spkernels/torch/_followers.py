"""The trial of layers that follow a sparse one, with which they become a chain.

A chain costs one call.  So a small layer, of whose time on its own a call is most, may be faster
in the chain although it is not on its own.
"""

from __future__ import annotations

from functools import partial
from typing import cast

from torch import nn

from ._candidates import Candidate
from ._following import next_of
from ._measure import Times, times_of, total
from ._modules import SparseLinear, SparseSequential
from ._swap import Place
from ._trial import decide, modules_of

__all__ = ["try_followers"]

#: The least time that a layer adds to a chain, in seconds: differences of times may be negative.
_MIN_SECONDS = 1e-7


def try_followers(candidates: list[Candidate], min_speedup: float) -> bool:
    """Measure linear layers that are slower on their own with the sparse ones before them.

    Return whether one of them becomes sparse.
    """
    found = False
    before: dict[Place, Candidate] = {}
    for candidate in candidates:
        first = before.get(candidate.places[0]) if len(candidate.places) == 1 else None
        if first is not None and candidate.slower is not None:
            form, alone = candidate.slower
            if type(form) is SparseLinear and _same_calls(first, candidate):
                decide(candidate, form, _in_chain(first, candidate, form, alone), min_speedup)
                found = found or candidate.sparse is not None
        candidate.slower = None
        if type(candidate.sparse) is SparseLinear and len(candidate.places) == 1:
            next_place = _next(candidate)
            if next_place is not None:
                before[next_place] = candidate
    return found


def _next(candidate):
    """Return the next place in the Sequential of a candidate, after what it computes, or None."""
    place = candidate.places[0]
    last = candidate.followings[-1].place if candidate.followings else place
    return next_of(last) if last.parent is place.parent else None


def _same_calls(first, second):
    counts = [[call.count for call in one.calls] for one in (first, second)]
    return counts[0] == counts[1]


def _in_chain(first, second, form, alone):
    """Return the times of a dense layer, and what its sparse form adds to the layer before it."""
    sparse = cast(nn.Module, first.sparse)
    chain = SparseSequential(sparse, form)

    def apart(call):
        return second.follow(second.module(call.on(sparse)))

    parts = []
    for call in first.calls:
        functions = [partial(apart, call), partial(call.on, chain)]
        parts.append((times_of(functions, modules_of([chain])), call.count))
    both = total(parts)

    def added(alone, both):
        dense = alone[0]
        return dense, max(_MIN_SECONDS, dense - (both[0] - both[1]))

    return Times(
        added(alone.wall, both.wall), added(alone.serial, both.serial), alone.calm and both.calm
    )
