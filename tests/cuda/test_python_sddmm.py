"""spkernels.cuda.sddmm and CudaMatrix.sddmm against float64."""

import runpy
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
from arrays import Plain, Tensor
from hypothesis import given
from hypothesis import strategies as st
from reference import assert_sddmm
from strategies import random_dense, random_sparse

import spkernels.cuda

pytestmark = pytest.mark.usefixtures("maker")


def with_values(P, values):
    result = P.copy()
    result.data = np.asarray(values).reshape(P.data.shape)
    return result


@given(
    seed=st.integers(0, 2**32 - 1),
    fmt=st.sampled_from(["csr", "csc", "coo", "bsr"]),
    dtype=st.sampled_from(["float32", "float64"]),
    shape=st.tuples(st.integers(0, 40), st.integers(0, 40)),
    k=st.sampled_from([0, 1, 7, 8, 64]),
    layouts=st.tuples(st.sampled_from("CF"), st.sampled_from("CF")),
    make=st.sampled_from([Tensor, Plain]),
    transposed=st.booleans(),
    out=st.booleans(),
    alpha=st.sampled_from([1.0, -0.5]),
    beta=st.sampled_from([0.0, 2.0]),
    scale=st.booleans(),
    stream=st.sampled_from([None, 3]),
)
def test_any_pattern(
    maker, seed, fmt, dtype, shape, k, layouts, make, transposed, out, alpha, beta, scale, stream
):
    rng = np.random.default_rng(seed)
    P = random_sparse(rng, fmt, shape, rng.random(), dtype)
    W = spkernels.cuda.prepare(P, op=("sddmm", "spmm"), n=k or None)
    if transposed:
        P, W = P.tocoo().T, W.T  # in the order of what was prepared
    m, n = P.shape
    X = np.asarray(random_dense(rng, (m, k), dtype), order=layouts[0])
    Y = np.asarray(random_dense(rng, (k, n), dtype), order=layouts[1])
    into = np.full(P.nnz, np.nan, dtype) if out else None
    result = W.sddmm(
        make(X), make(Y), out=make(into) if out else None, alpha=alpha, beta=beta, scale=scale,
        stream=stream,
    )  # fmt: skip
    values = into if out else result.array
    options = {"alpha": alpha, "beta": beta, "scale": scale, "dtype": dtype}
    assert_sddmm(with_values(P, values), P, X, Y, **options)


def test_leading_dimensions():
    rng = np.random.default_rng(0)
    P = random_sparse(rng, "coo", (12, 9), 0.3, np.float32)
    X, Yt = random_dense(rng, (8 * 12, 8), np.float32), random_dense(rng, (4 * 9, 8), np.float32)
    X, Y = X.reshape(2, 4, 12, 8), Yt.reshape(4, 9, 8).transpose(0, 2, 1)
    W = spkernels.cuda.prepare(P, op="sddmm")
    values = W.sddmm(Tensor(X), Tensor(Y)).array
    assert values.shape == (2, 4, P.nnz)
    for batch in range(2):
        for head in range(4):
            result = with_values(P, values[batch, head])
            assert_sddmm(result, P, X[batch, head], Y[head])


def test_functions_and_copies():
    rng = np.random.default_rng(1)
    P = random_sparse(rng, "csr", (12, 9), 0.3, np.float64)
    X, Y = random_dense(rng, (12, 8), np.float32), random_dense(rng, (8, 9), np.float32)
    values = spkernels.cuda.sddmm(P, X, Y, copy=True)
    assert_sddmm(with_values(P, values), P.astype(np.float32), X, Y)
    out = np.empty(P.nnz, np.float32)
    assert spkernels.cuda.sddmm(P, X, Y, out=out, scale=True, copy=True) is out
    assert_sddmm(with_values(P, out), P.astype(np.float32), X, Y, scale=True)


