"""A strict reader of the Matrix Market format.

`scipy.io.mmread` reads ``1.5x`` and ``1.5D+02`` as 1.5, 7.9 as the integer 7, and ``1 2.5 3`` as
0.5 in column 2.  So `_scan` decides what a number is, and scipy's fast parser gets its output.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy
from scipy.sparse import csr_array

from .._inputs.assemble import INT32_MAX
from . import _scan
from ._csr import INT64_MAX, check_rows, check_sizes, from_triplets

__all__ = ["read_mtx"]

_BANNER = (
    "'%%MatrixMarket matrix {coordinate|array} {real|integer|unsigned-integer|complex|pattern} "
    "{general|symmetric|skew-symmetric|hermitian}' on line 1"
)
# The number of real numbers on a line of each field; None stands for an integer.
_REALS = {"real": 1, "double": 1, "complex": 2, "pattern": 0, "integer": None,
          "unsigned-integer": None}  # fmt: skip
_MIRRORED: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "general": np.positive,  # general matrices have no mirrored entries
    "symmetric": np.positive,
    "skew-symmetric": np.negative,
    "hermitian": np.conjugate,
}
# Bytes at the end of a text that are not part of it; DOS ended texts with Ctrl-Z.
_BLANKS = b" \t\r\n\v\f"
_END = _BLANKS + b"\x1a"
_COLUMNS = ("row", "column")
# scipy 1.12 and newer have a fast parser; mmread of older versions is a loop in Python.
_HAS_FAST_PARSER = tuple(map(int, scipy.__version__.split(".")[:2])) >= (1, 12)


@dataclass(frozen=True)
class _Header:
    layout: str
    field: str
    symmetry: str
    rows: int
    cols: int
    lines: int
    place: str  # where the sizes are, for messages
    begin: int  # the offset of the first byte after the header

    @property
    def positions(self) -> tuple[str, ...]:
        return _COLUMNS if self.layout == "coordinate" else ()

    @property
    def limits(self) -> tuple[int, ...]:
        """The largest integer, and the largest absolute value of a negative one."""
        if _REALS[self.field] is not None:
            return ()
        unsigned = self.field == "unsigned-integer"
        if self.symmetry == "skew-symmetric":
            # The negative of a mirrored integer must fit, too.
            return INT64_MAX, 0 if unsigned else INT64_MAX
        return (2 * INT64_MAX + 1, 0) if unsigned else (INT64_MAX, INT64_MAX + 1)

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the columns of a line."""
        values = {None: ("value",), 0: (), 1: ("value",), 2: ("value", "imaginary part")}
        return self.positions + values[_REALS[self.field]]


def read_mtx(content: bytes) -> csr_array:
    """Return the matrix of a Matrix Market file; a symmetric matrix is expanded."""
    content = _as_ascii(content)
    header = _header(content)
    i, j, values = _entries(content, header)
    check_rows(header.rows, len(content), header.place)
    if header.layout == "array":
        stored = values != 0
        i, j, values = i[stored], j[stored], values[stored]
    if header.symmetry != "general":
        off = i != j
        mirrored = _MIRRORED[header.symmetry](values[off])
        i, j = np.concatenate([i, j[off]]), np.concatenate([j, i[off]])
        values = np.concatenate([values, mirrored])
    return from_triplets(values, i, j, (header.rows, header.cols))


def _as_ascii(content: bytes) -> bytes:
    """Return a text without its byte order mark, UTF-16 as UTF-8, and old Mac line ends as LF."""
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        try:
            content = content.decode("utf-16").encode()
        except UnicodeDecodeError as error:
            raise ValueError(f"expected text, in UTF-16 by its first bytes, but {error}") from error
    content = content.removeprefix(b"\xef\xbb\xbf")
    first = re.search(rb"\r\n?|\n", content)
    if first is None or first[0] != b"\r":
        return content
    return content.replace(b"\r\n", b"\n").replace(b"\r", b"\n")


# The header ---------------------------------------------------------------------------------------


def _header(content: bytes) -> _Header:
    stream = io.BytesIO(content)
    number, line = _first_line(stream, 0)
    layout, field, symmetry = _banner(line)
    (rows, cols, *entries), place = _sizes(stream, number, 2 if layout == "array" else 3)
    if symmetry != "general" and rows != cols:
        raise ValueError(
            f"expected a square shape of a {symmetry} matrix, found {rows} x {cols}{place}"
        )
    # A symmetric array stores its lower triangle.
    lines = entries[0] if entries else rows * cols
    if layout == "array" and symmetry != "general":
        lines = rows * (rows + (-1 if symmetry == "skew-symmetric" else 1)) // 2
    return _Header(layout, field, symmetry, rows, cols, lines, place, stream.tell())


def _banner(line: bytes) -> list[str]:
    words = line.rstrip(_END).decode("latin-1").lower().split()
    if (
        len(words) != 5
        # Files of the Network Repository have one per cent sign.
        or words[0] not in ("%%matrixmarket", "%matrixmarket")
        or words[1] != "matrix"
        or words[2] not in ("coordinate", "array")
        or words[3] not in _REALS
        or words[4] not in _MIRRORED
        or words[2:4] == ["array", "pattern"]
    ):
        raise ValueError(f"expected the Matrix Market banner {_BANNER}, found {line[:80]!r}")
    return words[2:]


def _first_line(stream: io.BytesIO, before: int, comment: bytes | None = None) -> tuple[int, bytes]:
    """Return the number and the text of the first line that is neither blank nor a comment.

    `before` is the number of lines that have been read.  At the end of the file the text is empty.
    """
    number = before
    for line in stream:
        number += 1
        if line.strip(_END) and not (comment and line.lstrip().startswith(comment)):
            return number, line
    return number, b""


