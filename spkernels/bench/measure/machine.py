"""The description of the machine, and the choice of CPUs and threads for peers."""

import os
import platform
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

CPU_FOLDER = Path("/sys/devices/system/cpu")
CPUINFO = Path("/proc/cpuinfo")
LOAD = Path("/proc/loadavg")
THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "SPKERNELS_NUM_THREADS",
)


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""


def choose_cpus(threads: int) -> list[int]:
    """Return CPUs for a number of threads, no two of them on one core if possible."""
    if hasattr(os, "sched_getaffinity"):
        available = sorted(os.sched_getaffinity(0))
    else:
        available = list(range(os.cpu_count() or 1))
    if threads > len(available):
        raise ValueError(f"{threads} threads on {len(available)} CPUs")
    seen: set[str] = set()
    first: list[Any] = []
    second: list[Any] = []
    for cpu in available:
        core = _read(CPU_FOLDER / f"cpu{cpu}/topology/thread_siblings_list") or str(cpu)
        (second if core in seen else first).append(cpu)
        seen.add(core)
    return sorted((first + second)[:threads])


def others_running() -> bool:
    """Return whether other programs are running now; False where the system does not say."""
    running = _read(LOAD).partition("/")[0].split()
    return bool(running) and int(running[-1]) > 1


def become_realtime() -> None:
    """Give this process and the processes that it starts precedence over ordinary programs."""
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))


def thread_settings(threads: int) -> dict[str, str]:
    """Return the environment that gives every peer the same number of threads.

    Waiting threads may spin, as by default, so that consecutive calls find them awake.  The runtime
    of Intel spins for 200 ms after the last call, and OpenBLAS for 2**26 cycles.  Both are cut to
    some milliseconds, so that the next peer's turn comes sooner.
    """
    settings = dict.fromkeys(THREAD_VARIABLES, str(threads))
    settings |= {"OMP_DYNAMIC": "FALSE", "MKL_DYNAMIC": "FALSE"}
    return settings | {"KMP_BLOCKTIME": "5", "OPENBLAS_THREAD_TIMEOUT": "23"}


def _caches() -> list[str]:
    found = []
    for index in sorted((CPU_FOLDER / "cpu0/cache").glob("index*")):
        level, kind, size = (_read(index / name) for name in ("level", "type", "size"))
        found.append(f"L{level} {kind.lower()} {size}")
    return found


def _cpu_field(name: str) -> str:
    for line in _read(CPUINFO).splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return ""


def _shortened(argument: str) -> str:
    """Return a command-line argument without the folders of this machine."""
    head, equals, path = argument.rpartition("=")
    if not Path(path).is_absolute():
        return argument
    return head + equals + Path(path).name


def fingerprint() -> dict[str, Any]:
    """Return the facts about this machine that a reader of its times needs."""
    return {
        "cpu": _cpu_field("model name") or platform.processor() or platform.machine(),
        "family/model/stepping": "/".join(
            _cpu_field(name) for name in ("cpu family", "model", "stepping")
        ),
        "vector flags": [
            flag
            for flag in _cpu_field("flags").split()
            if flag.startswith(("avx", "fma", "amx", "sse4"))
        ],
        "hypervisor": "hypervisor" in _cpu_field("flags").split(),
        "caches of cpu0": _caches(),
        "cpus": os.cpu_count(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python of the driver": platform.python_version(),
        "load average": list(os.getloadavg()) if hasattr(os, "getloadavg") else None,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "command line": [_shortened(argument) for argument in sys.argv],
        "governor": _read(CPU_FOLDER / "cpu0/cpufreq/scaling_governor") or None,
        "environment": thread_settings(1),
    }
