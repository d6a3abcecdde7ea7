"""sddmm against dense float64, over formats, dtypes, layouts and shapes."""

import itertools
import pickle
import warnings

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from reference import EXTRA_OPERATIONS, assert_rounded_alike, assert_sddmm, entries
from strategies import (
    DTYPES,
    FORMATS,
    INDEX_DTYPES,
    LAYOUTS,
    NATIVE_FORMATS,
    factors,
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
)

from spkernels import prepare, sddmm

# Tails of every length of a vector, whole vectors, more than a panel's share.
DEPTHS = [0, *range(1, 18), 31, 32, 33, 64, 65, 100, 128, 200]
depths = st.one_of(st.integers(0, 20), st.sampled_from([31, 32, 33, 64, 65, 130]))


def factors_for(rng, P, k, dtype, x_layout="C", y_layout="C"):
    return (
        random_dense(rng, (P.shape[0], k), dtype, x_layout),
        random_dense(rng, (k, P.shape[1]), dtype, y_layout),
    )


def with_all_zeros(D):
    """All that a DIA array stores inside of its shape, as CSR; tocsr leaves zeros out."""
    entries = [
        (j - offset, j, value)
        for offset, row in zip(D.offsets, D.data, strict=True)
        for j, value in enumerate(row)
        if 0 <= j - offset < D.shape[0] and j < D.shape[1]
    ]
    rows, cols, values = np.array(sorted(entries)).reshape(-1, 3).T
    indptr = np.searchsorted(rows, np.arange(D.shape[0] + 1))
    make = sp.csr_matrix if isinstance(D, sp.spmatrix) else sp.csr_array
    return make((values.astype(D.dtype), cols.astype(int), indptr), shape=D.shape)


# Properties ---------------------------------------------------------------------------------------


@pytest.mark.every_isa
@given(P=sparse(), k=depths, x_layout=layouts, y_layout=layouts, alpha=factors, beta=factors,
       scale=st.booleans(), workers=st.integers(1, 3), seed=seeds)
def test_sampled_product(P, k, x_layout, y_layout, alpha, beta, scale, workers, seed):
    X, Y = factors_for(np.random.default_rng(seed), P, k, P.dtype, x_layout, y_layout)
    result = sddmm(P, X, Y, alpha=alpha, beta=beta, scale=scale, workers=workers)
    if P.format not in NATIVE_FORMATS:
        assert result.format == "csr"
        P = with_all_zeros(P) if P.format == "dia" else P.tocsr()
    assert_sddmm(result, P, X, Y, alpha=alpha, beta=beta, scale=scale)


@given(P=sparse(formats=NATIVE_FORMATS), k=depths, check=st.booleans(), scale=st.booleans(),
       beta=factors, seed=seeds)
def test_out_and_in_place(P, k, check, scale, beta, seed):
    X, Y = factors_for(np.random.default_rng(seed), P, k, P.dtype)
    out = P.copy()
    out.data = lay_out(np.full(P.data.size, np.nan, P.dtype), "C").reshape(P.data.shape)
    assert sddmm(P, X, Y, out=out, beta=beta, scale=scale, check=check) is out
    assert_sddmm(out, P, X, Y, beta=beta, scale=scale)
    before, apart = P.copy(), sddmm(P, X, Y, beta=beta, scale=scale)
    assert sddmm(P, X, Y, out=P, beta=beta, scale=scale) is P
    assert_sddmm(P, before, X, Y, beta=beta, scale=scale)
    # Unchecked, nobody knows that columns are sorted: tiles sum in another order than rows.
    np.testing.assert_array_equal(P.data, apart.data)


def in_runs(rng, shape, dtype, itype, duplicates):
    """Rows of a few runs of consecutive columns, about the same for neighbours."""
    m, n = shape
    mask = np.zeros(shape, bool)
    for start in range(0, m, 8):
        for _ in range(rng.integers(1, 4)):
            first = rng.integers(0, n)
            mask[start : start + 8, first : first + rng.integers(1, n)] = True
    mask &= rng.random(shape) < 0.97
    P = sp.csr_array(mask.astype(dtype))
    P.data[:] = random_values(rng, P.nnz, dtype)
    if duplicates and P.nnz:
        again = np.sort(np.append(np.arange(P.nnz), rng.integers(0, P.nnz, 5)))
        indptr = np.searchsorted(again, P.indptr)
        P = sp.csr_array((P.data[again], P.indices[again], indptr), shape=shape)
    return set_index_arrays(P, lambda array: array.astype(itype))


