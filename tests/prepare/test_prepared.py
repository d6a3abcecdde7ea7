"""prepare: every kernel that it may choose, against float64 and as an operator; its choices."""

import concurrent.futures
import copy
import itertools
import json
import pickle

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from reference import ACTIVATIONS, EXTRA_OPERATIONS, assert_rounded_alike, assert_spmm
from scipy.sparse.linalg import LinearOperator, aslinearoperator, cg
from strategies import (
    DTYPES,
    NATIVE_FORMATS,
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

import spkernels
from spkernels import _core, datasets, prepare, spmm
from spkernels._inputs import canonical
from spkernels._inputs import sparse as sparse_module
from spkernels._prepare import cache, explain, prediction, selection
from spkernels._prepare import strategies as strategies_module
from spkernels._prepare.measurement import Verdict
from spkernels.patterns._padding import Padding

#: "bitmap" needs a storage: see test_bitmap.py.
KERNELS = sorted(set(strategies_module.KERNELS) - {"bitmap"})
kernels = st.sampled_from(KERNELS)


class Always(dict):
    """Choices that are all the same."""

    def __init__(self, name):
        super().__init__()
        self.name = name

    def get(self, key, default=None):
        return self.name


def prepared(A, kernel, **options):
    W = prepare(A, tune=False, **options)
    choose(W, Always(kernel))
    choose(W.T, Always(kernel))
    return W


def choose(W, choices):
    W._choices = choices
    W._state.forget()  # the one that `prepare` chose
    # Whatever the pattern is: zeros wherever one of four rows has an entry.
    W._state.padding = Padding(4, 0)


@pytest.fixture(autouse=True)
def nothing_known(monkeypatch):
    monkeypatch.setattr(cache, "known", {})
    monkeypatch.setattr(cache, "basis", {})


# Products -----------------------------------------------------------------------------------------


@pytest.mark.every_isa
@given(
    A=sparse(), n=widths, layout=layouts, order=st.sampled_from([None, "C", "F", "K"]), seed=seeds,
    kernel=kernels,
)  # fmt: skip
def test_products(A, n, layout, order, seed, kernel):
    W = prepared(A, kernel)
    B = random_dense(np.random.default_rng(seed), (A.shape[1], n), A.dtype, layout)
    assert_spmm(W.spmm(B, order=order), A, B)
    assert_spmm(W @ B, A, B)
    X = random_dense(np.random.default_rng(seed), (n, A.shape[0]), A.dtype, layout)
    assert_spmm(X @ W, X, A)
    assert_spmm(np.ascontiguousarray(B.T) @ W.T, B.T, A.T)


@given(A=sparse(), layout=layouts, seed=seeds, kernel=kernels)
def test_vectors(A, layout, seed, kernel):
    W = prepared(A, kernel)
    rng = np.random.default_rng(seed)
    x = random_dense(rng, (A.shape[1],), A.dtype, layout)
    y = random_dense(rng, (A.shape[0],), A.dtype, layout)
    assert_spmm(W @ x, A, x)
    assert_spmm(y @ W, y, A)


@pytest.mark.every_isa
@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape, density", [((300, 700), 0.3), ((700, 1500), 0.02), ((40, 40), 1)])
def test_widths(shape, density, dtype, kernel):
    rng = np.random.default_rng(0)
    A = random_sparse(rng, "csr", shape, density, dtype)
    W = prepared(A, kernel)
    for n in [*range(1, 18), 31, 32, 33, 48, 63, 64, 65, 97, 128, 130, 193]:
        B = random_dense(rng, (shape[1], n), dtype)
        assert_spmm(W @ B, A, B)


@pytest.mark.every_isa
@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", [1, 3, 12, 30, 45, 64])
def test_rows_of_all_lengths(n, dtype, kernel):
    """What pads short rows of a group must neither be seen nor meet what they do not store."""
    rng = np.random.default_rng(n)
    lengths = np.minimum(900, rng.pareto(0.7, 333) * 4).astype(int)
    D = np.zeros((333, 900), dtype)
    for i, length in enumerate(lengths):
        D[i, rng.choice(900, length, replace=False)] = random_values(rng, length, dtype)
    A = sp.csr_array(D)
    B = random_dense(rng, (900, n), dtype)
    special = rng.choice(900, 20, replace=False)
    read = np.diff(A[:, special].tocsr().indptr) > 0
    B[special] = rng.choice([np.nan, np.inf, -np.inf], (20, 1))
    result = prepared(A, kernel, n=n) @ B
    assert not np.isfinite(result[read]).any()
    assert_spmm(result[~read], A[~read], np.where(np.isfinite(B), B, 0))


def in_vectors(rng, height, width, shape, density, dtype, holes=0):
    """Blocks of random values, of which some lack an entry each."""
    rows, cols = shape
    mask = rng.random((-(-rows // height), -(-cols // width))) < density
    mask = np.kron(mask, np.ones((height, width), bool))[:rows, :cols]
    entries = np.argwhere(mask)
    mask[tuple(rng.permutation(entries)[: int(holes * len(entries))].T)] = False
    return sp.csr_array(np.where(mask, random_values(rng, rows * cols, dtype).reshape(shape), 0))


@pytest.mark.every_isa
@pytest.mark.parametrize("holes", [0, 0.01])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("height, width", [(2, 1), (4, 4), (8, 1), (16, 1), (3, 2)])
def test_rows_with_common_columns(height, width, dtype, holes):
    rng = np.random.default_rng(height)
    A = in_vectors(rng, height, width, (331, 500), 0.1, dtype, holes)
    for n in (1, 3, 4, 7, 8, 16, 33, 64):
        W = prepared(A, "packed", n=n)
        B = random_dense(rng, (500, n), dtype)
        assert_spmm(W @ B, A, B)
        # What is shared is what is stored: others read nothing.
        special = rng.choice(500, 9, replace=False)
        read = np.diff(A[:, special].tocsr().indptr) > 0
        B[special] = np.nan
        result = W @ B
        assert np.isnan(result[read]).all()
        assert_spmm(result[~read], A[~read], np.where(np.isnan(B), 0, B))


@pytest.mark.every_isa
@pytest.mark.parametrize("storage", [None, "bfloat16"])
@pytest.mark.parametrize("height, width", [(2, 1), (4, 1), (4, 4), (16, 1)])
def test_long_rows_with_common_columns(height, width, storage):
    rng = np.random.default_rng(height)
    D = in_vectors(rng, height, width, (50, 9000), 0.4, np.float32).toarray()
    D[17:21] = 0  # rows of a slice differ in length
    for n in (1, 8, 16):
        W = prepared(sp.csr_array(D), "packed", n=n, storage=storage)
        B = random_dense(rng, (9000, n), np.float32)
        assert_spmm(W @ B, W.toscipy(), B)


@pytest.mark.every_isa
@pytest.mark.parametrize("height, width", [(2, 1), (4, 1), (4, 4), (8, 1), (16, 16)])
@pytest.mark.parametrize("dtype", DTYPES)
def test_layouts_of_few_columns_have_the_same_bits(dtype, height, width):
    """Whether the dense operand is read where it lies, or copied, and where the result goes."""
    rng = np.random.default_rng(width)
    A = in_vectors(rng, height, width, (400, 300), 0.1, dtype)
    for n in (1, 3, 4, 8, 16):
        W = prepared(A, "packed", n=n)
        B = random_dense(rng, (300, n), dtype)
        first = W @ B
        assert_spmm(first, A, B)
        room = np.zeros((300, n + 3), dtype)
        room[:, 1 : n + 1] = B
        # Nothing is read behind it.
        shifted = np.full(302 * n + 1, np.nan, dtype)[1:].reshape(302, n)[:300]
        shifted[:] = B
        for other in (room[:, 1 : n + 1], shifted, np.asfortranarray(B), B[::-1].copy()[::-1]):
            np.testing.assert_array_equal(W @ other, first)
            np.testing.assert_array_equal(W.spmm(other, order="F"), first)
        out = np.zeros((400, n + 1), dtype)[:, :n]
        np.testing.assert_array_equal(W.spmm(B, out=out, bias=np.zeros(n, dtype)), first)


@pytest.mark.every_isa
def test_vectors_of_a_tile_sum_in_the_order_of_the_row():
    rng = np.random.default_rng(5)
    A = in_vectors(rng, 8, 1, (300, 3000), 0.1, np.float32)
    B = random_dense(rng, (3000, 70), np.float32)
    whole = prepared(A, "packed", n=70) @ B
    for n in (2, 5, 8, 16):
        result = prepared(A, "packed", n=n) @ np.ascontiguousarray(B[:, :n])
        np.testing.assert_array_equal(result, whole[:, :n])


def test_how_much_of_a_matrix_has_common_columns():
    rng = np.random.default_rng(0)

    def shared(A, n):
        kernel = strategies_module.Packed(sp.csr_array(A), n)
        return kernel.packed.shared / A.nnz

    vectors = in_vectors(rng, 8, 1, (256, 300), 0.1, np.float32)
    assert all(shared(vectors, n) == 1 for n in (1, 2, 16, 100))
    assert "100% in rows with common columns" in prepared(vectors, "packed", n=64).kernel
    scattered = random_sparse(rng, "csr", (256, 300), 0.1, np.float32)
    assert shared(scattered, 100) == 0
    assert "common" not in prepared(scattered, "packed", n=64).kernel
    # Some of it is enough.
    assert 0.2 < shared(sp.vstack([vectors, scattered]), 100) < 0.8


@pytest.mark.every_isa
@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("storage", ["float16", "bfloat16"])
@pytest.mark.parametrize("shape, density", [((300, 700), 0.3), ((700, 999), 0.02), ((20, 9000), 1)])
def test_values_in_16_bits(shape, density, storage, kernel):
    rng = np.random.default_rng(3)
    A = random_sparse(rng, "csr", shape, density, np.float32)
    A.sum_duplicates()
    W = prepared(A, kernel, storage=storage)
    near = W.toscipy()
    share, least = (2.0**-11, 2.0**-25) if storage == "float16" else (2.0**-8, 0)
    assert np.all(np.abs(near.data - A.data) <= share * np.abs(A.data) + least)
    assert np.any(near.data != A.data)
    for n in (1, 2, 8, 17, 64, 100):
        B = random_dense(rng, (shape[1], n), np.float32)
        assert_spmm(W @ B, near, B)
        assert_spmm(W @ B[:, 0], near, B[:, 0])
        X = random_dense(rng, (n, shape[0]), np.float32)
        assert_spmm(X @ W, X, near)


def test_values_in_16_bits_stay_so():
    A = datasets.random_pruned(300, 400, 0.8, rng=0)
    plain = prepared(A, "packed", n=64)
    for storage in ("float16", "bfloat16"):
        W = prepared(A, "packed", n=64, storage=storage)
        assert storage in W.kernel and W.nbytes < plain.nbytes - A.nnz
        again = pickle.loads(pickle.dumps(W))
        choose(again, Always("packed"))
        choose(again.T, Always("packed"))
        assert storage in again.kernel and storage in again.T.kernel
        W.update_values(A.data * np.float32(1.1))
        near = prepare(A * np.float32(1.1), storage=storage, tune=False).toscipy()
        np.testing.assert_array_equal(W.toscipy().data, near.data)
        assert storage in W.kernel
    half = prepare(A, storage="float16").toscipy().data
    np.testing.assert_array_equal(half, A.data.astype(np.float16).astype(np.float32))


@pytest.mark.parametrize(
    "value, nearest",
    [
        (1.0, 1.0), (-0.0, -0.0), (1 + 2.0**-8, 1.0), (1 + 3 * 2.0**-8, 1 + 2.0**-6),
        (1 + 2.0**-8 + 2.0**-20, 1 + 2.0**-7), (-3e-39, -33 * 2.0**-133), (np.inf, np.inf),
        (np.nan, np.nan), (3.38e38, 254 * 2.0**120),
    ],
)  # fmt: skip
def test_bfloat16_is_the_nearest(value, nearest):
    A = sp.csr_array((np.array([value], np.float32), [0], [0, 1]), shape=(1, 1))
    stored = prepare(A, storage="bfloat16").toscipy().data
    assert stored.size == 1 and np.signbit(stored[0]) == np.signbit(nearest)
    np.testing.assert_array_equal(stored, np.float32([nearest]))


def test_values_that_16_bits_cannot_hold():
    A = sp.csr_array(np.array([[1.0, 0.0], [0.0, 0.5]], np.float32))
    W = prepare(A, storage="float16")
    with pytest.raises(ValueError, match="magnitudes up to 65504 for storage='float16'"):
        W.update_values([1.0, 7e4])
    np.testing.assert_array_equal(W.toscipy().data, [1.0, 0.5])
    for storage, value in (("float16", 65520.0), ("bfloat16", 3.4e38)):
        with pytest.raises(ValueError, match=f"magnitudes up to .* for storage='{storage}'"):
            prepare(A * np.float32(value), storage=storage)
    with pytest.raises(ValueError, match="storage must be one of None, 'float16', 'bfloat16'"):
        prepare(A, storage="int16")
    with pytest.raises(TypeError, match="storage must be None or a string, got 16"):
        prepare(A, storage=16)
    with pytest.raises(ValueError, match="storage must be None for values of float64"):
        prepare(A.astype(np.float64), storage="float16")


@pytest.mark.every_isa
@pytest.mark.parametrize("activation", list(ACTIVATIONS))
@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_options(dtype, kernel, activation):
    rng = np.random.default_rng(1)
    A = random_sparse(rng, "csr", (150, 600), 0.2, dtype)
    W = prepared(A, kernel)
    for n, layout in itertools.product((3, 70), "CF"):
        B = random_dense(rng, (600, n), dtype)
        before = random_dense(rng, (150, n), dtype)
        for bias in (None, random_values(rng, n, dtype), random_values(rng, 150, dtype)[:, None]):
            out = lay_out(before, layout)
            result = W.spmm(B, out=out, alpha=0.5, beta=-2.0, bias=bias, activation=activation)
            assert result is out and rest_untouched(out)
            assert_spmm(
                out, A, B, alpha=0.5, beta=-2.0, before=before, bias=bias, activation=activation
            )


@pytest.mark.parametrize("kernel", KERNELS)
def test_structural_zeros_read_nothing(kernel):
    A = sp.csr_array(np.array([[1.0, 0.0, 2.0], [0.0, 0.0, 3.0]], np.float32))
    W = prepared(A, kernel)
    for wrong in (np.nan, np.inf, -np.inf):
        for n in (1, 5, 40):
            B = np.ones((3, n), np.float32)
            B[1] = wrong
            np.testing.assert_array_equal(W @ B, np.repeat([[3.0], [3.0]], n, axis=1))
            B[0] = wrong
            result = W @ B
            assert not np.isfinite(result[0]).any() and (result[1] == 3).all()
            out = np.full((2, n), np.nan, np.float32)
            assert (W.spmm(np.ones((3, n), np.float32), out=out) == [[3], [3]]).all()


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (0, 0), (3, 4)])
def test_empty(shape, kernel):
    A = sp.csr_array(shape, dtype=np.float32)
    W = prepared(A, kernel)
    for n in (0, 1, 20):
        result = W @ np.ones((shape[1], n), np.float32)
        assert result.shape == (shape[0], n) and not result.any()
        assert (np.ones((n, shape[0]), np.float32) @ W).shape == (n, shape[1])
    assert prepare(A).nnz == 0 and "rows" in prepare(A).kernel


@pytest.mark.parametrize("kernel", KERNELS)
def test_other_dtypes_are_promoted(kernel):
    rng = np.random.default_rng(2)
    A = random_sparse(rng, "csr", (30, 20), 0.3, np.float32)
    W = prepared(A, kernel)
    for dtype in (np.float64, np.int64, np.int8, np.complex64, np.float16, np.bool_):
        B = rng.integers(0, 2, (20, 6)).astype(dtype)
        result, expected = W @ B, spmm(A, B)
        assert result.dtype == expected.dtype == (A @ B).dtype
        size = abs(A).astype(np.float64) @ np.abs(B).astype(np.float64)
        assert_rounded_alike(result, expected, size, A.shape[1] + EXTRA_OPERATIONS)
    assert (W @ np.ones((20, 2)).tolist()).dtype == np.float64


@pytest.mark.usefixtures("exact_workers")
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kernel", ["rows", "packed", "padded"])
def test_the_same_bits_for_any_number_of_workers(kernel, dtype):
    rng = np.random.default_rng(3)
    scattered = random_sparse(rng, "csr", (1500, 900), 0.1, dtype)
    for A in (scattered, in_vectors(rng, 4, 4, (1500, 900), 0.1, dtype)):
        W = prepared(A, kernel)
        for n in (1, 7, 16, 100):
            B = random_dense(rng, (900, n), dtype)
            first = W.spmm(B, workers=1)
            for workers in (2, 3, 7):
                np.testing.assert_array_equal(W.spmm(B, workers=workers), first)


def test_row_panels_sum_in_the_order_of_the_row():
    """So the same bits come from any packing: for other widths, too."""
    rng = np.random.default_rng(4)
    A = random_sparse(rng, "csr", (300, 2000), 0.2, np.float32)
    B = random_dense(rng, (2000, 70), np.float32)
    W = prepared(A, "packed")
    whole = W @ B
    np.testing.assert_array_equal(W @ B[:, :9], whole[:, :9])
    np.testing.assert_array_equal(prepared(A[100:], "packed") @ B, whole[100:])


# The matrix ---------------------------------------------------------------------------------------


def test_row_panels_are_cut_for_the_workers_that_will_use_them():
    A = datasets.random_pruned(600, 400, 0.8, rng=0)
    made = [prepare(A, n=16, tune=False, workers=workers) for workers in (1, 16)]
    assert all("row panels" in W.kernel for W in made)
    assert made[0].nbytes < made[1].nbytes


def test_what_becomes_of_the_original_does_not_matter():
    rng = np.random.default_rng(5)
    for fmt in NATIVE_FORMATS:
        A = random_sparse(rng, fmt, (40, 60), 0.2, np.float64)
        W, before = prepare(A, n=8), A.copy()
        B = random_dense(rng, (60, 8), np.float64)
        A.data[...] = np.nan
        for kernel in KERNELS:
            choose(W, Always(kernel))
            assert_spmm(W @ B, before, B)


@pytest.mark.every_isa
@given(data=st.data())
def test_n_of_m_times_a_vector(data):
    """Windows of x without room for a zero: full patterns, and rows that lack a few entries."""
    rng = np.random.default_rng(data.draw(seeds))
    n, m = data.draw(st.sampled_from([(2, 4), (1, 4), (1, 8), (4, 8), (1, 2), (1, 16), (4, 4)]))
    rows, cols = data.draw(st.integers(1, 70)), data.draw(st.integers(1, 100))
    dense = rng.standard_normal((rows, cols)).astype(data.draw(st.sampled_from(DTYPES)))
    order = rng.random((rows, -(-cols // m), m)).argsort(axis=2).argsort(axis=2)
    mask = (order < n).reshape(rows, -1)[:, :cols]
    mask &= rng.random(mask.shape) >= data.draw(st.sampled_from([0, 0.01, 0.1]))
    A = sp.csr_array(np.where(mask, dense, 0))
    storage = data.draw(st.sampled_from([None, "bfloat16"])) if dense.dtype == "f4" else None
    x = rng.standard_normal(cols).astype(dense.dtype)
    W = prepared(A, "packed", n=1, storage=storage)
    stored = W.toscipy()
    np.testing.assert_array_equal(stored.toarray() != 0, A.toarray() != 0)
    assert_spmm(W @ x, stored, x)
    # Structural zeros read nothing.
    empty = ~mask.any(axis=0)
    x[empty] = np.nan
    assert np.isfinite(W @ x).all()
    lost = int(rng.integers(cols))
    x = np.where(empty, 0, x).astype(dense.dtype)
    x[lost] = np.inf
    np.testing.assert_array_equal(np.isfinite(W @ x), ~mask[:, lost])


def test_attributes():
    A = datasets.random_pruned(200, 300, 0.9, rng=0)
    W = prepare(A, n=64, tune=False)
    assert W.shape == (200, 300) and W.dtype == np.float32 and W.nnz == A.nnz
    assert W.T.shape == (300, 200) and W.T.nnz == A.nnz and W.T.T is W and W.H is W.T
    assert W.kernel.startswith("packed: row panels")
    assert repr(W) == (
        f"<PreparedMatrix of 200 x 300, {A.nnz} stored, float32, kernel packed for 64 columns>"
    )
    plain = A.data.nbytes + A.indices.nbytes + A.indptr.nbytes
    assert 6 * A.nnz < W.nbytes < plain  # what was packed gives the rest back
    assert W.T.nbytes == 0
    sliced = spkernels.show_config("dicts")["simd"]["in use"] in ("avx2", "avx512")
    layout = "SELL slices" if sliced else "row panels"
    vector = prepared(A, "packed", n=1)
    assert vector.kernel.startswith(f"packed: {layout}")
    _ = np.ones((2, 200), np.float32) @ W
    assert W.T.nbytes > 5 * A.nnz
    assert abs(W.toscipy() - A).max() == 0
    W.toscipy().data[:] = 0
    assert abs(W.toscipy() - A).max() == 0


@pytest.mark.parametrize("dtype", [np.bool_, np.int8, np.int64, np.float16, np.float32])
def test_dtype_follows_promotion(dtype):
    A = sp.csr_array(np.eye(3).astype(np.float32 if dtype == np.float16 else dtype))
    assert prepare(A).dtype == np.result_type(A.dtype, np.float32)
    assert prepare(A, dtype=np.float64).dtype == np.float64


def test_it_is_a_linear_operator():
    rng = np.random.default_rng(6)
    M = rng.standard_normal((50, 50))
    A = sp.csr_array(M @ M.T + 50 * np.eye(50))
    W = prepare(A, n=1)
    assert isinstance(W, LinearOperator) and aslinearoperator(W) is W
    b = rng.standard_normal(50)
    x, info = cg(W, b, rtol=1e-10)
    assert info == 0
    np.testing.assert_allclose(A @ x, b, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose((2 * W + W.T @ W) @ b, 2 * (A @ b) + A.T @ (A @ b))
    np.testing.assert_allclose(W.rmatvec(b), A.T @ b)
    np.testing.assert_allclose(W.rmatmat(np.eye(50)), A.T.toarray())
    np.testing.assert_allclose(W.matvec(b[:, None]), (A @ b)[:, None])
    np.testing.assert_allclose((W @ aslinearoperator(A)) @ b, A @ (A @ b))


@pytest.mark.parametrize("kernel", KERNELS)
def test_copies(kernel):
    A = datasets.random_pruned(40, 30, 0.8, rng=0)
    W = prepare(A.tocsc(), n=5, tune=False, workers=1)
    choose(W, {key: kernel for key in (1, 16, 8, 4, 2)})
    B = np.ones((30, 5), np.float32)
    for again in (pickle.loads(pickle.dumps(W)), copy.deepcopy(W), copy.copy(W)):
        np.testing.assert_array_equal(again @ B, W @ B)
        assert again.kernel == W.kernel and again._workers == 1
        again.update_values(2 * A.tocsc().data)
        assert_spmm(again @ B, 2 * A, B)
    assert_spmm(W @ B, A, B)


def test_threads_share_it():
    rng = np.random.default_rng(7)
    A = random_sparse(rng, "csr", (500, 400), 0.1, np.float32)
    W = prepare(A, n=16, tune=False)
    inputs = [random_dense(rng, (400, n), np.float32) for n in (1, 3, 16, 17, 40, 64, 100)] * 6

    def both(B):
        return W @ B, B.T @ W.T

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for B, (product, turned) in zip(inputs, pool.map(both, inputs), strict=True):
            assert_spmm(product, A, B)
            np.testing.assert_array_equal(turned, product.T)


# New values ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("in_order", [True, False])
@pytest.mark.parametrize("fmt", NATIVE_FORMATS)
def test_update_values(fmt, in_order):
    rng = np.random.default_rng(8)
    A = random_sparse(
        rng, fmt, (36, 48), 0.2, np.float64, in_order=in_order, duplicates=not in_order
    )
    B = random_dense(rng, (48, 20), np.float64)
    W = prepare(A, n=20)
    for kernel in KERNELS:
        choose(W, Always(kernel))
        X = random_dense(rng, (7, 36), np.float64)
        _ = W @ B, X @ W
        A = A.copy()
        A.data[...] = rng.standard_normal(A.data.shape)
        W.update_values(A.data)
        assert_spmm(W @ B, A, B)
        assert_spmm(X @ W, X, A)
        W.update_values(3 * A)
        assert_spmm(W @ B, 3 * A, B)
        W.T.update_values(A.T)
        assert_spmm(W @ B, A, B)
        assert_spmm(X @ W, X, A)
        A.data[...] = rng.standard_normal(A.data.shape)
        W.T.update_values(A.data)
        assert_spmm(W @ B, A, B)
        assert_spmm(X @ W, X, A)


def test_update_values_of_other_formats():
    D = sp.dia_array((np.ones((2, 6)), [0, 2]), shape=(6, 6))
    W = prepare(D)
    W.update_values(2 * D)
    np.testing.assert_array_equal(W @ np.eye(6), 2 * D.toarray())
    with pytest.raises(ValueError, match="data must be a sparse matrix, as one in DIA was prep"):
        W.update_values(D.data)


def test_update_values_refuses():
    A = datasets.random_pruned(20, 30, 0.8, rng=0)
    W = prepare(A, tune=False)
    before = W @ np.eye(30, dtype=np.float32)
    with pytest.raises(ValueError, match=rf"data must have {A.nnz} values, got shape \(3,\)"):
        W.update_values([1.0, 2.0, 3.0])
    with pytest.raises(TypeError, match="data must hold real numbers, got dtype complex"):
        W.update_values(A.data * 1j)
    with pytest.raises(ValueError, match="data must have the pattern that was prepared"):
        W.update_values(datasets.random_pruned(20, 30, 0.8, rng=1))
    with pytest.raises(ValueError, match="data must have the pattern that was prepared"):
        W.update_values(sp.csr_array((3, 3)))
    with pytest.raises(TypeError, match="data must hold real numbers, got dtype complex"):
        W.update_values(1j * A)
    with pytest.raises(ValueError, match=r"data must be 2-D, got shape \(3,\)"):
        W.update_values(sp.coo_array(np.ones(3)))
    np.testing.assert_array_equal(W @ np.eye(30, dtype=np.float32), before)


def test_a_transpose_made_while_values_change_is_not_stale():
    """Whichever comes first: the transpose of the new values, or the update."""
    A = datasets.random_pruned(300, 200, 0.8, rng=0)
    X = np.ones((3, 300), np.float32)
    for _ in range(20):
        W = prepare(A, n=4, tune=False)
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            waiting = [pool.submit(lambda W=W: X @ W) for _ in range(3)]
            waiting.append(pool.submit(W.update_values, 2 * A.data))
            for done in waiting:
                done.result()
        assert_spmm(X @ W, X, 2 * A)
        assert_spmm(W @ np.eye(200, dtype=np.float32), 2 * A, np.eye(200, dtype=np.float32))


@pytest.mark.parametrize("dtype", [np.bool_, np.int8])
def test_duplicates_add_up_in_the_final_dtype(dtype):
    A = sp.coo_array((np.array([100, 100]).astype(dtype), ([0, 0], [0, 0])), shape=(2, 2))
    W = prepare(A)
    total = 2 * float(A.data[0])
    assert (W @ np.ones((2, 3), np.float32))[0, 0] == total
    W.update_values(A.data)
    assert (W @ np.ones((2, 3), np.float32))[0, 0] == total


def test_updated_rows_are_known_to_be_sorted():
    A = datasets.random_pruned(50, 40, 0.5, rng=0)
    W = prepare(A, tune=False)
    W.update_values(A.data)
    for csr in (W._state.csr, W.T._state.csr, canonical.first_rows(W._state.csr, 9)):
        assert _core.trusted_flags(csr, False) & _core.SORTED


# Choices ------------------------------------------------------------------------------------------


def verdict_for(fastest, basis="measured"):
    """A verdict for one of the ways, after each was used."""

    def verdict(candidates, *_, **__):
        for calls in candidates.values():
            for call in (calls.serial, calls.parallel):
                if call is not None:
                    call()
        best = fastest if fastest in candidates else min(candidates)
        return Verdict(best, dict.fromkeys(candidates, 1.0), dict.fromkeys(candidates, 0.1), basis)

    return verdict


@pytest.mark.parametrize("n", [1, 16, 128])
@pytest.mark.parametrize("fastest", KERNELS)
def test_the_fastest_is_chosen(monkeypatch, fastest, n):
    monkeypatch.setattr(selection, "_HOPELESS", np.inf)
    monkeypatch.setattr(selection, "verdict_on", verdict_for(fastest))
    A = in_vectors(np.random.default_rng(0), 4, 1, (64, 64), 0.4, np.float32, holes=0.1)
    W = prepare(A, n=n, pattern="auto", fill=0.8)
    assert W.kernel.startswith(fastest + ":")
    # What lost is not kept.
    assert {kernel.name for kernel in W._state.kernels.values()} == {fastest}


def test_a_pattern_is_measured_once(monkeypatch):
    A = datasets.random_pruned(64, 64, 0.6, rng=0)
    W = prepare(A, n=8)
    monkeypatch.setattr(selection, "verdict_on", None)
    assert prepare(2 * A, n=8).kernel == W.kernel
    with pytest.raises(TypeError):
        prepare(A, n=9)
    prepare(A, n=9, tune=False)


def test_plain_products_are_always_measured(monkeypatch):
    """However slow the model says they are: they cost nothing to make."""
    seen = []

    def verdict(candidates, *_, **__):
        seen.append(set(candidates))
        same = dict.fromkeys(candidates, 1.0)
        return Verdict("rows", same, same, "measured")

    monkeypatch.setattr(selection, "verdict_on", verdict)
    monkeypatch.setattr(selection, "_HOPELESS", 1.0)
    A = datasets.random_pruned(256, 256, 0.6, rng=0)
    monkeypatch.setattr(selection, "calibrated", lambda *_: {"rows": 9.0, "packed": 1.0})
    assert prepare(A, n=32).kernel.startswith("rows") and seen == [{"rows", "packed"}]


def test_nothing_is_measured_where_nothing_is_to_choose(monkeypatch):
    monkeypatch.setattr(selection, "verdict_on", None)
    rows = np.arange(4000)
    A = sp.coo_array((np.ones(4000, np.float32), (rows, 25 * rows)), shape=(100_000,) * 2)
    assert prepare(A, n=64).kernel.startswith("rows")


@pytest.mark.parametrize("n, columns", [(1, 1), (64, 64), (2000, 128)])
def test_long_products_are_measured_on_some_rows_and_columns(monkeypatch, n, columns):
    A = datasets.random_pruned(6400, 64, 0.6, rng=0)
    A = sp.vstack([A, sp.csr_array((100, 64), dtype=A.dtype)], "csr")
    seen = []

    def product(kernel, B, out, workers):
        seen.append((kernel.csr, B, out))
        return lambda: kernel.multiply(B, out, 1.0, 0.0, None, None, None, workers)

    monkeypatch.setattr(selection, "_product", product)
    monkeypatch.setattr(selection, "_PRODUCT_SECONDS", 1e-9)
    assert prepare(A, n=n, workers=2).kernel
    blocks = [A[i : i + 64].toarray() for i in range(0, 6400, 64)]
    sizes = set()
    for csr, B, out in seen:
        sizes.add(out.size)
        assert csr.shape[1] == 64 == B.shape[0] and out.shape == (csr.shape[0], *B.shape[1:])
        # Of all parts of it, whole rows.
        first, last = csr[:64].toarray(), csr[-64:].toarray()
        assert np.array_equal(first, blocks[0])
        assert any(np.array_equal(last, block) for block in blocks[50:])
    # All threads have that, or one its share: of the rows or of the columns.
    assert sizes == ({512 * columns, 256 * columns} if n > 1 else {512})


@pytest.mark.parametrize("rows", [1, 63, 64, 65, 500, 1000, 1023, 1024, 1025])
@pytest.mark.parametrize("taken", [1, 64, 200, 512, 900])
def test_some_rows_are_rows_of_the_matrix(rows, taken):
    A = sp.csr_array(np.arange(1, 2 * rows + 1, dtype=np.float64).reshape(rows, 2))
    some = canonical.some_rows(canonical.canonical(A, A.dtype, "A")[0], taken)
    assert min(rows, max(1, taken - 64)) <= some.shape[0] <= max(taken, 64)
    numbers = some.toarray()[:, 0] // 2
    assert (np.diff(numbers) > 0).all() and numbers[-1] < rows
    assert np.array_equal(some.toarray(), A.toarray()[numbers.astype(int)])


def test_explain():
    A = datasets.random_pruned(300, 200, 0.9, rng=0)
    W = prepare(A, n=64)
    for n in (None, 1, 7, 300):
        report = W.explain(n)
        assert [c.name for c in report.candidates] == ["rows", "packed", "dense"]
        assert all(c.measured > 0 and c.predicted > 0 for c in report.candidates)
        assert {c.name: c.packing > 0 for c in report.candidates} == {
            "rows": False, "packed": True, "dense": True,
        }  # fmt: skip
        text = str(report)
        assert f"n = {n or 64}," in text and "300 x 200, 6000 stored (90% sparse)" in text
        assert f"\n*{report.chosen}" in text and "* in use: " in text
        assert all(c.spread >= 0 for c in report.candidates)
        assert report.basis in ("measured", "CPU time", "within noise", "predicted")
        assert "sure: " in text and report.how in text and report.how.startswith(("chosen", "not"))
    with pytest.raises(ValueError, match="n must be at least 1"):
        W.explain(0)
    assert "0 stored" in str(prepare(sp.csr_array((3, 4))).explain())


@pytest.mark.parametrize(
    "basis, says",
    [
        ("measured", "chosen by measuring"),
        ("CPU time", "chosen by the CPU time of one thread"),
        ("within noise", "not sure"),
        ("predicted", "chosen by the model, as other processes were running"),
    ],
)
def test_a_report_says_how_the_kernel_was_chosen(monkeypatch, basis, says):
    A = datasets.random_pruned(64, 64, 0.6, rng=0)
    monkeypatch.setattr(selection, "verdict_on", verdict_for("packed", basis))
    report = prepare(A, n=8).explain()
    assert report.how.startswith(says) and report.basis == basis
    assert str(report).count("sure: ") >= 1
    untuned = prepare(A, n=9, tune=False).explain()
    assert untuned.how == "chosen by the model, without measuring"


def test_a_report_says_when_packing_pays():
    def candidate(name, measured, packing):
        return explain.Candidate(name, f"{name}: it", 1e-3, measured, packing, 8)

    found = (
        candidate("rows", 3e-3, 0.0),
        candidate("packed", 1e-3, 9e-3),
        candidate("dense", 1.0, 2.0),
    )
    lines = str(explain.Explanation("title", 10**6, "rows", found)).splitlines()
    assert lines[0] == "title" and "packed was 200% faster this time" in lines[-1]
    assert lines[-2] == "  sure: measured on all threads, which nothing disturbed"
    assert lines[2].startswith(" packed ") and lines[2].endswith("after 5 products")
    assert lines[3].startswith("*rows") and lines[3].endswith("at once")
    assert lines[4].endswith("never") and "1 s" in lines[4]


def test_large_sparse_matrices_are_not_packed():
    """Ten entries a row: cells of blocks would outnumber them, and panels of B outweigh them."""
    rows = np.repeat(np.arange(100_000), 10)
    cols = np.random.default_rng(0).integers(0, 100_000, rows.size)
    A = sp.coo_array((np.ones(rows.size, np.float32), (rows, cols)), shape=(100_000,) * 2)
    W = prepare(A, n=128, tune=False)
    assert "rows" in W.kernel and "rows" in W.T.kernel
    arrays = sparse_module.sparse_arrays(A.tocsr(), np.float32, "A")
    status, packed = _core.pack(arrays, 128, 0, 0, 0)
    assert status == 0 and packed.nbytes < 3 * 8 * A.nnz
    empty = sp.csr_array((1 << 20, 1 << 30), dtype=np.float32)
    status, _ = _core.pack(sparse_module.sparse_arrays(empty, np.float32, "A"), 128, 0, 0, 0)
    assert "too few entries" in _core.status_string(status)
    assert "rows" in prepare(empty, tune=False).kernel


def test_few_full_rows_are_not_padded():
    A = sp.csr_array(np.where(np.arange(512)[:, None] % 256, 0, np.ones((512, 400), np.float32)))
    _, packed = _core.pack(sparse_module.sparse_arrays(A, np.float32, "A"), 1, 0, 0, 0)
    assert packed.layout == "row_panels" and packed.nbytes < 20 * A.nnz


def test_no_memory_for_packing_is_no_error(monkeypatch):
    def full(*_):
        raise MemoryError

    monkeypatch.setattr(strategies_module.Packed, "__init__", full)
    assert "packed" not in prepare(datasets.random_pruned(64, 64, 0.8, rng=0), n=8).kernel


def test_workers_hold_for_all_kernels(monkeypatch):
    """The BLAS has threads of its own: where fewer are asked for, it is not used."""
    monkeypatch.setattr(strategies_module, "blas_threads", lambda: 3)
    monkeypatch.setattr(prediction, "blas_threads", lambda: 3)
    monkeypatch.setattr(strategies_module, "multiply_dense", None)
    A = datasets.random_pruned(64, 64, 0.1, rng=0)
    W = prepared(A, "dense", workers=2)
    B = np.ones((64, 5), np.float32)
    assert_spmm(W @ B, A, B)
    with pytest.raises(TypeError):
        W.spmm(B, workers=3)
    assert "dense" not in prepare(A, workers=2).kernel


def test_large_dense_matrices_are_not_made():
    A = sp.csr_array(([1.0], ([0], [0])), shape=(200_000, 200_000))
    W = prepare(A, n=2)
    assert "dense" not in W.kernel
    assert "dense" not in {c.name for c in W.explain(2).candidates}


# Saved choices ------------------------------------------------------------------------------------


def test_tuning_is_saved_and_loaded(tmp_path, monkeypatch):
    path = tmp_path / "tuning.json"
    A = datasets.random_pruned(64, 64, 0.6, rng=0)
    for n, basis in ((4, "within noise"), (5, "predicted")):  # where the model chose
        monkeypatch.setattr(selection, "verdict_on", verdict_for("packed", basis))
        prepare(A, n=n)
    spkernels.save_tuning(path)
    assert json.loads(path.read_text())["kernels"] == {}
    monkeypatch.setattr(selection, "verdict_on", verdict_for("packed"))
    W = prepare(A, n=8)
    spkernels.save_tuning(path)
    monkeypatch.setattr(cache, "known", {})
    monkeypatch.setattr(selection, "verdict_on", None)
    spkernels.load_tuning(path)
    loaded = prepare(A, n=8)
    assert loaded.kernel == W.kernel
    monkeypatch.undo()
    monkeypatch.setattr(cache, "known", {})
    spkernels.load_tuning(path)
    assert "chosen by a measurement that was loaded" in str(loaded.explain())
    assert [p.name for p in tmp_path.iterdir()] == ["tuning.json"]


def test_what_is_settled_is_not_measured(tmp_path, monkeypatch):
    """Nor is the machine, for what was loaded or has nothing to choose."""
    path = tmp_path / "tuning.json"
    A = datasets.random_pruned(64, 64, 0.6, rng=0)
    monkeypatch.setattr(selection, "verdict_on", verdict_for("packed"))
    W = prepare(A, n=8)
    spkernels.save_tuning(path)
    monkeypatch.setattr(cache, "known", {})
    spkernels.load_tuning(path)
    monkeypatch.setattr(selection, "verdict_on", None)
    monkeypatch.setattr(prediction, "factor", None)
    assert prepare(A, n=8).kernel == W.kernel
    assert [W.kernel for W in spkernels.prepare_many([A, A], n=8)] == [W.kernel] * 2
    for shape in [(0, 5), (5, 0), (5, 5)]:
        assert prepare(sp.csr_array(shape, dtype=np.float32), n=8).kernel.startswith("rows")


@pytest.mark.parametrize("content", ["", "hello", "[]", '{"format": 1}', '{"kernels": 3}'])
def test_other_files_are_refused(tmp_path, content):
    path = tmp_path / "tuning.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=r"tuning\.json: expected a file of save_tuning"):
        spkernels.load_tuning(path)


def test_tuning_of_other_machines_or_versions_is_refused(tmp_path):
    path = tmp_path / "tuning.json"
    spkernels.save_tuning(path)
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content | {"kernels": {"key": "no such kernel"}}))
    with pytest.raises(ValueError, match="expected a file of save_tuning"):
        spkernels.load_tuning(path)
    path.write_text(json.dumps(content | {"machine": content["machine"] | {"cpu": "other"}}))
    with pytest.raises(ValueError, match="expected tuning of this machine"):
        spkernels.load_tuning(path)
    with pytest.raises(FileNotFoundError):
        spkernels.load_tuning(tmp_path / "none.json")


def test_a_file_that_cannot_be_written_stays(tmp_path, monkeypatch):
    path = tmp_path / "tuning.json"
    spkernels.save_tuning(path)
    before = path.read_text()

    def full(*_):
        raise OSError("no space left")

    monkeypatch.setattr(cache.Path, "replace", full)
    with pytest.raises(OSError, match="no space"):
        spkernels.save_tuning(path)
    assert path.read_text() == before
    assert list(tmp_path.iterdir()) == [path]


# Bad input ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options, error, match",
    [
        ({"n": 0}, ValueError, "n must be at least 1"),
        ({"n": 2**63}, ValueError, "n must be at least 1 and at most"),
        ({"n": 2.5}, TypeError, "n must be an integer, got 2.5"),
        ({"op": "spgemm"}, ValueError, "op must be 'spmm' or 'sddmm', got 'spgemm'"),
        ({"op": "sddmm", "n": 4}, ValueError, "n must be None for op='sddmm', got 4"),
        ({"k": 4}, ValueError, "k must be None for op='spmm', got 4"),
        ({"op": "sddmm", "k": 0}, ValueError, "k must be at least 1"),
        ({"tune": 1}, TypeError, "tune must be True or False, got 1"),
        ({"dtype": np.int32}, TypeError, "dtype must be float32, float64 or int8"),
        ({"workers": 0}, ValueError, "workers must be a positive or negative"),
        ({"workers": "2"}, TypeError, "workers must be an integer"),
    ],
)
def test_bad_options(options, error, match):
    with pytest.raises(error, match=match):
        prepare(sp.csr_array(np.eye(3)), **options)


def test_bad_matrices():
    with pytest.raises(TypeError, match=r"A must be a scipy\.sparse array, got ndarray"):
        prepare(np.eye(3))
    with pytest.raises(ValueError, match=r"A must be 2-D, got shape \(3,\)"):
        prepare(sp.coo_array(np.ones(3)))
    with pytest.raises(TypeError, match="A real, got dtype complex"):
        prepare(sp.csr_array(1j * np.eye(3)))
    for fmt in NATIVE_FORMATS:
        A = random_sparse(np.random.default_rng(0), fmt, (6, 6), 0.5, np.float64)
        set_index_arrays(A, lambda array: np.where(array == 1, 1000, array))
        with pytest.raises(ValueError, match="A.*corrupted"):
            prepare(A)


def test_bad_operands():
    W = prepare(sp.csr_array(np.eye(3)), tune=False)
    for kernel in KERNELS:
        choose(W, Always(kernel))
        choose(W.T, Always(kernel))
        with pytest.raises(ValueError, match=r"dimension mismatch.* \(4, 2\)"):
            W @ np.ones((4, 2))
        with pytest.raises(ValueError, match=r"X @ W: X has shape \(2, 4\) and W has shape"):
            np.ones((2, 4)) @ W
        with pytest.raises(ValueError, match=r"B must be 1-D or 2-D, got shape \(3, 3, 3\)"):
            W.spmm(np.ones((3, 3, 3)))
        with pytest.raises(ValueError, match=r"out must have shape \(3, 2\), got \(2, 3\)"):
            W.spmm(np.ones((3, 2)), out=np.empty((2, 3)))
        with pytest.raises(ValueError, match="activation must be one of"):
            W.spmm(np.ones((3, 2)), activation="swish")
        with pytest.raises(ValueError, match="workers must be a positive or negative"):
            W.spmm(np.ones((3, 2)), workers=0)
        with pytest.raises(TypeError, match="B must be dense, got csr_array"):
            W @ sp.csr_array(np.eye(3))
