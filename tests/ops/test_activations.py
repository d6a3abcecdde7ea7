"""spmspv and spmspm against dense float64, kwinners against a stable sort."""

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import (
    EXTRA_OPERATIONS,
    assert_close,
    assert_rounded_alike,
    assert_spmm,
    terms,
    to_float64,
)
from strategies import (
    DTYPES,
    INDEX_DTYPES,
    lay_out,
    random_sparse,
    random_values,
    rest_untouched,
    seeds,
    set_index_arrays,
    sparse,
)

from spkernels import kwinners, set_num_threads, spmspm, spmspv

RNG = np.random.default_rng(0)


def random_vector(rng, size, dtype, density):
    return random_values(rng, size, dtype) * (rng.random(size) < density).astype(dtype)


def assert_spmspv(result, A, x, dtype=None):
    """Check A @ x, of finite operands; `x` is dense."""
    A = sp.csr_array(A) if isinstance(A, np.ndarray) else A
    x64 = np.asarray(x, np.float64)
    assert type(result) is np.ndarray
    assert result.dtype == (np.result_type(A.dtype, x.dtype) if dtype is None else dtype)
    assert result.shape == A.shape[:1]
    size = to_float64(A, np.abs) @ np.abs(x64)
    assert_close(result, to_float64(A) @ x64, size, terms(A, 1) + 2)


@pytest.mark.every_isa
@given(sparse(most=16), st.sampled_from(DTYPES), st.sampled_from([0, 0.1, 0.5, 1]), seeds)
def test_any_format(A, dtype, density, seed):
    x = random_vector(np.random.default_rng(seed), A.shape[1], dtype, density)
    assert_spmspv(spmspv(A, x), A, x)
    assert_spmspv(spmspv(A, lay_out(x, "rows reversed"), check=False), A, x)


@pytest.mark.every_isa
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("itype", INDEX_DTYPES)
@pytest.mark.parametrize("in_order", [True, False])
def test_long_columns(dtype, itype, in_order):
    A = random_sparse(
        RNG, "csc", (300, 90), 0.4, dtype, itype=itype, in_order=in_order, duplicates=not in_order
    )
    x = random_vector(RNG, 90, dtype, 0.3)
    result = spmspv(A, x)
    assert_spmspv(result, A, x)
    ids = np.flatnonzero(x)
    shuffled = sp.coo_array((x[ids][::-1], (ids[::-1], 0 * ids)), shape=(90, 1))
    assert_spmspv(spmspv(A, shuffled), A, x)


