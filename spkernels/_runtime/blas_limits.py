"""Limits on the threads of the BLAS libraries of the process."""

from __future__ import annotations

from .locks import Lock
from .threadpools import threadpoolctl

__all__ = ["begin_limit", "end_limit"]

_lock = Lock()
#: The limits in force; the smallest counts.
_limits: tuple[int, ...] = ()
#: The limited libraries by path, and the number of threads that each had before.
_libraries: dict[str, tuple[threadpoolctl.LibController, int]] = {}


def begin_limit(threads: int) -> None:
    """Let each BLAS of the process use at most `threads` threads, until `end_limit`.

    These libraries are not changed: those with at most `threads` threads, those that another thread
    limits by threadpoolctl, and those that use OpenMP's threads, as the kernels use them, too.
    """
    global _libraries, _limits
    # scipy has a BLAS of its own, which this import loads.
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
    """Undo one `begin_limit` of `threads`; the last call restores the number of each BLAS."""
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
    """Allow any thread to change limits that this module has set.

    After a thread has limited OpenBLAS, threadpoolctl (3.8) ignores requests of all other threads.
    """
    for library, _ in _libraries.values():
        if hasattr(library, "clear_controlling_thread"):
            library.clear_controlling_thread(force=True)


def _is_of_openmp(library):
    return library.internal_api == "openblas" and library.threading_layer == "openmp"
