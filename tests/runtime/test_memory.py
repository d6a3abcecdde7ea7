"""Memory: no hidden copies, a bounded workspace, nothing read or written out of bounds."""

import sys

import pytest

import spkernels
from spkernels import _core

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="It reads and writes /proc.")

MIB = 1 << 20

# growth(call): the peak of resident memory during a call, above what was resident before it.
MEASURE = """
import sys
import numpy as np, scipy.sparse as sp, spkernels
from spkernels import sddmm, spmm

MIB = 1 << 20

def status(name):
    with open("/proc/self/status") as lines:
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))

def growth(call):
    with open("/proc/self/clear_refs", "w") as refs:
        refs.write("5")
    before = status("VmRSS")
    kept = call()
    return status("VmHWM") - before

def touched(shape, order="C", dtype=np.float32):
    array = np.empty(shape, dtype, order=order)
    array.fill(1)
    return array

def sparse(m, k, per_row, dtype=np.float32, fmt="csr", in_order=True):
    rng = np.random.default_rng(0)
    indices = rng.integers(0, k, (m, per_row), dtype=np.int32)
    if in_order:
        indices.sort(axis=1)
    indptr = np.arange(0, m * per_row + 1, per_row, dtype=np.int32)
    A = sp.csr_array((np.ones(m * per_row, dtype), indices.ravel(), indptr), shape=(m, k))
    return A.asformat(fmt) if fmt != "csr" else A

WORKERS = 2
# What calls may take: their workspace, and a MiB for the stacks of threads and the interpreter.
limits = spkernels.show_config("dicts")["threads"]
BOUND = WORKERS * limits["workspace per thread, bytes"] + MIB
# What all threads together may take besides, where the dense operand is not row-major, or A is in
# CSC or COO: none here has so many rows that more is needed.
SHARED = limits["workspace of all threads, bytes"]
COPIES = {"C": 0, "F": SHARED}

# Loads what is loaded at first use, of scipy's too.
small = sparse(3000, 300, 30)
spmm(small, touched((300, 64)), workers=WORKERS)
sddmm(small, touched((3000, 16)), touched((16, 300)), workers=WORKERS)
small @ touched((300, 64))
"""


@pytest.fixture
def measure(run_script):
    def run(code):
        try:
            with open("/proc/self/clear_refs", "w") as refs:
                refs.write("5")
        except OSError:
            pytest.skip("The peak of resident memory cannot be reset here.")
        run_script(MEASURE + code, env={"OPENBLAS_NUM_THREADS": "1"})

    return run


def test_the_measure_sees_a_copy(measure):
    """scipy copies an F-ordered B; if that is not seen, the tests below see nothing."""
    measure("""
A, B = sparse(64, 16384, 400), touched((16384, 1024), "F")
assert growth(lambda: A @ B) > B.nbytes / 2
assert growth(lambda: touched((1024, 1024, 16))) >= 64 * MIB
""")


def test_workspace_per_thread_is_a_few_mib():
    limits = spkernels.show_config("dicts")["threads"]
    assert 0 < limits["workspace per thread, bytes"] <= 4 * MIB
    assert limits["workspace of all threads, bytes"] == _core.shared_limit(1000) == 16 * MIB
    assert _core.shared_limit(10**7) == 64 * 10**7


def test_b_of_many_rows_is_copied_by_few_columns(measure):
    measure("""
A, B = sparse(400000, 400000, 4), touched((400000, 100), "F")
out = touched((400000, 100))
took = growth(lambda: spmm(A, B, out=out, workers=WORKERS))
assert 14 * MIB < took <= BOUND + 64 * 400000, f"{took / MIB:.1f} MiB"
""")