@pytest.mark.every_isa
@settings(max_examples=30)
@given(
    st.sampled_from([(1, 1), (4, 1), (8, 1), (16, 1), (12, 3), (4, 4)]),
    st.integers(200, 700),
    st.integers(200, 700),
    st.sampled_from([0.1, 0.3, 0.6]),
    st.sampled_from([0.2, 1.0]),
    st.sampled_from(DTYPES),
    st.sampled_from(INDEX_DTYPES),
    st.booleans(),
    seeds,
)
def test_parts_and_runs(block, m, k, density, active, dtype, itype, shuffled, seed):
    rng = np.random.default_rng(seed)
    kept = np.kron(rng.random((m // block[0] + 1, k // block[1] + 1)) < density, np.ones(block))
    A = sp.csc_array(np.where(kept[:m, :k], rng.standard_normal((m, k)), 0).astype(dtype))
    set_index_arrays(A, lambda a: a.astype(itype))
    x = random_vector(rng, k, dtype, active)
    result = spmspv(A, x)
    assert_spmspv(result, A, x)
    ids = np.flatnonzero(x)
    ids = rng.permutation(ids) if shuffled else ids
    v = sp.coo_array((x[ids], (ids, 0 * ids)), shape=(k, 1))
    other = spmspv(A, v)
    assert_spmspv(other, A, x)
    for workers in (1, 2, 3, 5):
        same_bits(spmspv(A, x, workers=workers), result)
        same_bits(spmspv(A, v, workers=workers, check=False), other)
    # A corrupt index of any active column is found before anything is written.
    column = rng.choice(ids) if ids.size else 0
    first, last = A.indptr[column : column + 2]
    if ids.size and first < last:
        A.indices[rng.integers(first, last)] = rng.choice([-1, m])
        out = np.full(m, 7, dtype)
        for workers, vector in ((1, x), (2, x), (2, v)):
            with pytest.raises(ValueError, match="A.indices is corrupted"):
                spmspv(A, vector, workers=workers, out=out)
        assert (out == 7).all()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_nan_and_infinity_reach_their_rows_alone(value):
    A = random_sparse(RNG, "csc", (500, 400), 0.3, np.float64)
    x = RNG.standard_normal(400)
    expected = spmspv(A, x)
    x[7] = value
    hit = np.zeros(500, bool)
    hit[A.indices[A.indptr[7] : A.indptr[8]]] = True
    result = spmspv(A, x)
    assert not np.isfinite(result[hit]).any()
    same_bits(result[~hit], expected[~hit])


@settings(max_examples=50)
@given(
    sparse(formats=("csr", "csc", "coo", "bsr", "lil"), most=16),
    st.sampled_from(["column", "row", "coo"]),
    st.sampled_from(["csr", "csc", "coo", "bsr", "dok", "dia"]),
    st.sampled_from(DTYPES),
    seeds,
)
def test_a_sparse_vector(A, kind, fmt, dtype, seed):
    rng = np.random.default_rng(seed)
    size = A.shape[1]
    ids = rng.integers(0, max(size, 1), size // 2)
    values = rng.integers(-9, 9, len(ids)).astype(dtype)  # sums of duplicates are exact
    dense = np.zeros(size, dtype)
    np.add.at(dense, ids, values)
    if kind == "coo":
        try:
            x = sp.coo_array((values, (ids,)), shape=(size,))
        except (TypeError, ValueError):  # scipy before 1.13
            return
    else:
        where = (ids, 0 * ids) if kind == "column" else (0 * ids, ids)
        shape = (size, 1) if kind == "column" else (1, size)
        x = sp.coo_matrix((values, where), shape=shape)
        x = x if 0 in shape and fmt == "bsr" else x.asformat(fmt)
    # Duplicates are terms of their own.
    wide = sp.hstack([A, A]) if min(A.shape) else A
    result = spmspv(A, x)
    size = to_float64(A, np.abs) @ np.bincount(ids, np.abs(values), minlength=size)[:size]
    assert_close(result, to_float64(A) @ dense, size, len(ids) * terms(wide, 1) + 2)
    assert result.dtype == np.result_type(A.dtype, dtype)


@settings(max_examples=50)
@given(st.integers(0, 20), st.integers(0, 20), st.sampled_from("CF"), st.booleans(), seeds)
def test_a_dense_matrix(m, k, order, by_sparse, seed):
    rng = np.random.default_rng(seed)
    W = np.asarray(random_values(rng, m * k, np.float32).reshape(m, k), order=order)
    x = random_vector(rng, k, np.float32, 0.3)
    assert_spmspv(spmspv(W, sp.csr_matrix(x) if by_sparse else x), W, x)


@pytest.mark.every_isa
@pytest.mark.parametrize("fmt", ["csc", "csr", "coo", "dense F", "dense C"])
def test_columns_that_are_not_active_are_not_read(fmt):
    W = RNG.standard_normal((40, 30))
    x = random_vector(RNG, 30, np.float64, 0.3)
    W[:, x == 0] = np.nan
    active = np.flatnonzero(x)
    A = np.asarray(W, order=fmt[-1]) if fmt[:-2] == "dense" else sp.csr_array(W).asformat(fmt)
    np.testing.assert_allclose(spmspv(A, x), W[:, active] @ x[active])
    x[x == 0] = -0.0
    np.testing.assert_allclose(spmspv(A, x), W[:, active] @ x[active])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_nan_and_infinity_are_active(value):
    W = np.array([[1.0, 2.0], [0.0, 3.0], [4.0, 0.0]])
    x = np.array([value, 0.0])
    np.testing.assert_array_equal(spmspv(sp.csc_array(W), x), [value, 0, value])
    # A structural zero reads nothing; a stored one meets it.
    A = sp.csc_array(W)
    A.data[:] = 0
    np.testing.assert_array_equal(spmspv(A, x), [np.nan, 0, np.nan])


@pytest.mark.parametrize("other", [np.int64, np.complex64, np.float32, np.float16, bool])
@pytest.mark.parametrize("fmt", ["csc", "csr", "dense"])
@pytest.mark.parametrize("dtype", [np.float32, np.int8, np.complex128])
def test_promotion(dtype, other, fmt):
    A = sp.csc_array((10 * RNG.random((6, 5)) * (RNG.random((6, 5)) < 0.5)).astype(dtype))
    x = (3 * RNG.random(5) * (RNG.random(5) < 0.6)).astype(other)
    A = A.toarray() if fmt == "dense" else A.asformat(fmt)
    expected = A @ (x.astype(np.float32) if other == np.float16 else x)
    result = spmspv(A, x)
    size = np.abs(A) @ np.abs(x).astype(float)
    count = len(x) + EXTRA_OPERATIONS
    assert_rounded_alike(result, expected, size, count)
    if other != np.float16:
        assert result.dtype == expected.dtype
    assert_rounded_alike(spmspv(A, x, out=np.empty_like(result)), expected, size, count)
    if other != np.float16:
        assert_rounded_alike(spmspv(A, sp.csc_matrix(x)), expected, size, count)


@pytest.mark.parametrize("layout", ["C", "every other row", "rows reversed", "unaligned"])
@pytest.mark.parametrize("fmt", ["csc", "bsr", "dense"])
def test_out(layout, fmt):
    A = random_sparse(RNG, "bsr", (8, 9), 0.5, np.float32)
    A = A.toarray() if fmt == "dense" else A.asformat(fmt)
    x = random_vector(RNG, 9, np.float32, 0.5)
    out = lay_out(np.full(8, np.nan, np.float32), layout)
    assert spmspv(A, x, out=out) is out
    np.testing.assert_array_equal(out, spmspv(A, x))
    assert rest_untouched(out)


def test_bad_out():
    A = sp.csc_array(np.eye(5))
    x = np.ones(5)
    read_only = np.empty(5)
    read_only.flags.writeable = False
    for out, error, message in [
        ([0.0] * 5, TypeError, "out must be an ndarray, got list"),
        (np.empty(4), ValueError, r"out must have shape \(5,\), got \(4,\)"),
        (np.empty((5, 1)), ValueError, "out must have shape"),
        (np.empty(5, np.float32), ValueError, "out must have dtype float64, got float32"),
        (read_only, ValueError, "out must be writeable"),
        (x, ValueError, "out must not overlap x"),
        (A.data, ValueError, "out must not overlap A"),
    ]:
        with pytest.raises(error, match=message):
            spmspv(A, x, out=out)
    W = np.asfortranarray(np.eye(5))
    with pytest.raises(ValueError, match="out must not overlap A"):
        spmspv(W, x, out=W[:, 0])
    v = sp.csc_matrix(x)
    with pytest.raises(ValueError, match="out must not overlap x"):
        spmspv(A, v, out=v.data)
    with pytest.raises(ValueError, match="out must have dtype int64, got float64"):
        spmspv(A.astype(np.int64), x.astype(np.int64), out=np.empty(5))


@pytest.mark.parametrize("A", [sp.csc_array((6, 5)), np.ones((6, 5))], ids=["sparse", "dense"])
def test_bad_shapes_and_types(A):
    strays = (np.ones(6), np.ones((5, 1)), 1.0, sp.csr_array((6, 1)), sp.csr_array((5, 5)))
    for x in strays:
        with pytest.raises(ValueError, match="dimension mismatch in A @ x: A has shape"):
            spmspv(A, x)
    with pytest.raises(ValueError, match=r"A must be 2-D, got shape \(5,\)"):
        spmspv(np.ones(5), np.ones(5))
    for strange in ("text", None, object(), np.array(["a"] * 5), [[1], [1, 2]]):
        with pytest.raises((TypeError, ValueError), match="x must"):
            spmspv(A, strange)
        with pytest.raises((TypeError, ValueError), match="A must"):
            spmspv(strange, np.ones(5))


@pytest.mark.every_isa
@pytest.mark.parametrize("fmt", ["csc", "csr", "coo", "bsr", "lil"])
@pytest.mark.parametrize("value", [-1, 99, 2**31 - 1])
@pytest.mark.parametrize("by_sparse", [False, True])
def test_corrupted_operands(fmt, value, by_sparse):
    A = random_sparse(RNG, fmt, (12, 12), 0.5, np.float64)
    x = np.ones(12)
    if by_sparse:
        x = sp.coo_matrix(x)
        x.col = x.col.copy()
        x.col[3] = value
    elif fmt == "lil":
        A.rows[3] = [value, *A.rows[3][1:]]
    else:
        set_index_arrays(A, lambda a: np.where(np.arange(len(a)) == 2, value, a).astype(a.dtype))
    with pytest.raises(ValueError, match=r"x\..*corrupted" if by_sparse else r"A\..*corrupted"):
        spmspv(A, x)


def test_a_vector_by_scipy_is_checked_too():
    A = sp.csc_array(np.eye(4, dtype=np.int64))
    A.indices[2] = 77
    with pytest.raises(ValueError, match="A.indices is corrupted"):
        spmspv(A, np.ones(4, np.int64))


# k winners ----------------------------------------------------------------------------------------


def winners(X, k):
    """Whether each element of a 2-D array is among the k largest of its row."""
    # NaN first, then by value; a stable sort leaves equal ones in the order of their indices.
    size = np.where(np.isnan(X), np.inf, X)
    order = np.lexsort((-size, ~np.isnan(X)), axis=1)
    kept = np.zeros(X.shape, bool)
    np.put_along_axis(kept, order[:, :k], True, axis=1)
    return kept


def same_bits(a, b):
    assert a.dtype == b.dtype
    assert a.shape == b.shape
    assert np.ascontiguousarray(a).tobytes() == np.ascontiguousarray(b).tobytes()


SPECIAL = [np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, -1.0, 1e-45, -1e-45, 3.4e38]


@pytest.mark.every_isa
@given(
    st.integers(0, 6),
    st.one_of(st.integers(0, 40), st.sampled_from([255, 256, 1000])),
    st.integers(0, 50),
    st.sampled_from(["normal", "ties", "special", "wide"]),
    st.sampled_from(DTYPES),
    seeds,
)
def test_kwinners(m, n, k, kind, dtype, seed):
    rng = np.random.default_rng(seed)
    X = {
        "normal": lambda: rng.standard_normal((m, n)),
        "ties": lambda: rng.integers(-2, 3, (m, n)),
        "special": lambda: rng.choice(SPECIAL, (m, n)),
        "wide": lambda: random_values(rng, m * n, dtype).reshape(m, n),
    }[kind]().astype(dtype)
    kept = winners(X, k)
    expected = np.where(kept, X, dtype(0))
    same_bits(kwinners(X, k), expected)
    S = kwinners(X, k, format="csr")
    assert type(S) is sp.csr_array
    assert S.nnz == m * min(k, n)
    rows, cols = np.nonzero(kept)
    np.testing.assert_array_equal(S.indices, cols)
    np.testing.assert_array_equal(np.diff(S.indptr), min(k, n))
    same_bits(S.data, X[rows, cols])
    S.check_format(full_check=True)
    assert S.has_sorted_indices


@pytest.mark.parametrize("axis", [0, 1, 2, -1, -2, -3])
@pytest.mark.parametrize("layout", ["C", "F", "steps"])
def test_kwinners_along_any_axis(axis, layout):
    X = RNG.standard_normal((4, 5, 12)).astype(np.float32)
    X = np.asfortranarray(X) if layout == "F" else X[::-1, :, ::2] if layout == "steps" else X
    rows = np.moveaxis(X, axis, -1)
    flat = rows.reshape(-1, rows.shape[-1])
    kept = np.moveaxis(winners(flat, 3).reshape(rows.shape), -1, axis)
    expected = np.where(kept, X, np.float32(0))
    same_bits(kwinners(X, 3, axis=axis), expected)
    for out in (np.empty_like(X), np.full(X.shape, np.nan, np.float32, order="F"), X):
        assert kwinners(X, 3, axis=axis, out=out) is out
        same_bits(out, expected)


def test_kwinners_of_what_overlaps():
    held = RNG.standard_normal(50)
    expected = kwinners(held[:40].copy(), 7)
    kwinners(held[:40], 7, out=held[10:])
    same_bits(held[10:], expected)
    X = RNG.standard_normal((9, 9))
    expected = kwinners(X, 4)
    kwinners(X, 4, out=X.T)
    same_bits(X.T, expected)
    unaligned = lay_out(RNG.standard_normal((3, 8)), "unaligned")
    same_bits(kwinners(unaligned, 2), kwinners(unaligned.copy(), 2))


def test_kwinners_at_the_ends():
    assert kwinners([3.0, np.nan, 5.0], 0).tolist() == [0, 0, 0]
    np.testing.assert_array_equal(kwinners([3.0, np.nan, 5.0], 9), [3, np.nan, 5])
    np.testing.assert_array_equal(kwinners([3.0, np.nan, 5.0], 2), [0, np.nan, 5])
    assert np.signbit(kwinners([-0.0, 0.0], 1)).tolist() == [True, False]
    assert kwinners(np.empty((0, 3)), 2).shape == (0, 3)
    assert kwinners(np.empty((3, 0)), 2, axis=0).shape == (3, 0)
    S = kwinners(np.zeros((2, 3)), 2, format="csr", axis=1)
    assert (S.nnz, S.indices.tolist()) == (4, [0, 1, 0, 1])


@pytest.mark.parametrize("dtype", DTYPES)
def test_kwinners_has_the_same_bits_for_every_number_of_threads(dtype):
    X = RNG.standard_normal((300, 1000)).astype(dtype)
    set_num_threads(1)
    expected, csr = kwinners(X, 50), kwinners(X, 50, format="csr")
    for threads in (2, 3, 4):
        set_num_threads(threads)
        same_bits(kwinners(X, 50), expected)
        same_bits(kwinners(X, 50, format="csr").indices, csr.indices)
        same_bits(kwinners(X, 50, workers=threads), expected)


@pytest.mark.parametrize(
    ("X", "options", "error", "message"),
    [
        (np.ones((2, 3), int), {}, TypeError, "X must be float32 or float64, got dtype int64"),
        (np.ones((2, 3), np.float16), {}, TypeError, "X must be float32 or float64"),
        (np.ones((2, 3), complex), {}, TypeError, "X must be float32 or float64"),
        (sp.csr_array((2, 3)), {}, TypeError, "X must be dense"),
        (1.0, {}, ValueError, "X must have a dimension or more"),
        (np.ones(3), {"k": -1}, ValueError, "k must not be negative, got -1"),
        (np.ones(3), {"k": 1.0}, TypeError, "k must be an integer"),
        (np.ones(3), {"axis": 1}, ValueError, "axis must be from -1 to 0, got 1"),
        (np.ones(3), {"axis": None}, TypeError, "axis must be an integer"),
        (np.ones(3), {"format": "csc"}, ValueError, "format must be 'dense' or 'csr'"),
        (np.ones(3), {"format": "csr"}, ValueError, "X must be 2-D and axis"),
        (np.ones((3, 3)), {"format": "csr", "axis": 0}, ValueError, "X must be 2-D and axis"),
        (np.ones((1, 1)), {"format": "csr", "out": np.ones((1, 1))}, ValueError, "out must be"),
        (np.ones(3), {"out": [1]}, TypeError, "out must be an ndarray"),
        (np.ones(3), {"out": np.ones(4)}, ValueError, "out must have shape"),
        (np.ones(3), {"out": np.ones(3, np.float32)}, ValueError, "out must have dtype float64"),
        (np.ones(3), {"out": np.broadcast_to(1.0, 3)}, ValueError, "out must be writeable"),
    ],
)
def test_kwinners_bad_input(X, options, error, message):
    with pytest.raises(error, match=message):
        kwinners(X, **{"k": 2, **options})


# Sparse times sparse ------------------------------------------------------------------------------


@pytest.mark.every_isa
@settings(max_examples=60)
@given(
    sparse(most=16),
    st.sampled_from(["csr", "csc", "coo", "lil"]),
    st.integers(0, 20),
    st.sampled_from(DTYPES),
    st.sampled_from(INDEX_DTYPES),
    st.booleans(),
    seeds,
)
def test_spmspm(A, fmt, n, dtype, itype, duplicates, seed):
    rng = np.random.default_rng(seed)
    B = random_sparse(
        rng, fmt, (A.shape[1], n), 0.4, dtype, itype=itype, duplicates=duplicates, in_order=False
    )
    C = spmspm(A, B)
    assert C.dtype == np.result_type(A.dtype, dtype)
    size = to_float64(A, np.abs) @ to_float64(B, np.abs)
    count = terms(A, 1) * max(terms(B, 1), 1) + 2
    assert_close(C, to_float64(A) @ to_float64(B), size, count)


@pytest.mark.parametrize("left", ["csr", "csc", "coo", "bsr", "lil", "dia"])
@pytest.mark.parametrize("right", ["csr", "csc", "coo", "bsr", "dok"])
@pytest.mark.parametrize("densities", [(0.4, 0.05), (0.05, 0.4)])
def test_spmspm_by_rows_and_by_columns(left, right, densities):
    A = random_sparse(RNG, "csr", (30, 40), densities[0], np.float32).asformat(left)
    B = random_sparse(RNG, "csr", (40, 20), densities[1], np.float64).asformat(right)
    C = spmspm(A, B)
    size = to_float64(A, np.abs) @ to_float64(B, np.abs)
    assert_close(C, to_float64(A) @ to_float64(B), size, 42)
    if left == right == "csc" and densities[0] > densities[1]:
        assert C.flags.f_contiguous
    for layout in ("C", "F", "every other column"):
        out = lay_out(np.full((30, 20), np.nan), layout)
        assert spmspm(A, B, out=out) is out
        same_bits(out, C)
        assert rest_untouched(out)


@pytest.mark.parametrize("fmt", ["csr", "csc"])
def test_spmspm_has_the_same_bits_for_every_number_of_threads(fmt):
    A = random_sparse(RNG, fmt, (300, 400), 0.1, np.float32)
    B = random_sparse(RNG, fmt, (400, 500), 0.08, np.float32)
    set_num_threads(1)
    expected = spmspm(A, B)
    for threads in (2, 3, 4):
        set_num_threads(threads)
        same_bits(spmspm(A, B), expected)
        same_bits(spmspm(A, B, workers=threads), expected)


def test_workers_that_are_none():
    A = sp.csr_array(np.eye(3))
    for call in (
        lambda: kwinners(np.eye(3), 1, workers=0),
        lambda: spmspm(A, A, workers=0),
        lambda: spmspv(A, np.ones(3), workers=0),
        lambda: spmspv(A.tocsc(), np.ones(3), workers=0),
    ):
        with pytest.raises(ValueError, match="workers"):
            call()


@pytest.mark.every_isa
@pytest.mark.parametrize("dtype", DTYPES)
def test_spmspv_of_more_columns_than_are_looked_at_together(dtype):
    rng = np.random.default_rng(1)
    A = random_sparse(rng, "csc", (40, 20_000), 0.01, dtype)
    x = np.where(rng.random(20_000) < 0.2, rng.standard_normal(20_000), 0).astype(dtype)
    assert_spmm(spmspv(A, x), A, x)
    # The last column with entries is read, and found corrupt before anything is written.
    A.indices[-1] = 40
    x[np.flatnonzero(np.diff(A.indptr))[-1]] = 1
    out = np.full(40, 7, dtype)
    with pytest.raises(ValueError, match="A"):
        spmspv(A, x, out=out)
    assert (out == 7).all()


def test_spmspm_into_out_and_of_other_dtypes():
    A = random_sparse(RNG, "csr", (7, 8), 0.4, np.float64)
    B = random_sparse(RNG, "csr", (8, 5), 0.4, np.float64)
    for layout in ("C", "F", "every other column", "unaligned"):
        out = lay_out(np.full((7, 5), np.nan), layout)
        assert spmspm(A, B, out=out) is out
        same_bits(out, spmspm(A, B))
        assert rest_untouched(out)
    for dtype in (np.int64, np.complex64):
        expected = (A.astype(dtype) @ B.astype(np.int8)).toarray()
        same_bits(spmspm(A.astype(dtype), B.astype(np.int8)), expected)
    A.data[:] = np.nan
    np.testing.assert_array_equal(spmspm(A, B), (A @ B).toarray())


def test_spmspm_bad_input():
    A, B = sp.csr_array(np.eye(4)), sp.csr_array(np.ones((4, 3)))
    for arguments, error, message in [
        ((np.eye(4), B), TypeError, "A must be a scipy.sparse array, got ndarray"),
        ((A, np.eye(4)), TypeError, "B must be a scipy.sparse array, got ndarray"),
        ((B, A), ValueError, r"dimension mismatch in A @ B: A has shape \(4, 3\)"),
    ]:
        with pytest.raises(error, match=message):
            spmspm(*arguments)
    with pytest.raises(ValueError, match=r"out must have shape \(4, 3\)"):
        spmspm(A, B, out=np.empty((3, 4)))
    with pytest.raises(ValueError, match="out must have dtype float64"):
        spmspm(A, B, out=np.empty((4, 3), np.float32))
    with pytest.raises(ValueError, match="out must not overlap B"):
        spmspm(A, B, out=B.data.reshape(4, 3))
    for bad, name in ((A, "A"), (B, "B")):
        kept = bad.indices.copy()
        bad.indices[1] = 99
        with pytest.raises(ValueError, match=f"{name}.indices is corrupted"):
            spmspm(A, B)
        with pytest.raises(ValueError, match=f"{name}.indices is corrupted"):
            spmspm(A.astype(int), B.astype(int))
        bad.indices[:] = kept