def test_what_is_sampled_multiplies():
    rng = np.random.default_rng(2)
    P = random_sparse(rng, "csc", (12, 9), 0.3, np.float32)
    X, Y = random_dense(rng, (12, 8), np.float32), random_dense(rng, (8, 9), np.float32)
    W = spkernels.cuda.prepare(P, op=("spmm", "sddmm"))
    values = W.sddmm(Tensor(X), Tensor(Y))
    W.update_values(values)
    dense = (W @ Tensor(np.eye(9, dtype=np.float32))).array
    np.testing.assert_array_equal(dense, with_values(P, values.array).toarray())


def test_bad_input():
    P = sp.csr_array(np.eye(4, 3))
    W = spkernels.cuda.prepare(P, op="sddmm")
    X, Y = Tensor(np.ones((4, 5))), Tensor(np.ones((5, 3)))
    cases = [
        (W, (Tensor(np.ones(4)), Y), {}, ValueError, "X must have 2 dimensions or more"),
        (W, (Y, Y), {}, ValueError, r"X must have 4 rows as P has, got shape \(5, 3\)"),
        (W, (X, X), {}, ValueError, r"Y must have 3 columns as P has, got shape \(4, 5\)"),
        (W, (X, Tensor(np.ones((4, 3)))), {}, ValueError, "dimension mismatch in X @ Y"),
        (W, (X, Tensor(np.ones((5, 3), np.float32))), {}, TypeError, "Y must have dtype float64"),
        (
            W,
            (Tensor(np.ones((2, 4, 5))), Tensor(np.ones((3, 5, 3)))),
            {},
            ValueError,
            "leading dimensions of X and Y must broadcast",
        ),
        (W, (X, Y), {"out": Tensor(np.ones(4))}, ValueError, r"out must have shape \(3,\)"),
        (W, (X, Y), {"out": Tensor(np.ones(6)[::2])}, ValueError, "out must be contiguous"),
        (W, (X, Y), {"alpha": "two"}, TypeError, "alpha must be a real number"),
        (spkernels.cuda.prepare(P), (X, Y), {}, ValueError, "prepared with 'sddmm' in op, got"),
    ]
    for matrix, factors, options, kind, text in cases:
        with pytest.raises(kind, match=text):
            matrix.sddmm(*factors, **options)
    with pytest.raises(ValueError, match="must be prepared with 'spmm' in op, got"):
        _ = W @ Tensor(np.ones((3, 2)))


def test_a_layer_that_learns():
    """As doc/cuda.rst shows it: its gradients are those of the dense layer."""
    torch = pytest.importorskip("torch", reason="torch is not installed.")
    shown = Path(__file__).resolve().parents[2] / "doc" / "sparse_linear.py"
    layer = runpy.run_path(shown)["SparseLinear"]
    rng = np.random.default_rng(3)
    weight = random_sparse(rng, "csr", (9, 7), 0.4, np.float64)
    bias = rng.standard_normal(9)
    sparse = layer(weight, bias, torch.float64)
    with torch.no_grad():
        sparse.values.mul_(0.5)  # as an optimiser would
    dense = torch.from_numpy(0.5 * weight.toarray()).requires_grad_()
    X = torch.from_numpy(rng.standard_normal((5, 7)))
    inputs = [X.clone().requires_grad_(), X.clone().requires_grad_()]
    results = [sparse(inputs[0]), inputs[1] @ dense.T + torch.from_numpy(bias)]
    torch.testing.assert_close(*results)
    for result in results:
        result.pow(2).sum().backward()
    torch.testing.assert_close(inputs[0].grad, inputs[1].grad)
    rows, cols = weight.nonzero()
    torch.testing.assert_close(sparse.values.grad, dense.grad[rows, cols])


def test_out_must_not_overlap_what_is_read_backwards():
    base = np.zeros((8, 4), np.float32)
    P = spkernels.cuda.prepare(sp.csr_array(np.eye(4, dtype=np.float32)), op="sddmm")
    with pytest.raises(ValueError, match="out must not overlap X"):
        P.sddmm(Tensor(base[3::-1]), Tensor(np.ones((4, 4), np.float32)), out=Tensor(base[0]))
