"""Predict what products take on machines with up to 128 threads.

``predict.py SIMULATE OUT.jsonl [FILE ...]``, where SIMULATE is the program that Meson builds of
``simulate.c`` with ``-Dctests=true``, and the files are matrices that `spkernels.datasets.load`
reads.  Without files, a generated graph and generated layers are taken.  A line of JSON is written
for each product and number of threads.  A table with the geometric means is printed.

The schedule is computed from times of tasks on one core of this machine, with caches that are warm.
``--bandwidth`` adds the memory of the other machine: a call takes at least as long as all threads
need to read A and B once and to write C once.  README.md says what is left out.
"""

import argparse
import json
import math
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import scipy.sparse as sp

from spkernels import datasets

THREADS = (1, 2, 4, 8, 16, 32, 64, 128)
PRODUCTS = [("spmm", 1), ("spmm", 32), ("spmm", 512), ("prepared", 1), ("prepared", 32),
            ("prepared", 512), ("sddmm", 64)]  # fmt: skip


def simulated(program, matrix, verb, columns, options):
    """Return what the simulator says of a product, as a list of one dictionary per line."""
    offsets, indices = matrix.indptr.astype(np.int32), matrix.indices.astype(np.int32)
    shape = np.array([*matrix.shape, matrix.nnz], np.int64)
    with tempfile.NamedTemporaryFile() as file:
        file.write(shape.tobytes() + offsets.tobytes() + indices.tobytes())
        file.flush()
        command = [program, file.name, verb, columns, options.rounds, options.joining, *THREADS]
        done = subprocess.run(list(map(str, command)), stdout=subprocess.PIPE, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def traffic(matrix, verb, columns):
    """Return the bytes that a product in float32 reads and writes at least once."""
    offsets, dense = 4 * matrix.shape[0], 4 * columns * sum(matrix.shape)
    return 8 * matrix.nnz + offsets + dense + (4 * matrix.nnz if verb == "sddmm" else 0)


def predicted(name, matrix, options):
    """Yield a dictionary for each product and number of threads."""
    for verb, columns in PRODUCTS:
        lines = simulated(options.program, matrix, verb, columns, options)
        if lines[0]["seconds"] == 0:
            continue  # the packed layout does not take this matrix
        bytes_, one = traffic(matrix, verb, columns), lines[0]
        for line in lines:
            rate = min(line["threads"] * options.core, options.bandwidth) * 1e9
            from_memory = max(line["seconds"], bytes_ / rate)
            slowest = max(one["seconds"], bytes_ / (options.core * 1e9))
            yield {
                "matrix": name, "shape": matrix.shape, "nnz": matrix.nnz, "verb": verb,
                "columns": columns, **line, "bytes": bytes_,
                "speedup": one["seconds"] / line["seconds"],
                "imbalance": line["seconds"] / line["even"],
                "work": line["busy"] / one["busy"],
                "speedup from memory": slowest / from_memory,
            }  # fmt: skip


def generated():
    """Return matrices by name, for machines without files."""
    return {
        "power law": datasets.power_law_graph(200_000, 16, rng=0),
        "layer": datasets.random_pruned(2048, 2048, 0.9, rng=0),
        "long layer": datasets.random_pruned(14336, 4096, 0.8, rng=0),
    }


def mean(values):
    return math.exp(sum(map(math.log, values)) / len(values))


def print_table(records):
    """Print the means over all matrices, and the worst imbalance."""
    print("product    threads  used  speed-up  worst  imbalance  worst  work  from memory")
    for verb, columns in PRODUCTS:
        for threads in THREADS:
            these = [
                r for r in records
                if (r["verb"], r["columns"], r["most"]) == (verb, columns, threads)
            ]  # fmt: skip
            if these:
                speedups, imbalances = ([r[k] for r in these] for k in ("speedup", "imbalance"))
                used = np.median([r["threads"] for r in these])
                print(
                    f"{verb:8} {columns:3} {threads:4} {used:7g}"
                    f" {mean(speedups):8.2f} {min(speedups):6.2f} {mean(imbalances):8.2f}"
                    f" {max(imbalances):8.2f} {mean([r['work'] for r in these]):6.2f}"
                    f" {mean([r['speedup from memory'] for r in these]):8.2f}"
                )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program")
    parser.add_argument("out", type=Path)
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--rounds", type=int, default=5, help="calls to time tasks in")
    parser.add_argument("--joining", type=float, default=100, help="ns between workers that begin")
    parser.add_argument("--core", type=float, default=20, help="GB/s that one core reads")
    parser.add_argument("--bandwidth", type=float, default=400, help="GB/s that all cores read")
    options = parser.parse_args()
    matrices = {path.name: path for path in options.files} or generated()
    records = []
    with options.out.open("w") as out:
        for name, matrix in matrices.items():
            loaded = datasets.load(matrix) if isinstance(matrix, Path) else matrix
            csr = sp.csr_array(loaded)
            csr.sum_duplicates()
            for record in predicted(name, csr, options):
                records.append(record)
                out.write(json.dumps(record) + "\n")
    print_table(records)


if __name__ == "__main__":
    main()
