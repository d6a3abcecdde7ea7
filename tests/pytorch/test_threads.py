"""Threads of operators: those of PyTorch, as many as it has."""

import sys

import pool_threads
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed.")

import spkernels  # noqa: E402
from spkernels.torch import SparseLinear  # noqa: E402
from spkernels.torch import _threads as threads_module  # noqa: E402

needs_lent_threads = pytest.mark.skipif(
    sys.platform != "linux"
    or threads_module._LIBRARY is None
    or spkernels.show_config("dicts")["threads"]["OpenMP"] is None,
    reason="It needs Linux, builds with OpenMP of both libraries, and threads that spin.",
)


@pytest.fixture
def threads():
    """Set PyTorch's number of threads; it is as it was after the test."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def test_results_have_the_same_bits_for_any_number_of_threads(threads):
    layer = SparseLinear(400, 600, sparsity=0.8, generator=torch.Generator().manual_seed(0)).eval()
    x = torch.randn(64, 400, generator=torch.Generator().manual_seed(1))
    dense = torch.randn(256, 512)

    def results():
        with torch.no_grad():
            plain = layer(x)
            torch.relu_(dense @ dense.T)  # threads of PyTorch work in between
            dispatched = torch.ops.spkernels.linear(
                x, layer.values, layer.columns, layer.offsets, 400, layer.bias
            )
        again = layer(x)
        again.sum().backward()
        return [plain, dispatched, again.detach(), layer.values.grad.clone()]

    threads(1)
    results()
    layer.zero_grad()
    expected = results()  # the weight is packed now, which changes the order of sums
    for count in (2, 3, 4, 2, 1, 4):
        threads(count)
        layer.zero_grad()
        for got, want in zip(results(), expected, strict=True):
            torch.testing.assert_close(got, want, rtol=0, atol=0)


def test_operators_have_as_many_threads_as_those_of_torch(threads, monkeypatch):
    asked = []
    original = spkernels.PreparedMatrix.linear

    def linear(self, *args, workers=None, **options):
        asked.append(workers)
        return original(self, *args, workers=workers, **options)

    monkeypatch.setattr(spkernels.PreparedMatrix, "linear", linear)
    x = torch.randn(8, 64)
    for workers in (None, 2):
        layer = SparseLinear(64, 64, sparsity=0.5, workers=workers).eval()
        for count in (1, 3):
            threads(count)
            with torch.no_grad():
                layer(x), layer(x), layer(x)
    assert set(asked[:4]) == {1, 3} and set(asked[-2:]) == {2}


SETUP = pool_threads.SETUP + """
import signal, sys, threading
import torch
import spkernels
from spkernels.torch import SparseLinear

torch.set_num_threads(2)
layer = SparseLinear(400, 600, sparsity=0.8).eval()
x = torch.randn(64, 400)
dense = torch.randn(512, 512)
with torch.no_grad():
    expected = x @ layer.weight.T + layer.bias

def multiply(times=4):
    with torch.no_grad():
        for _ in range(times):
            torch.testing.assert_close(layer(x), expected)
"""


@needs_lent_threads
@pytest.mark.parametrize("first", ["torch", "spkernels"])
def test_threads_of_torch_do_the_work(first, run_script):
    run_script(f"import {first}\n" + SETUP + """
for count in (2, 3):
    torch.set_num_threads(count)
    dense @ dense
    before = len(names())
    multiply()
    check_not_own()
    assert "spkernels" in names() or len(names()) == before, names()
""")


@needs_lent_threads
def test_threads_of_python_have_teams_of_their_own(run_script):
    run_script(SETUP + """
failures = []

def run():
    try:
        for _ in range(20):
            torch.mm(dense, dense)
            multiply(2)
    except BaseException as error:
        failures.append(error)

running = [threading.Thread(target=run) for _ in range(4)]
for thread in running:
    thread.start()
for thread in running:
    thread.join()
assert not failures, failures
""")


@needs_lent_threads
def test_threads_that_sleep_are_left_alone(run_script):
    """With a passive policy, waking those of PyTorch takes longer."""
    run_script(SETUP + """
multiply()
assert own() == 1, names()
""", env={"OMP_WAIT_POLICY": "PASSIVE"})


@needs_lent_threads
@pytest.mark.parametrize("before", ["import spkernels.torch", ""])
def test_a_forked_child_does_not_hang(before, run_script):
    """PyTorch's own operations with several threads hang there."""
    run_script("""
import os, signal
import torch

torch.set_num_threads(2)
dense = torch.randn(512, 512)
dense @ dense
BEFORE
pid = os.fork()
if pid == 0:
    signal.alarm(60)
    from spkernels.torch import SparseLinear
    torch.set_num_threads(1)
    layer = SparseLinear(400, 600, sparsity=0.8).eval()
    x = torch.ones(64, 400)
    torch.set_num_threads(2)
    with torch.no_grad():
        results = [layer(x).numpy() for _ in range(4)]
    assert all((results[1] == result).all() for result in results[1:])
    os._exit(0)
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
""".replace("BEFORE", before))


@needs_lent_threads
def test_an_operator_inside_a_parallel_operation_of_torch_runs_alone(run_script):
    """As a function that PyTorch's OpenMP calls on all its threads."""
    run_script(SETUP + """
import ctypes
from spkernels.torch import _threads

library = _threads._LIBRARY
seen = []

def body(_):
    multiply()
    seen.append(threading.get_native_id())

function = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(body)
library.GOMP_parallel.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint]
library.GOMP_parallel(ctypes.cast(function, ctypes.c_void_p), None, 2, 0)
assert len(set(seen)) == 2, seen
""")
