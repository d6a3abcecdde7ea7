"""What the right answer is, in float64, and how far from it rounding may lead."""

import numpy as np
import scipy.sparse as sp
from scipy import special

#: Roundings of the epilogue and of the way a sum is put together, besides those of its terms.
EXTRA_OPERATIONS = 10

ACTIVATIONS = {
    None: lambda x: x,
    "relu": lambda x: np.maximum(x, 0),
    "gelu": lambda x: 0.5 * x * special.erfc(-x / np.sqrt(2)),
    "silu": lambda x: x * special.expit(x),
    "tanh": np.tanh,
    "sigmoid": special.expit,
    "gelu_tanh": lambda x: x * special.expit(2 * np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)),
    "leaky_relu": lambda x: np.where(x < 0, 0.01 * x, x),
    "elu": lambda x: np.where(x < 0, np.expm1(np.minimum(x, 0)), x),
    "hardswish": lambda x: x * (np.clip(x + 3, 0, 6) / 6),
    "hardsigmoid": lambda x: np.clip(x + 3, 0, 6) / 6,
    "relu6": lambda x: np.clip(x, 0, 6),
}
# No derivative of them exceeds this.
LIPSCHITZ = 1.5


def entries(S):
    """Rows, columns and float64 values of all that is stored, duplicates apart."""
    coo = S.tocoo()
    return coo.row.astype(np.intp), coo.col.astype(np.intp), coo.data.astype(np.float64)


# Above this many elements the reference stays sparse, for the time and the memory.
MAX_DENSE = 1 << 20


def to_float64(S, change=lambda values: values):
    """Add up change(values) in float64; not as S does, which would round in its dtype."""
    rows, cols, values = entries(S)
    if S.shape[0] * S.shape[1] > MAX_DENSE:
        return sp.csr_array((change(values), (rows, cols)), shape=S.shape)
    dense = np.zeros(S.shape)
    np.add.at(dense, (rows, cols), change(values))
    return dense


def gamma(operations, dtype):
    """The factor of Higham's bound: k u / (1 - k u)."""
    ku = operations * np.finfo(dtype).eps / 2
    return ku / (1 - ku)


def terms(S, axis):
    """The most entries in a row (axis 1) or column (axis 0)."""
    rows, cols, _ = entries(S)
    outer = rows if axis == 1 else cols
    return int(np.bincount(outer).max()) if len(outer) else 0


def assert_spmm(
    result, A, B, *, alpha=1.0, beta=0.0, before=None, bias=None, activation=None, dtype=None
):
    """Check activation(alpha * A @ B + beta * before + bias), of finite operands."""
    dense_first = isinstance(A, np.ndarray)
    S, D = (B, A) if dense_first else (A, B)
    dtype = np.result_type(A.dtype, B.dtype) if dtype is None else np.dtype(dtype)
    plain, large, D = to_float64(S), to_float64(S, np.abs), np.asarray(D, np.float64)
    product = D @ plain if dense_first else plain @ D
    size = np.abs(D) @ large if dense_first else large @ np.abs(D)
    value, size = alpha * product, abs(alpha) * size
    if beta != 0:
        value, size = value + beta * before.astype(float), size + np.abs(beta * before)
    if bias is not None:
        value, size = value + np.asarray(bias, float), size + np.abs(np.asarray(bias, float))
    count = terms(S, 0 if dense_first else 1) + EXTRA_OPERATIONS
    assert isinstance(result, np.ndarray)
    assert result.dtype == dtype
    assert result.shape == value.shape
    assert_close(result, value, size, count, activation)


def assert_sddmm(result, P, X, Y, *, alpha=1.0, beta=0.0, scale=False, dtype=None):
    """Check the values of alpha * (X @ Y) [* P] + beta * P at P's stored positions."""
    dtype = np.result_type(P.dtype, X.dtype, Y.dtype) if dtype is None else np.dtype(dtype)
    rows, cols, old = entries(P)
    if P.format in ("csr", "csc", "coo", "bsr"):
        assert result.format == P.format
        assert type(result) is type(P)
    assert result.shape == P.shape
    assert result.dtype == dtype
    got_rows, got_cols, got = entries(result)
    np.testing.assert_array_equal(got_rows, rows)
    np.testing.assert_array_equal(got_cols, cols)
    X, Y = np.asarray(X, np.float64), np.asarray(Y, np.float64)
    value = alpha * np.einsum("pk,kp->p", X[rows], Y[:, cols])
    size = abs(alpha) * np.einsum("pk,kp->p", np.abs(X[rows]), np.abs(Y[:, cols]))
    if scale:
        value, size = value * old, size * np.abs(old)
    if beta != 0:
        value, size = value + beta * old, size + np.abs(beta * old)
    assert_close(got.astype(dtype), value, size, X.shape[1] + EXTRA_OPERATIONS)


def assert_rounded_alike(result, expected, size, count):
    """Check that two results are the same sums of `count` terms, rounded in their dtype each.

    The magnitudes of the terms add up to `size`.  A product of complex numbers is two terms in each
    part of the result.  Integers are the same.
    """
    result, expected = np.asarray(result), np.asarray(expected)
    if result.dtype.kind not in "fc":
        np.testing.assert_array_equal(result, expected)
        return
    parts = 2 if result.dtype.kind == "c" else 1
    bound = 2 * parts * gamma(parts * count, result.dtype) * size
    bound += count * np.finfo(result.dtype).smallest_subnormal
    wrong = ~(np.abs(result - expected) <= bound)
    assert not wrong.any(), (np.argwhere(wrong)[:5], result[wrong][:5], expected[wrong][:5])


def assert_close(result, value, size, count, activation=None):
    """Check |result - f(value)| where `value` sums `count` terms whose magnitudes add up to `size`.

    The reference rounds in float64 too, so its own bound is added.
    """
    dtype = result.dtype
    bound = (gamma(count, dtype) + gamma(count, np.float64)) * size
    bound += count * np.finfo(dtype).smallest_subnormal
    if activation is not None:
        unit = np.finfo(dtype).eps
        bound = LIPSCHITZ * (bound + 2 * unit * np.abs(value))
        value = ACTIVATIONS[activation](value)
        bound += 4 * unit * np.abs(value) + np.finfo(dtype).smallest_subnormal
    error = np.abs(result.astype(np.float64) - value)
    assert not np.isnan(error).any(), "NaN where finite operands give none"
    if error.size:
        worst = np.argmax(error - bound)
        assert (error <= bound).all(), (
            f"off by {error.flat[worst]:.3g} where {bound.flat[worst]:.3g} is allowed, "
            f"at {np.unravel_index(worst, error.shape)}: "
            f"{result.flat[worst]} instead of {value.flat[worst]}"
        )
