"""Files that may be compressed: their suffixes and their content."""

from __future__ import annotations

import importlib
import zlib
from pathlib import Path

from .._runtime.files import read_bytes

__all__ = ["COMPRESSED", "read", "suffix"]

#: The suffixes of compressed files, and the modules that decompress them.
COMPRESSED = {".gz": "gzip", ".bz2": "bz2", ".xz": "lzma"}
# Bytes.  The header of an .xz file claims the memory that its decompression takes, so a limit is
# needed; `xz -9` takes 65 MiB.
_MAX_XZ_MEMORY = 1 << 29


def suffix(path: Path) -> str:
    """Return the suffix of `path` in lower case, without the suffix of a compression."""
    name = path.name.lower()
    return Path(name.removesuffix(_compression(path))).suffix


def _compression(path: Path) -> str:
    return next((end for end in COMPRESSED if path.name.lower().endswith(end)), "")


def read(path: Path) -> bytes:
    """Return the content of a file, decompressed if its suffix is that of a compression.

    Memory is proportional to the actual content, not to sizes that the file claims.
    """
    data = read_bytes(path)
    end = _compression(path)
    if not end:
        return data
    try:
        module = importlib.import_module(COMPRESSED[end])
    except ImportError as error:  # Python can be built without these modules
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
