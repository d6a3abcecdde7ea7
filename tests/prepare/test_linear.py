"""W.linear, stacks of matrices, and NumPy's own functions of what multiplies by @."""

import operator

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from reference import ACTIVATIONS, assert_spmm
from strategies import DTYPES, factors, random_dense, random_sparse, random_values, seeds, sparse

import spkernels
from spkernels import _core, aslinearoperator, prepare, spmm
from spkernels._prepare import strategies as strategies_module
from spkernels.formats import NMArray

KERNELS = st.sampled_from(sorted(set(strategies_module.KERNELS) - {"bitmap"}))
LEADING = st.lists(st.integers(0, 4), max_size=3).map(tuple)
BIASES = st.sampled_from([None, "vector", "number"])
activations = st.sampled_from(sorted(ACTIVATIONS, key=str))


class Always(dict):
    """Choices that are all the same."""

    def __init__(self, name):
        super().__init__()
        self.name = name

    def get(self, key, default=None):
        return self.name


def prepared(A, kernel):
    W = prepare(A, tune=False)
    for operand in (W, W.T):
        operand._choices = Always(kernel)
        operand._state.forget()
    return W


def stack(rng, shape, dtype, order):
    """Draw a stack whose axes lie in memory in some order, every other element of some axis."""
    order = [axis for axis in order if axis < len(shape)]
    sizes = [2 * shape[axis] for axis in order]
    values = random_values(rng, int(np.prod(sizes)), dtype).reshape(sizes)
    # Back to the order of `shape`; the first of each axis' two halves, or every other element.
    view = values.transpose(np.argsort(order))
    steps = rng.integers(1, 3, len(shape))
    return view[tuple(slice(0, size * step, step) for size, step in zip(shape, steps, strict=True))]


def make_bias(kind, rng, rows, dtype):
    if kind == "vector":
        return random_values(rng, rows, dtype)
    return 0.5 if kind == "number" else None


def flat(array):
    return array.reshape(int(np.prod(array.shape[:-1])), array.shape[-1])


# linear -------------------------------------------------------------------------------------------


@given(
    A=sparse(), lead=LEADING, dtype=st.sampled_from(DTYPES), order=st.permutations(range(4)),
    bias=BIASES, activation=activations, alpha=factors, seed=seeds, kernel=KERNELS,
)  # fmt: skip
def test_linear(A, lead, dtype, order, bias, activation, alpha, seed, kernel):
    rng = np.random.default_rng(seed)
    W = prepared(A, kernel)
    rows, cols = A.shape
    X = stack(rng, (*lead, cols), dtype, order)
    before = X.copy()
    bias = make_bias(bias, rng, rows, A.dtype)
    Y = W.linear(X, bias, activation=activation, alpha=alpha)
    assert Y.shape == (*lead, rows)
    assert Y.flags.c_contiguous
    np.testing.assert_array_equal(X, before)
    # Not A, whose duplicates were added up in its own dtype.
    assert_spmm(flat(Y), flat(X), W.toscipy().T, bias=bias, activation=activation, alpha=alpha)


@given(
    A=sparse(), lead=LEADING, order=st.permutations(range(4)), into=st.permutations(range(4)),
    bias=BIASES, activation=activations, beta=factors, seed=seeds, kernel=KERNELS,
)  # fmt: skip
def test_linear_writes_to_out(A, lead, order, into, bias, activation, beta, seed, kernel):
    rng = np.random.default_rng(seed)
    W = prepared(A, kernel)
    rows, cols = A.shape
    X = stack(rng, (*lead, cols), A.dtype, order)
    out = stack(rng, (*lead, rows), A.dtype, into)
    before = out.copy()
    bias = make_bias(bias, rng, rows, A.dtype)
    assert W.linear(X, bias, activation=activation, out=out, beta=beta) is out
    assert_spmm(
        flat(out), flat(X), A.T, bias=bias, activation=activation, beta=beta, before=flat(before)
    )


