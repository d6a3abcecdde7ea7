"""The rooflines of the machine: its largest FMA rate and its bandwidths."""

from __future__ import annotations

import os
from typing import Any

from .. import _core

#: All threads together read this share of a level's bytes to measure its bandwidth.
SHARE = 0.5
#: Levels that all threads of a machine share.
SHARED = ("L3",)
DRAM_BYTES = 256 << 20
#: The sizes of caches where the system does not state them.
DEFAULT = {"L1": 32 << 10, "L2": 512 << 10, "L3": 16 << 20}
_NAMES = {"L1": "SC_LEVEL1_DCACHE_SIZE", "L2": "SC_LEVEL2_CACHE_SIZE", "L3": "SC_LEVEL3_CACHE_SIZE"}


def cache_bytes() -> dict[str, int]:
    """Return the sizes of the caches by level, in bytes."""
    found = {}
    for level, usual in DEFAULT.items():
        try:
            size = os.sysconf(_NAMES[level])
        except (ValueError, OSError):
            size = 0
        found[level] = size if size > 0 else usual
    return found


def line(threads: int, run: int) -> dict[str, Any]:
    """Measure, and return the line of a file of results."""
    caches = cache_bytes()
    bandwidth = {}
    for level, size in caches.items():
        each = int(size * SHARE) // (threads if level in SHARED else 1)
        bandwidth[level] = _core.roofline(True, False, max(4096, each), threads) / 1e9
    each = max(DRAM_BYTES, 4 * caches["L3"]) // threads
    bandwidth["DRAM"] = _core.roofline(True, False, each, threads) / 1e9
    return {
        "line": "roofline",
        "run": run,
        "threads": threads,
        "isa": _core.isa(),
        "GFLOP/s": {
            "float32": _core.roofline(False, False, 0, threads) / 1e9,
            "float64": _core.roofline(False, True, 0, threads) / 1e9,
        },
        "GB/s": bandwidth,
        "cache bytes": caches,
    }
