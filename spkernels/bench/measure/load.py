"""Loads: programs that keep the machine busy while a peer is timed.

Busy processes compete for the CPUs.  A product of another library in the peer's own process leaves
that library's threads spinning when the peer's call begins.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Callable, Iterator

import numpy as np

#: The number of processes that never wait, by the name of the load.
_PROCESSES = {
    "1 busy process": 1,
    "2 busy processes": 2,
    "4 busy processes": 4,
}
AFTER_NUMPY = "after a product of NumPy's"
AFTER_TORCH = "after a product of torch's"
LOADS = ("none", *_PROCESSES, AFTER_NUMPY, AFTER_TORCH)

#: The rows and columns of the other library's product, which takes about a millisecond.
_SIZE = 384


@contextlib.contextmanager
def busy_processes(load: str) -> Iterator[None]:
    """Run the busy processes of a load until the end of the block."""
    others = [
        subprocess.Popen([sys.executable, "-c", "while True: pass"])
        for _ in range(_PROCESSES.get(load, 0))
    ]
    try:
        yield
    finally:
        for other in others:
            other.kill()
            other.wait()


def disturbance(load: str) -> Callable[[], object]:
    """Return the function that a peer's process calls before every timed call."""
    if load == AFTER_NUMPY:
        square = np.ones((_SIZE, _SIZE), np.float32)
        return lambda: square @ square
    if load == AFTER_TORCH:
        try:
            import torch
        except ImportError:
            raise NotImplementedError("torch is not installed") from None
        tensor = torch.ones((_SIZE, _SIZE))
        return lambda: tensor @ tensor
    return lambda: None
