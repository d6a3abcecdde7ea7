"""Whether the threads of this process still spin, and how long they waited for a CPU.

It imports nothing outside of the standard library: processes without the package use it, too.
"""

from __future__ import annotations

import time

from .affinity import TASKS

__all__ = ["settle", "waited"]

#: Threads that burn less than this share of a CPU are no longer spinning.
QUIET_SHARE = 0.2
#: How long the threads of a library may take to calm down.
SETTLE_SECONDS = 0.5


def settle() -> None:
    """Wait until this process's threads stop spinning, so that the next timing finds idle CPUs."""
    deadline = time.perf_counter() + SETTLE_SECONDS
    while time.perf_counter() < deadline:
        wall, cpu = time.perf_counter(), time.process_time()
        time.sleep(0.002)
        if time.process_time() - cpu < QUIET_SHARE * (time.perf_counter() - wall):
            return


def waited() -> float:
    """Seconds that this process's threads have waited for a CPU so far; 0 where nobody counts."""
    nanoseconds = 0
    for task in TASKS.glob("*/schedstat"):
        try:
            nanoseconds += int(task.read_text().split()[1])
        except (OSError, IndexError):
            continue  # a thread that just ended, a kernel without the statistics
    return nanoseconds * 1e-9
