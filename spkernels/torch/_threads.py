"""The threads of operators: as many as PyTorch's own operations have, and the same ones.

PyTorch's threads spin for milliseconds after each of its parallel operations, and would take the
CPUs from the threads of spkernels.  So operators run on PyTorch's threads, where these spin.
"""

from __future__ import annotations

import ctypes
import os
import threading
from pathlib import Path

import torch

import spkernels

__all__ = ["threads_of"]

_FUNCTIONS = ("GOMP_parallel", "omp_get_thread_num", "omp_in_parallel")
_FORKED = 0x40  # PF_FORKNOEXEC of Linux


class _Lent(threading.local):
    threads = 0


_lent = _Lent()


def threads_of(workers: int | None) -> int:
    """Return the largest number of threads of an operator, and have it run on PyTorch's threads.

    Each operator calls this on the thread that it runs on, before its first product.
    """
    threads = torch.get_num_threads()
    if _lent.threads != threads:
        _lend(threads)
    return threads if workers is None else workers


def _lend(threads):
    """Lend the calling thread a team of the size that PyTorch's operations have on it."""
    if _LIBRARY is not None and not (_IS_FORKED and threading.get_native_id() == os.getpid()):
        spkernels.use_team(_LIBRARY, threads)
    _lent.threads = threads


def _spins():
    """Return whether the threads of OpenMP spin after a region.

    Threads that sleep take longer to wake than those of spkernels, which they leave the CPUs to.
    """
    policy = os.environ.get("OMP_WAIT_POLICY", "").strip().lower()
    counts = (os.environ.get(name, "").strip() for name in ("GOMP_SPINCOUNT", "KMP_BLOCKTIME"))
    return policy != "passive" and "0" not in counts


def _find_library():
    """Return the OpenMP library that PyTorch's functions call, or None if they call none."""
    if "parallel backend: OpenMP" not in torch.__config__.parallel_info():
        return None
    # The linker looks into libraries that were loaded for the whole process first, and then into
    # those that PyTorch's own library needs.
    own = Path(torch.__file__).parent / "lib" / "libtorch_cpu.so"
    for name in (None, str(own)):
        try:
            library = ctypes.CDLL(name)
        except OSError:
            continue
        if all(hasattr(library, function) for function in _FUNCTIONS):
            return library
    return None


def _was_forked():
    """Return whether this process is a fork that runs the program of its parent.

    PyTorch may have had threads there, which its OpenMP still waits for on the main thread.
    """
    try:
        fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return False
    return bool(int(fields[6]) & _FORKED)


_LIBRARY = _find_library() if _spins() else None
_IS_FORKED = _was_forked()