@pytest.mark.every_isa
@given(
    seed=seeds,
    shape=st.tuples(st.integers(2, 40), st.sampled_from([5, 40, 200, 2500])),
    k=st.sampled_from([1, 16, 33, 64, 150, 300]),
    layouts=st.sampled_from(["CC", "CF", "FC", "FF"]),
    dtype=st.sampled_from(DTYPES),
    itype=st.sampled_from(INDEX_DTYPES),
    fmt=st.sampled_from(["csr", "csc", "coo"]),
    scale=st.booleans(),
    beta=factors,
    duplicates=st.booleans(),
    workers=st.integers(1, 3),
)
def test_patterns_of_runs(
    seed, shape, k, layouts, dtype, itype, fmt, scale, beta, duplicates, workers
):
    rng = np.random.default_rng(seed)
    P = in_runs(rng, shape, dtype, itype, duplicates)
    P = P.tocoo() if fmt == "coo" else P.T if fmt == "csc" else P
    X, Y = factors_for(rng, P, k, dtype, *layouts)
    got = sddmm(P, X, Y, scale=scale, beta=beta, workers=workers)
    assert_sddmm(got, P, X, Y, scale=scale, beta=beta)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("itype", INDEX_DTYPES)
@pytest.mark.parametrize("fmt", ["csr", "csc", "coo"])
@pytest.mark.parametrize(("shape", "k"), [((37, 210), 130), ((120, 45), 256), ((16, 97), 64)])
def test_scattered_entries_of_half_dense_patterns(fmt, shape, k, dtype, itype):
    rng = np.random.default_rng(21)
    P = sp.csr_array((rng.random(shape) < 0.6).astype(dtype))
    P.data[:] = rng.standard_normal(P.nnz)
    P.indices, P.indptr = P.indices.astype(itype), P.indptr.astype(itype)
    P = P.asformat(fmt)
    for y_layout, scale, beta in (("C", False, 0.0), ("F", True, -0.5)):
        X, Y = factors_for(rng, P, k, dtype, "C", y_layout)
        one, two = (sddmm(P, X, Y, scale=scale, beta=beta, workers=w) for w in (1, 2))
        assert_sddmm(one, P, X, Y, scale=scale, beta=beta)
        np.testing.assert_array_equal(one.data, two.data)


# Batches, lists, prepared patterns ----------------------------------------------------------------


@pytest.mark.parametrize("fmt", [*NATIVE_FORMATS, "dia"])
@pytest.mark.parametrize(
    ("x_lead", "y_lead"), [((3,), (3,)), ((2, 3), (3,)), ((), (4,)), ((2, 1), (1, 3)), ((0,), ())]
)
def test_leading_dimensions_are_products_of_their_own(fmt, x_lead, y_lead):
    rng = np.random.default_rng(4)
    P = random_sparse(rng, fmt, (30, 24), 0.2, np.float32)
    m, n = P.shape
    X, Y = rng.standard_normal((*x_lead, m, 9)), rng.standard_normal((*y_lead, 9, n))
    got = sddmm(P, X, Y, alpha=0.5, beta=2.0)
    lead = np.broadcast_shapes(x_lead, y_lead)
    P = P if fmt in NATIVE_FORMATS else sddmm(P, np.ones((m, 1)), np.ones((1, n)), alpha=0, beta=1)
    assert got.shape == (*lead, *P.data.shape)
    X, Y = np.broadcast_to(X, (*lead, m, 9)), np.broadcast_to(Y, (*lead, 9, n))
    for head in np.ndindex(lead):
        one = sddmm(P, X[head], Y[head], alpha=0.5, beta=2.0)
        np.testing.assert_array_equal(one.data, got[head])
    out = np.empty_like(got)
    assert sddmm(P, X, Y, out=out, alpha=0.5, beta=2.0) is out
    np.testing.assert_array_equal(out, got)


def test_a_list_of_patterns():
    rng = np.random.default_rng(5)
    patterns = [random_sparse(rng, fmt, (30, 24), 0.2, np.float32) for fmt in NATIVE_FORMATS]
    X, Y = rng.standard_normal((4, 30, 6)), rng.standard_normal((6, 24))
    for i, S in enumerate(sddmm(patterns, X, Y)):
        assert_sddmm(S, patterns[i], X[i], Y)
    with pytest.raises(ValueError, match="X must have 3 as its first dimension"):
        sddmm(patterns[:3], X, Y)
    with pytest.raises(ValueError, match="out must be None"):
        sddmm(patterns, X, Y, out=np.zeros(3))


