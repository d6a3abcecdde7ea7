"""The command ``spkernels info``: it prints what a bug report or a C program needs to know."""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import sys
from pathlib import Path
from typing import Any

from .. import cuda
from .._runtime.config import show_config
from .._runtime.threadpools import threadpoolctl
from .table import WIDTH

_DESCRIPTION = """\
Show this installation of spkernels and its environment: the version, the instruction sets (SIMD),
the threads, NumPy and scipy, the GPUs, the OpenMP and BLAS libraries in the process, and the
folders of the C header and library. Please paste the output into bug reports.
"""
_EPILOG = """\
examples:
  %(prog)s
  %(prog)s --json
  SPKERNELS_ISA=avx2 %(prog)s     try another instruction set
"""
#: The prefixes of environment variables that change the time of a product.
_PREFIXES = ("SPKERNELS_", "OMP_", "GOMP_", "KMP_", "OPENBLAS_", "MKL_", "BLIS_")
_OPTIONAL = ("matplotlib", "tqdm")


def add_parser(commands: Any) -> None:
    """Add the parser of the command to argparse's subparsers."""
    parser = commands.add_parser(
        "info",
        help="show the build, the CPU features and the threads in use",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the information, and return the exit status."""
    found = collect()
    if args.json:
        print(json.dumps(found, indent=2))
        return 0
    for section, entries in found.items():
        print(f"{section}:")
        for name, value in entries.items():
            print(_line(name, value))
    return 0


def collect() -> dict[str, dict[str, Any]]:
    """Return the information: a dictionary of sections, which are dictionaries of plain values."""
    found = show_config(mode="dicts")
    found["python"]["threadpoolctl"] = threadpoolctl.__version__
    found["python"]["executable"] = sys.executable
    found["optional packages"] = {name: _version(name) for name in _OPTIONAL}
    found["machine"] = {
        "system": platform.platform(),
        "CPU": _cpu_model(),
        "CPUs": os.cpu_count(),
    }
    found["GPU"] = cuda.show_config(mode="dicts")
    found["runtimes"] = _runtimes()
    found["environment"] = {
        name: value for name, value in sorted(os.environ.items()) if name.startswith(_PREFIXES)
    }
    found["C interface"] = {
        "package": str(Path(__file__).parents[1]),
        "include": _folder("include"),
        "lib": _folder("lib"),
    }
    return found


def _line(name: str, value: Any) -> str:
    if isinstance(value, list):
        value = ", ".join(map(str, value))
    text = f"  {name}: {'-' if value is None else value}"
    return text if len(text) <= WIDTH else f"  {name}:\n    {value}"


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _cpu_model(path: Path = Path("/proc/cpuinfo")) -> str | None:
    """Return the name of the CPU on Linux, where `platform.processor` is empty, or None."""
    try:
        lines = path.read_text(errors="replace").splitlines()
    except OSError:
        return None
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else None


def _runtimes() -> dict[str, str]:
    """Return the OpenMP and BLAS libraries in this process by path.

    Two libraries of a kind may compete for the CPUs.
    """
    found = {}
    for library in threadpoolctl.threadpool_info():
        version = f" {library['version']}" if library["version"] else ""
        found[library["filepath"]] = (
            f"{library['internal_api']}{version} ({library['user_api']}), "
            f"{library['num_threads']} threads"
        )
    return found


def _folder(name: str) -> str | None:
    """Return the path of a folder of the installed package, or None if there is no such folder."""
    folder = Path(__file__).parents[1] / name
    return str(folder) if folder.is_dir() else None
