"""What prepared matrices keep, and what their products take besides the result."""

import pickle
import tracemalloc

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from reference import assert_spmm
from strategies import DTYPES, seeds, sparse

from spkernels import prepare, spmm
from spkernels._inputs import canonical
from spkernels._ops.epilogue import dense_product
from spkernels._prepare import prediction
from spkernels._prepare.strategies import KERNELS

MIB = 1 << 20


def peak(call):
    """The most bytes that NumPy's arrays took at once during a call, besides those before."""
    call()
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("beta", [0.0, 0.5])
@pytest.mark.parametrize("order", ["C", "F", "strided"])
@pytest.mark.parametrize("bias", [None, "row", "column"])
def test_the_dense_kernel_makes_no_temporary_of_the_result(bias, order, beta):
    m, k, n = 4096, 64, 1024  # a result of 16 MiB
    rng = np.random.default_rng(0)
    A = sp.csr_array(rng.standard_normal((m, k), np.float32))
    kernel = KERNELS["dense"](A, n)
    B = rng.standard_normal((k, n), np.float32)
    wide = np.ones((m, 2 * n), np.float32)
    out = wide[:, ::2] if order == "strided" else np.ones((m, n), np.float32, order=order)
    biases = {"row": rng.standard_normal(n, np.float32), None: None}
    biases["column"] = rng.standard_normal((m, 1), np.float32)

    def multiply():
        options = (out, 0.75, beta, biases[bias], "relu", None, 2)
        assert kernel.multiply(B, *options) is out

    assert peak(multiply) <= 10 * MIB
    out[...] = 1
    multiply()
    epilogue = {"alpha": 0.75, "beta": beta, "bias": biases[bias], "activation": "relu"}
    assert_spmm(out, A, B, before=np.ones((m, n)), **epilogue)
    if order == "strided":
        assert (wide[:, 1::2] == 1).all()


def test_the_dense_kernel_makes_results_in_their_order():
    A, B = sp.csr_array(np.ones((4096, 8), np.float32)), np.ones((8, 1024), np.float32)
    kernel = KERNELS["dense"](A, 1024)
    for order in ("C", "F"):
        options = (None, 2.0, 0.0, np.float32(1), "relu", order, 2)
        assert peak(lambda o=options: kernel.multiply(B, *o)) <= 16 * MIB + MIB
        result = kernel.multiply(B, *options)
        assert result.flags[f"{order}_CONTIGUOUS"]
        np.testing.assert_array_equal(result, 17)


@pytest.mark.parametrize("beta", [0.0, 2.0])
def test_the_dense_kernel_reads_operands_that_out_overlaps_first(beta):
    rng = np.random.default_rng(1)
    A = rng.standard_normal((40, 40))
    for shape in ((40,), (40, 5)):
        B = rng.standard_normal(shape)
        expected = A @ B + beta * B + B[:1]
        out = B.copy()
        dense_product(A, out, out, 1.0, beta, out[:1], None, "C")
        np.testing.assert_allclose(out, expected)


def test_other_dtypes_take_one_temporary_of_the_result():
    """scipy makes the product; what follows is done in it."""
    A = sp.csr_array(np.ones((4096, 8), np.int64))
    B, out = np.ones((8, 512), np.int64), np.ones((4096, 512), np.int64)  # 16 MiB
    took = peak(lambda: spmm(A, B, out=out, alpha=2, beta=3, bias=1, activation="relu"))
    assert took <= (16 + 10) * MIB
    out[...] = 1
    spmm(A, B, out=out, alpha=2, beta=3, bias=1, activation="relu")
    np.testing.assert_array_equal(out, 2 * 8 + 3 + 1)


# What is kept ------------------------------------------------------------------------------------


