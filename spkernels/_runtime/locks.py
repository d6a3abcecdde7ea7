"""Locks that are free in a forked child, even if a thread of the parent held them.

A child of ``fork()`` has a copy of the parent's memory, but only the thread that forked.  An
ordinary lock that another thread held at that moment would stay held in the child forever.
"""

from __future__ import annotations

import os
import threading
import weakref

__all__ = ["Lock", "hold_during_fork"]


class Lock:
    """A reentrant lock for ``with``, which is free in a forked child unless the child holds it.

    The holder in the parent may have been interrupted.  So the protected state must be changed by
    single assignments, in an order that leaves a valid state after each.
    """

    __slots__ = ("__weakref__", "_lock")

    def __init__(self) -> None:
        self._lock = threading.RLock()
        _locks.add(self)

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *exception: object) -> None:
        self._lock.release()

    def _after_fork_in_child(self):
        if self._lock.acquire(blocking=False):  # the lock is free, or this thread holds it
            self._lock.release()
        else:
            self._lock = threading.RLock()


#: All locks of this kind in the process.
_locks: weakref.WeakSet[Lock] = weakref.WeakSet()


def _free_locks():
    for lock in _locks:
        lock._after_fork_in_child()


def hold_during_fork(lock: threading.RLock) -> None:
    """Make ``fork()`` wait for a lock, so that the child never gets a half-made change.

    The lock must be one of the whole process, which is held for microseconds by code that waits for
    nothing else: whatever the holder waited for might itself wait for the fork.
    """
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(
            before=lock.acquire, after_in_child=lock.release, after_in_parent=lock.release
        )


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_free_locks)
