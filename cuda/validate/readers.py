"""Real matrices from a folder: DLMC, Matrix Market, MATLAB, NumPy and raw float32 files.

spkernels.datasets reads all of them; this reads them where the package is not built.
"""

import csv
import gzip
import io
from pathlib import Path

import numpy as np
import scipy.io
import scipy.sparse as sp

#: Says the shapes of raw files.
MANIFEST = "MANIFEST.csv"


def parse_smtx(text, rng):
    """Return the CSR matrix of a .smtx text: a pattern, to which normal values are drawn."""
    header, offsets, columns = (text.split(b"\n") + [b"", b""])[:3]
    rows, cols, nnz = (int(word) for word in header.split(b","))
    indptr, indices = (
        np.fromstring(line, np.int32, sep=" ") if line.strip() else np.empty(0, np.int32)
        for line in (offsets, columns)
    )
    if indptr.size != rows + 1 or indices.size != nnz or indptr[-1] != nnz:
        raise ValueError(f"sizes {rows}, {nnz} are not those of the arrays")
    return sp.csr_matrix((rng.standard_normal(nnz), indices, indptr), shape=(rows, cols))


def parse_raw(content, shape):
    """Return the CSR matrix of the nonzeros of a dense float32 matrix."""
    return sp.csr_matrix(np.frombuffer(content, "<f4").reshape(shape).astype(np.float64))


def parse_npz(content):
    """Yield (key, CSR matrix) of an archive of <key>_data, _indices, _indptr and _shape."""
    with np.load(io.BytesIO(content), allow_pickle=False) as archive:
        for name in archive.files:
            if name.endswith("_indptr"):
                key = name.removesuffix("_indptr")
                parts = tuple(archive[f"{key}_{part}"] for part in ("data", "indices", "indptr"))
                yield key, as_real(sp.csr_matrix(parts, shape=tuple(archive[f"{key}_shape"])))


def as_real(A):
    """Return a matrix as CSR with float64 values (the real part) and int32 indices."""
    A = sp.csr_matrix(A)
    data = np.ascontiguousarray(A.data.real, dtype=np.float64)
    parts = (data, A.indices.astype(np.int32), A.indptr.astype(np.int32))
    return sp.csr_matrix(parts, shape=A.shape)


def raw_shapes(folder):
    """Return {file: (rows, columns)} of the manifest."""
    path = Path(folder) / MANIFEST
    if not path.exists():
        return {}
    with path.open(newline="", encoding="utf-8") as file:
        return {row["file"]: (int(row["rows"]), int(row["cols"])) for row in csv.DictReader(file)}


def names(folder):
    """Return the files of a folder that hold matrices, relative to it and sorted."""
    suffixes = (".smtx", ".smtx.gz", ".mtx", ".mtx.gz", ".mat", ".npz", ".raw.gz")
    paths = sorted(path for path in Path(folder).rglob("*") if path.name.endswith(suffixes))
    return [path.relative_to(folder).as_posix() for path in paths]


def load(folder, name):
    """Yield (name, CSR matrix) of what is in a file: values in float64, the same ones each time."""
    path = Path(folder) / name
    content = path.read_bytes()
    if name.endswith(".gz"):
        content = gzip.decompress(content)
    kind = name.removesuffix(".gz").rpartition(".")[2]
    if kind == "smtx":
        yield name, parse_smtx(content, np.random.default_rng(0))
    elif kind == "mtx":
        yield name, as_real(scipy.io.mmread(io.BytesIO(content)))
    elif kind == "mat":
        variables = scipy.io.loadmat(io.BytesIO(content))
        for key, value in variables.items():
            if sp.issparse(value):
                yield f"{name}#{key}", as_real(value)
    elif kind == "npz":
        for key, value in parse_npz(content):
            yield f"{name}#{key}", value
    elif name in raw_shapes(folder):
        yield name, parse_raw(content, raw_shapes(folder)[name])
