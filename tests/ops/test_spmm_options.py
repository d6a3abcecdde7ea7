"""The options of spmm: out, alpha, beta, bias, activation, check, and operands that overlap."""

import itertools
import warnings
from fractions import Fraction

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from reference import ACTIVATIONS, assert_spmm
from scipy import special
from strategies import (
    DTYPES,
    FORMATS,
    LAYOUTS,
    NATIVE_FORMATS,
    factors,
    from_entries,
    lay_out,
    layouts,
    random_dense,
    random_sparse,
    random_values,
    rest_untouched,
    seeds,
    sparse,
    widths,
)

from spkernels import sddmm, spmm

BIAS_SHAPES = {
    "scalar": lambda m, n: (),
    "one": lambda m, n: (1,),
    "one by one": lambda m, n: (1, 1),
    "columns": lambda m, n: (n,),
    "row": lambda m, n: (1, n),
    "column": lambda m, n: (m, 1),
}
bias_shapes = st.sampled_from([None, *BIAS_SHAPES])
activations = st.sampled_from(list(ACTIVATIONS))


def random_bias(rng, kind, shape, dtype):
    if kind is None:
        return None
    shape = BIAS_SHAPES[kind](*shape)
    return random_values(rng, int(np.prod(shape)), dtype).reshape(shape)


# Everything at once -------------------------------------------------------------------------------


@pytest.mark.every_isa
@given(
    A=sparse(formats=NATIVE_FORMATS, most=40),
    n=widths,
    alpha=factors,
    beta=factors,
    kind=bias_shapes,
    activation=activations,
    layout=layouts,
    out_layout=layouts,
    dense_first=st.booleans(),
    workers=st.integers(1, 3),
    seed=seeds,
)
def test_all_options(
    A, n, alpha, beta, kind, activation, layout, out_layout, dense_first, workers, seed
):
    rng = np.random.default_rng(seed)
    if dense_first:
        left, right = random_dense(rng, (n, A.shape[0]), A.dtype, layout), A
    else:
        left, right = A, random_dense(rng, (A.shape[1], n), A.dtype, layout)
    shape = (left.shape[0], right.shape[1])
    before = random_values(rng, shape[0] * shape[1], A.dtype).reshape(shape)
    bias = random_bias(rng, kind, shape, A.dtype)
    out = lay_out(before, out_layout)
    result = spmm(
        left, right, out=out, alpha=alpha, beta=beta, bias=bias, activation=activation,
        workers=workers,
    )
    assert result is out
    assert rest_untouched(out)
    assert_spmm(
        out, left, right, alpha=alpha, beta=beta, before=before, bias=bias, activation=activation
    )


@given(A=sparse(), alpha=factors, beta=factors, activation=activations, biased=st.booleans(),
       layout=layouts, dense_first=st.booleans(), seed=seeds)
def test_options_of_vectors(A, alpha, beta, activation, biased, layout, dense_first, seed):
    rng = np.random.default_rng(seed)
    inner, outer = A.shape if dense_first else A.shape[::-1]
    x = random_dense(rng, (inner,), A.dtype)
    operands = (x, A) if dense_first else (A, x)
    before = random_values(rng, outer, A.dtype)
    bias = random_values(rng, outer, A.dtype) if biased else None
    out = lay_out(before, layout)
    spmm(*operands, out=out, alpha=alpha, beta=beta, bias=bias, activation=activation)
    assert rest_untouched(out)
    assert_spmm(
        out, *operands, alpha=alpha, beta=beta, before=before, bias=bias, activation=activation
    )


# alpha, beta, out ---------------------------------------------------------------------------------


@pytest.mark.parametrize("fmt", NATIVE_FORMATS)
@pytest.mark.parametrize("n", [1, 20, 70])
def test_beta_zero_overwrites_nan(fmt, n):
    rng = np.random.default_rng(0)
    for density, in_order, layout in itertools.product([5e-4, 0.01, 0.5], [True, False], "CF"):
        A = random_sparse(rng, fmt, (40, 600), density, np.float32, in_order=in_order)
        B = random_dense(rng, (600, n), np.float32)
        for alpha in (1.0, 0.5):
            out = np.full((40, n), np.nan, np.float32, order=layout)
            assert_spmm(spmm(A, B, out=out, alpha=alpha), A, B, alpha=alpha)


