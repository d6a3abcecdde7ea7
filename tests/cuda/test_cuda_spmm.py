"""C = A @ B on CUDA cores: parts of rows, panels of 8 rows, and what is chosen."""

import ctypes
import mmap

import numpy as np
import pytest
import scipy.sparse as sp
from gpu import EMULATED, UNITS, Array, Handle, assert_product, from_bits, round_to
from hypothesis import given
from hypothesis import strategies as st
from reference import ACTIVATIONS

from spkernels.cuda import _library

#: Kernels, and the dtypes that they take.
KERNELS = [
    *(("rows", dtype) for dtype in sorted(UNITS)),
    ("panels", "float32"),
    ("panels", "float64"),
    ("auto", "float32"),
]
WIDTHS = [0, 1, 2, 3, 4, 5, 8, 16, 31, 32, 33, 64, 100, 128, 132, 256, 257]


def random_matrix(rng, m, k, dtype, density=None):
    """CSR in float64, of values that `dtype` has; unsorted, with repeated entries."""
    density = rng.choice([0.02, 0.1, 0.3, 0.9]) if density is None else density
    nnz = int(density * m * k)
    rows, cols = rng.integers(0, max(m, 1), nnz), rng.integers(0, max(k, 1), nnz)
    order = np.argsort(rows, kind="stable")
    data = round_to(rng.standard_normal(nnz), dtype).astype(np.float64)
    indptr = np.searchsorted(rows[order], np.arange(m + 1)).astype(rng.choice([np.int32, np.int64]))
    return sp.csr_array((data, cols[order].astype(indptr.dtype), indptr), shape=(m, k))


@pytest.mark.parametrize(("kernel", "dtype"), KERNELS)
@given(
    seed=st.integers(0, 2**32 - 1),
    shape=st.tuples(st.integers(0, 40), st.integers(1, 70)),
    n=st.sampled_from(WIDTHS),
    layouts=st.tuples(st.sampled_from("CF"), st.sampled_from("CF")),
    apart=st.sampled_from([0, 1, 4, 8]),
    shift=st.sampled_from([0, 1, 8]),
)
def test_any_product(library, kernel, dtype, seed, shape, n, layouts, apart, shift):
    rng = np.random.default_rng(seed)
    A = random_matrix(rng, *shape, dtype)
    B = round_to(rng.standard_normal((shape[1], n)), dtype)
    handle = Handle(library, A, dtype, kernel=kernel)
    assert handle.status == _library.OK
    C = Array(np.full((shape[0], n), np.nan), dtype, layouts[1], apart, shift)
    assert handle.spmm(Array(B, dtype, layouts[0], apart, shift), C) == _library.OK
    assert_product(C.get(), A, B, dtype)


@pytest.mark.parametrize(("kernel", "dtype"), KERNELS)
@pytest.mark.parametrize("n", [132, 200, 256, 300])
@pytest.mark.parametrize("layout", ["C", "F"])
def test_as_many_rows_as_fill_the_device(library, kernel, dtype, n, layout):
    """With these, tiles are wide, and a panel is one warp's alone."""
    rng = np.random.default_rng(n)
    A = random_matrix(rng, 290, 70, dtype, 0.3)
    B = round_to(rng.standard_normal((70, n)), dtype)
    C = Array(np.full((290, n), np.nan), dtype, layout)
    assert Handle(library, A, dtype, kernel=kernel).spmm(Array(B, dtype), C) == _library.OK
    assert_product(C.get(), A, B, dtype)


@pytest.mark.parametrize(("kernel", "dtype"), KERNELS)
@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.sampled_from([1, 8, 33, 128]),
    layout=st.sampled_from("CF"),
    alpha=st.sampled_from([1.0, 0.5, -2.0, 0.0]),
    beta=st.sampled_from([0.0, 1.0, -0.5]),
    biases=st.tuples(st.booleans(), st.booleans()),
    activation=st.sampled_from(list(ACTIVATIONS)),
)
def test_epilogue(library, kernel, dtype, seed, n, layout, alpha, beta, biases, activation):
    rng = np.random.default_rng(seed)
    m, k = 19, 30
    A = random_matrix(rng, m, k, dtype)
    B = round_to(rng.standard_normal((k, n)), dtype)
    before = round_to(rng.standard_normal((m, n)), dtype)
    row, col = round_to(rng.standard_normal(m), dtype), round_to(rng.standard_normal(n), dtype)
    C = Array(before if beta else np.full((m, n), np.nan), dtype, layout)
    status = Handle(library, A, dtype, kernel=kernel).spmm(
        Array(B, dtype),
        C,
        alpha,
        beta,
        Array(row, dtype) if biases[0] else None,
        Array(col, dtype) if biases[1] else None,
        activation,
    )
    assert status == _library.OK
    added = [bias for bias, there in zip((row[:, None], col), biases, strict=True) if there]
    options = {"alpha": alpha, "beta": beta, "before": before, "biases": added}
    assert_product(C.get(), A, B, dtype, activation=activation, **options)


