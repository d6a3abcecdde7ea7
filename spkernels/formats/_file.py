"""Files of named arrays."""

from __future__ import annotations

import secrets
from pathlib import Path

import numpy as np

__all__ = ["read", "write"]


def write(path, arrays):
    """Write arrays to a file that appears as a whole, or not at all."""
    path = Path(path)
    # Not one name for all: threads and processes may write the same file.
    unfinished = path.with_name(f"{path.name}.{secrets.token_hex(4)}.part")
    try:
        with unfinished.open("xb") as file:
            np.savez(file, **arrays)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def read(path):
    """Return the arrays of a file, or raise ValueError if it is no such file; never unpickles."""
    try:
        with np.load(path, allow_pickle=False) as content:
            return {name: content[name] for name in content.files}
    except (OSError, MemoryError):
        raise
    except Exception as error:  # of zipfile, zlib or NumPy, whichever finds it first
        raise ValueError(f"reading its arrays failed with: {error}") from error