@pytest.mark.every_isa
@pytest.mark.parametrize("alpha", [np.inf, -np.inf, np.nan, 1e300])
@pytest.mark.parametrize("beta", [0.0, 1.0, -2.0])
@pytest.mark.parametrize("fmt", NATIVE_FORMATS)
def test_alpha_that_is_not_finite(fmt, beta, alpha):
    """It meets whole sums: NaN where nothing is stored, and terms that cancel do so before."""
    rng = np.random.default_rng(13)
    for (height, per_row), in_order, n in itertools.product(
        [(36, 4), (400, 0.1)], [True, False], [1, 3, 20, 70]
    ):
        shape = (height, 48)
        A = random_sparse(rng, fmt, shape, per_row / 48, np.float32, in_order=in_order,
                          block=(2, 3))
        A.data[...] = rng.choice([-1, 1, 3], A.data.shape)
        B = rng.integers(-3, 4, (48, n)).astype(np.float32)
        out = rng.integers(-3, 4, (height, n)).astype(np.float32)
        out[1], out[:, 0], out[3] = np.inf, -np.inf, np.nan
        with np.errstate(all="ignore"):
            expected = np.float32(alpha) * (A.toarray() @ B)
            expected = expected + np.float32(beta) * out if beta else expected
        for layout in ("C", "F", "every other column"):
            into = lay_out(out, layout)
            spmm(A, B, out=into, alpha=alpha, beta=beta)
            assert rest_untouched(into)
            np.testing.assert_array_equal(into, expected)
            into = lay_out(out.T, layout)
            spmm(B.T, A.T, out=into, alpha=alpha, beta=beta)
            assert rest_untouched(into)
            np.testing.assert_array_equal(into, expected.T)


@pytest.mark.parametrize("kind", [int, np.float32, np.int64, bool, np.array])
def test_alpha_and_beta_of_any_numeric_type(kind):
    rng = np.random.default_rng(1)
    A = random_sparse(rng, "csr", (20, 30), 0.3, np.float32)
    B = random_dense(rng, (30, 5), np.float32)
    out = np.ones((20, 5), np.float32)
    result = spmm(A, B, out=out, alpha=kind(1), beta=kind(1))
    assert_spmm(result, A, B, beta=1.0, before=np.ones((20, 5)))


@pytest.mark.parametrize("dtype", [np.int64, np.complex128])
def test_options_of_other_dtypes(dtype):
    rng = np.random.default_rng(2)
    A = random_sparse(rng, "csr", (20, 30), 0.3, dtype)
    B = random_values(rng, 150, dtype).reshape(30, 5)
    expected = A @ B
    np.testing.assert_array_equal(spmm(A, B, alpha=3), 3 * expected)
    out = np.ones((20, 5), dtype)
    bias = np.arange(5).astype(dtype)
    assert spmm(A, B, out=out, alpha=2, beta=-4, bias=bias) is out
    np.testing.assert_allclose(out, 2 * expected - 4 + bias, rtol=1e-14)
    if dtype == np.int64:
        np.testing.assert_array_equal(
            spmm(A, B, bias=-50, activation="relu"), np.maximum(expected - 50, 0)
        )
        halves = spmm(A, B, alpha=0.5)
        assert halves.dtype == np.float64
        np.testing.assert_array_equal(halves, expected / 2)
    else:
        np.testing.assert_allclose(spmm(A, B, alpha=1j), 1j * expected, rtol=1e-14)


def test_whole_factors_leave_integers_integers():
    A = sp.csr_array(np.array([[0, 2], [1, 0]], np.int32))
    B = np.array([[1, 2], [3, 4]], np.int32)
    for one, two, kind in itertools.product((1, 1.0), (2, 2.0, np.float32(2)), (None, "out")):
        out = None if kind is None else np.ones((2, 2), np.int32)
        result = spmm(A, B, alpha=two, beta=0.0 if out is None else one, out=out)
        assert result.dtype == np.int32
        np.testing.assert_array_equal(result, 2 * (A @ B) + (out is not None))
        assert sddmm(A, B, B.T, alpha=two, beta=one).dtype == np.int32
    for alpha in (0.5, 2.0**40, np.inf):
        assert spmm(A, B, alpha=alpha).dtype == np.float64


@pytest.mark.parametrize("dtype", [np.float64, np.int64])
def test_factors_that_no_dtype_holds(dtype):
    A, B = sp.csr_array(np.eye(3, dtype=dtype)), np.ones((3, 2), dtype)
    np.testing.assert_array_equal(spmm(A, B, alpha=Fraction(1, 4)), np.full((3, 2), 0.25))
    np.testing.assert_array_equal(spmm(A, B, alpha=10**30), np.full((3, 2), 1e30))
    np.testing.assert_array_equal(sddmm(A, B, B.T, alpha=Fraction(1, 4)).data, np.full(3, 0.5))


