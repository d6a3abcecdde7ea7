"""Matrix Market files as they are found: other systems' text, Fortran's numbers, odd integers."""

import bz2
import gzip
import io
import lzma
import math
import resource

import numpy as np
import pytest
import scipy.io
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

from spkernels import datasets
from spkernels.datasets import _mtx, _scan

TEXT = b"""%%MatrixMarket matrix coordinate real general
% a comment
3 4 3
1 1 1.5
3 4 -2
2 1 1e3
"""
DENSE = [[1.5, 0, 0, 0], [1000, 0, 0, 0], [0, 0, 0, -2]]


def load(tmp_path, content, name="a.mtx"):
    path = tmp_path / name
    path.write_bytes(content)
    return datasets.load(path)


def value(tmp_path, text, field="real"):
    """Return the value of a file with one entry."""
    banner = f"%%MatrixMarket matrix coordinate {field} general\n2 2 1\n2 1 "
    # Not by an index, for which scipy adds up: -0.0 would be 0.0.
    return load(tmp_path, banner.encode() + text.encode() + b"\n").data[0]


def refused(tmp_path, content, *fragments, name="a.mtx"):
    with pytest.raises(ValueError) as caught:
        load(tmp_path, content, name)
    message = str(caught.value)
    assert message.startswith(str(tmp_path / name)) and "usecols" not in message
    for fragment in ("expected", *fragments):
        assert fragment in message


@pytest.fixture(params=[True, False], ids=["fast parser", "old scipy"])
def parser(request, monkeypatch):
    """Read real numbers by each of the parsers that there are, by scipy's version."""
    if request.param and not _mtx._HAS_FAST_PARSER:
        pytest.skip("scipy before 1.12 has no fast parser.")
    monkeypatch.setattr(_mtx, "_HAS_FAST_PARSER", request.param)


# Text ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [
        TEXT,
        TEXT.rstrip(),
        TEXT.replace(b"%%M", b"%M"),
        b"\xef\xbb\xbf" + TEXT,
        TEXT.decode().encode("utf-16"),
        TEXT.replace(b"\n", b"\r\n"),
        TEXT.replace(b"\n", b"\r"),
        TEXT.replace(b"\n", b"\r").rstrip() + b"\r\n",
        b"\r\n \n" + TEXT,
        TEXT + b"\x1a",
        TEXT + b"\r\n\x1a\x1a\x1a\n",
        TEXT + b"\x1a" * 900,
        TEXT.replace(b"\n", b"\r\n") + b"\x1a",
        b"\xef\xbb\xbf" + TEXT.replace(b"%%M", b"%M").replace(b"\n", b"\r\n") + b"\x1a",
        TEXT.replace(b" ", b"\t  "),
        TEXT.replace(b"\n1 1", b"\n\n \n% more\n   1 1"),
        TEXT.replace(b"1.5\n", b"1.5 % of a pair\n"),
        TEXT.replace(b"1.5\n", b"1.5%\n"),
        TEXT.replace(b"1 1 1.5", b"+1 01 +1.5"),
        TEXT.replace(b"1.5", b"1.5   ") + b"\n \n\n% the end",
        TEXT.replace(b"real", b"REAL").replace(b"general", b"General "),
    ],
)
def test_text_of_other_systems(tmp_path, content):
    A = load(tmp_path, content)
    np.testing.assert_array_equal(A.toarray(), DENSE)
    assert A.nnz == 3


@pytest.mark.parametrize("stem", ["a.mtx", "a.mm", "A.MTX", "A.MM"])
@pytest.mark.parametrize(
    ("suffix", "pack"),
    [("", bytes), (".gz", gzip.compress), (".bz2", bz2.compress), (".xz", lzma.compress)],
)
def test_suffixes(tmp_path, stem, suffix, pack):
    for end in (suffix, suffix.upper()):
        A = load(tmp_path, pack(TEXT), stem + end)
        np.testing.assert_array_equal(A.toarray(), DENSE)
        assert datasets.find(tmp_path) == [tmp_path / (stem + end)]
        (tmp_path / (stem + end)).unlink()
    if suffix:
        whole = pack(TEXT * 40)
        for damaged in (whole[:-9], whole[:12], b"", TEXT, whole[:20] + b"\xff" * 9 + whole[29:]):
            refused(tmp_path, damaged, f"whole {suffix} file", name=stem + suffix)


