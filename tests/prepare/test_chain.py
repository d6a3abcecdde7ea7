"""Chains of prepared matrices: one call has the bits of a call for each layer."""

import copy
import math
import os
import pickle
import subprocess
import sys
import threading

import numpy as np
import pytest
import scipy.sparse as sp
from forks import SETUP
from hypothesis import given
from hypothesis import strategies as st
from reference import ACTIVATIONS, assert_spmm
from strategies import DTYPES, lay_out, layouts, random_dense, random_sparse, seeds

from spkernels import Chain, prepare
from spkernels._prepare import strategies as strategies_module

activations = st.sampled_from(sorted(ACTIVATIONS, key=str))
#: The bits of a BLAS depend on where its operands lie.
kernels = st.sampled_from(sorted(set(strategies_module.KERNELS) - {"bitmap", "dense"}))
#: Numbers of rows below and above those from which on threads take rows of their own.
batches = st.one_of(st.integers(0, 20), st.sampled_from([33, 64, 127, 129, 260]))


class Always(dict):
    """Choices that are all the same."""

    def __init__(self, name):
        super().__init__()
        self.name = name

    def get(self, key, default=None):
        return self.name


def layer(rng, shape, dtype, n, kernel=None):
    W = prepare(random_sparse(rng, "csr", shape, 0.2, dtype), n=max(1, n), tune=False)
    if kernel is not None:
        W._choices = Always(kernel)
        W._state.forget()
    return W


def network(dtype=np.float32, n=8, sizes=(30, 50, 20, 7)):
    rng = np.random.default_rng(0)
    pairs = zip(sizes[1:], sizes[:-1], strict=True)
    matrices = [layer(rng, shape, dtype, n) for shape in pairs]
    biases = [rng.standard_normal(W.shape[0]).astype(dtype) for W in matrices]
    return matrices, biases, ["relu"] * (len(matrices) - 1) + [None]


def by_layers(chain, X, **options):
    X = np.asarray(X)
    B = X.reshape(math.prod(X.shape[:-1]), X.shape[-1]).T if X.ndim > 1 else X
    for W, bias, activation in zip(chain.matrices, chain.biases, chain.activations, strict=True):
        column = bias if bias is None or X.ndim == 1 else bias[:, None]
        B = W.spmm(B, bias=column, activation=activation, **options)
    return np.ascontiguousarray(B.T).reshape(*X.shape[:-1], chain.shape[0])


def assert_same_bits(result, expected):
    assert result.dtype == expected.dtype
    assert result.shape == expected.shape
    assert result.tobytes() == expected.tobytes()


@given(
    seeds,
    st.lists(st.tuples(st.integers(0, 70), kernels, activations, st.booleans()), min_size=1,
             max_size=4),
    st.integers(0, 70),
    batches,
    st.sampled_from(DTYPES),
    layouts,
    st.sampled_from([None, 1, 2, 3]),
)  # fmt: skip
def test_a_chain_has_the_bits_of_its_layers(seed, layers, k, n, dtype, layout, workers):
    rng = np.random.default_rng(seed)
    matrices, biases, names = [], [], []
    width = k
    for rows, kernel, activation, has_bias in layers:
        matrices.append(layer(rng, (rows, width), dtype, n, kernel))
        biases.append(random_dense(rng, (rows,), dtype) if has_bias else None)
        names.append(activation)
        width = rows
    chain = Chain(matrices, biases, names, workers=workers)
    X = random_dense(rng, (n, k), dtype, layout)
    with np.errstate(over="ignore", invalid="ignore"):
        expected = by_layers(chain, X, workers=workers)
        for _ in range(2):  # the first call packs
            assert_same_bits(chain(X), expected)
    out = lay_out(np.zeros((n, width), dtype), layout)
    assert chain(X, out=out) is out
    assert_same_bits(np.ascontiguousarray(out), expected)


def test_zeros_written_out_go_layer_by_layer():
    rng = np.random.default_rng(5)
    first, second = (20, 30), (9, 20)
    chain = Chain(
        [layer(rng, first, np.float64, 8, "dense"), layer(rng, second, np.float64, 8)]
    )
    X = rng.standard_normal((8, 30))
    for _ in range(2):
        np.testing.assert_allclose(chain(X), by_layers(chain, X), rtol=1e-12)


@given(seeds, st.sampled_from(DTYPES), batches, activations)
def test_two_layers_are_near_to_float64(seed, dtype, n, activation):
    rng = np.random.default_rng(seed)
    first = layer(rng, (40, 30), dtype, n)
    S = random_sparse(rng, "csr", (20, 40), 0.2, dtype)
    second = prepare(S, n=max(1, n), tune=False)
    X, bias = random_dense(rng, (n, 30), dtype), random_dense(rng, (20,), dtype)
    chain = Chain([first, second], [None, bias], [None, activation])
    chain(X)
    between = first.linear(X)
    assert_spmm(chain(X).T, S, between.T, bias=bias[:, None], activation=activation)


