"""The measurement of the fastest of several products, on a machine that may be busy.

Two clocks are read.  The CPU time of this thread measures one thread's share of a product.  It does
not advance while other processes have the CPU, and no other thread takes part, so its minima
repeat.  Wall time measures products on all of their threads.  It is the time that matters, but it
counts only if no thread lost its CPU meanwhile, which involuntary context switches show.

The CPU time of all threads together would say less than either.  It includes the time in which
threads spin, and Linux updates that of running threads only at the ticks of its scheduler.  The CPU
time of this thread says nothing about a product on several threads either, as other threads do its
tasks while it waits.
"""

from __future__ import annotations

import math
import resource
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from .._runtime.locks import Lock

__all__ = ["Calls", "SystemClock", "Timing", "Verdict", "decide", "exclusive", "measure"]

#: The seconds that all measurements together may take by default.
BUDGET = 0.05

#: A candidate is given up if it takes more than this multiple of the best time.
_HOPELESS = 2.0
#: The smallest length of a sample, in seconds.  A sample is several calls, as reading a clock takes
#: a microsecond or two.
_SAMPLE = 1e-4
#: The smallest number of samples after which a candidate is given up.
_MIN_SAMPLES = 2
#: The smallest and the largest number of rounds of samples on one thread.
_MIN_ROUNDS, _MAX_ROUNDS = 4, 12
#: The smallest and the largest number of stretches on all threads, and the seconds of a stretch.
_MIN_STRETCHES, _MAX_STRETCHES, _STRETCH = 3, 8, 1e-3
#: The smallest number of samples of a stretch; during the first ones threads may be asleep.
_STRETCH_SAMPLES = 3
#: The seconds of a stretch of a candidate with threads of another library, such as a BLAS.
_LONG_STRETCH = 6e-3
#: The seconds for which the threads of a BLAS may spin after a product (OpenBLAS: 2**26 cycles).
_SETTLING = 0.025
#: This number of undisturbed samples on all threads is enough; so are two if they are a majority.
_MIN_CLEAN = 5
#: Times whose relative difference is smaller are equal, even if they repeat better.
_EQUAL = 0.02
#: A predicted time is multiplied by this factor before it is compared with measured times.
_DOUBT = 1.15
#: The relative noise of a candidate that was measured once.
_UNKNOWN = 0.1
#: Candidates whose times differ by more than this are not equal, even on a noisy machine.
_MAX_NOISE = 0.5
#: On all threads, a product takes at most this multiple of all shares on one thread, and this time
#: in seconds to start the threads.
_SLOWER, _START = 1.15, 1e-5
#: Wall times are compared if in this share of the samples no thread lost its CPU.  Mostly either
#: nearly all samples are calm or hardly any, as beside four busy processes on two CPUs.
_CALM = 0.6
#: If wall time is above this multiple of CPU time on one thread, plus these seconds, the machine is
#: so crowded that products on all threads are not measured: one may take 0.3 s instead of 0.1 ms.
_CROWDED, _CROWDED_MORE = 1.5, 1e-3
#: A candidate that is slower by this share on one thread does not win on two.  On more threads the
#: share grows, as candidates differ more in how well threads share their work.
_CLEAR = 0.3


#: Held during a measurement, as products that are measured at once would disturb each other.
exclusive = Lock()


class SystemClock:
    """The system's clocks; tests use other clocks."""

    wall = staticmethod(time.perf_counter)
    cpu = staticmethod(time.thread_time)
    sleep = staticmethod(time.sleep)

    @staticmethod
    def switches() -> int:
        """Return the number of times that a thread of this process has lost its CPU."""
        return resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw


class Calls(NamedTuple):
    """The functions that a measurement calls for a candidate; either may be None."""

    #: Computes one thread's share of the product on this thread.
    serial: Callable[[], object] | None
    #: Computes the whole product on all threads.
    parallel: Callable[[], object] | None
    #: Whether threads of another library compute it, which spin for some time afterwards.
    foreign: bool = False


@dataclass
class Timing:
    """The samples of a candidate, in seconds per call."""

    serial: list[float] = field(default_factory=list)
    parallel: list[float] = field(default_factory=list)
    #: The samples of `parallel` in which no thread lost its CPU.
    clean: list[float] = field(default_factory=list)

    def is_believable(self, shares: float) -> bool:
        """Return whether wall times show the time of products on all threads of an idle machine."""
        few = len(self.clean) < 2 or 2 * len(self.clean) < len(self.parallel)
        if len(self.clean) < _MIN_CLEAN and few:
            return False
        return not self.serial or min(self.clean) <= _SLOWER * shares * min(self.serial) + _START


