"""What pruning returns."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Pruned", "pruned"]


class Pruned(NamedTuple):
    """A mask, and how much of a weight it keeps.

    Attributes
    ----------
    mask : ndarray of bool
        Of the weight's shape, True where an entry stays.
    kept : float
        The sum of magnitudes under the mask as a share of that of all, from 0 to 1; 1 where all
        are zero.

    Examples
    --------
    >>> from spkernels import prune
    >>> mask, kept = prune.nm([[3.0, -1.0]], 1, 2)
    >>> mask
    array([[ True, False]])
    >>> kept
    0.75
    """

    mask: NDArray[np.bool_]
    kept: float


def pruned(mask, sizes):
    """Return `mask` with the share that it keeps of magnitudes."""
    inside = sizes[mask].sum(dtype=np.float64)
    # Of two sums that make the total, one cannot be larger than it.
    total = inside + sizes[~mask].sum(dtype=np.float64)
    return Pruned(mask, float(inside / total) if total else 1.0)
