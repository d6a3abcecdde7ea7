"""Thousands of damaged files: each is a valid matrix, or refused by an error with its name."""

import bz2
import gzip
import io
import json
import lzma
import random
import resource
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

#: Address space that a test may take beyond what the process has: what files claim is far more.
ROOM = 1 << 32


def example(dtype=np.float64):
    rows, cols = np.array([0, 0, 1, 3, 3, 5]), np.array([1, 5, 2, 0, 1, 5])
    return sp.csr_array((np.arange(1, 7).astype(dtype), (rows, cols)), shape=(6, 8))


def saved(save, *arguments, **options):
    stream = io.BytesIO()
    save(stream, *arguments, **options)
    return stream.getvalue()


def matrix_market(layout, field, symmetry):
    lines = {
        "coordinate": {"complex": "1 1 1 2\n2 1 .5 1e-3\n3 2 -1 0\n", "pattern": "1 1\n2 1\n3 2\n"},
        "array": {"complex": "1 0\n2 1\n" * 3},
    }
    default = "1 1 1\n2 1 25\n3 2 7\n" if layout == "coordinate" else "1\n0\n3\n4\n0\n6\n"
    body = lines[layout].get(field, default)
    if symmetry == "skew-symmetric":
        body = body.partition("\n")[2] if layout == "coordinate" else "1\n0\n3\n"
    count = "" if layout == "array" else f" {body.count(chr(10))}"
    banner = f"%%MatrixMarket matrix {layout} {field} {symmetry}\n% by hand\n"
    size = "3 3" if symmetry != "general" or layout == "coordinate" else "3 2"
    return f"{banner}{size}{count}\n{body}".encode()


def problem():
    A = example().tocsc()
    aux = {"G": 2 * A, "c": np.array([1, "x"], object)}
    return {"Problem": {"A": A, "name": "Group/name", "id": 7, "b": np.ones((6, 1)), "aux": aux}}


def arrays_of(A):
    names = {"coo": ("row", "col"), "dia": ("offsets",)}.get(A.format, ("indices", "indptr"))
    parts = {name: getattr(A, name) for name in names}
    return {"data": A.data, "shape": np.array(A.shape), **parts}


def n_m():
    stream = io.BytesIO()
    W = NMArray.from_dense(np.kron(np.eye(4), [[1.0, 2.0], [0.0, 3.0]]), 2, 4)
    names = ("shape", "m", "values", "packed_indices", "packed_padding")
    arrays = {name: getattr(W, name) for name in names if getattr(W, name) is not None}
    np.savez(stream, spkernels_nm=1, **arrays)
    return stream.getvalue()


def tuning(tmp_path):
    path = tmp_path / "valid.json"
    spkernels.save_tuning(path)
    content = json.loads(path.read_bytes())
    return json.dumps(content | {"kernels": {"4x4 3 77 float32 n=1 threads=1": "rows"}}).encode()


BLOCKS = example().tobsr(blocksize=(2, 4))
VALID = {
    "a.smtx": lambda: b"3, 4, 5\n0 3 5 5\n2 0 1 3 0\n",
    "real.mtx": lambda: matrix_market("coordinate", "real", "general"),
    "complex.mtx": lambda: matrix_market("coordinate", "complex", "hermitian"),
    "pattern.mm": lambda: matrix_market("coordinate", "pattern", "symmetric"),
    "integer.mtx": lambda: matrix_market("coordinate", "integer", "skew-symmetric"),
    "array.mtx": lambda: matrix_market("array", "real", "general"),
    "lower.mtx": lambda: matrix_market("array", "complex", "symmetric"),
    "whole.mtx": lambda: matrix_market("array", "unsigned-integer", "skew-symmetric"),
    **{
        f"{fmt}.npz": lambda fmt=fmt: saved(sp.save_npz, example().asformat(fmt))
        for fmt in ("csr", "csc", "coo")
    },
    "bsr.npz": lambda: saved(np.savez, format="bsr", **arrays_of(BLOCKS)),
    "dia.npz": lambda: saved(np.savez, format="dia", **arrays_of(example().todia())),
    "parts.npz": lambda: saved(
        np.savez, **{f"adj_matrix.{k}": v for k, v in arrays_of(example()).items()}
    ),
    "five.mat": lambda: saved(scipy.io.savemat, {"x": np.eye(2), "A": example(np.complex128)}),
    "four.mat": lambda: saved(scipy.io.savemat, {"x": np.eye(2), "A": example()}, format="4"),
    "problem.mat": lambda: saved(scipy.io.savemat, problem()),
    "packed.mat": lambda: saved(scipy.io.savemat, problem(), do_compression=True),
    "a.raw": lambda: example(np.float32).toarray().astype("<f4").tobytes(),
    "a.mtx.gz": lambda: gzip.compress(matrix_market("coordinate", "real", "symmetric"), mtime=0),
    "a.mtx.bz2": lambda: bz2.compress(matrix_market("coordinate", "real", "general")),
    "a.npz.xz": lambda: lzma.compress(saved(sp.save_npz, example())),
    "layer.nm": n_m,
}

