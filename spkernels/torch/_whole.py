"""The whole model with its sparse modules: whether it works, and what it takes before and after."""

from __future__ import annotations

import torch
from torch import nn

from ._candidates import Candidate, owners_of
from ._difference import difference_of
from ._measure import predict, times_of
from ._needed import Readers
from ._profile import profile, shares_of
from ._record import Call, every_module_called
from ._report import Report
from ._swap import Swap
from ._trial import modules_of, stay_dense
from ._weights import owner_of

__all__ = ["leave_needed", "measure_whole", "swap_of"]


def swap_of(model: nn.Module, candidates: list[Candidate]) -> Swap:
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


def leave_needed(model: nn.Module, calls: list[Call], candidates: list[Candidate]) -> None:
    """Keep modules dense without which the model fails, or whose weights other code reads."""
    chosen = [candidate for candidate in candidates if candidate.sparse is not None]
    if not calls or not chosen:
        return

    def call_with(some):
        swap = swap_of(model, some)
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
        kept: list[Candidate] = []
        for candidate in chosen:
            try:
                call_with([*kept, candidate])
            except Exception as error:
                stay_dense(candidate, f"the model needs it: {_in_short(error)}")
            else:
                kept.append(candidate)
        chosen = kept
    for candidate in _read_elsewhere(call_with, chosen):
        stay_dense(candidate, "other code of the model reads its weight")


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


def measure_whole(
    model: nn.Module, swap: Swap, calls: list[Call], least: float, candidates: list[Candidate]
) -> Report:
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
        stay_dense(candidate, reason)
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
        modules_of(candidate.sparse for candidate in swapped),
        ready=True,
    )
    dense, sparse = times.seconds
    serial = times.serial != times.wall  # one thread was not tried if it might take long
    parts = profile(
        lambda: call_as(False), owners_of(swapped), wall=times.calm or not serial, serial=serial
    )
    predicted = predict(dense, _savings(swapped, shares_of(times, parts)))
    return Report((), dense, sparse, predicted, times.basis, error)


def _savings(candidates, shares):
    """Return the share of the time that each candidate takes, and what is left of that."""
    return [
        (shares.get(candidate.layer.name, 0.0), sparse / dense)
        for candidate in candidates
        for dense, sparse in [candidate.times.seconds]
    ]
