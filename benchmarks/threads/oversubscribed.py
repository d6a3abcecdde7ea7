"""Measure what more threads than CPUs cost: ``oversubscribed.py OUT.jsonl``.

Each product is timed with as many threads as there are CPUs, and with up to 64, in turns.  Results
must have the same bits.  A line of JSON is written for each product and number of threads.
"""

import json
import os
import statistics
import sys
import time
from pathlib import Path

import numpy as np
import scipy.sparse as sp

import spkernels
from spkernels import datasets

COUNTS = (1, 3, 4, 8, 16, 32, 64)
#: Rounds, and calls of each round that are timed, after some that are not.
ROUNDS, CALLS, UNTIMED = 6, 15, 5


def products():
    """Return functions of the number of threads, by name."""
    rng = np.random.default_rng(0)
    found = {}
    for name, (rows, cols), sparsity in [
        ("layer", (2048, 2048), 0.9), ("large layer", (8192, 4096), 0.9)
    ]:  # fmt: skip
        A = sp.csr_array(datasets.random_pruned(rows, cols, sparsity, rng=0))
        for n in (1, 32, 256):
            B = rng.standard_normal((cols, n) if n > 1 else cols, dtype=np.float32)
            found[f"{name}, spmm, {n}"] = lambda w, A=A, B=B: spkernels.spmm(A, B, workers=w)
            packed = {}

            def run(w, A=A, B=B, n=n, packed=packed):
                if w not in packed:
                    packed[w] = spkernels.prepare(A, n=n, tune=False, workers=w)
                return packed[w].spmm(B, workers=w)

            found[f"{name}, prepared, {n}"] = run
        X = rng.standard_normal((rows, 64), dtype=np.float32)
        Y = rng.standard_normal((64, cols), dtype=np.float32)
        found[f"{name}, sddmm, 64"] = lambda w, A=A, X=X, Y=Y: (
            spkernels.sddmm(A, X, Y, workers=w).data
        )
    graph = sp.csr_array(datasets.power_law_graph(100_000, 16, rng=0))
    for n in (1, 32):
        B = rng.standard_normal((100_000, n) if n > 1 else 100_000, dtype=np.float32)
        found[f"graph, spmm, {n}"] = lambda w, B=B: spkernels.spmm(graph, B, workers=w)
    return found


def main():
    cpus = len(os.sched_getaffinity(0))
    with Path(sys.argv[1]).open("w") as out:
        for name, run in products().items():
            expected = run(cpus)
            seconds = {count: [] for count in (cpus, *COUNTS)}
            for count in seconds:
                assert np.array_equal(run(count), expected), (name, count)
            for _ in range(ROUNDS):
                for count, times in seconds.items():
                    for call in range(-UNTIMED, CALLS):
                        begin = time.perf_counter()
                        run(count)
                        if call >= 0:
                            times.append(time.perf_counter() - begin)
            base = seconds[cpus]
            ratios = {}
            for count, times in seconds.items():
                ratios[count] = statistics.median(times) / statistics.median(base)
                line = {"product": name, "cpus": cpus, "threads": count, "seconds": times}
                out.write(json.dumps(line) + "\n")
            print(
                f"{name:28} {statistics.median(base) * 1e6:9.0f} us ",
                *(f"{count}: {ratio:.2f} " for count, ratio in ratios.items() if count != cpus),
                flush=True,
            )


if __name__ == "__main__":
    main()
