"""Files that may be compressed: which suffix says what, and their content."""

from __future__ import annotations

import importlib
import zlib
from pathlib import Path

from .._runtime.files import read_bytes

__all__ = ["COMPRESSED", "read", "suffix"]

#: What follows the suffix of a format, and the module that decompresses it.
COMPRESSED = {".gz": "gzip", ".bz2": "bz2", ".xz": "lzma"}
# A header of .xz says how much memory it takes; `xz -9` needs 65 MiB.
_MAX_XZ_MEMORY = 1 << 29


def suffix(path: Path) -> str:
    """Return the lower-case suffix of `path` that is left without one of compression."""
    name = path.name.lower()
    return Path(name.removesuffix(_compression(path))).suffix


def _compression(path: Path) -> str:
    return next((end for end in COMPRESSED if path.name.lower().endswith(end)), "")


def read(path: Path) -> bytes:
    """Return the content of a file, decompressed if its name says that it is compressed.

    Memory follows what there is to decompress, whatever the content claims of itself.
    """
    data = read_bytes(path)
    end = _compression(path)
    if not end:
        return data
    try:
        module = importlib.import_module(COMPRESSED[end])
    except ImportError as error:  # Python can be built without them
        raise ValueError(
            f"expected a file without {end}, as this Python has no {error.name}"
        ) from error
    options = {"format": module.FORMAT_XZ, "memlimit": _MAX_XZ_MEMORY} if end == ".xz" else {}
    failures = (OSError, EOFError, ValueError, zlib.error, getattr(module, "LZMAError", OSError))
    try:
        if not data:
            raise EOFError("it is empty")
        return module.decompress(data, **options)
    except failures as error:
        raise ValueError(f"expected a whole {end} file, but {error}") from error