def test_other_formats_are_compressed_alike(tmp_path):
    sp.save_npz(tmp_path / "a.npz", sp.csr_array(np.eye(3)))
    content = (tmp_path / "a.npz").read_bytes()
    assert load(tmp_path, bz2.compress(content), "b.npz.bz2").nnz == 3
    assert load(tmp_path, lzma.compress(b"1, 2, 1\n0 1\n1\n"), "b.smtx.xz").nnz == 1


# Numbers ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1.5D+02", 150), ("1.5d2", 150), ("-1.5D-2", -0.015), ("1.5E+02", 150), ("1q1", 10),
        ("1.5Q-003", 0.0015), ("2D0", 2), (".5", 0.5), ("-.5D1", -5), ("5.", 5), ("+5.e+1", 50),
        ("1e400", math.inf), ("-1e400", -math.inf), ("1e-400", 0), ("4.9e-324", 5e-324),
        ("1" * 400, math.inf), ("1e" + "9" * 50, math.inf), ("0e" + "9" * 50, 0),
        ("0." + "0" * 400 + "1e401", 1), ("1.7976931348623157e308", 1.7976931348623157e308),
        ("nan", math.nan), ("-NaN", math.nan), ("inf", math.inf), ("-Inf", -math.inf),
        ("+Infinity", math.inf), ("INF", math.inf), ("-0", -0.0),
        ("0.1000000000000000055511151231257827021181583404541015625", 0.1),
        ("9007199254740993", 9007199254740992), ("9007199254740993.0000001", 9007199254740994),
    ],
)  # fmt: skip
def test_real_numbers(tmp_path, parser, text, number):
    found = value(tmp_path, text)
    np.testing.assert_equal(found, np.float64(number))
    assert np.signbit(found) == np.signbit(number) or math.isnan(number)
    A = load(tmp_path, f"%%MatrixMarket matrix array real general\n1 1\n{text}\n".encode())
    np.testing.assert_equal(A.toarray()[0, 0] + 0.0, np.float64(number) + 0.0)


@given(numbers=st.lists(st.floats(), min_size=1, max_size=20), width=st.integers(1, 20))
def test_real_numbers_are_what_python_reads(tmp_path_factory, numbers, width):
    folder = tmp_path_factory.mktemp("mtx")
    texts = [f"{x:.{width}e}" if i % 2 else repr(x) for i, x in enumerate(numbers)]
    body = "".join(f"{i + 1} 1 {text}\n" for i, text in enumerate(texts))
    banner = f"%%MatrixMarket matrix coordinate real general\n{len(texts)} 1 {len(texts)}\n"
    A = load(folder, (banner + body).encode())
    np.testing.assert_array_equal(A.data, [float(text) for text in texts])
    fortran = load(folder, (banner + body.replace("e", "D")).encode())
    np.testing.assert_array_equal(fortran.data, A.data)


def test_complex_numbers_keep_what_is_not_finite(tmp_path, parser):
    cases = {
        "2 inf": complex(2, math.inf),
        "inf 0": complex(math.inf, 0),
        "nan -0": complex(math.nan, -0.0),
        "1D1 -2d-1": 10 - 0.2j,
    }
    for text, number in cases.items():
        found = value(tmp_path, text, "complex")
        np.testing.assert_equal((found.real, found.imag), (number.real, number.imag))