TOKENS = [b"0", b"-1", b"1", b"3", b"4", b"7.9", b"1e400", b"nan", b"-inf", b"1.5D+02",
          b"0.15-100",
          b"1000000000000", b"9223372036854775807", b"9223372036854775808", b"18446744073709551615",
          b"99999999999999999999999", b"x", b"%", b"", b"\n", b"\x00", b"\x1a", b"1 1 1", b"+",
          b"general", b"symmetric", b"skew-symmetric", b"pattern", b"integer", b"array",
          b"coordinate", b"complex"]  # fmt: skip
WORDS = [0, 1, 2, 3, 5, 8, 127, 128, 255, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1]


def damaged_bytes(draw, content):
    """Change, cut, insert, repeat or move some bytes."""
    content = bytearray(content)
    for _ in range(draw.choice((1, 1, 2, 4))):
        if not content:
            break
        at, to = sorted(draw.randrange(len(content) + 1) for _ in range(2))
        match draw.randrange(7):
            case 0:
                content[min(at, len(content) - 1)] = draw.choice((0, 255, draw.randrange(256)))
            case 1:
                content[min(at, len(content) - 1)] ^= 1 << draw.randrange(8)
            case 2:
                del content[at : draw.choice((to, at + 1, len(content)))]
            case 3:
                content[at:at] = bytes(draw.randrange(256) for _ in range(draw.randrange(9)))
            case 4:
                content[at:at] = content[at:to]
            case 5:
                word = struct.pack(draw.choice("<>") + "I", draw.choice(WORDS))
                start = at // 4 * 4
                content[start : start + 4] = word
            case 6:
                content[at:to] = content[at:to][::-1]
    return bytes(content)


def damaged_text(draw, content):
    """Put other words in place of some, or into the text."""
    words = content.replace(b"\n", b" \n ").split(b" ")
    for _ in range(draw.choice((1, 1, 2, 4))):
        at = draw.randrange(len(words))
        words[at : at + draw.randrange(2)] = [draw.choice(TOKENS)]
    return b" ".join(words)


def damaged_array(draw, array):
    """Return another array: of other contents, lengths, dimensions or dtypes."""
    match draw.randrange(6):
        case 0 if array.size and array.dtype.kind in "iuf":
            array = array.copy()
            worst = [0, -1, 1, 7, 8, 2**31 - 1, -(2**31)] + [np.nan] * (array.dtype.kind == "f")
            array.flat[draw.randrange(array.size)] = np.array(draw.choice(worst)).astype(
                array.dtype
            )
            return array
        case 1:
            dtypes = ["i1", "u8", ">i4", "i8", "f8", "f2", "c16", "?", "S3", "M8[s]", "O", "V4"]
            try:
                return array.astype(draw.choice(dtypes))
            except (TypeError, ValueError):
                return array
        case 2:
            return array[: draw.randrange(len(array) + 1)] if array.ndim else array
        case 3:
            return np.concatenate([array, array]) if array.ndim else array[None]
        case 4:
            return array.reshape(draw.choice([(-1, 1), (1, -1), (-1,)]))
        case _:
            return array[::-1] if array.ndim else array


