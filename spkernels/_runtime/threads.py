"""The number of threads of a call."""

from __future__ import annotations

import ctypes
import math
import operator
import os
from pathlib import Path

from .. import _core

__all__ = ["get_num_threads", "set_num_threads", "use_team"]

# The largest number that the compiled module accepts; it uses far fewer threads.
_MAX_THREADS = 2**30

# Read once, as in scipy.fft: the system call takes longer than a small product.
_CPUS = os.cpu_count() or 1


def get_num_threads() -> int:
    """Return the largest number of threads of a call with ``workers=None``.

    Small products use fewer threads, down to one.

    Returns
    -------
    int
        The number of `set_num_threads`; else that of ``SPKERNELS_NUM_THREADS``; else the setting of
        OpenMP, which is that of ``OMP_NUM_THREADS`` or `threadpoolctl.threadpool_limits`, or the
        number of CPUs.  Without ``OMP_NUM_THREADS``, ``OMP_PROC_BIND`` and ``OMP_PLACES``, OpenMP's
        setting is capped by the number of CPUs that affinity and cgroup left to the process when
        spkernels was imported.

    See Also
    --------
    set_num_threads : sets the number.

    Examples
    --------
    >>> import spkernels
    >>> spkernels.get_num_threads() >= 1
    True
    """
    return _core.get_num_threads()


def set_num_threads(n: int | None) -> None:
    """Set the largest number of threads of a call with ``workers=None``, in the whole process.

    Parameters
    ----------
    n : int or None
        The number, at least 1.  None restores ``SPKERNELS_NUM_THREADS`` or OpenMP's setting.

    Raises
    ------
    TypeError
        If `n` is not an integer.
    ValueError
        If `n` is below 1.

    See Also
    --------
    get_num_threads : returns the number.

    Examples
    --------
    >>> import spkernels
    >>> spkernels.set_num_threads(1)
    >>> spkernels.get_num_threads()
    1
    >>> spkernels.set_num_threads(None)
    """
    if n is None:
        _core.set_num_threads(_from_environment())
        return
    n = _integer(n, "n")
    if n < 1:
        raise ValueError(f"n must be at least 1, got {n}")
    _core.set_num_threads(min(n, _MAX_THREADS))


def use_team(library: ctypes.CDLL | None, threads: int = 0) -> None:
    """Let products of the calling thread use the threads of another OpenMP library.

    After a parallel region, the threads of an OpenMP library spin for some milliseconds in case
    another region follows.  Meanwhile they take the CPUs from the threads of spkernels.  A program
    whose products alternate with operations of a library that brings its own OpenMP, such as
    PyTorch, lends spkernels the threads of that OpenMP.

    The loan holds for the calling thread alone, until the next call of this function.  A product
    that is to have more than `threads` threads uses those of spkernels, and so does the child of a
    fork.  A product inside a parallel region of the library has one thread.  Results have the same
    bits on any threads.

    Parameters
    ----------
    library : ctypes.CDLL or None
        The OpenMP library that is in use, such as ``ctypes.CDLL(None)`` where it was loaded for all
        libraries of the process.  It must have ``GOMP_parallel``, which libgomp, libomp and
        libiomp5 have.  None returns to the threads of spkernels.
    threads : int
        The number of threads that regions of the library have, at least 1.  OpenMP ends threads
        that a smaller region has no use for, and starts them again for the next larger one, so this
        must be the number that the other operations use.

    Raises
    ------
    TypeError
        If `library` is neither a `ctypes.CDLL` nor None, or `threads` is not an integer.
    ValueError
        If `library` lacks a function, or `threads` is below 1.

    See Also
    --------
    set_num_threads : sets how many threads products have.

    Examples
    --------
    >>> import spkernels
    >>> spkernels.use_team(None)
    """
    if library is None:
        _core.use_team(0, 0, 0, 0)
        return
    if not isinstance(library, ctypes.CDLL):
        raise TypeError(f"library must be a ctypes.CDLL or None, got {library!r}")
    threads = _integer(threads, "threads")
    if threads < 1:
        raise ValueError(f"threads must be at least 1, got {threads}")
    try:
        functions = library.GOMP_parallel, library.omp_get_thread_num, library.omp_in_parallel
    except AttributeError:
        raise ValueError(
            f"library must be an OpenMP library with GOMP_parallel, got {library!r}"
        ) from None
    parallel, thread_num, in_parallel = (
        ctypes.cast(function, ctypes.c_void_p).value or 0 for function in functions
    )
    _core.use_team(parallel, thread_num, in_parallel, min(threads, _MAX_THREADS))


def resolve_workers(workers: int | None) -> int:
    """Return the number of threads for `_core`: 0 for the default, else as in `scipy.fft`."""
    if workers is None:
        return 0
    workers = _integer(workers, "workers")
    if workers < 0:
        if workers < -_CPUS:
            raise ValueError(f"workers must be at least {-_CPUS} (minus the CPUs), got {workers}")
        return workers + 1 + _CPUS
    if workers == 0:
        raise ValueError("workers must be a positive or negative integer, got 0")
    return min(workers, _MAX_THREADS)


def thread_count(workers: int | None) -> int:
    """Return the largest number of threads of a call."""
    return resolve_workers(workers) or _core.get_num_threads()


def _integer(value, name):
    try:
        return operator.index(value)
    except TypeError:
        raise TypeError(f"{name} must be an integer, got {value!r}") from None


def _from_environment() -> int:
    text = os.environ.get("SPKERNELS_NUM_THREADS", "").strip()
    if not text:
        return 0
    try:
        threads = int(text)
    except ValueError:
        threads = 0
    if threads < 1:
        raise ValueError(f"SPKERNELS_NUM_THREADS must be a positive integer, got {text!r}")
    return min(threads, _MAX_THREADS)


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def _cgroup_cpus(root: Path = Path("/sys/fs/cgroup")) -> float:
    """Return the number of CPUs of the cgroup's quota; infinity without a quota."""
    quota, _, period = _read(root / "cpu.max").strip().partition(" ")
    if not quota:
        quota = _read(root / "cpu" / "cpu.cfs_quota_us").strip()
        period = _read(root / "cpu" / "cpu.cfs_period_us").strip()
    try:
        share = int(quota) / int(period)
    except (ValueError, ZeroDivisionError):
        return math.inf
    return share if share > 0 else math.inf


def available_cpus() -> int:
    """Return the number of CPUs that affinity and cgroup leave to this process."""
    if hasattr(os, "sched_getaffinity"):
        cpus = len(os.sched_getaffinity(0))
    else:
        cpus = os.cpu_count() or 1
    quota = _cgroup_cpus()
    return max(1, cpus if quota == math.inf else min(cpus, math.ceil(quota)))


def configure() -> None:
    """Apply the environment variables, once, at import.

    An explicit ``OMP_NUM_THREADS`` is the user's choice, and is not capped.  If OpenMP binds its
    threads, affinity shows the place of this thread alone, and OpenMP has counted the CPUs itself,
    so there is no cap either.
    """
    _core.set_num_threads(_from_environment())
    says = os.environ.get("OMP_NUM_THREADS")
    binds = os.environ.get("OMP_PLACES") or (
        os.environ.get("OMP_PROC_BIND", "false").lower() != "false"
    )
    _core.limit_threads(0 if says or binds else available_cpus())
