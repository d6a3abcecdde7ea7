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

from ..._runtime.affinity import restrict

#: SHA-256 compressions: one call in C that holds no lock, lives in registers, takes about 0.2 ms.
ITERATIONS = 400


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
