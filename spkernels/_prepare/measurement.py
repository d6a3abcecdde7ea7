"""Which of some products is fastest, measured on a machine that may be busy.

Two clocks are read.  The CPU time of this thread, for what one thread does of a product: it stands
still while other processes have the CPU, nothing else takes part, and so its minima repeat.  Wall
time, for products on as many threads as they will have: that is what counts, but only where no
thread lost its CPU meanwhile, which involuntary context switches tell.

The CPU time of all threads together would say less than either: it holds the time that threads spin
in, and Linux adds up that of running threads only at the ticks of its scheduler.  Nor does the CPU
time of this thread say anything of products on several: the others do its tasks while it waits.
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

#: Seconds that all may take together, if nothing else is said.
BUDGET = 0.05

#: A candidate is measured no further once it takes so many times as long as the best.
_HOPELESS = 2.0
#: Seconds of a sample at least, which is so many calls: reading a clock takes a microsecond or two.
_SAMPLE = 1e-4
#: Samples after which a candidate is given up, at the earliest.
_MIN_SAMPLES = 2
#: Rounds before anything is concluded, and at most, of samples on one thread.
_MIN_ROUNDS, _MAX_ROUNDS = 4, 12
#: The same of stretches on all threads, and the seconds of one.
_MIN_STRETCHES, _MAX_STRETCHES, _STRETCH = 3, 8, 1e-3
#: Samples of a stretch, at least: the first ones find threads asleep.
_STRETCH_SAMPLES = 3
#: Seconds of a stretch of a candidate whose threads are not ours, as those of a BLAS.
_LONG_STRETCH = 6e-3
#: Seconds for which the threads of a BLAS may spin after a product (OpenBLAS: 2**26 cycles).
_SETTLING = 0.025
#: Undisturbed samples on all threads that are believed, or two that are most of all.
_MIN_CLEAN = 5
#: Times that differ by less are equal, however well they repeat.
_EQUAL = 0.02
#: What a guess is multiplied by that is compared with what was measured.
_DOUBT = 1.15
#: The noise of what was measured once.
_UNKNOWN = 0.1
#: Candidates that differ by more than that are no ties, however noisy the machine is.
_MAX_NOISE = 0.5
#: On all threads, a product takes no longer than all shares on one, but for starting them.
_SLOWER, _START = 1.15, 1e-5
#: The share of samples in which no thread lost its CPU from which on wall times are compared.
#: Mostly it is all or nothing: beside four busy processes on two CPUs hardly any are calm.
_CALM = 0.6
#: Wall time by CPU time, on one thread, from which on the machine is so crowded that nothing on all
#: threads is measured: one product may take 0.3 s there instead of 0.1 ms.
_CROWDED, _CROWDED_MORE = 1.5, 1e-3
#: How much slower one candidate is on one thread that will not win on two; on more, candidates may
#: differ more in how well these share the work.
_CLEAR = 0.3


#: Products that are measured at once would disturb each other.
exclusive = Lock()


class SystemClock:
    """The clocks that are read; tests have others."""

    wall = staticmethod(time.perf_counter)
    cpu = staticmethod(time.thread_time)
    sleep = staticmethod(time.sleep)

    @staticmethod
    def switches() -> int:
        """How often a thread of this process has lost its CPU to another."""
        return resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw


class Calls(NamedTuple):
    """One thread's share of a product, on this thread, where it can be had; all of it on all."""

    serial: Callable[[], object] | None
    parallel: Callable[[], object] | None
    #: Whether other threads than ours do it, which spin for some time afterwards.
    foreign: bool = False


@dataclass
class Timing:
    """What was measured of a candidate: seconds of each sample."""

    serial: list[float] = field(default_factory=list)
    parallel: list[float] = field(default_factory=list)
    #: Those of `parallel` in which no thread lost its CPU.
    clean: list[float] = field(default_factory=list)

    def is_believable(self, shares: float) -> bool:
        """Whether wall times tell what products on all threads take on an idle machine."""
        few = len(self.clean) < 2 or 2 * len(self.clean) < len(self.parallel)
        if len(self.clean) < _MIN_CLEAN and few:
            return False
        return not self.serial or min(self.clean) <= _SLOWER * shares * min(self.serial) + _START


@dataclass
class Measurements:
    """The `Timing` of each candidate, and whether this thread lost its CPU again and again."""

    timings: dict[str, Timing]
    crowded: bool = False
    #: Into how many a product is divided, one for each thread.
    shares: int = 1

    @property
    def calmness(self) -> float:
        """The share of samples on all threads in which none lost its CPU."""
        if self.crowded:
            return 0.0
        total = sum(len(t.parallel) for t in self.timings.values())
        return sum(len(t.clean) for t in self.timings.values()) / total if total else 1.0


