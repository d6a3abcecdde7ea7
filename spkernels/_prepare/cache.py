"""What was measured in this process, and files that keep it: key of a product -> kernel."""

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

#: What was measured in this process, or loaded: key -> name of the fastest kernel.
known: dict[str, str] = {}

#: Of what was measured in this process: key -> the basis of the verdict.
basis: dict[str, str] = {}


def key_of(state, n, workers):
    """Return what tells a product from others: the pattern, the columns and the threads."""
    csr = state.csr
    rows, cols = csr.shape
    pattern = zlib.crc32(csr.indices, zlib.crc32(csr.indptr))
    values = csr.dtype if state.storage is None else state.storage
    key = f"{rows}x{cols} {csr.nnz} {pattern:08x} {values} n={n} threads={thread_count(workers)}"
    # With other candidates, another may win.
    return key if state.padding is None else f"{key} rows={state.padding.height}"


def _machine():
    """Return what choices hold for."""
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
    """Write what `prepare` has measured in this process to a file, for `load_tuning`.

    Choices that the model made are left out: kernels differed by less than the noise there, or the
    machine was too busy to measure the one that was chosen.

    Parameters
    ----------
    path : str or os.PathLike
        The file, replaced as a whole if it exists.

    Raises
    ------
    OSError
        If it cannot be written; what was there then stays.

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
    """Take over what another process measured: `prepare` does not measure it again.

    Parameters
    ----------
    path : str or os.PathLike
        A file of `save_tuning`.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is something else, or was written on another machine.
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
