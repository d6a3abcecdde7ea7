"""Packed formats: every entry comes back, products are right, and nothing malformed gets in."""

import concurrent.futures
import copy
import pickle

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from reference import assert_spmm
from strategies import DTYPES, FORMATS, from_entries, lay_out, layouts, random_dense, seeds

from spkernels import prune
from spkernels.formats import NMArray

PAIRS = st.integers(2, 32).flatmap(lambda m: st.tuples(st.integers(1, m), st.just(m)))


def random_nm(rng, shape, n, m, dtype, fill=0.7):
    """Draw a dense array of which each window has at most n marked, and the marks."""
    keys = np.abs(rng.standard_normal(shape)) + 0.1
    marked = prune.nm(keys, n, m).mask & (rng.random(shape) < fill)
    return np.where(marked, rng.standard_normal(shape), 0).astype(dtype), marked


@st.composite
def sparse_nm(draw, formats=tuple(fmt for fmt in FORMATS if fmt != "dia")):
    """Draw a sparse array of an n:m pattern, with explicit zeros and duplicates, and n, m."""
    n, m = draw(PAIRS)
    shape = draw(st.integers(0, 9)), draw(st.integers(0, 70))
    rng = np.random.default_rng(draw(seeds))
    fill = draw(st.sampled_from([0, 0.3, 0.7, 1]))
    dense, marked = random_nm(rng, shape, n, m, draw(st.sampled_from(DTYPES)), fill)
    rows, cols = np.nonzero(marked)
    data = dense[marked]
    data[rng.random(len(data)) < 0.3] = 0
    fmt = draw(st.sampled_from(formats))
    if fmt == "bsr":
        data = data.reshape(-1, 1, 1)
    order = rng.permutation(len(rows))
    if draw(st.booleans()):
        order = np.concatenate([order, order[: len(order) // 2]])
    entries = rows[order], cols[order], data[order]
    return from_entries(fmt, *entries, shape, matrix=draw(st.booleans())), n, m


def entries(A):
    """Rows, columns and values of what a sparse array stores, sorted, duplicates added up."""
    coo = A.tocoo()
    stored = {}
    for row, col, value in zip(coo.row.tolist(), coo.col.tolist(), coo.data, strict=True):
        stored[row, col] = stored.get((row, col), A.dtype.type(0)) + value
    return sorted(stored.items())


def assert_holds(W, A):
    csr = W.to_scipy()
    assert isinstance(csr, sp.csr_array) and csr.has_canonical_format
    assert W.dtype == csr.dtype == A.dtype
    assert W.shape == csr.shape == A.shape
    assert entries(csr) == entries(A)
    assert W.nnz == csr.nnz
    np.testing.assert_array_equal(W.toarray(), A.toarray())


def assert_layout(W):
    """Check what the documentation of the layout says, bit by bit."""
    rows, cols = W.shape
    windows, bits = -(-cols // W.m), int(np.ceil(np.log2(W.m)))
    assert W.values.shape == W.indices.shape == W.padding.shape == (rows, windows, W.n)
    assert W.packed_indices.dtype == W.indices.dtype == np.uint8
    assert W.packed_indices.shape == (rows, -(-windows * W.n * bits // 8))
    for packed, numbers, width in (
        (W.packed_indices, W.indices, bits), (W.packed_padding, W.padding, 1)
    ):  # fmt: skip
        if packed is None:
            assert not W.padding.any()
            continue
        for row, content in enumerate(packed):
            whole = int.from_bytes(content.tobytes(), "little")
            expected = [int(number) << at * width for at, number in enumerate(numbers[row].flat)]
            assert whole == sum(expected)
    held = [W.values, W.packed_indices, W.packed_padding]
    assert W.nbytes == sum(array.nbytes for array in held if array is not None)
    for row in range(rows):
        for window in range(windows):
            positions, padding = W.indices[row, window].tolist(), W.padding[row, window]
            assert all(a < b for a, b in zip(positions, positions[1:], strict=False))
            real = [at for at, no in zip(positions, padding, strict=True) if not no]
            free = [at for at in range(W.m) if at not in real]
            assert positions == sorted(real + free[: W.n - len(real)])
            assert all(window * W.m + at < cols for at in real)
            assert not W.values[row, window][padding].any()


# Round trips --------------------------------------------------------------------------------------


@given(sparse_nm())
def test_every_entry_of_scipy_comes_back(drawn):
    A, n, m = drawn
    W = NMArray.from_scipy(A, n, m)
    assert (W.n, W.m) == (n, m)
    assert_holds(W, A)
    assert_layout(W)


@given(PAIRS, st.integers(0, 9), st.integers(0, 70), st.sampled_from(DTYPES), layouts, seeds)
def test_dense_comes_back(pair, rows, cols, dtype, layout, seed):
    n, m = pair
    dense, _ = random_nm(np.random.default_rng(seed), (rows, cols), n, m, dtype)
    W = NMArray.from_dense(lay_out(dense, layout), n, m)
    assert_holds(W, sp.csr_array(dense))
    assert_layout(W)


def test_what_is_a_nonzero():
    dense = np.array([[np.nan, -0.0, np.inf, 0.0]])
    W = NMArray.from_dense(dense, 1, 2)
    assert W.to_scipy().indices.tolist() == [0, 2]
    A = sp.csr_array(([-0.0, 0.0], [1, 2], [0, 2]), shape=(1, 4))
    assert np.signbit(NMArray.from_scipy(A, 1, 2).to_scipy().data).tolist() == [True, False]


def test_full_windows_have_no_marks_of_padding():
    W = NMArray.from_dense(np.tile(np.float32([1, 0, 0, 2]), (8, 16)), 2, 4)
    assert W.packed_padding is None and not W.padding.any()
    assert W.nbytes == 8 * 64 * 4 * 17 // 32


@pytest.mark.parametrize("name", ["csr", "csc", "coo", "lil", "dok", "dia"])
def test_windows_that_have_too_many(name):
    dense = np.zeros((4, 10), np.float32)
    dense[2, [4, 5, 6]] = dense[3, [0, 1, 2]] = 1
    said = r"must be 2:4, but row 2 has 3 (nonzeros|entries) in window 1 \(columns 4 to 7\)"
    with pytest.raises(ValueError, match="W " + said):
        NMArray.from_dense(dense, 2, 4)
    with pytest.raises(ValueError, match="A " + said):
        NMArray.from_scipy(sp.csr_array(dense).asformat(name), 2, 4)
    # The last window is shorter.
    with pytest.raises(ValueError, match=r"row 0 has 2 nonzeros in window 2 \(columns 8 to 9\)"):
        NMArray.from_dense([[0.0] * 8 + [1.0, 1.0]], 1, 4)


def test_diagonals_are_stored_whole():
    A = sp.dia_array((np.array([[1.0, 0, 3], [9, 4, 0]]), [0, 1]), shape=(3, 3))
    csr = NMArray.from_scipy(A, 2, 3).to_scipy()
    assert csr.indices.tolist() == [0, 1, 1, 2, 2] and csr.data.tolist() == [1, 4, 0, 0, 3]
    with pytest.raises(ValueError, match="row 0 has 2 entries in window 0"):
        NMArray.from_scipy(A, 1, 3)


def test_explicit_zeros_count():
    A = sp.csr_array((np.zeros(2), [0, 1], [0, 2]), shape=(1, 2))
    with pytest.raises(ValueError, match="row 0 has 2 entries in window 0"):
        NMArray.from_scipy(A, 1, 2)
    twice = sp.coo_array((np.ones(2), ([0, 0], [1, 1])), shape=(1, 2))
    assert NMArray.from_scipy(twice, 1, 2).to_scipy().data.tolist() == [2]


# Products -----------------------------------------------------------------------------------------


@given(sparse_nm(("csr",)), st.integers(0, 9), layouts, st.sampled_from(DTYPES), seeds)
def test_products(drawn, width, layout, dtype, seed):
    A, n, m = drawn
    W = NMArray.from_scipy(A, n, m)
    A = W.to_scipy()
    rows, cols = A.shape
    rng = np.random.default_rng(seed)
    B = random_dense(rng, (cols, width), dtype, layout)
    X = random_dense(rng, (width, rows), dtype, layout)
    assert_spmm(W @ B, A, B)
    assert_spmm(X @ W, X, A)
    assert_spmm(B.T @ W.T, B.T, A.T)
    assert_spmm(W.T @ X.T, A.T, X.T)
    assert (X @ W).flags.c_contiguous
    x, y = random_dense(rng, (cols,), dtype), random_dense(rng, (rows,), dtype)
    assert_spmm(W @ x, A, x)
    assert_spmm(y @ W, y, A)
    assert_spmm(x @ W.T, x, A.T)
    assert_spmm(W.T @ y, A.T, y)


@given(sparse_nm(("csr",)))
def test_transposes(drawn):
    A, n, m = drawn
    W = NMArray.from_scipy(A, n, m)
    assert_holds(W.T, A.T)
    assert W.T.T is W
    again = pickle.loads(pickle.dumps(W.T))
    assert_holds(again, A.T)


def test_products_leave_nan_where_there_is_no_entry():
    W = NMArray.from_dense([[0.0, 0.0, 2.0]], 2, 3)
    assert (W @ np.array([np.nan, np.inf, 3.0])).tolist() == [6.0]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda W: W @ np.ones(3), ValueError, r"W @ B: .*\(2, 4\) and B has shape \(3,\)"),
        (lambda W: np.ones((3, 4)) @ W, ValueError, r"X @ W: X has shape \(3, 4\) .*\(2, 4\)"),
        (lambda W: W.T @ np.ones((4, 1)), ValueError, r"W @ B: W has shape \(4, 2\)"),
        (lambda W: np.ones(2) @ W.T, ValueError, r"X @ W: .*\(2,\) and W has shape \(4, 2\)"),
        (lambda W: W @ np.ones((1, 3, 2)), ValueError, r"W @ B: W has shape \(2, 4\)"),
        (lambda W: W @ 2.0, ValueError, "B must be 1-D or 2-D"),
        (lambda W: W @ [["a"]], TypeError, "B must hold numbers"),
        (lambda W: W @ sp.csr_array((4, 2)), TypeError, "B must be dense, got csr_array"),
        (lambda W: W @ W.T, TypeError, "B must be dense, got NMTransposed: B.toarray()"),
    ],
)
def test_operands_that_do_not_fit(call, error, message):
    with pytest.raises(error, match=message):
        call(NMArray.from_dense([[0.0, 1.0, 0.0, 2.0], [1.0, 0.0, 0.0, 0.0]], 1, 2))


def test_threads_share_it():
    rng = np.random.default_rng(3)
    dense, _ = random_nm(rng, (200, 150), 2, 4, np.float32)
    B = random_dense(rng, (150, 9), np.float32)
    expected = NMArray.from_dense(dense, 2, 4) @ B
    for _ in range(10):
        W = NMArray.from_dense(dense, 2, 4)  # each meets its first product in several threads
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            for result in pool.map(lambda _, W=W: W @ B, range(8)):
                np.testing.assert_array_equal(result, expected)


def test_products_do_not_change_with_what_was_handed_out():
    W = NMArray.from_dense([[1.0, 0.0]], 1, 2)
    W @ np.ones(2)
    W.to_scipy().data[:] = 7
    assert (W @ np.ones(2)).tolist() == [1]
    for array in (W.values, W.packed_indices):
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0


# Copies and files ---------------------------------------------------------------------------------


@given(sparse_nm(("csr",)))
def test_pickles_and_copies(drawn):
    A, n, m = drawn
    W = NMArray.from_scipy(A, n, m)
    for again in (pickle.loads(pickle.dumps(W)), copy.copy(W), copy.deepcopy(W)):
        assert_holds(again, A)
        assert (again.n, again.m, again.nbytes) == (W.n, W.m, W.nbytes)
        assert not again.values.flags.writeable


@given(drawn=sparse_nm(("csr",)))
def test_files(drawn, tmp_path_factory):
    A, n, m = drawn
    folder = tmp_path_factory.mktemp("nm")
    path = folder / "layer"
    path.write_text("what was there")
    W = NMArray.from_scipy(A, n, m)
    W.save(path)
    assert [entry.name for entry in folder.iterdir()] == ["layer"]
    again = NMArray.load(str(path))
    assert_holds(again, A)
    assert (again.n, again.m, again.nbytes) == (n, m, W.nbytes)


def test_a_file_that_cannot_be_written_stays(tmp_path, monkeypatch):
    path = tmp_path / "layer.npz"
    W = NMArray.from_dense([[1.0, 0.0]], 1, 2)
    W.save(path)
    before = path.read_bytes()

    def full(file, **arrays):
        file.write(b"half of it")
        raise OSError("no space left on device")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(OSError, match="no space"):
        W.save(path)
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


def test_files_of_something_else(tmp_path):
    with pytest.raises(FileNotFoundError):
        NMArray.load(tmp_path / "none.npz")
    path = tmp_path / "layer.npz"
    NMArray.from_dense(np.eye(8), 1, 4).save(path)
    content = path.read_bytes()
    with np.load(path) as archive:
        arrays = dict(archive)

    def refused(write):
        write(path)
        with pytest.raises(ValueError, match=r"layer\.npz: expected a file of NMArray\.save, but"):
            NMArray.load(path)

    def saved(**changes):
        return lambda path: np.savez(path, **{**arrays, **changes})

    refused(lambda path: path.write_bytes(b""))
    refused(lambda path: path.write_bytes(content[: len(content) // 2]))
    refused(lambda path: path.write_bytes(pickle.dumps([1, 2])))
    refused(lambda path: sp.save_npz(path, sp.csr_matrix(np.eye(2))))
    refused(saved(spkernels_nm=2))
    refused(saved(shape=np.array(["a", "b"])))
    refused(saved(shape=np.array([9, 8])))
    refused(saved(m=np.array(9)))
    refused(saved(values=np.array([[[None]]])))
    refused(saved(more=np.zeros(1)))
    refused(saved(packed_indices=arrays["packed_indices"][:, :-1]))
    np.savez(path, **arrays)
    assert_holds(NMArray.load(path), sp.csr_array(np.eye(8)))


# Arguments ----------------------------------------------------------------------------------------


def test_dtypes():
    W = NMArray.from_scipy(sp.csr_array(([1e-60, 2.5], [0, 3], [0, 2]), shape=(1, 5)), 1, 3)
    single = W.astype(np.float32)
    assert single.dtype == np.float32 and single.to_scipy().data.tolist() == [0, 2.5]
    assert single.nnz == 2 and W.dtype == np.float64
    with pytest.raises(TypeError, match="dtype must be float32 or float64, got float16"):
        W.astype(np.float16)
    for dtype in (np.int64, np.float16, np.complex128, bool):
        with pytest.raises(TypeError, match="W must be float32 or float64, got "):
            NMArray.from_dense(np.eye(4, dtype=dtype), 1, 4)
        with pytest.raises(TypeError, match="(A|values) must be float32 or float64, got "):
            NMArray.from_scipy(sp.csr_array(np.eye(4)).astype(np.longdouble), 1, 4)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda W: NMArray.from_dense(W, 1, 1), ValueError, "m must be from 2 to 32, got 1"),
        (lambda W: NMArray.from_dense(W, 1, 33), ValueError, "m must be from 2 to 32, got 33"),
        (lambda W: NMArray.from_dense(W, 0, 4), ValueError, "n must be from 1 to 4, got 0"),
        (lambda W: NMArray.from_dense(W, 5, 4), ValueError, "n must be from 1 to 4, got 5"),
        (lambda W: NMArray.from_dense(W, 1.5, 4), TypeError, "n must be an int"),
        (lambda W: NMArray.from_scipy(sp.csr_array(W), 5, 4), ValueError, "n must be from 1 to 4"),
        (lambda W: NMArray.from_dense(W[0], 1, 4), ValueError, r"W must be 2-D, got shape \(4,\)"),
        (lambda W: NMArray.from_dense(sp.csr_array(W), 1, 4), TypeError, "W must be dense"),
        (lambda W: NMArray.from_scipy(W, 1, 4), TypeError, "A must be a scipy.sparse array, got"),
    ],
)
def test_arguments_that_are_out_of_range(call, error, message):
    with pytest.raises(error, match=message):
        call(np.eye(4))


def test_corrupted_matrices_are_refused():
    A = sp.csr_array(np.eye(4))
    A.indices[2] = 9
    with pytest.raises(ValueError, match="A.indices is corrupted"):
        NMArray.from_scipy(A, 1, 4)


def packed(**changes):
    """Make 2:3 of two rows of five columns from arrays: positions 0, 2 and 0, 1 of each."""
    arrays = {
        "shape": (2, 5), "m": 3, "values": np.ones((2, 2, 2)),
        "packed_indices": np.full((2, 1), 0b01001000, np.uint8),
    }  # fmt: skip
    return NMArray(**{**arrays, **changes})


def test_arrays_of_ones_own():
    W = packed()
    assert W.toarray().tolist() == [[1, 0, 1, 1, 1]] * 2
    assert packed(packed_padding=np.zeros((2, 1), np.uint8)).packed_padding is None
    values = np.ones((2, 2, 2))
    W = packed(values=values)
    values[:] = 5
    assert W.values.max() == 1
    # One column is left for two positions: the second must be padding.
    bits = np.full((2, 1), 0b01001000, np.uint8)
    ones = np.array([[[1, 1], [1, 0]]] * 2, float)
    W = packed(shape=(2, 4), values=ones, packed_padding=np.full((2, 1), 0b1000, np.uint8),
               packed_indices=bits)  # fmt: skip
    assert W.toarray().tolist() == [[1, 0, 1, 1]] * 2


def test_padding_lies_inside_where_it_can():
    values = np.array([[[1, 1], [1, 0]]] * 2, float)
    with pytest.raises(ValueError, match="must be below the width of their window"):
        packed(values=values, packed_padding=np.full((2, 1), 0b1000, np.uint8),
               packed_indices=np.full((2, 1), 0b10001000, np.uint8))  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"shape": 3}, ValueError, "shape must be a pair of integers, got 3"),
        ({"shape": (-1, 5)}, ValueError, "shape must be at least 0, got -1"),
        ({"shape": (2, 7)}, ValueError, r"values must have shape \(2, 3, 2\)"),
        ({"m": 1}, ValueError, "m must be from 2 to 32"),
        ({"values": np.ones((2, 4))}, ValueError, r"values must be 3-D, got shape \(2, 4\)"),
        ({"values": np.ones((2, 2, 4))}, ValueError, "n must be from 1 to 3, got 4"),
        ({"values": np.ones((2, 2, 2), int)}, TypeError, "values must be float32 or float64"),
        ({"packed_indices": np.zeros((2, 2), np.uint8)}, ValueError, r"packed_indices .*\(2, 1\)"),
        ({"packed_indices": np.zeros((2, 1), int)}, ValueError, "packed_indices must be uint8"),
        ({"packed_padding": np.zeros((2, 2), np.uint8)}, ValueError, "packed_padding must be"),
        ({"packed_padding": np.full((2, 1), 2, np.uint8)}, ValueError, "values must be 0 where"),
        # Positions 0, 0; 2, 0; 0, 3 in a window of three; 0, 2 in one of two columns.
        ({"packed_indices": np.full((2, 1), 0b01000000, np.uint8)}, ValueError, "must ascend"),
        ({"packed_indices": np.full((2, 1), 0b01000010, np.uint8)}, ValueError, "must ascend"),
        ({"packed_indices": np.full((2, 1), 0b01001100, np.uint8)}, ValueError, "must be below"),
        ({"packed_indices": np.full((2, 1), 0b10001000, np.uint8)}, ValueError, "must be below"),
        # An entry beyond the only column of the last window.
        ({"shape": (2, 4)}, ValueError, "must be below the width of their window"),
    ],
)  # fmt: skip
def test_arrays_that_are_malformed(changes, error, message):
    with pytest.raises(error, match=message):
        packed(**changes)


def test_repr():
    W = packed()
    assert repr(W) == "<NMArray of 2 x 5, 2:3, 8 stored, float64, kernel not chosen yet>"
    assert repr(W.T) == (
        "<NMTransposed of 5 x 2, 2:3, 8 stored, float64, kernel not chosen yet, transposed>"
    )
