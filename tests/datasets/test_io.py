"""Loading and saving of matrix files: round trips, malformed files, and the real-data folder."""

import csv
import gzip
import io
from pathlib import Path

import numpy as np
import pytest
import scipy.io
import scipy.sparse as sp
from conftest import NO_REAL_DATA, REAL_DATA
from corruptions import FAULTS, corrupted
from hypothesis import assume, given
from hypothesis import strategies as st
from strategies import set_index_arrays

from spkernels import datasets

# Two rows of which the first is unsorted, then an empty one.
SMTX = b"3, 4, 5\n0 3 5 5\n2 0 1 3 0\n"
SMTX_DENSE = [[1, 1, 1, 0], [1, 0, 0, 1], [0, 0, 0, 0]]


def write(folder, name, content):
    """Write `content`, gzipped if the name says so, and return the path."""
    path = folder / name
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


def saved(save, *args, **kwargs):
    """Return the bytes that a function writing to a file object writes."""
    stream = io.BytesIO()
    save(stream, *args, **kwargs)
    return stream.getvalue()


def npz(**arrays):
    return saved(np.savez, **arrays)


def example(dtype=np.float64):
    """Make a matrix with an explicit zero, an empty row and an empty column."""
    rows, cols = np.array([0, 0, 1, 3, 3, 5]), np.array([1, 5, 2, 0, 1, 5])
    data = np.array([1.5, 0.0, -2.0, 4.0, 0.25, 3.0]).astype(dtype)
    if data.dtype.kind == "c":
        data *= 1 + 2j
    return sp.csr_array((data, (rows, cols)), shape=(6, 8))


def assert_same(A, B, dtype=None):
    """Compare everything that is stored."""
    assert isinstance(A, sp.csr_array)
    assert A.dtype == (B.dtype if dtype is None else dtype)
    assert A.shape == B.shape
    A, B = A.sorted_indices(), sp.csr_array(B).sorted_indices()
    np.testing.assert_array_equal(A.indptr, B.indptr)
    np.testing.assert_array_equal(A.indices, B.indices)
    np.testing.assert_array_equal(A.data, B.data)


def assert_malformed(path, *fragments, **kwargs):
    with pytest.raises(ValueError) as info:
        datasets.load(path, **kwargs)
    assert str(info.value).startswith(str(path))
    # What a file holds was "expected", what an argument is "must be".
    assert "expected" in str(info.value) or " must be " in str(info.value)
    for fragment in fragments:
        assert fragment in str(info.value)


@st.composite
def patterns(draw):
    """Draw boolean matrices, many of them with empty rows or no entries at all."""
    m, n = draw(st.integers(0, 8)), draw(st.integers(1, 8))
    bits = draw(st.lists(st.booleans(), min_size=m * n, max_size=m * n))
    return sp.csr_array(np.array(bits, dtype=bool).reshape(m, n))


# smtx ---------------------------------------------------------------------------------------------


@given(A=patterns(), suffix=st.sampled_from([".smtx", ".smtx.gz", ".SMTX"]))
def test_smtx_round_trip(tmp_path_factory, A, suffix):
    path = tmp_path_factory.mktemp("smtx") / f"a{suffix}"
    datasets.save_smtx(path, A)
    assert_same(datasets.load(path, values="ones"), A, np.float32)


@pytest.mark.parametrize("fmt", ["csr", "csc", "coo", "bsr", "dia", "lil", "dok"])
@pytest.mark.parametrize("container", [sp.csr_array, sp.csr_matrix])
def test_save_smtx_takes_any_format(tmp_path, fmt, container):
    A = container(example())
    A.eliminate_zeros()
    datasets.save_smtx(tmp_path / "a.smtx", A.asformat(fmt))
    assert_same(datasets.load(tmp_path / "a.smtx", values="ones", dtype=bool), A != 0)


def test_save_smtx_keeps_explicit_zeros(tmp_path):
    datasets.save_smtx(tmp_path / "a.smtx", example())
    assert datasets.load(tmp_path / "a.smtx").nnz == example().nnz


def test_save_smtx_is_reproducible_and_merges_duplicates(tmp_path):
    A = sp.csr_array((np.ones(3), [2, 0, 2], [0, 3]), shape=(1, 3))
    datasets.save_smtx(tmp_path / "a.smtx.gz", A)
    assert gzip.decompress((tmp_path / "a.smtx.gz").read_bytes()) == b"1, 3, 2\n0 2\n0 2\n"
    assert (tmp_path / "a.smtx.gz").read_bytes()[4:8] == bytes(4)
    assert A.nnz == 3