@pytest.mark.parametrize(("kernel", "dtype"), KERNELS)
@pytest.mark.parametrize("n", [1, 4, 128, 256])
def test_rows_of_very_different_lengths(library, kernel, dtype, n):
    """Rows that are cut into parts, or shared by warps, among empty and short ones."""
    rng = np.random.default_rng(n)
    lengths = np.array([0, 1500, 3, 0, 256, 257, 0, 1, 2000, 31, 32, 33])
    k = 700
    indptr = np.concatenate([[0], np.cumsum(lengths)])
    A = sp.csr_array(
        (
            round_to(rng.standard_normal(indptr[-1]), dtype).astype(float),
            rng.integers(0, k, indptr[-1]),
            indptr,
        ),
        shape=(len(lengths), k),
    )
    B = round_to(rng.standard_normal((k, n)), dtype)
    C = Array(np.full((len(lengths), n), np.nan), dtype)
    handle = Handle(library, A, dtype, kernel=kernel)
    assert handle.spmm(Array(B, dtype), C) == _library.OK
    assert_product(C.get(), A, B, dtype)
    again = Array(np.full((len(lengths), n), np.nan), dtype)
    assert handle.spmm(Array(B, dtype), again) == _library.OK
    np.testing.assert_array_equal(again.get(), C.get())


@pytest.mark.parametrize(("kernel", "dtype"), KERNELS)
@given(seed=st.integers(0, 2**32 - 1), n=st.sampled_from([1, 5, 8, 128, 256]))
def test_what_is_not_finite_spreads_by_entries_alone(library, kernel, dtype, seed, n):
    rng = np.random.default_rng(seed)
    m, k = 21, 40
    A = random_matrix(rng, m, k, dtype, 0.1)
    A.data[rng.random(A.nnz) < 0.1] = rng.choice([0.0, -0.0, np.nan, np.inf])
    B = round_to(rng.standard_normal((k, n)), dtype)
    B[rng.random((k, n)) < 0.1] = rng.choice([np.nan, np.inf, -np.inf])
    C = Array(np.zeros((m, n)), dtype)
    assert Handle(library, A, dtype, kernel=kernel).spmm(Array(B, dtype), C) == _library.OK
    with np.errstate(all="ignore"):
        expected = A @ B.astype(float)
    got = C.get().astype(float)
    np.testing.assert_array_equal(np.isnan(got), np.isnan(expected))
    infinite = np.isinf(expected)
    np.testing.assert_array_equal(got[infinite], expected[infinite])


@pytest.mark.parametrize(("kernel", "dtype"), KERNELS)
def test_new_values(library, kernel, dtype):
    rng = np.random.default_rng(1)
    A = random_matrix(rng, 30, 40, dtype)
    handle = Handle(library, A, dtype, kernel=kernel)
    A.data = round_to(rng.standard_normal(A.nnz), dtype).astype(float)
    assert handle.update(A.data) == _library.OK
    B = round_to(rng.standard_normal((40, 128)), dtype)
    C = Array(np.full((30, 128), np.nan), dtype)
    assert handle.spmm(Array(B, dtype), C) == _library.OK
    assert_product(C.get(), A, B, dtype)


@pytest.mark.skipif(not EMULATED, reason="It needs 24 GiB of which next to nothing is touched.")
@pytest.mark.parametrize(("kernel", "dtype"), [("rows", "float32"), ("panels", "float32")])
def test_rows_nearly_4_gib_apart(library, kernel, dtype):
    """Offsets beyond 2**31 elements, on either side."""
    apart, rows = 2**30 - 4, 3
    memory = [mmap.mmap(-1, rows * apart * 4 + 64) for _ in range(2)]  # pages that exist when used
    B, C = (np.frombuffer(m, np.float32)[: rows * apart].reshape(rows, apart) for m in memory)
    rng = np.random.default_rng(3)
    B[:, :8] = rng.standard_normal((rows, 8))
    A = sp.csr_array(np.array([[0.0, 0, 1], [2, 0, 3], [0, 4, 5]]))
    handle = Handle(library, A, dtype, kernel=kernel)
    dense = [_library.Dense(0, rows, 8, apart, 1, array.ctypes.data) for array in (B, C)]
    status = library.spk_cuda_spmm(handle.pointer, *dense, None, None, None)
    assert status == _library.OK
    assert_product(C[:, :8], A, B[:, :8], dtype)
    dense[0].row_stride = 2**30
    status = library.spk_cuda_spmm(handle.pointer, *dense, None, None, None)
    assert status == _library.ERR_SHAPE
    del B, C


