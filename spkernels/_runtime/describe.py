"""What objects say of themselves, in one form: ``<Kind of rows x columns, fact, fact>``."""

from __future__ import annotations

__all__ = ["describe", "held"]


def describe(kind: str, shape: tuple[int, ...], *facts: object) -> str:
    """Return the representation of an object; facts that are None are left out."""
    rows, cols = shape
    known = ", ".join(str(fact) for fact in facts if fact is not None)
    return f"<{kind} of {rows} x {cols}, {known}>"


def held(value: object) -> int:
    """Return the memory of what an attribute holds: arrays, and what says its `nbytes`."""
    if isinstance(value, tuple | list):
        return sum(map(held, value))
    return int(getattr(value, "nbytes", 0))
