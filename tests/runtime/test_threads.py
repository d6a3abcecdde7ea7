"""Threads: same bits for any number of them, who decides how many, fork, spawn, calls at once."""

import itertools
import math
import multiprocessing
import os
import sys
import threading
import time

import numpy as np
import pytest
import threadpoolctl
from strategies import DTYPES, NATIVE_FORMATS, random_dense, random_sparse

import spkernels
from spkernels import _core, sddmm, spmm
from spkernels._runtime import threads as threads_module

WORKERS = [1, 2, 3, 7]

needs_openmp = pytest.mark.skipif(
    spkernels.show_config("dicts")["threads"]["OpenMP"] is None, reason="This build has no OpenMP."
)
needs_affinity = pytest.mark.skipif(
    not hasattr(os, "sched_setaffinity"), reason="This system has no affinity."
)
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="This system has no fork().")


# The same bits ------------------------------------------------------------------------------------


def assert_same_bits(product):
    first = product(WORKERS[0])
    for workers in WORKERS[1:]:
        np.testing.assert_array_equal(product(workers), first, err_msg=f"{workers} workers")


# Both sides of what plans turn on: tall and wide C, several panels, dense rows, rows mostly empty.
SHAPES = [
    ((60, 80), 0.3),
    ((20_000, 300), 0.004),
    ((300, 20_000), 0.01),
    ((40, 1500), 0.5),
    ((1, 5000), 0.2),
    ((5000, 1), 0.2),
    ((20_000, 60), 0.005),
]


@pytest.mark.usefixtures("exact_workers")
@pytest.mark.parametrize("in_order", [True, False])
@pytest.mark.parametrize("shape, density", SHAPES)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("fmt", NATIVE_FORMATS)
def test_spmm_has_the_same_bits_for_any_number_of_workers(fmt, dtype, shape, density, in_order):
    rng = np.random.default_rng(0)
    block = (1, 1) if min(shape) == 1 else (2, 3)
    A = random_sparse(rng, fmt, shape, density, dtype, in_order=in_order, block=block)
    for n, layout, order in [(1, *"CC"), (5, *"CF"), (8, *"FF"), (16, *"CF"), (33, *"FC"),
                             (100, *"CC")]:
        B = random_dense(rng, (A.shape[1], n), dtype, layout)
        assert_same_bits(lambda w, A=A, B=B, order=order: spmm(A, B, workers=w, order=order))
    left = random_dense(rng, (20, A.shape[0]), dtype)
    assert_same_bits(lambda w: spmm(left, A, workers=w))
    before = random_dense(rng, (A.shape[0], 20), dtype)
    B, bias = random_dense(rng, (A.shape[1], 20), dtype), np.arange(20.0)
    assert_same_bits(
        lambda w: spmm(A, B, out=before.copy(), alpha=0.3, beta=0.7, bias=bias, activation="tanh",
                       workers=w)
    )


@pytest.mark.every_isa
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape, n", [((300, 500), 64), ((90, 5000), 64), ((400, 300), 33)])
def test_spmm_has_the_same_bits_wherever_B_begins(shape, n, dtype):
    rng = np.random.default_rng(4)
    A = random_sparse(rng, "csr", shape, 15 / shape[0], dtype)
    B = random_dense(rng, (shape[1], n), dtype)
    width = n + -n % 16
    memory = np.empty(shape[1] * width + 32, dtype)
    start = -memory.ctypes.data % 64 // memory.itemsize  # where a cache line begins
    products = []
    for offset in (0, 2, 5):
        rows = memory[start + offset :][: shape[1] * width].reshape(shape[1], width)
        rows[:, :n] = B
        products += [spmm(A, rows[:, :n], workers=workers) for workers in (1, 2)]
    for product in products[1:]:
        np.testing.assert_array_equal(product, products[0])