def test_relu_keeps_the_dtype_of_booleans():
    A = sp.csr_array(np.eye(3, dtype=bool))
    assert spmm(A, np.ones((3, 2), bool), activation="relu").dtype == bool


@pytest.mark.parametrize("activation", [a for a in ACTIVATIONS if a not in (None, "relu", "relu6")])
def test_no_curved_activation_of_integers(activation):
    A = sp.csr_array(np.eye(3, dtype=int))
    with pytest.raises(TypeError, match=f"activation must be None .* got '{activation}'"):
        spmm(A, np.ones((3, 2), int), activation=activation)


@pytest.mark.every_isa
@pytest.mark.parametrize("activation", [None, "relu", "tanh"])
@pytest.mark.parametrize("kind", [None, "columns", "column"])
@pytest.mark.parametrize("fmt", NATIVE_FORMATS)
def test_empty_rows_get_their_epilogue(fmt, kind, activation):
    """Rows without an entry, alone and in runs, the first and the last among them."""
    rng = np.random.default_rng(11)
    rows = np.array([3, 4, 4, 20, 57])
    data = random_values(rng, 5, np.float32)
    A = from_entries(fmt, rows, rows, data.reshape(-1, 1, 1) if fmt == "bsr" else data, (60, 60))
    for n, layout, beta in itertools.product([1, 2, 16, 35], sorted(LAYOUTS), [0.0, 1.0, -0.5]):
        B = random_dense(rng, (60, n), np.float32)
        before = random_values(rng, 60 * n, np.float32).reshape(60, n)
        bias = random_bias(rng, kind, (60, n), np.float32)
        out = lay_out(before, layout)
        spmm(A, B, out=out, alpha=2.0, beta=beta, bias=bias, activation=activation)
        assert rest_untouched(out)
        assert_spmm(out, A, B, alpha=2.0, beta=beta, before=before, bias=bias,
                    activation=activation)


@pytest.mark.parametrize("in_order", [True, False])
@pytest.mark.parametrize("fmt", NATIVE_FORMATS)
def test_options_of_tall_results(fmt, in_order):
    """Rows dealt out to workers, and staged in ranges: each range its part of bias and out."""
    rng = np.random.default_rng(12)
    A = random_sparse(rng, fmt, (30_002, 51), 0.04, np.float32, in_order=in_order)
    bias = random_values(rng, 30_002, np.float32)[:, None]
    for n, order, workers in [(1, "C", 3), (3, "C", 3), (3, "F", 1), (40, "F", 1), (40, "F", 5)]:
        B = random_dense(rng, (51, n), np.float32)
        before = random_dense(rng, (30_002, n), np.float32)
        out = lay_out(before, order)
        spmm(A, B, out=out, alpha=3, beta=-2, bias=bias, activation="relu", workers=workers)
        assert rest_untouched(out)
        assert_spmm(out, A, B, alpha=3, beta=-2, before=before, bias=bias, activation="relu")


# bias ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", BIAS_SHAPES)
@pytest.mark.parametrize("fmt", FORMATS)
def test_bias_broadcasts_as_in_numpy(fmt, kind):
    rng = np.random.default_rng(3)
    A = random_sparse(rng, fmt, (18, 24), 0.3, np.float64)
    for n in (1, 7, 18, 70):
        B = random_dense(rng, (24, n), np.float64)
        bias = random_bias(rng, kind, (18, n), np.float64)
        assert_spmm(spmm(A, B, bias=bias), A, B, bias=bias)
        left = random_dense(rng, (n, 18), np.float64)
        bias = random_bias(rng, kind, (n, 24), np.float64)
        assert_spmm(spmm(left, A, bias=bias), left, A, bias=bias)


def test_a_square_result_tells_rows_from_columns():
    A = sp.csr_array((3, 3))
    np.testing.assert_array_equal(spmm(A, np.ones((3, 3)), bias=[1, 2, 3])[0], [1, 2, 3])
    np.testing.assert_array_equal(spmm(A, np.ones((3, 3)), bias=[[1], [2], [3]])[:, 0], [1, 2, 3])
    np.testing.assert_array_equal(spmm(np.ones((3, 3)), A, bias=[1, 2, 3])[0], [1, 2, 3])
    np.testing.assert_array_equal(spmm(np.ones((3, 3)), A, bias=[[1], [2], [3]])[:, 0], [1, 2, 3])