@pytest.mark.parametrize(
    ("fmt", "name"), [(fmt, name) for fmt, faults in FAULTS.items() for name in faults]
)
def test_save_smtx_validates_before_it_writes(tmp_path, fmt, name):
    path = tmp_path / "a.smtx"
    path.write_text("what was there")
    A, culprit = corrupted(fmt, name)
    with pytest.raises(ValueError, match=rf"A\.{culprit}"):
        datasets.save_smtx(path, A)
    assert path.read_text() == "what was there" and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("fmt", ["csr", "csc", "coo", "bsr", "lil", "dok"])
@pytest.mark.parametrize("dtype", [bool, np.int8, ">f8", np.float16, np.longdouble, object])
@pytest.mark.parametrize("index", [np.uint8, np.int64, ">i4"])
def test_save_smtx_takes_any_dtype(tmp_path, fmt, dtype, index):
    A = example(np.float32).asformat(fmt)
    if fmt not in ("lil", "dok"):
        A.data = A.data.astype(dtype)
        set_index_arrays(A, lambda array: array.astype(index))
    elif index is not np.int64 or dtype is not bool:
        pytest.skip("Lists and keys have no dtype of indices.")
    datasets.save_smtx(tmp_path / "a.smtx", A)
    B = datasets.load(tmp_path / "a.smtx", values="ones", dtype=bool)
    stored = sp.csr_array(example(np.float32), copy=True)
    stored.data[:] = 1
    np.testing.assert_array_equal(B.toarray(), stored.toarray().astype(bool))


def test_save_smtx_replaces_a_file_as_a_whole(tmp_path, monkeypatch):
    kept, link = tmp_path / "kept.smtx", tmp_path / "link.smtx"
    datasets.save_smtx(kept, example())
    before = kept.read_bytes()
    link.symlink_to(kept)

    def full(*_):
        raise OSError("no space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", full)
        with pytest.raises(OSError, match="no space"):
            datasets.save_smtx(kept, 2 * example())
    assert kept.read_bytes() == before and set(tmp_path.iterdir()) == {kept, link}
    # A link stays one, and what it leads to is replaced.
    datasets.save_smtx(link, sp.csr_array(np.eye(3)))
    assert link.is_symlink() and datasets.load(kept).shape == (3, 3)


@given(
    A=patterns(), fmt=st.sampled_from(["csr", "csc", "coo", "bsr", "dia", "lil", "dok"]),
    container=st.sampled_from([sp.csr_array, sp.csr_matrix]), twice=st.booleans(),
)  # fmt: skip
def test_save_smtx_writes_what_load_takes(tmp_path_factory, A, fmt, container, twice):
    path = tmp_path_factory.mktemp("smtx") / "a.smtx"
    A = container(A)
    if twice and fmt == "coo":
        A = A.tocoo()
        A = type(A)((np.tile(A.data, 2), (np.tile(A.row, 2), np.tile(A.col, 2))), shape=A.shape)
    A = A.tobsr(blocksize=(1, 1)) if fmt == "bsr" else A.asformat(fmt)
    datasets.save_smtx(path, A)
    found = datasets.load(path, values="ones", dtype=bool)
    np.testing.assert_array_equal(found.toarray(), A.toarray())
    assert found.has_canonical_format


def test_save_smtx_rejects_bad_arguments(tmp_path):
    with pytest.raises(ValueError, match="path: expected a name ending in .smtx"):
        datasets.save_smtx(tmp_path / "a.mtx", example())
    with pytest.raises(TypeError, match="A must be a scipy.sparse"):
        datasets.save_smtx(tmp_path / "a.smtx", np.eye(3))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["a.smtx", "a.smtx.gz", "A.SMTX"])
@pytest.mark.parametrize(
    "content",
    [
        SMTX,
        SMTX.rstrip(),
        SMTX.replace(b"\n", b" \r\n") + b"\n\n",
        SMTX.replace(b", ", b" "),
        SMTX.replace(b" ", b"\t "),
        SMTX.replace(b" ", b"\v\f"),
    ],
)
def test_smtx_whitespace(tmp_path, name, content):
    path = write(tmp_path, name.lower(), content).rename(tmp_path / name)
    A = datasets.load(path, values="ones")
    np.testing.assert_array_equal(A.toarray(), SMTX_DENSE)
    np.testing.assert_array_equal(A.indices, [2, 0, 1, 3, 0])
    assert A.indices.dtype == A.indptr.dtype == np.int32


