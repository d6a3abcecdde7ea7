"""Masks that keep the most magnitude: against loops that look at one entry after the other."""

import itertools

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment
from strategies import lay_out, layouts, seeds

from spkernels import prune

DTYPES = (np.float32, np.float64, np.float16, np.int8, np.int64, np.uint8, bool)
sizes = st.integers(0, 13)
sparsities = st.one_of(st.floats(0, 1), st.sampled_from([0, 0.25, 0.5, 0.75, 1]))


@st.composite
def weights(draw, dtypes=DTYPES):
    """Draw a weight of few values, so that there are ties and zeros, or of many."""
    shape = draw(sizes), draw(sizes)
    rng = np.random.default_rng(draw(seeds))
    dtype = np.dtype(draw(st.sampled_from(dtypes)))
    W = rng.integers(0 if dtype.kind in "ub" else -2, 3, shape) * draw(st.sampled_from([0, 1, 40]))
    if dtype.kind == "f" and draw(st.booleans()):
        W = rng.standard_normal(shape)
    return lay_out(W.astype(dtype), draw(layouts))


def top(values, count):
    """Places of the largest, of equal ones the first."""
    return sorted(range(len(values)), key=lambda at: (-values[at], at))[:count]


def kept_of(size, sparsity):
    return round((1 - sparsity) * size)


def magnitudes(W):
    return np.abs(W.astype(np.float64))


def assert_pruned(result, W, expected):
    assert isinstance(result, prune.Pruned)
    mask, kept = result
    assert mask.dtype == bool and mask.shape == W.shape and mask.flags.c_contiguous
    np.testing.assert_array_equal(mask, expected)
    total = magnitudes(W).sum()
    assert isinstance(kept, float) and 0 <= kept <= 1
    if total:
        assert kept == pytest.approx(magnitudes(W)[expected].sum() / total, rel=1e-12, abs=1e-15)
    else:
        assert kept == 1


def by_windows(W, width, count):
    """Keep count(w) of each window, one window after the other."""
    expected = np.zeros(W.shape, bool)
    size = magnitudes(W)
    for row, start in itertools.product(range(W.shape[0]), range(0, W.shape[1], width)):
        window = size[row, start : start + width].tolist()
        expected[row, [start + at for at in top(window, count(len(window)))]] = True
    return expected


# Entries ------------------------------------------------------------------------------------------


@given(weights(), sparsities)
def test_largest_of_all(W, sparsity):
    expected = np.zeros(W.size, bool)
    expected[top(magnitudes(W).ravel().tolist(), kept_of(W.size, sparsity))] = True
    assert_pruned(prune.magnitude(W, sparsity), W, expected.reshape(W.shape))


@given(weights(), sparsities, st.integers(1, 15))
def test_as_many_in_every_row_or_window(W, sparsity, width):
    def count(w):
        return kept_of(w, sparsity)

    result = prune.magnitude(W, sparsity, balanced=width)
    assert_pruned(result, W, by_windows(W, width, count))
    result = prune.magnitude(W, sparsity, balanced="rows")
    assert_pruned(result, W, by_windows(W, max(1, W.shape[1]), count))


@given(weights(), st.integers(2, 32), st.data())
def test_nm(W, m, data):
    n = data.draw(st.integers(1, m))
    assert_pruned(prune.nm(W, n, m), W, by_windows(W, m, lambda w: min(n, w)))


def test_counts_are_exact_where_all_are_equal():
    for W in (np.zeros((30, 40)), np.ones((30, 40), np.float32)):
        mask, kept = prune.magnitude(W, 0.9)
        assert np.flatnonzero(mask).tolist() == list(range(120))
        assert kept == (0.1 if W.any() else 1)
    # Halves go to the even number.
    assert [prune.magnitude([[1, 1, 1, 1, 1][:n]], 0.5).mask.sum() for n in (1, 3, 5)] == [0, 2, 2]


# Blocks -------------------------------------------------------------------------------------------