@pytest.mark.parametrize("bias", [[1, 2, 3], np.array([1.0, 2.0, 3.0]), np.float64(2), 2])
def test_bias_takes_the_dtype_of_the_result(bias):
    A = sp.csr_array(np.eye(3, dtype=np.float32))
    result = spmm(A, np.ones((3, 3), np.float32), bias=bias)
    assert result.dtype == np.float32
    np.testing.assert_array_equal(result, np.eye(3) @ np.ones((3, 3)) + bias)


def test_bias_of_any_strides():
    rng = np.random.default_rng(4)
    A = random_sparse(rng, "csr", (20, 24), 0.3, np.float32)
    B = random_dense(rng, (24, 9), np.float32)
    for layout in ("every other row", "rows reversed", "unaligned", "odd strides"):
        bias = lay_out(random_values(rng, 9, np.float32), layout)
        assert_spmm(spmm(A, B, bias=bias), A, B, bias=bias)
    assert_spmm(spmm(A, B, bias=np.broadcast_to(np.float32(3), 9)), A, B, bias=np.full(9, 3))


# activation ---------------------------------------------------------------------------------------

POINTS = np.array(
    [-np.inf, -3e38, -1e30, -1e4, -100, -88.7, -20, -9, -5, -1, -1e-3, -1e-30, -0.0, 0.0, 1e-30,
     1e-3, 0.5, 1, 5, 9, 20, 88.7, 100, 1e4, 1e30, 3e38, np.inf, np.nan]
)
LIMITS = {"relu": (0, np.inf), "gelu": (0, np.inf), "silu": (0, np.inf), "tanh": (-1, 1),
          "sigmoid": (0, 1), "gelu_tanh": (0, np.inf), "leaky_relu": (-np.inf, np.inf),
          "elu": (-1, np.inf), "hardswish": (0, np.inf), "hardsigmoid": (0, 1), "relu6": (0, 6)}
# Units in the last place; for gelu those that the reference makes in its tail, in float64.
UNITS = {"relu": 0, "gelu": 1000, "gelu_tanh": 1000, "relu6": 0}


def exactly(activation, points):
    points = points.astype(np.float64)
    with np.errstate(all="ignore"):
        value = ACTIVATIONS[activation](points)
    value[points == -np.inf], value[points == np.inf] = LIMITS[activation]
    return value


@pytest.mark.every_isa
@pytest.mark.parametrize("fmt", NATIVE_FORMATS)
@pytest.mark.parametrize("activation", list(LIMITS))
@pytest.mark.parametrize("dtype", DTYPES)
def test_activations_of_special_and_extreme_values(dtype, activation, fmt):
    """No NaN where there is a limit, no warning, and relative accuracy in the tails."""
    A = sp.csr_array(np.eye(5, dtype=dtype)).asformat(fmt)
    for n in (1, len(POINTS)):
        points = np.tile(POINTS.astype(dtype), (5, 1))[:, :n]
        for order in ("C", "F"):
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                result = spmm(A, points, activation=activation, order=order)
            expected = exactly(activation, points)
            np.testing.assert_allclose(
                result, expected, rtol=UNITS.get(activation, 4) * np.finfo(dtype).eps,
                atol=np.finfo(dtype).smallest_normal,
            )


@pytest.mark.parametrize("dtype", DTYPES)
def test_gelu_keeps_its_left_tail(dtype):
    """1 + erf would cancel there: the tail is to be right in relative terms."""
    x = np.linspace(-10, 0, 201, dtype=dtype)[:, None]
    result = spmm(sp.csr_array(np.eye(201, dtype=dtype)), x, activation="gelu")
    expected = x.astype(float) * special.ndtr(x.astype(float))
    np.testing.assert_allclose(result, expected, rtol=200 * np.finfo(dtype).eps)


@pytest.mark.every_isa
@pytest.mark.parametrize("n", [1, 3, 16, 33])
@pytest.mark.parametrize("fmt", NATIVE_FORMATS)
def test_relu_keeps_nan(fmt, n):
    A = sp.csr_array(np.eye(4, dtype=np.float32)).asformat(fmt)
    B = np.full((4, n), np.nan, np.float32)
    assert np.isnan(spmm(A, B, activation="relu")).all()
    np.testing.assert_array_equal(spmm(A, np.full((4, n), -1.0, np.float32), activation="relu"), 0)


