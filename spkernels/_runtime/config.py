"""The configuration: the build, and the machine that it runs on."""

from __future__ import annotations

import os
import platform
import sys
from typing import Any, Literal, overload

import numpy as np
import scipy

from .. import _core
from .._version import version
from .threads import available_cpus

__all__ = ["show_config"]


@overload
def show_config(mode: Literal["stdout"] = "stdout") -> None: ...
@overload
def show_config(mode: Literal["dicts"]) -> dict[str, dict[str, Any]]: ...
def show_config(
    mode: Literal["stdout", "dicts"] = "stdout",
) -> dict[str, dict[str, Any]] | None:
    """Print or return the build, the instruction sets and the threads in use.

    Parameters
    ----------
    mode : {"stdout", "dicts"}, optional
        Whether to print the configuration or to return it.

    Returns
    -------
    dict or None
        With "dicts", a dictionary of dictionaries of plain values; else None.

    Raises
    ------
    ValueError
        If `mode` is neither "stdout" nor "dicts".

    Examples
    --------
    >>> import spkernels
    >>> config = spkernels.show_config(mode="dicts")
    >>> config["simd"]["in use"] in config["simd"]["available"]
    True
    """
    if mode not in ("stdout", "dicts"):
        raise ValueError(f"mode must be 'stdout' or 'dicts', got {mode!r}")
    config: dict[str, dict[str, Any]] = {
        "spkernels": {"version": version, "C ABI": _core.abi_version()},
        "simd": {
            "in use": _core.isa(),
            "available": _core.isa_list(),
            "SPKERNELS_ISA": os.environ.get("SPKERNELS_ISA"),
        },
        "threads": {
            "default": _core.get_num_threads(),
            "available CPUs": available_cpus(),
            "OpenMP": _core.openmp(),
            "contended regions": _core.contended_regions(),
            "workspace per thread, bytes": _core.workspace_limit(),
            "workspace of all threads, bytes": _core.shared_limit(0),
        },
        "memory": {
            "kept results, bytes": _core.kept_results(),
            "SPKERNELS_KEPT_MIB": os.environ.get("SPKERNELS_KEPT_MIB"),
        },
        "python": {
            "version": platform.python_version(),
            "platform": sys.platform,
            "machine": platform.machine(),
            "numpy": np.__version__,
            "scipy": scipy.__version__,
        },
    }
    if mode == "dicts":
        return config
    for section, entries in config.items():
        print(f"{section}:")
        for name, value in entries.items():
            shown = ", ".join(value) if isinstance(value, list) else value
            print(f"  {name}: {shown}")
    return None
