"""spmm against float64, over formats, dtypes, layouts and shapes; options have a file too."""

import itertools

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from reference import EXTRA_OPERATIONS, assert_close, assert_rounded_alike, assert_spmm, terms
from strategies import (
    DTYPES,
    FORMATS,
    INDEX_DTYPES,
    LAYOUTS,
    NATIVE_FORMATS,
    from_entries,
    index_arrays,
    lay_out,
    layouts,
    random_dense,
    random_sparse,
    random_values,
    rest_untouched,
    seeds,
    set_index_arrays,
    sparse,
    widths,
)

from spkernels import _core, spmm, spmspv
from spkernels._inputs import sparse as sparse_module

# One column; tails of every length up to a vector; whole vectors; tiles whose last has one column.
WIDTHS = [1, *range(2, 18), 31, 32, 33, 48, 63, 64, 65, 97, 100, 128, 130, 193, 200, 512, 515]

ALL_DTYPES = ["?", "b", "B", "h", "i", "I", "l", "L", "e", "f", "d", "g", "F", "D", "G"]


# Properties ---------------------------------------------------------------------------------------


@pytest.mark.every_isa
@given(A=sparse(), n=widths, layout=layouts, order=st.sampled_from([None, "C", "F"]), seed=seeds)
def test_sparse_at_dense(A, n, layout, order, seed):
    B = random_dense(np.random.default_rng(seed), (A.shape[1], n), A.dtype, layout)
    assert_spmm(spmm(A, B, order=order), A, B)


@pytest.mark.every_isa
@given(B=sparse(), m=widths, layout=layouts, order=st.sampled_from([None, "C", "F"]), seed=seeds)
def test_dense_at_sparse(B, m, layout, order, seed):
    A = random_dense(np.random.default_rng(seed), (m, B.shape[0]), B.dtype, layout)
    assert_spmm(spmm(A, B, order=order), A, B)


@given(A=sparse(), layout=layouts, seed=seeds)
def test_vectors(A, layout, seed):
    rng = np.random.default_rng(seed)
    x = random_dense(rng, (A.shape[1],), A.dtype, layout)
    assert_spmm(spmm(A, x), A, x)
    y = random_dense(rng, (A.shape[0],), A.dtype, layout)
    assert_spmm(spmm(y, A), y, A)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("others", [0, 1, 9, 30])
def test_rows_of_negative_zeros_sum_to_zero_whatever_their_neighbours(dtype, others):
    """As in scipy, and with the same sign wherever rows are cut into blocks."""
    lengths = np.tile([16, *[others] * 3], 300)
    offsets = np.r_[0, np.cumsum(lengths)]
    columns = np.arange(offsets[-1]) % 40
    A = sp.csr_array((np.ones(offsets[-1], dtype), columns, offsets), shape=(len(lengths), 40))
    v = np.full(40, -0.0, dtype)
    for workers in (1, 2):
        assert not np.signbit(spmm(A, v, workers=workers)).any()