@pytest.mark.parametrize("content", [b"2, 3, 0\n0 0 0\n\n", b"2, 3, 0\n0 0 0 \n", b"2,3,0\n0 0 0"])
def test_smtx_without_nonzeros(tmp_path, content):
    A = datasets.load(write(tmp_path, "a.smtx", content))
    assert A.shape == (2, 3) and A.nnz == 0 and A.dtype == np.float32


def test_smtx_values(tmp_path):
    path = tmp_path / "a.smtx"
    datasets.save_smtx(path, sp.csr_array(np.ones((100, 100))))
    A = datasets.load(path)
    assert A.dtype == np.float32 and abs(A.data.mean()) < 0.05 and abs(A.data.std() - 1) < 0.05
    np.testing.assert_array_equal(A.data, datasets.load(path, rng=0).data)
    np.testing.assert_array_equal(A.data, datasets.load(path, rng=np.random.default_rng(0)).data)
    assert (A.data != datasets.load(path, rng=1).data).any()
    assert (datasets.load(path, rng=None).data != datasets.load(path, rng=None).data).any()
    B = datasets.load(path, dtype=np.float64)
    assert B.dtype == np.float64
    np.testing.assert_array_equal(B.data.astype(np.float32), A.data)
    assert datasets.load(path, dtype=np.complex64).data.imag.any()
    np.testing.assert_array_equal(datasets.load(path, values="ones", dtype=np.int8).data, 1)


@pytest.mark.parametrize(
    ("content", "fragment"),
    [
        (b"", "3 integers 'rows, columns, nonzeros' on line 1, found 0"),
        (b"\n" + SMTX, "found 4"),
        (b"3, 4\n0 0 0 0\n\n", "on line 1, found 2"),
        (b"3, 4, 5, 6\n0 3 5 5\n2 0 1 3 0\n", "on line 1, found 4"),
        (b"three, 4, 5\n0 3 5 5\n2 0 1 3 0\n", "found b'three'"),
        (b"3, 4, -5\n0 3 5 5\n2 0 1 3 0\n", "found b'-5'"),
        (b"3, 4, 0", "4 offsets, found 0"),
        (b"3, 4, 5\n0 3 5\n2 0 1 3 0\n", "4 offsets, found 3"),
        (b"3, 4, 5\n0 3 5 5 5\n2 0 1 3 0\n", "4 offsets, found 5"),
        (b"3, 4, 5\n1 3 5 5\n2 0 1 3 0\n", "first offset to be 0, found 1"),
        (b"3, 4, 5\n0 3 2 5\n2 0 1 3 0\n", "found 2 after 3 in row 1"),
        (b"3, 4, 5\n0 6 5 5\n2 0 1 3 0\n", "found 5 after 6 in row 1"),
        (b"3, 4, 5\n0 3 5 6\n2 0 1 3 0\n", "last offset says, 6, found 5"),
        (b"3, 4, 5\n0 3 4 4\n2 0 1 3 0\n", "last offset says, 4, found 5"),
        (b"3, 4, 5\n0 3 5 5\n2 0 1 3\n", "5 column indices on line 3, found 4"),
        (b"3, 4, 5\n0 3 5 5\n", "5 column indices on line 3, found 0"),
        (b"3, 4, 5\n0 3 5 5\n2 0 1 3 0 1\n", "5 column indices on line 3, found 6"),
        (b"3, 4, 5\n0 3 5 5\n2 0 1 4 0\n", "indices from 0 to 3, found 4"),
        (b"3, 4, 5\n0 3 5 5\n2 0 1 -1 0\n", "non-negative integers as column indices"),
        (b"3, 4, 5\n0 3 5 5\n2 0 1 1.5 0\n", "found b'1.5'"),
        (b"3, 4, 5\n0 3 5 5\n2 0 1 nan 0\n", "found b'nan'"),
        (b"3, 4, 5\n0 3 5 5\n2 0 1 99999999999999999999999 0\n", "indices from 0 to 3"),
        (b"3, 4, 5\n0 x 5 5\n2 0 1 3 0\n", "row offsets on line 2, found b'x'"),
        (SMTX + b"7\n", "3 lines, found 4"),
        (b"\x00\xff\xfe\n\n\n1", "found"),
        (b"99999999999999, 4, 5\n0 3 5 5\n2 0 1 3 0\n", "100000000000000 offsets, found 4"),
        (b"0, 99999999999999999999, 0\n0\n\n", "sizes below 2**63 - 1, found"),
        (b"0, 9223372036854775807, 0\n0\n\n", "sizes below 2**63 - 1, found"),
    ],
)
def test_malformed_smtx(tmp_path, content, fragment):
    assert_malformed(write(tmp_path, "a.smtx", content), fragment)
    assert_malformed(write(tmp_path, "a.smtx.gz", content), fragment)


