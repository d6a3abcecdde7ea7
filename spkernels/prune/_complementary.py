"""Pruning so that several rows fill one."""

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
    """Give each column to a row, from the largest entry down, while the row may have more."""
    rows, cols = sizes.shape
    least, longer = divmod(cols, rows)  # so many rows may have one more
    order = np.argsort(-sizes, axis=None, kind="stable")
    owners, counts, left = [-1] * cols, [0] * rows, cols
    places = (part.tolist() for part in np.divmod(order, max(1, cols)))
    # Each choice rests on all before it, so entries go one by one; lists are faster at that.
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

    The rows of such a set have no column in common and all columns together: laid over each other
    they are one dense row.

    Parameters
    ----------
    W : array_like of shape (m, n)
        The weight, of real numbers; other dtypes than float32 and float64 are taken as float64.
    size : int
        Rows of a set, from 1: the sparsity is ``1 - 1 / size``.  Where it does not divide m, the
        last set has fewer rows, which are denser.
    balanced : bool, optional
        Whether the rows of a set get as many columns each, or one more where `size` does not divide
        n.

    Returns
    -------
    Pruned
        Mask and share.

    Raises
    ------
    ValueError
        If `W` is not 2-D or holds NaN or infinity, or `size` is below 1.
    TypeError
        If `W` is sparse or not real, or another argument has the wrong type.

    Notes
    -----
    Not balanced, a column goes to the row with the largest magnitude, which is optimal, in linear
    time.

    Balanced, it is greedy: from the largest entry of a set down, the column goes to the row if it
    is free and the row may have more.  That is not the optimum, but at least half of its sum.  It
    sorts the entries of each set, and walks over them in Python.

    Of equal magnitudes, the one with the lower row goes first, and in a row the one with the lower
    column.

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
