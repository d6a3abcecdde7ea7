"""Matrices in .npz and .mat files: the layouts that are found in public files, and damaged ones."""

import io
import struct
import zipfile
import zlib

import numpy as np
import pytest
import scipy.io
import scipy.sparse as sp

import spkernels
from spkernels import datasets
from spkernels.formats import NMArray

FORMATS = ("csr", "csc", "bsr", "coo", "dia")


def example(dtype=np.float64):
    """Make a matrix of 6 x 8 with an empty row and an empty column."""
    rows, cols = np.array([0, 0, 1, 3, 3, 5]), np.array([1, 5, 2, 0, 1, 5])
    return sp.csr_array((np.arange(1, 7).astype(dtype), (rows, cols)), shape=(6, 8))


def arrays_of(A):
    """Return the arrays that scipy.sparse.save_npz writes, but for the format."""
    names = {"coo": ("row", "col"), "dia": ("offsets",)}.get(A.format, ("indices", "indptr"))
    parts = {name: getattr(A, name) for name in names}
    return {"data": A.data, "shape": np.array(A.shape), **parts}


def in_format(name):
    A = example()
    return A.tobsr(blocksize=(2, 4)) if name == "bsr" else A.asformat(name)


def refused(path, *fragments, load=datasets.load, **options):
    with pytest.raises(ValueError) as caught:
        load(path, **options)
    assert "expected" in str(caught.value) or " must be " in str(caught.value)
    for fragment in (str(path), *fragments):
        assert fragment in str(caught.value)


# npz: layouts -------------------------------------------------------------------------------------


@pytest.mark.parametrize("prefix", ["", "adj_", "adj_matrix.", "adj/", "adj-", "g.x_", "adj"])
def test_compressed_arrays_behind_any_prefix(tmp_path, prefix):
    path = tmp_path / "a.npz"
    A = example(np.float32)
    arrays = {prefix + name: array for name, array in arrays_of(A).items()}
    np.savez(path, labels=np.arange(3), **arrays)
    key = prefix.rstrip("._/-")
    assert datasets.keys(path) == ([key] if key else [])
    for found in (datasets.load(path), *([datasets.load(path, key=key)] if key else [])):
        np.testing.assert_array_equal(found.toarray(), A.toarray())
        assert found.dtype == np.float32
    if prefix:
        np.savez(path, **arrays, **arrays_of(2 * A))
        assert set(datasets.keys(path)) == {key, ""}
        np.testing.assert_array_equal(datasets.load(path, key="").toarray(), 2 * A.toarray())
        refused(path, "key= to name one of", repr(key))


@pytest.mark.parametrize("fmt", FORMATS)
@pytest.mark.parametrize("prefix", ["", "adj_matrix."])
@pytest.mark.parametrize("text", [np.array, lambda text: np.array(text.encode()), None])
def test_all_formats_behind_prefixes_with_and_without_their_name(tmp_path, fmt, prefix, text):
    arrays = arrays_of(in_format(fmt))
    if text is not None:
        arrays["format"] = text(fmt)
    elif fmt in ("csc", "bsr"):
        pytest.skip("Compressed arrays without a format are those of CSR.")
    path = tmp_path / "a.npz"
    np.savez_compressed(path, **{prefix + name: array for name, array in arrays.items()})
    np.testing.assert_array_equal(datasets.load(path).toarray(), example().toarray())


def test_prefixes_that_differ_in_their_separator_alone(tmp_path):
    path = tmp_path / "a.npz"
    first, second = arrays_of(example()), arrays_of(2 * example())
    np.savez(
        path, **{"a." + k: v for k, v in first.items()}, **{"a_" + k: v for k, v in second.items()}
    )
    assert datasets.keys(path) == ["a.", "a_"]
    assert datasets.load(path, key="a_").data[0] == 2


