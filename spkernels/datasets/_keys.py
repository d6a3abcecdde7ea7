"""Choosing one of the matrices in a file."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["pick"]


def pick(key: str | None, names: Sequence[str]) -> str:
    """Return the one of the matrices `names` that `key` asks for; a name "" needs no key."""
    listing = ", ".join(map(repr, names))
    if key is None:
        if len(names) != 1:
            raise ValueError(f"expected key= to name one of the matrices {listing}")
        return names[0]
    if list(names) == [""]:
        raise ValueError(f"expected no key for a file of one matrix without a name, got {key!r}")
    if key not in names:
        raise ValueError(f"expected a sparse matrix with key {key!r}, found {listing}")
    return key
