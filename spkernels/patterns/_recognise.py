"""Finding patterns that nobody declared."""

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

#: What is looked for: the most entries of a window and its columns; sides of blocks, and the rows
#: of complementary sets; columns of windows that hold as many entries each.
MAX_OF_WINDOW = 4
WINDOWS = (2, 4, 8, 16, 32)
SIDES = (2, 4, 8, 16)
BALANCED = (4, 8, 16, 32, 64)
#: The share of n in every m columns that is used, at least: any matrix that is sparse enough has no
#: more than n there.
_MIN_OF_WINDOW = 0.5
#: The share of the columns that a complementary set covers, at least.
_MIN_COVERED = 0.9
#: Rows that are looked at before all of them are.
_FIRST_ROWS = 16
#: Blocks that are full enough, if nothing is said, and that may be said to be.
DEFAULT_FILL, MIN_FILL = 0.9, 0.7


def as_fill(fill):
    """Check the share of their places that blocks hold at least."""
    fill = as_real("fill", fill)
    if not MIN_FILL <= fill <= 1:
        raise ValueError(f"fill must be from {MIN_FILL} to 1, got {fill}")
    return fill


def recognise(A: SparseLike, *, fill: float = DEFAULT_FILL) -> tuple[Pattern, ...]:
    """Say which structure a sparse matrix has.

    Parameters
    ----------
    A : sparse array or matrix
        Of any format; explicit zeros are entries.
    fill : float, optional
        The share of the places of blocks that holds entries, at least: from 0.7 to 1.

    Returns
    -------
    tuple of Pattern
        What holds for all of `A`; nothing where it is unstructured or empty.  Of patterns that
        follow from each other, the tightest is listed: 1:2 and not 2:4, 4x4 and not 2x4.

    Raises
    ------
    TypeError
        If `A` is not sparse or not real, or `fill` is not a number.
    ValueError
        If `A` is not 2-D or corrupted, or `fill` is out of range.

    See Also
    --------
    spkernels.prune : makes such patterns.
    spkernels.prepare : packs matrices so that it uses them.

    Notes
    -----
    - **n:m**: n from 1 to 4, m one of 2, 4, 8, 16, 32; at least half of n in every m columns is
      stored, as less is no structure but sparsity.
    - **Blocks** of V x W, V and W in 1, 2, 4, 8, 16, aligned at multiples of V and W.  Blocks at
      the edges end with the matrix.  `fill` is meant on average.
    - **Balanced**: all full windows of 4, 8, 16, 32 or 64 columns have equally many entries, or all
      rows do.
    - **Complementary**: 2, 4, 8 or 16 rows after one another have no column in common, and cover
      90% of the columns [1]_.

    Time is linear in the number of entries: 30 to 50 nanoseconds each.

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
    if found and found[0].kind == "n:m" and found[0].fill == 1:  # which is balanced
        found = [pattern for pattern in found if pattern.kind != "balanced"]
    return tuple(found)


def _slots(shape, n, m):
    """Return how many entries a matrix has at most with n in every m columns."""
    rows, cols = shape
    return rows * (cols // m * n + min(n, cols % m))


def _parts(grid):
    """Return some rows, in which most of what does not hold fails, and all of them."""
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
            # The tightest is the one of which most is used.
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
    """Yield the rows of blocks one column wide that are full enough, their fill and their grid.

    The grid is what `by_column` makes of it, with the columns.
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
    """Return the blocks that are full enough and lie in no others that are."""
    fills = _fills(grid, least)
    # The halves of blocks are at least as full as these, so that none is missed.
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
            if wide is None:  # turning takes the longest, so only where it is needed
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
