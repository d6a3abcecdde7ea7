"""Limits of the system: threads that cannot be started, small stacks, memory that runs out."""

import sys

import pytest

import spkernels

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="The limits are those of Linux."),
    pytest.mark.skipif(
        spkernels.show_config("dicts")["threads"]["OpenMP"] is None,
        reason="This build has no OpenMP.",
    ),
]

# Every operation that has `workers`, on enough work for some threads.
OPERATIONS = """
import os, resource
import numpy as np, scipy.sparse as sp, spkernels

rng = np.random.default_rng(0)
A = sp.csr_array(sp.random(2000, 1500, 0.05, "csr", np.float32, rng))
square = sp.csr_array(sp.random(1500, 1500, 0.05, "csr", np.float32, rng))
dense = rng.standard_normal((1500, 64), dtype=np.float32)
left = rng.standard_normal((2000, 64), dtype=np.float32)
wide = rng.standard_normal((2000, 1000), dtype=np.float32)
active = np.where(rng.random(1500) < 0.7, rng.standard_normal(1500), 0).astype(np.float32)
bytes_ = rng.integers(-9, 9, (1500, 64)).astype(np.int8)
window = spkernels.masks.window(1500, 50)
bsr, coo, csc = sp.bsr_array(A, blocksize=(4, 4)), A.tocoo(), A.tocsc()
mixed = sp.coo_array((coo.data[::-1], (coo.row[::-1], coo.col[::-1])), coo.shape)
whole = A.astype(np.int32)

def prepared(W, B=dense):
    return lambda workers: W(workers) @ B

def prepare(**options):
    return lambda workers: spkernels.prepare(A, workers=workers, **options)

operations = {
    "spmm, CSR": lambda w: spkernels.spmm(A, dense, workers=w),
    "spmm, CSC": lambda w: spkernels.spmm(csc, dense, workers=w),
    "spmm, COO": lambda w: spkernels.spmm(coo, dense, workers=w),
    "spmm, COO in any order": lambda w: spkernels.spmm(mixed, dense, workers=w),
    "spmm, BSR": lambda w: spkernels.spmm(bsr, dense, workers=w),
    "spmm, LIL": lambda w: spkernels.spmm(A.tolil(), dense, workers=w),
    "spmm, integers": lambda w: spkernels.spmm(whole, np.ones((1500, 64), np.int32), workers=w),
    "spmm, a vector": lambda w: spkernels.spmm(A, dense[:, 0].copy(), workers=w),
    "spmm, dense first": lambda w: spkernels.spmm(left.T, A, workers=w),
    "sddmm": lambda w: spkernels.sddmm(A, left, dense.T, workers=w),
    "sddmm, CSC": lambda w: spkernels.sddmm(csc, left, dense.T, workers=w),
    "sddmm, LIL": lambda w: spkernels.sddmm(A.tolil(), left, dense.T, workers=w),
    "sddmm, prepared": lambda w: spkernels.prepare(A, op="sddmm", workers=w).sddmm(left, dense.T),
    "spmspv": lambda w: spkernels.spmspv(csc, active, workers=w),
    "spmspv, sparse": lambda w: spkernels.spmspv(csc, sp.coo_array(active), workers=w),
    "spmspv, CSR": lambda w: spkernels.spmspv(A, active, workers=w),
    "spmspm": lambda w: spkernels.spmspm(A, square, workers=w),
    "spmspm, CSC": lambda w: spkernels.spmspm(csc, square, workers=w),
    "kwinners": lambda w: spkernels.kwinners(wide, 40, workers=w),
    "sparse_attention": lambda w: spkernels.sparse_attention(
        dense, dense, dense, square, workers=w),
    "sparse_attention, a mask": lambda w: spkernels.sparse_attention(
        dense, dense, dense, window, workers=w),
    "masked_softmax": lambda w: spkernels.masked_softmax(square, workers=w),
    "prepare, untuned": prepared(prepare(tune=False)),
    "prepare, for a vector": prepared(prepare(tune=False, n=1), dense[:, 0].copy()),
    "prepare, float16": prepared(prepare(tune=False, storage="float16")),
    "prepare, tuned": lambda w: prepare(n=64)(w) is not None,
    "prepare, transposed": lambda w: prepare(tune=False)(w).T @ left,
    "prepare, int8": prepared(prepare(dtype="int8"), bytes_),
    "prepare, int8, few columns": prepared(prepare(dtype="int8", n=4), bytes_[:, :4].copy()),
}

def bits(result):
    if isinstance(result, tuple):
        return tuple(map(bits, result))
    return result.data.tobytes() if sp.issparse(result) else np.asarray(result).tobytes()

def status(name):
    with open("/proc/self/status") as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith(name + ":"))
"""


