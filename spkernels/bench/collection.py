"""Which cells a run has: of the suites' own matrices, or of files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from .. import datasets
from ..datasets._compressed import suffix
from ..datasets._keys import default
from .cells import Cell, Matrix
from .suites import SUITES
from .suites.common import Options, spread

#: The formats whose files may hold several matrices.
_OF_SEVERAL = {".npz", ".mat"}
#: Files of each suite that a quick run takes.
QUICK_FILES = 6


def cells(suites: Sequence[str], data: Path | None, options: Options) -> list[Cell]:
    """Return the cells of some suites; with `data`, of the files below it that they read."""
    found = []
    for name in suites:
        suite = SUITES[name]
        if data is not None and suite.SUFFIXES:
            matrices = list(_files(data, suite.SUFFIXES))
            if options.quick:
                matrices = spread(matrices, QUICK_FILES)
        else:
            matrices = list(suite.matrices(options.quick))
        found += suite.cells(matrices, options)
    return found


def _files(data: Path, suffixes: tuple[str, ...]) -> Iterator[Matrix]:
    for path in datasets.find(data):
        if suffix(path) in suffixes:
            name = path.relative_to(data).as_posix() if data.is_dir() else path.name
            kind = name.split("/")[1] if name.count("/") > 2 else name.split("/")[0]
            for key in keys_of(path):
                yield Matrix(
                    name if key is None else f"{name}#{key}",
                    kind,
                    partial(datasets.load, path, key=key),
                )


def keys_of(path: Path) -> Sequence[str | None]:
    """Return the keys of all matrices of a file, or None alone where `load` needs no key."""
    if suffix(path) not in _OF_SEVERAL:
        return [None]
    try:
        names = datasets.keys(path)
    except (ValueError, OSError, MemoryError):
        names = []  # what reads the file will say so
    return names if names and default(names) is None else [None]
