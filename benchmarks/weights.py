"""Time large layers times a vector, by how their weights are stored: ``weights.py OUT.json``.

Dense float32 products of NumPy, MKL and PyTorch are peers (`--dense-python` names a Python that has
these).  Each contestant has a process of its own; they take turns, call by call.  Before each call
that counts as "memory", a buffer larger than the caches is read, and threads are woken by a product
of a small layer.  ``weights.py --table OUT.json`` prints medians, and ratios to the fastest peer.
"""

import argparse
import ctypes
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

SHAPES = [(4096, 4096), (4096, 11008), (14336, 4096)]
SPARSITIES = [0.5, 0.6, 0.7, 0.8]
STORAGES = [None, "bfloat16", "int8", "int4"]
PEERS = ["numpy", "mkl", "torch"]
ISAS = ["avx512", "avx2"]


# Contestants, in processes of their own -----------------------------------------------------------


def products(kind, threads):
    """Return a function that makes products of a layer: names, calls of them, and bytes."""
    if kind in ISAS:
        import scipy.sparse as sp

        import spkernels

        def ours(layer):
            x, out = np.ones(layer.shape[1], np.float32), np.empty(layer.shape[0], np.float32)
            sparse = sp.csr_array(layer)
            for storage in STORAGES:
                W = spkernels.prepare(sparse, n=1, storage=storage, workers=threads)
                yield storage or "float32", lambda W=W: W.spmm(x, out=out), W.nbytes, W.kernel

        return ours
    if kind == "numpy":
        return lambda layer: [("numpy", by_numpy(layer), layer.nbytes, "numpy.matmul")]
    if kind == "torch":
        import torch

        torch.set_num_threads(threads)

        def by_torch(layer):
            W, x = torch.from_numpy(layer), torch.ones(layer.shape[1])
            out = torch.empty(layer.shape[0])
            return [("torch", lambda: torch.mv(W, x, out=out), layer.nbytes, "torch.mv")]

        return by_torch
    library = ctypes.CDLL(str(next(Path(sys.prefix).glob("lib/libmkl_rt.so*"))))
    library.MKL_Set_Num_Threads(threads)
    return lambda layer: [("mkl", by_mkl(library, layer), layer.nbytes, "cblas_sgemv")]


def by_numpy(layer):
    x, out = np.ones(layer.shape[1], np.float32), np.empty(layer.shape[0], np.float32)
    return lambda: np.matmul(layer, x, out=out)


def by_mkl(library, layer):
    x, y = np.ones(layer.shape[1], np.float32), np.empty(layer.shape[0], np.float32)
    rows, cols = layer.shape
    one, zero = ctypes.c_float(1), ctypes.c_float(0)
    at = [ctypes.c_void_p(array.ctypes.data) for array in (layer, x, y)]
    row_major, plain = 101, 111
    return lambda: library.cblas_sgemv(
        row_major, plain, rows, cols, one, at[0], cols, at[1], 1, zero, at[2], 1
    )


def random_layer(shape, sparsity, seed=0):
    rng = np.random.default_rng(seed)
    layer = rng.standard_normal(shape, np.float32)
    layer[rng.random(shape, np.float32) < sparsity] = 0
    return layer


def work(kind, threads, flush):
    """Answer requests of the parent, which are lines of JSON."""
    make = products(kind, threads)
    buffer = np.ones(flush << 17) if flush else None
    small = next(iter(make(random_layer((512, 512), 0.5))))[1]
    calls = {}
    for line in sys.stdin:
        request = json.loads(line)
        if "shape" in request:
            calls.clear()
            layer = random_layer(tuple(request["shape"]), request["sparsity"])
            facts = {}
            for name, call, nbytes, how in make(layer):
                calls[name] = call
                facts[name] = {"bytes": nbytes, "how": how}
            answer = facts
        else:
            answer = {}
            for name, call in calls.items():
                for _ in range(20):
                    call()
                samples = []
                for _ in range(request["calls"]):
                    if request["cache"] == "memory":
                        buffer.sum()
                        for _ in range(20):
                            small()
                    begin = time.perf_counter()
                    call()
                    samples.append(time.perf_counter() - begin)
                answer[name] = samples
        print(json.dumps(answer), flush=True)