def damaged_archive(draw, content):
    """Replace arrays, or what their headers say, in an archive that is sound otherwise."""
    with np.load(io.BytesIO(content), allow_pickle=True) as archive:
        arrays = dict(archive)
    stream = io.BytesIO()
    victim = draw.choice(list(arrays))
    with zipfile.ZipFile(stream, "w", draw.choice((0, 8))) as archive:
        for name, array in arrays.items():
            if name != victim:
                archive.writestr(f"{name}.npy", saved(np.save, array))
                continue
            match draw.randrange(4):
                case 0:
                    sizes = [0, 1, 5, 7, -1, 10**12, 2**62, 2**70]
                    shape = tuple(draw.choice(sizes) for _ in range(draw.randrange(4)))
                    header = {"descr": array.dtype.str, "fortran_order": False, "shape": shape}
                    head = saved(np.lib.format.write_array_header_1_0, header)
                    archive.writestr(f"{name}.npy", head + array.tobytes())
                case 1:
                    archive.writestr(f"{name}.npy", damaged_bytes(draw, saved(np.save, array)))
                case 2:
                    other = draw.choice(["x.indptr", "coords", "adj_row", "indptr_"])
                    archive.writestr(f"{other}.npy", saved(np.save, array))
                case _:
                    other = damaged_array(draw, array)
                    archive.writestr(f"{name}.npy", saved(np.save, other, allow_pickle=True))
    return stream.getvalue()


def damaged_matlab(draw, content):
    """Damage a variable before it is compressed."""
    data = bytearray(content[:128])
    start = 128
    while start < len(content):
        kind, size = struct.unpack_from("<II", content, start)
        part = content[start + 8 : start + 8 + size]
        if kind == 15:
            part = zlib.compress(damaged_bytes(draw, zlib.decompress(part)))
        data += struct.pack("<II", kind, len(part)) + part
        start += 8 + size
    return bytes(data)


def damaged(draw, name, content):
    ways = [damaged_bytes]
    if name.endswith((".mtx", ".mm", ".smtx")):
        ways += [damaged_text] * 3
    if name.endswith((".npz", ".nm")):
        ways += [damaged_archive] * 3
    if name == "packed.mat":
        ways += [damaged_matlab] * 3
    return draw.choice(ways)(draw, content)


def load(path):
    """Return what a file holds as CSR arrays."""
    if path.suffix == ".nm":
        return [NMArray.load(path).to_scipy()]
    keys = datasets.keys(path) or [None]
    shape = (6, 8) if path.suffix == ".raw" else None
    return [datasets.load(path, key=key, shape=shape) for key in keys[:3]]


def assert_valid(A):
    assert isinstance(A, sp.csr_array)
    rows, cols = A.shape
    assert A.indptr.shape == (rows + 1,) and A.indptr[0] == 0
    assert (A.indptr[1:] >= A.indptr[:-1]).all()
    assert A.indptr[-1] == A.indices.size == A.data.size
    assert A.indices.dtype == A.indptr.dtype and A.indices.dtype in (np.int32, np.int64)
    assert not A.indices.size or 0 <= A.indices.min() <= A.indices.max() < cols
    assert A.data.dtype.kind in "biufc" and A.data.dtype.isnative


@pytest.fixture
def little_memory(monkeypatch):
    """Limit the address space, and what is taken for rows without entries."""
    monkeypatch.setattr("spkernels.datasets._csr._MAX_EMPTY_ROWS", 1 << 16)
    with open("/proc/self/statm") as statm:
        used = int(statm.read().split()[0]) * resource.getpagesize()
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used + ROOM, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


def attack(folder, name, seeds, read, check):
    valid = VALID[name]() if name in VALID else tuning(folder)
    path = folder / name
    path.write_bytes(valid)
    for result in read(path):
        check(result)
    refused = 0
    for seed in seeds:
        path.write_bytes(damaged(random.Random(f"{name} {seed}"), name, valid))
        try:
            first, second = read(path), read(path)
        except (ValueError, OSError) as error:
            assert str(path) in str(error), (seed, error)
            refused += 1
            continue
        except BaseException as error:
            error.add_note(f"{name}, seed {seed}")
            raise
        # What was not initialised need not be the same again.
        for A, B in zip(first, second, strict=True):
            check(A)
            for part in ("data", "indices", "indptr"):
                np.testing.assert_array_equal(getattr(A, part), getattr(B, part))
    return refused


@pytest.mark.parametrize("name", VALID)
@pytest.mark.parametrize(
    "seeds", [range(60), pytest.param(range(60, 700), marks=pytest.mark.slow)], ids=["few", "many"]
)
def test_damaged_files(tmp_path, little_memory, name, seeds):
    assert attack(tmp_path, name, seeds, load, assert_valid) > len(seeds) / 20


def test_damaged_tuning_files(tmp_path, little_memory, monkeypatch):
    monkeypatch.setattr("spkernels._prepare.cache.known", {})
    refused = attack(
        tmp_path, "tuning.json", range(300), lambda path: [spkernels.load_tuning(path)][:0], None
    )
    assert refused > 100
