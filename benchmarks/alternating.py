"""Time dense operations of PyTorch and sparse products that alternate in one process.

Each row of the table is a process, which imports PyTorch or spkernels first, under a policy of
OpenMP for threads that wait, with products on the threads of spkernels or on those of PyTorch
(`spkernels.use_team`).  Each operation is timed alone, again and again, and in turns with the
other; a time is the least of the medians of some rounds.  The same on one thread is the control: no
threads meet there, so what it takes longer in turns is what the other left in the caches::

    python benchmarks/alternating.py alternating.jsonl > alternating.md
"""

import argparse
import ctypes
import itertools
import json
import os
import statistics
import subprocess
import sys
import time
from functools import partial

ORDERS = ("torch", "spkernels")
POLICIES = ("unset", "passive", "active")
THREADS = ("own", "lent")
# Rows, columns and columns of the dense operand, at 10% density.
PRODUCTS = {"20 us": (256, 512, 32), "100 us": (1024, 1024, 32), "1 ms": (2048, 2048, 128)}
DENSE = ("relu of 4096", "relu of 65536", "mm of 64 x 512 x 512")
ROUNDS = 5
ROUND_SECONDS = 0.03
# Threads of OpenMP that have no work sleep within this time, unless they spin for ever.
SETTLE_SECONDS = 0.012


def rounds(*functions):
    """Return the times in microseconds of functions that are called in turns for a while."""
    times = [[] for _ in functions]
    end = time.perf_counter() + ROUND_SECONDS
    while time.perf_counter() < end:
        for function, samples in zip(functions, times, strict=True):
            begin = time.perf_counter()
            function()
            samples.append(time.perf_counter() - begin)
    time.sleep(SETTLE_SECONDS)
    return [1e6 * statistics.median(samples) for samples in times]


def compare(dense, sparse):
    """Return the times of both alone, and in turns."""
    results = [(*rounds(dense), *rounds(sparse), *rounds(dense, sparse)) for _ in range(ROUNDS)]
    names = ("dense_alone", "sparse_alone", "dense", "sparse")
    return dict(zip(names, map(min, zip(*results, strict=True)), strict=True))


def measure(first, threads):
    """Print the results of this process, a line of JSON each."""
    __import__(first)
    import numpy as np
    import scipy.sparse as sp
    import torch

    import spkernels

    team = torch.get_num_threads()
    rng = np.random.default_rng(0)
    small, large = torch.randn(1, 4096), torch.randn(64, 1024)
    x, w = torch.randn(64, 512), torch.randn(512, 512)
    operations = (lambda: torch.relu(small), lambda: torch.relu(large), lambda: torch.mm(x, w))
    # The control comes first, as no thread spins yet.
    for count in (1, team):
        torch.set_num_threads(count)
        if threads == "lent":
            spkernels.use_team(ctypes.CDLL(None), count)
        for product, (rows, cols, n) in PRODUCTS.items():
            A = sp.random_array((rows, cols), density=0.1, format="csr", dtype=np.float32, rng=rng)
            B, C = rng.standard_normal((cols, n), np.float32), np.empty((rows, n), np.float32)
            multiply = partial(spkernels.spmm, A, B, out=C, workers=count)
            for name, operation in zip(DENSE, operations, strict=True):
                facts = {"torch": torch.__version__, "threads": count}
                print(json.dumps({"dense": name, "product": product, **facts,
                                  "us": compare(operation, multiply)}), flush=True)  # fmt: skip


def run(first, policy, threads):
    """Return the results of a process of its own."""
    env = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    if policy != "unset":
        env["OMP_WAIT_POLICY"] = policy
    command = [sys.executable, os.path.abspath(__file__), "--measure", first, threads]
    lines = subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout
    facts = {"first": first, "policy": policy, "product_threads": threads}
    return [{**facts, **json.loads(line)} for line in lines.splitlines()]


def table(results):
    """Return a Markdown table: times alone, and how many times as long it takes in turns.

    Ratios of the control stand in parentheses.
    """
    lines = [
        "| first import | OMP_WAIT_POLICY | threads of products | dense | product "
        "| dense alone, us | in turns (one thread) | product alone, us | in turns (one thread) |",
        "|---|---|---|---|---|---:|---:|---:|---:|",
    ]
    names = ("first", "policy", "product_threads", "dense", "product")
    by_case = {}
    for r in results:
        by_case.setdefault(tuple(r[name] for name in names), {})[r["threads"]] = r["us"]
    for case, us in by_case.items():
        most = us[max(us)]
        cells = list(case)
        for kind in ("dense", "sparse"):
            ratio, control = (t[kind] / t[f"{kind}_alone"] for t in (most, us[1]))
            cells += [f"{most[f'{kind}_alone']:.1f}", f"{ratio:.2f}x ({control:.2f}x)"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main():
    """Run all processes, write their results, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", nargs="?", help="a file for the results, a line of JSON each")
    parser.add_argument("--measure", nargs=2, metavar=("FIRST", "THREADS"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.measure:
        measure(*args.measure)
        return
    results = []
    for policy, first, threads in itertools.product(POLICIES, ORDERS, THREADS):
        results += run(first, policy, threads)
        if args.out:
            with open(args.out, "w") as file:
                file.writelines(json.dumps(result) + "\n" for result in results)
    print(table(results))


if __name__ == "__main__":
    main()