def test_bad_batches():
    P = sp.csr_array(np.ones((4, 5)))
    with pytest.raises(ValueError, match="leading dimensions of X and Y must broadcast"):
        sddmm(P, np.zeros((2, 4, 3)), np.zeros((3, 3, 5)))
    with pytest.raises(TypeError, match="out must be an ndarray"):
        sddmm(P, np.zeros((2, 4, 3)), np.zeros((3, 5)), out=P)
    with pytest.raises(ValueError, match=r"out must have shape \(2, 20\)"):
        sddmm(P, np.zeros((2, 4, 3)), np.zeros((3, 5)), out=np.zeros((2, 19)))


@pytest.mark.every_isa
@given(
    seed=seeds,
    shape=st.tuples(st.integers(1, 40), st.sampled_from([5, 40, 200, 2500])),
    k=st.sampled_from([0, 1, 16, 64, 150]),
    layouts=st.sampled_from(["CC", "CF", "FC", "FF"]),
    dtype=st.sampled_from(DTYPES),
    runs=st.booleans(),
    scale=st.booleans(),
    beta=factors,
    workers=st.integers(1, 3),
)
def test_prepared_patterns(seed, shape, k, layouts, dtype, runs, scale, beta, workers):
    rng = np.random.default_rng(seed)
    P = in_runs(rng, shape, dtype, np.int32, False)
    if not runs:  # columns in common, none beside another
        P = sp.csr_array((P.toarray() * (np.arange(shape[1]) % 3 == 0)).astype(dtype))
    X, Y = factors_for(rng, P, k, dtype, *layouts)
    W = prepare(P, op="sddmm", k=max(k, 1), workers=workers)
    got = W.sddmm(X, Y, scale=scale, beta=beta)
    assert_sddmm(got, P, X, Y, scale=scale, beta=beta)
    again = pickle.loads(pickle.dumps(W)).sddmm(X, Y, out=got, scale=scale, beta=beta, workers=1)
    assert again is got
    assert_sddmm(got, P, X, Y, scale=scale, beta=beta)
    batch = W.sddmm(np.stack([X, X]), Y, scale=scale, beta=beta)
    np.testing.assert_array_equal(batch, [got.data, got.data])


def test_a_prepared_pattern_says_what_it_does():
    banded = sp.diags([np.ones(200)] * 41, offsets=range(-20, 21), shape=(200, 200))
    W = prepare(banded, op="sddmm", k=64)
    assert (W.shape, W.nnz, W.dtype) == ((200, 200), banded.tocsr().nnz, np.float64)
    assert W.nbytes > 8 * W.nnz
    assert "97.5% by tiles of 16 rows" in W.explain()
    assert repr(W) == (
        f"<PreparedPattern of 200 x 200, {W.nnz} stored, float64, kernel chosen by each product, "
        "for rows of 64 elements>"
    )
    for k, error in (("a", TypeError), (0, ValueError), (2**70, ValueError)):
        with pytest.raises(error, match="^k must be "):
            W.explain(k)
    scattered = prepare(sp.random(200, 200, density=0.02, random_state=0), op="sddmm")
    assert "all of it goes row by row" in scattered.explain(128)
    # Duplicates are added up, as in a prepared matrix; integers are computed by NumPy.
    twice = sp.coo_array(([1, 2], ([0, 0], [1, 1])), shape=(2, 2))
    S = prepare(twice, op="sddmm", dtype=np.float64).sddmm(np.eye(2), np.ones((2, 2)), scale=True)
    assert S.toarray().tolist() == [[0, 3], [0, 0]]


# Depths, panels, layouts --------------------------------------------------------------------------


@pytest.mark.every_isa
@pytest.mark.parametrize("itype", INDEX_DTYPES)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("fmt", NATIVE_FORMATS)
def test_depths(fmt, dtype, itype):
    rng = np.random.default_rng(1)
    for in_order, k in itertools.product([True, False], DEPTHS):
        P = random_sparse(rng, fmt, (37, 54), 0.2, dtype, itype=itype, in_order=in_order)
        X, Y = factors_for(rng, P, k, dtype)
        assert_sddmm(sddmm(P, X, Y), P, X, Y)
        assert_sddmm(sddmm(P, X, Y.copy(order="F")), P, X, Y)


