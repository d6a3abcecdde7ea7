"""Times of several peers that compute the same in one process, in turns.

Each peer takes a turn per round, so that a machine that gets slower is slower for all peers.
Threads of a peer may spin for a while after its turn (those of OpenBLAS for some 30 ms), so the
next turn waits until the process is quiet.  Linux counts the time in which a thread was ready but
had no CPU, because other programs used it.  Samples with much of this time are dropped.

A rigorous comparison gives each peer a process of its own, as the project's benchmarks do.
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

#: The number of samples of a turn, and the length of a sample: short enough to fall between two
#: interruptions by other programs.
SAMPLES_PER_TURN = 3
SAMPLE_SECONDS = 0.003
#: The length of the calls before the clock starts.  They fill the caches and wake the threads, each
#: of which may have to wait for the end of another program's time slice of some milliseconds.
WARM_UP_SECONDS = 0.005
#: A sample is disturbed if its threads waited for a CPU for longer than this share of the time.
DISTURBED_SHARE = 0.05
#: If a peer has fewer undisturbed samples than this, measuring may take twice the time.
ENOUGH = 5


@dataclass(frozen=True)
class Sample:
    """Seconds per call, and the share of the time in which threads waited for a CPU."""

    seconds: float
    waited: float


@dataclass(frozen=True)
class Timing:
    """Seconds per call: the median and the quartiles of the undisturbed samples.

    If there are none, `noisy` is true, and the least disturbed quarter of the samples counts.
    `waited` is the largest share of the time in which threads of a counted sample waited for a CPU.
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
        """A lower bound of the seconds that a call takes without other programs on the CPUs."""
        return self.seconds * max(0.0, 1 - self.waited) if self.noisy else self.seconds


def interleave(
    calls: Mapping[str, Callable[[], Any]], seconds: float, rounds: int, threads: int
) -> dict[str, Timing]:
    """Time `calls` in turns, for at least `rounds` rounds and at least `seconds` in all.

    `threads` is the number of threads that a call uses.
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
    """Return the typical time of samples."""
    quiet = _undisturbed(samples)
    best = sorted(samples, key=lambda sample: sample.waited)
    kept = best[: quiet or max(1, len(best) // 4)]
    low, median, high = np.quantile([s.seconds for s in kept], (0.25, 0.5, 0.75)).tolist()
    dropped = len(samples) - len(kept)
    return Timing(median, low, high, len(kept), dropped, quiet == 0, kept[-1].waited)


def _undisturbed(samples: list[Sample]) -> int:
    return sum(sample.waited <= DISTURBED_SHARE for sample in samples)


def _repeats(call: Callable[[], Any]) -> int:
    """Return the number of calls of a sample; the first call, which sets up data, is not timed."""
    call()
    # The fastest call decides, as an interrupted call would make all samples too short.
    fastest = math.inf
    until = time.perf_counter() + WARM_UP_SECONDS
    while (start := time.perf_counter()) < until:
        call()
        fastest = min(fastest, time.perf_counter() - start)
    settle()
    return max(1, round(SAMPLE_SECONDS / fastest))


def _turn(call: Callable[[], Any], repeats: int) -> list[Sample]:
    """Return the samples of a turn; a call of the length of a sample needs no warming up."""
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
