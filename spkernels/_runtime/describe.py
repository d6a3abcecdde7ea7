"""The representation of objects, in one form: ``<Kind of rows x columns, fact, fact>``."""

from __future__ import annotations

__all__ = ["describe", "held"]


def describe(kind: str, shape: tuple[int, ...], *facts: object) -> str:
    """Return the representation of an object, without the facts that are None."""
    rows, cols = shape
    known = ", ".join(str(fact) for fact in facts if fact is not None)
    return f"<{kind} of {rows} x {cols}, {known}>"


def held(value: object) -> int:
    """Return the bytes of an attribute's value: its `nbytes`, or the sum over a tuple or list."""
    if isinstance(value, tuple | list):
        return sum(map(held, value))
    return int(getattr(value, "nbytes", 0))