# check --------------------------------------------------------------------------------------------


@given(A=sparse(), n=st.integers(0, 20), scanned=st.booleans(), seed=seeds)
def test_without_check(A, n, scanned, seed):
    if scanned and A.format in ("csr", "csc", "bsr"):
        A.has_sorted_indices  # noqa: B018 - scipy keeps what it finds
    rng = np.random.default_rng(seed)
    B = random_dense(rng, (A.shape[1], n), A.dtype)
    assert_spmm(spmm(A, B, check=False), A, B)
    left = random_dense(rng, (n, A.shape[0]), A.dtype)
    assert_spmm(spmm(left, A, check=False), left, A)


@pytest.mark.parametrize("fmt", ["csr", "bsr"])
def test_without_check_of_deep_products(fmt):
    """Unsorted rows must not be cut into panels, checked or not."""
    rng = np.random.default_rng(5)
    for in_order in (True, False):
        A = random_sparse(rng, fmt, (2200, 20_001), 0.004, np.float32, in_order=in_order)
        assert A.has_sorted_indices == in_order
        B = random_dense(rng, (A.shape[1], 70), np.float32)
        assert_spmm(spmm(A, B, check=False), A, B)


# Overlap ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fmt", NATIVE_FORMATS)
def test_out_may_be_the_dense_operand(fmt):
    rng = np.random.default_rng(6)
    for n in (1, 24, 70):
        A = random_sparse(rng, fmt, (24, 24), 0.4, np.float32)
        B = random_dense(rng, (24, n), np.float32)
        before = B.copy()
        spmm(A, B, out=B)
        assert_spmm(B, A, before)
        left = random_dense(rng, (n, 24), np.float32, "F")
        before = left.copy()
        spmm(left, A, out=left, beta=1.0)
        assert_spmm(left, before, A, beta=1.0, before=before)


def test_out_may_overlap_the_dense_operand_in_part():
    rng = np.random.default_rng(7)
    A = random_sparse(rng, "csr", (24, 24), 0.4, np.float32)
    whole = random_dense(rng, (30, 40), np.float32)
    for rows, cols in itertools.product([0, 3], [0, 5]):
        buffer = whole.copy()
        B, out = buffer[:24, :20], buffer[rows : rows + 24, cols : cols + 20]
        before = B.copy()
        spmm(A, B, out=out)
        assert_spmm(out, A, before)
    square = random_dense(rng, (24, 24), np.float32)
    before = square.copy()
    spmm(A, square, out=square.T)
    assert_spmm(square.T, A, before)


@pytest.mark.parametrize("fmt", ["csr", "csc", "coo"])
def test_out_may_be_the_values_of_the_sparse_operand(fmt):
    rng = np.random.default_rng(8)
    A = random_sparse(rng, fmt, (24, 24), 0.5, np.float32)
    A.data = np.resize(A.data, 24 * 12)
    B = random_dense(rng, (24, 12), np.float32)
    kept = A.copy()
    spmm(A, B, out=A.data.reshape(24, 12))
    assert_spmm(A.data.reshape(24, 12), kept, B)


def test_out_may_lie_over_the_index_arrays():
    """A result written over indices that are still read would send reads anywhere."""
    rng = np.random.default_rng(9)
    A = random_sparse(rng, "csr", (24, 24), 0.5, np.float32)
    B = random_dense(rng, (24, 12), np.float32)
    kept = A.copy()
    for name in ("indices", "indptr"):
        buffer = np.zeros(24 * 12, np.float32)
        part = buffer.view(np.int32)[: len(getattr(kept, name))]
        part[:] = getattr(kept, name)
        A = kept.copy()
        setattr(A, name, part)
        out = buffer.reshape(24, 12)
        spmm(A, B, out=out)
        assert_spmm(out, kept, B)


@pytest.mark.parametrize("shape", [(1, 9), (20, 1)])
def test_bias_may_be_a_part_of_out(shape):
    rng = np.random.default_rng(10)
    A = random_sparse(rng, "csr", (20, 24), 0.3, np.float32)
    B = random_dense(rng, (24, 9), np.float32)
    out = random_dense(rng, (20, 9), np.float32)
    bias = out[: shape[0], : shape[1]]
    before = bias.copy()
    spmm(A, B, out=out, bias=bias)
    assert_spmm(out, A, B, bias=before)
