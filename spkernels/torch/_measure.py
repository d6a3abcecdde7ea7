"""The times of calls that are compared, on a machine that may be busy.

Functions are called in turns, so that a disturbance meets all of them, and the shortest times
count.  Where other processes run, the threads of a call wait for each other: a thread that has lost
its CPU gets it back after some milliseconds, so that a call of 0.2 ms takes 8 ms each time.  One
thread would be faster then.  So the times by one thread are measured as well, by the CPU time of
that thread, which does not advance while others have the CPU.  If the times by all threads are
above these, or do not repeat, the functions are compared by one thread.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

__all__ = ["MEASURED", "ONE_THREAD", "SystemClock", "Times", "least", "one_thread", "predict",
           "times_of", "total"]  # fmt: skip

#: What times are: those of calls as they are, or those by one thread.
MEASURED = "measured"
ONE_THREAD = "by one thread, as other processes were running"

#: Calls of each function that are made before any is timed: the second call packs.
_WARM = 3
#: The seconds that one function is called in a turn.
_TURN_SECONDS = 0.002
#: A call that takes more seconds is not repeated within a turn.
_LONG = 0.1
#: The smallest number of turns by all threads, and by one thread.
_MIN_TURNS, _MIN_SERIAL_TURNS = 3, 2
#: The seconds for each function after which turns end if times repeat, and if they do not.
_SECONDS, _PATIENCE = 0.03, 0.15
#: Turns end after half of these seconds.  One thread is not tried if one call of each function has
#: more CPU time than all of them, and calls that were made before are then not repeated.
_MAX_SECONDS = 4.0
#: Times repeat if the two shortest ones differ by at most this share.
_EQUAL = 0.1
#: On all threads, a call takes at most this multiple of its time on one thread, and these seconds
#: more to start the threads.
_SLOWER, _START = 1.15, 2e-5


class SystemClock:
    """The system's clocks; tests use other clocks."""

    wall = staticmethod(time.perf_counter)
    cpu = staticmethod(time.thread_time)
    all_threads = staticmethod(time.process_time)


@dataclass(frozen=True)
class Times:
    """The shortest times of calls of some functions, in seconds.

    Attributes
    ----------
    wall : tuple of float
        The times of the calls as they are, on all threads.
    serial : tuple of float
        The times by one thread; those of `wall` if one thread was not tried.
    calm : bool
        Whether `wall` shows what the calls take on an idle machine.
    """

    wall: tuple[float, ...]
    serial: tuple[float, ...]
    calm: bool = True

    @property
    def seconds(self) -> tuple[float, ...]:
        """The times that may be compared."""
        return self.wall if self.calm else self.serial

    @property
    def basis(self) -> str:
        """What `seconds` are."""
        return MEASURED if self.calm else ONE_THREAD


def total(parts: Sequence[tuple[Times, int]]) -> Times:
    """Return the times of calls that are made one after another, each this number of times."""
    places = range(len(parts[0][0].wall))
    wall = tuple(sum(times.wall[place] * count for times, count in parts) for place in places)
    serial = tuple(sum(times.serial[place] * count for times, count in parts) for place in places)
    return Times(wall, serial, all(times.calm for times, _ in parts))


def least(measured: Sequence[Times]) -> Times:
    """Return the shortest times of the same functions, which were measured several times.

    Those on all threads are of calm measurements, if there is one.
    """
    calm = [times for times in measured if times.calm]
    wall = tuple(map(min, zip(*(times.wall for times in calm or measured), strict=True)))
    serial = tuple(map(min, zip(*(times.serial for times in measured), strict=True)))
    return Times(wall, serial, bool(calm))


def predict(seconds: float, parts: Iterable[tuple[float, float]]) -> float:
    """Return the seconds of a model whose parts become faster.

    Parameters
    ----------
    seconds : float
        Those of the model as it is.
    parts : iterable of (float, float)
        The share of the time that a part takes, and the share of this that is left of it.  Parts
        that seem to take longer than the model take all of its time.
    """
    shares = saved = 0.0
    for share, left in parts:
        shares += share
        saved += share * (1 - left)
    return seconds * (1 - saved / max(1.0, shares))


