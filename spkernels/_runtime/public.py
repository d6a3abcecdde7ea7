"""The public names of objects, for pickles and for help."""

from __future__ import annotations

import types

__all__ = ["publish"]


def publish(module: str, *objects: object) -> None:
    """Set the module of classes and functions to the public one that users import them from.

    Pickles hold this name, so a class can move to another private module, and old pickles still
    load.
    """
    for one in objects:
        if isinstance(one, type | types.FunctionType):
            one.__module__ = module
