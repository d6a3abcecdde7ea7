"""alpha, beta, bias: which meets what, and in which order, in every format and kernel.

Rows of one entry have sums of one rounding, so that every step of the rule can be repeated by NumPy
and results must be equal, however large or small numbers get on the way.
"""

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import example, given
from hypothesis import strategies as st
from reference import ACTIVATIONS, assert_spmm
from strategies import DTYPES, FORMATS, LAYOUTS, lay_out

from spkernels import prepare, sddmm, spmm
from spkernels._prepare.strategies import KERNELS

ROWS = 6  # of A: few, for DIA and DOK, which scipy multiplies then

#: a, b, alpha, beta, old, bias.
SINGLES = [
    (1e-30, 1e30, 1e10, 0, 0, 0),  # alpha * b would be infinite
    (1e-30, 1e30, 1e10, 1, 3, 1),
    (np.inf, 1e-45, 0.5, 0, 0, 0),  # and here 0, and then NaN
    (1e15, 1e-44, -2.5, 0, 0, 0),  # and here far from it
    (1e-38, 1e-30, 1e38, 0, 0, 0),  # the sum is 0 first
    (1e-38, 1e-3, 1e38, 0, 0, 0),  # or subnormal
    (1e20, 1e20, 1e-30, 0, 0, 1),  # or infinite
    (1, 3e38, 1, 1.5, -3e38, 0),  # beta * old is infinite before it is added
    (1, 3e38, 1, 1, 3e38, -np.inf),
    (3, 5, 1e-60, 1e-60, np.nan, 0),  # both factors are 0 in float32
    (3, 5, np.inf, 1, 1, 0),
    (0, 5, np.nan, 0, 0, 0),
]
DOUBLES = [
    (1e-300, 1e300, 1e100, 0, 0, 0),
    (np.inf, 5e-324, 0.5, 0, 0, 0),
    (1e150, 1e-323, -2.5, 0, 0, 0),
    (1e-300, 1e-300, 1e300, 0, 0, 0),
    (1e200, 1e200, 1e-300, 1, 1, 1),
]
CASES = [(np.float32, *case) for case in SINGLES] + [(np.float64, *case) for case in DOUBLES]


def ruled(dtype, product, alpha, beta, old, bias):
    """Every step in `dtype`, in the order that the documentation has."""
    alpha, beta, old, bias = (dtype(number) for number in (alpha, beta, old, bias))
    with np.errstate(all="ignore"):
        result = alpha * product
        if beta != 0:
            result = result + beta * old
        return result + bias


def narrowed(dtype, *numbers):
    with np.errstate(all="ignore"):
        return tuple(dtype(number) for number in numbers)


def diagonal(fmt, a):
    return sp.csr_array(
        (np.full(ROWS, a), np.arange(ROWS), np.arange(ROWS + 1)), shape=(ROWS, ROWS)
    ).asformat(fmt)


def operand(shape, b, layout):
    return lay_out(np.full(shape, b), layout)


def multiplied(A, shape, dtype, case, layout, product):
    """What `product` makes of B and the options, and what the rule makes of the numbers."""
    a, b, alpha, beta, old, bias = case
    options = {"alpha": alpha, "beta": beta, "bias": dtype(bias)}
    if beta != 0 or layout != "C":
        options["out"] = operand(shape, dtype(old), layout)
    result = product(A, operand(shape, b, layout), options)
    with np.errstate(all="ignore"):
        expected = ruled(dtype, a * b, alpha, beta, old, bias)
    return result, np.full(shape, expected)


def by_spmm(A, B, options):
    return spmm(A, B, **options)


def by_spmm_from_the_left(A, B, options):
    if "out" in options:
        options["out"] = options["out"].T
    return spmm(B.T, A.T, **options).T


def by_prepared(A, B, options):
    return prepare(A, n=B.shape[1] if B.ndim == 2 else 1, tune=False).spmm(B, **options)


def by_kernel(name):
    def multiply(A, B, options):
        A = sp.csr_array(A)
        A.sum_duplicates()
        kernel = KERNELS[name](A, B.shape[1] if B.ndim == 2 else 1)
        values = (options.get("out"), options["alpha"], options["beta"], options["bias"])
        return kernel.multiply(B, *values, None, None, None)

    return multiply


PRODUCTS = {"spmm": by_spmm, "from the left": by_spmm_from_the_left, "prepared": by_prepared}
PRODUCTS |= {f"kernel {name}": by_kernel(name) for name in KERNELS if name != "bitmap"}


