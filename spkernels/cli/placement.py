"""Giving each thread of a library a CPU of its own while it is timed.

Where there are as many threads as CPUs and other programs run, a scheduler at times wakes two
threads of a team on one CPU and leaves them there for hundreds of calls, each of which then takes
some time slices.  That says nothing about the libraries, so it is kept from all of them alike.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_TASKS = Path("/proc/self/task")


@contextmanager
def one_per_cpu(threads: int) -> Iterator[Callable[[], None]]:
    """Spread the threads of libraries over the CPUs; yield what keeps the caller off theirs.

    Nothing is done where `threads` leave CPUs idle, for which a scheduler finds better places, and
    where threads cannot be placed, as outside of Linux.
    """
    possible = hasattr(os, "sched_setaffinity") and _TASKS.exists()
    cpus = sorted(os.sched_getaffinity(0)) if possible else []
    if threads < 2 or threads != len(cpus):
        yield lambda: None
        return
    # A pool has a thread less than there are CPUs, the caller being one of them, so going round
    # the other CPUs in order of creation is right for any number of pools.
    helpers = _helpers()
    for index, helper in enumerate(helpers):
        _confine(helper, {cpus[1 + index % (len(cpus) - 1)]})
    try:
        yield lambda: _move(cpus)
    finally:
        for helper in helpers:
            _confine(helper, cpus)


def _helpers() -> list[int]:
    """Return the threads that Python did not make."""
    ours = {thread.native_id for thread in threading.enumerate()}
    return sorted({int(task.name) for task in _TASKS.iterdir()} - ours)


def _confine(thread: int, cpus: Collection[int]) -> None:
    with suppress(OSError):  # it has ended, or may not be placed
        os.sched_setaffinity(thread, cpus)


def _move(cpus: list[int]) -> None:
    """Move the calling thread to the first CPU without keeping it there.

    Pinned, it would look to libraries as if the process had a single CPU.
    """
    with suppress(OSError):
        os.sched_setaffinity(0, cpus[:1])
        os.sched_setaffinity(0, cpus)