def test_linear_in_place():
    A = random_sparse(np.random.default_rng(0), "csr", (12, 12), 0.4, np.float64)
    W = prepare(A, tune=False)
    for shape in ((12,), (5, 12), (3, 5, 12)):
        X = np.random.default_rng(1).standard_normal(shape)
        expected = W.linear(X)
        assert W.linear(X, out=X) is X
        np.testing.assert_array_equal(X, expected)
    X = np.random.default_rng(1).standard_normal((3, 5, 12))
    expected, turned = W.linear(X), X.transpose(1, 0, 2)
    W.linear(X, out=X)
    np.testing.assert_array_equal(turned, expected.transpose(1, 0, 2))


def test_linear_has_no_transposed_copies(monkeypatch):
    """What the kernels get are views of X and of the result."""
    A = random_sparse(np.random.default_rng(0), "csr", (8, 6), 0.5, np.float32)
    W = prepared(A, "packed")
    X = np.ones((3, 5, 6), np.float32)
    W.linear(X)
    seen = []

    def watch(packed, B, out=None, *rest):
        seen.append((B, spmm_fast(packed, B, out, *rest)))
        return seen[-1][1]

    spmm_fast = _core.spmm_fast
    monkeypatch.setattr(_core, "spmm_fast", watch)
    Y = W.linear(X)
    (B, result), = [entry for entry in seen if entry[1] is not None]
    assert np.shares_memory(B, X)
    assert np.shares_memory(result, Y)


def test_linear_keeps_the_promise_of_structural_zeros():
    W = prepare(sp.csr_array([[1.0, 0.0], [0.0, 1.0]]), tune=False)
    X = np.array([[[np.nan, 1.0]], [[2.0, np.inf]]])
    np.testing.assert_array_equal(W.linear(X), X)


def test_linear_of_other_dtypes():
    A = sp.csr_array(np.array([[0, 2], [1, 0], [3, 4]], np.float32))
    W, X = prepare(A, tune=False), np.arange(12).reshape(2, 3, 2)
    for dtype in (np.int8, np.int64, np.float16, np.complex64, ">f8", bool):
        Y = W.linear(X.astype(dtype))
        expected = X.astype(dtype) @ A.toarray().T
        assert Y.dtype == expected.dtype
        np.testing.assert_array_equal(Y, expected)
    np.testing.assert_array_equal(W.linear([[1, 2]], [1, 2, 3]), [[5, 3, 14]])


def test_linear_names_what_is_wrong():
    W = prepare(sp.csr_array(np.ones((4, 3))), tune=False)
    X = np.ones((2, 5, 3))
    for call, error, text in (
        (lambda: W.linear(np.ones((2, 4))), ValueError, r"X has shape \(2, 4\) and W has shape"),
        (lambda: W.linear(np.ones((2, 5, 4))), ValueError, r"X has shape \(2, 5, 4\) and W has"),
        (lambda: W.linear(1.0), ValueError, r"X must have shape \(\.\.\., 3\)"),
        (lambda: W.linear(sp.csr_array(np.ones((2, 3)))), TypeError, "X must be dense"),
        (lambda: W.linear([["a", "b", "c"]]), TypeError, "X must hold numbers"),
        (lambda: W.linear(X, np.ones(3)), ValueError, r"bias must be .* \(4,\), got \(3,\)"),
        (lambda: W.linear(X, np.ones((5, 4))), ValueError, r"bias must be .* got \(5, 4\)"),
        (lambda: W.linear(X, ["a"] * 4), TypeError, "bias must hold numbers"),
        (lambda: W.linear(X, activation="swish"), ValueError, "activation must be one of"),
        (lambda: W.linear(X, out=np.empty((2, 5, 3))), ValueError, r"out must have shape \(2, 5"),
        (lambda: W.linear(X, out=np.empty((2, 5, 4), np.float32)), ValueError, "out must have dty"),
        (lambda: W.linear(X, out=[]), TypeError, "out must be an ndarray"),
        (lambda: W.linear(X, beta=1.0), ValueError, "beta must be 0 without out, .* got 1.0"),
        (lambda: W.linear(X, workers=0), ValueError, "workers must be a positive or negative"),
    ):
        with pytest.raises(error, match=text):
            call()


