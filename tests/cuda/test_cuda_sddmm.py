"""Products sampled at a pattern, by tiles and entry by entry, against float64."""

import ctypes

import numpy as np
import pytest
import scipy.sparse as sp
from gpu import Array, Handle, round_to
from hypothesis import given
from hypothesis import strategies as st
from reference import gamma

from spkernels.cuda import _library

UNITS = {"float32": 2.0**-24, "float64": 2.0**-53, "float16": 2.0**-11, "bfloat16": 2.0**-8}
#: What multiplying with fewer bits does to a product: each operand is off by 2**-11 or, in two
#: parts, by 2**-22, and the product of the low parts is left out.
PRODUCT_ERRORS = {"strict": 0, "tf32": 2.0**-10 + 2.0**-22, "3xtf32": 3 * 2.0**-22}
#: dtypes and precisions: one for each class of products.
WAYS = [*((dtype, "strict") for dtype in sorted(UNITS)), ("float32", "tf32"), ("float32", "3xtf32")]
DEPTHS = [0, 1, 7, 8, 16, 31, 33, 64, 65, 100, 128]

seeds = st.integers(0, 2**32 - 1)


def sample(library, handle, X, Y, values, alpha=1.0, beta=0.0, scale=False):
    """Values (an `Array` of one row) of a sampled product; return the status."""
    room = handle.workspace(library.spk_cuda_sddmm_workspace, X.dense, Y.dense)
    sampling = _library.Sampling(alpha, beta, scale)
    status = library.spk_cuda_sddmm(
        handle.pointer,
        X.dense,
        Y.dense,
        values.pointer,
        ctypes.byref(sampling),
        room.pointer,
        None,
    )
    room.get()  # which looks for writes beyond its end
    return status


def places(P):
    return np.repeat(np.arange(P.shape[0]), np.diff(P.indptr)), P.indices


def check_samples(values, P, X, Y, way, alpha=1.0, beta=0.0, scale=False):
    """|values - exact| <= the error of k products and sums, and of the result's rounding."""
    dtype, precision = way
    k = X.shape[1]
    rows, cols = places(P)
    x, y, old = X.astype(float)[rows], Y.astype(float).T[cols], P.data.astype(float)
    factor = alpha * old if scale else np.full(P.nnz, alpha)
    exact = factor * np.einsum("pk,pk->p", x, y) + (beta * old if beta else 0)
    size = np.abs(factor) * np.einsum("pk,pk->p", np.abs(x), np.abs(y))
    # Tensor cores may cut sums where other units round them: twice as many units.
    sums = 6 * k if precision == "3xtf32" else 2 * k
    bound = PRODUCT_ERRORS[precision] * size + UNITS[dtype] * np.abs(exact)
    bound += gamma(sums + 10, np.float64 if dtype == "float64" else np.float32) * (
        size + np.abs(beta * old)
    )
    bound += 2.0**-24 if dtype == "float16" else 1e-37
    error = np.abs(values.astype(float) - exact)
    assert (error <= bound).all(), (error.max(), way, P.shape, k)


def full(m, n):
    return np.ones((m, n), bool)


def window(m, n, width):
    return np.abs(np.arange(m)[:, None] - np.arange(n)) <= width


def causal(m, n):
    return np.arange(m)[:, None] >= np.arange(n)


def scattered(rng, m, n, density):
    return rng.random((m, n)) < density


