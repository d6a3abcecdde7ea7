"""Gives every thread of a process a CPU of its own.

Left to itself a scheduler now and then wakes two threads on one CPU and leaves them there for
hundreds of calls, each barrier then costing a time slice.  That is no property of a library that is
timed, so the threads of all are placed alike.  Where the system cannot place threads nothing is
done.

It imports nothing outside of the standard library: processes without the package use it, too.
"""

import os
from collections.abc import Collection, Sequence
from contextlib import suppress
from pathlib import Path

TASKS = Path("/proc/self/task")
POSSIBLE = hasattr(os, "sched_setaffinity") and TASKS.exists()


def restrict(cpus: Collection[int]) -> None:
    """Confine the calling thread, and the threads that it will start, to some CPUs."""
    if POSSIBLE:
        os.sched_setaffinity(0, cpus)


def helpers_but(others: Collection[int]) -> list[int]:
    """Return the threads of this process that libraries have made: all but `others`."""
    return sorted({int(task.name) for task in TASKS.iterdir()} - set(others))


def confine(thread: int, cpus: Collection[int]) -> None:
    """Confine a thread to some CPUs, unless it has ended or may not be placed."""
    with suppress(OSError):
        os.sched_setaffinity(thread, cpus)


def spread_helpers(cpus: Sequence[int], others: Collection[int]) -> None:
    """Pin the threads that libraries have made, all but `others`, to the CPUs after the first.

    A pool has one thread less than there are CPUs, the caller being the last, so that going round
    the remaining CPUs in order of creation is right for any number of pools.
    """
    if not POSSIBLE or len(cpus) < 2:
        return
    for index, helper in enumerate(helpers_but({os.getpid(), *others})):
        confine(helper, {cpus[1 + index % (len(cpus) - 1)]})


def move_caller(cpus: Sequence[int]) -> None:
    """Move the calling thread to the first CPU without keeping it there.

    Pinned, it would look to libraries as if the process had a single CPU.
    """
    if POSSIBLE:
        confine(0, cpus[:1])
        confine(0, cpus)
