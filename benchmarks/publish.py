"""Publish a run: ``publish.py RUN.jsonl OUT.jsonl.gz`` makes the smaller file that is kept.

It holds what tables and ``spkernels bench compare`` need: the last run of each cell, every peer's
summary, and the samples of time with four digits.  ``--ops`` keeps some operations alone.
"""

import argparse
import gzip
import json
from pathlib import Path

from spkernels.bench import analysis
from spkernels.bench.results import Results

#: The guard and the wait, for which samples are dropped, are left out: the summary counts those.
COLUMNS = ("seconds", "slowest")
DIGITS = 4


def published(results, ops=None):
    """Return the lines of a file of results that are published."""
    kept = {
        id(record)
        for cell in analysis.cells_of(results.results)
        if ops is None or cell.labels["op"] in ops
        for record in cell.peers.values()
    }
    lines = []
    for line in results.lines:
        if line["line"] != "result":
            lines.append(line)
        elif id(line) in kept:
            lines.append(_rounded(line))
    return lines


def _rounded(line):
    if "samples" not in line:
        return line
    samples = {
        name: [float(f"{value:.{DIGITS}g}") for value in values]
        for name, values in line["samples"].items()
        if name in COLUMNS
    }
    return line | {"samples": samples}


def compressed(lines):
    """Return lines as they are published: the same bytes for the same lines."""
    text = "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines)
    return gzip.compress(text.encode(), 9, mtime=0)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--ops", nargs="+", help="keep these operations alone")
    args = parser.parse_args()
    args.output.write_bytes(compressed(published(Results(args.results), args.ops)))


if __name__ == "__main__":
    main()