@given(weights(), st.integers(1, 6), st.integers(1, 6), sparsities, st.booleans())
def test_blocks(W, height, width, sparsity, balanced):
    rows, cols = range(0, W.shape[0], height), range(0, W.shape[1], width)
    # Sums are compared, so those of the reference must round alike: these are whole numbers.
    W = np.round(W.astype(np.float64) * 64)
    expected = np.zeros(W.shape, bool)
    grid = [(row, col) for row in rows for col in cols]
    for group in [[at for at in grid if at[0] == row] for row in rows] if balanced else [grid]:
        sums = [magnitudes(W)[i : i + height, j : j + width].sum() for i, j in group]
        for at in top(sums, kept_of(len(group), sparsity)):
            i, j = group[at]
            expected[i : i + height, j : j + width] = True
    result = prune.block(W, (height, width), sparsity, balanced=balanced)
    assert_pruned(result, W, expected)
    if width == 1:
        assert_pruned(prune.vector(W, height, sparsity, balanced=balanced), W, expected)


# Complementary rows -------------------------------------------------------------------------------


def sets_of(W, size):
    return [magnitudes(W)[first : first + size] for first in range(0, W.shape[0], size)]


@given(weights(), st.integers(1, 15))
def test_complementary(W, size):
    expected = np.zeros(W.shape, bool)
    for number, part in enumerate(sets_of(W, size)):
        for col in range(W.shape[1]):
            expected[number * size + top(part[:, col].tolist(), 1)[0], col] = True
    assert_pruned(prune.complementary(W, size), W, expected)