NO_NUMBERS = ["0.15-100", "0.15+100", "1.5x", "1.5e", "1.5e+", "1.5D", "1,5", "1.2.3", "1e2e3",
              "1e2.5", ".", "-", "+", "e5", ".e5", "--1", "1_000", "0x10", "0x1p3", "1.5f", "(1)",
              "nano", "infi", "infinit", "in", "na", "1.#INF", "one", "1\x001", "\x7f", "1\x1a1",
              "$", "1e5-", "\u0661", "nan(1)", "NA", "NULL", "true", "1.5D+02x"]  # fmt: skip


@pytest.mark.parametrize("text", NO_NUMBERS)
def test_no_prefix_is_taken_for_a_number(tmp_path, text):
    for field in ("real", "integer"):
        banner = (
            f"%%MatrixMarket matrix coordinate {field} general\n% one\n2 2 2\n1 1 1\n2 2 {text}\n"
        )
        refused(tmp_path, banner.encode(), "on line 5")
        array = f"%%MatrixMarket matrix array {field} general\n2 1\n1\n{text}\n"
        refused(tmp_path, array.encode(), "on line 4")
    banner = f"%%MatrixMarket matrix coordinate complex general\n2 2 1\n1 1 1.5 {text}\n"
    refused(tmp_path, banner.encode(), "on line 3")
    for line in (f"{text} 1 1", f"1 {text} 1"):
        banner = f"%%MatrixMarket matrix coordinate real general\n2 2 1\n{line}\n"
        refused(tmp_path, banner.encode(), "on line 3")


def test_an_exponent_without_a_letter_is_explained(tmp_path):
    refused(tmp_path, TEXT.replace(b"-2", b"0.15-100"), "an exponent needs its letter", "line 5")


@pytest.mark.parametrize("text", ["7.9", "7.0", "1e3", "1.5D+02", "7.", "nan", "inf"])
@pytest.mark.parametrize("field", ["integer", "unsigned-integer"])
def test_integers_are_whole(tmp_path, text, field):
    banner = f"%%MatrixMarket matrix coordinate {field} general\n2 2 1\n1 1 {text}\n"
    refused(tmp_path, banner.encode(), "a whole number as the value on line 3", repr(text))


@pytest.mark.parametrize("layout", ["coordinate", "array"])
@pytest.mark.parametrize("symmetry", ["general", "symmetric", "skew-symmetric", "hermitian"])
@pytest.mark.parametrize("field", ["integer", "unsigned-integer"])
@pytest.mark.parametrize(
    "number",
    [0, 1, 3, -1, 2**53 + 1, 2**63 - 1, 2**63, 2**64 - 3, 2**64 - 1, 2**64, 10**30, 10**400,
     -(2**63) + 1, -(2**63), -(2**63) - 1, -(2**64), -(10**30)],
)  # fmt: skip
def test_integers_are_exact_or_refused(tmp_path, layout, symmetry, field, number):
    skew = symmetry == "skew-symmetric"
    banner = f"%%MatrixMarket matrix {layout} {field} {symmetry}\n"
    if layout == "coordinate":
        text = banner + f"2 2 1\n2 1 {number}\n"
    else:
        before = {"general": "0\n"}.get(symmetry, "" if skew else "0\n")
        after = {"general": "0\n0\n"}.get(symmetry, "" if skew else "0\n")
        text = banner + f"2 2\n{before}{number}\n{after}"
    unsigned = field == "unsigned-integer"
    low, high = (0, 2**64 - 1) if unsigned else (-(2**63), 2**63 - 1)
    if skew:
        # Both a number and its negative have to fit.
        low, high = (0 if unsigned else -high), 2**63 - 1
    if not low <= number <= high:
        line = text[: text.index(str(number))].count("\n") + 1
        refused(tmp_path, text.encode(), f"from {low} to {high}", f"on line {line}")
        return
    A = load(tmp_path, text.encode())
    assert A.dtype == (np.uint64 if unsigned and not skew else np.int64)
    mirrored = 0 if symmetry == "general" else -number if skew else number
    assert A.toarray().tolist() == [[0, mirrored], [number, 0]]