def mixed(rng, m, n):
    """Full tiles, half-full ones, and some with few entries; empty rows and columns."""
    of_tiles = rng.choice([0, 0.002, 0.02, 0.05, 0.5, 1], (m // 64 + 1, n // 64 + 1))
    densities = np.kron(of_tiles, np.ones((64, 64)))[:m, :n]
    mask = rng.random((m, n)) < densities
    return mask & (rng.random((m, 1)) < 0.9) & (rng.random((1, n)) < 0.9)


def masks(rng, kind, m, n):
    return {
        "full": lambda: full(m, n),
        "window": lambda: window(m, n, int(rng.integers(0, 40))),
        "causal": lambda: causal(m, n),
        "sparse": lambda: scattered(rng, m, n, 0.02),
        "mixed": lambda: mixed(rng, m, n),
    }[kind]()


def pattern(rng, mask, dtype, order="sorted"):
    """`mask` in CSR with values of a dtype, as it is, unsorted, or with repeated entries too."""
    P = sp.csr_array(mask.astype(float))
    rows, cols = places(P)
    if order == "repeated" and P.nnz:
        again = rng.integers(0, P.nnz, 1 + P.nnz // 5)
        rows, cols = np.append(rows, rows[again]), np.append(cols, cols[again])
    if order != "sorted":
        shuffled = rng.permutation(len(rows))
        shuffled = shuffled[np.argsort(rows[shuffled], kind="stable")]
        rows, cols = rows[shuffled], cols[shuffled]
    indptr = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=mask.shape[0]))])
    itype = rng.choice([np.int32, np.int64])
    data = round_to(rng.standard_normal(len(cols)), dtype).astype(float)
    return sp.csr_array((data, cols.astype(itype), indptr.astype(itype)), shape=mask.shape)


def operands(rng, P, k, dtype):
    m, n = P.shape
    return (
        round_to(rng.standard_normal((m, k)), dtype),
        round_to(rng.standard_normal((k, n)), dtype),
    )


def empty_values(P, dtype, shift=0):
    return Array(np.full((1, P.nnz), np.nan), dtype, shift=shift)


@given(
    seed=seeds,
    way=st.sampled_from(WAYS),
    kind=st.sampled_from(["full", "window", "causal", "sparse", "mixed"]),
    order=st.sampled_from(["sorted", "unsorted", "repeated"]),
    m=st.integers(0, 150),
    n=st.integers(1, 150),
    k=st.sampled_from(DEPTHS),
    layouts=st.sampled_from(["CF", "CF", "CC", "FF", "FC"]),
    apart=st.sampled_from([0, 1, 4, 8]),
    shift=st.sampled_from([0, 0, 1, 8]),
    alpha=st.sampled_from([1.0, -0.5]),
    beta=st.sampled_from([0.0, 2.0]),
    scale=st.booleans(),
)
def test_any_pattern(
    library, seed, way, kind, order, m, n, k, layouts, apart, shift, alpha, beta, scale
):
    rng = np.random.default_rng(seed)
    dtype, precision = way
    P = pattern(rng, masks(rng, kind, m, n), dtype, order)
    X, Y = operands(rng, P, k, dtype)
    handle = Handle(library, P, dtype, operations=["sddmm"], precision=precision)
    assert handle.status == 0
    values = empty_values(P, dtype, shift)
    of_x, of_y = (
        Array(M, dtype, layout, apart, shift) for M, layout in zip([X, Y], layouts, strict=True)
    )
    assert sample(library, handle, of_x, of_y, values, alpha, beta, scale) == 0
    check_samples(values.get()[0], P, X, Y, way, alpha, beta, scale)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("k", [64, 300])
def test_many_tiles(library, way, k):
    """More tiles than runs, and depths whose slices of X stay in shared memory or do not."""
    rng = np.random.default_rng(k)
    P = pattern(rng, scattered(rng, 128, 64 * 70, 0.07), way[0])
    X, Y = operands(rng, P, k, way[0])
    handle = Handle(library, P, way[0], operations=["sddmm"], precision=way[1])
    values = empty_values(P, way[0])
    assert sample(library, handle, Array(X, way[0]), Array(Y, way[0], "F"), values) == 0
    check_samples(values.get()[0], P, X, Y, way)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("order", ["sorted", "repeated"])