@pytest.mark.every_isa
@pytest.mark.parametrize("y_layout", sorted(LAYOUTS))
@pytest.mark.parametrize("x_layout", sorted(LAYOUTS))
@pytest.mark.parametrize("dtype", DTYPES)
def test_layouts_of_x_and_y(dtype, x_layout, y_layout):
    rng = np.random.default_rng(2)
    for fmt, density, k in itertools.product(NATIVE_FORMATS, [0.01, 0.4], [1, 5, 37]):
        P = random_sparse(rng, fmt, (48, 60), density, dtype, in_order=k == 5)
        X, Y = factors_for(rng, P, k, dtype, x_layout, y_layout)
        assert_sddmm(sddmm(P, X, Y), P, X, Y)


@pytest.mark.every_isa
@pytest.mark.parametrize(
    "fmt, in_order, dtype",
    [
        *itertools.product(NATIVE_FORMATS, [True, False], [np.float32]),
        ("csr", True, np.float64),
        ("coo", True, np.float64),
    ],
)
@pytest.mark.parametrize("layouts", ["CC", "CF", "FC", "FF"])
def test_large_factors_are_cut_into_panels(dtype, layouts, fmt, in_order):
    """Y of 5 MB or more in the slow layout: it is packed by panels where rows are sorted."""
    rng = np.random.default_rng(3)
    P = random_sparse(rng, fmt, (60, 20001), 0.02, dtype, in_order=in_order)
    X, Y = factors_for(rng, P, 65, dtype, *layouts)
    for workers in (1, 3):
        assert_sddmm(sddmm(P, X, Y, workers=workers), P, X, Y)
    P = P.T.copy() if fmt == "coo" else type(P)(P.T)
    X, Y = factors_for(rng, P, 65, dtype, *layouts)
    assert_sddmm(sddmm(P, X, Y), P, X, Y)


@pytest.mark.parametrize("k", [3, 300, 70_000])
@pytest.mark.parametrize("layouts", ["CC", "CF", "FF"])
@pytest.mark.parametrize("fmt", NATIVE_FORMATS)
def test_rows_longer_than_the_workspace(fmt, layouts, k):
    rng = np.random.default_rng(4)
    P = random_sparse(rng, fmt, (12, 15), 0.5, np.float32)
    X, Y = factors_for(rng, P, k, np.float32, *layouts)
    assert_sddmm(sddmm(P, X, Y), P, X, Y)


@pytest.mark.every_isa
@pytest.mark.parametrize(
    "block, shape",
    [((1, 1), (30, 30)), ((4, 4), (32, 32)), ((3, 5), (30, 30)), ((1, 7), (9, 70)),
     ((16, 16), (64, 64)), ((1, 5000), (3, 15000)), ((5000, 1), (15000, 3)),
     ((2, 2048), (4, 8192))],
)
@pytest.mark.parametrize("dtype", DTYPES)
def test_blocks(dtype, block, shape):
    rng = np.random.default_rng(5)
    P = random_sparse(rng, "bsr", shape, 0.4, dtype, block=block, in_order=False)
    assert P.nnz > 0
    for k, layout in itertools.product([1, 9, 33], ["CC", "FC", "CF"]):
        X, Y = factors_for(rng, P, k, dtype, *layout)
        assert_sddmm(sddmm(P, X, Y, beta=0.5, scale=True), P, X, Y, beta=0.5, scale=True)


@pytest.mark.every_isa
@pytest.mark.parametrize("fmt", NATIVE_FORMATS)
def test_neighbouring_columns_do_not_leak(fmt):
    """A masked tail of a dot product reads nothing of what lies beside it."""
    rng = np.random.default_rng(6)
    P = random_sparse(rng, fmt, (12, 15), 0.5, np.float32)
    for k in DEPTHS:
        X = np.full((12, k + 40), np.nan, np.float32)
        Yt = np.full((15, k + 40), np.inf, np.float32)
        X[:, 20 : 20 + k], Yt[:, 20 : 20 + k] = factors_for(rng, P, k, np.float32)[0], rng.random(
            (15, k)
        )
        X, Y = X[:, 20 : 20 + k], Yt[:, 20 : 20 + k].T
        assert_sddmm(sddmm(P, X, Y), P, X, Y)


def test_broadcast_factors():
    rng = np.random.default_rng(7)
    P = random_sparse(rng, "csr", (12, 15), 0.5, np.float32)
    X = np.broadcast_to(rng.random(9, np.float32), (12, 9))
    Y = np.broadcast_to(rng.random((9, 1), np.float32), (9, 15))
    assert_sddmm(sddmm(P, X, Y), P, X, Y)


# What is stored -----------------------------------------------------------------------------------