# Stacks -------------------------------------------------------------------------------------------


@given(
    A=sparse(), lead=LEADING, n=st.integers(0, 5), order=st.permutations(range(5)), seed=seeds,
    kernel=KERNELS, given_out=st.booleans(),
)  # fmt: skip
def test_stacks_on_either_side(A, lead, n, order, seed, kernel, given_out):
    rng = np.random.default_rng(seed)
    W = prepared(A, kernel)
    rows, cols = A.shape
    B = stack(rng, (*lead, cols, n), A.dtype, order)
    X = stack(rng, (*lead, n, rows), A.dtype, order)
    if given_out:
        C = np.full((*lead, rows, n), np.nan, A.dtype)
        Z = np.full((*lead, n, cols), np.nan, A.dtype)
        assert np.matmul(W, B, out=C) is C
        assert np.matmul(X, W, out=Z) is Z
    else:
        C, Z = W @ B, X @ W
    assert C.shape == (*lead, rows, n)
    assert Z.shape == (*lead, n, cols)
    for index in np.ndindex(lead):
        assert_spmm(C[index], A, B[index])
        assert_spmm(Z[index], X[index], A)


def test_out_may_be_the_stack_itself():
    A = random_sparse(np.random.default_rng(0), "csr", (6, 6), 0.5, np.float64)
    W = prepare(A, tune=False)
    B = np.random.default_rng(1).standard_normal((3, 6, 6))
    expected, reversed_ = W @ B, W @ B[::-1]
    C = B.copy()
    np.matmul(W, C, out=C)
    np.testing.assert_array_equal(C, expected)
    C = B.copy()
    np.matmul(W, C[::-1], out=C)
    np.testing.assert_array_equal(C, reversed_)


def test_stacks_that_do_not_fit():
    W = prepare(sp.csr_array(np.ones((4, 3))), tune=False)
    for call, text in (
        (lambda: W @ np.ones((2, 4, 5)), r"W @ B: W has shape \(4, 3\) and B has shape \(2, 4"),
        (lambda: np.ones((2, 5, 3)) @ W, r"X @ W: X has shape \(2, 5, 3\) and W has shape"),
        (lambda: W.spmm(np.ones((2, 3, 5))), r"B must be 1-D or 2-D, .*: W @ B multiplies stacks"),
        (lambda: W @ 2.0, "B must be 1-D or 2-D"),
        (lambda: np.float64(2) @ W, r"X must have shape"),
    ):
        with pytest.raises(ValueError, match=text):
            call()


# spmm of what is prepared -------------------------------------------------------------------------