def test_not_finite(library, way, order):
    """NaN and infinity reach the entries of their row or column, and no others."""
    rng = np.random.default_rng(1)
    dtype, precision = way
    P = pattern(rng, mixed(rng, 140, 270), dtype, order)
    P.data[...] = np.nan  # which nothing asks for
    X, Y = operands(rng, P, 72, dtype)
    X[rng.integers(0, 140, 9), rng.integers(0, 72, 9)] = rng.choice([np.nan, np.inf, -np.inf], 9)
    Y[rng.integers(0, 72, 9), rng.integers(0, 270, 9)] = rng.choice([np.nan, np.inf, -0.0], 9)
    X[5], Y[:, 200] = -0.0, np.inf
    handle = Handle(library, P, dtype, operations=["sddmm"], precision=precision)
    values = empty_values(P, dtype)
    assert sample(library, handle, Array(X, dtype), Array(Y, dtype, "F"), values) == 0
    got = values.get()[0].astype(float)
    rows, cols = places(P)
    with np.errstate(invalid="ignore"):
        exact = np.einsum("pk,pk->p", X.astype(float)[rows], Y.astype(float).T[cols])
    finite = np.isfinite(exact)
    assert finite.any()
    assert np.isnan(exact).any()
    assert np.isinf(exact).any()
    np.testing.assert_array_equal(got[~finite], exact[~finite])
    assert np.isfinite(got[finite]).all()


@given(seed=seeds, way=st.sampled_from(WAYS), order=st.sampled_from(["sorted", "repeated"]))
def test_new_values(library, seed, way, order):
    """Scale and beta take the values that were set last; the same bits each time."""
    rng = np.random.default_rng(seed)
    dtype, precision = way
    P = pattern(rng, mixed(rng, 80, 130), dtype, order)
    X, Y = operands(rng, P, 24, dtype)
    handle = Handle(library, P, dtype, operations=["sddmm", "spmm"], precision=precision)
    before = library.spk_cuda_bytes(handle.pointer)
    P.data = round_to(rng.standard_normal(P.nnz), dtype).astype(float)
    new = Array(P.data[None], dtype)
    assert library.spk_cuda_update_values(handle.pointer, new.pointer, None) == 0
    assert library.spk_cuda_bytes(handle.pointer) == before >= P.nnz * new.view.itemsize
    results = []
    for _ in range(2):
        values = empty_values(P, dtype)
        of_x, of_y = Array(X, dtype), Array(Y, dtype, "F")
        assert sample(library, handle, of_x, of_y, values, 2.0, -1.0, True) == 0
        check_samples(values.get()[0], P, X, Y, way, 2.0, -1.0, True)
        results.append(values.get().tobytes())
    assert results[0] == results[1]


def test_infinite_values(library):
    """They scale, and beta == 0 adds nothing of them."""
    rng = np.random.default_rng(4)
    for mask in (full(70, 70), window(70, 70, 0)):  # by tiles; one by one
        P = pattern(rng, mask, "float32")
        P.data[::3] = np.inf
        X, Y = operands(rng, P, 3, "float32")
        handle = Handle(library, P, "float32", operations=["sddmm"])
        values = empty_values(P, "float32")
        of_x, of_y = Array(X, "float32"), Array(Y, "float32", "F")
        assert sample(library, handle, of_x, of_y, values, scale=True) == 0
        assert not np.isnan(values.get()).any()
        assert (np.isinf(values.get()[0]) == np.isinf(P.data)).all()


def test_tf32_rounds_to_nearest(library):
    """Of 24 bits of an operand 11 stay, and ties go away from zero; products of these are exact."""
    rng = np.random.default_rng(5)
    P = sp.csr_array(np.ones((64, 64)))
    X, Y = operands(rng, P, 1, "float32")
    X[0], Y[0, 0] = 1 + 2.0**-11, -1 - 3 * 2.0**-11
    handle = Handle(library, P, "float32", operations=["sddmm"], precision="tf32")
    values = empty_values(P, "float32")
    assert sample(library, handle, Array(X, "float32"), Array(Y, "float32", "F"), values) == 0
    rounded = [
        ((M.view(np.uint32) + 0x1000) & 0xFFFFE000).astype(np.uint32).view(np.float32)
        for M in (X, Y)
    ]
    assert rounded[0][0, 0] == 1 + 2.0**-10
    np.testing.assert_array_equal(values.get().reshape(64, 64), rounded[0] @ rounded[1])