@pytest.mark.every_isa
@pytest.mark.parametrize("how", PRODUCTS)
@pytest.mark.parametrize("fmt", FORMATS)
def test_alpha_multiplies_finished_sums(fmt, how):
    for dtype, *case in CASES:
        a, b = narrowed(dtype, *case[:2])
        A = diagonal(fmt, a)
        for shape in ((ROWS,), (ROWS, 1), (ROWS, 3), (ROWS, 40)):
            for layout in ("C", "F", "every other column"):
                result, expected = multiplied(
                    A, shape, dtype, (a, b, *case[2:]), layout, PRODUCTS[how]
                )
                np.testing.assert_array_equal(result, expected, str((dtype, case, shape, layout)))


def test_the_result_that_was_infinite():
    """The plainest of them, with numbers written out."""
    A = sp.csr_array(np.array([[1e-30]], np.float32))
    B = np.array([[1e30]], np.float32)
    for fmt in FORMATS:
        assert spmm(A.asformat(fmt), B, alpha=1e10)[0, 0] == np.float32(1e10)
        assert spmm(B, A.asformat(fmt), alpha=1e10)[0, 0] == np.float32(1e10)


numbers = st.floats(width=32, allow_nan=False, allow_infinity=False)


@given(
    a=st.floats(width=32, allow_nan=False),
    b=numbers,
    alpha=numbers,
    beta=st.just(0.0) | numbers,
    old=numbers,
    bias=numbers,
    fmt=st.sampled_from(FORMATS),
    how=st.sampled_from(list(PRODUCTS)),
    shape=st.sampled_from([(ROWS,), (ROWS, 1), (ROWS, 5), (ROWS, 33)]),
    layout=st.sampled_from(list(LAYOUTS)),
)
@example(1e15, 1e-44, -2.5, 1.0, 1.0, 0.0, "csc", "spmm", (ROWS, 5), "C")
@example(1e15, 1e-44, -2.5, 0.0, 0.0, 0.0, "csr", "from the left", (ROWS, 5), "F")
def test_any_numbers(a, b, alpha, beta, old, bias, fmt, how, shape, layout):
    dtype = np.float32
    if shape == (ROWS,) and layout in ("F", "columns apart", "columns reversed"):
        layout = "C"  # of a vector these have other meanings
    a, b = narrowed(dtype, a, b)
    A = diagonal(fmt, a)
    result, expected = multiplied(
        A, shape, dtype, (a, b, alpha, beta, old, bias), layout, PRODUCTS[how]
    )
    np.testing.assert_array_equal(result, expected)


