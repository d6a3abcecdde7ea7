"""Readers of the binary formats: NumPy, MATLAB and raw float32.

Each takes the (decompressed) bytes of a file and raises ValueError if they are malformed.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
from scipy.io import loadmat
from scipy.sparse import csr_array, issparse, load_npz

from .._arguments import as_count
from ._csr import check_compressed, check_sizes, make_csr

_INDEX_ARRAYS = ("indptr", "indices", "row", "col", "coords", "offsets")


@contextmanager
def _expecting(what: str) -> Iterator[None]:
    """Turn whatever a third-party parser raises on malformed input into a ValueError."""
    try:
        yield
    except MemoryError:
        raise
    except Exception as exc:
        raise ValueError(f"expected {what}, but reading it failed with: {exc}") from exc


def _checked_csr(A: object) -> csr_array:
    """Convert to CSR once the indices are known to be sound: conversions read through them."""
    if A.ndim != 2:
        raise ValueError(f"expected a matrix of two dimensions, found shape {A.shape}")
    if A.dtype.kind not in "biufc":
        raise ValueError(f"expected numeric values, found dtype {A.dtype}")
    check_sizes(*A.shape)
    if A.format in ("csr", "csc", "bsr"):
        major, minor = A.shape[::-1] if A.format == "csc" else A.shape
        R, C = A.blocksize if A.format == "bsr" else (1, 1)
        check_compressed(A.indptr, A.indices, major // R, minor // C)
    return csr_array(A)


def _pick(key: str | None, names: Sequence[str]) -> str:
    """Return the one of the matrices `names` that `key` asks for."""
    listing = ", ".join(map(repr, names))
    if key is None:
        if len(names) != 1:
            raise ValueError(
                "expected a sparse matrix, found none"
                if not names
                else f"expected key= to name one of the matrices {listing}"
            )
        return names[0]
    if key not in names:
        raise ValueError(f"expected a sparse matrix with key {key!r}, found {listing or 'none'}")
    return key


@contextmanager
def _npz(content: bytes) -> Iterator[np.lib.npyio.NpzFile]:
    with _expecting("a NumPy .npz file"):
        archive = np.load(io.BytesIO(content), allow_pickle=False)
        if not isinstance(archive, np.lib.npyio.NpzFile):
            raise ValueError("it is no zip archive")
    with archive:
        yield archive


def _part_names(archive: np.lib.npyio.NpzFile) -> list[str]:
    return [name[: -len("_indptr")] for name in archive if name.endswith("_indptr")]


def _sparse_variables(content: bytes) -> dict[str, object]:
    with _expecting("a MATLAB file of version 4 to 7.2"):
        variables = loadmat(io.BytesIO(content))
    return {name: value for name, value in variables.items() if issparse(value)}


def npz_keys(content: bytes) -> list[str]:
    """Return the names of the matrices in parts; none of a file of `scipy.sparse.save_npz`."""
    with _npz(content) as archive:
        return [] if "format" in archive else _part_names(archive)


def mat_keys(content: bytes) -> list[str]:
    """Return the names of the sparse matrices in a MATLAB file."""
    return list(_sparse_variables(content))


def read_npz(content: bytes, key: str | None) -> csr_array:
    """Read a file of `scipy.sparse.save_npz`, or the CSR parts ``<key>_data`` ... in one."""
    with _npz(content) as archive:
        if "format" not in archive:
            return _csr_parts(archive, _pick(key, _part_names(archive)))
        if key is not None:
            raise ValueError(f"expected no key for a file of save_npz, got {key!r}")
        with _expecting("integer index arrays"):
            for name in _INDEX_ARRAYS:
                # scipy would truncate other dtypes without a word.
                if name in archive and archive[name].dtype.kind not in "iu":
                    raise ValueError(f"{name} has dtype {archive[name].dtype}")
    with _expecting("a file of scipy.sparse.save_npz"):
        A = load_npz(io.BytesIO(content))
    return _checked_csr(A)


def _csr_parts(archive: np.lib.npyio.NpzFile, key: str) -> csr_array:
    with _expecting(f"arrays {key}_data, {key}_indices, {key}_indptr and {key}_shape"):
        data, indices, indptr, shape = (
            archive[f"{key}_{part}"] for part in ("data", "indices", "indptr", "shape")
        )
        rows, cols = (as_count(f"{key}_shape", size, 0) for size in shape)
    check_sizes(rows, cols)
    check_compressed(indptr, indices, rows, cols)
    if data.shape != indices.shape:
        raise ValueError(f"expected {indices.size} values in {key}_data, found {data.shape}")
    return make_csr(data, indices, indptr, (rows, cols))


def read_mat(content: bytes, key: str | None) -> csr_array:
    """Read a sparse matrix from a MATLAB file (to version 7.2)."""
    variables = _sparse_variables(content)
    return _checked_csr(variables[_pick(key, list(variables))])


def read_raw(content: bytes, shape: Sequence[int] | None) -> csr_array:
    """Read a dense row-major little-endian float32 matrix, its zeros pruned."""
    if np.shape(shape) != (2,):
        raise ValueError(f"expected shape=(rows, columns) for a .raw file, got {shape!r}")
    rows, cols = (as_count("shape", size) for size in shape)
    if len(content) != 4 * rows * cols:
        raise ValueError(
            f"expected {4 * rows * cols} bytes, float32 of shape ({rows}, {cols}), "
            f"found {len(content)}"
        )
    return csr_array(np.frombuffer(content, dtype="<f4").reshape(rows, cols).astype(np.float32))