def test_pattern_without_values(library):
    rng = np.random.default_rng(2)
    P = pattern(rng, window(100, 100, 9), "float32")
    X, Y = operands(rng, P, 40, "float32")
    handle = Handle(library, P, "float32", operations=["sddmm"], values=False)
    assert handle.status == 0
    values = empty_values(P, "float32")
    of_x, of_y = Array(X, "float32"), Array(Y, "float32", "F")
    assert sample(library, handle, of_x, of_y, values, 3.0) == 0
    check_samples(values.get()[0], P, X, Y, ("float32", "strict"), 3.0)
    assert sample(library, handle, of_x, of_y, values, beta=1.0) == _library.ERR_PREPARED
    assert sample(library, handle, of_x, of_y, values, scale=True) == _library.ERR_PREPARED
    status = library.spk_cuda_update_values(handle.pointer, values.pointer, None)
    assert status == _library.ERR_PREPARED


def test_null_sampling(library):
    rng = np.random.default_rng(3)
    P = pattern(rng, window(70, 60, 9), "float64")
    X, Y = operands(rng, P, 5, "float64")
    handle = Handle(library, P, "float64", operations=["sddmm"])
    of_x, of_y = Array(X, "float64"), Array(Y, "float64", "F")
    values = empty_values(P, "float64")
    of = (of_x.dense, of_y.dense, values.pointer)
    assert library.spk_cuda_sddmm(handle.pointer, *of, None, None, None) == 0
    check_samples(values.get()[0], P, X, Y, ("float64", "strict"))


def test_bad_arguments(library):
    P = sp.csr_array(np.eye(4, 6))
    handle = Handle(library, P, "float32", operations=["sddmm"])
    X, Y, values = np.ones((4, 3)), np.ones((3, 6)), empty_values(P, "float32")

    def run(X, Y, pointer=values.pointer, room=None, handle=handle.pointer):
        return library.spk_cuda_sddmm(handle, X, Y, pointer, None, room, None)

    x, y = Array(X, "float32"), Array(Y, "float32", "F")
    assert run(x.dense, y.dense) == 0
    assert run(x.dense, y.dense, handle=None) == _library.ERR_ARGUMENT
    assert run(None, y.dense) == _library.ERR_ARGUMENT
    assert run(x.dense, None) == _library.ERR_ARGUMENT
    assert run(x.dense, y.dense, pointer=None) == _library.ERR_ARGUMENT
    assert run(Array(X, "float64").dense, y.dense) == _library.ERR_DTYPE
    assert run(x.dense, Array(Y, "float16", "F").dense) == _library.ERR_DTYPE
    assert run(Array(X[:3], "float32").dense, y.dense) == _library.ERR_SHAPE
    assert run(x.dense, Array(Y[:2], "float32", "F").dense) == _library.ERR_SHAPE
    assert run(x.dense, Array(Y[:, :5], "float32", "F").dense) == _library.ERR_SHAPE
    transposed = Array(Y, "float32")
    assert run(x.dense, transposed.dense) == _library.ERR_WORKSPACE
    room = handle.workspace(library.spk_cuda_sddmm_workspace, x.dense, transposed.dense)
    assert run(x.dense, transposed.dense, room=room.pointer + 8) == _library.ERR_WORKSPACE
    status = library.spk_cuda_sddmm_workspace(handle.pointer, x.dense, y.dense, None)
    assert status == _library.ERR_ARGUMENT
    other = Handle(library, P, "float32", operations=["spmm"])
    assert run(x.dense, y.dense, handle=other.pointer) == _library.ERR_PREPARED
