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
def test_register_panels(packed, seed, m, k, n):
    rng = np.random.default_rng(seed)
    check(packed.spk_packed_register_panels, adversarial(rng, m, k), n, rng)


def pack_blocks(packed, A):
    """Return the mask from its groups of keys, groups per panel, and how many need bits."""
    m, n = A.shape
    mask, groups = np.zeros((m, n), np.uint8), np.zeros(-(-m // 128), np.int64)
    masks = ctypes.c_int64()
    status = packed.spk_packed_block_mask(
        ctypes.byref(as_sparse(A)),
        ctypes.c_void_p(mask.ctypes.data),
        ctypes.c_void_p(groups.ctypes.data),
        ctypes.byref(masks),
    )
    assert status == 0
    return mask, groups, masks.value


@given(
    seed=st.integers(0, 2**32 - 1),
    m=st.sampled_from([0, 1, 15, 16, 17, 100, 128, 129, 300]),
    n=st.sampled_from([0, 1, 63, 64, 65, 200, 256]),
    kind=st.sampled_from(["adversarial", "random", "blocks", "window", "full"]),
)
def test_block_mask(packed, seed, m, n, kind):
    """The mask is rebuilt, in as few groups of keys as there can be."""
    rng = np.random.default_rng(seed)
    rows, keys = np.arange(m)[:, None], np.arange(n)
    if kind == "adversarial" and n:
        A = adversarial(rng, m, n)
    else:
        A = {
            "random": lambda: rng.random((m, n)) < rng.random() ** 3,
            "blocks": lambda: (rng.random((5, 5)) < 0.5)[rows // 64, keys // 64],
            "window": lambda: abs(rows - keys) <= 70,
        }.get(kind, lambda: np.ones((m, n)))()
        A = sp.csr_array(A.astype(float))
    expected = np.zeros((m, n), bool)
    expected[np.repeat(np.arange(m), np.diff(A.indptr)), A.indices] = True
    mask, groups, _ = pack_blocks(packed, A)
    np.testing.assert_array_equal(mask, expected)
    used = [expected[first : first + 128].any(axis=0).sum() for first in range(0, m, 128)]
    np.testing.assert_array_equal(groups, [-(-count // 64) for count in used])


def test_whole_blocks_of_keys_need_no_bits(packed):
    """Also behind single keys, with which they would not be aligned."""
    mask = np.zeros((130, 300), bool)
    mask[:, 64:192] = mask[:, 256:] = True
    mask[5, 3] = mask[129, 3] = True
    rebuilt, groups, masks = pack_blocks(packed, sp.csr_array(mask.astype(float)))
    np.testing.assert_array_equal(rebuilt, mask)
    assert groups.tolist() == [3, 3]
    assert masks == 2


@given(
    seed=st.integers(0, 2**32 - 1),
    m=st.integers(0, 150),
    k=st.integers(1, 200),
    sort=st.booleans(),
    unique=st.booleans(),
    least=st.sampled_from([1, 2, 20, 100, 5000]),
    most=st.sampled_from([1, 2, 8]),
)
def test_sddmm_tiles(packed, seed, m, k, sort, unique, least, most):
    rng = np.random.default_rng(seed)
    A = adversarial(rng, m, k)
    if unique:
        A.sum_duplicates()
    elif sort:
        A.sort_indices()
    if unique and not sort and A.nnz:
        A.indices[: A.indptr[1]] = A.indices[: A.indptr[1]][::-1].copy()
    check(packed.spk_packed_sddmm_tiles, A, 2, rng, ctypes.c_int(least), ctypes.c_int(most))


@pytest.mark.parametrize("halves", [1, 2])
def test_fragments(packed, halves):
    seen = np.zeros((16, 8 * halves), np.intc)
    assert packed.spk_packed_fragments(halves, ctypes.c_void_p(seen.ctypes.data)) == 0
    assert (seen == 1).all()


@given(
    seed=st.integers(0, 2**32 - 1),
    function=st.sampled_from(["spk_packed_gather", "spk_packed_bitmap"]),
    m=st.integers(0, 140),
    k=st.sampled_from([1, 40, 90, 5000]),
    n=st.sampled_from([1, 3]),
    height=st.sampled_from([0, 16, 32, 64, 128]),
    halves=st.sampled_from([1, 2]),
    longest=st.sampled_from([1, 2, 1000]),
)
def test_panels(packed, seed, function, m, k, n, height, halves, longest):
    rng = np.random.default_rng(seed)
    A = adversarial(rng, m, k)
    check(getattr(packed, function), A, n, rng, height, halves, longest)
