"""The names by which objects are public, for pickles and for help."""

from __future__ import annotations

import types

__all__ = ["publish"]


def publish(module: str, *objects: object) -> None:
    """Have classes and functions name the public module that users import them from.

    A pickle holds that name: where a class is defined may change, what its pickles say must not.
    """
    for one in objects:
        if isinstance(one, type | types.FunctionType):
            one.__module__ = module
