"""Limits of the system: threads that cannot be started, small stacks."""

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

# Less than a stack of 64 MiB, which is what OpenMP is told to take.
NO_ADDRESSES = """
room = status("VmSize") * 1024 + (48 << 20)
resource.setrlimit(resource.RLIMIT_AS, (room, room))
"""

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


@pytest.mark.parametrize(
    "variable, size",
    [("OMP_STACKSIZE", "64M"), ("OMP_STACKSIZE", " 65536 k "), ("OMP_STACKSIZE", "67108864B"),
     ("GOMP_STACKSIZE", "65536"), ("GOMP_STACKSIZE", "1G")],
)
def test_the_address_space_has_no_room_for_a_stack(variable, size, run_script):
    run_script(OPERATIONS + EXPECTED + NO_ADDRESSES + COMPARE, env={variable: size})


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
""", env={"OMP_STACKSIZE": "64k"})