def test_what_is_missing_is_named_and_what_is_there(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, features=np.eye(3), narrow=np.eye(2), labels=np.arange(3))
    refused(path, "data, indices, indptr and shape", "'features', 'narrow', 'labels'")
    assert datasets.keys(path) == []
    for name in ("data", "indices", "shape"):
        arrays = {"x." + key: value for key, value in arrays_of(example()).items() if key != name}
        np.savez(path, **arrays)
        refused(path, f"x.{name}", "'x.indptr'")
    np.savez(path)
    refused(path, "found no arrays")
    # What numpy.savez makes of a sparse matrix is pickled, and stays so.
    np.savez(path, example())
    refused(path, "'arr_0'")


@pytest.mark.parametrize("dtype", ["u1", "u2", "u4", "u8", "i1", "i2", ">i4", ">i8", ">u2"])
@pytest.mark.parametrize("fmt", FORMATS)
def test_index_arrays_of_any_integers(tmp_path, dtype, fmt):
    arrays = arrays_of(in_format(fmt))
    for name in ("indices", "indptr", "row", "col", "offsets"):
        if name in arrays and (name != "offsets" or "u" not in dtype):
            arrays[name] = arrays[name].astype(dtype)
    path = tmp_path / "a.npz"
    np.savez(path, format=fmt, **arrays)
    A = datasets.load(path)
    np.testing.assert_array_equal(A.toarray(), example().toarray())
    assert A.indices.dtype == A.indptr.dtype == np.int32


@pytest.mark.parametrize("fmt", FORMATS)
@pytest.mark.parametrize("dtype", [">f8", ">f4", ">c8", "f2", ">f2", ">i2"])
def test_values_get_a_dtype_that_scipy_computes_with(tmp_path, fmt, dtype):
    arrays = arrays_of(in_format(fmt))
    arrays["data"] = arrays["data"].astype(dtype)
    np.savez(tmp_path / "a.npz", format=fmt, **arrays)
    A = datasets.load(tmp_path / "a.npz")
    np.testing.assert_array_equal(A.toarray(), example().toarray())
    assert A.dtype == (np.float32 if "f2" in dtype else np.dtype(dtype).newbyteorder("="))


def test_coordinates_in_one_array(tmp_path):
    A = in_format("coo")
    path = tmp_path / "a.npz"
    np.savez(path, format="coo", data=A.data, coords=np.array([A.row, A.col]), shape=A.shape)
    np.testing.assert_array_equal(datasets.load(path).toarray(), A.toarray())
    np.savez(path, format="coo", data=np.ones(1), coords=np.zeros((3, 1), int), shape=(1, 1, 1))
    refused(path, "two dimensions")
    np.savez(path, format="coo", data=np.ones(1), coords=np.zeros((3, 1), int), shape=(1, 1))
    refused(path, "two rows of coords")


@pytest.mark.parametrize("name", ["gcxs", None])  # which older versions did not write
@pytest.mark.parametrize("axis", [0, 1])
def test_gcxs_of_pydata_by_its_compressed_axis(tmp_path, axis, name):
    path = tmp_path / "a.npz"
    A = sp.csr_array([[0, 1, 0], [2, 0, 3], [0, 0, 4]])
    arrays = arrays_of(A if axis == 0 else A.tocsc()) | ({} if name is None else {"format": name})
    np.savez(path, compressed_axes=[axis], fill_value=0.0, **arrays)
    np.testing.assert_array_equal(datasets.load(path).toarray(), A.toarray())
    for axes in ([], [2], [0, 1], 0, "0"):
        np.savez(path, compressed_axes=axes, fill_value=0.0, **arrays)
        refused(path, "compressed_axes")


@pytest.mark.parametrize("fill", [1.0, np.nan, np.inf, "0", [0, 0]])
@pytest.mark.parametrize("prefix", ["", "adj_"])
def test_fill_values_other_than_0_are_not_lost(tmp_path, prefix, fill):
    path = tmp_path / "a.npz"
    A = in_format("coo")
    arrays = {"data": A.data, "coords": [A.row, A.col], "shape": A.shape, "fill_value": fill}
    np.savez(path, **{prefix + name: array for name, array in arrays.items()})
    refused(path, f"{prefix}fill_value to be 0")


