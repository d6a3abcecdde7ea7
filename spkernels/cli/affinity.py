"""A CPU of its own for each thread of a library while the library is timed.

If there are as many threads as CPUs and other programs run, a scheduler at times wakes two threads
of a team on one CPU, and leaves them there for hundreds of calls, each of which then takes some
time slices.  Such times say nothing about a library, so the threads of all libraries are spread.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from .._runtime.affinity import (
    POSSIBLE,
    confine,
    helpers_but,
    move_caller,
    spread_helpers,
)


@contextmanager
def one_per_cpu(threads: int) -> Iterator[Callable[[], None]]:
    """Spread the threads of libraries over the CPUs, and yield a function for the caller's thread.

    The function moves the caller to a CPU without such threads.  Threads are left alone if
    `threads` is less than the number of CPUs, as a scheduler then finds better places, and where
    threads cannot be placed, as outside of Linux.
    """
    cpus = sorted(os.sched_getaffinity(0)) if POSSIBLE else []
    if threads < 2 or threads != len(cpus):
        yield lambda: None
        return
    placed = helpers()
    spread_helpers(cpus, python_threads())
    try:
        yield lambda: move_caller(cpus)
    finally:
        for helper in placed:
            confine(helper, cpus)


def helpers() -> list[int]:
    """Return the native numbers of the threads that Python did not start."""
    return helpers_but(python_threads())


def python_threads() -> set[int]:
    """Return the native numbers of the threads that Python started."""
    ids = (thread.native_id for thread in threading.enumerate())
    return {native_id for native_id in ids if native_id is not None}