@given(A=patterns(), data=st.data())
def test_smtx_that_lost_tokens_at_the_end(tmp_path_factory, A, data):
    folder = tmp_path_factory.mktemp("smtx")
    datasets.save_smtx(folder / "whole.smtx", A)
    text = (folder / "whole.smtx").read_bytes().rstrip()
    ends = [i for i, byte in enumerate(text) if byte in b" \n"]
    cut = text[: data.draw(st.sampled_from(ends))]
    if cut.split() == text.split():
        return
    assert_malformed(write(folder, "cut.smtx", cut))


@pytest.mark.parametrize(
    ("kwargs", "fragment"),
    [
        ({"values": "zeros"}, "values must be one of 'normal', 'ones', got 'zeros'"),
        ({"dtype": int}, "dtype must be a floating or complex dtype"),
        ({"dtype": "S3", "values": "ones"}, "dtype must be a boolean or numeric dtype"),
        ({"key": "A"}, "key must be None for a .smtx file, got 'A'"),
        ({"shape": (3, 4)}, "shape must be None for a .smtx file, got (3, 4)"),
        ({"rng": -1}, "rng must be None"),
    ],
)
def test_load_rejects_bad_arguments(tmp_path, kwargs, fragment):
    assert_malformed(write(tmp_path, "a.smtx", SMTX), fragment, **kwargs)


def test_load_rejects_values_where_a_file_has_its_own(tmp_path):
    path = write(tmp_path, "a.mtx", BANNER + b"2 2 1\n1 1 1.0\n")
    assert_malformed(path, "values must be one of 'normal', 'ones', got 'bogus'", values="bogus")
    assert_malformed(path, "values must be 'normal' for a .mtx file, got 'ones'", values="ones")


def test_load_rejects_missing_and_unsupported_files(tmp_path):
    with pytest.raises(FileNotFoundError, match="missing.smtx"):
        datasets.load(tmp_path / "missing.smtx")
    path = write(tmp_path, "a.txt", SMTX)
    assert_malformed(path, ".smtx, .mtx, .mm, .npz, .mat, .raw, with or without .gz, .bz2, .xz")
    assert_malformed(write(tmp_path, "nosuffix", SMTX), ".smtx")


@pytest.mark.parametrize("name", ["a.smtx.gz", "a.mtx.gz", "a.npz.gz", "a.mat.gz", "a.raw.gz"])
def test_malformed_gzip(tmp_path, name):
    whole = gzip.compress(SMTX * 40)
    for content in (whole[:-9], whole[:12], b"", SMTX, whole[:-8] + bytes(8)):
        (tmp_path / name).write_bytes(content)
        assert_malformed(tmp_path / name, **({"shape": (3, 4)} if ".raw" in name else {}))


# Matrix Market ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a.mtx", "a.mtx.gz"])
@pytest.mark.parametrize("dtype", [np.float64, np.complex128, np.int64])
def test_mtx_round_trip(tmp_path, name, dtype):
    A = example(dtype)
    A.data[1] = 0
    assert_same(datasets.load(write(tmp_path, name, saved(scipy.io.mmwrite, A))), A, dtype)


@pytest.mark.parametrize(
    ("symmetry", "mirror", "above"),
    [("symmetric", np.positive, 0), ("skew-symmetric", np.negative, 1), ("hermitian", np.conj, 0)],
)
@pytest.mark.parametrize("layout", ["coordinate", "array"])
def test_mtx_symmetries(tmp_path, symmetry, mirror, above, layout):
    lower = np.array([[2, 0, 0], [3 + 1j, 0, 0], [0, 4 - 2j, 5]])
    strict = np.tril(lower, -1)
    A = strict + mirror(strict.T) + (0 if above else np.diag(lower.diagonal()))
    # The lower triangle, column by column; without the diagonal if it must be zero.
    places = [(i, j) for j in range(3) for i in range(j + above, 3)]
    if layout == "coordinate":
        places = [(i, j) for i, j in places if lower[i, j]]
    lines = [f"%%MatrixMarket matrix {layout} complex {symmetry}"]
    lines.append("3 3" if layout == "array" else f"3 3 {len(places)}")
    for i, j in places:
        where = "" if layout == "array" else f"{i + 1} {j + 1} "
        lines.append(f"{where}{lower[i, j].real} {lower[i, j].imag}")
    B = datasets.load(write(tmp_path, "a.mtx", "\n".join(lines).encode()))
    np.testing.assert_array_equal(B.toarray(), A)
    assert B.nnz == np.count_nonzero(A) and B.dtype == np.complex128


