"""Packers and fragment maps: a C program multiplies from what they made, and scipy agrees."""

import ctypes
import os
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

from spkernels.cuda import _library


@pytest.fixture(scope="session")
def packed():
    folder = Path(os.environ["SPKERNELS_CUDA_LIBRARY"]).parents[2]
    return ctypes.CDLL(str(folder / "tests/cuda/libspkernels_cuda_packed.so"))


def as_sparse(A):
    """`A`, in CSR and float64, as the C interface takes it; keep `A` meanwhile."""
    pointers = (A.indptr.ctypes.data, A.indices.ctypes.data, None, A.data.ctypes.data)
    return _library.Sparse(
        0, 1, int(A.indptr.dtype == np.int64), 0, *A.shape, len(A.indices), 1, 1, *pointers
    )


def adversarial(rng, m, k):
    """A CSR matrix: unsorted, with repeated entries, -0.0, NaN, infinity, empty and long rows."""
    lengths = rng.choice([0, 0, 1, 3, 4, 5, 17, 300], m)
    indptr = np.concatenate([[0], np.cumsum(lengths)]).astype(rng.choice([np.int32, np.int64]))
    indices = rng.integers(0, k, indptr[-1]).astype(indptr.dtype)
    data = rng.choice(
        [1.0, -2.5, -0.0, 0.125, 3e10, np.nan, np.inf],
        indptr[-1],
        p=[0.3, 0.3, 0.1, 0.2, 0.08, 0.01, 0.01],
    )
    return sp.csr_array((data, indices, indptr), shape=(m, k))


def check(function, A, n, rng, *more):
    B = rng.integers(-4, 5, (A.shape[1], n)).astype(float)
    C = np.full((A.shape[0], n), 123.0)
    status = function(
        ctypes.byref(as_sparse(A)),
        ctypes.c_ssize_t(n),
        ctypes.c_void_p(B.ctypes.data),
        ctypes.c_void_p(C.ctypes.data),
        *more,
    )
    assert status == 0
    with np.errstate(all="ignore"):
        np.testing.assert_allclose(C, A @ B, rtol=1e-12)


@given(
    seed=st.integers(0, 2**32 - 1),
    m=st.integers(0, 70),
    k=st.integers(1, 90),
    n=st.sampled_from([1, 2, 7]),
)
def test_rows(packed, seed, m, k, n):
    rng = np.random.default_rng(seed)
    check(packed.spk_packed_rows, adversarial(rng, m, k), n, rng)


@given(
    seed=st.integers(0, 2**32 - 1),
    m=st.integers(0, 70),
    k=st.integers(1, 90),
    n=st.sampled_from([1, 2, 7]),
)
def test_eights(packed, seed, m, k, n):
    rng = np.random.default_rng(seed)
    check(packed.spk_packed_eights, adversarial(rng, m, k), n, rng)
