"""spkernels.cuda.spmm and CudaMatrix: every format, layout and option against float64."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import scipy.sparse as sp
from arrays import Capsule, Plain, Tensor
from hypothesis import given
from hypothesis import strategies as st
from reference import ACTIVATIONS, assert_spmm
from strategies import random_dense, random_sparse, random_values

import spkernels.cuda
from spkernels import formats

torch = pytest.importorskip("torch", reason="torch is not installed.")
pytestmark = pytest.mark.usefixtures("maker")

FORMATS = ("csr", "csc", "coo", "bsr", "dia", "lil", "dok")
#: Libraries whose arrays are passed, and what they are on the host.
KINDS = {
    "maker": (Tensor, lambda result: result.array),
    "interface": (Plain, lambda result: result.array),  # an array of the default library
    "dlpack": (Capsule, lambda result: result.array),
    "torch": (torch.from_numpy, lambda result: result.numpy()),
}


def laid_out(array, layout, apart=0):
    """A copy of a matrix whose rows ("C") or columns ("F") lie so many elements apart."""
    if array.ndim == 1:
        room = np.full(len(array) * (apart + 1), np.nan, array.dtype)
        room[:: apart + 1] = array
        return room[:: apart + 1]
    transposed = array if layout == "C" else array.T
    room = np.full((transposed.shape[0], transposed.shape[1] + apart), np.nan, array.dtype)
    room[:, : transposed.shape[1]] = transposed
    view = room[:, : transposed.shape[1]]
    return view if layout == "C" else view.T


@given(
    seed=st.integers(0, 2**32 - 1),
    fmt=st.sampled_from(FORMATS),
    dtype=st.sampled_from(["float32", "float64"]),
    shape=st.tuples(st.integers(0, 20), st.integers(0, 24)),
    n=st.sampled_from([None, 0, 1, 2, 5, 8, 33]),
    kind=st.sampled_from(sorted(KINDS)),
    dense_first=st.booleans(),
    transposed=st.booleans(),
    layouts=st.tuples(st.sampled_from("CF"), st.sampled_from(["C", "F", None])),
    apart=st.sampled_from([0, 1, 4]),
    order=st.sampled_from([None, "C", "F", "K"]),
    alpha=st.sampled_from([1.0, -0.5, 2]),
    beta=st.sampled_from([0.0, 1.0, -2.5]),
    bias=st.sampled_from([None, "number", "columns", "row of columns", "rows"]),
    activation=st.sampled_from(sorted(ACTIVATIONS, key=str)),
    stream=st.sampled_from([None, 0, 7]),
)
def test_any_product(
    maker, seed, fmt, dtype, shape, n, kind, dense_first, transposed, layouts, apart, order, alpha,
    beta, bias, activation, stream,
):  # fmt: skip
    rng = np.random.default_rng(seed)
    A = random_sparse(rng, fmt, shape, rng.random(), dtype)
    W = spkernels.cuda.prepare(A)
    assert (W.shape, W.dtype) == (A.shape, dtype)
    if transposed:
        A, W = A.T, W.T
    make, get = KINDS[kind]
    inner, outer = A.shape if dense_first else A.shape[::-1]
    size = (inner,) if n is None else (n, inner) if dense_first else (inner, n)
    D = laid_out(random_dense(rng, size, dtype), layouts[0], apart)
    result_shape = (outer,) if n is None else (n, outer) if dense_first else (outer, n)
    out = None
    if layouts[1]:
        order = None
        before = random_dense(rng, result_shape, dtype)
        out = laid_out(before if beta else np.full_like(before, np.nan), layouts[1], apart)
    else:
        beta, before = 0.0, None
    add = added = None
    if bias == "number":
        add = added = 0.75
    elif bias and n is None:
        add = random_dense(rng, (outer,), dtype)
    elif bias:
        rows, cols = result_shape
        size = {"columns": (cols,), "row of columns": (1, cols), "rows": (rows, 1)}[bias]
        add = random_dense(rng, size, dtype)
    if isinstance(add, np.ndarray):
        added = make(add)
    result = spkernels.cuda.spmm(
        *((make(D), W) if dense_first else (W, make(D))),
        out=None if out is None else make(out),
        alpha=alpha,
        beta=beta,
        bias=added,
        activation=activation,
        order=order,
        stream=stream,
    )
    got = get(result)
    if out is None:
        wanted = layouts[0] if order == "K" else order or "C"
        if got.ndim == 2 and min(got.shape) > 1 and min(D.shape) > 1:
            assert got.flags[f"{wanted}_CONTIGUOUS"]
    else:
        got = out
    operands = (np.asarray(D), A) if dense_first else (A, np.asarray(D))
    assert_spmm(
        got,
        *operands,
        alpha=alpha,
        beta=beta,
        before=before,
        bias=add,
        activation=activation,
        dtype=dtype,
    )


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_operators(kind):
    rng = np.random.default_rng(1)
    make, get = KINDS[kind]
    A = random_sparse(rng, "csr", (11, 7), 0.4, np.float32)
    W = spkernels.cuda.prepare(A, kernel="rows")
    B, X, Z = (random_dense(rng, size, np.float32) for size in ((7, 5), (5, 11), (5, 7)))
    assert_spmm(get(W @ make(B)), A, B)
    assert_spmm(get(make(X) @ W), X, A)
    assert_spmm(get(make(Z) @ W.T), Z, A.T)
    assert_spmm(get(W.T @ make(X.T.copy())), A.T, X.T.copy())
    assert_spmm(get(make(Z[0]) @ W.T), Z[0], A.T)
    assert_spmm(get(W @ make(Z[0])), A, Z[0])
    assert W.T.T is W and W.T.shape == (7, 11)
    assert W.kernel == "rows" and W.nnz == A.nnz and W.nbytes > 4 * A.nnz


def test_a_linear_layer_packs_no_transpose():
    rng = np.random.default_rng(2)
    A = random_sparse(rng, "csr", (40, 30), 0.3, np.float32)
    W = spkernels.cuda.prepare(A)
    before = W.nbytes
    bias = random_dense(rng, (40,), np.float32)
    X = random_dense(rng, (6, 30), np.float32)
    Y = spkernels.cuda.spmm(Tensor(X), W.T, bias=Tensor(bias), activation="gelu")
    assert Y.array.flags.c_contiguous
    assert_spmm(Y.array, X, A.T, bias=bias, activation="gelu")
    assert W.nbytes == before
    _ = Tensor(random_dense(rng, (6, 40), np.float32)) @ W
    assert W.nbytes > before


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_halves(dtype):
    rng = np.random.default_rng(3)
    A = sp.random(30, 40, 0.3, "csr", np.float32, rng)
    A.data = torch.from_numpy(A.data).to(getattr(torch, dtype)).float().numpy()
    W = spkernels.cuda.prepare(A, getattr(torch, dtype))
    assert W.dtype == dtype
    B = torch.from_numpy(random_dense(rng, (40, 9), np.float32)).to(getattr(torch, dtype))
    C = W @ B
    assert C.dtype == B.dtype
    exact = A.astype(float) @ B.double().numpy()
    size = abs(A.astype(float)) @ abs(B.double().numpy())
    unit = 2.0**-11 if dtype == "float16" else 2.0**-8
    assert (abs(C.double().numpy() - exact) <= unit * abs(exact) + 50 * 2.0**-24 * size).all()


def torch_of(A, layout):
    data, indices, indptr = (torch.from_numpy(array) for array in (A.data, A.indices, A.indptr))
    S = torch.sparse_csr_tensor(indptr, indices, data, A.shape)
    if layout == "csr":
        return S
    if layout == "coo":
        return S.to_sparse_coo()
    return S.to_sparse_csc() if layout == "csc" else S.to_sparse_bsr((2, 3))


@pytest.mark.filterwarnings("ignore:Sparse")
@pytest.mark.parametrize("layout", ["csr", "csc", "coo", "bsr"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16])
def test_sparse_tensors(layout, dtype):
    rng = np.random.default_rng(4)
    A = random_sparse(rng, "csr", (8, 9), 0.5, np.float32)
    A.data = rng.integers(-4, 5, len(A.data)).astype(np.float32)
    B = torch.from_numpy(rng.integers(-4, 5, (9, 4)).astype(np.float32)).to(dtype)
    W = spkernels.cuda.prepare(torch_of(A, layout).to(dtype))
    assert W.dtype == str(dtype).removeprefix("torch.")
    np.testing.assert_array_equal((W @ B).float().numpy(), A @ B.float().numpy())


def test_formats_and_other_dtypes():
    rng = np.random.default_rng(5)
    B = rng.integers(-4, 5, (6, 3))
    dense = np.array([[1, 0, 0, 2, 0, 3], [0, 5, 0, 0, 0, 0]])
    N = formats.NMArray.from_dense(dense.astype(np.float32), 2, 3)
    cases = [(N, "float32"), (N.T, "float32")]
    cases += [(sp.csr_array(dense.astype(t)), t) for t in ("float32", "float64")]
    cases += [(sp.csr_array(dense.astype(t)), "float32") for t in ("int8", "bool")]
    cases += [(sp.csr_array(dense.astype("int64")), "float64")]
    for A, dtype in cases:
        W = spkernels.cuda.prepare(A)
        assert W.dtype == dtype
        D = B.astype(dtype) if W.shape[1] == 6 else B[:2].astype(dtype)
        np.testing.assert_array_equal((W @ Tensor(D)).array, A.toarray().astype(dtype) @ D)


def test_duplicates_and_entries_behind_the_last_row():
    A = sp.csr_array((2, 3))
    A.data, A.indptr = np.arange(1.0, 7), np.array([0, 3, 4])
    A.indices = np.array([2, 0, 2, 1, 1, 1])
    W = spkernels.cuda.prepare(A)
    assert W.nnz == 4
    np.testing.assert_array_equal((W @ Tensor(np.eye(3))).array, [[2, 0, 4], [0, 4, 0]])
    np.testing.assert_array_equal((Tensor(np.eye(2)) @ W).array, [[2, 0, 4], [0, 4, 0]])


def test_it_holds_copies():
    A = sp.csr_array(np.eye(3))
    W = spkernels.cuda.prepare(A)
    A.data[:], A.indices[:] = 7, 0
    np.testing.assert_array_equal((W @ Tensor(np.eye(3))).array, np.eye(3))
    np.testing.assert_array_equal((Tensor(np.eye(3)) @ W).array, np.eye(3))


@pytest.mark.parametrize("fmt", ["csr", "csc", "coo", "bsr"])
@pytest.mark.parametrize("make", [Tensor, Plain])
def test_new_values(fmt, make):
    rng = np.random.default_rng(6)
    A = random_sparse(rng, fmt, (12, 18), 0.4, np.float32)
    W = spkernels.cuda.prepare(A)
    X, B = (random_dense(rng, size, np.float32) for size in ((4, 12), (18, 3)))
    _ = Tensor(X) @ W  # packs the transpose
    new = A.copy()
    new.data = random_values(rng, A.data.size, np.float32).reshape(A.data.shape)
    W.T.update_values(make(new.data.reshape(-1)), stream=9)
    assert_spmm((W @ Tensor(B)).array, new, B)
    assert_spmm((Tensor(X) @ W).array, X, new)


def test_new_values_before_the_transpose():
    W = spkernels.cuda.prepare(sp.csr_array(np.eye(3)))
    W.update_values(Tensor(np.array([1.0, 2.0, 3.0])))
    np.testing.assert_array_equal((W @ Tensor(np.ones(3))).array, [1, 2, 3])
    V = spkernels.cuda.prepare(sp.csr_array(np.eye(3)), transpose=True)
    V.update_values(Tensor(np.array([1.0, 2.0, 3.0])))
    np.testing.assert_array_equal((Tensor(np.ones(3)) @ V).array, [1, 2, 3])
    with pytest.raises(ValueError, match="before its transpose was packed.*transpose=True"):
        _ = Tensor(np.ones(3)) @ W


def test_not_prepared_before():
    rng = np.random.default_rng(7)
    A = random_sparse(rng, "coo", (9, 8), 0.4, np.float64)
    B, X = (random_dense(rng, size, np.float32) for size in ((8, 3), (3, 9)))
    # In the dtype of the dense operand.
    assert_spmm(spkernels.cuda.spmm(A, Tensor(B)).array, A.astype(np.float32), B)
    assert_spmm(spkernels.cuda.spmm(Tensor(X), A).array, X, A.astype(np.float32))


def test_arrays_of_numpy_by_copies():
    rng = np.random.default_rng(8)
    A = random_sparse(rng, "csr", (9, 8), 0.4, np.float32)
    W = spkernels.cuda.prepare(A)
    B, bias, before = (random_dense(rng, size, np.float32) for size in ((8, 3), (3,), (9, 3)))
    result = spkernels.cuda.spmm(W, B, bias=bias, copy=True)
    assert_spmm(result, A, B, bias=bias)
    out = before.copy()
    assert spkernels.cuda.spmm(W, B, out=out, beta=2.0, copy=True) is out
    assert_spmm(out, A, B, beta=2.0, before=before)
    assert isinstance(spkernels.cuda.spmm(W, Tensor(B), bias=bias, copy=True), Tensor)
    # `out` is where the caller has it, wherever the operands are.
    out = np.full((9, 3), np.nan, np.float32)
    assert spkernels.cuda.spmm(W, Tensor(B), out=out, copy=True) is out
    assert_spmm(out, A, B)
    into = Tensor(np.full((9, 3), np.nan, np.float32))
    assert spkernels.cuda.spmm(W, B, out=into, copy=True) is into
    assert_spmm(into.array, A, B)
    with pytest.raises(ValueError, match="stream must be None with copy=True"):
        spkernels.cuda.spmm(W, B, copy=True, stream=3)
    assert isinstance(spkernels.cuda.asarray(B, "float64"), Tensor)


def test_patterns_are_checked():
    A = sp.csr_array([[0, 0, 0, 0], [1, 2, 0, 3]])
    assert spkernels.cuda.prepare(A, "float32", "3:4").nnz == 3
    with pytest.raises(ValueError, match="A breaks pattern='2:4': row 1 has 3 entries in window 0"):
        spkernels.cuda.prepare(A, "float32", "2:4")


def test_streams_and_workspaces(maker):
    W = spkernels.cuda.prepare(sp.csr_array(np.eye(4)))
    maker.streams.clear()
    maker.rooms.clear()
    B = Tensor(np.asfortranarray(np.ones((4, 4))))  # transposed in a workspace
    _ = W @ B
    assert maker.streams == [] and maker.rooms[0] >= 4 * 4 * 8
    assert maker.rooms[1] == maker.rooms[0] + 256  # as the first was not aligned
    W.spmm(B, stream=5)
    # Of an interface it is the array's own stream, and what is made belongs to this.
    _ = W @ Plain(np.ones((4, 4)), stream=11)
    _ = W @ Plain(np.ones((4, 4)))
    assert maker.streams == [5, 11, 0]

    class Protocol:
        def __cuda_stream__(self):
            return 0, 21

    class Pointer:
        ptr = 22

    class Handle:
        class handle:
            value = 23

    class Cuda:
        cuda_stream = 24

    maker.streams.clear()
    for stream in (Protocol(), Pointer(), Handle(), Cuda()):
        W.spmm(B, stream=stream)
    assert maker.streams == [21, 22, 23, 24]


def test_threads():
    rng = np.random.default_rng(9)
    A = random_sparse(rng, "csr", (50, 60), 0.2, np.float64)
    W = spkernels.cuda.prepare(A)
    operands = [random_dense(rng, (60, 8), np.float64) for _ in range(32)]
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda B: (W @ Tensor(B)).array, operands))
    for B, result in zip(operands, results, strict=True):
        assert_spmm(result, A, B)