@pytest.mark.parametrize("matrix", [False, True])
@pytest.mark.parametrize("itype", INDEX_DTYPES)
@pytest.mark.parametrize("fmt", NATIVE_FORMATS)
def test_the_result_shares_the_index_arrays(fmt, itype, matrix):
    rng = np.random.default_rng(8)
    P = random_sparse(rng, fmt, (12, 15), 0.5, np.float64, itype=itype, matrix=matrix)
    for dtype in (np.float64, np.int64):
        result = sddmm(P.astype(dtype) if dtype == np.int64 else P,
                       *factors_for(rng, P, 4, dtype))
        assert type(result) is type(P)
        if dtype == np.float64:
            for mine, theirs in zip(index_arrays(result), index_arrays(P), strict=True):
                assert mine is theirs or np.shares_memory(mine, theirs)
                assert mine.dtype == itype
        assert not np.shares_memory(result.data, P.data)


# What scipy does in place, or does something in place for.
READS = {
    "max": lambda S: S.max(),
    "abs": lambda S: abs(S),
    "comparison": lambda S: S > 1,
    "square root": lambda S: S.sqrt(),
    "sum": lambda S: S + S,
    "element": lambda S: S.tocsr()[1, 2],
    "sorted": lambda S: S.tocsr().sort_indices() if S.format == "coo" else S.sort_indices(),
    "duplicates": lambda S: S.sum_duplicates(),
}


@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize("in_order, duplicates", [(True, False), (False, False), (True, True)])
@pytest.mark.parametrize("dtype", [np.float64, np.int64])
@pytest.mark.parametrize("fmt", NATIVE_FORMATS)
@pytest.mark.parametrize("read", READS)
def test_reading_one_does_not_change_the_other(read, fmt, dtype, in_order, duplicates, known):
    rng = np.random.default_rng(17)
    P = random_sparse(rng, fmt, (12, 18), 0.5, dtype, in_order=in_order, duplicates=duplicates)
    X, Y = (np.abs(factor) for factor in factors_for(rng, P, 4, dtype))
    if known:
        P.has_canonical_format  # noqa: B018 - scipy keeps what it finds
    S = sddmm(P, X, Y)
    dense = P.toarray(), S.toarray()
    with np.errstate(invalid="ignore"):
        READS[read](S)
    np.testing.assert_array_equal(P.toarray(), dense[0])
    with np.errstate(invalid="ignore"):
        READS[read](P)
    np.testing.assert_allclose(S.toarray(), dense[1])


def test_index_arrays_of_a_dtype_unknown_to_scipy():
    P = sp.csr_array(np.eye(4))
    set_index_arrays(P, lambda array: array.astype(np.uint64))
    np.testing.assert_array_equal(sddmm(P, np.ones((4, 1)), np.ones((1, 4))).data, 1)


def test_duplicates_each_get_their_sample():
    P = sp.csr_array((np.array([1.0, 2.0]), [0, 0], [0, 2]), shape=(1, 1))
    np.testing.assert_array_equal(sddmm(P, [[3.0]], [[5.0]], scale=True).data, [15, 30])
    np.testing.assert_array_equal(sddmm(P, [[3.0]], [[5.0]], beta=1.0).data, [16, 17])


@pytest.mark.parametrize("fmt", NATIVE_FORMATS)
def test_explicit_zeros_are_sampled(fmt):
    rng = np.random.default_rng(9)
    P = random_sparse(rng, fmt, (12, 15), 0.5, np.float64)
    P.data[...] = 0
    X, Y = factors_for(rng, P, 4, np.float64)
    assert (sddmm(P, X, Y).data != 0).all()
    assert (sddmm(P, X, Y, scale=True).data == 0).all()


@pytest.mark.parametrize("matrix", [False, True])
@pytest.mark.parametrize("shape", [(4, 6), (6, 4), (5, 5)])
def test_zeros_on_diagonals_are_sampled(shape, matrix):
    offsets = [2, -1, 0]
    for length in (3, 5, 8):  # of the stored diagonals, shorter and longer than a row
        data = np.arange(3.0 * length).reshape(3, length) % 4
        P = (sp.dia_matrix if matrix else sp.dia_array)((data, offsets), shape=shape)
        expected = with_all_zeros(P)
        X, Y = np.ones((shape[0], 2)), np.ones((2, shape[1]))
        for dtype in (np.float64, np.int64):
            result = sddmm(P, X.astype(dtype), Y, beta=1.0)
            assert isinstance(result, sp.spmatrix) == matrix
            for mine, wanted in zip(index_arrays(result), index_arrays(expected), strict=True):
                np.testing.assert_array_equal(mine, wanted)
            np.testing.assert_array_equal(result.data, expected.data + 2)


