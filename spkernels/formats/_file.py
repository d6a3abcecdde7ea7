"""Files of named arrays."""

from __future__ import annotations

import numpy as np

from .._files import replaced

__all__ = ["read", "write"]


def write(path, arrays):
    """Write arrays to a file that appears as a whole, or not at all."""
    with replaced(path) as file:
        np.savez(file, **arrays)


def read(path):
    """Return the arrays of a file, or raise ValueError if it is no such file; never unpickles."""
    try:
        with np.load(path, allow_pickle=False) as content:
            return {name: content[name] for name in content.files}
    except (OSError, MemoryError):
        raise
    except Exception as error:  # of zipfile, zlib or NumPy, whichever finds it first
        raise ValueError(f"reading its arrays failed with: {error}") from error