def operands(A):
    """Return what stands for A and multiplies, in float32 or float64."""
    return [
        prepare(A, tune=False), prepare(A.T.tocsr(), tune=False).T, aslinearoperator(A),
        NMArray.from_scipy(A, 4, 4), NMArray.from_scipy(A.T.tocsr(), 4, 4).T,
    ]  # fmt: skip


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("order", [None, "C", "F", "K"])
def test_spmm_takes_what_is_prepared(dtype, order):
    rng = np.random.default_rng(0)
    A = random_sparse(rng, "csr", (7, 9), 0.4, dtype)
    for W in operands(A):
        B, X = random_dense(rng, (9, 5), dtype, "F"), random_dense(rng, (5, 7), dtype)
        for bias in (None, 2.0, rng.standard_normal(5).astype(dtype), np.ones((1, 5), dtype),
                     np.arange(7, dtype=dtype)[:, None]):  # fmt: skip
            options = {"bias": bias, "activation": "relu", "alpha": 0.5}
            C = spmm(W, B, order=order, **options)
            assert_spmm(C, A, B, **options)
            assert C.flags.f_contiguous == (order in ("F", "K"))
            if bias is not None and np.ndim(bias) and bias.shape != (7, 1):
                bias = rng.standard_normal(9).astype(dtype).reshape(*bias.shape[:-1], 9)
            elif np.ndim(bias) == 2:
                bias = bias[:5]
            options["bias"] = bias
            C = spmm(X, W, order=order, **options)
            assert_spmm(C, X, A, **options)
            assert C.flags.f_contiguous == (order == "F")
        out = np.ones((5, 9), dtype)
        assert spmm(X, W, out=out, beta=2.0, workers=1) is out
        assert_spmm(out, X, A, before=np.ones((5, 9)), beta=2.0)
        bias = np.arange(9, dtype=dtype)
        assert_spmm(spmm(X[0], W, bias=bias)[None], X[:1], A, bias=bias)
        assert_spmm(spmm(W, B[:, 0].copy()), A, B[:, 0])
        with pytest.raises(ValueError, match=r"A has shape \(5, 8\) and B has shape \(7, 9\)"):
            spmm(np.ones((5, 8), dtype), W)
        with pytest.raises(ValueError, match=r"out must have shape \(5, 9\)"):
            spmm(X, W, out=np.empty((9, 5), dtype))
        with pytest.raises(ValueError, match=r"bias must be a scalar or have shape \(9,\)"):
            spmm(X, W, bias=np.ones(5, dtype))


def test_spmm_of_a_stack_and_what_is_prepared():
    A = random_sparse(np.random.default_rng(0), "csr", (7, 9), 0.4, np.float64)
    W, X = prepare(A, tune=False), np.random.default_rng(1).standard_normal((2, 3, 9))
    bias = np.arange(7.0)
    np.testing.assert_array_equal(spmm(X, W.T, bias=bias), W.linear(X, bias))
    with pytest.raises(ValueError, match="order must be None or 'C' for a stack"):
        spmm(X, W.T, order="F")


def test_spmm_of_int8_names_its_own_method():
    W, B = prepare(sp.csr_array(np.eye(4)), dtype="int8"), np.ones((4, 4), np.int8)
    for name, call in (("A", lambda: spmm(W, B)), ("B", lambda: spmm(B, W))):
        with pytest.raises(TypeError, match=f"^{name} must.*got Int8Matrix: .*its spmm multiplies"):
            call()


# NumPy's functions --------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
def test_numpy_matmul_and_dot(dtype):
    rng = np.random.default_rng(0)
    A = random_sparse(rng, "csr", (7, 9), 0.4, dtype)
    B, X = random_dense(rng, (9, 5), dtype), random_dense(rng, (5, 7), dtype)
    for W in operands(A):
        for function in (np.matmul, np.dot, operator.matmul):
            assert_spmm(function(W, B), A, B)
            assert_spmm(function(X, W), X, A)
            assert_spmm(function(W, B[:, 0]), A, B[:, 0])
            assert_spmm(function(X[0], W)[None], X[:1], A)
        for function in (np.matmul, np.dot):
            C = np.full((7, 5), np.nan, dtype)
            assert function(W, B, out=C) is C
            assert_spmm(C, A, B)
            C = np.full((5, 9), np.nan, dtype)
            assert function(X, W, out=C) is C
            assert_spmm(C, X, A)
        assert_spmm(np.matmul(W, B.view(Sub)), A, B)
        assert_spmm(B.T.view(Sub) @ W.T, B.T.copy(), A.T)


class Sub(np.ndarray):
    """A subclass of NumPy's array, as other libraries have."""