BANNER = b"%%MatrixMarket matrix coordinate real general\n"


@pytest.mark.parametrize(
    ("content", "dense", "dtype"),
    [
        (BANNER.replace(b"real", b"pattern") + b"2 2 1\n2 1\n", [[0, 0], [1, 0]], "f8"),
        (BANNER.replace(b"real", b"double") + b"2 2 1\n2 1 -.5e1\n", [[0, 0], [-5, 0]], "f8"),
        (BANNER.replace(b"real", b"unsigned-integer") + b"1 1 1\n1 1 18446744073709551615\n",
         [[18446744073709551615]], "u8"),
        (BANNER.replace(b"real", b"integer") + b"1 1 1\n1 1 -9007199254740993\n",
         [[-9007199254740993]], "i8"),
        (BANNER.upper() + b"% a comment\n\n%\n 2\t2 1\r\n\n2 1 7", [[0, 0], [7, 0]], "f8"),
        (BANNER + b"1 2 3\n1 2 1\n1 1 5\n1 2 3\n", [[5, 4]], "f8"),
        (BANNER + b"2 2 0\n", [[0, 0], [0, 0]], "f8"),
        (BANNER.replace(b"coordinate", b"array") + b"2 3\n1 2 3 4 5 6".replace(b" ", b"\n")
         .replace(b"2\n3\n1", b"2 3\n1"), [[1, 3, 5], [2, 4, 6]], "f8"),
    ],
)  # fmt: skip
def test_mtx_variants(tmp_path, content, dense, dtype):
    A = datasets.load(write(tmp_path, "a.mtx", content))
    assert A.dtype == dtype
    np.testing.assert_array_equal(A.toarray(), np.array(dense, dtype=dtype))


@given(A=patterns(), field=st.sampled_from(["real", "complex", "integer"]), seed=st.integers(0, 99))
def test_mtx_is_what_scipy_writes(tmp_path_factory, A, field, seed):
    assume(A.nnz)
    rng = np.random.default_rng(seed)
    values = rng.integers(-9, 9, A.nnz) * {"real": 0.1, "complex": 0.1 + 0.7j, "integer": 1}[field]
    A = sp.csr_array((values, A.indices, A.indptr), shape=A.shape)
    path = tmp_path_factory.mktemp("mtx") / "a.mtx"
    path.write_bytes(
        saved(scipy.io.mmwrite, A.tocoo(), precision=17, field=field, symmetry="general")
    )
    assert_same(datasets.load(path), A)


@pytest.mark.parametrize(
    ("content", "fragment"),
    [
        (b"", "banner"),
        (b"not a matrix", "banner"),
        (BANNER.replace(b"real", b"quaternion") + b"2 2 1\n1 1 1.0\n", "banner"),
        (BANNER.replace(b"general", b"") + b"2 2 1\n1 1 1.0\n", "banner"),
        (b"%%MatrixMarket matrix array pattern general\n1 1\n", "banner"),
        (BANNER, "3 Matrix Market sizes, found b''"),
        (BANNER + b"% only\n% comments\n", "3 Matrix Market sizes, found b''"),
        (BANNER + b"2 2\n", "3 Matrix Market sizes, found b'2 2"),
        (BANNER + b"2 -2 1\n1 1 1.0\n", "3 Matrix Market sizes"),
        (BANNER + b"2 2 2\n1 1 1.0\n", "2 lines of Matrix Market entries, found 1"),
        (BANNER + b"2 2 1\n", "1 lines of Matrix Market entries, found 0"),
        (BANNER + b"2 2 1\n1 1 1.0\n2 2 1.0\n", "found another one on line 4"),
        (BANNER + b"2 2 2\n1 1 1.0\n2 2\n", "columns"),
        (BANNER + b"2 2 1\n1 1 1.0 2.0\n", "columns"),
        (BANNER + b"2 2 1\n0 1 1.0\n", "rows from 1 to 2, found 0"),
        (BANNER + b"2 2 1\n3 1 1.0\n", "rows from 1 to 2, found 3"),
        (BANNER + b"2 2 1\n1 -1 1.0\n", "columns from 1 to 2, found -1"),
        (BANNER + b"2 2 1\n1 99999999999999999999999 1.0\n", ""),
        (BANNER + b"2 2 1\n1 1 one\n", "'one'"),
        (BANNER + b"2 2 1\none 1 1.0\n", "'one'"),
        # Where scipy crashes, or takes what it can read.
        (BANNER + b"2 2 1\n1 1 1.5e", "'1.5e'"),
        (BANNER + b"2 2 1\n1 1 1.\x000\n", "'1.\\x000'"),
        (BANNER + b"2 2 1\n1 1 1.5x\n", "'1.5x'"),
        (BANNER + b"2 2 999999999999\n1 1 1.0\n", "999999999999 lines"),
        (BANNER + b"99999999999999999999 1 1\n1 1 1\n", "2**63 - 1, found 99999999999999999999"),
        (BANNER + b"1 9223372036854775807 1\n1 1 1\n", "2**63 - 1, found 9223372036854775807"),
        (b"%%MatrixMarket matrix array real general\n0 99999999999999999999\n", "below 2**63"),
        (BANNER.replace(b"general", b"symmetric") + b"2 3 1\n1 1 1.0\n", "square"),
        (b"%%MatrixMarket matrix array real general\n99999999 99999999\n1\n", "lines"),
        (b"%%MatrixMarket matrix array real symmetric\n99999999 99999999\n1\n", "lines"),
        (b"%%MatrixMarket matrix array real general\n2 2\n1\n1\n1\n", "4 lines"),
    ],
)
def test_malformed_mtx(tmp_path, content, fragment):
    assert_malformed(write(tmp_path, "a.mtx", content), fragment)


