"""Pruning to rows that complement each other: several sparse rows fill one dense row."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .._inputs.scalars import as_count
from ._arguments import as_flag, as_magnitudes
from ._pruned import pruned
from ._select import in_windows

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from ._pruned import Pruned

__all__ = ["complementary"]


def _dealt(sizes):
    """Give each column to one row, from the largest entry down, until a row has its number.

    Every row gets ``cols // rows`` columns or one more.  Returns a boolean mask.
    """
    rows, cols = sizes.shape
    least, longer = divmod(cols, rows)  # `longer` rows get least + 1 columns
    order = np.argsort(-sizes, axis=None, kind="stable")
    owners, counts, left = [-1] * cols, [0] * rows, cols
    places = (part.tolist() for part in np.divmod(order, max(1, cols)))
    # Each choice depends on all earlier ones, so a loop visits single entries.  Lists are faster
    # than arrays at that.
    for row, col in zip(*places, strict=True):
        if owners[col] >= 0 or counts[row] > least or (counts[row] == least and not longer):
            continue
        longer -= counts[row] == least
        counts[row] += 1
        owners[col] = row
        left -= 1
        if not left:
            break
    return np.arange(rows)[:, None] == np.array(owners, np.intp)


def complementary(W: ArrayLike, size: int, *, balanced: bool = False) -> Pruned:
    """Give each column of every `size` consecutive rows to one of them [1]_.

    The rows of such a set have no column in common, and together they have all columns: laid over
    each other they are one dense row.

    Parameters
    ----------
    W : array_like of shape (m, n)
        The weight, of real numbers.  Dtypes other than float32 and float64 are taken as float64.
    size : int
        The number of rows of a set, at least 1.  The sparsity is ``1 - 1 / size``.  If `size` does
        not divide m, the last set has fewer rows, which are denser.
    balanced : bool, optional
        Whether the rows of a set get the same number of columns.  If `size` does not divide n, some
        rows get one column more.

    Returns
    -------
    Pruned
        The mask and the share of the magnitudes that it keeps.

    Raises
    ------
    ValueError
        If `W` is not 2-D or holds NaN or infinity, or `size` is below 1.
    TypeError
        If `W` is sparse or not real, or another argument has the wrong type.

    Notes
    -----
    By default a column goes to the row with the largest magnitude.  This is optimal, and takes time
    linear in the size of `W`.

    With `balanced`, the choice is greedy: entries of a set are visited from the largest down, and
    an entry's column goes to its row if the column is free and the row has room.  The kept sum is
    at least half of the optimal sum.  The entries of each set are sorted and visited in Python.

    Of equal magnitudes, the entry with the lower row comes first, and in a row the entry with the
    lower column.

    References
    ----------
    .. [1] K. Hunter, L. Spracklen, S. Ahmad, "Two sparsities are better than one: unlocking the
       performance benefits of sparse-sparse networks", 2021, arXiv:2112.13896.

    Examples
    --------
    >>> from spkernels import prune
    >>> W = [[4.0, 3.0, 2.0, 5.0], [1.0, -2.0, 2.0, -4.0]]
    >>> prune.complementary(W, 2).mask.astype(int)
    array([[1, 1, 1, 1],
           [0, 0, 0, 0]])
    >>> mask, kept = prune.complementary(W, 2, balanced=True)
    >>> mask.astype(int)
    array([[1, 0, 0, 1],
           [0, 1, 1, 0]])
    >>> round(kept, 3)
    0.565
    """
    size, balanced = as_count("size", size), as_flag("balanced", balanced)
    sizes = as_magnitudes(W)
    if balanced:
        mask = np.empty(sizes.shape, bool)
        for first in range(0, sizes.shape[0], size):
            mask[first : first + size] = _dealt(sizes[first : first + size])
    else:
        columns = np.ascontiguousarray(sizes.T)
        mask = np.ascontiguousarray(in_windows(columns, size, lambda height: 1).T)
    return pruned(mask, sizes)