@pytest.mark.parametrize("per_row, in_order", [(400, True), (8, True), (400, False)])
@pytest.mark.parametrize("layout", ["C", "F"])
def test_spmm_does_not_copy_b(measure, layout, per_row, in_order):
    """64 MiB of B: packed by panels, walked by strides or read in place, but never copied."""
    measure(f"""
B = touched((16384, 1024), {layout!r})
rows = touched((16384 * 2, 512), {layout!r})[::2]
for fmt in ("csr", "csc", "coo"):
    A = sparse(512, 16384, {per_row}, fmt=fmt, in_order={in_order})
    for order in "CF":
        out = touched((512, 1024), order)
        took = growth(lambda: spmm(A, B, out=out, workers=WORKERS))
        bound = BOUND + (SHARED if fmt != "csr" else COPIES[{layout!r}])
        assert took <= bound, f"{{fmt}}, {{order}}: {{took / MIB:.1f}} MiB"
    out = touched((512, 512))
    took = growth(lambda: spmm(A, rows, out=out, workers=WORKERS))
    bound = BOUND + (SHARED if fmt != "csr" else COPIES[{layout!r}])
    assert took <= bound, f"{{fmt}}, every other row: {{took / MIB:.1f}} MiB"
""")


@pytest.mark.parametrize("fmt", ["csr", "csc"])
def test_dense_at_sparse_copies_nothing(measure, fmt):
    """Neither the dense operand, nor the sparse one for its transpose, nor the result."""
    measure(f"""
A = sparse(16384, 2048, 128, fmt={fmt!r})
for layout in "CF":
    D, out = touched((256, 16384), layout), touched((256, 2048))
    took = growth(lambda: spmm(D, A, out=out, workers=WORKERS))
    assert took <= BOUND + SHARED, f"{{took / MIB:.1f}} MiB"
""")


def test_a_large_out_is_written_in_place(measure):
    """Every layout of a 64 MiB result: its staging is bounded."""
    measure("""
B = touched((512, 512))
for fmt in ("csr", "csc", "coo"):
    A = sparse(32768, 512, 8, fmt=fmt)
    wide = touched((32768, 1024))
    for out in (touched((32768, 512), "F"), wide[:, :512], wide[:, ::2], wide[::-1, 512:]):
        took = growth(lambda: spmm(A, B, out=out, beta=1.0, workers=WORKERS))
        assert took <= BOUND + SHARED * (fmt != "csr"), f"{fmt}: {took / MIB:.1f} MiB"
""")


@pytest.mark.parametrize("block", [(1, 16384), (16384, 1), (1, 64), (128, 128)])
def test_blocks_of_any_shape_keep_to_the_workspace(measure, block):
    measure(f"""
height, width = {block}
blocks = np.ones((65536 * 16 // (height * width), height, width), np.float32)
side = 16384
per_row = max(1, len(blocks) // (side // height))
indptr = np.minimum(np.arange(side // height + 1) * per_row, len(blocks))
indices = np.arange(len(blocks)) % (side // width)
A = sp.bsr_array((blocks, indices, indptr), shape=(side, side))
for layout in "CF":
    B = touched((side, 256), layout)
    for order in "CF":
        out = touched((side, 256), order)
        took = growth(lambda: spmm(A, B, out=out, workers=WORKERS))
        assert took <= BOUND + COPIES[layout], f"spmm {{layout}}{{order}}: {{took / MIB:.1f}} MiB"
    X, Y = touched((side, 64), layout), touched((64, side), layout)
    out = A.copy()
    took = growth(lambda: sddmm(A, X, Y, out=out, workers=WORKERS))
    assert took <= BOUND, f"sddmm {{layout}}: {{took / MIB:.1f}} MiB"
""")


@pytest.mark.parametrize("fmt", ["csr", "csc", "coo", "bsr"])
def test_sddmm_does_not_form_the_product(measure, fmt):
    """20,000 x 20,000 in float32 would be 1.6 GB."""
    measure(f"""
P = sparse(20_000, 20_000, 10)
P = P.tobsr((4, 4)) if {fmt!r} == "bsr" else P.asformat({fmt!r})
for layouts in ("CC", "CF", "FC", "FF"):
    X, Y = touched((20_000, 32), layouts[0]), touched((32, 20_000), layouts[1])
    took = growth(lambda: sddmm(P, X, Y, workers=WORKERS))
    assert took <= P.data.nbytes + BOUND, f"{{layouts}}: {{took / MIB:.1f}} MiB"
    took = growth(lambda: sddmm(P, X, Y, out=P, workers=WORKERS))
    assert took <= BOUND, f"{{layouts}} in place: {{took / MIB:.1f}} MiB"
""")