def test_what_is_chosen(library):
    rng = np.random.default_rng(2)
    blocks = sp.random(1024, 64, density=0.2, random_state=rng, format="csr", dtype=np.float32)
    A = sp.csr_array(sp.kron(blocks, np.ones((8, 1), np.float32)))
    handle = Handle(library, A, "float32")
    assert [handle.kernel(n) for n in (1, 32, 128)] == ["rows", "rows", "panels"]
    assert Handle(library, A, "float32", width=32).kernel(128) == "rows"
    wide = sp.random(8, 512, density=0.25, random_state=rng, format="csr", dtype=np.float32)
    tall = sp.csr_array(sp.kron(wide, np.ones((32, 1), np.float32)))
    assert [Handle(library, tall, "bfloat16").kernel(n) for n in (1, 128)] == ["rows", "gather"]
    half = sp.random(256, 256, density=0.2, random_state=rng, format="csr")
    assert Handle(library, half, "float16").kernel(128) == "bitmap"
    assert Handle(library, half, "float32", precision="tf32").kernel(128) == "bitmap"
    scattered = sp.random(4096, 4096, density=0.001, random_state=rng, format="csr")
    for dtype in UNITS:
        assert Handle(library, scattered, dtype).kernel(128) == "rows"


def test_values_are_rounded_once(library):
    """Not to float first, which would round a value a little above the middle to the middle."""
    values = np.array([1 + 2.0**-11 + 2.0**-30, -1 - 2.0**-11 - 2.0**-30, 1 + 2.0**-11, 2.0**-40])
    values = np.concatenate([values, 1 + 2.0**-8 + 2.0**-40 * np.arange(-1, 2), [1e300, 0.0]])
    A = sp.csr_array((values, np.zeros(len(values), int), np.arange(len(values) + 1)))
    for dtype in ("float16", "bfloat16"):
        C = Array(np.full((len(values), 1), np.nan), dtype)
        assert Handle(library, A, dtype).spmm(Array(np.ones((1, 1)), dtype), C) == _library.OK
        if dtype == "float16":
            with np.errstate(over="ignore"):
                np.testing.assert_array_equal(C.get()[:, 0], values.astype(np.float16))
        else:
            expected = [1, -1, 1, 2.0**-40, 1, 1, 1 + 2.0**-7, np.inf, 0]
            np.testing.assert_array_equal(C.get()[:, 0], expected)


def test_every_value_of_16_bits_is_read_and_rounded_as_it_should(library):
    """Times one, all float16 and bfloat16 values come back; sums are rounded to the nearest."""
    identity = sp.eye(1, format="csr", dtype=np.float64)
    for dtype in ("float16", "bfloat16"):
        bits = np.arange(2**16, dtype=np.uint16)
        values = bits.view(np.float16) if dtype == "float16" else from_bits(bits, dtype)
        finite = np.isfinite(values)
        C = Array(np.zeros((1, 2**16)), dtype)
        handle = Handle(library, sp.csr_array(identity), dtype)
        assert handle.spmm(Array(values[None], dtype), C) == _library.OK
        np.testing.assert_array_equal(C.get()[0][finite], values[finite])
        third = Array(np.zeros((1, 2**16)), dtype)
        assert handle.spmm(Array(values[None], dtype), third, alpha=1 / 3) == _library.OK
        nearest = round_to(np.float32(1 / 3) * values[finite].astype(np.float32), dtype)
        np.testing.assert_array_equal(third.get()[0][finite], nearest)


