"""Giving each thread of a library a CPU of its own while it is timed.

Where there are as many threads as CPUs and other programs run, a scheduler at times wakes two
threads of a team on one CPU and leaves them there for hundreds of calls, each of which then takes
some time slices.  That says nothing about the libraries, so it is kept from all of them alike.
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
    """Spread the threads of libraries over the CPUs; yield what keeps the caller off theirs.

    Nothing is done where `threads` leave CPUs idle, for which a scheduler finds better places, and
    where threads cannot be placed, as outside of Linux.
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
    """Return the threads that Python did not make."""
    return helpers_but(python_threads())


def python_threads() -> set[int]:
    """Return those that it did."""
    return {thread.native_id for thread in threading.enumerate()}