def test_diagonals_outside_of_the_matrix_hold_nothing(tmp_path):
    data = np.arange(1.0, 13).reshape(4, 3)
    for dtype in (np.int32, np.int64):
        limits = np.iinfo(dtype)
        offsets = np.array([limits.min, 1, limits.max, -7], dtype)
        np.savez(tmp_path / "a.npz", format="dia", data=data, offsets=offsets, shape=(3, 3))
        A = datasets.load(tmp_path / "a.npz").toarray()
        np.testing.assert_array_equal(A, np.diag([5.0, 6.0], 1))


def test_sums_of_integers_do_not_wrap_around(tmp_path):
    path = tmp_path / "a.npz"
    for dtype in ("i1", "u1", "i4", "u8"):
        largest = np.iinfo(dtype).max
        parts = {"row": [0, 1, 1], "col": [0, 2, 2], "shape": (3, 3), "format": "coo"}
        np.savez(path, data=np.array([1, largest - 1, 1], dtype), **parts)
        assert datasets.load(path).data.tolist() == [1, largest]
        np.savez(path, data=np.array([1, largest, 1], dtype), **parts)
        refused(path, "row 1, column 2")
    np.savez(path, data=np.ones(3, bool), **parts)
    assert datasets.load(path).data.tolist() == [True, True]


# npz: damage --------------------------------------------------------------------------------------

BLOCKS = {"indices": np.array([0, 1]), "indptr": np.array([0, 1, 2])}


@pytest.mark.parametrize("shape", [(5, 8), (6, 9), (7, 8), (0, 1), (1, 1), (4, 7)])
@pytest.mark.parametrize("entries", [0, 2])
def test_blocks_that_do_not_divide_the_shape(tmp_path, shape, entries):
    # scipy sizes the result by the shape and fills it by the blocks.
    arrays = {name: part if name == "indptr" else part[:entries] for name, part in BLOCKS.items()}
    arrays["indptr"] = np.minimum(arrays["indptr"], entries)
    data = np.ones((entries, 3, 4))
    path = tmp_path / "a.npz"
    np.savez(path, format="bsr", data=data, shape=shape, **arrays)
    refused(path, "blocks that divide shape", "3 x 4")


@pytest.mark.parametrize("block", [(0, 4), (3, 0), (0, 0)])
def test_blocks_without_rows_or_columns(tmp_path, block):
    path = tmp_path / "a.npz"
    np.savez(path, format="bsr", data=np.ones((2, *block)), shape=(6, 8), **BLOCKS)
    refused(path, "blocks that divide")


def damages(arrays):
    """Yield arrays of wrong dimensions, dtypes and contents in place of each of a matrix's."""
    for name, array in arrays.items():
        yield name, array[..., None]
        yield name, array.reshape(-1)[:1].reshape(())
        yield name, array[:-1]
        yield name, np.concatenate([array, array[-1:]])
        yield name, array.astype(object)
        yield name, array.astype(str)
        yield name, array.astype("M8[s]") if array.dtype.kind == "i" else array.astype("V8")
        if name != "data":
            for dtype, bad in (("f8", np.nan), ("f8", 0.5), ("c16", 1), (bool, True)):
                yield name, np.full(array.shape, bad, dtype)
            yield name, array.astype(float)
        if name in ("indices", "indptr", "row", "col", "shape"):
            yield name, array - 9
            yield name, array + np.iinfo(np.int64).max - 100
            yield name, array.astype(np.uint64) + np.uint64(2**63)


@pytest.mark.parametrize("fmt", FORMATS)
@pytest.mark.parametrize("prefix", ["", "adj."])
def test_damaged_arrays(tmp_path, fmt, prefix):
    arrays = arrays_of(in_format(fmt))
    path = tmp_path / "a.npz"
    for name, damaged in damages(arrays):
        changed = {prefix + key: value for key, value in (arrays | {name: damaged}).items()}
        np.savez(path, **{prefix + "format": np.array(fmt)}, **changed)
        refused(path)


