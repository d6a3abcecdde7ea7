"""Checks of arguments that the functions of this room share."""

from __future__ import annotations

from numbers import Integral
from typing import Any

__all__ = ["check_callable", "checked_workers"]


def check_callable(name: str, function: Any) -> None:
    """Raise an error unless an optional argument is a function."""
    if function is not None and not callable(function):
        raise TypeError(f"{name} must be None or callable, got {type(function).__name__}")


def checked_workers(workers: Any) -> int | None:
    """Return the argument `workers`, or raise an error that names it."""
    if workers is None:
        return None
    if isinstance(workers, bool) or not isinstance(workers, Integral) or workers < 1:
        raise ValueError(f"workers must be None or at least 1, got {workers!r}")
    return int(workers)
