"""The ``.smtx`` format of the Deep Learning Matrix Collection: structures without values."""

from __future__ import annotations

import gzip
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike
from scipy.sparse import csr_array

from .._inputs.assemble import make_csr
from .._inputs.foreign import as_sparse
from .._inputs.scalars import RNG, as_dtype, as_generator
from .._inputs.sparse import validated
from .._runtime.files import replaced
from ._csr import check_compressed, check_sizes, standard_normal

VALUES = ("normal", "ones")


def _integers(line: bytes, what: str) -> np.ndarray:
    """Parse a line of non-negative integers.

    Bytes are checked first, as `numpy.fromstring` would stop silently at a letter.
    """
    if line.translate(None, b"0123456789 \t\r\v\f"):
        odd = next(token for token in line.split() if not token.isdigit())
        raise ValueError(f"expected non-negative integers as {what}, found {odd[:20]!r}")
    if not line.strip():
        return np.empty(0, dtype=np.int64)
    return np.fromstring(line, dtype=np.int64, sep=" ")


def parse_smtx(text: bytes) -> tuple[np.ndarray, np.ndarray, tuple[int, int]]:
    """Return the column indices, row offsets and shape that `text` describes, all checked."""
    lines = text.rstrip().split(b"\n")
    if len(lines) > 3:
        raise ValueError(f"expected 3 lines, found {len(lines)}")
    header, offsets, columns = lines + [b""] * (3 - len(lines))
    sizes = _integers(header.replace(b",", b" "), "'rows, columns, nonzeros' on line 1").tolist()
    if len(sizes) != 3:
        raise ValueError(
            f"expected 3 integers 'rows, columns, nonzeros' on line 1, found {len(sizes)}"
        )
    check_sizes(*sizes, where=" on line 1")
    rows, cols, nnz = sizes
    indptr = _integers(offsets, "row offsets on line 2")
    indices = _integers(columns, "column indices on line 3")
    if indices.size != nnz:
        raise ValueError(f"expected {nnz} column indices on line 3, found {indices.size}")
    places = (" on line 2", " on line 3")
    check_compressed(indptr, indices, rows, cols, places=places)
    return indices, indptr, (rows, cols)


def read_smtx(text: bytes, values: str, rng: RNG, dtype: DTypeLike | None) -> csr_array:
    """Return the array that `text` describes, with `values` "normal" or "ones"."""
    kinds = "fc" if values == "normal" else "biufc"
    kind = as_dtype(np.float32 if dtype is None else dtype, kinds)
    indices, indptr, shape = parse_smtx(text)
    if values == "ones":
        data = np.ones(indices.size, dtype=kind)
    else:
        data = standard_normal(as_generator(rng), indices.size, kind)
    return make_csr(data, indices, indptr, shape)


def save_smtx(path: str | os.PathLike[str], A: object) -> None:
    """Write the structure of a sparse array to a ``.smtx`` file.

    Parameters
    ----------
    path : str or os.PathLike
        A name that ends in ``.smtx``, or in ``.smtx.gz`` for a compressed file.  A file that exists
        is replaced as a whole.
    A : scipy.sparse array or matrix
        A matrix of any format.  The positions of its entries are written, explicit zeros included.
        Its values are not written, as the format does not store values.  The columns of a row are
        written in ascending order, and a position that is stored twice is written once.

    Raises
    ------
    TypeError
        If `A` is not sparse.
    ValueError
        If `A` is not two-dimensional, its index arrays are corrupted, or `path` has another suffix.
        Nothing is written then.
    OSError
        If the file cannot be written.  A file that existed before stays as it was.

    See Also
    --------
    load : reads the file.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> from spkernels import datasets
    >>> A = datasets.nm_pruned(3, 8, 2, 4, rng=0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder) / "layer.smtx"
    ...     datasets.save_smtx(path, A)
    ...     text = path.read_text()
    >>> print(text.splitlines()[0])
    3, 8, 12
    """
    path = Path(path)
    if not path.name.lower().endswith((".smtx", ".smtx.gz")):
        raise ValueError(f"path: expected a name ending in .smtx or .smtx.gz, got {path}")
    A = as_sparse(A, "A")
    if A.ndim != 2:
        raise ValueError(f"A must be 2-D, got shape {A.shape}")
    # Booleans, as scipy can neither convert nor sum values of every dtype that A may have.
    valid: Any = validated(A, "A", dtype=np.bool_)
    pattern = csr_array(valid, copy=True)
    pattern.sum_duplicates()
    header = ", ".join(map(str, (*pattern.shape, pattern.nnz)))
    lines = [" ".join(map(str, part.tolist())) for part in (pattern.indptr, pattern.indices)]
    text = "\n".join([header, *lines, ""]).encode()
    # Without a time stamp the same structure always gives the same file.
    with replaced(path) as file:
        file.write(gzip.compress(text, mtime=0) if path.suffix.lower() == ".gz" else text)