@dataclass
class Measurements:
    """The `Timing` of each candidate."""

    timings: dict[str, Timing]
    #: Whether this thread lost its CPU again and again.
    crowded: bool = False
    #: The number of shares of a product, one for each thread.
    shares: int = 1

    @property
    def calmness(self) -> float:
        """The share of samples on all threads in which no thread lost its CPU."""
        if self.crowded:
            return 0.0
        total = sum(len(t.parallel) for t in self.timings.values())
        return sum(len(t.clean) for t in self.timings.values()) / total if total else 1.0


@dataclass(frozen=True)
class Verdict:
    """The best candidate, and the evidence."""

    best: str
    #: The seconds of each candidate.
    seconds: dict[str, float]
    #: The relative difference of two halves of each candidate's samples.
    spread: dict[str, float]
    #: "measured", "CPU time", "within noise" or "predicted".
    basis: str


# Measuring ----------------------------------------------------------------------------------------


def measure(candidates, clock=SystemClock, budget=BUDGET, shares=1, uneven=False, thorough=False):
    """Return the `Measurements` of some candidates.

    A serial call does one of `shares` shares of a product.  Unless it must be `thorough`, the
    measurement ends early if one candidate is clearly the best.  Each candidate is called a few
    times, even if that takes longer than `budget` seconds.  With `uneven`, some candidates may use
    more threads than others.
    """
    timings = {name: Timing() for name in candidates}
    found = Measurements(timings, shares=shares)
    end = clock.wall() + budget
    serial = {name: calls.serial for name, calls in candidates.items() if calls.serial}
    wall, used = clock.wall(), clock.cpu()
    left = _measure_serial(serial, timings, clock, budget, thorough)
    wall, used = clock.wall() - wall, clock.cpu() - used
    found.crowded = bool(serial) and wall > _CROWDED * used + _CROWDED_MORE
    # Threads share the work of some candidates less evenly than that of others.
    clear = _HOPELESS if uneven else 1.0 + _CLEAR * math.log2(max(2, shares))
    left = left if thorough else _within(left, timings, clear)
    parallel = {
        name: calls.parallel
        for name, calls in candidates.items()
        if calls.parallel and (name in left or not calls.serial)
    }
    if not thorough and (len(parallel) <= 1 or found.crowded):
        return found
    own = {name: call for name, call in parallel.items() if not candidates[name].foreign}
    foreign = {name: call for name, call in parallel.items() if candidates[name].foreign}
    end = max(end, clock.wall() + budget / 2)
    until = clock.wall() + (0.4 if foreign else 1.0) * (end - clock.wall())
    _measure_parallel(own, found, clock, until, _STRETCH, thorough)
    # Beside busy processes a BLAS may take a hundred times as long, as its threads wait for each
    # other.
    if not foreign or not (thorough or found.calmness >= _CALM):
        return found
    _measure_parallel(foreign, found, clock, end, _LONG_STRETCH, thorough, once=True)
    # Another process may have started in between, so both are measured once more, after the threads
    # of the BLAS have stopped spinning.
    if own and clock.wall() < end + budget and _are_close(own, foreign, timings):
        clock.sleep(_SETTLING)
        end = clock.wall() + budget / 2
        _measure_parallel(own, found, clock, end, _STRETCH, thorough, once=True)
        _measure_parallel(foreign, found, clock, end, _LONG_STRETCH, thorough, once=True)
    return found


def _measure_serial(calls, timings, clock, budget, thorough):
    """Measure in turns on this thread, by its CPU time; return candidates that may still win."""
    counts, left = {}, list(calls)
    # Both times have limits: beside other processes, wall time may be several times CPU time.
    end, used = clock.wall() + 2 * budget, clock.cpu() + budget / 3
    for name, call in calls.items():
        _sample(call, 1, clock.cpu)  # this call fills the caches and touches memory first
        once = _sample(call, 1, clock.cpu)
        timings[name].serial.append(once)
        counts[name] = max(1, min(1000, math.ceil(_SAMPLE / max(once, 1e-9))))
    for done in range(1, _MAX_ROUNDS):
        if clock.wall() >= end or clock.cpu() >= used:
            break
        for name in left:
            timings[name].serial.append(_sample(calls[name], counts[name], clock.cpu))
        if thorough:
            continue
        left = _within(left, timings, _HOPELESS) if done >= _MIN_SAMPLES else left
        if len(left) == 1 and done > _MIN_SAMPLES:
            break
        if done >= _MIN_ROUNDS and all(_spread(timings[n].serial) <= _EQUAL for n in left):
            break
    return left


