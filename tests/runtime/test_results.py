"""Memory of large results: it serves later ones, and is given back when asked."""

import ctypes
import gc
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import scipy.sparse as sp

import spkernels
from spkernels import _core

MIB = 1 << 20
ROWS, COLS = 20_000, 500  # 38 MiB of float32

rng = np.random.default_rng(0)
A = sp.csr_array(sp.random(ROWS, 300, 0.01, "csr", np.float32, rng))
B = rng.standard_normal((300, COLS), dtype=np.float32)
X = rng.standard_normal((ROWS, COLS), dtype=np.float32)


@pytest.fixture(autouse=True)
def nothing_kept():
    gc.collect()
    spkernels.release_memory()
    yield
    gc.collect()
    spkernels.release_memory()


def pattern():
    """A structure whose values take 40 MiB."""
    shape = 4000, 3000
    columns = np.tile(np.arange(2700, dtype=np.int32), shape[0])
    offsets = np.arange(0, columns.size + 1, 2700, dtype=np.int32)
    return sp.csr_array((np.ones(columns.size, np.float32), columns, offsets), shape)


def scores():
    P = pattern()
    left, right = np.ones((4000, 4), np.float32), np.ones((4, 3000), np.float32)
    return P, left, right


def attention():
    Q, mask = np.ones((16, 8, 1100, 64), np.float32), sp.csr_array(np.ones((1100, 8), bool))
    return spkernels.sparse_attention(Q, Q[..., :8, :], Q[..., :8, :], mask)


def rounded():
    packed = spkernels.prepare(A, dtype="int8")
    return packed.spmm(np.ones((300, 2000), np.float32), scale=0.1, dtype=np.uint8, out_scale=1.0)


LARGE = {
    "spmm": lambda: spkernels.spmm(A, B),
    "spmm, column-major": lambda: spkernels.spmm(A, B, order="F"),
    "spmm, by Python": lambda: spkernels.spmm(A.todok(), B),
    "spmm, a subclass": lambda: spkernels.spmm(A, B.view(np.matrix)),
    "prepared": lambda: spkernels.prepare(A) @ B,
    "a stack": lambda: spkernels.prepare(A) @ np.stack([B, B]),
    "sddmm": lambda: spkernels.sddmm(*scores()).data,
    "sddmm, a batch": lambda: spkernels.prepare(pattern(), op="sddmm").sddmm(
        np.ones((2, 4000, 4), np.float32), np.ones((2, 4, 3000), np.float32)
    ),
    "masked_softmax": lambda: spkernels.masked_softmax(pattern()).data,
    "sparse_attention": attention,
    "kwinners": lambda: spkernels.kwinners(X, 9),
    "spmspm": lambda: spkernels.spmspm(A, sp.csr_array(sp.random(300, COLS, 0.1, "csr", "f"))),
    "int8": lambda: spkernels.prepare(A, dtype="int8") @ np.ones((300, 600), np.uint8),
    "int8 to uint8": rounded,
    "empty": lambda: spkernels.empty((ROWS, COLS), np.float32),
    "empty, by a number": lambda: spkernels.empty(ROWS * COLS),
}


@pytest.mark.parametrize("name", LARGE)
def test_memory_of_large_results_is_kept(name):
    result = LARGE[name]()
    assert type(result) in (np.ndarray, np.matrix)
    bytes_ = result.nbytes
    gc.collect()
    before = spkernels.show_config("dicts")["memory"]["kept results, bytes"]
    del result
    assert bytes_ <= _core.kept_results() - before <= bytes_ + 2 * MIB
    assert spkernels.release_memory() >= bytes_
    assert _core.kept_results() == 0


def test_results_in_used_memory_are_right():
    expected = A @ B
    first = spkernels.spmm(A, B)
    place = first.ctypes.data
    first.fill(np.nan)
    del first
    again = spkernels.spmm(A, B)
    assert again.ctypes.data == place
    assert _core.kept_results() == 0
    np.testing.assert_allclose(again, expected, rtol=1e-5, atol=1e-5)


def test_a_result_is_an_array_like_others():
    result = spkernels.spmm(A, B)
    expected = result.copy()
    assert result.flags.owndata
    assert result.base is None
    view = result[1:]
    del result
    assert _core.kept_results() == 0  # a view holds it
    np.testing.assert_array_equal(view, expected[1:])
    del view
    result = spkernels.spmm(A, B)
    result.resize((ROWS + 5000, COLS), refcheck=False)
    np.testing.assert_array_equal(result[:ROWS], expected)
    result.resize(7, refcheck=False)
    np.testing.assert_array_equal(result, expected[0, :7])


def test_small_results_are_those_of_numpy():
    result = spkernels.spmm(A[:1000], B)
    assert result.nbytes < 32 * MIB
    del result
    assert _core.kept_results() == 0


def test_tracemalloc_sees_results_and_not_what_is_kept():
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        result = spkernels.spmm(A, B)
        within, _ = tracemalloc.get_traced_memory()
        assert result.nbytes <= within - before < result.nbytes + MIB
        del result
        after, _ = tracemalloc.get_traced_memory()
        assert after - before < MIB
        assert _core.kept_results() > 0
    finally:
        tracemalloc.stop()