@pytest.mark.parametrize("dtypes", [(bool, np.float16), (np.int8, np.float16), (np.int8, bool)])
def test_the_dtype_of_the_result_is_one_of_scipy(dtypes):
    P, factor = sp.csr_array(np.eye(3, dtype=dtypes[0])), np.ones((3, 1), dtypes[1])
    for alpha in (1.0, np.float16(0.5)):
        result = sddmm(P, factor, factor.T, alpha=alpha)
        expected = np.result_type(*dtypes, *([] if alpha == 1 else [alpha]))
        assert result.dtype == (np.float32 if expected == np.float16 else expected)
        np.testing.assert_array_equal(result.toarray(), np.eye(3) * alpha)


@pytest.mark.parametrize("fmt", NATIVE_FORMATS)
def test_values_are_not_read_where_they_do_not_count(fmt):
    rng = np.random.default_rng(10)
    P = random_sparse(rng, fmt, (12, 15), 0.5, np.float64)
    X, Y = factors_for(rng, P, 4, np.float64)
    expected = sddmm(P, X, Y)
    P.data[...] = np.nan
    np.testing.assert_array_equal(sddmm(P, X, Y).data, expected.data)
    assert np.isnan(sddmm(P, X, Y, scale=True).data).all()
    assert np.isnan(sddmm(P, X, Y, beta=1.0).data).all()


@pytest.mark.parametrize("fmt", NATIVE_FORMATS)
def test_unused_rows_are_not_read(fmt):
    rng = np.random.default_rng(11)
    for layout, k in itertools.product(["CC", "CF", "FC", "FF"], [1, 7, 40]):
        P = random_sparse(rng, fmt, (40, 60), 0.01, np.float64)
        rows, cols, _ = entries(P)
        X, Y = factors_for(rng, P, k, np.float64, *layout)
        clean = X.copy(), Y.copy()
        X[np.setdiff1d(np.arange(P.shape[0]), rows)] = np.nan
        Y[:, np.setdiff1d(np.arange(P.shape[1]), cols)] = np.inf
        assert_sddmm(sddmm(P, X, Y), P, *clean)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("fmt", NATIVE_FORMATS)
def test_nan_and_infinity_reach_the_entries_they_belong_to(fmt, dtype):
    rng = np.random.default_rng(12)
    for k in (1, 7, 16, 40):
        P = random_sparse(rng, fmt, (40, 60), 0.3, dtype)
        X, Y = factors_for(rng, P, k, dtype)
        for D in (X, Y):
            at = rng.random(D.shape) < 0.02
            D[at] = rng.choice([np.nan, np.inf, -np.inf], at.sum())
        with np.errstate(all="ignore"):
            product = X.astype(float) @ Y.astype(float)
        rows, cols, _ = entries(P)
        _, _, got = entries(sddmm(P, X, Y))
        for of in (np.isnan, np.isposinf, np.isneginf):
            np.testing.assert_array_equal(of(got), of(product[rows, cols]))


@pytest.mark.parametrize("fmt", FORMATS)
@pytest.mark.parametrize("shape", [(0, 0), (0, 5), (5, 0), (5, 4)])
@pytest.mark.parametrize("dtype", [np.float32, np.int64])
def test_nothing_stored(fmt, shape, dtype):
    P = sp.coo_array(shape, dtype=dtype).asformat(fmt)
    for k in (0, 3):
        result = sddmm(P, np.ones((shape[0], k), dtype), np.ones((k, shape[1]), dtype))
        assert result.nnz == 0
        assert result.shape == shape
        assert result.dtype == dtype


@pytest.mark.parametrize("fmt", NATIVE_FORMATS)
def test_no_inner_dimension(fmt):
    rng = np.random.default_rng(13)
    P = random_sparse(rng, fmt, (6, 9), 0.5, np.float32)
    X, Y = np.ones((6, 0), np.float32), np.ones((0, 9), np.float32)
    assert (sddmm(P, X, Y).data == 0).all()
    np.testing.assert_array_equal(sddmm(P, X, Y, beta=2.0).data, 2 * P.data)