# The parent ---------------------------------------------------------------------------------------


def start(kind, options):
    python = options.dense_python if kind in PEERS else sys.executable
    env = {k: v for k, v in os.environ.items() if not k.startswith("OPENBLAS_CORETYPE")}
    if kind in ISAS:
        env["SPKERNELS_ISA"] = kind
    if kind == "mkl":  # its libraries look for each other
        env["LD_LIBRARY_PATH"] = str(Path(python).parent.parent / "lib")
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        env[name] = str(options.threads)
    command = [python, __file__, "--work", kind, "--threads", str(options.threads),
               "--flush", str(options.flush)]  # fmt: skip
    return subprocess.Popen(
        command, env=env, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )


#: The seconds until threads of the process before have stopped to spin.
REST = 0.3


def ask(process, **request):
    time.sleep(REST)
    process.stdin.write(json.dumps(request) + "\n")
    process.stdin.flush()
    return json.loads(process.stdout.readline())


def measure(options):
    kinds = [*(PEERS if options.dense_python else ["numpy"]), *options.isas]
    options.dense_python = options.dense_python or sys.executable
    processes = {kind: start(kind, options) for kind in kinds}
    cells = []
    for shape in SHAPES:
        for sparsity in [0.0, *SPARSITIES]:  # full layers: what fewer bits alone give
            facts = {k: ask(p, shape=shape, sparsity=sparsity) for k, p in processes.items()}
            for cache in ("warm", "memory"):
                samples = {}
                for _ in range(options.rounds):
                    for kind, process in processes.items():
                        found = ask(process, cache=cache, calls=options.calls)
                        for name, seconds in found.items():
                            samples.setdefault((kind, name), []).extend(seconds)
                for (kind, name), seconds in samples.items():
                    cell = {"shape": shape, "sparsity": sparsity, "cache": cache, "kind": kind,
                            "name": name, **facts[kind][name], "seconds": seconds}  # fmt: skip
                    cells.append(cell)
                print(table([c for c in cells if c["shape"] == shape and c["cache"] == cache
                             and c["sparsity"] == sparsity]), flush=True)  # fmt: skip
    for process in processes.values():
        process.stdin.close()
    with open(options.out, "w") as file:
        json.dump(cells, file)


def key_of(cell):
    return tuple(cell["shape"]), cell["sparsity"], cell["cache"]


def table(cells):
    """Return a Markdown table: microseconds of the fastest dense product, and how much faster."""
    lines = []
    keys = sorted({key_of(c) for c in cells})
    for shape, sparsity, cache in keys:
        here = [c for c in cells if key_of(c) == (shape, sparsity, cache)]
        median = {(c["kind"], c["name"]): statistics.median(c["seconds"]) for c in here}
        dense, peer = min((median[key], key[0]) for key in median if key[0] in PEERS)
        row = [f"{shape[0]} x {shape[1]}", f"{sparsity:.0%}", cache, f"{1e6 * dense:.0f} ({peer})"]
        for c in here:
            if c["kind"] not in PEERS:
                seconds = median[c["kind"], c["name"]]
                rate = c["bytes"] / seconds / 1e9
                speed = f"{1e6 * seconds:.0f} us, {dense / seconds:.2f}x, {rate:.1f} GB/s"
                row.append(f"{c['kind']} {c['name']} {speed}")
        lines.append("| " + " | ".join(row) + " |")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", nargs="?")
    parser.add_argument("--dense-python", help="a Python with numpy, torch and MKL")
    parser.add_argument("--isas", nargs="*", default=ISAS)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--calls", type=int, default=5)
    parser.add_argument("--flush", type=int, default=768, help="MiB that are read before a call")
    parser.add_argument("--work", help=argparse.SUPPRESS)
    parser.add_argument("--table", action="store_true")
    options = parser.parse_args()
    if options.work:
        work(options.work, options.threads, options.flush)
    elif options.table:
        print(table(json.loads(Path(options.out).read_text())))
    else:
        measure(options)


if __name__ == "__main__":
    main()
