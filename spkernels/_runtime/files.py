"""Files: read with errors that name them, and written as a whole or not at all."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path

__all__ = ["read_bytes", "replaced"]


def read_bytes(path: str | os.PathLike[str]) -> bytes:
    """Return the bytes of a file; an OSError names it, as those of reading by themselves do not."""
    with _named(path):
        return Path(path).read_bytes()


@contextlib.contextmanager
def _named(path, *others):
    """Have an OSError of a file name `path`: in place of no file, or of one of others."""
    try:
        yield
    except OSError as error:
        if error.errno is not None and error.filename in (None, *map(str, others)):
            error.filename = str(path)
        raise


@contextlib.contextmanager
def replaced(path):
    """Open a file for bytes that takes the place of `path` when all was written."""
    # Where `path` is a symbolic link, the file that it leads to is replaced, not the link.
    path = Path(os.path.realpath(path))
    # Not one name for all: threads and processes may write the same file.
    unfinished = path.with_name(f"{path.name}.{secrets.token_hex(4)}.part")
    try:
        with _named(path, unfinished), unfinished.open("xb") as file:
            yield file
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
