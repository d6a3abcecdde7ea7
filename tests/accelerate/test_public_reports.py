"""What users reported of other libraries' sparse products, asked of this one.

Each test says in whose report the question came up; code and numbers are our own.
"""

import gc
import tracemalloc

import numpy as np
import pytest
import scipy.sparse as sp
from reference import assert_sddmm, assert_spmm

import spkernels
from spkernels import prepare, sddmm, sparse_attention, spmm, spmspm

FORMATS = ["csr", "csc", "coo", "bsr", "dia", "lil", "dok"]
DTYPES = [np.float32, np.float64]


def random_sparse(rows, cols, format="csr", dtype=np.float64, density=0.3, seed=0):
    made = sp.random(rows, cols, density, "csr", dtype=dtype, random_state=seed)
    return sp.csr_array(made).asformat(format)


def random_dense(*shape, dtype=np.float64):
    return np.random.default_rng(1).standard_normal(shape).astype(dtype)


@pytest.mark.parametrize("format", FORMATS)
def test_dense_rows_times_one_column(format):
    """sparse_dot 13, scipy 9391: dense (n, m) @ sparse (m, 1) lost rows, or the shape."""
    B = random_sparse(7, 1, format, density=0.6)
    A = random_dense(3, 7)
    result = spmm(A, B)
    assert result.shape == (3, 1)
    assert_spmm(result, A, B)
    assert (A @ prepare(B, tune=False)).shape == (3, 1)


@pytest.mark.parametrize("format", FORMATS)
def test_vector_times_empty(format):
    """sparse_dot 34: a vector times a matrix without entries had the shape of the vector."""
    B = sp.csr_array((4, 3)).asformat(format)
    result = spmm(np.ones(4), B)
    np.testing.assert_array_equal(result, np.zeros(3))
    np.testing.assert_array_equal(np.ones(4) @ prepare(B, tune=False), np.zeros(3))


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_no_entries_give_zeros(format, dtype):
    """torch 16543: a matrix without entries gave what memory held; torch 90693: empty operands."""
    B = random_dense(10, 150, dtype=dtype)
    for _ in range(3):
        poison = np.full((30, 150), np.nan, dtype)
        del poison  # what the result is allocated on next
        np.testing.assert_array_equal(
            spmm(sp.csr_array((30, 10), dtype=dtype).asformat(format), B),
            np.zeros((30, 150), dtype),
        )
    for rows, inner, cols in [(0, 10, 3), (10, 0, 3), (10, 3, 0), (0, 0, 0)]:
        A = sp.csr_array((rows, inner), dtype=dtype).asformat(format)
        result = spmm(A, np.ones((inner, cols), dtype))
        np.testing.assert_array_equal(result, np.zeros((rows, cols), dtype))
        assert result.dtype == dtype


@pytest.mark.parametrize("beta", [0.0, 0.2])
def test_sampled_product_without_depth(beta):
    """torch 85169: with k = 0, values are beta * P, not P."""
    P = sp.csr_array(np.eye(5))
    result = sddmm(P, np.zeros((5, 0)), np.zeros((0, 5)), alpha=0.6, beta=beta)
    np.testing.assert_array_equal(result.data, np.full(5, beta))


@pytest.mark.parametrize("dtype", DTYPES)
def test_strided_operands(dtype):
    """dgl 5502, torch 76590: a slice of a larger array was read as if it were contiguous."""
    A = random_sparse(6, 8, dtype=dtype)
    whole = random_dense(8, 5, 2, dtype=dtype)
    assert_spmm(spmm(A, whole[:, :, 0]), A, whole[:, :, 0])
    assert_spmm(prepare(A, tune=False) @ whole[:, :, 1], A, whole[:, :, 1])
    X, Y = random_dense(6, 4, 3, dtype=dtype)[:, ::2, 1], random_dense(8, 2, dtype=dtype).T
    assert_sddmm(sddmm(A, X, Y), A, X, Y)


@pytest.mark.parametrize("cols", [None, 1, 4])
def test_one_dimensional_sparse(cols):
    """scipy 21471: a sparse vector (N,) times (N, K) has the shape (K,), K = 1 included."""
    a = sp.coo_array(np.array([1.0, 0.0, 2.0]))
    if a.ndim != 1:
        pytest.skip("This scipy has no sparse arrays of one dimension.")
    B = random_dense(3) if cols is None else random_dense(3, cols)
    result = spmm(a, B)
    assert result.shape == B.shape[1:]
    np.testing.assert_allclose(result, a.toarray() @ B)