# Long rows ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("beta", [0.0, 1.0])
@pytest.mark.parametrize("n", [1, 17, 130])
@pytest.mark.parametrize("fmt", ["csr", "csc", "coo", "bsr"])
def test_parts_of_a_sum_do_not_meet_alpha(fmt, n, beta):
    """Half of a row is a sum that alpha would make infinite; the other half takes it back."""
    m, k = 40, 9002
    row = np.zeros(k, np.float32)
    row[2::2] = 2.0**100
    row[k // 2 + 1 :] *= -1
    assert row.sum() == 0
    row[0] = 2.0**90
    A = sp.csr_array(np.tile(row, (m, 1))).asformat(fmt)
    B, out = np.ones((k, n), np.float32), np.full((m, n), 2.0**119, np.float32)
    expected = 2.0**120 + beta * 2.0**119
    for product in (by_spmm, by_prepared):
        options = {"alpha": 2.0**30, "beta": beta, "out": out.copy()}
        np.testing.assert_array_equal(product(A, B, options), np.float32(expected))
    left = by_spmm_from_the_left(A, B, {"alpha": 2.0**30, "beta": beta, "out": out.copy()})
    np.testing.assert_array_equal(left, np.float32(expected))


@pytest.mark.parametrize("fmt", ["csc", "coo", "csr"])
@pytest.mark.parametrize("dense_first", [False, True])
def test_tall_products_keep_what_beta_multiplies(fmt, dense_first):
    """Of so many rows that entries are not walked once for each part of the result."""
    m, n = 80_000, 64
    rng = np.random.default_rng(0)
    A = sp.random_array((m, 50), density=0.001, format="csr", dtype=np.float32, rng=rng)
    A = A.asformat(fmt)
    B, out = rng.standard_normal((50, n), np.float32), rng.standard_normal((m, n), np.float32)
    if dense_first:
        result = spmm(B.T, A.T, alpha=-0.5, beta=2.0, out=out.copy().T).T
    else:
        result = spmm(A, B, alpha=-0.5, beta=2.0, out=out.copy())
    assert_spmm(result, A, B, alpha=-0.5, beta=2.0, before=out)


# sddmm --------------------------------------------------------------------------------------------


@pytest.mark.every_isa
@pytest.mark.parametrize("scale", [False, True])
@pytest.mark.parametrize("fmt", ["csr", "csc", "coo", "bsr"])
def test_alpha_multiplies_finished_dot_products(fmt, scale):
    for dtype, *case in CASES:
        x, y, p = narrowed(dtype, case[0], case[1], case[4])
        alpha, beta = narrowed(dtype, *case[2:4])
        P = diagonal("csr", p).asformat(fmt)
        X, Y = np.zeros((ROWS, 9), dtype), np.zeros((9, ROWS), dtype)
        X[:, 3], Y[3, :] = x, y
        with np.errstate(all="ignore"):
            expected = alpha * (x * y)
            expected = expected * p if scale else expected
            expected = expected + beta * p if beta != 0 else expected
        for result in (
            sddmm(P, X, Y, alpha=case[2], beta=case[3], scale=scale),
            prepare(P, op="sddmm").sddmm(X, Y, alpha=case[2], beta=case[3], scale=scale),
        ):
            np.testing.assert_array_equal(result.diagonal(), np.full(ROWS, expected), str(case))


# Activations --------------------------------------------------------------------------------------

#: Units in the last place that results may be off, over the whole range.
UNITS = {"relu": 0, "gelu": 2, "silu": 2, "tanh": 2, "sigmoid": 2}


def activated(activation, x):
    """In long double, which has more digits and exponents on the machines that matter."""
    x = x.astype(np.longdouble)
    with np.errstate(all="ignore"):
        if activation in ("silu", "sigmoid"):
            factor = x if activation == "silu" else 1
            low = factor * np.exp(np.minimum(x, 0)) / (1 + np.exp(-np.abs(x)))
            return np.where(x < 0, low, factor / (1 + np.exp(-np.abs(x))))
        return np.tanh(x) if activation == "tanh" else np.maximum(x, 0)


@pytest.mark.every_isa
@pytest.mark.skipif(
    np.finfo(np.longdouble).maxexp == np.finfo(np.float64).maxexp,
    reason="Long double is double here, which makes no reference for it.",
)
@pytest.mark.parametrize("activation", ["relu", "silu", "tanh", "sigmoid"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_activations_over_the_whole_range(dtype, activation):
    """Numbers near zero stay what they are: -7e-38 is one of float32."""
    low = {np.float32: 110, np.float64: 760}[dtype]
    small = np.geomspace(np.finfo(dtype).smallest_subnormal * 4, 1, 2000)
    x = np.concatenate([np.linspace(-low, low, 20_001), small, -small]).astype(dtype)
    A = sp.csr_array(np.ones((1, 1), dtype))
    result = spmm(A, x[None, :], activation=activation)[0]
    expected = activated(activation, x)
    unit = np.maximum(
        np.spacing(np.abs(expected).astype(dtype)), np.finfo(dtype).smallest_subnormal
    )
    assert (np.abs(result - expected) <= UNITS[activation] * unit.astype(np.longdouble)).all()
    column = spmm(sp.eye_array(x.size, dtype=dtype, format="csc"), x, activation=activation)
    np.testing.assert_array_equal(column, result)


def test_silu_of_float32_below_minus_88():
    x = np.array([[-88.8, -90.0, -95.0, -100.0, -103.0]], np.float32)
    result = spmm(sp.csr_array(np.ones((1, 1), np.float32)), x, activation="silu")
    exact = ACTIVATIONS["silu"](x.astype(float))
    assert (np.abs(result - exact) <= 2 * np.spacing(np.abs(exact).astype(np.float32))).all()
    assert (result < 0).all()


def test_gelu_in_its_tail():
    """x * Phi(x) by the integral's continued fraction, in Python's integers of 60 digits."""
    from decimal import Decimal, localcontext

    def tail(x):
        with localcontext() as context:
            context.prec = 60
            t = -Decimal(float(x))
            ratio = Decimal(0)
            for i in range(4000, 0, -1):
                ratio = i / (t + ratio)
            ratio = 1 / (t + ratio)
            root = Decimal("2.50662827463100050241576528481104525300698674060993831663")
            return -t * (-t * t / 2).exp() / root * ratio

    for dtype, points in (
        (np.float32, np.linspace(-14.3, -1.5, 129)),
        (np.float64, np.linspace(-38.6, -1.5, 372)),
    ):
        x = points.astype(dtype)
        result = spmm(sp.csr_array(np.ones((1, 1), dtype)), x[None, :], activation="gelu")[0]
        for point, value in zip(x, result, strict=True):
            exact = tail(point)
            unit = Decimal(float(np.spacing(np.abs(dtype(float(exact))))))
            assert abs(Decimal(float(value)) - exact) <= UNITS["gelu"] * unit, (dtype, point)