def test_numpy_dot_of_a_stack():
    """Its axes come in another order than those of matmul."""
    A = random_sparse(np.random.default_rng(0), "csr", (7, 9), 0.4, np.float64)
    B, X = np.ones((2, 9, 5)), np.ones((2, 5, 7))
    for W in (prepare(A, tune=False), NMArray.from_scipy(A, 4, 4)):
        np.testing.assert_allclose(np.dot(W, B), np.dot(A.toarray(), B))
        np.testing.assert_allclose(np.dot(X, W), np.dot(X, A.toarray()))
        out = np.empty((7, 2, 5))
        assert np.dot(W, B, out=out) is out
        np.testing.assert_allclose(out, np.dot(A.toarray(), B))


@pytest.mark.skipif(not hasattr(np, "matvec"), reason="NumPy has matvec and vecmat from 2.2 on.")
def test_numpy_matvec_and_vecmat():
    A = random_sparse(np.random.default_rng(0), "csr", (7, 9), 0.4, np.float64)
    for W in (prepare(A, tune=False), NMArray.from_scipy(A, 4, 4)):
        for shape in ((9,), (3, 9), (2, 3, 9)):
            x = np.random.default_rng(1).standard_normal(shape)
            np.testing.assert_allclose(np.matvec(W, x), np.matvec(A.toarray(), x))
            np.testing.assert_allclose(np.vecmat(x, W.T), np.vecmat(x, A.T.toarray()))
        x = np.array([1j] * 7)
        np.testing.assert_allclose(np.vecmat(x, W), np.vecmat(x, A.toarray()))


def test_comparisons_are_by_identity():
    """As of any object: what looks for an operator in a list of arrays finds none."""
    W, x = prepare(sp.csr_array(np.eye(3)), tune=False), np.ones(3)
    assert (W == x) is False
    assert (x == W) is False
    assert (x != W) is True
    assert (W == W) is True
    assert W not in [x, W.T]


def test_numpy_matmul_of_int8():
    A = sp.csr_array(np.array([[1, 0, 2], [0, -3, 0]], np.int8))
    W, B = prepare(A, dtype="int8"), np.arange(6, dtype=np.int8).reshape(3, 2)
    for function in (np.matmul, np.dot):
        result = function(W, B)
        assert result.dtype == np.int32
        np.testing.assert_array_equal(result, A.toarray().astype(int) @ B)
        out = np.empty((2, 2), np.int32)
        assert function(W, B, out=out) is out
        np.testing.assert_array_equal(out, result)


def test_matmul_in_place():
    A = random_sparse(np.random.default_rng(0), "csr", (6, 6), 0.5, np.float64)
    W = prepare(A, tune=False)
    for shape in ((6,), (4, 6), (2, 4, 6)):
        X = np.random.default_rng(1).standard_normal(shape)
        expected, same = X @ W, X
        X @= W
        assert X is same
        np.testing.assert_array_equal(X, expected)


def test_matmul_casts_as_numpy_does():
    A = random_sparse(np.random.default_rng(0), "csr", (6, 6), 0.5, np.float64)
    W, B = prepare(A, tune=False), np.ones((6, 2))
    out = np.empty((6, 2), np.float32)
    assert np.matmul(W, B, out=out) is out
    np.testing.assert_array_equal(out, (W @ B).astype(np.float32))
    with pytest.raises(TypeError, match="out must be of a dtype that float64 casts to, got int64"):
        np.matmul(W, B, out=np.empty((6, 2), np.int64))
    with pytest.raises(ValueError, match=r"out must have shape \(6, 2\), got \(6,\)"):
        np.matmul(W, B, out=np.empty(6))
    with pytest.raises(ValueError, match=r"out must have shape \(6, 2\), got \(3, 6, 2\)"):
        np.matmul(W, B, out=np.empty((3, 6, 2), np.float32))