def test_explicit_zeros_stay_and_duplicates_are_summed(tmp_path):
    for field, text in (("integer", "0"), ("real", "0"), ("real", "0.0e0"), ("complex", "0 0")):
        banner = (
            f"%%MatrixMarket matrix coordinate {field} symmetric\n2 2 2\n1 1 {text}\n2 1 {text}\n"
        )
        assert load(tmp_path, banner.encode()).nnz == 3
    A = load(tmp_path, TEXT.replace(b"2 1 1e3", b"1 1 1e3"))
    assert A.nnz == 2 and A[0, 0] == 1001.5


@pytest.mark.parametrize("field", ["integer", "unsigned-integer"])
def test_sums_of_duplicates_do_not_wrap_around(tmp_path, field):
    largest = 2**63 - 1 if field == "integer" else 2**64 - 1
    banner = f"%%MatrixMarket matrix coordinate {field} general\n3 3 4\n1 1 1\n"
    numbers = [(largest - 1, 1, 0), (largest // 2, largest // 2, 1)]
    for a, b, c in numbers:
        A = load(tmp_path, f"{banner}2 3 {a}\n2 3 {b}\n2 3 {c}\n".encode())
        assert A.data.tolist() == [1, largest]
    refused(tmp_path, f"{banner}2 3 {largest}\n2 3 1\n3 3 0\n".encode(), "row 1, column 2")
    if field == "integer":
        body = f"2 3 {-largest}\n2 3 -1\n2 3 -1\n"
        refused(tmp_path, (banner + body).encode(), "row 1, column 2", "-9.22e+18")
        A = load(tmp_path, f"{banner}2 3 {-largest}\n2 3 -1\n3 3 0\n".encode())
        assert A[1, 2] == -(2**63)


# What is refused ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "fragment"),
    [
        (TEXT.replace(b"1 1 1.5", b"1 1"), "the columns row, column, value on line 4, found 2"),
        (TEXT.replace(b"1 1 1.5", b"1"), "the columns row, column, value on line 4, found 1"),
        (TEXT.replace(b"1 1 1.5", b"1 1 % 1.5"), "on line 4, found 2"),
        (TEXT.replace(b"1 1 1.5", b"1 1 1.5 0"), "row, column, value on line 4, found b'0'"),
        (TEXT.replace(b"1 1 1.5", b"1 1.5 1"), "a whole number as the column on line 4"),
        (TEXT.replace(b"1 1 1.5", b"1e0 1 1"), "a whole number as the row on line 4"),
        (TEXT.replace(b"3 4 -2", b"4 4 -2"), "rows from 1 to 3, found 4 on line 5"),
        (TEXT.replace(b"3 4 -2", b"3 5 -2"), "columns from 1 to 4, found 5 on line 5"),
        (TEXT.replace(b"3 4 -2", b"0 4 -2"), "rows from 1 to 3, found 0 on line 5"),
        (TEXT.replace(b"3 4 -2", b"3 -4 -2"), "columns from 1 to 4, found -4 on line 5"),
        (TEXT.replace(b"3 4 -2", b"18446744073709551619 4 -2"), "on line 5"),
        (TEXT + b"1 2 3\n", "3 lines of Matrix Market entries, found another one on line 7"),
        (TEXT + b"\x1a\n1 2 3\n", "found another one on line 7"),
        (TEXT.replace(b"2 1 1e3\n", b""), "found 2 up to the end on line 6"),
        (TEXT.replace(b"3 4 3", b"3 4"), "on line 3"),
        (TEXT.replace(b"3 4 3", b"3 4 3.0"), "on line 3"),
        (TEXT.replace(b"3 4 3", b"3 4 " + b"9" * 5000), "3 Matrix Market sizes"),
        (TEXT.replace(b"real", b"pattern"), "the columns row, column on line 4, found b'1.5'"),
        (TEXT.replace(b"real", b"complex"), "value, imaginary part on line 4, found 3"),
        (TEXT.replace(b"%%", b"%%%"), "banner"),
        (TEXT.replace(b"%%", b"# %"), "banner"),
        (TEXT.replace(b"%%", b""), "banner"),
        (b"\xff\xfe\x00", "utf-16"),
    ],
)
def test_errors_have_the_line(tmp_path, content, fragment):
    refused(tmp_path, content, fragment)
    refused(tmp_path, content.replace(b"\n", b"\r\n"), fragment)
    if b"\xff" not in content:
        refused(tmp_path, b"\xef\xbb\xbf" + content, fragment)
        refused(tmp_path, gzip.compress(content), fragment, name="a.mtx.gz")


@pytest.mark.parametrize("size", [10**9, 10**12, 2**62])
def test_sizes_that_a_few_bytes_claim(tmp_path, size):
    head = "%%MatrixMarket matrix {} {} {}\n"
    for field, line in (("real", "1 1 1"), ("pattern", "1 1"), ("integer", "1 1 1")):
        banner = head.format("coordinate", field, "general")
        refused(tmp_path, f"{banner}2 2 {size}\n{line}\n".encode(), f"{size} lines", "found 1")
        refused(tmp_path, f"{banner}{size} 2 1\n{line}\n".encode(), f"{size} rows", "on line 2")
        square = head.format("coordinate", field, "symmetric")
        refused(tmp_path, f"{square}{size} {size} 1\n{line}\n".encode(), f"{size} rows")
        A = load(tmp_path, f"{banner}2 {size} 1\n1 {size} {line[3:]}\n".encode())
        assert A.shape == (2, size) and A.indices.tolist() == [size - 1]
    for symmetry in ("general", "symmetric", "skew-symmetric"):
        banner = head.format("array", "real", symmetry)
        refused(tmp_path, f"{banner}{size} {size}\n1\n".encode(), "lines", "found 1")
    banner = head.format("array", "real", "general")
    refused(tmp_path, f"{banner}{size} 1\n1\n".encode(), f"{size} lines", "found 1")
    refused(tmp_path, f"{banner}{size} 0\n".encode(), f"{size} rows")
    assert load(tmp_path, f"{banner}0 {size}\n".encode()).shape == (0, size)


def test_rows_without_entries_up_to_a_limit(tmp_path, monkeypatch):
    banner = b"%%MatrixMarket matrix coordinate pattern general\n"
    assert load(tmp_path, banner + b"1000000 1 1\n1000000 1\n").indptr[-1] == 1
    monkeypatch.setattr("spkernels.datasets._csr._MAX_EMPTY_ROWS", 100)
    assert load(tmp_path, banner + b"100 1 1\n7 1\n").shape == (100, 1)
    refused(tmp_path, banner + b"101 1 1\n7 1\n", "at most 100 rows", "101 rows")
    # As many rows as bytes are no more than the file takes.
    assert load(tmp_path, banner + b"101 1 1\n7 1\n" + b"\n" * 99).shape == (101, 1)


# The scanner --------------------------------------------------------------------------------------


@given(
    body=st.lists(st.sampled_from([*"0123456789", *"+-.eEdDqQ", *" \t\r\n%", "nan", "inf", "\x00",
                                   "1 1 1\n", "2 2 ", "\x1a"]), max_size=40),
    reals=st.integers(0, 2), coordinate=st.booleans(), whole=st.booleans(),
    lines=st.integers(0, 9),
)  # fmt: skip
def test_the_scanner_stays_inside_of_its_arrays(body, reals, coordinate, whole, lines):
    text = "".join(body).encode()
    reals = 0 if whole else reals
    sizes = (2, 2) if coordinate else ()
    columns = len(sizes) + reals + whole
    if not columns:
        return
    room = min(lines, (len(text) + 1) // (2 * columns) + 1)
    guard = 8
    positions = np.full(room * len(sizes) + guard, -77)
    integers = np.full(room * whole + guard, 77, np.uint64)
    written = np.full(len(text) + 1 + guard, 77, np.uint8)
    found, nbytes, failure, column, offset = _scan.scan(
        text, 0, len(text), sizes, reals, (100, 100) if whole else (), lines, positions, integers,
        written,
    )  # fmt: skip
    assert found <= lines and nbytes <= len(text) + 1 and failure in _scan.FAILURES
    assert (positions[-guard:] == -77).all() and (integers[-guard:] == 77).all()
    assert (written[-guard:] == 77).all()
    assert 0 <= offset <= len(text)
    if failure:
        assert 0 <= column <= columns
        return
    # Each line is what Python reads, or blank.
    kept = [line.partition(b"%")[0].split() for line in text.split(b"\n")]
    kept = [line for line in kept if line]
    assert len(kept) == found and all(len(line) == columns for line in kept)
    numbers = [[float(x.lower().translate(bytes.maketrans(b"dq", b"ee")) if b"n" not in x.lower()
                      else x) for x in line] for line in kept]  # fmt: skip
    flat = np.array(numbers).reshape(found, columns)
    if coordinate:
        taken = positions[: 2 * found].reshape(found, 2)
        np.testing.assert_array_equal(taken + 1, flat[:, :2])
    if whole:
        np.testing.assert_array_equal(integers[:found].view(np.int64), flat[:, -1])
    if reals:
        again = np.array(written[:nbytes].tobytes().split(), dtype=float)
        np.testing.assert_array_equal(again.reshape(found, reals), flat[:, -reals:])


def test_without_room_for_threads(tmp_path, run_script):
    if resource.getrlimit(resource.RLIMIT_STACK)[1] != resource.RLIM_INFINITY:
        pytest.skip("The limit of stacks cannot be raised.")
    path = tmp_path / "a.mtx"
    values = np.random.default_rng(0).standard_normal(100_000)
    lines = "".join(f"{i + 1} 1 {x!r}\n" for i, x in enumerate(values.tolist()))
    banner = f"%%MatrixMarket matrix coordinate real general\n{len(values)} 1 {len(values)}\n"
    path.write_text(banner + lines)
    np.save(tmp_path / "values.npy", values)
    run_script(
        f"""
import os, resource, sys
if "AGAIN" not in os.environ:
    # Stacks of new threads are as large as the limit was when the process began.
    resource.setrlimit(resource.RLIMIT_STACK, (2 << 30, resource.RLIM_INFINITY))
    os.environ["AGAIN"] = "1"
    os.execv(sys.executable, [sys.executable, __file__])
import numpy as np
from spkernels import datasets
with open("/proc/self/statm") as statm:
    used = int(statm.read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (1 << 30), resource.RLIM_INFINITY))
A = datasets.load({str(path)!r})
np.testing.assert_array_equal(A.data, np.load({str(tmp_path / "values.npy")!r}))
""",
        env={"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"},
    )


def test_files_of_scipy_come_back(tmp_path, parser):
    rng = np.random.default_rng(0)
    for field in ("real", "complex", "integer"):
        values = rng.standard_normal(400) * {"real": 1, "complex": 1 + 2j, "integer": 1e15}[field]
        values = values.astype(np.int64) if field == "integer" else values
        i, j = rng.integers(0, 30, (2, 400))
        A = sp.coo_array((values, (i, j)), shape=(30, 30)).tocsr()
        for symmetric in (False, True):
            B = A + A.T if symmetric else A
            stream = io.BytesIO()
            scipy.io.mmwrite(stream, B, precision=17)
            np.testing.assert_array_equal(load(tmp_path, stream.getvalue()).toarray(), B.toarray())
            stream = io.BytesIO()
            scipy.io.mmwrite(stream, B.toarray(), precision=17)
            np.testing.assert_array_equal(load(tmp_path, stream.getvalue()).toarray(), B.toarray())
