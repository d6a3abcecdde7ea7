"""Generators: the exact number of nonzeros, the structure that each promises, and seeding."""

import inspect
import tracemalloc

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from spkernels import datasets

SIZES = st.integers(1, 40)
SPARSITIES = st.floats(0, 1) | st.sampled_from([0, 0.5, 0.7, 0.9, 0.98, 1])
SEEDS = st.integers(0, 2**32)

# One call of every generator, with whatever it needs besides rng and dtype.
CALLS = {
    "magnitude_pruned": lambda **kw: datasets.magnitude_pruned(20, 30, 0.7, **kw),
    "random_pruned": lambda **kw: datasets.random_pruned(20, 30, 0.7, **kw),
    "nm_pruned": lambda **kw: datasets.nm_pruned(20, 30, 2, 4, **kw),
    "block_pruned": lambda **kw: datasets.block_pruned(20, 30, (4, 3), 0.7, **kw),
    "window_mask": lambda **kw: datasets.window_mask(20, 3, **kw),
    "global_mask": lambda **kw: datasets.global_mask(20, 3, **kw),
    "random_mask": lambda **kw: datasets.random_mask(20, 3, **kw),
    "bigbird_mask": lambda **kw: datasets.bigbird_mask(60, 3, **kw),
    "power_law_graph": lambda **kw: datasets.power_law_graph(20, 3, **kw),
}
PRUNED = [name for name in CALLS if name.endswith("_pruned")]
SEEDED = [name for name in CALLS if name not in ("window_mask", "global_mask")]


def assert_canonical(A, shape, nnz):
    """Check the container, and that positions are in range, sorted and unique."""
    assert type(A) is sp.csr_array
    assert A.shape == shape
    assert A.indices.dtype == A.indptr.dtype == np.int32
    A.check_format(full_check=True)
    rows = np.repeat(np.arange(shape[0]), np.diff(A.indptr))
    assert (np.diff(rows * shape[1] + A.indices.astype(np.int64)) > 0).all()
    assert A.nnz == A.data.size == nnz
    assert A.data.all()


def lengths(A, axis=0):
    """Return the stored entries of each row, or of each column for axis 1."""
    return np.diff(A.indptr) if axis == 0 else np.bincount(A.indices, minlength=A.shape[1])


def variation(A, axis=0):
    counts = lengths(A, axis)
    return counts.std() / counts.mean()


def test_every_generator_is_covered():
    others = ("load", "find", "keys", "save_smtx", "fetch_dlmc", "fetch_suitesparse")
    generators = {n for n in datasets.__all__ if n not in others}
    assert generators == set(CALLS)


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex64, np.complex128])
def test_dtypes(name, dtype):
    make = CALLS[name]
    kw = {"rng": 0} if name in SEEDED else {}
    assert make(**kw).dtype == np.float32
    A, B = make(dtype=dtype, **kw), make(dtype=np.float64, **kw)
    assert A.dtype == dtype and A.nnz == B.nnz
    if name not in PRUNED:
        assert (A.data == 1).all()
        assert make(dtype=bool, **kw).dtype == bool
    elif A.dtype.kind == "c":
        assert A.data.imag.all()
    else:
        # One seed is one matrix, in every precision.
        np.testing.assert_array_equal(A.indices, B.indices)
        np.testing.assert_array_equal(A.data, B.data.astype(dtype))


@pytest.mark.parametrize("name", SEEDED)
def test_seeds(name):
    make = CALLS[name]

    def same(A, B):
        return A.shape == B.shape and A.nnz == B.nnz and not (A != B).nnz

    assert same(make(rng=3), make(rng=3))
    assert same(make(rng=3), make(rng=np.random.default_rng(3)))
    assert not same(make(rng=3), make(rng=4))
    assert not same(make(), make())
    rng = np.random.default_rng(3)
    assert not same(make(rng=rng), make(rng=rng))