def test_sddmm_of_integers_does_not_form_the_product_either(measure):
    measure("""
P = sparse(20_000, 20_000, 10, np.int64)
X, Y = touched((20_000, 32), dtype=np.int64), touched((32, 20_000), dtype=np.int64)
took = growth(lambda: sddmm(P, X, Y))
assert took < 64 * MIB, f"{took / MIB:.1f} MiB"
""")


@pytest.mark.parametrize("layouts", ["CC", "CF", "FC", "FF"])
def test_sddmm_does_not_copy_its_factors(measure, layouts):
    measure(f"""
P = sparse(4096, 4096, 32)
X, Y = touched((4096, 1024), {layouts[0]!r}), touched((1024, 4096), {layouts[1]!r})
took = growth(lambda: sddmm(P, X, Y, out=P, workers=WORKERS))
assert took <= BOUND, f"{{took / MIB:.1f}} MiB"
""")


def test_nothing_leaks(measure):
    measure("""
A, B = sparse(2000, 2000, 20), touched((2000, 64), "F")
X, Y = touched((2000, 64)), touched((64, 2000))

def calls():
    for _ in range(100):
        spmm(A, B, workers=WORKERS)
        spmm(A.tocsc(), B, workers=1, bias=B[:64, 0], activation="gelu")
        sddmm(A, X, Y, workers=WORKERS)
        try:
            spmm(A, B[1:])
        except ValueError:
            pass

calls()
before = status("VmRSS")
calls()
assert status("VmRSS") - before < 4 * MIB
""")


# Guard pages --------------------------------------------------------------------------------------

# at_edge(array): a copy that ends where memory ends: one byte further is a segmentation fault.
EDGES = """
import ctypes, itertools, mmap
import numpy as np, scipy.sparse as sp
from spkernels import sddmm, spmm

libc = ctypes.CDLL(None, use_errno=True)
libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
PAGE = mmap.PAGESIZE
maps = []

def at_edge(array, side="end", order="C"):
    pages = -(-array.nbytes // PAGE)
    memory = mmap.mmap(-1, (pages + 2) * PAGE)
    maps.append(memory)
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    for guard in (address, address + (pages + 1) * PAGE):
        assert libc.mprotect(guard, PAGE, mmap.PROT_NONE if hasattr(mmap, "PROT_NONE") else 0) == 0
    offset = PAGE if side == "start" else (pages + 1) * PAGE - array.nbytes
    view = np.ndarray(array.shape, array.dtype, buffer=memory, offset=offset, order=order)
    view[...] = array
    return view

def sparse_at_edge(fmt, density, dtype, side, in_order=True):
    rng = np.random.default_rng(0)
    A = sp.coo_array(sp.random(14, 21, density, "coo", dtype, rng))
    if not in_order:
        at = rng.permutation(A.nnz)
        A = sp.coo_array((A.data[at], (A.row[at], A.col[at])), shape=A.shape)
    A = A.tobsr((2, 3)) if fmt == "bsr" else A.asformat(fmt)
    A.data = at_edge(A.data, side)
    if fmt == "coo":
        coords = tuple(at_edge(np.asarray(index), side) for index in (A.row, A.col))
        if hasattr(A, "coords"):
            A.coords = coords
        else:
            A.row, A.col = coords
    else:
        A.indptr, A.indices = at_edge(A.indptr, side), at_edge(A.indices, side)
    return A
"""


def test_the_edge_of_memory_is_one(run_script):
    """The tests below rely on a fault at the first byte beyond."""
    for index in ("size", "-1"):
        done = run_script(
            EDGES + f"""
side = "end" if {index!r} == "size" else "start"
view = at_edge(np.ones(8), side)
print("made", flush=True)
ctypes.string_at(view.ctypes.data + 8 * (view.size if side == "end" else -1), 1)
""", check=False)
        assert done.returncode < 0
        assert done.stdout == "made\n"


