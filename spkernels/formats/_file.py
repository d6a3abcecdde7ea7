"""Files of named arrays."""

from __future__ import annotations

import numpy as np

from .._runtime.files import read_bytes, replaced
from .._runtime.npz import Archive

__all__ = ["read", "write"]


def write(path, arrays):
    """Write arrays to a file that appears as a whole, or not at all."""
    with replaced(path) as file:
        np.savez(file, **arrays)


def read(path):
    """Return the arrays of a file, or raise ValueError if it is no such file; never unpickles."""
    archive = Archive(read_bytes(path))
    return {name: archive[name] for name in archive}