@pytest.mark.parametrize("name", PRUNED)
def test_pruned_values_are_weights(name):
    A = CALLS[name](rng=0, dtype=np.float64)
    assert A.data.min() < 0 < A.data.max()
    assert np.unique(A.data).size == A.nnz


# Pruned layers ------------------------------------------------------------------------------------


@given(m=SIZES, n=SIZES, sparsity=SPARSITIES, seed=SEEDS)
def test_unstructured_pruning_is_exact(m, n, sparsity, seed):
    nnz = round((1 - sparsity) * m * n)
    for make in (datasets.magnitude_pruned, datasets.random_pruned):
        assert_canonical(make(m, n, sparsity, rng=seed), (m, n), nnz)


@given(m=SIZES, n=SIZES, sparsity=st.floats(0.1, 0.9), seed=SEEDS)
def test_magnitude_pruning_keeps_the_largest(m, n, sparsity, seed):
    kwargs = {"rng": seed, "dtype": np.float64}
    kept = datasets.magnitude_pruned(m, n, sparsity, **kwargs)
    weights = datasets.magnitude_pruned(m, n, 0, **kwargs).toarray()
    dropped = np.abs(weights[kept.toarray() == 0])
    np.testing.assert_array_equal(kept.toarray()[kept.toarray() != 0], weights[kept.toarray() != 0])
    if kept.nnz and dropped.size:
        assert np.abs(kept.data).min() >= dropped.max()


# Of the row lengths of the 97 magnitude-pruned Transformer layers of the Deep Learning Matrix
# Collection: the 10th and the 90th percentile of the coefficient of variation.
@pytest.mark.parametrize(
    ("sparsity", "low", "high"),
    [
        (0.5, 0.062, 0.204),
        (0.7, 0.115, 0.323),
        (0.8, 0.110, 0.280),
        (0.9, 0.166, 0.404),
        (0.95, 0.224, 0.586),
        (0.98, 0.308, 0.831),
    ],
)
def test_magnitude_pruning_spreads_rows_like_real_layers(sparsity, low, high):
    A = datasets.magnitude_pruned(512, 512, sparsity, rng=0)
    uniform = datasets.random_pruned(512, 512, sparsity, rng=0)
    assert low < variation(A) < high
    assert variation(A) > 1.4 * variation(uniform)
    assert variation(A, axis=1) > 1.3 * variation(uniform, axis=1)


def test_spreads_are_per_axis():
    plain, rows, cols = (
        datasets.magnitude_pruned(400, 400, 0.9, row_spread=r, col_spread=c, rng=0)
        for r, c in ((0, 0), (0.2, 0), (0, 0.2))
    )
    chance = np.sqrt(0.9 / 0.1 / 400)
    assert variation(plain) == pytest.approx(chance, rel=0.15)
    assert variation(rows) > 3 * chance > 2.5 * variation(rows, axis=1)
    assert variation(cols, axis=1) > 3 * chance > 2.5 * variation(cols)


def test_random_pruning_is_uniform():
    # Expected 25 per cell; 6 standard deviations of a binomial over 100 draws.
    counts = sum(
        (datasets.random_pruned(8, 8, 0.75, rng=i) != 0).toarray().astype(int) for i in range(100)
    )
    assert abs(counts - 25).max() < 6 * np.sqrt(100 * 0.25 * 0.75)


