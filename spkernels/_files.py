"""Files that appear as a whole, or not at all."""

from __future__ import annotations

import contextlib
import secrets
from pathlib import Path

__all__ = ["replaced"]


@contextlib.contextmanager
def replaced(path):
    """Open a file for bytes that takes the place of `path` when all was written."""
    path = Path(path)
    # Not one name for all: threads and processes may write the same file.
    unfinished = path.with_name(f"{path.name}.{secrets.token_hex(4)}.part")
    try:
        with unfinished.open("xb") as file:
            yield file
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
