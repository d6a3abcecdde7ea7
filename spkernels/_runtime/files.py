"""Functions that read files with errors that name them, and write files as a whole."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path

__all__ = ["read_bytes", "replaced"]


def read_bytes(path: str | os.PathLike[str]) -> bytes:
    """Return the bytes of a file; every OSError names it, also those of the read itself."""
    with _named(path):
        return Path(path).read_bytes()


@contextlib.contextmanager
def _named(path, *others):
    """Make an OSError name `path` if it names no file, or one of `others`."""
    try:
        yield
    except OSError as error:
        if error.errno is not None and error.filename in (None, *map(str, others)):
            error.filename = str(path)
        raise


@contextlib.contextmanager
def replaced(path):
    """Open a binary file that replaces `path` at the end of the block; an error leaves `path`."""
    # If `path` is a symbolic link, its target is replaced, not the link.
    path = Path(os.path.realpath(path))
    # Each writer has a name of its own, as threads and processes may write the same file.
    unfinished = path.with_name(f"{path.name}.{secrets.token_hex(4)}.part")
    try:
        with _named(path, unfinished), unfinished.open("xb") as file:
            yield file
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
