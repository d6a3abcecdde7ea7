"""Bitmaps: values of 16, 8 and 4 bits with a bit for every place."""

import pickle

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from reference import assert_spmm
from strategies import LAYOUTS, factors, lay_out, layouts, random_dense, random_sparse, seeds

import spkernels
from spkernels import prepare, prepare_many
from spkernels._prepare.storage import as_stored, rounded, scales_of
from spkernels._prepare.strategies import Bitmap, Packed

FORMATS = [
    ("float16", None), ("bfloat16", None), ("int8", None), ("int8", 32), ("int8", 64),
    ("int8", 192), ("int4", None), ("int4", 32), ("int4", 64), ("int4", 10**9 // 64 * 64),
]  # fmt: skip
STEPS = {"int8": 127, "int4": 7}


def random_csr(shape, density, seed=0):
    """Return a matrix with an entry for each piece of 64 places, at least."""
    A = random_sparse(np.random.default_rng(seed), "csr", shape, density, np.float32)
    least = np.zeros(shape, np.float32)
    least[:, ::64] = 0.5
    A = sp.csr_array(A + sp.csr_array(least))
    A.sum_duplicates()
    return A


def bitmap(A, storage, group=None):
    """Return the kernel of a matrix, and the matrix that it holds."""
    stored = as_stored(storage, group)
    near = rounded(A, stored)
    return Bitmap(near, 1, stored), near


def multiplied(kernel, B, **options):
    names = ("out", "alpha", "beta", "bias", "activation", "order", "workers")
    given = {"out": None, "alpha": 1.0, "beta": 0.0, "bias": None, "activation": None,
             "order": None, "workers": None} | options  # fmt: skip
    return kernel.multiply(B, *(given[name] for name in names))


@pytest.mark.every_isa
@pytest.mark.parametrize("storage, group", FORMATS)
@pytest.mark.parametrize("shape, density", [
    ((1, 1), 1), ((5, 64), 0.5), ((67, 65), 1), ((130, 333), 0.1), ((64, 1000), 0.5),
    ((300, 4100), 0.03),
])  # fmt: skip
def test_products(storage, group, shape, density):
    kernel, near = bitmap(random_csr(shape, density), storage, group)
    rng = np.random.default_rng(1)
    for n in (1, 2, 3, 4, 5, 9):
        B = random_dense(rng, (shape[1], n), np.float32)
        assert_spmm(multiplied(kernel, B), near, B)
        assert_spmm(multiplied(kernel, B[:, 0]), near, B[:, 0])


@pytest.mark.every_isa
@given(
    rows=st.integers(1, 150), cols=st.integers(1, 300), density=st.floats(0.02, 1),
    n=st.integers(0, 9), storage=st.sampled_from(FORMATS), layout=layouts,
    into=st.sampled_from(sorted(LAYOUTS)), alpha=factors, beta=factors, seed=seeds,
    activation=st.sampled_from([None, "relu", "gelu"]), workers=st.sampled_from([1, 3]),
)  # fmt: skip
def test_any_layout_and_epilogue(
    rows, cols, density, n, storage, layout, into, alpha, beta, seed, activation, workers
):
    kernel, near = bitmap(random_csr((rows, cols), density, seed), *storage)
    rng = np.random.default_rng(seed)
    shape = (cols, n) if n else (cols,)
    B = random_dense(rng, shape, np.float32, layout)
    if storage[0] in STEPS:  # see test_vectors_of_any_magnitudes
        B[...] = np.sign(B) * np.clip(np.abs(B), 0.25, 4)
    old = random_dense(rng, (rows, *shape[1:]), np.float32)
    out = lay_out(old, into)
    bias = random_dense(rng, (rows, 1) if n else (rows,), np.float32)
    options = {"alpha": alpha, "beta": beta, "bias": bias, "activation": activation}
    result = multiplied(kernel, B, out=out, workers=workers, **options)
    assert result is out
    assert_spmm(out, near, B, before=old, **options)
    again = lay_out(old, into)
    multiplied(kernel, B, out=again, workers=1, **options)
    np.testing.assert_array_equal(again, out)


@pytest.mark.every_isa
@given(
    rows=st.integers(1, 400), cols=st.integers(1, 300), density=st.floats(0.02, 1), seed=seeds,
    alpha=factors, activation=st.sampled_from([None, "relu", "gelu"]),
)  # fmt: skip
def test_slices_of_int8(rows, cols, density, seed, alpha, activation):
    stored = as_stored("int8", None)
    near = rounded(random_csr((rows, cols), density, seed), stored)
    kernel = Packed(near, 1, stored)
    back = kernel.restored()
    assert back.data.tobytes() == near.data.tobytes()
    np.testing.assert_array_equal(back.indices, near.indices)
    x = random_dense(np.random.default_rng(seed), (cols,), np.float32)
    result = multiplied(kernel, x, alpha=alpha, activation=activation)
    assert_spmm(result, near, x, alpha=alpha, activation=activation)


@pytest.mark.every_isa
@pytest.mark.parametrize("storage, group", FORMATS)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_places_without_entry_read_nothing(storage, group, bad):
    kernel, near = bitmap(random_csr((70, 200), 0.3), storage, group)
    B = random_dense(np.random.default_rng(2), (200, 6), np.float32)
    B[7] = B[150] = bad
    with np.errstate(invalid="ignore"):
        expected = near @ B
    finite = np.isfinite(expected[:, 0])
    assert 0 < finite.sum() < 70
    for result in (multiplied(kernel, B), multiplied(kernel, B[:, 0])[:, None]):
        np.testing.assert_array_equal(result[~finite], expected[~finite][:, : result.shape[1]])
    B[7] = B[150] = 0
    np.testing.assert_allclose(result[finite], (near @ B)[finite, :1], rtol=1e-4, atol=1e-5)


@pytest.mark.every_isa
@pytest.mark.parametrize("storage, group", FORMATS)
@pytest.mark.parametrize("exponents", [(-149, 0), (-40, 40), (-140, -120), (90, 100)])
def test_vectors_of_any_magnitudes(storage, group, exponents):
    """Products with integers may round x by 2**-30 of its largest element."""
    kernel, near = bitmap(random_csr((70, 500), 0.4), storage, group)
    rng = np.random.default_rng(3)
    B = rng.standard_normal((500, 5)) * 2.0 ** rng.integers(*exponents, (500, 5), endpoint=True)
    B = B.astype(np.float32)
    D, exact = near.toarray().astype(np.float64), B.astype(np.float64)
    size, count = np.abs(D) @ np.abs(exact), 2 * 500 + 10
    fixed = 2.0**-29 * np.abs(D).sum(axis=1)[:, None] * np.abs(exact).max(axis=0)
    bound = count * 2.0**-24 * size + (fixed if storage in STEPS else 0) + 2.0**-140
    assert np.all(np.abs(multiplied(kernel, B) - D @ exact) <= bound)
    assert np.all(np.abs(multiplied(kernel, B[:, 0]) - D @ exact[:, 0]) <= bound[:, 0])


@pytest.mark.parametrize("storage, group", FORMATS)
def test_the_matrix_comes_back(storage, group):
    A = random_csr((70, 200), 0.4)
    A.data[5:40:7] = 0  # explicit zeros stay
    kernel, near = bitmap(A, storage, group)
    back = kernel.restored()
    for name in ("data", "indices", "indptr"):
        np.testing.assert_array_equal(getattr(back, name), getattr(near, name))
    assert back.indices.dtype == near.indices.dtype
    assert rounded(near, as_stored(storage, group)).data.tobytes() == near.data.tobytes()


@given(
    seed=seeds, storage=st.sampled_from(["int8", "int4"]), group=st.sampled_from([None, 32, 128]),
    exponent=st.integers(-140, 110),
)  # fmt: skip
def test_values_are_the_nearest_multiples(seed, storage, group, exponent):
    A = random_csr((9, 150), 0.5, seed)
    A.data *= np.float32(2.0**exponent)
    stored = as_stored(storage, group)
    near = rounded(A, stored)
    scales, columns = scales_of(A, stored)
    rows = np.repeat(np.arange(9), np.diff(A.indptr))
    each = scales[rows, A.indices // columns].astype(np.float64)
    # Half a step, and scales are at most a little larger than they need to be.
    assert np.all(np.abs(near.data - A.data.astype(np.float64)) <= each / 2)
    steps = np.divide(near.data, each, where=each > 0, out=np.zeros_like(each))
    np.testing.assert_array_equal(steps, np.rint(steps))
    assert np.abs(steps).max() <= STEPS[storage]
    largest = np.zeros_like(scales)
    np.maximum.at(largest, (rows, A.indices // columns), np.abs(A.data))
    assert np.all(scales * STEPS[storage] <= largest * (1 + 2.0**-14) + 256 * 127 * 2.0**-149)


def test_the_error_is_reported():
    A = random_csr((64, 256), 0.5)
    errors = []
    for storage, group in [(None, None), ("float16", None), ("int8", None), ("int4", 32),
                           ("int4", 256)]:  # fmt: skip
        W = prepare(A, n=1, storage=storage, group=group, tune=False)
        kept = W.toscipy().toarray().astype(np.float64)
        error = np.linalg.norm(kept - A.toarray()) / np.linalg.norm(A.toarray().astype(np.float64))
        assert W.rounding_error == pytest.approx(error, rel=1e-6)
        assert W.T.rounding_error == W.rounding_error
        assert pickle.loads(pickle.dumps(W)).rounding_error == W.rounding_error
        errors.append(W.rounding_error)
    assert errors == sorted(errors) and errors[0] == 0 and errors[-1] < 0.2


def test_what_prepare_makes():
    A = random_csr((512, 1024), 0.5)
    W = prepare(A, n=1, storage="int4", tune=False)
    assert W.kernel == "bitmap: a bit for every place, values in int4 with a scale for 128 columns"
    assert "stored as int4 with a scale for 128 columns" in repr(W)
    # A bit for each place, half a byte for each entry, a scale for 128 columns.
    assert W.nbytes < A.shape[0] * A.shape[1] / 8 + A.nnz / 2 + A.shape[0] * (32 + 16) + 2000
    x = random_dense(np.random.default_rng(0), (1024,), np.float32)
    kept = W.toscipy()
    assert_spmm(W @ x, kept, x)
    y = random_dense(np.random.default_rng(0), (512,), np.float32)
    assert_spmm(y @ W, y, kept)
    np.testing.assert_allclose(W @ x.astype(np.float64), kept.astype(np.float64) @ x, rtol=1e-9)
    again = pickle.loads(pickle.dumps(W))
    np.testing.assert_array_equal(again @ x, W @ x)
    assert again.kernel == W.kernel
    assert {c.name for c in W.explain().candidates} == {"bitmap", "rows"}
    W.update_values(A.data * np.float32(0.3))
    other = prepare(A * np.float32(0.3), n=1, storage="int4", tune=False)
    np.testing.assert_array_equal(W @ x, other @ x)
    many = prepare_many([A, A], n=1, storage="int8", group=64, tune=False)
    assert "int8 with a scale for 64 columns" in many[1].kernel


def test_a_chain_of_bitmaps():
    layers = [random_csr((96, 128), 0.5), random_csr((64, 96), 0.6)]
    packed = [prepare(A, n=1, storage="int8", tune=False) for A in layers]
    chain = spkernels.Chain(packed, activations=["relu", None])
    x = random_dense(np.random.default_rng(0), (128,), np.float32)
    expected = packed[1] @ np.maximum(packed[0] @ x, 0)
    np.testing.assert_allclose(chain(x), expected, rtol=1e-6)


def test_matrices_with_few_entries_are_no_bitmaps():
    A = sp.random_array((300, 2000), density=0.005, format="csr", dtype=np.float32, rng=0)
    W = prepare(A, n=1, storage="int8")
    assert "bitmap" not in W.kernel
    assert "bitmap" not in {c.name for c in W.explain().candidates}
    kernel = as_stored("int8", None)
    with pytest.raises(ValueError, match="too few entries"):
        Bitmap(rounded(A, kernel), 1, kernel)


@pytest.mark.parametrize(
    "options, error, words",
    [
        ({"storage": "int3"}, ValueError, "'bfloat16', 'int8', 'int4', got 'int3'"),
        ({"group": 32}, ValueError, "group must be None for storage=None, got 32"),
        ({"storage": "float16", "group": 32}, ValueError, "None for storage='float16'"),
        ({"storage": "int8", "group": 48}, ValueError, "32 or a multiple of 64, got 48"),
        ({"storage": "int8", "group": 0}, ValueError, "group must be at least 1 .*, got 0"),
        ({"storage": "int4", "group": 1.5}, TypeError, "group must be"),
        ({"storage": "int8", "dtype": np.float64}, ValueError, "values of float64, got 'int8'"),
        ({"op": "sddmm", "group": 32}, ValueError, "group must be None for op='sddmm', got 32"),
        ({"dtype": "int8", "storage": "int8"}, ValueError, "storage must be None with dtype int8"),
    ],
)
def test_bad_options(options, error, words):
    with pytest.raises(error, match=words):
        prepare(random_csr((8, 64), 0.5), **options)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("storage", ["int8", "int4"])
def test_integers_hold_finite_values_alone(storage, value):
    A = random_csr((8, 64), 0.5)
    W = prepare(A, storage=storage, tune=False)
    before = W.toscipy().data
    A.data[3] = value
    with pytest.raises(ValueError, match=f"values must be finite for storage='{storage}'"):
        prepare(A, storage=storage)
    with pytest.raises(ValueError, match="values must be finite"):
        W.update_values(A.data)
    np.testing.assert_array_equal(W.toscipy().data, before)
    A.data[3] = np.finfo(np.float32).max
    with pytest.raises(ValueError, match="magnitudes up to 3.4e38"):
        prepare(A, storage=storage)


def test_empty_matrices():
    for shape in [(0, 5), (5, 0), (0, 0), (3, 4)]:
        W = prepare(sp.csr_array(shape, dtype=np.float32), n=1, storage="int8")
        assert (W @ np.ones(shape[1], np.float32)).shape == (shape[0],)
        assert W.rounding_error == 0