@pytest.mark.usefixtures("exact_workers")
@pytest.mark.parametrize("in_order", [True, False])
@pytest.mark.parametrize("shape, density", SHAPES)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("fmt", NATIVE_FORMATS)
def test_sddmm_has_the_same_bits_for_any_number_of_workers(fmt, dtype, shape, density, in_order):
    rng = np.random.default_rng(1)
    block = (1, 1) if min(shape) == 1 else (2, 3)
    P = random_sparse(rng, fmt, shape, density, dtype, in_order=in_order, block=block)
    for k, layout in [(1, "CC"), (9, "CF"), (64, "CC"), (65, "FC"), (17, "FF")]:
        X = random_dense(rng, (P.shape[0], k), dtype, layout[0])
        Y = random_dense(rng, (k, P.shape[1]), dtype, layout[1])
        assert_same_bits(lambda w, X=X, Y=Y: sddmm(P, X, Y, workers=w, beta=0.5, scale=True).data)


def test_one_call_is_like_another():
    """Whoever is free takes the next rows: the result must not tell who it was."""
    rng = np.random.default_rng(2)
    A = random_sparse(rng, "csr", (3000, 2000), 0.02, np.float32)
    B = random_dense(rng, (2000, 40), np.float32)
    first = spmm(A, B, workers=4)
    for _ in range(30):
        np.testing.assert_array_equal(spmm(A, B, workers=4), first)


@needs_openmp
def test_1_to_64_threads_give_the_same_bits():
    """Most of these have far more threads than there are CPUs."""
    rng = np.random.default_rng(0)
    A = random_sparse(rng, "csr", (2000, 500), 0.1, np.float32)
    csc, coo, square = A.tocsc(), A.tocoo(), random_sparse(rng, "csr", (500, 400), 0.1, np.float32)
    B, x, X, Y, Q = (
        rng.standard_normal(shape, dtype=np.float32)
        for shape in [(500, 70), 500, (2000, 64), (64, 500), (2, 700, 32)]
    )
    levels = rng.integers(0, 256, B.shape, np.uint8)
    window = spkernels.masks.window(700, 40)
    products = {
        "spmm": lambda w: spmm(A, B, workers=w),
        "spmm, a vector": lambda w: spmm(A, x, workers=w),
        "spmm, CSC": lambda w: spmm(csc, B, workers=w),
        "spmm, CSC, a vector": lambda w: spmm(csc, x, workers=w),
        "spmm, COO": lambda w: spmm(coo, B, workers=w),
        "prepared": lambda w: spkernels.prepare(A, n=70, tune=False, workers=w) @ B,
        "prepared, a vector": lambda w: spkernels.prepare(A, n=1, tune=False, workers=w) @ x,
        "int8": lambda w: spkernels.prepare(A, dtype="int8", n=70, tune=False, workers=w) @ levels,
        "sddmm": lambda w: sddmm(A, X, Y, workers=w).data,
        "sparse_attention": lambda w: spkernels.sparse_attention(Q, Q, Q, window, workers=w),
        "spmspv": lambda w: spkernels.spmspv(csc, np.maximum(x, 0), workers=w),
        "spmspm": lambda w: spkernels.spmspm(A, square, workers=w),
        "masked_softmax": lambda w: spkernels.masked_softmax(A, workers=w).data,
        "kwinners": lambda w: spkernels.kwinners(X, 9, workers=w),
    }
    for name, product in products.items():
        first = product(1)
        for workers in range(2, 65):
            np.testing.assert_array_equal(product(workers), first, err_msg=f"{name}, {workers}")


def test_exact_workers_are_exact(exact_workers, monkeypatch):
    """What the tests above rest on; the C tests show that so many threads run."""
    asked = []
    monkeypatch.setattr(_core, "spmm", lambda *arguments: asked.append(arguments[8]) or 0)
    monkeypatch.setattr(_core, "sddmm", lambda *arguments: asked.append(arguments[7]) or 0)
    A = random_sparse(np.random.default_rng(0), "csr", (6, 6), 0.5, np.float64)
    spmm(A, np.ones((6, 4)), workers=13)
    sddmm(A, np.ones((6, 4)), np.ones((4, 6)), workers=13)
    assert asked == [-13, -13]


