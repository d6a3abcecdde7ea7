"""Tells samples taken on a quiet machine from the others.

Two things are watched.  A fixed piece of work that touches no memory, timed on every CPU that a
peer may use, shows a CPU that became slower: a neighbour on the same core or host, a lower clock.
The time that this process's threads were ready to run but had no CPU shows other programs on this
system, which the fixed work is too short to meet.
"""

import hashlib
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from .placement import TASKS, restrict

#: SHA-256 compressions: one call in C that holds no lock, lives in registers, takes about 0.2 ms.
ITERATIONS = 400
#: Threads that burn less than this share of a CPU are no longer spinning.
QUIET_SHARE = 0.2
#: How long the threads of a peer may take to calm down.
SETTLE_SECONDS = 0.5


def _work() -> float:
    start = time.perf_counter()
    hashlib.pbkdf2_hmac("sha256", b"guard", b"guard", ITERATIONS)
    return time.perf_counter() - start


class Guard:
    """Times the fixed work on some CPUs at once."""

    def __init__(self, cpus: Sequence[int]) -> None:
        self._pools = [ThreadPoolExecutor(1, initializer=restrict, initargs=([c],)) for c in cpus]
        self.threads = {pool.submit(threading.get_native_id).result() for pool in self._pools}

    def __call__(self) -> float:
        """Seconds that the slowest CPU took."""
        barrier = threading.Barrier(len(self._pools))

        def together() -> float:
            barrier.wait()
            return _work()

        return max(future.result() for future in [p.submit(together) for p in self._pools])


def settle() -> None:
    """Wait until this process's threads stop spinning, so that the next peer finds idle CPUs."""
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