# npz ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a.npz", "a.npz.gz"])
@pytest.mark.parametrize("fmt", ["csr", "csc", "coo", "bsr", "dia"])
@pytest.mark.parametrize("dtype", [np.float32, np.complex64, np.int8, bool])
def test_npz_round_trip(tmp_path, name, fmt, dtype):
    A = example(dtype)
    if fmt == "bsr":
        A = A.tobsr(blocksize=(2, 4))
    if fmt == "dia":
        A.eliminate_zeros()
    A = A.asformat(fmt)
    assert_same(datasets.load(write(tmp_path, name, saved(sp.save_npz, A))), A, dtype)


def test_npz_keeps_the_order_of_columns(tmp_path):
    A = sp.csr_array((np.arange(3.0), [2, 0, 1], [0, 3]), shape=(1, 3))
    B = datasets.load(write(tmp_path, "a.npz", saved(sp.save_npz, A)), dtype=np.float32)
    np.testing.assert_array_equal(B.indices, A.indices)
    assert B.dtype == np.float32


def parts(A, prefix, **changes):
    arrays = {"data": A.data, "indices": A.indices, "indptr": A.indptr, "shape": A.shape}
    return {f"{prefix}{name}": value for name, value in (arrays | changes).items()}


def test_npz_of_named_parts(tmp_path):
    A, B = example(np.float32), datasets.random_pruned(3, 5, 0.5, rng=0)
    path = write(tmp_path, "one.npz", npz(**parts(A, "adj_"), labels=np.arange(3)))
    assert_same(datasets.load(path), A)
    path = write(tmp_path, "two.npz", npz(**parts(A, "adj_"), **parts(B, "attr_")))
    assert_same(datasets.load(path, key="adj"), A)
    assert_same(datasets.load(path, key="attr"), B)
    assert_malformed(path, "key= to name one of the matrices 'adj', 'attr'")
    assert_malformed(path, "key 'labels', found 'adj', 'attr'", key="labels")


CHANGES = {
    "index too large": {"indices": np.array([1, 5, 2, 0, 1, 8], dtype=np.int32)},
    "negative index": {"indices": np.array([1, 5, 2, 0, 1, -1], dtype=np.int32)},
    "float indices": {"indices": np.array([1, 5, 2, 0, 1, 5.5])},
    "index matrix": {"indices": np.ones((6, 1), dtype=np.int32)},
    "too few indices": {"indices": np.array([1, 5, 2], dtype=np.int32)},
    "falling offsets": {"indptr": np.array([0, 2, 3, 2, 5, 5, 6], dtype=np.int32)},
    "wrapping offsets": {"indptr": np.array([0, 2**31 - 1, -(2**31), -1, 5, 5, 6], dtype=np.int32)},
    "first offset": {"indptr": np.array([1, 2, 3, 3, 5, 5, 6], dtype=np.int32)},
    "last offset": {"indptr": np.array([0, 2, 3, 3, 5, 5, 7], dtype=np.int32)},
    "too few offsets": {"indptr": np.array([0, 2, 3, 3, 5, 6], dtype=np.int32)},
    "too few values": {"data": np.ones(5)},
    "text values": {"data": np.array(list("abcdef"))},
    "pickled values": {"data": np.array([None] * 6)},
    "three sizes": {"shape": np.array([6, 8, 1])},
    "negative size": {"shape": np.array([6, -8])},
    "fractional size": {"shape": np.array([6.0, 8.5])},
    "huge size": {"shape": np.array([6, 2**64 - 1], dtype=np.uint64)},
}