def test_one_worker_starts_no_thread(run_script):
    run_script(OPERATIONS + """
before = status("Threads")
for name, operation in operations.items():
    operation(1)
    assert status("Threads") == before, name
# And two do, so that this test can fail.
operations["spmspm"](2)
assert status("Threads") == before + 1
""")


EXPECTED = """
spkernels.set_num_threads(3)
expected = {name: bits(operation(1)) for name, operation in operations.items()}
"""

# Nobody else has this user id.  Who is not root has a thread already.
NO_THREADS = """
if os.getuid() == 0:
    os.setuid(54321)
resource.setrlimit(resource.RLIMIT_NPROC, (1, 1))
"""

# Less than the stack of a thread, 1 MiB; the heap has, and keeps, what operations take.
NO_ADDRESSES = """
kept = [np.empty(16 << 20, np.uint8) for _ in range(8)]
del kept
room = status("VmSize") * 1024 + (512 << 10)
resource.setrlimit(resource.RLIMIT_AS, (room, room))
"""
KEPT_HEAP = {"MALLOC_MMAP_THRESHOLD_": str(32 << 20), "MALLOC_TRIM_THRESHOLD_": str(1 << 30)}

COMPARE = """
before = status("Threads")
for name, operation in operations.items():
    for workers in (2, 5, None):
        assert bits(operation(workers)) == expected[name], (name, workers)
assert status("Threads") == before
"""


def test_no_thread_may_be_started(run_script):
    run_script(OPERATIONS + EXPECTED + NO_THREADS + """
import threading
try:
    threading.Thread(target=int).start()
    raise SystemExit("the limit does not hold")
except RuntimeError:
    pass
""" + COMPARE)


def test_the_address_space_has_no_room_for_a_stack(run_script):
    run_script(OPERATIONS + EXPECTED + NO_ADDRESSES + """
import threading
try:
    threading.Thread(target=int).start()
    raise SystemExit("the limit does not hold")
except RuntimeError:
    pass
""" + COMPARE, env=KEPT_HEAP)


def test_threads_that_there_are_do_the_work(run_script):
    """They were started before there was a limit."""
    run_script(OPERATIONS + EXPECTED + """
before = status("Threads")
spkernels.spmm(A, dense, workers=3)
assert status("Threads") == before + 2
""" + NO_THREADS + """
for name, operation in operations.items():
    for workers in (3, 5, None):
        assert bits(operation(workers)) == expected[name], (name, workers)
assert status("Threads") >= before + 1
""")


@pytest.mark.every_isa
def test_small_stacks(run_script):
    """As musl's, and others', threads have; Python's own frames take their part of it."""
    run_script(OPERATIONS + EXPECTED + """
import threading

def run():
    for name, operation in operations.items():
        for workers in (1, 2, None):
            same[name, workers] = bits(operation(workers)) == expected[name]

same = {}
threading.stack_size(64 << 10)
thread = threading.Thread(target=run)
thread.start()
thread.join()
assert len(same) == 3 * len(operations) and all(same.values()), same
""")