@pytest.mark.parametrize("isa", spkernels.show_config("dicts")["simd"]["available"])
@pytest.mark.parametrize("fmt", ["csr", "csc", "coo", "bsr"])
def test_nothing_beyond_the_operands_is_touched(run_script, fmt, isa):
    """Loads of whole vectors must not reach beyond B, X, Y, values, indices, out or bias."""
    run_script(
        EDGES + f"""
fmt = {fmt!r}
widths = [1, 2, 3, 5, 7, 8, 9, 15, 16, 17, 31, 33, 48, 63, 65, 100]

def assert_sums(result, expected, terms):
    # Of positive numbers: what rounding adds up to here and there, relative to the sum.
    np.testing.assert_allclose(result, expected, rtol=(terms + 2) * np.finfo(dtype).eps)

for dtype, side, (in_order, density) in itertools.product(
    [np.float32, np.float64], ["end", "start"], [(True, 0.3), (False, 0.3), (True, 0.02)]
):
    A = sparse_at_edge(fmt, density, dtype, side, in_order)
    dense = A.toarray()
    for n, order in itertools.product(widths, "CF"):
        B = at_edge(np.random.default_rng(n).random((21, n)).astype(dtype), side, order)
        bias = at_edge(np.ones(n, dtype), side)
        for out_order in "CF":
            out = at_edge(np.zeros((14, n), dtype), side, out_order)
            spmm(A, B, out=out)
            assert_sums(out, dense @ B, 21)
            spmm(A, B, out=out, beta=0.5, bias=bias, activation="silu")
        X = at_edge(np.random.default_rng(n).random((14, n)).astype(dtype), side, order)
        for y_order in "CF":
            Y = at_edge(np.random.default_rng(n).random((n, 21)).astype(dtype), side, y_order)
            P = sddmm(A, X, Y)
            rows, cols = P.tocoo().row, P.tocoo().col
            assert_sums(P.tocoo().data, (X @ Y)[rows, cols], n)
            out = A.copy()
            out.data = at_edge(out.data, side)
            sddmm(A, X, Y, out=out, beta=1.0, scale=True)
        maps.clear() if len(maps) > 4000 else None
""",
        env={"SPKERNELS_ISA": isa},
    )


def test_corrupted_indices_are_not_followed(run_script):
    """Each would be a segmentation fault: ValueError says that it was seen before."""
    run_script(
        EDGES + """
def refused(call):
    try:
        call()
    except ValueError as error:
        assert "corrupted" in str(error), error
    else:
        raise AssertionError("a corrupted operand was taken")

for fmt, dtype, far in itertools.product(
    ["csr", "csc", "bsr", "coo"], [np.float32, np.int64, np.complex128], [2**30, -(2**30), 24]
):
    A = sp.csr_array(sp.random(18, 24, 0.4, "csr", None, 0)).astype(dtype)
    A = A.tobsr((2, 3)) if fmt == "bsr" else A.asformat(fmt)
    B, D = at_edge(np.ones((24, 5), dtype)), at_edge(np.ones((5, 18), dtype))
    X, Y = at_edge(np.ones((18, 5), dtype)), at_edge(np.ones((5, 24), dtype))
    for name in ["coords"] if fmt == "coo" else ["indices", "indptr"]:
        bad = A.copy()
        if name == "coords":
            col = bad.col.copy()
            col[1] = far
            if hasattr(bad, "coords"):
                bad.coords = (bad.row, col)
            else:
                bad.col = col
        else:
            getattr(bad, name)[1] = far * (1000 if name == "indptr" and far == 24 else 1)
        refused(lambda: spmm(bad, B))
        refused(lambda: spmm(D, bad))
        refused(lambda: sddmm(bad, X, Y))
        refused(lambda: sddmm(bad, X, Y, out=bad, scale=True))
""")