@pytest.mark.parametrize("name", ["csr", "csc"])
def test_index_arrays_of_two_widths(name):
    """scanpy 3331, scikit-learn 31177: int64 indptr with int32 indices, as large files have."""
    plain = random_sparse(20, 30, name)  # scipy itself cannot convert the other
    A = plain.copy()
    A.indptr, A.indices = A.indptr.astype(np.int64), A.indices.astype(np.int32)
    B = random_dense(30, 4)
    assert_spmm(spmm(A, B), plain, B)
    assert_spmm(prepare(A, tune=False) @ B, plain, B)


def test_stack_of_dense_matrices():
    """cupy 8881, scipy 22347: a dense operand of three dimensions gave an array of objects."""
    A = random_sparse(3, 4)
    B = random_dense(5, 4, 6)
    with pytest.raises(ValueError, match="B must be 1-D or 2-D"):
        spmm(A, B)
    result = prepare(A, tune=False) @ B
    assert result.dtype == np.float64
    np.testing.assert_allclose(result, A.toarray() @ B, atol=1e-12)


def test_numpy_functions():
    """scipy 18938, 15547, pydata/sparse 266: np.dot and np.matmul multiply, from either side."""
    A, B = random_sparse(5, 4), random_dense(4, 3)
    W = prepare(A, tune=False)
    for result in (np.matmul(W, B), np.dot(W, B)):
        assert_spmm(result, A, B)
    for result in (np.matmul(B.T, W.T), np.dot(B.T, W.T), B.T @ W.T):
        assert_spmm(result, B.T, A.T)


def test_memory_mapped_operands(tmp_path):
    """scikit-learn 7842: joblib hands workers read-only, memory-mapped arrays."""
    A = random_sparse(20, 30)
    for name in ("data", "indices", "indptr"):
        np.save(tmp_path / name, getattr(A, name))
    data, indices, indptr = (
        np.load(tmp_path / f"{name}.npy", mmap_mode="r") for name in ("data", "indices", "indptr")
    )
    mapped = sp.csr_array((data, indices, indptr), shape=A.shape)
    B = random_dense(30, 4)
    B.flags.writeable = False
    assert_spmm(spmm(mapped, B), A, B)
    assert_spmm(prepare(mapped, tune=False) @ B, A, B)


@pytest.mark.parametrize("dense_first", [False, True])
@pytest.mark.parametrize("format", FORMATS)
def test_repeated_products_keep_no_memory(format, dense_first):
    """sparse_dot 16: dense times CSC lost the memory of each product."""
    A, B = random_sparse(10, 40, format), random_dense(40, 20)
    pair = (B.T, A.T.asformat(format)) if dense_first else (A, B)

    def grown_by(products):
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(products):
            spmm(*pair)
        gc.collect()
        return tracemalloc.get_traced_memory()[0] - before

    tracemalloc.start()
    try:
        grown_by(100)  # what Python keeps for the next call, whatever their number
        assert grown_by(500) < 500 * 100  # bytes; a result has 1600
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", ["csr", "csc", "coo"])
def test_both_sparse_without_common_indices(name):
    """torch 90836: two sparse operands that have no index in common gave uninitialised arrays."""
    A = sp.hstack([np.ones((2, 2)), sp.csr_array((2, 2))]).asformat(name)
    B = sp.vstack([sp.csr_array((2, 2)), np.ones((2, 2))]).asformat(name)
    np.testing.assert_array_equal(spmspm(A.tocsr(), B.tocsr()), np.zeros((2, 2)))


def test_rows_without_keys():
    """torch 103749: a query that a mask leaves no key gave NaN, which then spread."""
    Q = random_dense(4, 8)
    mask = sp.csr_array(np.tril(np.ones((4, 4)), -1))  # the first row is empty
    result = sparse_attention(Q, Q, Q, mask)
    np.testing.assert_array_equal(result[0], np.zeros(8))
    assert np.isfinite(result).all()


def test_accelerated_product_of_integers():
    """Counts of genes and words are integers: scipy's dtype and exact sums stay."""
    A = sp.csr_array(np.arange(12, dtype=np.int64).reshape(3, 4) * 2**53)
    B = np.arange(8, dtype=np.int64).reshape(4, 2)
    with spkernels.accelerate():
        result = A @ B
    assert result.dtype == np.int64
    np.testing.assert_array_equal(result, A.toarray() @ B)
