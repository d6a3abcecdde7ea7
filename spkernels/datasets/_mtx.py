"""The Matrix Market format, read strictly.

Not by `scipy.io.mmread`: from 1.12 on it takes ``1.5x`` for 1.5 and crashes where a file ends in
the middle of a number, and before that it never returned from a file without a line of sizes.
"""

from __future__ import annotations

import io

import numpy as np
from scipy.sparse import coo_array, csr_array

from ._csr import check_sizes

_BANNER = (
    "'%%MatrixMarket matrix {coordinate|array} {real|integer|unsigned-integer|complex|pattern} "
    "{general|symmetric|skew-symmetric|hermitian}' on line 1"
)
_VALUES = {
    "real": [("value", np.float64)],
    "double": [("value", np.float64)],
    "integer": [("value", np.int64)],
    "unsigned-integer": [("value", np.uint64)],
    "complex": [("value", np.float64), ("imaginary", np.float64)],
    "pattern": [],
}
_MIRRORED = {
    "general": None,
    "symmetric": np.positive,
    "skew-symmetric": np.negative,
    "hermitian": np.conjugate,
}


def read_mtx(content: bytes) -> csr_array:
    """Build the array that a Matrix Market file describes, its symmetry expanded."""
    stream = io.BytesIO(content)
    layout, field, symmetry = _banner(stream.readline())
    rows, cols, *entries = _sizes(stream, 2 if layout == "array" else 3)
    if symmetry != "general" and rows != cols:
        raise ValueError(f"expected a square shape of a {symmetry} matrix, found {rows} x {cols}")
    if layout == "array":
        i, j, values = _array(stream, rows, cols, field, symmetry)
    else:
        i, j, values = _coordinates(stream, rows, cols, entries[0], field)
    if symmetry != "general":
        off = i != j
        mirrored = _MIRRORED[symmetry](values[off])
        i, j = np.concatenate([i, j[off]]), np.concatenate([j, i[off]])
        values = np.concatenate([values, mirrored])
    return coo_array((values, (i, j)), shape=(rows, cols)).tocsr()


def _banner(line: bytes) -> list[str]:
    words = line.decode("latin-1").lower().split()
    if (
        len(words) != 5
        or words[:2] != ["%%matrixmarket", "matrix"]
        or words[2] not in ("coordinate", "array")
        or words[3] not in _VALUES
        or words[4] not in _MIRRORED
        or words[2:4] == ["array", "pattern"]
    ):
        raise ValueError(f"expected the Matrix Market banner {_BANNER}, found {line[:80]!r}")
    return words[2:]


def _sizes(stream: io.BytesIO, count: int) -> list[int]:
    """Return the integers of the first line that is neither blank nor a comment."""
    line = next((line for line in stream if line.strip() and not line.startswith(b"%")), b"")
    words = line.split()
    if len(words) != count or not all(word.isdigit() for word in words):
        raise ValueError(f"expected a line of {count} Matrix Market sizes, found {line[:80]!r}")
    sizes = [int(word) for word in words]
    check_sizes(*sizes)
    return sizes


def _table(stream: io.BytesIO, columns: list[tuple[str, type]], lines: int) -> np.ndarray:
    """Parse what is left of a file, which must be so many lines of these columns."""
    body = stream.read()
    table = np.empty(0, dtype=columns)
    # loadtxt warns of an empty input.
    if body.strip():
        text = io.TextIOWrapper(io.BytesIO(body), encoding="latin-1")
        try:
            table = np.loadtxt(text, dtype=columns, comments="%", ndmin=1)
        except ValueError as exc:
            names = ", ".join(name for name, _ in columns)
            raise ValueError(f"expected {lines} Matrix Market lines of {names}, but {exc}") from exc
    if table.size != lines:
        raise ValueError(f"expected {lines} lines of Matrix Market entries, found {table.size}")
    return table


def _values(table: np.ndarray, field: str) -> np.ndarray:
    if field == "pattern":
        return np.ones(table.size)
    if field == "complex":
        return table["value"] + 1j * table["imaginary"]
    return np.ascontiguousarray(table["value"])


def _coordinates(
    stream: io.BytesIO, rows: int, cols: int, entries: int, field: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    columns = [("row", np.int64), ("column", np.int64), *_VALUES[field]]
    table = _table(stream, columns, entries)
    for name, size in (("row", rows), ("column", cols)):
        wrong = table[name][(table[name] < 1) | (table[name] > size)]
        if wrong.size:
            raise ValueError(f"expected Matrix Market {name}s from 1 to {size}, found {wrong[0]}")
    return table["row"] - 1, table["column"] - 1, _values(table, field)


def _array(
    stream: io.BytesIO, rows: int, cols: int, field: str, symmetry: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Read a dense matrix: column by column, of a symmetric one the lower triangle."""
    above = int(symmetry == "skew-symmetric")
    lines = rows * cols if symmetry == "general" else rows * (rows + 1 - 2 * above) // 2
    values = _values(_table(stream, _VALUES[field], lines), field)
    if symmetry == "general":
        j, i = np.divmod(np.arange(lines), max(rows, 1))
    else:
        j, i = np.triu_indices(rows, above)
    stored = values != 0
    return i[stored], j[stored], values[stored]
