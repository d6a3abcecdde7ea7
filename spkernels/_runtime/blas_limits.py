"""Holding the BLAS libraries of the process to fewer threads."""

from __future__ import annotations

from .locks import Lock
from .threadpools import threadpoolctl

__all__ = ["begin_limit", "end_limit"]

_lock = Lock()
#: What is asked for now; the smallest counts.
_limits: tuple[int, ...] = ()
#: By path, each BLAS that is limited, and the number of threads that it had before.
_libraries: dict[str, tuple[threadpoolctl.LibController, int]] = {}


def begin_limit(threads: int) -> None:
    """Let each BLAS of the process use at most so many threads, until `end_limit`.

    Left alone are libraries that have no more than that, that another thread holds a limit of
    threadpoolctl's on, or that take OpenMP's threads: their number is that of the kernels as well.
    """
    global _libraries, _limits
    # scipy has a BLAS of its own, which it loads with its first solver.
    import scipy.linalg  # noqa: F401

    found = threadpoolctl.ThreadpoolController().select(user_api="blas").lib_controllers
    with _lock:
        _limits = (*_limits, threads)
        _apply()
        most = min(_limits)
        for library in found:
            if library.filepath in _libraries or _is_of_openmp(library):
                continue
            own = library.num_threads
            if own is not None and own > most:
                library.set_num_threads(most)
                if library.num_threads == most:
                    _libraries = {**_libraries, library.filepath: (library, own)}


def end_limit(threads: int) -> None:
    """Undo one `begin_limit` of so many threads; the last one gives each BLAS its own back."""
    global _libraries, _limits
    with _lock:
        place = _limits.index(threads)
        _limits = _limits[:place] + _limits[place + 1 :]
        _apply()
        if not _limits:
            _release()
            _libraries = {}


def _apply():
    _release()
    for library, own in _libraries.values():
        library.set_num_threads(min((own, *_limits)))


def _release():
    """Let any thread change limits that this module has set.

    threadpoolctl (3.8) ignores what other threads ask of OpenBLAS than the first one that asked.
    """
    for library, _ in _libraries.values():
        if hasattr(library, "clear_controlling_thread"):
            library.clear_controlling_thread(force=True)


def _is_of_openmp(library):
    return library.internal_api == "openblas" and library.threading_layer == "openmp"