def test_a_memory_handler_of_the_program_is_used():
    core = np.core if np.__version__.startswith("1.") else np._core
    api = core._multiarray_umath._ARRAY_API
    to_pointer = ctypes.pythonapi.PyCapsule_GetPointer
    to_pointer.restype, to_pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    to_capsule = ctypes.pythonapi.PyCapsule_New
    to_capsule.restype = ctypes.py_object
    to_capsule.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
    table = ctypes.cast(to_pointer(api, None), ctypes.POINTER(ctypes.c_void_p))
    set_handler = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.py_object)(table[304])
    get_handler = ctypes.PYFUNCTYPE(ctypes.py_object)(table[305])
    name = ctypes.c_char_p(b"mem_handler")
    standard = get_handler()
    own = to_capsule(to_pointer(standard, name), name, None)
    try:
        set_handler(own)
        for make in LARGE["spmm"], LARGE["spmm, by Python"]:
            result = make()
            assert get_handler() is own
            del result
            assert _core.kept_results() == 0
    finally:
        set_handler(standard)
    result = spkernels.spmm(A, B)
    assert get_handler() is standard
    del result
    assert _core.kept_results() > 0


def test_results_of_several_threads():
    def run(scale):
        for _ in range(6):
            result = spkernels.spmm(A, B, alpha=scale, workers=1)
            np.testing.assert_array_equal(result, scale * expected)

    expected = spkernels.spmm(A, B)
    with ThreadPoolExecutor(3) as threads:
        list(threads.map(run, (1.0, 2.0, 4.0)))
    assert _core.kept_results() <= 256 * MIB


@pytest.mark.parametrize(("mib", "kept"), [("0", 0), ("40", 4e7), ("20", 0), ("", 4e7)])
def test_the_environment_sets_the_limit(run_script, mib, kept):
    run_script(
        f"""
import numpy as np, scipy.sparse as sp, spkernels
A = sp.csr_array(sp.random(20_000, 300, 0.01, "csr", np.float32))
result = spkernels.spmm(A, np.ones((300, 500), np.float32))
assert result.flags.owndata
del result
assert abs(spkernels._core.kept_results() - {kept}) < 2 * 2**20, spkernels._core.kept_results()
print(spkernels.show_config("dicts")["memory"]["SPKERNELS_KEPT_MIB"])
""",
        env={"SPKERNELS_KEPT_MIB": mib, "NUMPY_MADVISE_HUGEPAGE": "0"},
    )


@pytest.mark.parametrize("text", ["-1", "many", "1.5"])
def test_a_wrong_limit_is_an_error_of_the_import(run_script, text):
    done = run_script("import spkernels", env={"SPKERNELS_KEPT_MIB": text}, check=False)
    assert done.returncode == 1
    assert f"SPKERNELS_KEPT_MIB must be an integer of at least 0, got {text!r}" in done.stderr


def test_resident_memory_is_given_back(run_script):
    run_script("""
import numpy as np, spkernels

def resident():
    with open("/proc/self/status") as lines:
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS"))

size = 200 * 2**20
before = resident()
result = spkernels.empty(size // 8)
result.fill(1)
assert resident() - before > 0.9 * size
del result
assert spkernels.release_memory() >= size
assert resident() - before < 0.1 * size
""")


def test_a_child_of_a_fork_has_results_of_its_own(run_script):
    run_script("""
import os
import numpy as np, scipy.sparse as sp, spkernels

A = sp.csr_array(sp.random(20_000, 300, 0.01, "csr", np.float32))
B = np.ones((300, 500), np.float32)
held, kept = spkernels.spmm(A, B), spkernels.spmm(A, B)
expected = held.copy()
del kept
child = os.fork()
if child == 0:
    new = spkernels.spmm(A, 2 * B)
    assert np.array_equal(new, 2 * expected) and np.array_equal(held, expected)
    held.fill(7)
    del held, new
    assert spkernels.release_memory() >= 76 * 2**20
    os._exit(0)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
assert np.array_equal(held, expected)
""")


def test_empty_is_as_numpy_makes_it():
    for shape, dtype, order in [((3, 4), "f4", "F"), (5, "i2", "C"), ((), float, "C")]:
        array, expected = spkernels.empty(shape, dtype, order), np.empty(shape, dtype, order)
        assert (array.shape, array.dtype) == (expected.shape, expected.dtype)
        assert array.strides == expected.strides
    assert spkernels.empty([2, 3]).shape == (2, 3)
    assert spkernels.empty((ROWS, COLS), order="F").flags.f_contiguous
    with pytest.raises(TypeError, match="dtype must have no objects, got object"):
        spkernels.empty(3, object)
    with pytest.raises(ValueError, match="negative dimensions"):
        spkernels.empty((-1, 3))
    with pytest.raises((MemoryError, ValueError)):
        spkernels.empty((2**40, 2**20))