def _sizes(stream: io.BytesIO, before: int, count: int) -> tuple[list[int], str]:
    """Return the integers of the line of sizes, and the words for its place in the file."""
    number, line = _first_line(stream, before, b"%")
    place = f" on line {number}"
    words = line.rstrip(_END).split()
    # A longer integer is beyond any limit, and may have too many digits for Python's int().
    if len(words) != count or not all(word.isdigit() and len(word) < 99 for word in words):
        raise ValueError(
            f"expected a line of {count} Matrix Market sizes, found {line[:80]!r}{place}"
        )
    sizes = [int(word) for word in words]
    check_sizes(*sizes, where=place)
    return sizes, place


# What follows -------------------------------------------------------------------------------------


def _entries(content: bytes, header: _Header) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the rows, columns and values of a file, counted from 0."""
    stop = len(content)
    if content[-64:].rstrip(_BLANKS).endswith(b"\x1a"):
        stop = len(content.rstrip(_END))
    begin = min(header.begin, stop)
    # The number of lines that the bytes can hold, plus one broken line: memory must not depend on
    # the number that the header claims.
    room = min(header.lines, (stop - begin + 1) // (2 * len(header.columns)) + 1)
    reals = _REALS[header.field]
    extents = (header.rows, header.cols) if header.positions else ()
    positions = np.empty((room, len(extents)), np.int64)
    integers = np.empty(room if reals is None else 0, np.uint64)
    written = np.empty(stop - begin + 1 if reals else 0, np.uint8)
    found, nbytes, failure, column, offset = _scan.scan(
        content, begin, stop, extents, reals or 0, header.limits, min(header.lines, INT64_MAX),
        positions, integers, written,
    )  # fmt: skip
    if failure:
        raise ValueError(_what_is_wrong(content, header, failure, column, offset))
    if found != header.lines:
        raise ValueError(
            f"expected {header.lines} lines of Matrix Market entries, found {found} up to the "
            f"end {_place(content, stop)}"
        )
    if reals:
        values = _parse(written[:nbytes], found * reals)
        values = values.view(np.complex128) if reals == 2 else values
    elif reals == 0:
        values = np.ones(found)
    else:
        values = integers if header.limits[0] > INT64_MAX else integers.view(np.int64)
    return *_positions(header, positions), values


def _positions(header: _Header, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if header.layout == "coordinate":
        dtype = np.int32 if max(header.rows, header.cols) <= INT32_MAX else np.int64
        return positions[:, 0].astype(dtype), positions[:, 1].astype(dtype)
    # An array stores its elements column by column.
    if header.symmetry == "general":
        return np.divmod(np.arange(header.lines), max(header.rows, 1))[::-1]
    return np.triu_indices(header.rows, int(header.symmetry == "skew-symmetric"))[::-1]


def _parse(text: np.ndarray, count: int) -> np.ndarray:
    """Return the `count` numbers of a text that `_scan` wrote, one number per line."""
    if count == 0:
        return np.empty(0)
    if not _HAS_FAST_PARSER:
        return np.fromstring(text.tobytes(), sep="\n")
    from scipy.io import mmread  # whose import would be a tenth of that of the package

    stream = io.BytesIO()
    stream.write(b"%%%%MatrixMarket matrix array real general\n%d 1\n" % count)
    stream.write(text.data)
    stream.seek(0)
    try:
        values = np.asarray(mmread(stream)).ravel()
    except RuntimeError:  # the parser could not start its threads
        return np.fromstring(text.tobytes(), sep="\n")
    zeros = np.flatnonzero(values == 0)
    if zeros.size:
        # The parser adds numbers to zeros, so -0 has lost its sign.
        begins = np.concatenate([[0], np.flatnonzero(text == ord("\n")) + 1])
        values[zeros[text[begins[zeros]] == ord("-")]] = -0.0
    return values


def _place(content: bytes, offset: int) -> str:
    line = content.count(b"\n", 0, offset) + 1
    return f"on line {line}"


def _what_is_wrong(content: bytes, header: _Header, failure: str, column: int, offset: int) -> str:
    """Return the message for a line that `_scan` rejected in `column` at byte `offset`."""
    where = _place(content, offset)
    token_found = re.compile(rb"[^\s%]*").match(content, offset)
    token = b"" if token_found is None else token_found[0][:40]
    if failure == "lines":
        return f"expected {header.lines} lines of Matrix Market entries, found another one {where}"
    if failure.endswith("columns"):
        names = ", ".join(header.columns)
        found = f"{column} of them" if failure == "few columns" else repr(token)
        return f"expected the columns {names} {where}, found {found}"
    name = header.columns[column]
    if failure == "range" and name in _COLUMNS:
        size = (header.rows, header.cols)[column]
        return f"expected Matrix Market {name}s from 1 to {size}, found {token.decode()} {where}"
    if failure == "range":
        most, negative = header.limits
        mirrored = ", as it is mirrored with the other sign" if "skew" in header.symmetry else ""
        bounds = f"from {-negative} to {most}{mirrored}"
        return f"expected an integer {bounds}, found {token.decode()} {where}"
    kind = "a number" if failure == "real" else "a whole number"
    hint = ""
    if failure == "real" and re.fullmatch(rb"[-+]?(\d+\.?\d*|\.\d+)[-+]\d+", token):
        hint = ": an exponent needs its letter, as two numbers without a blank look the same"
    return f"expected {kind} as the {name} {where}, found {token!r}{hint}"
