"""A forked child works whatever other threads did, or held, in its parent at that moment."""

import os
import re
from pathlib import Path

import pytest
from forks import SETUP

import spkernels

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="This system has no fork().")


def test_while_a_thread_builds_the_transpose(run_script):
    run_script(SETUP + """
forked_at_each_line(prepared, lambda W: W.T @ BT, works, least=20)
""")


def test_while_a_thread_updates_values(run_script):
    run_script(SETUP + """
forked_at_each_line(prepared_with_transpose, lambda W: W.update_values(LATER), works, least=20)
""")


def test_while_a_thread_packs_for_another_width(run_script):
    run_script(SETUP + """
forked_at_each_line(prepared, lambda W: W @ np.ones((40, 64)), works, least=5)
""")


def test_while_a_thread_updates_the_transpose_of_a_transpose(run_script):
    run_script(SETUP + """
forked_at_each_line(
    prepared_with_transpose, lambda W: W.T.T.T.update_values(LATER.T), works, least=20
)
""")


@pytest.mark.parametrize("complex_", [False, True])
def test_while_a_thread_makes_an_adjoint(complex_, run_script):
    run_script(SETUP + f"""
M = sp.csr_array(OLD + 1j * NEW) if {complex_} else A

def check(operator):
    np.testing.assert_allclose(operator.H @ BT, M.conj().T @ BT)
    np.testing.assert_allclose(operator.T @ BT, M.T @ BT)

forked_at_each_line(lambda: spkernels.aslinearoperator(M), lambda o: o.H @ BT, check)
""")


def test_while_a_thread_switches_scipy(run_script):
    """The fork waits for the thread to be through with it, and half of it reaches nobody."""
    run_script(SETUP + """
import warnings
warnings.simplefilter("error")
names = ("_matmul_vector", "_matmul_multivector", "_mul_vector", "_mul_multivector")
classes = [c for c in vars(sp).values() if isinstance(c, type)]
bases = {base for c in classes for base in c.__mro__}
keys = [(base, name) for base in bases for name in names if name in vars(base)]
def methods():
    return {(base, name): vars(base)[name] for base, name in keys}
plain = methods()

def work(ignored):
    with accelerate():
        A @ B
    accelerate.report(reset=True)

def check(ignored):
    on = methods()
    replaced = [key for key in plain if on[key] is not plain[key]]
    assert accelerate.enabled == bool(replaced)
    with accelerate():
        assert len([key for key in plain if methods()[key] is not plain[key]]) >= len(replaced)
        np.testing.assert_allclose(A @ B, OLD @ B)
    accelerate.report(reset=True)
    if not replaced:
        assert methods() == plain

forked_at_each_line(lambda: None, work, check, wait=0.01, least=20)
assert methods() == plain
""")


def test_while_a_thread_looks_for_gpus(run_script):
    run_script(SETUP + """
import spkernels.cuda
from spkernels.cuda import _runtime
expected = spkernels.cuda.why_not()

def check(ignored):
    assert spkernels.cuda.why_not() == expected

def fresh():
    _runtime._loaded = None

forked_at_each_line(fresh, lambda ignored: spkernels.cuda.why_not(), check, least=5)
""")


def test_while_threads_do_all_of_it_at_once(run_script):
    run_script(SETUP + """
W = prepared_with_transpose()
M = sp.csr_array(np.kron(OLD, np.ones((20, 20))))
wide = np.ones((800, 64))
stop = threading.Event()

def repeat(work):
    while not stop.is_set():
        work()

jobs = [
    lambda: W.update_values(LATER), lambda: W.update_values(A), lambda: W.T @ BT, lambda: W @ B,
    lambda: spmm(M, wide, workers=2), lambda: prepare(A, tune=False).T @ BT, lambda: M @ wide,
]
threads = [threading.Thread(target=repeat, args=(job,)) for job in jobs]
for thread in threads:
    thread.start()

def check():
    works(W)
    np.testing.assert_allclose(spmm(M, wide, workers=2), M @ wide)

try:
    with accelerate():
        for _ in range(40):
            assert in_child(check) == 0
            time.sleep(0.003)
finally:
    stop.set()
    for thread in threads:
        thread.join()
""")


def test_the_thread_that_forks_keeps_what_it_holds(run_script):
    run_script(SETUP + """
W = prepared()

def check():
    assert not W._lock._lock.acquire(blocking=True) is None
    W._lock._lock.release()
    works(W)

with W._lock, W._lock:
    assert in_child(check) == 0
    # The child leaves the blocks that it was forked in.
    pid = os.fork()
if pid == 0:
    works(W)
    os._exit(0)
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
""")


def test_every_lock_of_the_package_is_one_that_a_child_can_take():
    folder = Path(spkernels.__file__).parent
    made = re.compile(r"threading\.(R?Lock|Condition|(Bounded)?Semaphore|Event|Barrier)\(|"
                      r"cached_property|allocate_lock\(")
    where = {
        path.relative_to(folder).as_posix(): len(made.findall(path.read_text()))
        for path in folder.rglob("*.py")
    }
    found = {name: count for name, count in where.items() if count}
    # The switch is held during a fork; bench's barrier is of a process that does not fork.
    comment = {"_prepare/linear_operator.py": 1}
    expected = {"_runtime/locks.py": 2, "_accelerate/switch.py": 1, "bench/measure/guard.py": 1}
    assert found == expected | comment
