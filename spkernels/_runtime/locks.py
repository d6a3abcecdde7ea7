"""Locks that do not outlive, in a forked child, the threads that held them.

A child of ``fork()`` has a copy of the parent's memory, but only the thread that forked.  A lock
that another thread held at that moment stays held in the child forever.
"""

from __future__ import annotations

import os
import threading
import weakref

__all__ = ["Lock", "hold_during_fork"]


class Lock:
    """A reentrant lock for ``with``, free in a forked child unless the child itself holds it.

    Whoever held it in the parent may have got halfway.  So what it protects must be changed by
    single assignments, in an order in which the state after each of them is a valid one.
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
        if self._lock.acquire(blocking=False):  # it is free, or this thread's own
            self._lock.release()
        else:
            self._lock = threading.RLock()


#: All that there are.
_locks: weakref.WeakSet[Lock] = weakref.WeakSet()


def _free_locks():
    for lock in _locks:
        lock._after_fork_in_child()


def hold_during_fork(lock: threading.RLock) -> None:
    """Have ``fork()`` wait for a lock, for changes of which no half may reach the child.

    Only for a lock of the whole process that is held for microseconds, by code that waits for
    nothing else: what the holder waits for may itself wait for the fork.
    """
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(
            before=lock.acquire, after_in_child=lock.release, after_in_parent=lock.release
        )


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_free_locks)
