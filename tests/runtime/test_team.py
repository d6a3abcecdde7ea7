"""Threads that another OpenMP library lends: who works, and what is refused."""

import _ctypes
import ctypes
import sys

import numpy as np
import pool_threads
import pytest
import scipy.sparse as sp
import threadpoolctl

import spkernels


def openmp_library():
    """Return the OpenMP library of this process that can lend threads, or skip the test."""
    for info in threadpoolctl.threadpool_info():
        if info["user_api"] == "openmp":
            library = ctypes.CDLL(info["filepath"])
            if hasattr(library, "GOMP_parallel"):
                return library
    pytest.skip("No OpenMP library of this process has GOMP_parallel.")


@pytest.fixture
def library():
    yield openmp_library()
    spkernels.use_team(None)


def problem():
    rng = np.random.default_rng(0)
    A = sp.random_array((1500, 1000), density=0.05, format="csr", dtype=np.float32, rng=rng)
    return A, rng.standard_normal((1000, 48), dtype=np.float32)


def test_a_team_gives_the_same_bits(library):
    A, B = problem()
    expected = spkernels.spmm(A, B, workers=1)
    for threads in (1, 2, 3, 4, 2, 1):
        spkernels.use_team(library, threads)
        for workers in (1, 2, 3, 4, 6, None):
            np.testing.assert_array_equal(spkernels.spmm(A, B, workers=workers), expected)


def test_libraries_and_numbers_that_are_refused(library):
    with pytest.raises(ValueError, match="threads must be at least 1, got 0"):
        spkernels.use_team(library, 0)
    with pytest.raises(TypeError, match="threads must be an integer, got 2.0"):
        spkernels.use_team(library, 2.0)
    with pytest.raises(ValueError, match="library must be an OpenMP library .*, got <CDLL"):
        spkernels.use_team(ctypes.CDLL(_ctypes.__file__), 2)
    with pytest.raises(TypeError, match="library must be a ctypes.CDLL or None, got 'libgomp'"):
        spkernels.use_team("libgomp", 2)


SETUP = pool_threads.SETUP + """
import ctypes, threading
import numpy as np, scipy.sparse as sp, threadpoolctl, spkernels

rng = np.random.default_rng(0)
A = sp.random_array((1500, 1000), density=0.05, format="csr", dtype=np.float32, rng=rng)
B = rng.standard_normal((1000, 48), dtype=np.float32)
expected = spkernels.spmm(A, B, workers=1)

def multiply(times=1):
    for _ in range(times):
        assert np.array_equal(spkernels.spmm(A, B, workers=2), expected)

# threadpoolctl names the file, however it is called.
path = next(i["filepath"] for i in threadpoolctl.threadpool_info() if i["user_api"] == "openmp")
library = ctypes.CDLL(path)
spkernels.use_team(library, 2)
before = len(names())
"""

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="It reads /proc.")


@linux_only
def test_the_threads_of_the_team_work(library, run_script):
    run_script(SETUP + """
multiply()
check_not_own()
assert "spkernels" in names() or len(names()) == before + 1, names()
spkernels.use_team(None)
multiply()
assert own() == 1, names()
""")


@linux_only
def test_a_team_belongs_to_one_thread(library, run_script):
    run_script(SETUP + """
thread = threading.Thread(target=multiply)
thread.start()
thread.join()
assert own() == 1, names()
""")


@linux_only
def test_a_forked_child_has_no_team(library, run_script):
    """OpenMP waits for threads that the child does not have; another thread's team is new."""
    run_script(SETUP + """
import signal
multiply(3)
pid = os.fork()
if pid == 0:
    signal.alarm(60)
    multiply(3)
    spkernels.use_team(library, 2)
    multiply(3)
    def run():
        spkernels.use_team(library, 2)
        multiply(3)
    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    os._exit(0)
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
multiply(3)
""")