@pytest.mark.parametrize("name", ["ell", "lil", "dok", "csr_matrix", "", "CSR"])
def test_formats_that_nothing_saves(tmp_path, name):
    np.savez(tmp_path / "a.npz", format=name, **arrays_of(example()))
    refused(tmp_path / "a.npz", "one of csr, csc, bsr, coo, dia")
    np.savez(tmp_path / "a.npz", format=[name, name], **arrays_of(example()))
    refused(tmp_path / "a.npz", "one of csr, csc, bsr, coo, dia")


def with_claim(array, shape, descr=None):
    """Return a ``.npy`` file whose header claims another shape or dtype than what it holds."""
    stream = io.BytesIO()
    header = {"descr": descr or array.dtype.str, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(stream, header)
    return stream.getvalue() + array.tobytes()


@pytest.mark.parametrize("member", ["data", "indices", "indptr", "shape"])
@pytest.mark.parametrize("shape", [(10**12,), (2**62, 4), (-1,), (-6, -1), (5,), (7,), (2**70,)])
@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_arrays_that_claim_more_than_there_is(tmp_path, member, shape, method):
    arrays = arrays_of(example())
    if arrays[member].shape == shape:
        return
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, array in arrays.items():
            claimed = shape if name == member else array.shape
            archive.writestr(f"{name}.npy", with_claim(array, claimed))
    refused(path, member)


@pytest.mark.parametrize("member", ["data", "indices", "indptr", "shape", "format"])
@pytest.mark.parametrize("dtype", ["S0", "U0", "V0"])
def test_elements_without_bytes(tmp_path, member, dtype):
    # Any number of these is as long as the file claims; NumPy takes a byte each for some.
    path = tmp_path / "a.npz"
    parts = {name: with_claim(array, array.shape) for name, array in arrays_of(example()).items()}
    parts[member] = with_claim(np.empty(0, dtype), (10**18,), f"|{dtype}")
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in parts.items():
            archive.writestr(f"{name}.npy", content)
    refused(path, f"{member} to hold numbers")


def test_memory_that_runs_out_is_no_damage(tmp_path, monkeypatch):
    np.savez(tmp_path / "a.npz", **arrays_of(example()))

    def read(*args):
        raise MemoryError

    monkeypatch.setattr(zipfile.ZipFile, "read", read)
    with pytest.raises(MemoryError):
        datasets.load(tmp_path / "a.npz")


@pytest.mark.parametrize("fmt", FORMATS)
@pytest.mark.parametrize("rows", [10**12, 2**62])
def test_rows_that_a_few_bytes_claim(tmp_path, fmt, rows):
    arrays = arrays_of(in_format(fmt)) | {"shape": np.array([rows, 8])}
    np.savez(tmp_path / "a.npz", format=fmt, **arrays)
    refused(tmp_path / "a.npz", "offsets" if fmt == "csr" else f"{rows} rows")


def test_blocks_of_many_rows_and_no_entries(tmp_path):
    parts = {"indices": np.empty(0, int), "indptr": np.zeros(2, int), "shape": (10**12, 4)}
    np.savez(tmp_path / "a.npz", format="bsr", data=np.empty((0, 10**12, 4)), **parts)
    refused(tmp_path / "a.npz", f"{10**12} rows")


def test_archives_of_other_compressions_and_with_passwords(tmp_path):
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as archive:
        for name, array in arrays_of(example()).items():
            archive.writestr(f"{name}.npy", with_claim(array, array.shape))
    refused(path, "stored or deflated")
    np.savez(path, **arrays_of(example()))
    content = bytearray(path.read_bytes())
    for mark in (b"PK\x03\x04", b"PK\x01\x02"):
        at = content.find(mark)
        content[at + (6 if mark[2] == 3 else 8)] |= 1
    path.write_bytes(content)
    refused(path, "undamaged array")


# Other files of ours ------------------------------------------------------------------------------


def test_damaged_files_of_n_m_arrays_are_named(tmp_path):
    path = tmp_path / "layer.npz"
    NMArray.from_dense(np.eye(8), 1, 4).save(path)
    content = path.read_bytes()
    end = content.rfind(b"PK\x05\x06")
    # The directory is said to begin far behind the end, or before the beginning.
    for offset in (2**31, 2**32 - 1, len(content)):
        path.write_bytes(content[: end + 16] + struct.pack("<I", offset) + content[end + 20 :])
        refused(path, "NMArray.save", load=NMArray.load)
    for size in (2**31, len(content)):
        path.write_bytes(content[: end + 12] + struct.pack("<I", size) + content[end + 16 :])
        refused(path, "NMArray.save", load=NMArray.load)
    with np.load(io.BytesIO(content)) as whole:
        arrays = dict(whole)
    with zipfile.ZipFile(path, "w") as archive:
        for name, array in arrays.items():
            shape = (10**12, *array.shape[1:]) if name == "values" else array.shape
            archive.writestr(f"{name}.npy", with_claim(array, shape))
    refused(path, "values", load=NMArray.load)


@pytest.mark.parametrize("load", [NMArray.load, spkernels.load_tuning])
def test_folders_are_named(tmp_path, load):
    with pytest.raises(IsADirectoryError, match=str(tmp_path)):
        load(tmp_path)


SAVE = {
    "n:m": lambda path: NMArray.from_dense(np.eye(4), 1, 4).save(path),
    "tuning": spkernels.save_tuning,
    "smtx": lambda path: datasets.save_smtx(path, sp.csr_array(np.eye(2))),
}


@pytest.mark.parametrize("save", SAVE.values(), ids=SAVE)
def test_what_cannot_be_written_is_named(tmp_path, save):
    path = tmp_path / "none" / "a.smtx"
    with pytest.raises(FileNotFoundError) as caught:
        save(path)
    assert caught.value.filename == str(path)


@pytest.mark.parametrize("content", ["[" * 100_000, '{"a":' * 100_000, "\ud800\udfff", "nan"])
def test_deep_or_odd_tuning_files_are_refused(tmp_path, content):
    path = tmp_path / "tuning.json"
    path.write_bytes(content.encode("utf-8", "surrogatepass"))
    refused(path, "save_tuning", load=spkernels.load_tuning)


# mat ----------------------------------------------------------------------------------------------


def mat(path, variables, **options):
    scipy.io.savemat(path, variables, **options)
    return path


@pytest.mark.parametrize("compressed", [False, True])
def test_files_of_the_suitesparse_collection(tmp_path, compressed):
    A = example()
    problem = {
        "title": "a title",
        "A": A.tocsc(),
        "Zeros": sp.csc_array(([1.0], ([5], [7])), shape=(6, 8)),
        "b": np.ones((6, 1)),
        "name": "Group/name",
        "id": 7,
        "kind": "directed graph",
        "notes": np.array(["one line", "another one"]),
        "aux": {"coord": np.eye(3), "G": (2 * A).tocsc(), "c": np.array([1, "x"], object)},
    }
    path = mat(tmp_path / "a.mat", {"Problem": problem}, do_compression=compressed)
    assert datasets.keys(path) == ["Problem.A", "Problem.Zeros", "Problem.aux.G"]
    np.testing.assert_array_equal(datasets.load(path).toarray(), A.toarray())
    assert datasets.load(path, key="Problem.aux.G").data[0] == 2
    assert datasets.load(path, key="Problem.Zeros").nnz == 1
    refused(path, "'Problem.A', 'Problem.Zeros', 'Problem.aux.G'", key="A")


@pytest.mark.parametrize("dtype", [bool, np.int8, np.uint16, np.int64, "f4", "f8", "c8", "c16"])
@pytest.mark.parametrize("options", [{"format": "4"}, {"format": "5"}, {"do_compression": True}])
def test_values_are_those_of_scipy(tmp_path, dtype, options):
    A = example(dtype).tocsc()
    if A.dtype.kind == "c":
        A.data *= 1 - 2j
    path = mat(
        tmp_path / "a.mat", {"before": np.eye(5), "A": A, "text": "abc", "B": A.T}, **options
    )
    theirs = scipy.io.loadmat(path)
    for key in ("A", "B"):
        ours = datasets.load(path, key=key)
        np.testing.assert_array_equal(ours.toarray(), theirs[key].toarray())
    # MATLAB has sparse matrices of logical and double precision alone, and saves whole numbers in
    # fewer bytes: sums of these must not wrap around.
    assert ours.dtype.kind not in "iu" or ours.dtype.itemsize == 8
    assert options.get("format") == "4" or (ours.dtype == bool) == (dtype is bool)


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("number", [(2, "u1"), (7, "f4"), (9, "f8")])
@pytest.mark.parametrize("version", [4, 5])
def test_complex_values_keep_what_is_infinite(tmp_path, version, number, order):
    # scipy.io.loadmat makes NaN + inf j of 1 + inf j in files of version 5.
    real = [1, 2, 3] if number[1] == "u1" else [1, np.inf, -0.0]
    imaginary = [4, 5, 6] if number[1] == "u1" else [np.inf, 1, -np.inf]
    if version == 4:
        kind = {"u1": 52, "f4": 12, "f8": 2}[number[1]] + (1000 if order == ">" else 0)
        table = np.array([[1, 2, 3, 3], [1, 2, 3, 3], [*real, 0], [*imaginary, 0]])
        content = struct.pack(f"{order}5i", kind, 4, 4, 0, 2) + b"A\0"
        content += table.astype(order + number[1]).tobytes()
    else:
        version = struct.pack(f"{order}HH", 0x0100, 0x4D49)
        content = b"MATLAB 5.0 MAT-file".ljust(124) + version + sparse_element(
            (0, 1, 2), (0, 1, 2, 3), real, (3, 3), 0x0805, 3, order, number, imaginary
        )  # fmt: skip
    (tmp_path / "a.mat").write_bytes(content)
    A = datasets.load(tmp_path / "a.mat")
    np.testing.assert_array_equal(A.data.real, real)
    np.testing.assert_array_equal(A.data.imag, imaginary)
    assert A.dtype in (np.complex64, np.complex128) and A.dtype.isnative


@pytest.mark.parametrize("shape", [(0, 0), (0, 3), (3, 0), (1, 1)])
def test_empty_matlab_matrices(tmp_path, shape):
    path = mat(tmp_path / "a.mat", {"A": sp.csc_array(shape)})
    assert datasets.load(path).shape == shape and datasets.load(path).nnz == 0


def test_version_7_3_is_named_with_what_to_do(tmp_path):
    text = b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + struct.pack("<H", 0x0200) + b"IM"
    path = tmp_path / "a.mat"
    for content in (text.ljust(512, b"\0") + b"\x89HDF\r\n\x1a\n" + bytes(99), text,
                    b"\x89HDF\r\n\x1a\n" + bytes(600)):  # fmt: skip
        path.write_bytes(content)
        for call in (datasets.load, datasets.keys):
            refused(path, "7.3", "'-v7'", "h5py", load=call)


def element(kind, content, order="<"):
    return struct.pack(f"{order}II", kind, len(content)) + content + bytes(-len(content) % 8)


def sparse_element(
    indices=(0, 1), indptr=(0, 1, 2), data=(1.0, 2.0), dims=(2, 2), flags=5, room=2, order="<",
    number=(9, "f8"), imaginary=None,
):  # fmt: skip
    parts = [
        element(6, struct.pack(f"{order}II", flags, room), order),
        element(5, np.array(dims, f"{order}i4").tobytes(), order),
        element(1, b"A", order),
        element(5, np.array(indices, f"{order}i4").tobytes(), order),
        element(5, np.array(indptr, f"{order}i4").tobytes(), order),
        *(
            element(number[0], np.array(values, order + number[1]).tobytes(), order)
            for values in (data, imaginary)
            if values is not None
        ),
    ]
    return element(14, b"".join(parts), order)


def version_5(*elements):
    return (
        b"MATLAB 5.0 MAT-file".ljust(124) + struct.pack("<H", 0x0100) + b"IM" + b"".join(elements)
    )


def test_room_for_more_entries_than_there_are(tmp_path):
    path = tmp_path / "a.mat"
    path.write_bytes(version_5(sparse_element((0, 1, 9, -1), data=(1.0, 2.0, 3.0, 4.0), room=4)))
    assert datasets.load(path).toarray().tolist() == [[1, 0], [0, 2]]


def test_files_of_big_endian_machines(tmp_path):
    path = tmp_path / "a.mat"
    head = b"MATLAB 5.0 MAT-file".ljust(124) + struct.pack(">H", 0x0100) + b"MI"
    path.write_bytes(head + sparse_element(order=">"))
    assert datasets.load(path).toarray().tolist() == [[1, 0], [0, 2]]
    table = np.array([[1, 2, 2], [1, 2, 2], [1.5, 2.5, 0]], ">f8")
    path.write_bytes(struct.pack(">5i", 1002, 3, 3, 0, 2) + b"A\0" + table.tobytes())
    assert datasets.load(path).toarray().tolist() == [[1.5, 0], [0, 2.5]]


@pytest.mark.parametrize(
    "number", [(1, "i1"), (2, "u1"), (3, "i2"), (4, "u2"), (5, "i4"), (7, "f4")]
)
def test_numbers_of_double_precision_in_fewer_bytes(tmp_path, number):
    path = tmp_path / "a.mat"
    path.write_bytes(version_5(sparse_element(data=(1, 127), number=number)))
    A = datasets.load(path)
    assert A.data.tolist() == [1, 127] and A.dtype.kind == "f"
    assert (A + A).data.tolist() == [2, 254]


def test_variables_of_other_classes_are_passed_over(tmp_path):
    path = tmp_path / "a.mat"
    for kind in (16, 17, 18, 99):
        opaque = element(14, element(6, struct.pack("<II", kind, 0)) + element(1, b"s") * 3)
        path.write_bytes(version_5(opaque, sparse_element(), opaque))
        assert datasets.keys(path) == ["A"] and datasets.load(path).nnz == 2


@pytest.mark.parametrize(
    "changes",
    [
        {"dims": (2**31 - 1, 2)}, {"dims": (2, 2**31 - 1)}, {"dims": (-2, 2)}, {"dims": (2, 2, 1)},
        {"dims": (2,)}, {"indices": (0, 2)}, {"indices": (0, -1)}, {"indices": (0,)},
        {"indptr": (0, 2, 1)}, {"indptr": (1, 1, 2)}, {"indptr": (0, 1, 3)}, {"indptr": (0, 1)},
        {"indptr": (0, 1, -1)}, {"indptr": ()}, {"data": (1.0,)}, {"flags": 5 | 8 << 8},
        {"flags": 77},
    ],
)  # fmt: skip
def test_damaged_matlab_matrices(tmp_path, changes):
    path = tmp_path / "a.mat"
    content = sparse_element(**changes)
    for elements in (content, element(15, zlib.compress(content))):
        path.write_bytes(version_5(elements))
        refused(path)


def test_sizes_that_matlab_files_claim(tmp_path):
    path = tmp_path / "a.mat"
    whole = sparse_element()
    for size in (len(whole), 2**31, 2**32 - 1):
        path.write_bytes(version_5(whole[:4] + struct.pack("<I", size) + whole[8:]))
        refused(path, f"claims {size} bytes")
    header = struct.pack("<5i", 2, 10**9, 3, 0, 2) + b"A\0"
    path.write_bytes(header + bytes(64))
    refused(path, "claims", "bytes where 64 are left")
    deep = element(14, b"")
    for _ in range(5000):
        names = element(5, struct.pack("<i", 2)) + element(1, b"f\0")
        head = element(6, struct.pack("<II", 2, 0)) + element(5, struct.pack("<ii", 1, 1))
        deep = element(14, head + element(1, b"") + names + deep)
    path.write_bytes(version_5(deep))
    refused(path, "a sparse matrix")
