"""The affinity of threads: each thread of a process gets a CPU of its own for measurements.

Without it, a scheduler now and then wakes two threads on one CPU and leaves them there for hundreds
of calls, in which each barrier takes a time slice.  This is not a property of the library that is
timed, so the threads of all libraries are placed in the same way.  Where the system cannot place
threads, the functions do nothing.

The module imports only the standard library, as processes without the package use it, too.
"""

import os
from collections.abc import Collection, Sequence
from contextlib import suppress
from pathlib import Path

TASKS = Path("/proc/self/task")
POSSIBLE = hasattr(os, "sched_setaffinity") and TASKS.exists()


def restrict(cpus: Collection[int]) -> None:
    """Confine the calling thread, and the threads that it starts later, to some CPUs."""
    if POSSIBLE:
        os.sched_setaffinity(0, cpus)


def helpers_but(others: Collection[int]) -> list[int]:
    """Return the native numbers of the threads that libraries have started: all but `others`."""
    return sorted({int(task.name) for task in TASKS.iterdir()} - set(others))


def confine(thread: int, cpus: Collection[int]) -> None:
    """Confine a thread to some CPUs, unless it has ended or may not be placed."""
    with suppress(OSError):
        os.sched_setaffinity(thread, cpus)


def spread_helpers(cpus: Sequence[int], others: Collection[int]) -> None:
    """Pin the threads that libraries have started, all but `others`, to the CPUs after the first.

    A pool has one thread less than there are CPUs, as the caller works, too.  So placing threads
    round-robin on the remaining CPUs, in order of creation, is right for any number of pools.
    """
    if not POSSIBLE or len(cpus) < 2:
        return
    for index, helper in enumerate(helpers_but({os.getpid(), *others})):
        confine(helper, {cpus[1 + index % (len(cpus) - 1)]})


def move_caller(cpus: Sequence[int]) -> None:
    """Move the calling thread to the first CPU, and then allow it all CPUs.

    If it stayed pinned, libraries would conclude that the process has a single CPU.
    """
    if POSSIBLE:
        confine(0, cpus[:1])
        confine(0, cpus)
