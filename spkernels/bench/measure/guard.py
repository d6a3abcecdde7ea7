"""A guard that distinguishes samples of a quiet machine from the others.

Two quantities are observed.  A fixed piece of work that uses no memory is timed on every CPU that a
peer may use: it shows a CPU that became slower by a neighbour on the same core or host, or by a
lower clock.  The time in which this process's threads were ready to run but had no CPU shows other
programs on this system; the fixed work is too short to be interrupted by them.
"""

import hashlib
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from ..._runtime.affinity import restrict

#: The number of SHA-256 compressions of the fixed work: one call in C that releases the interpreter
#: lock, works in registers, and takes about 0.2 ms.
ITERATIONS = 400


def _work() -> float:
    start = time.perf_counter()
    hashlib.pbkdf2_hmac("sha256", b"guard", b"guard", ITERATIONS)
    return time.perf_counter() - start


class Guard:
    """Times the fixed work on all given CPUs at once."""

    def __init__(self, cpus: Sequence[int]) -> None:
        self._pools = [ThreadPoolExecutor(1, initializer=restrict, initargs=([c],)) for c in cpus]
        self.threads = {pool.submit(threading.get_native_id).result() for pool in self._pools}

    def __call__(self) -> float:
        """Return the seconds of the slowest CPU."""
        barrier = threading.Barrier(len(self._pools))

        def together() -> float:
            barrier.wait()
            return _work()

        return max(future.result() for future in [p.submit(together) for p in self._pools])