@pytest.mark.parametrize("fmt", ["csr", "csc", "bsr"])
def test_more_room_than_entries(fmt):
    """scipy allows arrays longer than indptr[-1]; what lies beyond is nobody's."""
    rng = np.random.default_rng(14)
    P = random_sparse(rng, fmt, (12, 15), 0.5, np.float32)
    X, Y = factors_for(rng, P, 4, np.float32)
    expected = sddmm(P, X, Y).data
    P.indices = np.concatenate([P.indices, np.full(40, -1, np.int32)])
    P.data = np.concatenate([P.data, np.full((40, *P.data.shape[1:]), np.nan, np.float32)])
    result = sddmm(P, X, Y)
    assert result.indices is P.indices
    np.testing.assert_array_equal(result.data[: len(expected)], expected)


def read_only(P):
    for array in (*index_arrays(P), P.data):
        array.flags.writeable = False


def unusual_strides(P):
    set_index_arrays(P, lambda array: np.repeat(array, 2)[::2])
    P.data = np.repeat(P.data, 3, axis=0)[::3]


def unaligned(P):
    set_index_arrays(P, lambda array: lay_out(array, "unaligned"))
    P.data = lay_out(P.data.ravel(), "unaligned").reshape(P.data.shape)


def byteswapped(P):
    set_index_arrays(P, lambda array: array.astype(">i8"))
    P.data = P.data.astype(P.data.dtype.newbyteorder(">"))


@pytest.mark.parametrize("change", [read_only, unusual_strides, unaligned, byteswapped])
@pytest.mark.parametrize("fmt", NATIVE_FORMATS)
def test_unusual_arrays(fmt, change):
    rng = np.random.default_rng(15)
    P = random_sparse(rng, fmt, (12, 15), 0.5, np.float32)
    X, Y = factors_for(rng, P, 9, np.float32)
    expected = sddmm(P, X, Y, beta=0.5, scale=True)
    change(P)
    result = sddmm(P, X, Y, beta=0.5, scale=True)
    np.testing.assert_array_equal(result.data, expected.data)
    swapped = [array.astype(array.dtype.newbyteorder(">")) for array in (X, Y)]
    np.testing.assert_array_equal(sddmm(P, *swapped, beta=0.5, scale=True).data, expected.data)


@pytest.mark.parametrize("layout", ["every other row", "rows reversed", "unaligned", "odd strides"])
@pytest.mark.parametrize("dtype", [np.float32, np.int64])
@pytest.mark.parametrize("fmt", NATIVE_FORMATS)
def test_out_with_values_of_any_strides(fmt, dtype, layout):
    rng = np.random.default_rng(16)
    P = random_sparse(rng, fmt, (12, 15), 0.5, dtype)
    X, Y = factors_for(rng, P, 4, dtype)
    expected = sddmm(P, X, Y)
    out = P.copy()
    out.data = held = lay_out(np.zeros((len(P.data), P.data[:1].size), dtype), layout)
    if fmt == "bsr":
        out.data = np.lib.stride_tricks.as_strided(
            held, P.data.shape, (held.strides[0], 3 * held.strides[1], held.strides[1])
        )
    else:
        out.data = held[:, 0]
    sddmm(P, X, Y, out=out)
    np.testing.assert_array_equal(out.data, expected.data)
    assert rest_untouched(held)


def test_out_may_overlap_the_factors_and_the_values():
    rng = np.random.default_rng(17)
    P = random_sparse(rng, "csr", (16, 16), 0.5, np.float64)
    assert P.nnz == 128
    for which in "XY":
        X, Y = factors_for(rng, P, 8, np.float64)
        expected = sddmm(P, X, Y)
        out = P.copy()
        out.data = (X if which == "X" else Y).reshape(-1)
        np.testing.assert_array_equal(sddmm(P, X, Y, out=out).data, expected.data)
    X, Y = factors_for(rng, P, 8, np.float64)
    expected = sddmm(P, X, Y, scale=True)
    buffer = np.empty(129)
    buffer[:128] = P.data
    P.data, out = buffer[:128], P.copy()
    out.data = buffer[1:]
    np.testing.assert_array_equal(sddmm(P, X, Y, scale=True, out=out).data, expected.data)