def test_what_numpy_does_not_do():
    W, D = prepare(sp.csr_array(np.eye(3)), tune=False), np.ones((3, 3))
    for call, name in (
        (lambda: np.multiply(W, D), "multiply"), (lambda: D * W, "multiply"),
        (lambda: np.add(W, D), "add"), (lambda: D + W, "add"), (lambda: np.exp(W), "exp"),
    ):  # fmt: skip
        with pytest.raises(TypeError, match=f"numpy.{name} is not defined for PreparedMatrix"):
            call()
    with pytest.raises(TypeError, match="takes out and no other option, got dtype"):
        np.matmul(W, D, dtype=np.float32)
    with pytest.raises(TypeError, match="takes out and no other option, got axes"):
        np.matmul(W, D, axes=[(0, 1), (0, 1), (0, 1)])
    W8 = prepare(sp.csr_array(np.eye(3)), dtype="int8")
    with pytest.raises(TypeError, match="numpy.tensordot is not defined for Int8Matrix"):
        np.tensordot(W8, D)
    with pytest.raises(TypeError, match="numpy.add is not defined for Int8Matrix"):
        D + W8


def test_numbers_scale_as_they_do_operators_of_scipy():
    W, x = prepare(sp.csr_array(np.eye(3)), tune=False), np.arange(3.0)
    for number in (2, 2.0, np.float64(2), np.float32(2), np.int64(2), np.array(2.0)):
        np.testing.assert_array_equal((number * W) @ x, 2 * x)
        np.testing.assert_array_equal(np.dot(number, W) @ x, 2 * x)
    np.testing.assert_array_equal(W.dot(2.0) @ x, 2 * x)
    np.testing.assert_array_equal((W @ W) @ x, x)
    np.testing.assert_array_equal((W + W) @ x, 2 * x)


def test_conversion_by_numpy():
    A = random_sparse(np.random.default_rng(0), "csr", (7, 9), 0.4, np.float32)
    for W in (prepare(A, tune=False), NMArray.from_scipy(A, 4, 4)):
        for operand, dense in ((W, A.toarray()), (W.T, A.T.toarray())):
            for converted in (np.asarray(operand), np.array(operand)):
                assert converted.dtype == np.float32
                np.testing.assert_array_equal(converted, dense)
            assert np.asarray(operand, np.float64).dtype == np.float64
            assert np.shape(operand) == dense.shape
            assert np.ndim(operand) == 2
            assert np.size(operand) == dense.size
            np.testing.assert_array_equal(np.tensordot(operand, dense), np.tensordot(dense, dense))
            assert_spmm(np.asarray(sp.csr_array(dense.T) @ operand), sp.csr_array(dense.T), dense)
            with pytest.raises(ValueError, match="by a copy only"):
                operand.__array__(copy=False)


def test_conversion_by_numpy_has_a_limit():
    """An operator of a large graph is not made dense because some function converts it."""
    W = prepare(sp.csr_array((20_000, 20_000), dtype=np.float32), tune=False)
    with pytest.raises(TypeError, match=r"20000\) takes 1\.49 GiB as a dense array.*toscipy\(\)"):
        np.asarray(W)


def test_scipy_asks_numpy_about_operators():
    for W in operands(sp.csr_array(np.eye(3)))[:3]:
        assert np.result_type(W, np.float32) == np.float64
        assert not np.iscomplexobj(W)


def test_fast_path_of_products_from_the_right(monkeypatch):
    """Once W.T is packed, nothing but compiled code looks at X."""
    W = prepared(random_sparse(np.random.default_rng(0), "csr", (6, 8), 0.5, np.float32), "packed")
    X, x, bias = np.ones((4, 8), np.float32), np.ones(8, np.float32), np.ones(6, np.float32)
    calls = [
        lambda: X @ W.T, lambda: x @ W.T, lambda: W.linear(X, bias, activation="relu"),
        lambda: W.linear(x, bias), lambda: W.linear(X.reshape(2, 2, 8), bias),
        lambda: W.linear(X, out=np.empty((4, 6), np.float32)),
    ]  # fmt: skip
    first = [call() for call in calls]
    monkeypatch.setattr(spkernels.PreparedMatrix, "spmm", None)
    for call, expected in zip(calls, first, strict=True):
        np.testing.assert_array_equal(call(), expected)
