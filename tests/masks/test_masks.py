"""Masks that are described: against arrays of booleans, alone and combined."""

import pickle
import tracemalloc

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from strategies import random_sparse, seeds

from spkernels import datasets, masks


def apart(n, m=None):
    """Key minus query."""
    return np.arange(n if m is None else m) - np.arange(n)[:, None]


def assert_mask(mask, expected):
    expected = np.asarray(expected, bool)
    assert mask.shape == expected.shape
    assert np.array_equal(mask.toarray(), expected)
    csr = mask.tocsr()
    assert csr.has_canonical_format
    assert np.array_equal(csr.toarray() != 0, expected)
    assert mask.nnz == csr.nnz == np.count_nonzero(expected)
    if expected.size:
        assert mask.sparsity == pytest.approx(1 - expected.mean())
    assert np.array_equal((~mask).toarray(), ~expected)


sizes = st.integers(0, 40)
reaches = st.integers(0, 45)


@given(sizes, reaches)
def test_window(n, radius):
    assert_mask(masks.window(n, radius), abs(apart(n)) <= radius)


@given(sizes, sizes, st.integers(-50, 50))
def test_causal(n, m, offset):
    assert_mask(masks.causal(n, m, offset=offset), apart(n, m) <= offset)
    assert_mask(masks.full(n, m), np.ones((n, m)))


@given(sizes, st.integers(1, 45))
def test_causal_window(n, width):
    assert_mask(masks.causal_window(n, width), (apart(n) <= 0) & (apart(n) > -width))


@given(sizes, st.integers(0, 5), st.integers(1, 12))
def test_dilated(n, radius, dilation):
    steps = apart(n)
    assert_mask(
        masks.dilated(n, radius, dilation),
        (steps % dilation == 0) & (abs(steps) <= radius * dilation),
    )


@given(st.integers(1, 40), seeds)
def test_global_tokens(n, seed):
    rng = np.random.default_rng(seed)
    tokens = rng.integers(0, n, rng.integers(0, 8))
    expected = np.zeros((n, n), bool)
    expected[tokens], expected[:, tokens] = True, True
    assert_mask(masks.global_tokens(n, tokens), expected)
    count = int(rng.integers(0, n + 1))
    assert_mask(masks.global_tokens(n, count), masks.global_tokens(n, range(count)).toarray())


def test_masks_of_nothing():
    for make in (masks.full, lambda n: masks.random(n, 0), lambda n: masks.global_tokens(n, 0)):
        assert_mask(make(0), np.zeros((0, 0)))


def test_random_and_bigbird_are_those_of_the_data_sets():
    assert_mask(masks.random(200, 7, rng=3), datasets.random_mask(200, 7, rng=3).toarray())
    assert_mask(
        masks.bigbird(96, 8, window_blocks=3, global_blocks=1, random_blocks=2, rng=5),
        datasets.bigbird_mask(
            96, 8, window_blocks=3, global_blocks=1, random_blocks=2, rng=5
        ).toarray(),
    )


