"""Timing several ways to do the same thing in one process, in turns.

Each peer takes a turn per round, so that a machine that gets slower is slower for all of them.
Threads of one peer may keep spinning for a while after its turn (OpenBLAS' for some 30 ms), so the
next turn waits until the process is quiet.  What other programs take shows as time in which
threads were ready but had no CPU, where Linux counts it; samples with much of it are dropped.

Separate processes per peer, as in the project's benchmarks, are the rigorous way.
"""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from .._runtime.settling import settle, waited
from .affinity import one_per_cpu

#: A turn is so many samples, and a sample as many calls as take so long: short enough to fall
#: between two interruptions.
SAMPLES_PER_TURN = 3
SAMPLE_SECONDS = 0.003
#: Calls before the clock starts, for this long: they fill the caches and wake the threads, each of
#: which may have to wait for the end of another program's time slice of some milliseconds.
WARM_UP_SECONDS = 0.005
#: A sample is disturbed if its threads waited for a CPU for longer than this share of the time.
DISTURBED_SHARE = 0.05
#: With fewer undisturbed samples than this, measuring takes up to twice as long.
ENOUGH = 5


@dataclass(frozen=True)
class Sample:
    """Seconds per call, and the share of the time in which threads waited for a CPU."""

    seconds: float
    waited: float


@dataclass(frozen=True)
class Timing:
    """Seconds per call: median and quartiles of the undisturbed samples.

    Where there are none, `noisy` is true and the least disturbed quarter of the samples counts.
    `waited` is the largest share of the time for which one of those that count waited for a CPU.
    """

    seconds: float
    low: float
    high: float
    samples: int
    dropped: int
    noisy: bool
    waited: float

    @property
    def least(self) -> float:
        """Seconds that a call would take at least, were there nobody else on the CPUs."""
        return self.seconds * max(0.0, 1 - self.waited) if self.noisy else self.seconds


def interleave(
    calls: Mapping[str, Callable[[], Any]], seconds: float, rounds: int, threads: int
) -> dict[str, Timing]:
    """Time `calls` in turns, for at least `rounds` rounds and `seconds` in all.

    `threads` is how many of them a call uses.
    """
    start = time.perf_counter()
    repeats = {name: _repeats(call) for name, call in calls.items()}
    taken: dict[str, list[Sample]] = {name: [] for name in calls}
    done = 0
    with one_per_cpu(threads) as move_caller:
        while (
            done < rounds
            or (elapsed := time.perf_counter() - start) < seconds
            or (elapsed < 2 * seconds and min(map(_undisturbed, taken.values())) < ENOUGH)
        ):
            for name, call in calls.items():
                move_caller()
                taken[name] += _turn(call, repeats[name])
                settle()
            done += 1
    return {name: summary(samples) for name, samples in taken.items()}


def summary(samples: list[Sample]) -> Timing:
    """Reduce samples to their typical time."""
    quiet = _undisturbed(samples)
    best = sorted(samples, key=lambda sample: sample.waited)
    kept = best[: quiet or max(1, len(best) // 4)]
    low, median, high = np.quantile([s.seconds for s in kept], (0.25, 0.5, 0.75)).tolist()
    dropped = len(samples) - len(kept)
    return Timing(median, low, high, len(kept), dropped, quiet == 0, kept[-1].waited)


def _undisturbed(samples: list[Sample]) -> int:
    return sum(sample.waited <= DISTURBED_SHARE for sample in samples)


def _repeats(call: Callable[[], Any]) -> int:
    """Return how many calls make a sample; the first call, which sets things up, counts not."""
    call()
    # The fastest, because an interrupted call would make all samples too short.
    fastest = math.inf
    until = time.perf_counter() + WARM_UP_SECONDS
    while (start := time.perf_counter()) < until:
        call()
        fastest = min(fastest, time.perf_counter() - start)
    settle()
    return max(1, round(SAMPLE_SECONDS / fastest))


def _turn(call: Callable[[], Any], repeats: int) -> list[Sample]:
    """Return some samples, or a single one of calls so long that they need no warming up."""
    samples = SAMPLES_PER_TURN
    if repeats == 1:
        samples = 1
    else:
        warm = time.perf_counter() + WARM_UP_SECONDS
        call()
        while time.perf_counter() < warm:
            call()
    collecting = gc.isenabled()
    gc.disable()
    try:
        return [_sample(call, repeats) for _ in range(samples)]
    finally:
        if collecting:
            gc.enable()


def _sample(call: Callable[[], Any], repeats: int) -> Sample:
    before = waited()
    start = time.perf_counter()
    for _ in range(repeats):
        call()
    elapsed = time.perf_counter() - start
    return Sample(elapsed / repeats, (waited() - before) / elapsed)