@pytest.mark.parametrize("n", [1, 5, 130])
def test_any_number_of_threads_has_the_same_bits(n):
    matrices, biases, names = network(n=n, sizes=(300, 500, 400, 200))
    chain = Chain(matrices, biases, names)
    X = np.random.default_rng(1).standard_normal((n, 300)).astype(np.float32)
    expected = by_layers(chain, X, workers=1)
    for workers in (1, 2, 3, 4):
        assert_same_bits(chain(X, workers=workers), expected)
    results = [None] * 4

    def call(i):
        for _ in range(20):
            results[i] = chain(X)

    threads = [threading.Thread(target=call, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for result in results:
        assert_same_bits(result, expected)


@pytest.mark.parametrize("shape", [(30,), (2, 3, 30), (0, 30), (2, 0, 30), (1, 30)])
def test_inputs_have_any_leading_dimensions(shape):
    chain = Chain(*network())
    X = np.random.default_rng(2).standard_normal(shape).astype(np.float32)
    expected = by_layers(chain, X)
    for _ in range(2):
        assert_same_bits(chain(X), expected)
    out = np.zeros(expected.shape, np.float32)
    assert chain(X, out=out) is out
    assert_same_bits(out, expected)


@pytest.mark.parametrize("dtype", [np.float64, np.float16, np.int64, bool])
def test_inputs_of_other_dtypes_are_promoted_as_by_layers(dtype):
    chain = Chain(*network())
    X = np.random.default_rng(3).integers(0, 2, (4, 30)).astype(dtype)
    assert_same_bits(chain(X), by_layers(chain, X))


def test_new_values_reach_a_chain():
    matrices, biases, names = network()
    chain = Chain(matrices, biases, names)
    X = np.ones((8, 30), np.float32)
    before = chain(X), chain(X)
    matrices[1].update_values(np.zeros(matrices[1].nnz))
    assert_same_bits(chain(X), by_layers(chain, X))
    assert not np.array_equal(chain(X), before[0])


def test_a_bias_of_the_same_dtype_is_shared_and_others_are_converted():
    matrices, biases, names = network()
    chain = Chain(matrices, [biases[0], 0.5, biases[2].astype(np.float64)], names)
    assert np.shares_memory(chain.biases[0], biases[0])
    assert chain.biases[1].tolist() == [0.5] * 20
    assert chain.biases[2].dtype == np.float32
    X = np.ones((8, 30), np.float32)
    chain(X)
    biases[0] += 1
    assert_same_bits(chain(X), by_layers(chain, X))


def pickled(chain):
    return pickle.loads(pickle.dumps(chain))


@pytest.mark.parametrize("make", [copy.copy, copy.deepcopy, pickled])
def test_copies_have_the_same_results(make):
    chain = Chain(*network(), workers=1)
    X = np.ones((8, 30), np.float32)
    expected = chain(X)
    other = make(chain)
    assert_same_bits(other(X), expected)
    assert other.shape == (7, 30)
    assert other.activations == ("relu", "relu", None)
    assert repr(other) == repr(chain)


def test_attributes():
    matrices, biases, names = network()
    chain = Chain(matrices, biases, names)
    assert chain.nbytes == sum(part.nbytes for part in (*matrices, *biases))
    stored = sum(W.nnz for W in matrices)
    assert repr(chain) == f"<Chain of 7 x 30, 3 layers, {stored} stored, float32>"


def test_a_transpose_can_be_a_layer():
    W = layer(np.random.default_rng(4), (20, 30), np.float32, 8)
    chain = Chain([W, W.T])
    X = np.ones((8, 30), np.float32)
    for _ in range(2):
        assert_same_bits(chain(X), by_layers(chain, X))


W = prepare(sp.csr_array(np.ones((3, 4))), n=2, tune=False)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: Chain([]), ValueError, "matrices must have at least one matrix"),
        (lambda: Chain(W), TypeError, "matrices must be a sequence"),
        (lambda: Chain([W, np.ones((2, 3))]), TypeError, r"matrices\[1\] must be a PreparedMatrix"),
        (lambda: Chain([W, W]), ValueError, r"matrices\[1\] must have 3 columns, .*\(3, 4\)"),
        (lambda: Chain([W], []), ValueError, "biases must have 1 elements"),
        (lambda: Chain([W], activations="relu"), TypeError, "activations must be a sequence"),
        (lambda: Chain([W], [np.ones(4)]), ValueError, r"biases\[0\] must .* shape \(3,\)"),
        (lambda: Chain([W], [[1j] * 3]), TypeError, r"biases\[0\]"),
        (lambda: Chain([W], activations=["swish"]), ValueError, r"activations\[0\] must be"),
        (lambda: Chain([W])(np.ones((2, 3))), ValueError, "X has shape"),
        (lambda: Chain([W])(3.0), ValueError, r"X must have shape \(..., 4\)"),
        (lambda: Chain([W])("x"), TypeError, "X must hold numbers"),
        (lambda: Chain([W])(np.ones((2, 4)), out=np.ones((2, 4))), ValueError, "out must"),
        (lambda: Chain([W])(np.ones((2, 4)), workers=0), ValueError, "workers must"),
        (lambda: Chain([W], workers=0), ValueError, "workers must"),
    ],
)
def test_errors_name_the_argument(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_out_may_overlap_the_input():
    V = prepare(sp.csr_array(np.eye(4) * 2), n=2, tune=False)
    chain = Chain([V, V])
    X = np.arange(8.0).reshape(2, 4)
    for _ in range(2):
        chain(X, out=X)
    np.testing.assert_array_equal(X, 16 * np.arange(8.0).reshape(2, 4))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="This system has no fork().")
def test_a_forked_child_multiplies(tmp_path):
    script = SETUP + """
W = [prepare(sp.csr_array(np.where(np.random.default_rng(i).random((300, 300)) < 0.2, 1.0, 0)), n=n)
     for i, n in ((0, 200), (1, 200))]
chain = spkernels.Chain(W, activations=["relu", None], workers=2)
X = np.ones((200, 300))
expected = chain(X), chain(X)
check = lambda: np.testing.assert_array_equal(chain(X), expected[1])
assert in_child(check) == 0
check()
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=120, cwd=tmp_path)