@given(sizes, sizes, st.integers(1, 9), st.integers(1, 9), seeds)
def test_blocks(n, m, height, width, seed):
    rng = np.random.default_rng(seed)
    grid = rng.random((-(-n // height), -(-m // width))) < 0.4
    expected = np.kron(grid, np.ones((height, width), bool))[:n, :m]
    positions = rng.permutation(np.argwhere(grid))
    positions = np.concatenate([positions, positions[:1]])  # a repeated one counts once
    assert_mask(masks.blocks((n, m), (height, width), positions), expected)
    assert_mask(masks.blocks((n, m), (height, width), sp.coo_array(grid)), expected)


@given(seeds, st.sampled_from(["csr", "csc", "coo", "bsr", "lil"]), st.booleans())
def test_from_sparse(seed, fmt, duplicates):
    rng = np.random.default_rng(seed)
    shape = (int(rng.integers(1, 40)), int(rng.integers(1, 40)))
    P = random_sparse(
        rng, fmt, shape, 0.3, np.float32, in_order=False, duplicates=duplicates, zeros=True
    )
    csr = P.tocsr()
    csr.data[:] = 1
    assert_mask(masks.from_sparse(P), csr.toarray() != 0)


def test_diagonals_are_stored_whole():
    P = sp.dia_array((np.array([[1.0, 0, 3, 0], [0, 2, 0, 4]]), [0, 1]), shape=(4, 4))
    assert_mask(masks.from_sparse(P), np.isin(apart(4), (0, 1)))


@given(seeds)
def test_sets_of_masks(seed):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(0, 35))
    kinds = [masks.window(n, 3), masks.causal(n), masks.global_tokens(n, n // 7), masks.full(n)]
    drawn = sp.random_array((n, n), density=0.2, rng=1)
    kinds += [masks.dilated(n, 3, 4), masks.from_sparse(drawn)]
    mask, expected = masks.window(n, 1), abs(apart(n)) <= 1
    for _ in range(5):
        other = kinds[rng.integers(len(kinds))]
        which = rng.integers(3)
        if which == 0:
            mask, expected = mask & other, expected & other.toarray()
        elif which == 1:
            mask, expected = mask | other, expected | other.toarray()
        else:
            mask, expected = ~mask, ~expected
    assert_mask(mask, expected)


@pytest.mark.parametrize("offset", [2**63 - 1, -(2**63), 10**30, -(10**30)])
def test_offsets_beyond_the_matrix(offset):
    assert_mask(masks.causal(4, 6, offset=offset), np.full((4, 6), offset > 0))


def test_descriptions_cost_what_they_describe():
    tracemalloc.start()
    assert masks.dilated(4096, 10**6, 1).nnz == 4096**2
    assert masks.dilated(64, 10**8, 2).nnz == 64**2 // 2
    assert masks.global_tokens(4096, 512).nnz == 4096**2 - 3584**2
    assert tracemalloc.get_traced_memory()[1] < 4 << 20
    tracemalloc.stop()


def test_a_mask_that_is_used_can_be_pickled():
    mask = masks.window(30, 2) | ~masks.causal(30)
    assert mask.nnz
    copied = pickle.loads(pickle.dumps(mask))
    assert np.array_equal(copied.toarray(), mask.toarray())
    text = "(window(radius=2) | ~causal(offset=0))>"
    assert repr(copied) == f"<Mask of 30 x 30, bool, pairs not counted yet, {text}"
    assert copied.nnz == mask.nnz
    assert repr(copied) == repr(mask) == f"<Mask of 30 x 30, bool, {mask.nnz} pairs, {text}"


def test_a_described_mask_takes_memory_per_row_and_not_per_entry():
    n = 20_000
    mask = masks.causal(n)
    assert mask.nnz == n * (n + 1) // 2
    assert mask._column_runs().nbytes < 40 * n


@pytest.mark.parametrize(
    ("make", "error", "match"),
    [
        (lambda: masks.window(-1, 2), ValueError, "n must be from 0"),
        (lambda: masks.window(5, 1.5), TypeError, "radius must be an integer"),
        (lambda: masks.window(2**31, 1), ValueError, "n must be"),
        (lambda: masks.causal(5, offset="a"), TypeError, "offset must be an integer"),
        (lambda: masks.causal_window(5, 0), ValueError, "width must be from 1"),
        (lambda: masks.dilated(5, 1, 0), ValueError, "dilation must be from 1"),
        (lambda: masks.global_tokens(5, 6), ValueError, "tokens must be at most the length 5"),
        (lambda: masks.global_tokens(5, [5]), ValueError, "tokens must be from 0 to 4"),
        (lambda: masks.global_tokens(5, [0.5]), TypeError, "tokens must be"),
        (lambda: masks.global_tokens(5, [[1], [1, 2]]), ValueError, "tokens must be an array of"),
        (lambda: masks.random(5, 6), ValueError, "per_row"),
        (lambda: masks.bigbird(100), ValueError, "multiple of the block size"),
        (lambda: masks.blocks(5, 2, []), ValueError, "shape and block_size"),
        (lambda: masks.blocks((5, 5), 0, []), ValueError, "block_size must be from 1"),
        (lambda: masks.blocks((5, 5), 2, [(0, 3)]), ValueError, "positions must lie in a grid"),
        (lambda: masks.blocks((5, 5), 2, [0, 1]), ValueError, "positions must be pairs"),
        (lambda: masks.blocks((5, 5), 2, sp.eye_array(2)), ValueError, "positions must have shape"),
        (lambda: masks.from_sparse(np.eye(3)), TypeError, "P must be a scipy.sparse array"),
        (lambda: masks.window(4, 1) & masks.window(5, 1), ValueError, "masks must have one shape"),
        (lambda: masks.window(4, 1) | np.eye(4), TypeError, "unsupported operand"),
    ],
)
def test_errors(make, error, match):
    with pytest.raises(error, match=match):
        make()
