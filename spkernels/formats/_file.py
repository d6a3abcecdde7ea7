"""Files that hold named arrays."""

from __future__ import annotations

import numpy as np

from .._runtime.files import read_bytes, replaced
from .._runtime.npz import Archive

__all__ = ["read", "write"]


def write(path, arrays):
    """Write arrays to a file; an error leaves no part of a file."""
    with replaced(path) as file:
        np.savez(file, **arrays)


def read(path):
    """Return the arrays of a file by name, without unpickling; ValueError if it is no such file."""
    archive = Archive(read_bytes(path))
    return {name: archive[name] for name in archive}