def greedy(part):
    rows, cols = part.shape
    mask = np.zeros(part.shape, bool)
    for at in top(part.ravel().tolist(), part.size):
        row, col = divmod(at, cols)
        trial = mask.sum(axis=1)
        trial[row] += 1
        within = trial.max() <= -(-cols // rows)
        if cols % rows:
            within &= np.count_nonzero(trial > cols // rows) <= cols % rows
        mask[row, col] = within and not mask[:, col].any()
    return mask


@given(weights(), st.integers(1, 15))
def test_balanced_complementary(W, size):
    parts = sets_of(W, size)
    expected = [greedy(part) for part in parts]
    result = prune.complementary(W, size, balanced=True)
    assert_pruned(result, W, np.concatenate(expected) if parts else np.zeros(W.shape, bool))
    for number, part in enumerate(parts):
        rows, cols = part.shape
        mask = result.mask[number * size :][:rows]
        assert (mask.sum(axis=0) == 1).all()
        assert np.ptp(mask.sum(axis=1)) <= 1
        if cols % rows == 0:
            # Each row has as many places as it may get columns; greedy reaches half of the best.
            places = np.repeat(part, cols // rows, axis=0)
            best = places[linear_sum_assignment(places, maximize=True)].sum()
            assert best / 2 <= part[mask].sum() * (1 + 1e-12)
            assert part[mask].sum() <= best * (1 + 1e-12)


# Arguments ----------------------------------------------------------------------------------------

WAYS = {
    "magnitude": lambda W: prune.magnitude(W, 0.5),
    "nm": lambda W: prune.nm(W, 1, 2),
    "block": lambda W: prune.block(W, (2, 2), 0.5),
    "vector": lambda W: prune.vector(W, 2, 0.5),
    "complementary": lambda W: prune.complementary(W, 2),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("W", "error", "message"),
    [
        (np.ones(3), ValueError, r"W must be 2-D, got shape \(3,\)"),
        (np.ones((1, 2, 3)), ValueError, "W must be 2-D"),
        ([[1.0, 2.0], [np.nan, 0.0]], ValueError, "W must .* finite .* nan in row 1, column 0"),
        ([[1.0, -np.inf]], ValueError, "W must .* finite .* -inf in row 0, column 1"),
        ([[1j]], TypeError, "W must hold real numbers, got dtype complex128"),
        ([["a"]], TypeError, "W must hold real numbers"),
        (sp.csr_array((2, 2)), TypeError, "W must be dense, got csr_array"),
    ],
)
def test_weights_that_are_none(way, W, error, message):
    with pytest.raises(error, match=message):
        WAYS[way](W)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda W: prune.magnitude(W, 1.1), ValueError, "sparsity must be .* 1, got 1.1"),
        (lambda W: prune.magnitude(W, -0.1), ValueError, "sparsity must be a fraction from 0 to 1"),
        (lambda W: prune.magnitude(W, np.nan), ValueError, "sparsity must be .*finite"),
        (lambda W: prune.magnitude(W, "half"), TypeError, "sparsity must be .*real number"),
        (lambda W: prune.magnitude(W, 0, balanced="cols"), ValueError, "balanced must be"),
        (lambda W: prune.magnitude(W, 0, balanced=True), TypeError, "balanced must be .* True"),
        (lambda W: prune.magnitude(W, 0, balanced=0), ValueError, "balanced must be at least 1"),
        (lambda W: prune.magnitude(W, 0, balanced=1.5), TypeError, "balanced must be an int"),
        (lambda W: prune.nm(W, 1, 1), ValueError, "m must be from 2 to 32, got 1"),
        (lambda W: prune.nm(W, 1, 33), ValueError, "m must be from 2 to 32, got 33"),
        (lambda W: prune.nm(W, 0, 4), ValueError, "n must be from 1 to 4, got 0"),
        (lambda W: prune.nm(W, 5, 4), ValueError, "n must be from 1 to 4, got 5"),
        (lambda W: prune.nm(W, 1.0, 4), TypeError, "n must be an int"),
        (lambda W: prune.block(W, 2, 0.5), ValueError, "shape must be a pair of integers, got 2"),
        (lambda W: prune.block(W, (1, 2, 3), 0.5), ValueError, "shape must be a pair"),
        (lambda W: prune.block(W, (0, 1), 0.5), ValueError, "shape must be at least 1, got 0"),
        (lambda W: prune.block(W, (1, 1.5), 0.5), TypeError, "shape must be an int"),
        (lambda W: prune.block(W, (1, 1), 2), ValueError, "sparsity must be"),
        (lambda W: prune.block(W, (1, 1), 0, balanced="rows"), TypeError, "balanced must be True"),
        (lambda W: prune.vector(W, 0, 0.5), ValueError, "v must be at least 1, got 0"),
        (lambda W: prune.vector(W, 1, 2), ValueError, "sparsity must be"),
        (lambda W: prune.vector(W, 1, 0, balanced=4), TypeError, "balanced must be True or False"),
        (lambda W: prune.complementary(W, 0), ValueError, "size must be at least 1, got 0"),
        (lambda W: prune.complementary(W, 2.5), TypeError, "size must be an int"),
        (lambda W: prune.complementary(W, 2, balanced=1), TypeError, "balanced must be True"),
    ],
)  # fmt: skip
def test_arguments_that_are_out_of_range(call, error, message):
    with pytest.raises(error, match=message):
        call(np.ones((4, 4)))


@pytest.mark.parametrize("way", WAYS)
def test_the_weight_stays_as_it_is(way):
    W = np.array([[-3.0, 2.0], [1.0, -4.0]])
    W.flags.writeable = False
    WAYS[way](W)
    assert W.tolist() == [[-3.0, 2.0], [1.0, -4.0]]


def test_sums_that_would_overflow():
    most = np.finfo(np.float64).max
    W = np.array([[most, most, 1.0, most / 2], [most, most, 1.0, most / 4]])
    mask, kept = prune.block(W, (2, 2), 0.5)
    assert mask.astype(int).tolist() == [[1, 1, 0, 0]] * 2
    assert kept == pytest.approx(4 / 4.75)
    assert prune.magnitude([[np.iinfo(np.int64).min, 5]], 0.5).mask.tolist() == [[True, False]]
    assert prune.magnitude(np.array([[-128, 5]], np.int8), 0.5).mask.tolist() == [[True, False]]