@given(m=SIZES, n=SIZES, M=st.integers(1, 16), data=st.data(), seed=SEEDS)
def test_nm_pruning_is_exact_in_every_group(m, n, M, data, seed):
    N = data.draw(st.integers(0, M))
    A = datasets.nm_pruned(m, n, N, M, rng=seed, dtype=np.float64)
    assert_canonical(A, (m, n), m * (n // M * N + min(N, n % M)))
    weights = datasets.nm_pruned(m, n, M, M, rng=seed, dtype=np.float64).toarray()
    stored = A.toarray() != 0
    for start in range(0, n, M):
        group = stored[:, start : start + M]
        assert (group.sum(axis=1) == min(N, group.shape[1])).all()
        magnitude = np.abs(weights[:, start : start + M])
        smallest_kept = np.where(group, magnitude, np.inf).min(axis=1)
        largest_dropped = np.where(group, 0, magnitude).max(axis=1)
        assert (smallest_kept >= largest_dropped).all()


@given(
    grid=st.tuples(st.integers(1, 12), st.integers(1, 12)),
    block=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    sparsity=SPARSITIES,
    seed=SEEDS,
)
def test_block_pruning_is_exact(grid, block, sparsity, seed):
    m, n = grid[0] * block[0], grid[1] * block[1]
    blocks = round((1 - sparsity) * grid[0] * grid[1])
    A = datasets.block_pruned(m, n, block, sparsity, rng=seed)
    assert_canonical(A, (m, n), blocks * block[0] * block[1])
    full = (A.toarray() != 0).reshape(grid[0], block[0], grid[1], block[1]).sum(axis=(1, 3))
    assert set(np.unique(full)) <= {0, block[0] * block[1]}
    B = datasets.block_pruned(m, n, block, sparsity, format="bsr", rng=seed)
    assert type(B) is sp.bsr_array and B.data.shape == (blocks, *block)
    np.testing.assert_array_equal(A.toarray(), B.toarray())


# Masks --------------------------------------------------------------------------------------------


@given(n=SIZES, data=st.data())
def test_window_mask(n, data):
    radius = data.draw(st.integers(0, n - 1))
    A = datasets.window_mask(n, radius)
    assert_canonical(A, (n, n), n * (2 * radius + 1) - radius * (radius + 1))
    distance = np.abs(np.subtract.outer(np.arange(n), np.arange(n)))
    np.testing.assert_array_equal(A.toarray(), distance <= radius)


@given(n=SIZES, data=st.data())
def test_global_mask(n, data):
    count = data.draw(st.integers(0, n))
    A = datasets.global_mask(n, count)
    assert_canonical(A, (n, n), n**2 - (n - count) ** 2)
    expected = np.zeros((n, n))
    expected[:count] = expected[:, :count] = 1
    np.testing.assert_array_equal(A.toarray(), expected)


@given(n=SIZES, data=st.data(), seed=SEEDS)
def test_random_mask(n, data, seed):
    per_row = data.draw(st.integers(0, n))
    A = datasets.random_mask(n, per_row, rng=seed)
    assert_canonical(A, (n, n), n * per_row)
    assert (lengths(A) == per_row).all()


@pytest.mark.parametrize(("n", "per_row"), [(40, 2), (40, 20), (40, 39)])
def test_random_mask_is_uniform(n, per_row):
    # Both ways to draw: few keys by rejection, many by ranking.
    counts = sum(datasets.random_mask(n, per_row, rng=i) for i in range(100)).toarray()
    p = per_row / n
    assert abs(counts - 100 * p).max() < 6 * np.sqrt(100 * p * (1 - p))


@given(n=SIZES, sparsity=SPARSITIES, seed=SEEDS)
def test_masks_meet_a_target_sparsity(n, sparsity, seed):
    target = (1 - sparsity) * n * n
    windows = [n * (2 * h + 1) - h * (h + 1) for h in range(n)]
    globals_ = [n * n - (n - g) ** 2 for g in range(n + 1)]
    randoms = [n * r for r in range(n + 1)]
    for A, choices in (
        (datasets.window_mask(n, sparsity=sparsity), windows),
        (datasets.global_mask(n, sparsity=sparsity), globals_),
        (datasets.random_mask(n, sparsity=sparsity, rng=seed), randoms),
    ):
        assert A.nnz in choices
        assert abs(A.nnz - target) == pytest.approx(min(abs(c - target) for c in choices))


@pytest.mark.parametrize("n", [512, 1024, 2048])
@pytest.mark.parametrize("sparsity", [0.5, 0.7, 0.8, 0.9, 0.95, 0.98])
def test_masks_of_the_survey(n, sparsity):
    window, everyone, random, bigbird = (
        datasets.window_mask(n, sparsity=sparsity),
        datasets.global_mask(n, sparsity=sparsity),
        datasets.random_mask(n, sparsity=sparsity, rng=0),
        datasets.bigbird_mask(n, sparsity=sparsity, rng=0),
    )
    for A, tolerance in ((window, 1 / n), (everyone, 1 / n), (random, 0.5 / n), (bigbird, 0.002)):
        assert_canonical(A, (n, n), A.nnz)
        assert abs(1 - A.nnz / n**2 - sparsity) <= tolerance + 1e-12


def blocks_of(A, b):
    """Return which blocks of size b are full, having checked that all others are empty."""
    n = A.shape[0]
    filled = A.toarray().reshape(n // b, b, n // b, b).sum(axis=(1, 3))
    assert set(np.unique(filled)) <= {0, b * b}
    return filled > 0


def fixed_blocks(size, window, leading):
    distance = np.abs(np.subtract.outer(np.arange(size), np.arange(size)))
    fixed = distance <= window // 2
    fixed[:leading] = fixed[:, :leading] = True
    return fixed


@given(
    size=st.integers(1, 20),
    b=st.integers(1, 4),
    window=st.sampled_from([1, 3, 5]),
    leading=st.integers(0, 4),
    random=st.integers(0, 6),
    seed=SEEDS,
)
def test_bigbird_mask(size, b, window, leading, random, seed):
    A = datasets.bigbird_mask(
        size * b,
        b,
        window_blocks=window,
        global_blocks=leading,
        random_blocks=random,
        rng=seed,
    )
    fixed = fixed_blocks(size, window, leading)
    per_row = np.minimum(fixed.sum(axis=1) + random, size)
    assert_canonical(A, (size * b, size * b), per_row.sum() * b * b)
    blocks = blocks_of(A, b)
    assert blocks[fixed].all()
    np.testing.assert_array_equal(blocks.sum(axis=1), per_row)


@given(
    size=st.integers(1, 20),
    b=st.integers(1, 4),
    window=st.sampled_from([1, 3]),
    leading=st.integers(0, 3),
    sparsity=SPARSITIES,
    seed=SEEDS,
)
def test_bigbird_mask_of_a_sparsity(size, b, window, leading, sparsity, seed):
    kwargs = {"window_blocks": window, "global_blocks": leading, "sparsity": sparsity, "rng": seed}
    fixed = fixed_blocks(size, window, leading)
    target = round((1 - sparsity) * size**2)
    if target < fixed.sum():
        with pytest.raises(ValueError, match="sparsity must be at most"):
            datasets.bigbird_mask(size * b, b, **kwargs)
        return
    A = datasets.bigbird_mask(size * b, b, **kwargs)
    assert_canonical(A, (size * b, size * b), target * b * b)
    blocks = blocks_of(A, b)
    assert blocks[fixed].all()
    added = (blocks & ~fixed).sum(axis=1)
    # Even: a row has fewer than another by more than one only if it is full.
    full = blocks.all(axis=1)
    assert added[~full].max(initial=0) - added[~full].min(initial=added.max()) <= 1
    assert (added[full] <= added[~full].max(initial=size)).all()


def test_bigbird_mask_chooses_the_block_size():
    blocks_of(datasets.bigbird_mask(2048, sparsity=0.5, rng=0), 64)
    # Window and global blocks of 64 would fit, but would leave too few random ones: 32 do.
    A = datasets.bigbird_mask(2048, sparsity=0.78, rng=0)
    random = blocks_of(A, 32) & ~fixed_blocks(64, 3, 2)
    assert random.any(axis=1)[2:].all()
    with pytest.raises(AssertionError):
        blocks_of(A, 64)
    with pytest.raises(ValueError, match="at block size 1 and n = 99"):
        datasets.bigbird_mask(99, sparsity=0.99)


def test_bigbird_mask_spreads_the_remainder_at_random():
    # 32 rows of blocks; one random block for about half of the rows.
    kwargs = {"window_blocks": 1, "global_blocks": 0, "sparsity": 1 - 48 / 32**2}
    masks = (datasets.bigbird_mask(32, 1, rng=i, **kwargs) for i in range(100))
    chosen = sum(lengths(A) - 1 for A in masks)
    assert abs(chosen - 50).max() < 6 * np.sqrt(100 / 4)


def test_bigbird_random_blocks_are_uniform():
    size = 24
    fixed = fixed_blocks(size, 3, 2)
    counts = sum(
        datasets.bigbird_mask(size, 1, random_blocks=2, rng=i).toarray() for i in range(200)
    )
    p = 2 / (~fixed).sum(axis=1, where=~fixed)[2:, None]
    free = ~fixed[2:]
    error = np.abs(counts[2:] - 200 * p) / np.sqrt(200 * p * (1 - p))
    assert error[free].max() < 6


# Graphs -------------------------------------------------------------------------------------------


@given(n=SIZES, share=st.floats(0, 1), exponent=st.floats(2.01, 6), seed=SEEDS)
def test_power_law_graph_is_exact(n, share, exponent, seed):
    degree = share * (n - 1)
    A = datasets.power_law_graph(n, degree, exponent, rng=seed)
    assert_canonical(A, (n, n), 2 * round(n * degree / 2))
    assert not A.diagonal().any()
    assert not (A != A.T).nnz
    B = datasets.power_law_graph(n, degree, exponent, symmetric=False, rng=seed)
    assert_canonical(B, (n, n), round(n * degree))
    assert not B.diagonal().any()


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("exponent", [2.2, 2.5, 3.0])
def test_power_law_graph_has_power_law_degrees(exponent, symmetric):
    A = datasets.power_law_graph(50_000, 10, exponent, symmetric=symmetric, rng=0)
    for axis in (0, 1):
        degrees = lengths(A, axis)
        # The tail of the distribution function falls with an exponent that is smaller by one.
        more = [np.count_nonzero(degrees >= k) for k in (20, 80)]
        assert np.log(more[0] / more[1]) / np.log(4) == pytest.approx(exponent - 1, abs=0.25)
    # Hubs are anywhere.
    assert abs(np.argsort(lengths(A))[-50:].mean() - 25_000) < 6 * 50_000 / np.sqrt(12 * 50)


@settings(max_examples=5, deadline=None)
@given(seed=SEEDS)
def test_power_law_graph_ways_to_draw_agree(seed):
    # Densities just below and above the switch from drawing to ranking; hubs keep their share.
    below, above = (
        datasets.power_law_graph(800, degree, 2.2, rng=seed)
        for degree in (0.249 * 799, 0.251 * 799)
    )
    top = [np.sort(lengths(A))[-100:].sum() / A.nnz for A in (below, above)]
    assert top[0] == pytest.approx(top[1], rel=0.03)


def test_large_matrices_take_no_dense_temporary():
    n = 50_000
    for make in (
        lambda: datasets.window_mask(n, 4),
        lambda: datasets.global_mask(n, 4),
        lambda: datasets.random_mask(n, 9, rng=0),
        lambda: datasets.random_pruned(n, n, 1 - 9 / n, rng=0),
        lambda: datasets.bigbird_mask(n, 1, global_blocks=1, random_blocks=3, rng=0),
        lambda: datasets.power_law_graph(n, 9, rng=0),
    ):
        tracemalloc.start()
        A = make()
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        # Even one bit per position would take 312 MB.
        assert A.nnz < 10 * n and peak < 150e6


# Arguments ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda d: d.random_pruned(0, 3, 0.5), ValueError, "m must be at least 1"),
        (lambda d: d.random_pruned(3, 2.5, 0.5), TypeError, "n must be an integer, got 2.5"),
        (lambda d: d.random_pruned(3, 3, 1.5), ValueError, "sparsity must be a fraction"),
        (lambda d: d.random_pruned(3, 3, np.nan), ValueError, "sparsity must be finite"),
        (lambda d: d.random_pruned(3, 3, "x"), TypeError, "sparsity must be a real number"),
        (lambda d: d.random_pruned(3, 3, 0.5, dtype=int), ValueError, "dtype must be a floating"),
        (lambda d: d.random_pruned(3, 3, 0.5, dtype="f2"), ValueError, "dtype must be a float"),
        (lambda d: d.random_pruned(3, 3, 0.5, rng=-1), ValueError, "rng must be None"),
        (lambda d: d.random_pruned(3, 3, 0.5, rng=1.5), TypeError, "rng must be None"),
        (lambda d: d.magnitude_pruned(3, 3, 0.5, row_spread=-1), ValueError, "row_spread"),
        (lambda d: d.magnitude_pruned(3, 3, 0.5, col_spread=np.inf), ValueError, "col_spread"),
        (lambda d: d.nm_pruned(3, 3, 5, 4), ValueError, "N must be from 0 to 4"),
        (lambda d: d.nm_pruned(3, 3, 0, 0), ValueError, "M must be at least 1"),
        (lambda d: d.block_pruned(5, 4, (2, 2), 0.5), ValueError, "m must be a multiple of"),
        (lambda d: d.block_pruned(4, 5, (2, 2), 0.5), ValueError, "n must be a multiple of"),
        (lambda d: d.block_pruned(4, 4, 2, 0.5), ValueError, r"block must be \(rows, columns\)"),
        (lambda d: d.block_pruned(4, 4, (0, 2), 0.5), ValueError, "block must be"),
        (lambda d: d.block_pruned(4, 4, (2, 2), 0.5, format="coo"), ValueError, "format must be"),
        (lambda d: d.window_mask(4), ValueError, "radius or sparsity must be"),
        (lambda d: d.window_mask(4, 1, sparsity=0.5), ValueError, "radius or sparsity must be"),
        (lambda d: d.window_mask(4, 4), ValueError, "radius must be from 0 to 3"),
        (lambda d: d.global_mask(4, 5), ValueError, "count must be from 0 to 4"),
        (lambda d: d.random_mask(4, -1), ValueError, "per_row must be from 0 to 4"),
        (lambda d: d.random_mask(4, 1, dtype=object), ValueError, "dtype must be a boolean"),
        (lambda d: d.bigbird_mask(100), ValueError, "n must be a multiple of the block size 64"),
        (lambda d: d.bigbird_mask(64, 8, window_blocks=2), ValueError, "window_blocks must be odd"),
        (lambda d: d.bigbird_mask(64, 0), ValueError, "block_size must be"),
        (
            lambda d: d.bigbird_mask(64, 8, random_blocks=1, sparsity=0.1),
            ValueError,
            "random_blocks must be None together with sparsity",
        ),
        (
            lambda d: d.power_law_graph(5, 4.5),
            ValueError,
            "avg_degree must be from 0 to",
        ),
        (lambda d: d.power_law_graph(5, -1), ValueError, "avg_degree"),
        (lambda d: d.power_law_graph(5, 2, 2.0), ValueError, "exponent must be larger"),
    ],
)
def test_bad_arguments(call, error, message):
    with pytest.raises(error, match=message):
        call(datasets)


@pytest.mark.parametrize("name", CALLS)
def test_options_are_keyword_only(name):
    parameters = inspect.signature(getattr(datasets, name)).parameters
    for option in {"rng", "dtype", "sparsity", "format", "symmetric"} & set(parameters):
        positional = option == "sparsity" and name in PRUNED
        assert (parameters[option].kind is inspect.Parameter.KEYWORD_ONLY) != positional