@pytest.mark.parametrize("change", CHANGES)
def test_malformed_npz(tmp_path, change):
    A = example()
    broken = CHANGES[change]
    assert_malformed(write(tmp_path, "a.npz", npz(**parts(A, "adj_", **broken))))
    assert_malformed(write(tmp_path, "b.npz", npz(format=b"csr", **parts(A, "", **broken))))
    # The same arrays as the transpose, where the roles of rows and columns are swapped.
    if "shape" not in broken:
        broken = broken | {"shape": (8, 6)}
        assert_malformed(write(tmp_path, "c.npz", npz(format=b"csc", **parts(A, "", **broken))))


def test_malformed_npz_of_other_formats(tmp_path):
    B = example().tobsr(blocksize=(2, 4))
    for name, changes in {
        "far": {"indices": B.indices + 2},
        "negative": {"indices": B.indices - 1},
        "falling": {"indptr": B.indptr[::-1].copy()},
    }.items():
        assert_malformed(
            write(tmp_path, f"{name}.npz", npz(format=b"bsr", **parts(B, "", **changes)))
        )
    C = {"row": np.array([0, 6]), "col": np.array([0, 1]), "data": np.ones(2), "shape": (6, 8)}
    assert_malformed(write(tmp_path, "coo.npz", npz(format=b"coo", **C)))
    C["row"] = np.array([0, 1.5])
    path = write(tmp_path, "float.npz", npz(format=b"coo", **C))
    assert_malformed(path, "row, found 1-D float64")
    assert_malformed(write(tmp_path, "format.npz", npz(format=b"ell", **C)))


def test_malformed_npz_archives(tmp_path):
    A = example()
    whole = saved(sp.save_npz, A)
    for size in range(0, len(whole), 97):
        assert_malformed(write(tmp_path, "a.npz", whole[:size]))
    assert_malformed(write(tmp_path, "a.npz", saved(np.save, np.eye(3))), "a NumPy .npz file")
    assert_malformed(write(tmp_path, "a.npz", npz(x=np.eye(3))), "found the arrays 'x'")
    assert_malformed(write(tmp_path, "a.npz", whole), "no key", key="A")
    incomplete = parts(A, "adj_")
    del incomplete["adj_indices"]
    assert_malformed(write(tmp_path, "a.npz", npz(**incomplete)), "adj_indices")
    assert_malformed(write(tmp_path, "a.npz", npz(**parts(A, "x_", shape=6))), "x_shape")


def test_complex_values_are_not_cast_to_real(tmp_path):
    path = write(tmp_path, "a.npz", saved(sp.save_npz, example(np.complex64)))
    assert_malformed(path, "dtype must be complex for complex values", dtype=np.float64)
    assert datasets.load(path, dtype=np.complex128).dtype == np.complex128


# MATLAB and raw -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a.mat", "a.mat.gz"])
@pytest.mark.parametrize("dtype", [np.float64, np.complex128])
def test_mat_round_trip(tmp_path, name, dtype):
    A = example(dtype)
    content = saved(scipy.io.savemat, {"A": A.tocsc(), "x": np.eye(2)}, do_compression=True)
    assert_same(datasets.load(write(tmp_path, name, content)), A, dtype)


def test_mat_of_several_matrices(tmp_path):
    A = example()
    path = write(tmp_path, "a.mat", saved(scipy.io.savemat, {"A": A, "B": 2 * A, "x": np.eye(2)}))
    assert_same(datasets.load(path, key="B"), 2 * A)
    assert_malformed(path, "'A', 'B'")
    assert_malformed(path, "key 'x', found 'A', 'B'", key="x")


def test_malformed_mat(tmp_path):
    whole = saved(scipy.io.savemat, {"A": example()}, do_compression=True)
    for size in range(0, len(whole), 13):
        assert_malformed(write(tmp_path, "a.mat", whole[:size]))
    assert_malformed(write(tmp_path, "a.mat", b"no MATLAB file" * 100), "a MATLAB file")
    path = write(tmp_path, "a.mat", saved(scipy.io.savemat, {"x": np.eye(2)}))
    assert_malformed(path, "a sparse matrix, found 'x' (double)")
    A = example().tocsc()
    A.indices[-1] = 77
    assert_malformed(write(tmp_path, "a.mat", saved(scipy.io.savemat, {"A": A})), "found 77")