def times_of(
    functions: Sequence[Callable[[], Any]],
    modules: Iterable[nn.Module] = (),
    *,
    ready: bool = False,
    clock: Any = SystemClock,
) -> Times:
    """Return the `Times` of some functions.

    Parameters
    ----------
    functions : sequence of callable
        What is called, in turns and without gradients.
    modules : iterable of Module
        What the functions call and has an attribute `workers`, which is 1 while one thread is
        measured.
    ready : bool
        Whether the functions were called before, so that nothing is packed any more.
    clock : SystemClock
        The clocks.
    """
    with torch.no_grad():
        once, work = zip(*(_warm(function, ready, clock) for function in functions), strict=True)
        serial = None
        # One thread has the work of all.  It takes little of the wall time on a busy machine, which
        # is where one thread has to be tried.
        if sum(work) <= _MAX_SECONDS:
            with one_thread(modules):
                serial, _ = _in_turns(functions, once, clock.cpu, clock, _MIN_SERIAL_TURNS)
        elif ready and sum(once) > _MAX_SECONDS:
            return Times(once, once)
        wall, calm = _in_turns(functions, once, clock.wall, clock, _MIN_TURNS, serial)
    return Times(tuple(wall), tuple(serial or wall), calm or serial is None)


def _warm(function, ready, clock):
    """Call a function until it is as fast as it becomes.

    Return the seconds of a call, and the CPU time of all threads.
    """
    for done in range(1, _WARM + 1):
        start, work = clock.wall(), clock.all_threads()
        function()
        seconds, work = clock.wall() - start, clock.all_threads() - work
        if seconds > _LONG and (ready or done > 1):
            break
    return seconds, work


@contextmanager
def one_thread(modules: Iterable[nn.Module]) -> Iterator[None]:
    """Let torch and modules that have an attribute `workers` use one thread."""
    threads = torch.get_num_threads()
    workers: dict[Any, Any] = {
        module: module.workers for module in modules if hasattr(module, "workers")
    }
    try:
        torch.set_num_threads(1)
        for module in workers:
            module.workers = 1
        yield
    finally:
        torch.set_num_threads(threads)
        for module, value in workers.items():
            module.workers = value


def _in_turns(functions, once, read, clock, least, serial=None):
    """Return the shortest time of a call of each function, and whether the times are believable.

    They are if they repeat, and do not exceed those of `serial`.
    """
    turns: list[list[float]] = [[] for _ in functions]
    begin = clock.wall()
    while True:
        for function, seconds, taken in zip(functions, once, turns, strict=True):
            taken.append(_turn(function, seconds > _LONG, read, clock))
        found = [_shortest(taken, read == clock.cpu) for taken in turns]
        best = [seconds for seconds, _ in found]
        believable = all(repeats for _, repeats in found) and (
            serial is None
            or all(w <= _SLOWER * s + _START for w, s in zip(best, serial, strict=True))
        )
        spent = clock.wall() - begin
        enough = (_SECONDS if believable else _PATIENCE) * len(functions)
        # Where the times of one thread will be compared, no more turns are needed.
        needed = 1 if serial is not None and not believable else least
        if spent > _MAX_SECONDS / 2 or (len(turns[0]) >= needed and spent > enough):
            return best, believable


def _turn(function, long, read, clock):
    """Return the shortest time of the calls of a turn.

    The first call is not counted, unless it is long: it finds the caches as another function left
    them.
    """
    if not long:
        function()
    best, end = math.inf, clock.wall() + _TURN_SECONDS
    while True:
        start = read()
        function()
        taken = read() - start
        if taken > 0:  # the CPU time of a virtual machine's thread may stand still
            best = min(best, taken)
        if clock.wall() > end and best < math.inf:
            return best


def _shortest(turns, cpu):
    """Return the shortest time of some turns, and whether another turn repeats it.

    Of CPU times, one that none repeats is left out, unless no time repeats: other processes make
    CPU times longer, and only a disturbed clock makes one shorter.
    """
    ordered = sorted(turns)
    for one, other in itertools.pairwise(ordered):
        if other <= (1 + _EQUAL) * one:
            return one, True
        if not cpu:
            break
    return ordered[0], len(ordered) == 1
