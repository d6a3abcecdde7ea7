"""The cells of a run, from matrices that suites make or from files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from .. import datasets
from ..datasets._compressed import suffix
from ..datasets._io import keys_of
from .cells import Cell, Matrix
from .suites import SUITES
from .suites.common import Options, spread

#: The number of files of each suite in a quick run.
QUICK_FILES = 6


def cells(suites: Sequence[str], data: Path | None, options: Options) -> list[Cell]:
    """Return the cells of some suites; with `data`, from the files below it that they read."""
    found = []
    for name in suites:
        suite = SUITES[name]
        if data is not None and suite.SUFFIXES:
            matrices = list(_files(data, suite.SUFFIXES))
            if options.quick:
                matrices = spread(matrices, QUICK_FILES)
        else:
            matrices = list(suite.matrices(options))
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