@pytest.mark.every_isa
@pytest.mark.parametrize("fmt", ["csr", "csc", "coo"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("per_row", [0.6, 3, 9])
def test_vectors_with_rows_of_many_lengths(fmt, dtype, per_row):
    """Most rows are short, some empty, some longer than what is summed at a time."""
    rng = np.random.default_rng(7)
    m, k = 12_003 if per_row > 1 else 30_001, 1_900
    counts = rng.poisson(per_row, m)
    counts[[0, m // 2, m - 1]] = 700, 1_600, 513
    counts[20:700] = 0
    rows = np.repeat(np.arange(m), counts)
    cols = rng.integers(0, k, rows.size)
    A = from_entries(fmt, rows, cols, random_values(rng, rows.size, dtype), (m, k))
    for S in (A, A.T):
        x = random_values(rng, S.shape[1], dtype)
        assert_spmm(spmm(S, x), S, x)
        apart = np.zeros((S.shape[1], 2), dtype)
        apart[:, 1] = x
        np.testing.assert_array_equal(spmm(S, apart[:, 1]), spmm(S, x))
        np.testing.assert_array_equal(spmm(S, x, workers=1), spmm(S, x, workers=3))


@given(A=sparse(most=40), n=st.integers(0, 40), workers=st.integers(1, 7), seed=seeds)
def test_any_number_of_workers(A, n, workers, seed):
    B = random_dense(np.random.default_rng(seed), (A.shape[1], n), A.dtype)
    assert_spmm(spmm(A, B, workers=workers), A, B)


# Widths, tiles, panels ----------------------------------------------------------------------------


@pytest.mark.every_isa
@pytest.mark.parametrize("itype", INDEX_DTYPES)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("fmt", NATIVE_FORMATS)
def test_widths(fmt, dtype, itype):
    rng = np.random.default_rng(1)
    for in_order, n in itertools.product([True, False], WIDTHS):
        A = random_sparse(rng, fmt, (37, 53), 0.2, dtype, itype=itype, in_order=in_order)
        B = random_dense(rng, (A.shape[1], n), dtype)
        assert_spmm(spmm(A, B), A, B)


@pytest.mark.every_isa
@pytest.mark.parametrize(
    "block", [(1, 1), (1, 7), (2, 2), (3, 3), (4, 4), (5, 3), (16, 1), (8, 16)]
)
@pytest.mark.parametrize("dtype", DTYPES)
def test_blocks(dtype, block):
    rng = np.random.default_rng(2)
    for n, layout in itertools.product([1, 2, 16, 33, 65, 130], ["C", "F", "every other column"]):
        A = random_sparse(rng, "bsr", (80, 64), 0.3, dtype, block=block, in_order=n % 2 == 0)
        B = random_dense(rng, (A.shape[1], n), dtype, layout)
        assert_spmm(spmm(A, B), A, B)


# A packed panel is at most 1 MiB, of one vector's width for rows that are not sorted: K is deeper.
K = 20_001
DEEP = [
    ("csr", True, 0.004),
    ("csr", False, 0.004),
    ("csr", True, 0.3),
    ("coo", True, 0.004),
    ("coo", False, 0.004),
    ("csc", True, 0.004),
    ("csc", False, 0.01),
    ("bsr", True, 0.01),
    ("bsr", False, 0.01),
]


@pytest.mark.every_isa
@pytest.mark.parametrize("fmt, in_order, density", DEEP)
@pytest.mark.parametrize("dtype", DTYPES)
def test_deep_products_are_cut_into_panels(dtype, fmt, in_order, density):
    rng = np.random.default_rng(3)
    A = random_sparse(rng, fmt, (40 if density > 0.1 else 2200, K), density, dtype,
                      in_order=in_order)
    for layout, n in itertools.product(["rows apart", "columns apart"], [7, 70]):
        B = random_dense(rng, (A.shape[1], n), dtype, layout)
        assert_spmm(spmm(A, B, order="F" if n == 7 else "C"), A, B)


@pytest.mark.every_isa
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("n", [17, 64, 193])
@pytest.mark.parametrize("fmt", ["csr", "coo"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_dense_rows_are_cut_into_blocks(dtype, fmt, n, order):
    rng = np.random.default_rng(4)
    A = random_sparse(rng, fmt, (61, 1500), 0.9, dtype)
    B = random_dense(rng, (1500, n), dtype)
    before = random_dense(rng, (61, n), dtype, order)
    bias = random_values(rng, n, dtype)
    out = lay_out(before, order)
    spmm(A, B, out=out, alpha=0.5, beta=-2.0, bias=bias, activation="relu")
    assert_spmm(out, A, B, alpha=0.5, beta=-2.0, before=before, bias=bias, activation="relu")
    assert rest_untouched(out)


def kernel_of(A, B, order="C"):
    arrays = sparse_module.sparse_arrays(A, A.dtype, "A")
    C = np.empty((A.shape[0], B.shape[1]), A.dtype, order=order)
    status, name = _core.kernel_name(arrays, B, C, 1, 0)
    assert status == 0
    return name


@pytest.mark.parametrize("itype", INDEX_DTYPES)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("block", [(1, 1), (2, 2), (3, 2), (1, 4), (5, 3)])
def test_blocks_are_transposed(block, dtype, itype):
    rng = np.random.default_rng(8)
    height, width = block
    entries = rng.integers(0, 9, 40)
    indptr = np.r_[0, np.sort(rng.integers(0, 40, 6)), 40].astype(itype)
    values = rng.standard_normal((43, height, width)).astype(dtype)  # and some behind the last row
    indices = np.r_[entries, 0, 0, 0].astype(itype)
    A = sp.bsr_array((values, indices, indptr), shape=(7 * height, 9 * width))
    arrays = sparse_module.sparse_arrays(A, np.dtype(dtype), "A")
    _, shape, turned, offsets, columns, _, blocks = _core.transpose_blocks(arrays)
    assert (shape, turned) == (A.shape[::-1], (width, height))
    assert len(columns) == len(blocks) == 40
    T = sp.bsr_array((blocks, columns, offsets), shape=shape)
    assert (T.toarray() == A.toarray().T).all()
    for n in (1, 9):
        D = rng.standard_normal((n, 7 * height)).astype(dtype)
        assert_spmm(spmm(D, A), D, A)


def test_deep_and_dense_products_take_the_paths_they_are_here_for():
    """The matrices above reach panels, blocks of panels and kernels for any strides."""
    rng = np.random.default_rng(5)
    deep = random_sparse(rng, "csr", (2200, K), 0.01, np.float32)
    dense = random_sparse(rng, "csr", (61, 1500), 0.9, np.float32)
    thin = random_sparse(rng, "csr", (37, 530), 0.004, np.float32)
    assert "packed, blocks" in kernel_of(deep, random_dense(rng, (K, 70), np.float32))
    assert "packed, blocks" in kernel_of(deep, random_dense(rng, (K, 70), np.float32, "F"))
    assert "packed, blocks" in kernel_of(dense, random_dense(rng, (1500, 64), np.float32))
    assert "strided" in kernel_of(thin, random_dense(rng, (530, 16), np.float32, "F"))
    assert "vector" in kernel_of(thin, random_dense(rng, (530, 1), np.float32))
    graph = random_sparse(rng, "csr", (300, K), 4 / 300, np.float32)
    for layout in ("F", "rows apart", "columns apart"):
        assert ("copied" in kernel_of(graph, random_dense(rng, (K, 24), np.float32, layout))) == (
            layout != "rows apart"
        )


@pytest.mark.every_isa
@pytest.mark.parametrize("n", [7, 70])
def test_coo_sorted_by_rows_alone(n):
    """Its columns jump about inside rows: it may be walked by rows, but not be cut by columns."""
    rng = np.random.default_rng(22)
    A = random_sparse(rng, "coo", (2200, K), 0.004, np.float32, in_order=False)
    order = np.argsort(A.row, kind="stable")
    A = from_entries("coo", A.row[order], A.col[order], A.data[order], A.shape)
    for layout in "CF":
        B = random_dense(rng, (K, n), np.float32, layout)
        assert_spmm(spmm(A, B), A, B)
    dense = random_dense(rng, (n, 2200), np.float32)
    assert_spmm(spmm(dense, A), dense, A)


@pytest.mark.parametrize("fmt", NATIVE_FORMATS)
def test_rows_of_very_uneven_length(fmt):
    """All entries in one row, one column, the first or the last rows."""
    rng = np.random.default_rng(6)
    for rows, cols in [
        (np.full(300, 17), np.arange(300)),
        (np.arange(300), np.full(300, 299)),
        (np.repeat(np.arange(3), 100), np.tile(np.arange(100), 3)),
        (np.repeat(np.arange(297, 300), 100), np.tile(np.arange(100), 3)),
    ]:
        data = random_values(rng, 300, np.float32)
        data = data.reshape(-1, 1, 1) if fmt == "bsr" else data
        A = from_entries(fmt, rows, cols, data, (300, 300))
        for n, workers in itertools.product([1, 40], [1, 3, 5]):
            B = random_dense(rng, (300, n), np.float32)
            assert_spmm(spmm(A, B, workers=workers), A, B)


# Layouts ------------------------------------------------------------------------------------------


@pytest.mark.every_isa
@pytest.mark.parametrize("out_layout", sorted(LAYOUTS))
@pytest.mark.parametrize("layout", sorted(LAYOUTS))
@pytest.mark.parametrize("dtype", DTYPES)
def test_layouts_of_b_and_out(dtype, layout, out_layout):
    rng = np.random.default_rng(7)
    # The sparsest leaves most rows empty.
    for fmt, density, n in itertools.product(NATIVE_FORMATS, [0.003, 0.02, 0.4], [1, 5, 37]):
        A = random_sparse(rng, fmt, (48, 60), density, dtype, in_order=n == 37)
        B = random_dense(rng, (60, n), dtype, layout)
        out = lay_out(np.full((48, n), np.nan, dtype), out_layout)
        assert spmm(A, B, out=out) is out
        assert_spmm(out, A, B)
        assert rest_untouched(out)


@pytest.mark.parametrize("fmt", NATIVE_FORMATS)
def test_transposed_and_broadcast_operands(fmt):
    rng = np.random.default_rng(8)
    A = random_sparse(rng, fmt, (30, 42), 0.2, np.float32)
    B = random_dense(rng, (20, 42), np.float32).T
    assert_spmm(spmm(A, B), A, B)
    for shape in [(1, 20), (42, 1)]:
        B = np.broadcast_to(random_dense(rng, shape, np.float32), (42, 20))
        assert_spmm(spmm(A, B), A, B)
    assert_spmm(spmm(A.T, random := random_dense(rng, (30, 9), np.float32)), A.T, random)


@pytest.mark.parametrize("fmt", NATIVE_FORMATS)
@pytest.mark.parametrize("kind", [">f4", ">f8"])
def test_byteswapped_operands(fmt, kind):
    rng = np.random.default_rng(9)
    native = np.dtype(kind).newbyteorder("=")
    A = random_sparse(rng, fmt, (30, 42), 0.2, native)
    B = random_dense(rng, (42, 7), native)
    swapped = A.copy()
    swapped.data = A.data.astype(kind)
    assert_spmm(spmm(swapped, B), A, B)
    assert_spmm(spmm(A, B.astype(kind)), A, B)
    set_index_arrays(swapped, lambda array: array.astype(">i4"))
    assert_spmm(spmm(swapped, B.astype(kind)), A, B)


@pytest.mark.parametrize("shape", [(60,), (60, 9)])
@pytest.mark.parametrize("dense_first", [False, True])
def test_order_of_the_result(shape, dense_first):
    rng = np.random.default_rng(10)
    A = random_sparse(rng, "csr", (60, 60), 0.1, np.float32)

    def product(order, dtype=np.float32, layout="C"):
        D = np.asarray(random_values(rng, np.prod(shape), dtype).reshape(shape), order=layout)
        S = A.astype(dtype)
        return spmm(D.T, S, order=order) if dense_first else spmm(S, D, order=order)

    for dtype in (np.float32, np.int64):
        assert product(None, dtype).flags.c_contiguous
        assert product("C", dtype).flags.c_contiguous
        assert product("F", dtype).flags.f_contiguous
        if len(shape) == 2:
            # D.T of a C-ordered D is F-ordered.
            follows = [product("K", dtype, layout).flags.c_contiguous for layout in "CF"]
            assert follows == ([False, True] if dense_first else [True, False])


# Index arrays -------------------------------------------------------------------------------------


@pytest.mark.parametrize("fmt", NATIVE_FORMATS)
@pytest.mark.parametrize("itype", INDEX_DTYPES)
def test_native_arrays_are_used_as_they_are(fmt, itype):
    A = random_sparse(np.random.default_rng(11), fmt, (30, 42), 0.2, np.float32, itype=itype)
    used = sparse_module.sparse_arrays(A, np.dtype(np.float32), "A")[3:]
    theirs = [*index_arrays(A), A.data]
    assert all(any(array is mine for mine in used) for array in theirs)


@pytest.mark.parametrize("fmt", NATIVE_FORMATS)
def test_native_formats_are_not_converted(fmt, monkeypatch):
    """But for COO with a dense operand that is not row-major."""
    rng = np.random.default_rng(12)
    A = random_sparse(rng, fmt, (30, 42), 0.2, np.float32)
    B, D = random_dense(rng, (42, 20), np.float32), random_dense(rng, (20, 30), np.float32)
    expected, expected_left = spmm(A, B), spmm(D, A)

    def refuse(self, *args, **kwargs):
        raise AssertionError("converted")

    for name in ("tocsr", "tocsc", "tocoo", "sort_indices", "sum_duplicates", "copy"):
        monkeypatch.setattr(type(A), name, refuse, raising=False)
    np.testing.assert_array_equal(spmm(A, B), expected)
    if fmt != "coo":
        np.testing.assert_array_equal(spmm(D, A), expected_left)


@pytest.mark.parametrize("layout", ["C", "F"])
@pytest.mark.parametrize("fmt", ["csr", "csc", "coo"])
@pytest.mark.parametrize(
    "values, dtype", [([1, 1], bool), ([100, 100], np.int8), ([1, 2.0**-30], np.float32)]
)
def test_duplicates_add_up_in_the_dtype_of_the_result(values, dtype, fmt, layout):
    """Not in a narrower one of the sparse operand, where they overflow or lose digits."""
    total = sum(values)
    A = from_entries(fmt, np.zeros(2, int), np.zeros(2, int), np.array(values, dtype), (3, 3))
    B = np.ones((3, 4), order=layout)
    np.testing.assert_array_equal(spmm(A, B)[0], np.full(4, total))
    np.testing.assert_array_equal(spmm(B.T, A)[:, 0], np.full(4, total))


def mixed_widths(A):
    A.indptr = A.indptr.astype(np.int64)


def mixed_widths_other_way(A):
    A.indices = A.indices.astype(np.int64)


def read_only(A):
    for array in (*index_arrays(A), A.data):
        array.flags.writeable = False


def not_contiguous(A):
    set_index_arrays(A, lambda array: np.repeat(array, 2)[::2])
    A.data = np.repeat(A.data, 3, axis=0)[::3]


def reversed_in_memory(A):
    set_index_arrays(A, lambda array: array[::-1].copy()[::-1])
    A.data = A.data[::-1].copy()[::-1]


def unaligned(A):
    set_index_arrays(A, lambda array: lay_out(array, "unaligned"))
    A.data = lay_out(A.data.ravel(), "unaligned").reshape(A.data.shape)


def int16(A):
    set_index_arrays(A, lambda array: array.astype(np.int16))


def uint64(A):
    set_index_arrays(A, lambda array: array.astype(np.uint64))


def longer_than_needed(A):
    A.indices = np.concatenate([A.indices, np.full(5, -1, A.indices.dtype)])
    A.data = np.concatenate([A.data, np.full((7, *A.data.shape[1:]), np.nan, A.data.dtype)])


@pytest.mark.parametrize("dense_first", [False, True])
@pytest.mark.parametrize(
    "change",
    [
        mixed_widths,
        mixed_widths_other_way,
        read_only,
        not_contiguous,
        reversed_in_memory,
        unaligned,
        int16,
        uint64,
        longer_than_needed,
    ],
)
@pytest.mark.parametrize("fmt", NATIVE_FORMATS)
def test_unusual_arrays(fmt, change, dense_first):
    if fmt == "coo" and change in (mixed_widths, mixed_widths_other_way, longer_than_needed):
        pytest.skip("COO has no such layout.")
    rng = np.random.default_rng(13)
    for dtype, n in itertools.product(DTYPES, (1, 20)):
        A = random_sparse(rng, fmt, (30, 42), 0.2, dtype)
        plain = A.copy()
        change(A)
        left, right = (A, random_dense(rng, (42, n), dtype))
        expected = (plain, right)
        if dense_first:
            left, right = random_dense(rng, (n, 30), dtype), A
            expected = (left, plain)
        assert_spmm(spmm(left, right), *expected)


def test_memory_mapped_operands(tmp_path):
    rng = np.random.default_rng(14)
    A = random_sparse(rng, "csr", (300, 200), 0.1, np.float32)
    B = random_dense(rng, (200, 24), np.float32)
    for name, array in (("indptr", A.indptr), ("indices", A.indices), ("data", A.data), ("B", B)):
        np.save(tmp_path / name, array)
    loaded = {name: np.load(tmp_path / f"{name}.npy", mmap_mode="r")
              for name in ("indptr", "indices", "data", "B")}
    mapped = sp.csr_array(A.shape, dtype=np.float32)
    mapped.indptr, mapped.indices, mapped.data = (
        loaded[name] for name in ("indptr", "indices", "data")
    )
    assert isinstance(mapped.indices, np.memmap)
    result = spmm(mapped, loaded["B"])
    assert_spmm(result, A, B)
    out = np.lib.format.open_memmap(tmp_path / "out.npy", "w+", np.float32, (300, 24))
    spmm(mapped, loaded["B"], out=out)
    out.flush()
    np.testing.assert_array_equal(np.load(tmp_path / "out.npy"), result)


@pytest.mark.parametrize("n", [1, 8, 70])
@pytest.mark.parametrize("fmt", ["csr", "csc", "bsr"])
def test_a_stale_flag_of_sortedness_is_not_believed(fmt, n):
    rng = np.random.default_rng(15)
    A = random_sparse(rng, fmt, (2000, K), 0.005, np.float32, in_order=False)
    A.has_sorted_indices = True
    B = random_dense(rng, (A.shape[1], n), np.float32)
    assert_spmm(spmm(A, B), A, B)


@pytest.mark.parametrize("position", [1, 4095, 4096, 12_287])
def test_a_single_fall_is_seen_wherever_it_is(position):
    """The scan goes in blocks: a fall lost at a seam, and the row is cut as if it were sorted."""
    rng = np.random.default_rng(23)
    columns = np.array([np.sort(rng.permutation(K)[:12_288]) for _ in range(20)])
    columns[0] = np.roll(columns[0], position)
    assert np.count_nonzero(np.diff(columns[0]) < 0) == 1
    rows = np.repeat(np.arange(20), 12_288)
    A = from_entries("csr", rows, columns.ravel(), random_values(rng, len(rows), np.float64),
                     (20, K))
    for n in (7, 70):
        B = random_dense(rng, (K, n), np.float64)
        assert_spmm(spmm(A, B), A, B)


@pytest.mark.parametrize("fmt", NATIVE_FORMATS)
def test_operands_are_not_changed(fmt):
    rng = np.random.default_rng(16)
    A = random_sparse(rng, fmt, (40, 60), 0.3, np.float64, in_order=False, duplicates=True)
    B = random_dense(rng, (60, 9), np.float64)
    kept = [array.copy() for array in (*index_arrays(A), A.data, B)]
    spmm(A, B, activation="relu", alpha=2.0)
    spmm(random_dense(rng, (9, 40), np.float64), A)
    for array, before in zip((*index_arrays(A), A.data, B), kept, strict=True):
        np.testing.assert_array_equal(array, before)


# Empty things -------------------------------------------------------------------------------------


@pytest.mark.parametrize("fmt", FORMATS)
@pytest.mark.parametrize("shape", [(0, 0), (0, 5), (5, 0), (5, 4), (1, 1)])
def test_nothing_stored(fmt, shape):
    A = sp.coo_array(shape, dtype=np.float32).asformat(fmt)
    for n in (0, 1, 3, 40):
        for layout in ("C", "F"):
            B = np.full((shape[1], n), np.nan, np.float32, order=layout)
            result = spmm(A, B)
            np.testing.assert_array_equal(result, np.zeros((shape[0], n), np.float32))
            assert result.dtype == np.float32
            left = spmm(np.full((n, shape[0]), np.inf, np.float32, order=layout), A)
            np.testing.assert_array_equal(left, np.zeros((n, shape[1]), np.float32))
    np.testing.assert_array_equal(
        spmm(A, np.full(shape[1], np.nan, np.float32)), np.zeros(shape[0], np.float32)
    )


@pytest.mark.parametrize("n", [1, 16, 70])
@pytest.mark.parametrize("fmt", NATIVE_FORMATS)
def test_an_empty_operand_still_writes_out(fmt, n):
    for shape in [(6, 0), (6, 4)]:
        A = sp.coo_array(shape, dtype=np.float64).asformat(fmt)
        out = np.full((6, n), np.nan)
        bias = np.arange(n, dtype=float)
        spmm(A, np.ones((shape[1], n)), out=out, bias=bias)
        np.testing.assert_array_equal(out, np.broadcast_to(bias, (6, n)))
        spmm(A, np.ones((shape[1], n)), out=out, beta=2.0)
        np.testing.assert_array_equal(out, np.broadcast_to(2 * bias, (6, n)))


@pytest.mark.parametrize("left", [(5, 3), (3,)])
def test_a_stack_of_matrices_on_the_right_is_left_to_scipy(left):
    S = np.arange(24.0).reshape(2, 3, 4)
    D = np.arange(np.prod(left, dtype=float)).reshape(left)
    try:
        expected = D @ sp.coo_array(S)
    except (TypeError, ValueError, AttributeError):
        pytest.skip("This scipy has no such product.")
    result = spmm(D, sp.coo_array(S), bias=1.0)
    np.testing.assert_array_equal(result, expected + 1)
    with pytest.raises(ValueError, match=r"A has shape .* and B has shape \(2, 3, 4\)"):
        spmm(np.ones((*left[:-1], 2)), sp.coo_array(S))


# Values that are not finite -----------------------------------------------------------------------


@pytest.mark.every_isa
@pytest.mark.parametrize("where", ["values", "B", "both"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("fmt", NATIVE_FORMATS)
def test_nan_and_infinity_spread_as_in_scipy(fmt, dtype, where):
    rng = np.random.default_rng(17)
    special = np.array([np.nan, np.inf, -np.inf, 0.0])
    cases = itertools.product([True, False], [1, 2, 7, 16, 33, 80], ["C", "F"])
    for in_order, n, layout in cases:
        A = random_sparse(rng, fmt, (40, 201), 0.05, dtype, in_order=in_order, zeros=True)
        B = random_dense(rng, (201, n), dtype, layout)
        if where != "B":
            at = rng.random(A.data.shape) < 0.05
            A.data[at] = rng.choice(special, at.sum())
        if where != "values":
            at = rng.random(B.shape) < 0.05
            B[at] = rng.choice(special, at.sum())
        # As CSR does it: of COO, scipy skips explicit zeros where B has several columns.
        reference = A.tocsr() if fmt == "coo" else A
        with np.errstate(all="ignore"):
            expected = reference.astype(np.float64) @ B.astype(np.float64)
        magnitudes = reference.astype(np.float64)
        magnitudes.data = finite_magnitudes(magnitudes.data)
        size = magnitudes @ finite_magnitudes(B.astype(np.float64))
        assert_same_special(spmm(A, B), expected, size, terms(A, 1) + EXTRA_OPERATIONS)


@pytest.mark.parametrize("columns", [1, 3, 200])
@pytest.mark.parametrize("rows", [10, 1000])
def test_zeros_on_diagonals_are_factors(rows, columns):
    """As in scipy, with a conversion to CSR, which would leave them out, or without."""
    zeros, infinite = sp.dia_array(([[0.0, 0.0]], [0]), shape=(2, 2)), np.full((2, 2), np.inf)
    with np.errstate(invalid="ignore"):
        if not np.isnan(zeros @ infinite).any() or not np.isnan(infinite @ zeros).any():
            pytest.skip("This scipy leaves them out itself.")
    A = sp.dia_array((np.zeros((2, rows)), [-1, 1]), shape=(rows, rows))
    A.data[:, ::2] = 1
    B = np.ones((rows, columns))
    B[1::3] = np.inf
    for options in ({}, {"activation": "sigmoid"}):
        result = spmm(A, B, **options)
        with np.errstate(invalid="ignore"):
            np.testing.assert_array_equal(np.isnan(result), np.isnan(A @ B))
            result = spmm(B.T, A, **options)
            np.testing.assert_array_equal(np.isnan(result), np.isnan(B.T @ A))
    assert np.isnan(result).any()


def finite_magnitudes(values):
    return np.where(np.isfinite(values), np.abs(values), 0)


def assert_same_special(result, expected, size, count):
    """NaN and infinities are in the same places; finite sums are of finite terms."""
    np.testing.assert_array_equal(np.isnan(result), np.isnan(expected))
    np.testing.assert_array_equal(np.isposinf(result), np.isposinf(expected))
    np.testing.assert_array_equal(np.isneginf(result), np.isneginf(expected))
    finite = np.isfinite(expected)
    assert_close(result[finite], expected[finite], size[finite], count)


@pytest.mark.every_isa
@pytest.mark.parametrize("layout", ["C", "F"])
@pytest.mark.parametrize("fmt", NATIVE_FORMATS)
def test_structural_zeros_do_not_read_b(fmt, layout):
    rng = np.random.default_rng(18)
    for n, in_order in itertools.product([1, 5, 16, 70], [True, False]):
        A = random_sparse(rng, fmt, (30, 600), 0.01, np.float32, in_order=in_order)
        B = random_dense(rng, (600, n), np.float32, layout)
        clean = B.copy()
        unused = np.setdiff1d(np.arange(600), A.tocoo().col)
        B[unused] = np.nan
        assert len(unused) > 0
        result = spmm(A, B)
        assert_spmm(result, A, clean)


@pytest.mark.every_isa
@pytest.mark.parametrize("fmt", NATIVE_FORMATS)
def test_neighbouring_columns_of_b_do_not_leak(fmt):
    """A masked tail reads nothing of what lies beside it, not even times zero."""
    rng = np.random.default_rng(19)
    for n in WIDTHS:
        A = random_sparse(rng, fmt, (12, 30), 0.5, np.float32)
        wide = np.full((30, n + 40), np.nan, np.float32)
        wide[:, 20 : 20 + n] = random_dense(rng, (30, n), np.float32)
        B = wide[:, 20 : 20 + n]
        out = np.full((12, n + 40), 7.0, np.float32)
        spmm(A, B, out=out[:, 20 : 20 + n])
        assert_spmm(out[:, 20 : 20 + n], A, B)
        assert (out[:, :20] == 7).all()
        assert (out[:, 20 + n :] == 7).all()


@pytest.mark.every_isa
@pytest.mark.parametrize("dtype", DTYPES)
def test_subnormal_numbers_are_kept(dtype):
    small = np.finfo(dtype).smallest_subnormal * 5
    A = sp.csr_array(np.diag(np.full(20, small)).astype(dtype))
    for n in (1, 3, 33):
        np.testing.assert_array_equal(
            spmm(A, np.ones((20, n), dtype)), np.full((20, n), small, dtype)
        )


# As scipy does it ---------------------------------------------------------------------------------


@pytest.mark.parametrize("dense_first", [False, True])
@pytest.mark.parametrize("left", ALL_DTYPES)
def test_dtypes_give_what_scipy_gives(left, dense_first):
    rng = np.random.default_rng(20)
    for right, n in itertools.product(ALL_DTYPES, [None, 1, 6]):
        try:
            A = random_sparse(rng, "csr", (12, 12), 0.3, left)
        except (ValueError, TypeError):
            pytest.skip(f"scipy stores no {np.dtype(left)}.")
        shape = (12,) if n is None else (12, n)
        B = random_values(rng, int(np.prod(shape)), right).reshape(shape)
        operands = (B.T, A) if dense_first else (A, B)
        with np.errstate(all="ignore"):
            expected = operands[0] @ operands[1]
            result = spmm(*operands)
        assert result.dtype == expected.dtype, f"{np.dtype(left)} and {np.dtype(right)}"
        assert result.shape == expected.shape
        arrays = np.abs(A.data).astype(float), A.indices, A.indptr
        sizes = sp.csr_array(arrays, shape=A.shape).toarray(), np.abs(B).astype(float)
        size = sizes[1].T @ sizes[0] if dense_first else sizes[0] @ sizes[1]
        assert_rounded_alike(result, expected, size, 12 + EXTRA_OPERATIONS)


@pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning")
@pytest.mark.parametrize("fmt", FORMATS)
@pytest.mark.parametrize("matrix", [False, True])
def test_containers_are_those_of_scipy(fmt, matrix):
    rng = np.random.default_rng(21)
    A = random_sparse(rng, fmt, (12, 12), 0.3, np.float64, matrix=matrix)
    dense = random_dense(rng, (12, 5), np.float64)
    others = [dense, np.asmatrix(dense), dense[:, 0], dense[:, :1], np.asmatrix(dense[:, :1]),
              dense.tolist(), dense[:, 0].tolist()]
    for other in others:
        for dtype in (np.float64, np.int64):
            S = A.astype(dtype)
            expected = S @ other
            assert type(spmm(S, other)) is type(expected)
            np.testing.assert_allclose(spmm(S, other), expected, rtol=1e-11, atol=1e-9)
            if not isinstance(other, list):
                expected = other.T @ S
                assert type(spmm(other.T, S)) is type(expected)
                np.testing.assert_allclose(spmm(other.T, S), expected, rtol=1e-11, atol=1e-9)


def test_float32_is_not_multiplied_in_float64():
    """The dtype that is kept is the one that is computed in, for B and for values."""
    A = sp.csr_array(np.array([[1.0, 1.0]], np.float32))
    B = np.array([[1.0], [2.0**-30]], np.float32)
    assert spmm(A, B)[0, 0] == 1.0
    assert spmm(A, B.astype(np.float64))[0, 0] > 1.0
    assert spmm(A.astype(np.float64), B)[0, 0] > 1.0


@pytest.mark.skipif(
    not hasattr(sp.coo_array((1, 1)), "coords"), reason="This scipy has no 1-D arrays."
)
@pytest.mark.parametrize("dtype", [np.float64, np.int64])
@pytest.mark.parametrize("fmt", ["coo", "csr"])
def test_one_dimensional_sparse_arrays(fmt, dtype):
    dense = np.array([0, 2, 0, 3], dtype)
    try:
        A = getattr(sp, f"{fmt}_array")(dense)
        expected = A @ np.ones((4, 3), dtype)
    except ValueError:
        pytest.skip(f"This scipy has no 1-D {fmt} arrays.")
    B = np.arange(12, dtype=dtype).reshape(4, 3)
    expected = A @ B
    np.testing.assert_array_equal(spmm(A, B), expected)
    np.testing.assert_array_equal(spmm(B.T, A), B.T @ A)
    assert spmm(A, B[:, 0]) == A @ B[:, 0]
    assert isinstance(spmm(A, B[:, 0]), np.ndarray)


@pytest.mark.parametrize("dtype", [np.int64, np.bool_, np.complex128, np.float32])
@pytest.mark.parametrize("fmt", NATIVE_FORMATS)
def test_a_matrix_of_one_row_times_a_vector_is_a_vector(fmt, dtype):
    """scipy 1.15 to 1.17 make a scalar of it in COO."""
    A = sp.coo_array(np.array([[0, 1, 1]])).astype(dtype).asformat(fmt)
    x = np.array([2, 3, 4]).astype(dtype)
    expected = A.toarray() @ x
    for result, wanted in (
        (spmm(A, x), expected),
        (spmm(A, x, bias=[10]), expected + np.array([10])),
        (spmm(x, A.T.asformat(fmt)), expected),
        (spmm(A, x[:, None]), expected[:, None]),
        (spmspv(A, x), expected),
    ):
        assert result.shape == wanted.shape
        np.testing.assert_array_equal(result, wanted)