def _measure_parallel(calls, found, clock, end, seconds, thorough, once=False):
    """Measure in turns on all threads, by wall time, until `end` or until times repeat."""
    counts, timings = {}, found.timings
    for number in range(1 if once else _MAX_STRETCHES):
        for name, call in calls.items():
            timing, start = timings[name], clock.wall()
            if name not in counts:
                taken = _sample(call, 1, clock.wall)
                timing.parallel.append(taken)
                counts[name] = max(1, min(200, math.ceil(_SAMPLE / max(taken, 1e-9))))
            done = 0
            while done < 2 - 2 * bool(number) or (
                clock.wall() < end and (done < _STRETCH_SAMPLES or clock.wall() - start < seconds)
            ):
                before = clock.switches()
                taken = _sample(call, counts[name], clock.wall)
                timing.parallel.append(taken)
                if clock.switches() == before:
                    timing.clean.append(taken)
                done += 1
        if clock.wall() >= end:
            break
        if number + 1 >= _MIN_STRETCHES and found.calmness < _CALM and not thorough:
            break
        if number + 1 >= _MIN_STRETCHES and all(
            timings[n].is_believable(found.shares) and _spread(timings[n].clean) <= _EQUAL
            for n in calls
        ):
            break


def _sample(call, count, clock):
    """Return the mean seconds of `count` calls, or of fewer if they take longer than planned."""
    start = clock()
    done = 0
    while True:
        call()
        done += 1
        now = clock()
        if done == count or now - start > 2 * _SAMPLE:
            return (now - start) / done


def _within(names, timings, factor):
    """Return the candidates whose time on one thread is at most `factor` times the best one."""
    least = min((min(timings[name].serial) for name in names), default=0.0)
    return [name for name in names if min(timings[name].serial) <= factor * least]


def _are_close(own, foreign, timings):
    least, other = (
        min((min(timings[n].clean, default=math.inf) for n in names), default=math.inf)
        for names in (own, foreign)
    )
    return max(least, other) <= 1.25 * min(least, other)


def _finite(spread):
    return min(spread, _MAX_NOISE) if math.isfinite(spread) else _UNKNOWN


def _spread(samples):
    """Return the relative difference of the minima of the even and the odd samples."""
    if len(samples) < 2:
        return math.inf
    one, other = min(samples[::2]), min(samples[1::2])
    return abs(one - other) / max(min(one, other), 1e-12)


# Deciding -----------------------------------------------------------------------------------------


def decide(found, predicted, eligible=None):
    """Return the `Verdict` on `Measurements`.

    `predicted` has the seconds of a model, which chooses among candidates that differ by less than
    the noise.  Only candidates in `eligible` are chosen, or any if it is None.
    """
    timings = found.timings
    own = {name: t for name, t in timings.items() if t.serial}
    foreign = {name: t for name, t in timings.items() if not t.serial}
    measured = [t for t in timings.values() if t.parallel]
    quiet = found.calmness >= _CALM and all(t.is_believable(found.shares) for t in measured)
    # A product on all threads may take longer than one thread takes for its share.  The times of
    # candidates that were given up on one thread are multiplied by the largest such ratio of the
    # other candidates, so that they stay behind these.
    ratios = [min(t.clean) / max(min(t.serial), 1e-12) for t in own.values() if t.clean]
    stretch = max(ratios, default=1.0) if quiet else 1.0
    seconds, spread = {}, {}
    for name, t in own.items():
        if quiet and t.clean:
            seconds[name], spread[name] = min(t.clean), _spread(t.clean)
        else:
            seconds[name], spread[name] = min(t.serial) * stretch, _spread(t.serial)
    best = min(seconds, key=seconds.get, default=None)
    guessed = set()
    for name, t in foreign.items():
        seconds[name], spread[name] = min(t.clean or t.parallel, default=math.inf), _spread(t.clean)
        if best is not None and not quiet:
            # The measured time is an upper bound; the model may predict a shorter time.
            guess = seconds[best] * predicted[name] / max(predicted[best], 1e-12)
            if guess < seconds[name]:
                # A prediction wins only if it is clearly better.
                seconds[name], spread[name] = guess * _DOUBT, 0.0
                guessed.add(name)
    names = [name for name in seconds if eligible is None or name in eligible]
    best = min(names, key=seconds.get)
    noise = {name: max(_EQUAL, _finite(spread[name]), _finite(spread[best])) for name in names}
    # A prediction never counts as equal to a measured time; it must be better to win.
    rivals = [name for name in names if name == best or name not in guessed]
    ties = [name for name in rivals if seconds[name] <= seconds[best] * (1 + noise[name])]
    chosen = min(ties, key=lambda name: predicted[name])
    basis = "measured" if quiet else "CPU time"
    if len(ties) > 1 and max(noise[name] for name in ties) > _EQUAL:
        basis = "within noise"
    elif chosen in guessed:
        basis = "predicted"
    return Verdict(chosen, seconds, spread, basis)
