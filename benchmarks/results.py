"""Measure what large results cost: ``results.py OUT.jsonl``.

Products are made into new arrays and into one that is kept, in turns: in a process that keeps
memory of results, and in one that does not.  Times are those of the call, and those of the call and
of the end of the result before.  A line of JSON is written for each product and process.
"""

import json
import os
import resource
import statistics
import subprocess
import sys
import time

ROUNDS = 15
MIB = 2**20


def operations():
    """Yield names, functions that take `out`, and the size of the result in MiB."""
    import numpy as np
    import scipy.sparse as sp

    import spkernels

    rng = np.random.default_rng(0)
    for mib in (40, 100, 200):
        for n, per_row in [(32, 4), (32, 32), (512, 4), (512, 32)]:
            rows, k = mib * MIB // (4 * n), 2000
            A = sp.random(rows, k, per_row / k, "csr", np.float32, rng)
            B = rng.standard_normal((k, n), dtype=np.float32)
            out = np.ones((rows, n), np.float32)
            yield (
                f"spmm, {n} columns, {per_row} entries a row",
                lambda out, A=A, B=B: spkernels.spmm(A, B, out=out),
                out,
            )
    P = sp.csr_array(sp.random(20_000, 20_000, 0.065, "csr", np.float32, rng))
    X, Y = np.ones((20_000, 8), np.float32), np.ones((8, 20_000), np.float32)
    values = sp.csr_array((np.ones_like(P.data), P.indices, P.indptr), P.shape)
    yield "sddmm, k = 8", lambda out: spkernels.sddmm(P, X, Y, out=out), values
    Q = rng.standard_normal((16, 8, 3200, 64), dtype=np.float32)
    window = spkernels.masks.window(3200, 16)
    yield (
        "sparse_attention, a window of 33 keys",
        lambda out: spkernels.sparse_attention(Q, Q, Q, window, out=out),
        np.ones_like(Q),
    )


def timed(run, out):
    """Return the seconds of a call, those until its result is gone, and its page faults."""
    faults, begin = resource.getrusage(resource.RUSAGE_SELF).ru_minflt, time.perf_counter()
    result = run(out)
    end = time.perf_counter()
    faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - faults
    del result
    return end - begin, time.perf_counter() - begin, faults


def measure():
    for name, run, out in operations():
        samples = {"new": [], "out": []}
        for _ in range(ROUNDS + 2):
            samples["new"].append(timed(run, None))
            samples["out"].append(timed(run, out))
        size = getattr(out, "data", out) if hasattr(out, "indptr") else out
        line = {"operation": name, "mib": round(size.nbytes / MIB)}
        for how, calls in samples.items():
            seconds, ended, faults = zip(*calls[2:], strict=True)
            line |= {how: seconds, f"{how} and its end": ended, f"{how}, faults": faults}
        print(json.dumps(line), flush=True)


def main():
    if sys.argv[1:] == ["--measure"]:
        measure()
        return
    with open(sys.argv[1], "w") as file:
        for kept in ("0", ""):
            environment = {**os.environ, "SPKERNELS_KEPT_MIB": kept}
            done = subprocess.run(
                [sys.executable, __file__, "--measure"],
                env=environment, stdout=subprocess.PIPE, text=True, check=True,
            )  # fmt: skip
            print("memory is kept" if not kept else "memory is not kept")
            for text in done.stdout.splitlines():
                line = {"kept": not kept, **json.loads(text)}
                file.write(json.dumps(line) + "\n")
                new, ended, out = (
                    statistics.median(line[k]) for k in ("new", "new and its end", "out")
                )
                print(
                    f"{line['operation']:40} {line['mib']:4} MiB  out {out * 1e3:6.2f} ms, new "
                    f"{new / out:.2f} times, with its end {ended / out:.2f}, "
                    f"{statistics.median(line['new, faults']):.0f} faults"
                )


if __name__ == "__main__":
    main()
