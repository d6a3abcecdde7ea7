"""Dimensions beyond 2**31 with few entries: memory follows these, and what has a limit says so.

Positions, row times columns, do not fit in 64 bits either.
"""

import resource
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from strategies import random_sparse, seeds

import spkernels
from spkernels import (
    datasets,
    formats,
    kwinners,
    masked_softmax,
    masks,
    patterns,
    prepare,
    sddmm,
    sparse_attention,
    spmm,
    spmspm,
    spmspv,
)
from spkernels._inputs.canonical import canonical
from spkernels.patterns import _check, _grid, _padding

LONG = 2**31 + 5
#: Entries of a matrix of 3 rows: in blocks of 2 x 2, alone, and at the end.
ROWS = np.array([0, 0, 1, 1, 2, 0, 1, 2])
COLS = np.array([6, 7, 6, 7, 9, LONG - 1, LONG - 1, 2**31])
VALUES = np.arange(1.0, 9.0, dtype=np.float32)
#: The same columns, renumbered: which of them are in common windows of up to 64 is as it was.
USED, RENUMBERED = np.unique(COLS, return_inverse=True)


@pytest.fixture(autouse=True)
def bounded_memory():
    """Two GiB beyond what the process has: an element per column would take eight at least."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + (2 << 30), hard))
    yield
    resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def wide(fmt="coo", dtype=np.float32):
    """The matrix of shape (3, LONG)."""
    A = sp.coo_array((VALUES.astype(dtype), (ROWS, COLS)), shape=(3, LONG))
    return A if fmt == "coo" else A.asformat(fmt)


def narrow(dtype=np.float32):
    """The same without its empty columns, dense."""
    return sp.coo_array((VALUES.astype(dtype), (ROWS, RENUMBERED))).toarray()


def rows_alike(columns, dtype=np.float32):
    """An operand of LONG rows, all of which are the same."""
    return np.broadcast_to(np.arange(1, columns + 1).astype(dtype), (LONG, columns))


DTYPES = [np.float32, np.float64, np.int64, np.complex128]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("fmt", ["coo", "csr", "lil", "dok"])
def test_products_of_a_wide_matrix(fmt, dtype):
    A, sums = wide(fmt, dtype), narrow(dtype).sum(axis=1)
    for B in (rows_alike(4, dtype), np.broadcast_to(dtype(2), LONG)):
        np.testing.assert_array_equal(spmm(A, B), np.multiply.outer(sums, B[0]))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("fmt", ["coo", "csc", "dok"])
def test_products_with_a_tall_matrix_on_the_right(fmt, dtype):
    A, sums = wide("coo", dtype).T.asformat(fmt), narrow(dtype).sum(axis=1)
    for X in (rows_alike(4, dtype).T, np.broadcast_to(dtype(2), LONG)):
        np.testing.assert_array_equal(spmm(X, A), np.multiply.outer(X[..., 0], sums))


def test_products_without_columns():
    A = wide("coo")
    assert spmm(A.T, np.ones((3, 0), np.float32)).shape == (LONG, 0)
    assert spmm(np.ones((0, 3), np.float32), A).shape == (0, LONG)


@pytest.mark.parametrize("dtype", DTYPES)
def test_products_of_diagonals(dtype):
    values = np.arange(14).reshape(2, 7).astype(dtype)
    A = sp.dia_array((values, np.array([5, 2])), shape=(3, LONG))
    sums = values[0, [5, 6, 6]] * [1, 1, 0] + values[1, 2:5]
    np.testing.assert_array_equal(spmm(A, rows_alike(4, dtype)), np.outer(sums, np.arange(1, 5)))
    if dtype is np.float32:
        np.testing.assert_array_equal(prepare(A, tune=False) @ rows_alike(1), sums[:, None])
    A = sp.dia_array((values, np.array([-5, -(2**31)])), shape=(LONG, 3))
    sums = values[:, :3].sum(axis=0)
    np.testing.assert_array_equal(spmm(rows_alike(4, dtype).T, A), np.outer(np.arange(1, 5), sums))


def test_few_entries_in_many_rows_on_the_right():
    """Without memory for the rows, which are no dimension of the result."""
    rng = np.random.default_rng(0)
    X = rng.integers(-5, 5, (7, 200_000)).astype(np.float32)
    A = sp.coo_array((VALUES, (np.arange(8) * 20_011, RENUMBERED)), shape=(200_000, 5))
    np.testing.assert_array_equal(spmm(X, A), X @ A)


@pytest.mark.parametrize("fmt", ["coo", "csr", "dok"])
def test_prepared_products(fmt):
    expected = np.outer(narrow().sum(axis=1), np.arange(1, 5))
    for options in ({}, {"pattern": "auto"}, {"pattern": "2x1", "fill": 0.7}, {"tune": True}):
        W = prepare(wide(fmt), **{"tune": False, **options})
        np.testing.assert_array_equal(W @ rows_alike(4), expected)
        W.update_values(2 * wide())
        np.testing.assert_array_equal(W @ rows_alike(4), 2 * expected)
        assert W.patterns == patterns.recognise(wide(fmt), fill=options.get("fill", 0.9))
        assert "rows" in str(W.explain(4)) and "rows" in str(W.explain(1))


def test_padded_rows():
    """Whose zeros are in columns beyond 2**31 as well."""
    A = sp.csr_array(wide())
    filled = _padding.padded(canonical(A, np.float32, "A")[0], 2)
    assert filled.shape == A.shape and filled.nnz == A.nnz
    assert abs(filled - A).nnz == 0
    np.testing.assert_array_equal(_padding.added_columns(A, filled), [])
    A.data[A.indices == 7] = 0
    A.eliminate_zeros()
    A = sp.csr_array(A[[0, 2, 1]])
    filled = _padding.padded(canonical(A, np.float32, "A")[0], 2)
    np.testing.assert_array_equal(_padding.added_columns(A, filled), [6, 9, 2**31, LONG - 1])


def test_declared_patterns():
    prepare(wide(), pattern="4:64", tune=False)
    with pytest.raises(ValueError, match=r"row 0 has 2 entries in window 3 \(columns 6 to 7\)"):
        prepare(wide(), pattern="1:2")
    with pytest.raises(ValueError, match=r"row 0 has 0 entries in window 0 \(columns 0 to 3\)"):
        prepare(wide(), pattern="balanced 1:4")
    with pytest.raises(ValueError, match="rows 0 to 1 have 2 entries in column 6"):
        prepare(wide(), pattern="complementary 2")
    with pytest.raises(ValueError, match=r"the block of rows 0 to 1 and columns 4 to 7 has 4"):
        prepare(wide(), pattern="2x4", fill=0.9)


def test_patterns_are_those_of_the_columns_that_are_used():
    assert [pattern.name for pattern in patterns.recognise(wide())] == ["2x1"]
    # The last column has no neighbour.
    (balanced, blocks) = patterns.recognise(sp.csr_array(wide())[:2])
    assert (balanced.name, blocks.name, blocks.fill) == (f"balanced 3:{LONG}", "2x2", 1.0)


def test_sampled_products_and_softmax():
    X = np.array([[1, 2], [3, 4], [5, 6]], np.float32)
    Y = rows_alike(2).T
    expected = (X @ [1, 2])[ROWS]
    for P in (wide(), wide("csr")):
        order = np.lexsort((COLS, ROWS)) if P.format == "csr" else slice(None)
        np.testing.assert_array_equal(sddmm(P, X, Y).data, expected[order])
        complex_ = np.broadcast_to(np.array([[1], [2]], complex), Y.shape)
        np.testing.assert_array_equal(sddmm(P, X, complex_).data, expected[order])
    sums = np.bincount(sp.csr_array(wide()).tocoo().row, masked_softmax(wide()).data)
    np.testing.assert_allclose(sums, 1, rtol=1e-6)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("fmt", ["coo", "csr", "dok"])
def test_sparse_times_sparse(fmt, dtype):
    A, small = wide(fmt, dtype), narrow(dtype)
    np.testing.assert_array_equal(spmspm(A, wide("coo", dtype).T), small @ small.T)
    np.testing.assert_array_equal(spmspm(wide("coo", dtype), wide("csr", dtype).T), small @ small.T)
    x = sp.coo_array((np.ones(3, dtype), ([0, 0, 0], [7, 8, LONG - 1])), shape=(1, LONG))
    np.testing.assert_array_equal(spmspv(A, x), small[:, 1] + small[:, -1])
    np.testing.assert_array_equal(spmspv(A, x.T), small[:, 1] + small[:, -1])


def test_what_has_a_limit_names_it():
    A = wide("csr")
    with pytest.raises(ValueError, match=r"A must have at most 2147479551 columns.*\(3, 214748365"):
        prepare(A, op="sddmm")
    keys = np.broadcast_to(np.float32(1), (LONG, 2))
    with pytest.raises(ValueError, match=r"mask must have at most 2147479551 columns"):
        sparse_attention(np.ones((3, 2), np.float32), keys, keys, A)
    with pytest.raises(ValueError, match=r"P.shape\[1\] must be from 0 to 2147479551"):
        masks.from_sparse(A)
    with pytest.raises(ValueError, match="X must have at most 2147483647 columns for format 'csr'"):
        kwinners(np.broadcast_to(np.float32(1), (1, LONG)), 1, format="csr")
    with pytest.raises(ValueError, match="too few entries"):
        prepare(A, dtype="int8")
    huge = sp.coo_array((np.ones(1), ([0], [2**61])), shape=(5, 2**62))
    with pytest.raises(MemoryError, match="A of shape .* has too many windows"):
        formats.NMArray.from_scipy(huge, 2, 4)


# Rows times columns beyond 2**63 ------------------------------------------------------------------


@pytest.mark.parametrize("fmt", ["coo", "csr", "bsr", "dok"])
def test_new_values_of_a_matrix_whose_positions_do_not_fit(fmt):
    cols = 2**62
    rng = np.random.default_rng(0)
    rows, columns = np.arange(6).repeat(5), rng.integers(0, cols // 2, 30) * 2
    columns[::3] = columns[1::3]  # close in one number of 64 bits, not in the matrix
    values = rng.integers(1, 100, 30).astype(np.float64)
    if fmt == "bsr":
        order = np.lexsort((columns, rows))
        rows, columns = rows[order], columns[order]
        data = np.stack([values, -values], axis=1)[:, None, :]
        A = sp.bsr_array((6, cols), blocksize=(1, 2))
        A.data, A.indices = data, columns // 2
        A.indptr = np.arange(0, 31, 5)
    else:
        A = sp.coo_array((values, (rows, columns)), shape=(6, cols))
        A = A if fmt == "coo" else A.asformat(fmt)
    W = prepare(A)
    entries = {}
    coo = A.tocoo()
    for i, j, value in zip(coo.row.tolist(), coo.col.tolist(), coo.data.tolist(), strict=True):
        entries[i, j] = entries.get((i, j), 0) + value
    for factor, new in ((1, None), (3, 3 * A), (5, 5 * A.data if fmt != "dok" else 5 * A)):
        if new is not None:
            W.update_values(new)
        stored = W.toscipy().tocoo()
        got = zip(stored.row.tolist(), stored.col.tolist(), stored.data.tolist(), strict=True)
        assert {(i, j): value for i, j, value in got} == {
            at: factor * value for at, value in entries.items()
        }
    with pytest.raises(ValueError, match=f"no dense operand of float64 has {cols} rows"):
        W.explain()


def test_patterns_of_a_matrix_whose_positions_do_not_fit():
    A = sp.csr_array((np.ones(6), [0, 5, 2**61, 0, 5, 2**61], [0, 3, 6]), shape=(2, 2**62))
    names = {pattern.name for pattern in patterns.recognise(A)}
    assert names == {f"balanced 3:{2**62}", "2x1"}
    with pytest.raises(ValueError, match="row 0 has 2 entries in window 0"):
        prepare(A, pattern="balanced 1:8")
    with pytest.raises(ValueError, match="blocks are .* full"):
        prepare(A, pattern=f"2x{2**62}")


@pytest.mark.parametrize("text", [f"1x{10**30}", f"{10**30}x1", f"{10**30}:{10**31}",
                                  f"complementary {10**30}", f"balanced 1:{10**30}"])  # fmt: skip
def test_patterns_larger_than_any_matrix(text):
    A = sp.csr_array(np.eye(4, 6, dtype=np.float32))
    try:
        W = prepare(A, pattern=text, tune=False)
    except ValueError as error:
        assert "breaks pattern" in str(error)
    else:
        np.testing.assert_array_equal(W @ np.eye(6, dtype=np.float32), A.toarray())


GENERATORS = {
    "random_pruned": lambda: datasets.random_pruned(2**32, 2**32, 0.999),
    "magnitude_pruned": lambda: datasets.magnitude_pruned(2**40, 2**40, 0.999),
    "nm_pruned": lambda: datasets.nm_pruned(2**40, 2**40, 2, 4),
    "block_pruned": lambda: datasets.block_pruned(2**40, 2**40, (1, 4), 0.9),
    "power_law_graph": lambda: datasets.power_law_graph(2**32, 0),
    "window_mask": lambda: datasets.window_mask(2**32, 1),
    "global_mask": lambda: datasets.global_mask(2**32, 1),
    "random_mask": lambda: datasets.random_mask(2**32, 1),
    "bigbird_mask": lambda: datasets.bigbird_mask(2**32),
}


@pytest.mark.parametrize("generator", GENERATORS)
def test_generated_matrices_have_positions_that_fit(generator):
    with pytest.raises(ValueError, match=r"^(m, n|n) must"):
        GENERATORS[generator]()


# The compact way is the other one -----------------------------------------------------------------


@given(seed=seeds, fill=st.sampled_from([0.7, 0.9, 1.0]), block=st.sampled_from([1, 2, 4, 8]))
def test_columns_without_entries_make_no_difference(seed, fill, block):
    rng = np.random.default_rng(seed)
    small = random_sparse(rng, "csr", (rng.integers(1, 12), rng.integers(1, 12)), 0.4, np.float32)
    A = sp.csr_array(np.kron(small.toarray(), np.ones((block, rng.integers(1, 5)))))
    csr, _ = canonical(A, np.float32, "A")
    usual = _grid.is_hypersparse
    results = []
    for decide in (usual, lambda extent, entries: True):
        _grid.is_hypersparse = decide
        try:
            filled = _padding.padded(csr, block)
            sizes = [("block", (block, 2), fill), ("complementary", (block,), fill)]
            results.append(
                [
                    spkernels.patterns.recognise(A, fill=fill),
                    filled.toarray().tolist(),
                    filled.nnz,
                    _padding.added_columns(csr, filled).tolist(),
                    [outcome(csr, *size) for size in sizes],
                ]
            )
        finally:
            _grid.is_hypersparse = usual
    assert results[0] == results[1]


def outcome(csr, kind, size, fill):
    try:
        _check.check(csr, kind, size, fill)
    except ValueError as error:
        return str(error)
    return None


@pytest.mark.parametrize("shape", [(2**60, 3), (3, 2**60), (2**60, 2**60)])
@pytest.mark.parametrize("in_order", [True, False])
def test_time_of_sampled_coo_follows_the_entries(shape, in_order):
    """NumPy has no array of more than 2**63 bytes, whatever its strides."""
    rows, cols = np.array([0, 0, shape[0] - 1]), np.array([0, shape[1] - 1, shape[1] - 1])
    if not in_order:
        rows, cols = rows[::-1].copy(), cols[::-1].copy()
    P = sp.coo_array((np.array([1, 2, 3], np.float32), (rows, cols)), shape=shape)
    X = np.broadcast_to(np.float32([[2]]), (shape[0], 1))
    Y = np.broadcast_to(np.float32([[3]]), (1, shape[1]))
    S = sddmm(P, X, Y, beta=10)
    np.testing.assert_array_equal(S.data, [16, 26, 36])
    np.testing.assert_array_equal(S.row, rows)
    np.testing.assert_array_equal(S.col, cols)
