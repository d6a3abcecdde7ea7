"""Checks of arrays that come from files, and their assembly into CSR arrays."""

from __future__ import annotations

import numpy as np
from scipy.sparse import coo_array, csr_array

__all__ = [
    "check_area",
    "check_compressed",
    "check_positions",
    "check_rows",
    "check_sizes",
    "from_triplets",
    "standard_normal",
]

INT64_MAX = np.iinfo(np.int64).max

# A file of any size may claim this number of rows, whose offsets take 1 GiB.
_MAX_EMPTY_ROWS = 1 << 27


def from_triplets(
    data: np.ndarray, row: np.ndarray, col: np.ndarray, shape: tuple[int, int]
) -> csr_array:
    """Assemble a CSR array from valid positions; values of equal positions are summed.

    Raises ValueError if a sum does not fit an integer dtype, which scipy would wrap around.
    """
    A = coo_array((data, (row, col)), shape=shape).tocsr()
    if A.nnz < data.size and data.dtype.kind in "iu":
        sums = coo_array((data.astype(np.float64), (row, col)), shape=shape).tocsr().data
        # A wrapped sum is off by at least 2**bits, and a sum rounded to float64 by far less.
        wrapped = np.flatnonzero(np.abs(A.data - sums) > 2.0 ** (8 * data.itemsize - 1))
        if wrapped.size:
            place = int(np.searchsorted(A.indptr, wrapped[0], side="right")) - 1
            raise ValueError(
                f"expected values whose sum at each position fits {data.dtype}, found a sum of "
                f"about {sums[wrapped[0]]:.3g} in row {place}, column {A.indices[wrapped[0]]}, "
                f"counted from 0"
            )
    return A


def standard_normal(rng: np.random.Generator, size: int, dtype: np.dtype) -> np.ndarray:
    """Draw `size` standard normal values; complex values have such imaginary parts, too.

    Values are drawn in float64, so that a seed gives the same values in every dtype.
    """
    values = rng.standard_normal(size)
    if dtype.kind == "c":
        values = values + 1j * rng.standard_normal(size)
    return values.astype(dtype)


def check_sizes(*sizes: int, where: str = "") -> None:
    """Raise ValueError if a dimension is too large for scipy.

    A parser that clamps to int64 returns its largest number, which counts as too large.
    """
    if max(sizes) >= INT64_MAX:
        raise ValueError(f"expected sizes below 2**63 - 1, found {max(sizes)}{where}")


def check_area(names: str, rows: int, cols: int) -> None:
    """Raise ValueError if the row-major positions of a matrix do not fit in 64 bits."""
    if rows * cols > INT64_MAX:
        raise ValueError(f"{names} must make fewer than 2**63 places, got {rows} x {cols}")


def check_rows(rows: int, nbytes: int, where: str = "") -> None:
    """Raise ValueError if the CSR array of a file of `nbytes` would take far more memory.

    The offsets of a CSR array take 8 bytes per row, also where there are no entries.
    """
    limit = max(_MAX_EMPTY_ROWS, nbytes)
    if rows > limit:
        raise ValueError(
            f"expected at most {limit} rows, as a CSR array takes 8 bytes a row whatever is in "
            f"it, found {rows} rows claimed by {nbytes} bytes{where}"
        )


def check_positions(name: str, part: np.ndarray, size: int, where: str = "") -> None:
    """Raise ValueError unless all elements of an integer array are from 0 to `size` - 1."""
    if part.size and (part.min() < 0 or part.max() >= size):
        worst = part.min() if part.min() < 0 else part.max()
        raise ValueError(f"expected {name} from 0 to {size - 1}, found {worst}{where}")


def check_compressed(
    indptr: np.ndarray,
    indices: np.ndarray,
    major: int,
    minor: int,
    *,
    major_name: str = "row",
    places: tuple[str, str] = ("", ""),
) -> None:
    """Raise ValueError unless offsets and indices describe `major` rows of `minor` columns.

    For CSC, `major` counts columns and `minor` rows.  Neighbouring offsets are compared, not
    subtracted, as a difference can wrap around.  `places` say where in a file the offsets and the
    indices are; messages end with them.
    """
    for name, part, place in zip(
        ("offsets", "indices"), (indptr, indices), places, strict=True
    ):
        if part.ndim != 1 or part.dtype.kind not in "iu":
            raise ValueError(
                f"expected a vector of integer {name}, found {part.ndim}-D {part.dtype}{place}"
            )
    if indptr.size != major + 1:
        raise ValueError(f"expected {major + 1} offsets, found {indptr.size}{places[0]}")
    if indptr[0] != 0:
        raise ValueError(f"expected the first offset to be 0, found {indptr[0]}{places[0]}")
    falls = np.flatnonzero(indptr[1:] < indptr[:-1])
    if falls.size:
        raise ValueError(
            f"expected offsets that never decrease, found {indptr[falls[0] + 1]} after "
            f"{indptr[falls[0]]} in {major_name} {falls[0]}{places[0]}"
        )
    if indptr[-1] != indices.size:
        raise ValueError(
            f"expected as many indices as the last offset says, {indptr[-1]}, found "
            f"{indices.size}{places[1]}"
        )
    check_positions("indices", indices, minor, places[1])