# workers= -----------------------------------------------------------------------------------------


def test_workers_of_any_size(run_script):
    """Far more workers than CPUs is no reason to fail, least of all to end the process."""
    run_script("""
import numpy as np, scipy.sparse as sp
from spkernels import sddmm, spmm
A = sp.csr_array(sp.random(50_000, 300, 0.01, "csr", np.float32, 0))
B = np.ones((300, 20), np.float32)
X, Y = np.ones((50_000, 8), np.float32), np.ones((8, 300), np.float32)
C, P = spmm(A, B, workers=1), sddmm(A, X, Y, workers=1)
for workers in (1, np.int64(2), True, -1, 1000, 2**31, 2**70):
    np.testing.assert_array_equal(spmm(A, B, workers=workers), C, err_msg=repr(workers))
    sampled = sddmm(A, X, Y, workers=workers)
    np.testing.assert_array_equal(sampled.data, P.data, err_msg=repr(workers))
    with open("/proc/self/status") as status:
        threads = next(int(line.split()[1]) for line in status if line.startswith("Threads"))
    assert threads < 5000, (workers, threads)
""" if sys.platform == "linux" else "")


def test_negative_workers_count_from_the_cpus():
    cpus = os.cpu_count()
    assert threads_module.resolve_workers(-1) == cpus
    assert threads_module.resolve_workers(-cpus) == 1
    with pytest.raises(ValueError, match=f"workers must be at least {-cpus}"):
        threads_module.resolve_workers(-cpus - 1)
    assert threads_module.resolve_workers(None) == 0


COUNT_THREADS = """
import sys, time
import numpy as np, scipy.sparse as sp, spkernels

def threads():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("Threads"))

def started(*args, **kwargs):
    before = threads()
    spkernels.spmm(*args, **kwargs)
    return threads() - before
"""

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="It reads /proc.")


@linux_only
@needs_openmp
def test_workers_decides_how_many_threads_run(run_script):
    run_script(COUNT_THREADS + """
A = sp.csr_array(sp.random(3000, 2000, 0.05, "csr", None, 0))
B = np.ones((2000, 64))
assert started(A, B, workers=1) == 0
assert started(A, B, workers=2) == 1
assert started(A, B, workers=4) == 2
""")


@linux_only
@needs_openmp
def test_one_worker_starts_no_thread_to_pack(run_script):
    """Of matrices that pack at a product: after they were pickled, and for other widths."""
    run_script(COUNT_THREADS + """
import pickle
from spkernels import formats, prepare

rng = np.random.default_rng(0)
kept = rng.random((1024, 256, 4)).argsort(axis=2) < 2
A = sp.csr_array(np.where(kept.reshape(1024, 1024), np.float32(1), np.float32(0)))
spkernels.set_num_threads(1)
W, W8 = (pickle.dumps(prepare(A, tune=False, dtype=t)) for t in (None, np.int8))
N = formats.NMArray.from_scipy(A, 2, 4)
X, X8 = np.ones((64, 1024), np.float32), np.ones((64, 1024), np.int8)
before = threads()
for columns in (1, 16, 64):
    spkernels.set_num_threads(1)
    matrices = (pickle.loads(W), X), (N, X), (pickle.loads(W8), X8)
    spkernels.set_num_threads(4)
    for M, rows in matrices:
        some = rows[:columns]
        for part in (M, M.T) if M is not N else (M,):
            part.linear(some, workers=1)
            if M is not N:
                part.spmm(some.T, workers=1)
            assert threads() == before, (type(M).__name__, columns)
        if M is N:
            spkernels.spmm(M, some.T, workers=1)
            spkernels.spmm(some, M, workers=1)
            assert threads() == before, columns
pickle.loads(W) @ X.T
assert threads() > before
""")