# Operations that write to `out`, which is some MiB; what they do on the way takes about as much.
WITH_OUT = """
import gc, resource
import numpy as np, scipy.sparse as sp, spkernels

rng = np.random.default_rng(0)
m, k, n = 3000, 500, 300
A = sp.csr_array(sp.random(m, k, 0.05, "csr", np.float32, rng))
csc, coo, bsr = A.tocsc(), A.tocoo(), sp.bsr_array(A, blocksize=(4, 4))
mixed = sp.coo_array((coo.data[::-1], (coo.row[::-1], coo.col[::-1])), coo.shape)
whole, complex_ = A.astype(np.int64), A.astype(np.complex64)
B = rng.standard_normal((k, n), dtype=np.float32)
rows, stack = rng.standard_normal((n, m), dtype=np.float32), np.stack([B] * 3)
X, Y = rng.standard_normal((m, 64), dtype=np.float32), rng.standard_normal((64, k), np.float32)
square = sp.csr_array(sp.random(m, m, 0.02, "csr", np.float32, rng))
q = rng.standard_normal((m, 256), dtype=np.float32)
X8 = rng.integers(-9, 9, (k, n)).astype(np.int8)
W, W_half = spkernels.prepare(A, tune=False), spkernels.prepare(A, tune=False, storage="float16")
W_dense = spkernels.prepare(sp.random(m, k, 0.6, "csr", np.float32, rng), tune=False)
W8, W_pattern = spkernels.prepare(A, dtype="int8"), spkernels.prepare(A, op="sddmm")
epilogue = {"alpha": 0.5, "beta": 0.25, "bias": rng.random(n), "activation": "relu"}
sampling = {"alpha": 0.5, "beta": 0.25, "scale": True}
plain = {"alpha": 0.5, "beta": 0.25}

def filled(shape, dtype=np.float32, order="C"):
    return lambda: np.full(shape, 3, dtype, order)

def spaced():
    return np.full((2 * m, 2 * n), 3, np.float32)[::2, ::2]

def copied(P):
    return lambda: P.copy()

operations = {
    **{f"spmm, {S.format}, {into.__name__} {number}": (
        lambda out, S=S: spkernels.spmm(S, B, out=out, **epilogue), into)
       for S in (A, csc, coo, mixed, bsr, A.tolil(), A.todok())
       for number, into in enumerate([filled((m, n)), filled((m, n), order="F"), spaced])},
    "spmm, mixed dtypes": (
        lambda out: spkernels.spmm(A, B.astype(float), out=out, **epilogue), filled((m, n), float)),
    "spmm, dense first": (
        lambda out: spkernels.spmm(rows, A, out=out, **plain), filled((n, k))),
    "spmm, integers": (
        lambda out: spkernels.spmm(whole, B.astype(int), out=out, alpha=2, beta=3),
        filled((m, n), int)),
    "spmm, complex": (
        lambda out: spkernels.spmm(complex_, B, out=out, alpha=2j, beta=3),
        filled((m, n), np.complex64)),
    "W.spmm": (lambda out: W.spmm(B, out=out, **epilogue), filled((m, n))),
    "W.spmm, column-major": (
        lambda out: W.spmm(B, out=out, **epilogue), filled((m, n), order="F")),
    "W.spmm, float16": (lambda out: W_half.spmm(B, out=out, **epilogue), filled((m, n))),
    "W.spmm, dense": (lambda out: W_dense.spmm(B, out=out, **epilogue), filled((m, n))),
    "W.linear": (lambda out: W.linear(B.T, out=out, **plain), filled((n, m))),
    "W.linear, leading": (lambda out: W.linear(B.T.reshape(3, n // 3, k), out=out, **plain),
                          filled((3, n // 3, m))),
    "np.matmul, stack": (lambda out: np.matmul(W, stack, out=out), filled((3, m, n))),
    "W8.spmm": (lambda out: W8.spmm(X8, out=out), filled((m, n))),
    "W8.spmm, column-major": (lambda out: W8.spmm(X8, out=out), filled((m, n), order="F")),
    "sddmm": (lambda out: spkernels.sddmm(A, X, Y, out=out, **sampling), copied(A)),
    "sddmm, CSC": (lambda out: spkernels.sddmm(csc, X, Y, out=out, **sampling), copied(csc)),
    "sddmm, BSR": (lambda out: spkernels.sddmm(bsr, X, Y, out=out, **sampling), copied(bsr)),
    "sddmm, integers": (
        lambda out: spkernels.sddmm(whole, X.astype(int), Y.astype(int), out=out, beta=2),
        copied(whole)),
    "sddmm, batch": (
        lambda out: spkernels.sddmm(A, np.stack([X] * 3), Y, out=out, **sampling),
        filled((3, A.nnz))),
    "sddmm, prepared": (lambda out: W_pattern.sddmm(X, Y, out=out, **sampling), copied(A)),
    "sddmm, prepared, batch": (
        lambda out: W_pattern.sddmm(np.stack([X] * 3), Y, out=out, **sampling),
        filled((3, A.nnz))),
    "spmspv": (lambda out: spkernels.spmspv(csc, B[:, 0], out=out), filled(m)),
    "kwinners": (lambda out: spkernels.kwinners(q.T, 9, out=out), filled((256, m))),
    "masked_softmax": (lambda out: spkernels.masked_softmax(square, out=out), copied(square)),
    "sparse_attention": (
        lambda out: spkernels.sparse_attention(q, q, q, square, out=out), filled((m, 256))),
    "sparse_attention, heads": (
        lambda out: spkernels.sparse_attention(
            np.stack([q] * 2), q, q, square, out=out), filled((2, m, 256))),
}

def values(out):
    return np.array(out.data if sp.issparse(out) else out)

def size():
    with open("/proc/self/status") as lines:
        return next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmSize"))

def limit(room):
    most = size() + room if room is not None else resource.RLIM_INFINITY
    resource.setrlimit(resource.RLIMIT_AS, (most, resource.RLIM_INFINITY))

failures = 0
wrong = []
for name, (operation, make) in operations.items():
    out = make()
    operation(out)
    expected = values(out)
    before = values(make())
    del out
    for room in range(0, 64 << 20, 1 << 20):
        out = make()
        gc.collect()
        limit(room)
        try:
            operation(out)
            failed = False
        except MemoryError:
            failed = True
        finally:
            limit(None)
        if not np.array_equal(values(out), before if failed else expected):
            wrong.append((name, room, failed))
        failures += failed
        if not failed:
            break
    else:
        raise SystemExit(f"{name} does not fit into 64 MiB")
assert failures > 50, failures
assert not wrong, wrong
"""


def test_out_is_whole_where_memory_runs_out(run_script):
    run_script(WITH_OUT, env={"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536",
                              "MALLOC_TOP_PAD_": "0", "OMP_NUM_THREADS": "2"})
