"""Activations: the same bits wherever they are applied, and PyTorch's values at the edges."""

import typing

import numpy as np
import pytest
import scipy.sparse as sp
from reference import ACTIVATIONS
from strategies import DTYPES, NATIVE_FORMATS, random_sparse

from spkernels import _core, prepare, spmm
from spkernels._inputs import types
from spkernels._prepare import strategies as strategies_module
from spkernels.cuda import _library

NAMES = [name for name in ACTIVATIONS if name]
RNG = np.random.default_rng(0)


def applied(X, activation):
    """The activation of each element, at another place and by another kernel than that of `X`."""
    one = sp.csr_array(np.ones((1, 1), X.dtype))
    row = np.ascontiguousarray(X[::-1]).reshape(1, -1)
    return spmm(one, row, activation=activation).reshape(X.shape)[::-1]


def same_bits(a, b):
    assert a.dtype == b.dtype
    assert a.shape == b.shape
    np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(np.signbit(a), np.signbit(b))


def test_all_lists_of_activations_agree():
    assert ACTIVATIONS.keys() == _core.ACTIVATIONS.keys()
    assert _core.ACTIVATIONS == _library.ACTIVATIONS
    assert set(typing.get_args(types.Activation)) == set(NAMES)
    assert all(f'"{name}"' in spmm.__doc__ for name in NAMES)


@pytest.mark.every_isa
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("activation", NAMES)
def test_the_same_bits_in_all_formats_and_layouts(activation, dtype):
    A = random_sparse(RNG, "csr", (24, 30), 0.2, dtype)
    for n in (1, 3, 37):
        B = 3 * RNG.standard_normal((30, n)).astype(dtype)
        for fmt in NATIVE_FORMATS:
            S = A.asformat(fmt)
            for B_order, C_order in (("C", "C"), ("F", "F"), ("C", "F")):
                D = np.asarray(B, order=B_order)
                plain = spmm(S, D, order=C_order)
                fused = spmm(S, D, activation=activation, order=C_order)
                same_bits(fused, applied(plain, activation))
            same_bits(spmm(B.T, S.T, activation=activation), applied(spmm(B.T, S.T), activation))


@pytest.mark.every_isa
@pytest.mark.parametrize("activation", NAMES)
def test_the_same_bits_of_prepared_matrices(activation):
    A = random_sparse(RNG, "csr", (130, 64), 0.2, np.float32)
    for n in (None, 1, 5, 40):
        W = prepare(A, n=n or 1, tune=False)
        B = 3 * RNG.standard_normal((64, n) if n else 64).astype(np.float32)
        same_bits(W.spmm(B, activation=activation), applied(W.spmm(B), activation))
        same_bits(W.linear(B.T, activation=activation), applied(W.linear(B.T), activation))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("activation", NAMES)
def test_the_same_bits_after_products_of_numpy_and_scipy(monkeypatch, activation, dtype):
    """Nor does the dense kernel of a prepared matrix leave the product to a CSR for them."""
    monkeypatch.setattr(strategies_module, "blas_threads", lambda: 1)
    A = random_sparse(RNG, "csr", (130, 64), 0.5, dtype)
    kernel = strategies_module.KERNELS["dense"](A, 8)
    for n in (1, 9):
        B = 3 * RNG.standard_normal((64, n)).astype(dtype)
        bias = RNG.standard_normal(n).astype(dtype)
        old = RNG.choice(np.array([np.inf, -np.inf, np.nan, 1, -9], dtype), (130, n))
        for order, beta in (("C", 0.0), ("F", 0.0), ("C", 1.0), ("F", 1.0)):
            plain, fused = (
                kernel.multiply(B, old.copy(order), 0.5, beta, bias, name, None, None)
                for name in (None, activation)
            )
            same_bits(fused, applied(plain, activation))
    assert kernel._csr is None
    few = sp.dia_array((np.ones((2, 9), dtype), [0, 1]), shape=(9, 9))
    D = 3 * RNG.standard_normal((9, 4)).astype(dtype)
    for S in (few, few.todok()):
        same_bits(spmm(S, D, activation=activation), applied(spmm(S, D), activation))
        same_bits(spmm(D.T, S, activation=activation), applied(spmm(D.T, S), activation))
    assert spmm(few, D[:, :0], activation=activation).shape == (9, 0)


@pytest.mark.every_isa
@pytest.mark.parametrize("activation", NAMES)
def test_the_same_bits_of_int8(activation):
    W = prepare(random_sparse(RNG, "csr", (40, 64), 0.3, np.float32), dtype="int8")
    for n in (1, 4, 9, 70):
        B = RNG.integers(-128, 128, (64, n), np.int8)
        options = {"scale": 0.02, "dtype": np.float32}
        same_bits(
            W.spmm(B, **options, activation=activation), applied(W.spmm(B, **options), activation)
        )
        same_bits(
            W.linear(B.T, **options, activation=activation),
            applied(W.linear(B.T, **options), activation),
        )


def test_relu6_of_integers():
    A = sp.csr_array(np.diag([1, 2, -3]))
    B = np.array([[-1, 7], [2, 5], [1, -2]])
    expected = np.clip(A @ B, 0, 6)
    result = spmm(A, B, activation="relu6")
    np.testing.assert_array_equal(result, expected)
    assert result.dtype == expected.dtype


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("activation", NAMES)
def test_values_of_pytorch(activation, dtype):
    torch = pytest.importorskip("torch", reason="torch is not installed.")
    functional = torch.nn.functional
    theirs = {
        "gelu_tanh": lambda x: functional.gelu(x, approximate="tanh"),
        "tanh": torch.tanh,
        "sigmoid": torch.sigmoid,
    }.get(activation, getattr(functional, activation, None))
    tiny = np.finfo(dtype).smallest_subnormal
    points = np.concatenate(
        [np.linspace(-8, 8, 1601), [np.nan, np.inf, 0.0, tiny, -tiny, 3, -3, 6, 1e4, -1e4]]
    ).astype(dtype)
    one = sp.csr_array(np.ones((1, 1), dtype))
    for sign in (1, -1):  # sums are not -0, but this multiple of them may be
        x = sign * points
        expected = theirs(torch.from_numpy(x)).numpy()
        result = spmm(one, points[None], alpha=sign, activation=activation)[0]
        # PyTorch's own errors are relative to x, not to the result.
        error = 16 * np.finfo(dtype).eps * np.maximum(1, np.abs(x))
        same = (np.isnan(result) & np.isnan(expected)) | (result == expected)
        if activation in ("gelu", "gelu_tanh", "silu", "hardswish"):
            same |= np.isinf(x)  # NaN there, or not, by the length of the array
        with np.errstate(invalid="ignore"):
            assert (same | (np.abs(result - expected) <= error)).all()
        zeros = (result == 0) & (expected == 0)
        np.testing.assert_array_equal(np.signbit(result[zeros]), np.signbit(expected[zeros]))
