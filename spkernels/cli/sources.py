"""The sources of the demo's matrices: files, folders, or the generators of `datasets`."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from .. import datasets
from ..datasets._io import keys_of

#: The shape of a layer of a transformer, the most frequent one of the Deep Learning Matrix
#: Collection.
_LAYER = (2048, 512)


@dataclass(frozen=True)
class Source:
    """A matrix that `load` will make or read."""

    name: str
    load: Callable[[], Any]
    path: Path | None = None


def generated(seed: int) -> list[Source]:
    """Return sources of the kinds of sparse matrices that deep learning and graphs have."""
    pruned = [
        Source(f"pruned layer, {sparsity:.0%}", partial(_pruned, sparsity, seed))
        for sparsity in (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98)
    ]
    return [
        *pruned,
        Source("2:4 layer, 50%", partial(datasets.nm_pruned, *_LAYER, 2, 4, rng=seed)),
        Source("1:8 layer, 87.5%", partial(datasets.nm_pruned, *_LAYER, 1, 8, rng=seed)),
        Source(
            "4x4 blocks (BSR), 90%",
            partial(datasets.block_pruned, *_LAYER, (4, 4), 0.9, format="bsr", rng=seed),
        ),
        Source(
            "BigBird attention mask, 80%",
            partial(datasets.bigbird_mask, 1024, sparsity=0.8, rng=seed),
        ),
        Source("power-law graph, 99.96%", partial(datasets.power_law_graph, 20_000, 8, rng=seed)),
    ]


def _pruned(sparsity: float, seed: int) -> Any:
    return datasets.magnitude_pruned(*_LAYER, sparsity, rng=seed)


def from_paths(paths: Iterable[str], seed: int) -> tuple[list[Source], int]:
    """Return the matrices in files and folders, and the number of other files in the folders.

    A file of several matrices stands for all of them, and ``FILE#KEY`` for one of them.  Raises
    ValueError, with a line for each wrong path, if a path does not exist or a folder has no matrix.
    """
    files: list[tuple[Path, str | None]] = []
    wrong = []
    ignored = 0
    for text in paths:
        path, key = Path(text), None
        if not path.exists() and "#" in text:
            start, _, key = text.rpartition("#")
            if Path(start).is_file():
                path = Path(start)
        if path.is_dir():
            found = datasets.find(path)
            files += [(file, key) for file in found for key in keys_of(file)]
            ignored += _count_others(path, set(found))
            if not found:
                wrong.append(f"{path}: no .smtx, .mtx, .npz or .mat file in this folder")
        elif path.exists():
            files += [(path, key) for key in (keys_of(path) if key is None else [key])]
        else:
            wrong.append(f"{path}: no such file or folder")
    if wrong:
        raise ValueError("\n".join(wrong))
    base = os.path.commonpath([file.absolute().parent for file, _ in files])
    return [_from_file(file, key, base, seed) for file, key in files], ignored


def _count_others(folder: Path, found: set[Path]) -> int:
    """Return the number of files in a folder, at any depth, that are neither `found` nor hidden."""
    count = 0
    for where, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        visible = [Path(where, name) for name in files if not name.startswith(".")]
        count += len(set(visible) - found)
    return count


def _from_file(path: Path, key: str | None, base: str, seed: int) -> Source:
    name = os.path.relpath(path.absolute(), base) + (f"#{key}" if key else "")
    # A name that is not valid text must not stop the output.
    name = os.fsencode(name).decode(errors="replace")
    return Source(name, partial(datasets.load, path, key=key, rng=seed), path)