# dtypes -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fmt", NATIVE_FORMATS)
@pytest.mark.parametrize("kind", "?iqfdFD")
def test_dtypes_follow_numpy(kind, fmt):
    rng = np.random.default_rng(18)
    P = random_sparse(rng, fmt, (12, 15), 0.5, kind)
    for x_kind, y_kind in itertools.product("?iqfdFD", repeat=2):
        X = random_values(rng, 48, x_kind).reshape(12, 4)
        Y = random_values(rng, 60, y_kind).reshape(4, 15)
        result = sddmm(P, X, Y)
        assert result.dtype == np.result_type(kind, x_kind, y_kind)
        sample = result.tocoo()
        exact = "D" if {x_kind, y_kind} & set("FD") else "d"
        product = X.astype(exact) @ Y.astype(exact)
        expected = product[sample.row, sample.col].astype(result.dtype)
        size = (np.abs(X.astype(exact)) @ np.abs(Y.astype(exact)))[sample.row, sample.col]
        assert_rounded_alike(sample.data, expected, size, X.shape[1] + EXTRA_OPERATIONS)


@pytest.mark.parametrize("fmt", NATIVE_FORMATS)
@pytest.mark.parametrize("dtype", [np.int64, np.complex128])
def test_options_of_other_dtypes(fmt, dtype):
    rng = np.random.default_rng(19)
    P = random_sparse(rng, fmt, (12, 15), 0.5, dtype)
    X, Y = factors_for(rng, P, 4, dtype)
    plain = sddmm(P, X, Y).data
    np.testing.assert_allclose(sddmm(P, X, Y, alpha=2, beta=3).data, 2 * plain + 3 * P.data)
    np.testing.assert_allclose(sddmm(P, X, Y, scale=True).data, plain * P.data)
    halves = sddmm(P, X, Y, alpha=0.5).data
    assert halves.dtype == np.result_type(dtype, 0.5)
    np.testing.assert_allclose(halves, plain / 2)
    before = P.copy()
    sddmm(P, X, Y, out=P, beta=1)
    np.testing.assert_allclose(P.data, plain + before.data)


def test_integers_are_sampled_in_chunks():
    rng = np.random.default_rng(20)
    P = random_sparse(rng, "csr", (300, 300), 0.5, np.int64)
    X, Y = factors_for(rng, P, 50, np.int64)
    sample = sddmm(P, X, Y).tocoo()
    np.testing.assert_array_equal(sample.data, (X @ Y)[sample.row, sample.col])


@pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning")
def test_lists_and_matrices_are_taken_as_factors():
    P = sp.csr_matrix(np.eye(2))
    X, Y = [[1.0, 2.0], [3.0, 4.0]], np.matrix([[5.0, 6.0], [7.0, 8.0]])
    np.testing.assert_array_equal(sddmm(P, X, Y).data, [19.0, 50.0])


def test_the_formula_is_torchs_and_the_defaults_are_not():
    torch = pytest.importorskip("torch", reason="torch is not installed.")
    P = sp.csr_array([[0.0, 3.0], [1.0, 0.0]])
    X, Y = np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[5.0, 6.0], [7.0, 8.0]])

    def sampled(**options):
        parts = (torch.from_numpy(part) for part in (P.indptr, P.indices, P.data))
        tensor = torch.sparse_csr_tensor(*parts, size=P.shape)
        factors = torch.from_numpy(X), torch.from_numpy(Y)
        return torch.sparse.sampled_addmm(tensor, *factors, **options).values().numpy()

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch calls its CSR a beta
        assert (sddmm(P, X, Y, alpha=2.0, beta=3.0).data == sampled(alpha=2.0, beta=3.0)).all()
        assert (sddmm(P, X, Y, beta=1.0).data == sampled()).all()
        assert (sddmm(P, X, Y).data == sampled(beta=0.0)).all()
        P.data[0] = np.nan
        assert np.isfinite(sddmm(P, X, Y).data).all()
        assert np.isnan(sddmm(P, X, Y, beta=1.0).data).any()


@pytest.mark.every_isa
@pytest.mark.parametrize("in_order", [True, False])
@pytest.mark.parametrize("fmt", NATIVE_FORMATS)
def test_factors_too_large_for_a_panel_in_any_layout(fmt, in_order):
    rng = np.random.default_rng(5)
    m, k = 6000, 50  # a copy of Y takes more than 1 MiB
    P = random_sparse(rng, fmt, (m, m), 3 / m, np.float32, in_order=in_order)
    m = P.shape[0]
    X, Y = random_dense(rng, (m, k), np.float32), random_dense(rng, (k, m), np.float32)
    for layout in ("C", "every other column", "all reversed"):
        x, y = lay_out(X, "F"), lay_out(Y, layout)
        first, second = (sddmm(P, x, y, workers=workers) for workers in (1, 2))
        assert_sddmm(first, P, X, Y)
        np.testing.assert_array_equal(first.data, second.data)
