"""Choosing one of the matrices in a file."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["default", "pick"]

#: The matrix of a file of the SuiteSparse collection, whatever others come with it.
_SUITESPARSE = "Problem.A"


def default(names: Sequence[str]) -> str | None:
    """Return the one of the matrices `names` that is read where no key is given, if there is."""
    if len(names) == 1:
        return names[0]
    return _SUITESPARSE if _SUITESPARSE in names else None


def pick(key: str | None, names: Sequence[str]) -> str:
    """Return the one of the matrices `names` that `key` asks for; a name "" needs no key."""
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
