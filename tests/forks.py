"""What scripts begin with that fork while other threads work."""

# `forked_at_each_line` has a thread stop at each line that it runs in the package, and forks there.
SETUP = """
import os, sys, threading, time
import numpy as np, scipy.sparse as sp, spkernels
from spkernels import accelerate, prepare, spmm

def in_child(work, seconds=20):
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        try:
            work()
            os._exit(0)
        except BaseException:
            import traceback
            traceback.print_exc()
            sys.stderr.flush()
            os._exit(1)
    for _ in range(1000 * seconds):
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.001)
    os.kill(pid, 9)
    os.waitpid(pid, 0)
    raise SystemExit("the child hangs")

FOLDER = os.path.dirname(spkernels.__file__)

def stopped_thread(work, stop_at, wait):
    '''Start a thread; return it, an event for when it stopped or ended, and one to let it go on.'''
    stopped, go, lines = threading.Event(), threading.Event(), 0

    def trace(frame, event, argument):
        nonlocal lines
        if not frame.f_code.co_filename.startswith(FOLDER):
            return None
        if event == "line":
            lines += 1
            if lines == stop_at:
                where.append(f"{os.path.basename(frame.f_code.co_filename)}:{frame.f_lineno}")
                stopped.set()
                go.wait(wait)
        return trace

    def run():
        sys.settrace(trace)
        try:
            work()
        finally:
            sys.settrace(None)
            stopped.set()

    thread = threading.Thread(target=run)
    thread.start()
    stopped.wait(60)
    return thread, go

where = []

def forked_at_each_line(make, work, check, wait=60, least=3):
    '''Fork where `work(object)` stands at each of its lines; `check(object)` in the child.'''
    for line in range(1, 10_000):
        subject = make()
        known = len(where)
        thread, go = stopped_thread(lambda: work(subject), line, wait)
        if len(where) == known:
            thread.join()
            break
        code = in_child(lambda: check(subject))
        go.set()
        thread.join()
        assert code == 0, where[-1]
    assert len(where) >= least, where

rng = np.random.default_rng(0)
mask = rng.random((30, 40)) < 0.3
OLD = np.where(mask, rng.standard_normal((30, 40)), 0)
NEW = np.where(mask, rng.standard_normal((30, 40)), 0)
A, LATER = sp.csr_array(OLD), sp.csr_array(NEW)
# Explicit, so that both have one pattern.
B, BT = np.ones((40, 5)), np.ones((30, 5))

def one_of_both(W):
    '''W and its transpose have the same values, the old ones or the new ones.'''
    product = W @ B
    which = [dense for dense in (OLD, NEW) if np.allclose(product, dense @ B)]
    assert len(which) == 1
    np.testing.assert_allclose(W.T @ BT, which[0].T @ BT)
    np.testing.assert_allclose(BT.T @ W, BT.T @ which[0])

def works(W):
    one_of_both(W)
    W.update_values(LATER)
    np.testing.assert_allclose(W @ B, NEW @ B)
    np.testing.assert_allclose(W.T @ BT, NEW.T @ BT)
    W.T.update_values(A.T)
    np.testing.assert_allclose(W @ B, OLD @ B)
    np.testing.assert_allclose(W.T @ BT, OLD.T @ BT)

def prepared():
    return prepare(A, n=5, tune=False)

def prepared_with_transpose():
    W = prepared()
    W.T @ BT
    return W
"""