@linux_only
@needs_openmp
def test_small_work_stays_serial(run_script):
    run_script(COUNT_THREADS + """
spkernels.set_num_threads(4)
small = sp.csr_array(sp.random(10, 10, 0.5, "csr", None, 0))
thin = sp.csr_array(sp.random(1000, 1000, 0.001, "csr", None, 0))
for A in (small, thin):
    for n in (1, 4):
        assert started(A, np.ones((A.shape[1], n))) == 0
        assert started(A, np.ones((A.shape[1], n)), workers=4) == 0
large = sp.csr_array(sp.random(3000, 2000, 0.05, "csr", None, 0))
assert started(large, np.ones((2000, 64))) == 3
""")


# The default --------------------------------------------------------------------------------------

PRINT_DEFAULT = "import spkernels; print(spkernels.get_num_threads())"
CLEAN = {"OMP_NUM_THREADS": None, "SPKERNELS_NUM_THREADS": None, "OMP_THREAD_LIMIT": None,
         "OMP_DYNAMIC": None}


def default_with(run_script, **env):
    return int(run_script(PRINT_DEFAULT, env={**CLEAN, **env}).stdout)


@needs_openmp
def test_environment_decides_the_default(run_script):
    cpus = threads_module.available_cpus()
    assert default_with(run_script) == cpus
    assert default_with(run_script, OMP_NUM_THREADS="1") == 1
    assert default_with(run_script, OMP_NUM_THREADS=str(cpus + 3)) == cpus + 3
    assert default_with(run_script, SPKERNELS_NUM_THREADS=str(cpus + 5)) == cpus + 5
    assert default_with(run_script, SPKERNELS_NUM_THREADS="1", OMP_NUM_THREADS="3") == 1
    assert default_with(run_script, SPKERNELS_NUM_THREADS=" ", OMP_NUM_THREADS="3") == 3
    assert default_with(run_script, SPKERNELS_NUM_THREADS="99999999999") > 1


@pytest.mark.parametrize("value", ["0", "-1", "many", "1.5", "2,2"])
def test_environment_that_is_wrong(value, run_script):
    done = run_script(PRINT_DEFAULT, env={**CLEAN, "SPKERNELS_NUM_THREADS": value}, check=False)
    assert done.returncode != 0
    assert f"SPKERNELS_NUM_THREADS must be a positive integer, got '{value}'" in done.stderr


def test_set_num_threads_goes_first(run_script):
    spkernels.set_num_threads(5)
    assert spkernels.get_num_threads() == 5
    with threadpoolctl.threadpool_limits(1):
        assert spkernels.get_num_threads() == 5
    spkernels.set_num_threads(np.int32(3))
    assert spkernels.get_num_threads() == 3
    spkernels.set_num_threads(2**40)
    assert spkernels.get_num_threads() > 3
    run_script(
        "import spkernels\n"
        "spkernels.set_num_threads(2)\n"
        "assert spkernels.get_num_threads() == 2\n"
        "spkernels.set_num_threads(None)\n"
        "assert spkernels.get_num_threads() == 4\n",
        env={**CLEAN, "SPKERNELS_NUM_THREADS": "4"},
    )


def test_set_num_threads_holds_for_other_threads():
    spkernels.set_num_threads(3)
    seen = []
    thread = threading.Thread(target=lambda: seen.append(spkernels.get_num_threads()))
    thread.start()
    thread.join()
    assert seen == [3]


@needs_openmp
def test_threadpool_limits_hold():
    before = spkernels.get_num_threads()
    with threadpoolctl.threadpool_limits(1):
        assert spkernels.get_num_threads() == 1
    assert spkernels.get_num_threads() == before
    with threadpoolctl.threadpool_limits({"openmp": 1}):
        assert spkernels.get_num_threads() == 1


@linux_only
@needs_openmp
def test_threadpool_limits_reach_the_call(run_script):
    run_script(COUNT_THREADS + """
from threadpoolctl import threadpool_limits
A = sp.csr_array(sp.random(3000, 2000, 0.05, "csr", None, 0))
B = np.ones((2000, 64))
with threadpool_limits(1):
    assert started(A, B) == 0
with threadpool_limits(3):
    assert started(A, B) == 2
""", env={**CLEAN, "OMP_NUM_THREADS": "2"})


