"""The search for patterns of a matrix that its user has not declared."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._inputs.canonical import canonical_pattern, first_rows
from .._inputs.foreign import as_sparse
from .._inputs.scalars import as_real
from ._found import Pattern
from ._grid import by_column, by_row, coarse, ones, places_of

if TYPE_CHECKING:
    from .._inputs.types import SparseLike

__all__ = ["as_fill", "heights", "recognise", "recognised"]

#: The candidates of the search.  MAX_OF_WINDOW is the largest n of n:m, and WINDOWS are its m.
#: SIDES are the rows and columns of blocks and the rows of complementary sets.  BALANCED are the
#: columns of balanced windows.
MAX_OF_WINDOW = 4
WINDOWS = (2, 4, 8, 16, 32)
SIDES = (2, 4, 8, 16)
BALANCED = (4, 8, 16, 32, 64)
#: The smallest fill of n:m.  Without it every matrix that is sparse enough would have the pattern.
_MIN_OF_WINDOW = 0.5
#: The smallest share of the columns that complementary sets must cover.
_MIN_COVERED = 0.9
#: The number of rows that are checked first: most patterns that do not hold fail in them already.
_FIRST_ROWS = 16
#: The smallest share of the places of blocks that must hold entries: by default, and at all.
DEFAULT_FILL, MIN_FILL = 0.9, 0.7


def as_fill(fill):
    """Return `fill` as a float, or raise if it is no number from `MIN_FILL` to 1."""
    fill = as_real("fill", fill)
    if not MIN_FILL <= fill <= 1:
        raise ValueError(f"fill must be from {MIN_FILL} to 1, got {fill}")
    return fill


def recognise(A: SparseLike, *, fill: float = DEFAULT_FILL) -> tuple[Pattern, ...]:
    """Return the patterns that the structure of a sparse matrix obeys.

    Parameters
    ----------
    A : sparse array or matrix of shape (m, n)
        Of any format and real dtype.  Explicit zeros are entries.
    fill : float, optional
        The smallest share of the places of blocks that must hold entries, from 0.7 to 1.

    Returns
    -------
    tuple of Pattern
        The patterns that hold for all of `A`; empty where `A` has no pattern or no entries.  Of
        patterns that follow from each other, the tightest is listed: 1:2 and not 2:4, 4x4 and not
        2x4.

    Raises
    ------
    TypeError
        If `A` is not sparse or not real, or `fill` is not a number.
    ValueError
        If `A` is not 2-D or corrupted, or `fill` is out of range.

    See Also
    --------
    spkernels.prune : prunes dense weights to these patterns.
    spkernels.prepare : packs matrices so that kernels use these patterns.

    Notes
    -----
    - **n:m**: n is from 1 to 4, and m is 2, 4, 8, 16 or 32.  At least half of the allowed n entries
      per m columns must be stored; with fewer, the matrix is merely sparse.
    - **Blocks** of V x W: V and W are 1, 2, 4, 8 or 16.  Blocks are aligned at multiples of V and
      W, and blocks at the edges end with the matrix.  `fill` is compared with the average of all
      blocks that have entries.
    - **Balanced**: all full windows of 4, 8, 16, 32 or 64 columns have the same number of entries,
      or all rows have.
    - **Complementary**: every 2, 4, 8 or 16 consecutive rows have no column in common, and cover
      90% of the columns [1]_.

    Time is linear in the number of entries: 30 to 50 nanoseconds for each.

    References
    ----------
    .. [1] K. Hunter, L. Spracklen, S. Ahmad, "Two sparsities are better than one: unlocking the
       performance benefits of sparse-sparse networks", 2021, arXiv:2112.13896.

    Examples
    --------
    >>> import numpy as np
    >>> import scipy.sparse as sp
    >>> from spkernels import patterns, prune
    >>> weight = np.random.default_rng(0).standard_normal((64, 64))
    >>> A = sp.csr_array(np.where(prune.nm(weight, 2, 4).mask, weight, 0))
    >>> for found in patterns.recognise(A):
    ...     print(found)
    2:4: at most 2 of every 4 columns of a row, 100% of that
    >>> A = sp.csr_array(np.where(prune.block(weight, (4, 2), 0.75).mask, weight, 0))
    >>> [(found.name, found.fill) for found in patterns.recognise(A)]
    [('4x2', 1.0)]
    """
    A = as_sparse(A, "A")
    if A.dtype.kind not in "biuf":
        raise TypeError(f"A must hold real numbers, got dtype {A.dtype}")
    return recognised(canonical_pattern(A, "A"), as_fill(fill))


def recognised(csr, fill):
    """Return the patterns of a canonical matrix."""
    if csr.nnz == 0:
        return ()
    grid = ones(csr)
    found = [_n_of_m(grid), _balanced(grid), *_blocks(grid, fill), _complementary(grid)]
    found = [pattern for pattern in found if pattern]
    if found and found[0].kind == "n:m" and found[0].fill == 1:  # a full n:m is balanced, too
        found = [pattern for pattern in found if pattern.kind != "balanced"]
    return tuple(found)


def _slots(shape, n, m):
    """Return the largest number of entries of an n:m matrix of this shape."""
    rows, cols = shape
    return rows * (cols // m * n + min(n, cols % m))


def _parts(grid):
    """Return the first rows of a grid, in which most wrong candidates fail, and the whole grid."""
    return first_rows(grid, min(_FIRST_ROWS, grid.shape[0])), grid


def _n_of_m(grid):
    best = None
    for m in WINDOWS:
        for part in _parts(grid):
            n = int(coarse(part, m).data.max(initial=0))
            if n > MAX_OF_WINDOW or n >= m:
                break
        else:
            fill = grid.nnz / _slots(grid.shape, n, m)
            # The tightest pattern is the one with the largest fill.
            if fill >= _MIN_OF_WINDOW and (best is None or fill > best.fill):
                best = Pattern("n:m", (n, m), fill)
    return best


def _balanced(grid):
    cols = grid.shape[1]
    for m in (*(m for m in BALANCED if m < cols), cols):
        n = 0
        for part in _parts(grid):
            windows = coarse(part, m)
            counts = windows.data[windows.indices < cols // m]
            n = int(counts[0]) if counts.size == part.shape[0] * (cols // m) else 0
            if not 0 < n < m or (counts != n).any():
                break
        else:
            return Pattern("balanced", (n, m), 1.0)
    return None


def heights(csr, least):
    """Yield the heights of one-column blocks whose fill is at least `least`.

    Each height comes with the fill of its blocks and with their grid as `by_column` returns it.
    """
    columns, numbers = by_column(csr)
    shape, height = columns.shape, 1
    for side in SIDES:
        if side > csr.shape[0]:
            return
        columns, height = coarse(columns, side // height), side
        fill = csr.nnz / places_of(columns, shape, 1, height)
        if fill < least:
            return
        yield height, fill, (columns, numbers)


def _blocks(grid, least):
    """Return the largest block patterns: those that lie in no other one with enough fill."""
    fills = _fills(grid, least)
    # Halves of blocks are at least as full as the blocks, so it is enough to look one step up.
    largest = [
        Pattern("block", (v, w), fill)
        for (v, w), fill in fills.items()
        if v * w > 1 and (2 * v, w) not in fills and (v, 2 * w) not in fills
    ]
    return sorted(largest, key=lambda pattern: -pattern.size[0] * pattern.size[1])


def _fills(grid, least):
    fills = {}
    for v, fill, columns in ((1, 1.0, None), *heights(grid, least)):
        fills[v, 1] = fill
        wide, width = None, 1
        for w in SIDES:
            if w > grid.shape[1] or (v > 1 and (v // 2, w) not in fills):
                break
            if wide is None:  # the transpose takes most of the time, so it waits until needed
                wide = grid if columns is None else by_row(*columns, grid.shape[1])
            wide, width = coarse(wide, w // width), w
            fill = grid.nnz / places_of(wide, grid.shape, v, w)
            if fill < least:
                break
            fills[v, w] = fill
    return fills


def _complementary(grid):
    rows, cols = grid.shape
    for size in SIDES:
        covered = grid.nnz / (-(-rows // size) * cols)
        if _MIN_COVERED <= covered <= 1 and size <= rows:
            sets = coarse(by_column(grid)[0], size)
            if sets.nnz == grid.nnz:
                return Pattern("complementary", (size,), covered)
    return None