@dataclass(frozen=True)
class Verdict:
    """What is best, and how that is known."""

    best: str
    #: Seconds of each, and by which share two halves of what was measured differ, at most.
    seconds: dict[str, float]
    spread: dict[str, float]
    #: "measured", "CPU time", "within noise" or "predicted".
    basis: str


# Measuring ----------------------------------------------------------------------------------------


def measure(candidates, clock=SystemClock, budget=BUDGET, shares=1, uneven=False, thorough=False):
    """Return the `Measurements` of some candidates.

    `shares`: of how many a serial call does one.  It ends early where one candidate is clearly the
    best, unless it is to be `thorough`.  Each is called a few times, however long that takes.
    `uneven`: whether some may have more threads than others.
    """
    timings = {name: Timing() for name in candidates}
    found = Measurements(timings, shares=shares)
    end = clock.wall() + budget
    serial = {name: calls.serial for name, calls in candidates.items() if calls.serial}
    wall, used = clock.wall(), clock.cpu()
    left = _measure_serial(serial, timings, clock, budget, thorough)
    wall, used = clock.wall() - wall, clock.cpu() - used
    found.crowded = bool(serial) and wall > _CROWDED * used + _CROWDED_MORE
    # Threads share the work of some candidates less well than that of others.
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
    # A BLAS may take a hundred times as long beside others, as its threads wait for each other.
    if not foreign or not (thorough or found.calmness >= _CALM):
        return found
    _measure_parallel(foreign, found, clock, end, _LONG_STRETCH, thorough, once=True)
    # Something may have begun in between: once more, but after what spins now.
    if own and clock.wall() < end + budget and _are_close(own, foreign, timings):
        clock.sleep(_SETTLING)
        end = clock.wall() + budget / 2
        _measure_parallel(own, found, clock, end, _STRETCH, thorough, once=True)
        _measure_parallel(foreign, found, clock, end, _LONG_STRETCH, thorough, once=True)
    return found


def _measure_serial(calls, timings, clock, budget, thorough):
    """Measure in turns on this thread, by its CPU time; return the names of what is still good."""
    counts, left = {}, list(calls)
    # Beside other processes, CPU time takes several times as long.
    end, used = clock.wall() + 2 * budget, clock.cpu() + budget / 3
    for name, call in calls.items():
        _sample(call, 1, clock.cpu)  # caches fill, memory is first touched
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
    """Measure in turns on all threads, by wall time."""
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
    """Return the seconds of a call, of so many in a row: fewer if they take longer than planned."""
    start = clock()
    done = 0
    while True:
        call()
        done += 1
        now = clock()
        if done == count or now - start > 2 * _SAMPLE:
            return (now - start) / done


def _within(names, timings, factor):
    """Return those that take at most so many times as long as the best, on one thread."""
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
    """Return by which share the minima of every other sample and of the rest differ."""
    if len(samples) < 2:
        return math.inf
    one, other = min(samples[::2]), min(samples[1::2])
    return abs(one - other) / max(min(one, other), 1e-12)


# Deciding -----------------------------------------------------------------------------------------


def decide(found, predicted, eligible=None):
    """Return the `Verdict` on `Measurements`; `predicted` has the seconds that a model says.

    The model chooses among candidates that differ by less than the noise.  `eligible`: the names of
    those that may be chosen, all if it is None.
    """
    timings = found.timings
    own = {name: t for name, t in timings.items() if t.serial}
    foreign = {name: t for name, t in timings.items() if not t.serial}
    measured = [t for t in timings.values() if t.parallel]
    quiet = found.calmness >= _CALM and all(t.is_believable(found.shares) for t in measured)
    # All threads may take longer than one thread for its share.  So what was given up on one thread
    # takes by as much longer than measured as the others did at most: it stays behind these.
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
            # What was measured is the most that it takes.
            guess = seconds[best] * predicted[name] / max(predicted[best], 1e-12)
            if guess < seconds[name]:
                # A guess wins only where it is clearly better.
                seconds[name], spread[name] = guess * _DOUBT, 0.0
                guessed.add(name)
    names = [name for name in seconds if eligible is None or name in eligible]
    best = min(names, key=seconds.get)
    noise = {name: max(_EQUAL, _finite(spread[name]), _finite(spread[best])) for name in names}
    # A guess is no tie of what was measured: it wins by being better or not at all.
    rivals = [name for name in names if name == best or name not in guessed]
    ties = [name for name in rivals if seconds[name] <= seconds[best] * (1 + noise[name])]
    chosen = min(ties, key=lambda name: predicted[name])
    basis = "measured" if quiet else "CPU time"
    if len(ties) > 1 and max(noise[name] for name in ties) > _EQUAL:
        basis = "within noise"
    elif chosen in guessed:
        basis = "predicted"
    return Verdict(chosen, seconds, spread, basis)