@needs_openmp
@needs_affinity
def test_affinity_caps_the_default(run_script):
    """Fixed before the import: seen.  The setting of OpenMP follows it, our own cap as well."""
    run_script("""
import os
first = min(os.sched_getaffinity(0))
os.sched_setaffinity(0, {first})
import spkernels
from spkernels._runtime import threads as threads_module
assert threads_module.available_cpus() == 1
assert spkernels.get_num_threads() == 1
""", env=CLEAN)


POOL = '''
import os, threading, time
everywhere = os.sched_getaffinity(0)
import numpy as np, scipy.sparse as sp, spkernels

A = sp.csr_array(sp.random(3000, 2000, 0.02, "csr", np.float32, 0))
B = np.ones((2000, 64), np.float32)

def run(function):
    thread = threading.Thread(target=function)
    thread.start()
    thread.join()

def product():
    spkernels.spmm(A, B, workers=3)

def pinned_product():
    os.sched_setaffinity(0, {min(everywhere)})
    product()

def workers():
    names = {int(tid): open(f"/proc/self/task/{tid}/comm").read().strip()
             for tid in os.listdir("/proc/self/task")}
    return [tid for tid, name in names.items() if name == "spkernels"]
'''


@linux_only
@needs_openmp
@pytest.mark.parametrize(
    "first, env",
    [
        ("run(pinned_product)", {}),
        ("product()", {"OMP_PROC_BIND": "true"}),
        ("product()", {"OMP_PLACES": "threads"}),
        ("run(product)", {"OMP_PROC_BIND": "spread"}),
    ],
)
def test_workers_run_on_the_cpus_of_the_process(first, env, run_script):
    """Not only where the thread may that happened to start them, or the one that OpenMP bound."""
    run_script(POOL + f"""
{first}
product()
# A worker names itself when it first runs.
for _ in range(1000):
    if len(workers()) == 2:
        break
    time.sleep(0.01)
assert len(workers()) == 2
seen = dict.fromkeys(workers(), frozenset())
for cpu in sorted(everywhere):
    time.sleep(0.02)
    run(lambda: (os.sched_setaffinity(0, {{cpu}}), product()))
    for tid in seen:
        mask = os.sched_getaffinity(tid)
        # They are kept off the CPU of the thread that woke them.
        assert mask <= everywhere and len(everywhere - mask) <= 1, (mask, everywhere)
        seen[tid] |= mask
assert set(seen.values()) == {{frozenset(everywhere)}}, seen
""", env={**CLEAN, **env})


@linux_only
@needs_openmp
def test_workers_take_no_signals(run_script):
    """A process that waits for a signal gets it, as if there were no workers."""
    run_script(POOL + """
import signal
product()
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
for _ in range(20):
    os.kill(os.getpid(), signal.SIGTERM)
    assert signal.sigtimedwait({signal.SIGTERM}, 30).si_signo == signal.SIGTERM
""", env={**CLEAN, "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"})


@needs_openmp
def test_a_quota_caps_the_default(run_script, tmp_path):
    (tmp_path / "cpu.max").write_text("100000 100000\n")
    run_script(f"""
import pathlib
import spkernels
from spkernels._runtime import threads as threads_module
limited = threads_module._cgroup_cpus
threads_module._cgroup_cpus = lambda: limited(pathlib.Path({str(tmp_path)!r}))
threads_module.configure()
assert spkernels.get_num_threads() == 1
""", env=CLEAN)


