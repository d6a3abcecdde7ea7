"""The choice of one matrix of a file that holds several."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["default", "pick"]

#: The matrix of a file of the SuiteSparse collection, beside which other matrices may be stored.
_SUITESPARSE = "Problem.A"


def default(names: Sequence[str]) -> str | None:
    """Return the name in `names` that is read if no key is given, or None if a key is needed."""
    if len(names) == 1:
        return names[0]
    return _SUITESPARSE if _SUITESPARSE in names else None


def pick(key: str | None, names: Sequence[str]) -> str:
    """Return the name in `names` that `key` selects; a single matrix named "" takes no key."""
    listing = ", ".join(map(repr, names))
    if key is None:
        found = default(names)
        if found is None:
            raise ValueError(f"expected key= to name one of the matrices {listing}")
        return found
    if list(names) == [""]:
        raise ValueError(f"expected no key for a file of one matrix without a name, got {key!r}")
    if key not in names:
        raise ValueError(f"expected a sparse matrix with key {key!r}, found {listing}")
    return key