def weights(sparsity, dtype, m=512, k=768):
    """Random ones, or, for one half, two of any four columns."""
    rng = np.random.default_rng(int(100 * sparsity))
    kept = rng.random((m, k)) >= sparsity
    if sparsity == 0.5:
        ranks = rng.random((m, k // 4, 4)).argsort(axis=2).argsort(axis=2)
        kept = (ranks < 2).reshape(m, k)
    return sp.csr_array(np.where(kept, rng.standard_normal((m, k)), 0).astype(dtype))


@pytest.mark.parametrize("n", [1, 16, 128])
@pytest.mark.parametrize("sparsity", [0.5, 0.6, 0.7, 0.8, 0.9, 0.95])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kernel", ["packed", "dense"])
def test_prepared_weights_take_no_more_than_dense_ones(kernel, dtype, sparsity, n, monkeypatch):
    monkeypatch.setattr(prediction, "predict", lambda *_: kernel)
    A = weights(sparsity, dtype)
    rows, cols = A.shape
    dense = rows * cols * A.dtype.itemsize
    x = np.ones((cols, n), dtype)
    prepare(A, n=n, tune=False) @ x  # loads what is loaded at first use
    tracemalloc.start()
    try:
        W = prepare(A, n=n, tune=False)
        assert kernel in W.kernel
        W @ x
        kept = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    few = 8192  # Python's own objects, in what is traced
    assert W.nbytes <= dense
    assert kept <= dense + few
    if kernel == "packed":
        # An entry's value, and 16 bits of where it is; what pads rows besides, in slices most.
        padding = 1.25 if n > 1 else 4.1
        assert W.nbytes <= padding * A.nnz * (A.dtype.itemsize + 2) + 20_000
        assert kept <= few  # what was packed was taken by C
    back = W.toscipy()
    assert back.has_canonical_format
    for name in ("data", "indices", "indptr"):
        np.testing.assert_array_equal(getattr(back, name), getattr(A, name))
    assert W.nbytes <= dense  # nothing stays of that


@pytest.mark.parametrize("n", [1, 128])
def test_a_matrix_of_two_in_four_as_it_is_chosen(n):
    A = weights(0.5, np.float32, 1024, 1024)
    assert prepare(A, n=n).nbytes <= 4 * 1024 * 1024
    assert prepare(A, n=n, tune=False).nbytes <= 4 * 1024 * 1024


@pytest.mark.every_isa
@given(A=sparse(most=40, formats=("csr",)), n=st.sampled_from([1, 3, 16, 70]), seed=seeds)
def test_what_was_packed_comes_back(A, n, seed):
    W = prepare(A, n=n, tune=False)
    own = canonical.canonical(A, W.dtype, "A")[0]
    kernel = KERNELS["packed"](own, n)
    back = kernel.restored()
    for name in ("data", "indices", "indptr"):
        expected = getattr(own, name)
        np.testing.assert_array_equal(getattr(back, name), expected)
        assert getattr(back, name).dtype == expected.dtype
    np.testing.assert_array_equal(np.signbit(back.data), np.signbit(own.data))


@pytest.mark.parametrize("kernel", ["packed", "dense"])
@pytest.mark.parametrize("special", [np.nan, np.inf, -0.0, 0.0, 1e-45])
def test_values_of_every_kind_come_back(special, kernel, monkeypatch):
    A = weights(0.7, np.float32, 64, 64)
    A.data[::5] = special
    monkeypatch.setattr(prediction, "predict", lambda *_: kernel)
    W = prepare(A, n=8, tune=False)
    assert kernel in W.kernel
    back = W.toscipy()
    np.testing.assert_array_equal(back.data.view(np.uint32), A.data.view(np.uint32))
    np.testing.assert_array_equal(back.indices, A.indices)
    again = pickle.loads(pickle.dumps(W))
    np.testing.assert_array_equal(again.toscipy().data.view(np.uint32), A.data.view(np.uint32))


def test_all_that_needs_the_matrix_has_it(monkeypatch):
    """Transposes, values, other dtypes and reports, of a matrix that is kept packed only."""
    A = weights(0.9, np.float32, 128, 96)
    monkeypatch.setattr(prediction, "predict", lambda *_: "packed")
    W = prepare(A, n=16, tune=False)
    assert W._state._csr is None
    rng = np.random.default_rng(3)
    B, X = rng.standard_normal((96, 16)), rng.standard_normal((128, 5)).astype(np.float32)
    assert_spmm(W @ B, A, B)
    assert_spmm(W.T @ X, A.T, X)
    assert "packed" in str(W.explain())
    assert W._state._csr is None
    W.update_values(2 * A)
    np.testing.assert_array_equal(W.toscipy().toarray(), 2 * A.toarray())
    assert_spmm(W.T @ X, 2 * A.T, X)
    W.update_values(3 * A.data)
    np.testing.assert_array_equal(W.toscipy().toarray(), 3 * A.toarray())
    assert W.patterns == prepare(A).patterns


@pytest.mark.parametrize("dtype", [np.float32, "int8"])
def test_order_of_columns_takes_no_memory(dtype):
    """What was prepared from CSC keeps no place for each entry, and finds it for new values."""
    A = sp.csr_array(sp.random(60, 40, 0.5, "csr", dtype=np.float32, random_state=1))
    A.data = np.round(A.data * 100) + 1
    options = {"dtype": dtype} if dtype == "int8" else {"tune": False}
    by_rows, by_columns = prepare(A, **options), prepare(A.tocsc(), **options)
    assert by_columns.nbytes == by_rows.nbytes
    new = A.tocsc()
    new.data = new.data[::-1].copy()
    for W in (by_columns, pickle.loads(pickle.dumps(by_columns))):
        W.update_values(new.data)
        expected = prepare(new.tocsr(), **options)
        assert (W.toscipy() != expected.toscipy()).nnz == 0
        with pytest.raises(ValueError, match=f"data must have {A.nnz} values"):
            W.update_values(new.data[1:])