@pytest.mark.parametrize("name", ["a.raw", "a_weights.raw.gz"])
def test_raw(tmp_path, name):
    dense = example(np.float32).toarray()
    dense[0, 0] = np.nan
    path = write(tmp_path, name, dense.astype("<f4").tobytes())
    for shape in (None, 48, (48,), (2, 3, 8), "68"):
        assert_malformed(path, "expected shape=(rows, columns) for a .raw file", shape=shape)
    A = datasets.load(path, shape=(6, 8))
    assert A.nnz == 6 and A.dtype == np.float32
    np.testing.assert_array_equal(A.toarray(), dense)
    assert_malformed(path, "shape=(rows, columns) for a .raw file, got None")
    assert_malformed(path, "224 bytes, float32 of shape (7, 8), found 192", shape=(7, 8))
    assert_malformed(path, "shape=(rows, columns)", shape=(6, 8, 1))
    assert_malformed(path, "shape must be at least 1", shape=(-6, -8))


# Folders ------------------------------------------------------------------------------------------


def test_keys(tmp_path):
    A = sp.csr_array(np.eye(3))
    sp.save_npz(tmp_path / "one.npz", A)
    scipy.io.savemat(tmp_path / "two.mat", {"A": A, "b": np.ones(3), "C": A})
    parts = {"data": A.data, "indices": A.indices, "indptr": A.indptr, "shape": A.shape}
    np.savez(tmp_path / "two.npz", **{f"{k}_{n}": a for k in "xy" for n, a in parts.items()})
    scipy.io.mmwrite(tmp_path / "one.mtx", A)
    assert datasets.keys(tmp_path / "one.npz") == datasets.keys(tmp_path / "one.mtx") == []
    for name, keys in (("two.mat", ["A", "C"]), ("two.npz", ["x", "y"])):
        assert datasets.keys(tmp_path / name) == keys
        for key in keys:
            assert datasets.load(tmp_path / name, key=key).nnz == 3
    (tmp_path / "bad.npz").write_text("no archive")
    with pytest.raises(ValueError, match="bad.npz: expected a NumPy .npz file"):
        datasets.keys(tmp_path / "bad.npz")
    with pytest.raises(FileNotFoundError):
        datasets.keys(tmp_path / "none.npz")


def test_find(tmp_path):
    names = ["b/a.mtx", "b/c.SMTX.GZ", "a.npz", "z.mat.gz", "b/d/e.smtx"]
    for name in [*names, "w.raw.gz", "c.csv.gz", "d.gz", "npz"]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "folder.mtx").mkdir()
    assert datasets.find(tmp_path) == sorted(tmp_path / name for name in names)
    assert datasets.find(str(tmp_path / "folder.mtx")) == []
    with pytest.raises(NotADirectoryError, match="folder must be an existing folder"):
        datasets.find(tmp_path / "nowhere")


def manifest():
    path = REAL_DATA / "MANIFEST.csv"
    if not path.is_file():
        return [pytest.param(None, marks=pytest.mark.skip(reason=NO_REAL_DATA))]
    with path.open(newline="") as lines:
        return [pytest.param(row, id=row["file"]) for row in csv.DictReader(lines)]


@pytest.mark.parametrize("row", manifest())
def test_real_matrices_load(row):
    name, _, key = row["file"].partition("#")
    shape = (int(row["rows"]), int(row["cols"]))
    kwargs = {"key": key or None, "shape": shape if ".raw" in name else None}
    A = datasets.load(REAL_DATA / name, **kwargs)
    assert A.shape == shape
    assert A.nnz == int(row["nnz"])
    assert 1 - A.nnz / np.prod(shape) == pytest.approx(float(row["sparsity"]), abs=1e-6)
    lengths = np.diff(A.indptr)
    assert (lengths.min(), lengths.max()) == (int(row["nnz_row_min"]), int(row["nnz_row_max"]))
    assert np.count_nonzero(lengths == 0) == int(row["empty_rows"])
    A.check_format(full_check=True)
    expected = "c" if "COMPLEX" in row["note"] else "f"
    assert A.dtype.kind == expected


@pytest.mark.skipif(not REAL_DATA.is_dir(), reason=NO_REAL_DATA)
def test_find_lists_the_real_matrices():
    listed = {row.values[0]["file"].partition("#")[0] for row in manifest()}
    found = {path.relative_to(REAL_DATA).as_posix() for path in datasets.find(REAL_DATA)}
    assert found == {name for name in listed if ".raw" not in name}
