"""Offsets beyond 2**31: run with SPKERNELS_TEST_HUGE=1 and 12 GiB of memory to spare."""

import os

import numpy as np
import pytest
import scipy.sparse as sp
from reference import EXTRA_OPERATIONS, assert_close, gamma, terms

from spkernels import sddmm, spmm

pytestmark = [
    pytest.mark.huge,
    pytest.mark.skipif(
        os.environ.get("SPKERNELS_TEST_HUGE") != "1",
        reason="It needs tens of GiB, and SPKERNELS_TEST_HUGE is not 1.",
    ),
]

# A little above 2**31 elements, and no row or column is like its neighbours, so that an offset that
# wraps around reads something else.
ROWS, COLS = 70_001, 31_001
BY_ROW = (np.arange(ROWS) % 251).astype(np.float32)
BY_COL = (np.arange(COLS) % 241).astype(np.float32) / 256
assert ROWS * COLS > 2**31


@pytest.fixture(scope="module", params=["C", "F"])
def large(request):
    """A dense matrix of 8.7 GB: element (i, j) is BY_ROW[i] + BY_COL[j]."""
    array = np.empty((ROWS, COLS), np.float32, order=request.param)
    np.add(BY_ROW[:, None], BY_COL, out=array)
    yield array


def bound(A, axis):
    """The relative error of sums of positive terms, with the rounding of the dense elements."""
    return gamma(terms(A, axis) + 1 + EXTRA_OPERATIONS, np.float32)


def spread(fmt, shape):
    """A few entries, in the first and the last rows and columns as well."""
    rng = np.random.default_rng(0)
    rows = np.unique(np.concatenate([rng.integers(0, shape[0], 300), [0, shape[0] - 1]]))
    cols = np.concatenate([rng.integers(0, shape[1], len(rows) - 2), [0, shape[1] - 1]])
    values = rng.uniform(0.5, 1.5, len(rows)).astype(np.float32)
    A = sp.coo_array((values, (rows, cols)), shape=shape)
    return A.tobsr((1, 1)) if fmt == "bsr" else A.asformat(fmt)


@pytest.mark.parametrize("fmt", ["csr", "csc", "coo", "bsr"])
def test_a_dense_operand_of_more_than_2_31_elements(large, fmt):
    A = spread(fmt, (300, ROWS))
    A64 = A.astype(np.float64)
    expected = (A64 @ BY_ROW)[:, None] + A64.sum(axis=1)[:, None] * BY_COL
    np.testing.assert_allclose(spmm(A, large), expected, rtol=bound(A, 1))
    A = spread(fmt, (COLS, 300))
    A64 = A.astype(np.float64)
    expected = BY_ROW[:, None] * A64.sum(axis=0) + A64.T @ BY_COL
    np.testing.assert_allclose(spmm(large, A), expected, rtol=bound(A, 0))


@pytest.mark.parametrize("fmt", ["csr", "csc", "coo", "bsr"])
def test_sampled_factors_of_more_than_2_31_elements(large, fmt):
    P = spread(fmt, (ROWS, 300))
    weights = np.linspace(0.5, 1.5, 300, dtype=np.float32)
    for order in "CF":
        Y = np.array(np.broadcast_to(weights, (COLS, 300)), order=order)
        sample = sddmm(P, large, Y).tocoo()
        expected = weights[sample.col] * (COLS * BY_ROW[sample.row] + BY_COL.sum(dtype=float))
        assert_close(sample.data, expected, expected, COLS + EXTRA_OPERATIONS)


@pytest.mark.parametrize("fmt", ["csr", "csc", "coo", "bsr"])
def test_a_result_of_more_than_2_31_elements(large, fmt):
    A = spread(fmt, (ROWS, 5))
    B = np.random.default_rng(1).standard_normal((5, COLS)).astype(np.float32)
    spmm(A, B, out=large, beta=2.0)
    dense, B = A.toarray().astype(float), B.astype(float)
    try:
        # By slabs that lie together in memory.
        for start in range(0, ROWS, 1000):
            i, j = slice(start, start + 1000), slice(None)
            if large.flags.f_contiguous:
                i, j = slice(None), slice(start // 2, start // 2 + 500)
            old = 2 * (BY_ROW[i, None] + BY_COL[j]).astype(float)
            size = old + abs(dense[i]) @ abs(B[:, j])
            assert_close(large[i, j], old + dense[i] @ B[:, j], size, 5 + EXTRA_OPERATIONS)
    finally:
        np.add(BY_ROW[:, None], BY_COL, out=large)


def test_a_pattern_of_more_than_2_31_positions():
    """100,000 x 100,000, whose product would have 10**10 elements."""
    rng = np.random.default_rng(2)
    rows, cols = rng.integers(0, 100_000, (2, 500_000))
    P = sp.csr_array((np.ones(500_000, np.float32), (rows, cols)), shape=(100_000, 100_000))
    X = rng.standard_normal((100_000, 8), dtype=np.float32)
    sample = sddmm(P, X, X.T).tocoo()
    left, right = X[sample.row].astype(float), X[sample.col].astype(float)
    products = left * right
    size = abs(products).sum(axis=1)
    assert_close(sample.data, products.sum(axis=1), size, X.shape[1] + EXTRA_OPERATIONS)
