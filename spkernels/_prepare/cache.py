"""The strategies that were measured to be the fastest, in this process and in files."""

from __future__ import annotations

import json
import os
import platform
import zlib
from pathlib import Path

from .. import _core
from .._runtime.files import read_bytes, replaced
from .._runtime.threads import thread_count
from .strategies import KERNELS

__all__ = ["basis", "key_of", "known", "load_tuning", "save_tuning"]

#: The names of the fastest strategies by the keys of products, measured in this process or loaded.
known: dict[str, str] = {}

#: The bases of the verdicts by the keys of products, for products measured in this process.
basis: dict[str, str] = {}


def key_of(state, n, workers):
    """Return the key of a product, which depends on structure, columns, dtype and threads."""
    csr = state.csr
    rows, cols = csr.shape
    pattern = zlib.crc32(csr.indices, zlib.crc32(csr.indptr))
    values = csr.dtype if state.storage.name is None else state.storage.describe()
    key = f"{rows}x{cols} {csr.nnz} {pattern:08x} {values} n={n} threads={thread_count(workers)}"
    # Padding adds a candidate, so another strategy may be the fastest.
    return key if state.padding is None else f"{key} rows={state.padding.height}"


def _machine():
    """Return the description of the machine for which measurements hold."""
    return {
        "isa": _core.isa(),
        "machine": platform.machine(),
        "cpu": _cpu_name(),
    }


def _cpu_name():
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    wanted = ("vendor_id", "cpu family", "model", "model name")
    values = dict(line.split("\t", 1) for line in lines if "\t" in line)
    return ", ".join(values.get(name, "").strip(": \t") for name in wanted)


def save_tuning(path: str | os.PathLike[str]) -> None:
    """Write the measurements of `prepare` in this process to a file for `load_tuning`.

    Choices of the model are left out: for these, strategies differed by less than the noise, or the
    machine was too busy to measure the chosen strategy.

    Parameters
    ----------
    path : str or os.PathLike
        The file.  A file that exists is replaced as a whole.

    Raises
    ------
    OSError
        If the file cannot be written.  A file that existed before stays as it was.

    See Also
    --------
    load_tuning : reads the file.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import spkernels
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "tuning.json")
    ...     spkernels.save_tuning(path)
    ...     spkernels.load_tuning(path)
    """
    by_model = {
        key for key, how in list(basis.items()) if how in ("within noise", "predicted")
    }
    kernels = {key: name for key, name in list(known.items()) if key not in by_model}
    text = json.dumps({"format": 1, "machine": _machine(), "kernels": kernels}, indent=1)
    with replaced(path) as file:
        file.write(text.encode())


def load_tuning(path: str | os.PathLike[str]) -> None:
    """Load the measurements of another process, so that `prepare` does not repeat them.

    Parameters
    ----------
    path : str or os.PathLike
        A file of `save_tuning`.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is not one of `save_tuning`, or was written on another machine.

    See Also
    --------
    save_tuning : writes the file; its example loads it, too.
    """
    try:
        content = json.loads(read_bytes(path))
        machine, kernels = content["machine"], content["kernels"]
        right = content["format"] == 1 and all(name in KERNELS for name in kernels.values())
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        right = False
    if not right:
        raise ValueError(f"{path}: expected a file of save_tuning")
    if machine != _machine():
        raise ValueError(f"{path}: expected tuning of this machine, {_machine()}, found {machine}")
    known.update(kernels)
    for key in kernels:
        basis.pop(key, None)
