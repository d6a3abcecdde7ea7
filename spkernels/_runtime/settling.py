"""The wait for spinning threads of this process, and the time that threads waited for a CPU.

The module imports only the standard library, as processes without the package use it, too.
"""

from __future__ import annotations

import time

from .affinity import TASKS

__all__ = ["settle", "waited"]

#: If the process uses less than this share of a CPU, its threads no longer spin.
QUIET_SHARE = 0.2
#: The seconds over which that is observed: the system may count the time of a running thread only
#: at its ticks, which are up to 10 ms apart.
WINDOW_SECONDS = 0.01
#: The longest wait for the threads of a library.
SETTLE_SECONDS = 0.5


def settle() -> None:
    """Wait until this process's threads stop spinning, so that the next timing has idle CPUs."""
    deadline = time.perf_counter() + SETTLE_SECONDS
    while time.perf_counter() < deadline:
        wall, cpu = time.perf_counter(), time.process_time()
        time.sleep(WINDOW_SECONDS)
        if time.process_time() - cpu < QUIET_SHARE * (time.perf_counter() - wall):
            return


def waited() -> float:
    """Return the seconds that this process's threads have waited for a CPU; 0 if not counted."""
    nanoseconds = 0
    for task in TASKS.glob("*/schedstat"):
        try:
            nanoseconds += int(task.read_text().split()[1])
        except (OSError, IndexError):
            continue  # the thread has just ended, or the kernel has no such statistics
    return nanoseconds * 1e-9