class TestBadInput:
    A = sp.csr_array(np.eye(5))

    @pytest.mark.parametrize(
        ("change", "status"),
        [
            ({"indptr": [0, 1, 2, 3, 4, 6]}, _library.ERR_INDPTR),
            ({"indptr": [0, 2, 1, 3, 4, 5]}, _library.ERR_INDPTR),
            ({"indptr": [1, 1, 2, 3, 4, 5]}, _library.ERR_INDPTR),
            ({"indices": [0, 1, 2, 3, 5]}, _library.ERR_INDEX),
            ({"indices": [0, 1, -1, 3, 4]}, _library.ERR_INDEX),
        ],
    )
    def test_corrupted_arrays(self, library, change, status):
        A = self.A.copy()
        for name, value in change.items():
            setattr(A, name, np.array(value, np.int32))
        for kernel in ("auto", "rows", "panels"):
            handle = Handle(library, A, "float64", kernel=kernel)
            assert handle.status == status
            assert not handle.pointer

    def test_kernels_and_dtypes_that_exclude_each_other(self, library):
        assert Handle(library, self.A, "float16", kernel="panels").status == _library.ERR_DTYPE
        assert Handle(library, self.A, "float64", precision="tf32").status == _library.ERR_DTYPE
        assert Handle(library, self.A, "float64", operations=()).status == _library.ERR_ARGUMENT
        assert Handle(library, self.A, "float64", width=-1).status == _library.ERR_ARGUMENT

    @pytest.mark.parametrize(
        ("shapes", "dtypes", "status"),
        [
            (((4, 3), (5, 3)), ("float64", "float64"), _library.ERR_SHAPE),
            (((5, 3), (4, 3)), ("float64", "float64"), _library.ERR_SHAPE),
            (((5, 3), (5, 2)), ("float64", "float64"), _library.ERR_SHAPE),
            (((5, 3), (5, 3)), ("float32", "float64"), _library.ERR_DTYPE),
            (((5, 3), (5, 3)), ("float64", "float32"), _library.ERR_DTYPE),
        ],
    )
    def test_operands_that_do_not_fit(self, library, shapes, dtypes, status):
        handle = Handle(library, self.A, "float64")
        B, C = (Array(np.zeros(s), d) for s, d in zip(shapes, dtypes, strict=True))
        product = library.spk_cuda_spmm(handle.pointer, B.dense, C.dense, None, None, None)
        assert product == status
        assert (C.get() == 0).all()

    def test_strides_that_are_neither(self, library):
        handle = Handle(library, self.A, "float64")
        B, C = Array(np.ones((5, 6)), "float64"), Array(np.ones((5, 3)), "float64")
        every_other = B.dense
        every_other.cols, every_other.col_stride = 3, 2
        args = (C.dense, None, None, None)
        assert library.spk_cuda_spmm(handle.pointer, every_other, *args) == _library.ERR_ARGUMENT
        backwards = B.dense
        backwards.cols, backwards.row_stride = 1, -6
        one = (Array(np.ones((5, 1)), "float64").dense, None, None, None)
        assert library.spk_cuda_spmm(handle.pointer, backwards, *one) == _library.ERR_ARGUMENT
        overlapping = B.dense
        overlapping.cols, overlapping.row_stride = 3, 2
        assert library.spk_cuda_spmm(handle.pointer, overlapping, *args) == _library.ERR_ARGUMENT

    def test_types_that_are_none(self, library):
        handle = Handle(library, self.A, "float64")
        assert handle.status == _library.OK
        for fields in ({"format": 7}, {"itype": 7}):
            assert Handle(library, self.A, "float64", **fields).status == _library.ERR_ARGUMENT

    def test_addresses_that_are_not_aligned_to_elements(self, library):
        handle = Handle(library, self.A, "float64")
        B, C = Array(np.ones((5, 3)), "float64"), Array(np.ones((5, 3)), "float64")
        for dense in (B.dense, C.dense):
            dense.data += 4
            pair = (dense, C.dense) if dense.data == B.pointer + 4 else (B.dense, dense)
            status = library.spk_cuda_spmm(handle.pointer, *pair, None, None, None)
            assert status == _library.ERR_ARGUMENT
        bias = _library.Epilogue(1.0, 0.0, B.pointer + 4, None, 0)
        args = (B.dense, C.dense, ctypes.byref(bias), None, None)
        assert library.spk_cuda_spmm(handle.pointer, *args) == _library.ERR_ARGUMENT
        assert library.spk_cuda_update_values(handle.pointer, B.pointer + 4, None) != _library.OK
        assert (C.get() == 1).all()

    def test_a_mask_takes_no_values(self, library):
        handle = Handle(library, self.A, "float16", operations=("attention",))
        assert handle.update(self.A.data) == _library.ERR_PREPARED

    def test_a_workspace_that_is_missing(self, library):
        handle = Handle(library, self.A, "float64")
        B, C = Array(np.ones((5, 3)), "float64", "F"), Array(np.ones((5, 3)), "float64")
        args = (handle.pointer, B.dense, C.dense, None)
        assert library.spk_cuda_spmm(*args, None, None) == _library.ERR_WORKSPACE
        assert library.spk_cuda_spmm(*args, B.pointer + 8, None) == _library.ERR_WORKSPACE
        assert (C.get() == 1).all()