@pytest.mark.parametrize(
    "files, cpus",
    [
        ({}, math.inf),
        ({"cpu.max": "max 100000\n"}, math.inf),
        ({"cpu.max": "150000 100000\n"}, 1.5),
        ({"cpu.max": "50000 100000\n"}, 0.5),
        ({"cpu.max": "400000 200000"}, 2),
        ({"cpu.max": ""}, math.inf),
        ({"cpu.max": "nonsense"}, math.inf),
        ({"cpu.max": "100000 0"}, math.inf),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, math.inf),
        ({"cpu/cpu.cfs_quota_us": "250000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 2.5),
        ({"cpu/cpu.cfs_quota_us": "250000\n"}, math.inf),
    ],
)
def test_cgroup_quotas(files, cpus, tmp_path, monkeypatch):
    for name, content in files.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(content)
    assert threads_module._cgroup_cpus(tmp_path) == cpus
    monkeypatch.setattr(threads_module, "_cgroup_cpus", lambda: cpus)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)
    assert threads_module.available_cpus() == (8 if cpus == math.inf else max(1, math.ceil(cpus)))


# fork and spawn -----------------------------------------------------------------------------------

SETUP = """
import os, sys, time
import numpy as np, scipy.sparse as sp
from spkernels import sddmm, spmm

A = sp.csr_array(sp.random(3000, 2000, 0.02, "csr", np.float32, 0))
B = np.ones((2000, 64), np.float32)

def in_child(work, seconds=60):
    pid = os.fork()
    if pid == 0:
        try:
            work()
            os._exit(0)
        except BaseException as error:
            print(repr(error), file=sys.stderr, flush=True)
            os._exit(1)
    for _ in range(20 * seconds):
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.05)
    os.kill(pid, 9)
    os.waitpid(pid, 0)
    raise SystemExit("the child hangs")

def products():
    np.testing.assert_allclose(spmm(A, B, workers=2), expected, rtol=bound)
    np.testing.assert_allclose(spmm(A, B), expected, rtol=bound)
    np.testing.assert_allclose(spmm(A.tocsc(), B, workers=3), expected, rtol=bound)
    sddmm(A, expected, B.T, workers=2)

expected = A @ B
# Of two sums of positive terms, each off by half a unit for each of its terms.
bound = (np.diff(A.indptr).max() + 10) * np.finfo(np.float32).eps
"""


@needs_fork
@pytest.mark.parametrize("parent", ["spmm(A, B, workers=2)", "spmm(A, B, workers=1)", ""])
def test_a_forked_child_does_not_hang(parent, run_script):
    run_script(SETUP + f"""
{parent}
for _ in range(3):
    assert in_child(products) == 0
spmm(A, B, workers=2)
# A child's child, and one forked by a thread.
assert in_child(lambda: sys.exit(1) if in_child(products) else None) == 0
import threading
codes = []
thread = threading.Thread(target=lambda: codes.append(in_child(products)))
thread.start()
thread.join()
assert codes == [0]
products()
""")


@needs_fork
@linux_only
@needs_openmp
def test_a_forked_child_of_somebody_elses_parallel_region(run_script):
    """A region of another package on the same libgomp counts as well: ctypes plays its part."""
    run_script(SETUP + """
import ctypes
with open("/proc/self/maps") as maps:
    runtimes = {line.split()[-1] for line in maps if "libgomp" in line}
if not runtimes:
    raise SystemExit(0)
callback = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(lambda data: None)
for path in runtimes:
    ctypes.CDLL(path).GOMP_parallel(callback, None, ctypes.c_uint(2), ctypes.c_uint(0))
assert in_child(products) == 0
""")


