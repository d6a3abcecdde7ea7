"""Print how long the package takes to import, and what it imports: medians of ten runs."""

import re
import statistics
import subprocess
import sys

RUNS = 10
ROW = re.compile(r"import time: +\d+ \| +(\d+) \| +(\S+)$", re.MULTILINE)
NAMES = ("numpy", "scipy.sparse", "spkernels")


def run() -> dict[str, int]:
    """Return the microseconds of the imports of a process, those within each included."""
    command = [sys.executable, "-X", "importtime", "-c", "import numpy, scipy.sparse, spkernels"]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    return {name: int(micros) for micros, name in ROW.findall(told)}


runs = [run() for _ in range(RUNS)]
for name in NAMES:
    taken = [times[name] / 1000 for times in runs]
    print(f"import {name}: {statistics.median(taken):.1f} ms ({min(taken):.1f} at least)")