@needs_fork
@linux_only
@needs_openmp
def test_a_forked_child_uses_threads(run_script):
    run_script(SETUP + """
import threading

def threads():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("Threads"))

def most_threads(workers):
    seen, stop = [0], threading.Event()

    def sample():
        while not stop.is_set():
            seen.append(threads())

    sampler = threading.Thread(target=sample)
    sampler.start()
    for _ in range(20):
        spmm(A, B, workers=workers)
    stop.set()
    sampler.join()
    return max(seen)

def work():
    few = most_threads(1)
    assert most_threads(4) > few

spmm(A, B, workers=2)
assert in_child(work) == 0
""")


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_multiprocessing(method, run_script):
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"This system has no {method}.")
    run_script(f"""
import multiprocessing, sys
import numpy as np, scipy.sparse as sp
from spkernels import spmm

def product(seed):
    A = sp.csr_array(sp.random(2000, 1000, 0.05, "csr", np.float32, seed))
    return spmm(A, np.ones((1000, 64), np.float32), workers=2)

if __name__ == "__main__":
    expected = [product(seed) for seed in range(4)]
    with multiprocessing.get_context({method!r}).Pool(2) as pool:
        results = pool.map_async(product, range(4)).get(timeout=90)
    for result, wanted in zip(results, expected, strict=True):
        np.testing.assert_array_equal(result, wanted)
""")


# Calls at once ------------------------------------------------------------------------------------


@pytest.mark.usefixtures("exact_workers")
@pytest.mark.parametrize("workers", [None, 1, 3])
def test_calls_from_many_threads_at_once(workers):
    rng = np.random.default_rng(3)
    cases = []
    for fmt, shape, n in itertools.product(
        NATIVE_FORMATS, [(20, 30), (400, 900), (3000, 400)], [1, 33]
    ):
        A = random_sparse(rng, fmt, shape, 0.05, np.float32)
        B = random_dense(rng, (A.shape[1], n), np.float32)
        X = random_dense(rng, (A.shape[0], 20), np.float32)
        Y = random_dense(rng, (20, A.shape[1]), np.float32)
        cases.append((A, B, X, Y, spmm(A, B, workers=1), sddmm(A, X, Y, workers=1).data))
    barrier, wrong = threading.Barrier(8), []

    def work(start):
        barrier.wait()
        try:
            for A, B, X, Y, product, sample in cases[start:] + cases[:start]:
                np.testing.assert_array_equal(spmm(A, B, workers=workers), product)
                np.testing.assert_array_equal(sddmm(A, X, Y, workers=workers).data, sample)
        except BaseException as error:
            wrong.append(error)

    threads = [threading.Thread(target=work, args=(3 * i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=120)
        assert not thread.is_alive(), "a call hangs"
    assert not wrong, wrong[0]


def test_other_threads_run_during_a_call():
    """The GIL is released: another thread gets it within a call, and in no other way."""
    rng = np.random.default_rng(4)
    A = random_sparse(rng, "csr", (4000, 4000), 0.05, np.float32)
    B = random_dense(rng, (4000, 512), np.float32)
    ticks, stop = [], threading.Event()

    def count():
        while not stop.is_set():
            ticks.append(time.perf_counter())
            time.sleep(0.001)

    interval = sys.getswitchinterval()
    thread = threading.Thread(target=count)
    thread.start()
    try:
        sys.setswitchinterval(60)
        start = time.perf_counter()
        spmm(A, B, workers=1)
        end = time.perf_counter()
    finally:
        sys.setswitchinterval(interval)
        stop.set()
        thread.join()
    assert sum(start < tick < end for tick in ticks) > 1


# Overhead -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 4])
@pytest.mark.parametrize("shape, density", [((10, 10), 0.5), ((1000, 1000), 0.001)])
def test_a_small_call_is_not_slower_than_scipy(shape, density, n):
    """By the best of interleaved calls: a busy machine slows single ones, not all of them."""
    rng = np.random.default_rng(5)
    A = random_sparse(rng, "csr", shape, density, np.float32)
    B = np.ones((shape[1], n), np.float32)
    calls, best = (lambda: spmm(A, B), lambda: A @ B), [math.inf, math.inf]
    for _ in range(20):
        for i, call in enumerate(calls):
            for _ in range(300):
                start = time.perf_counter_ns()
                call()
                best[i] = min(best[i], time.perf_counter_ns() - start)
        if best[0] <= best[1]:
            break
    assert best[0] <= best[1], f"{best[0] / 1e3} us, scipy {best[1] / 1e3}"
