"""The result of pruning."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Pruned", "pruned"]


class Pruned(NamedTuple):
    """A pruning mask, and the share of the weight's magnitudes that the mask keeps.

    Attributes
    ----------
    mask : ndarray of bool
        True where an entry stays; of the shape of the weight.
    kept : float
        The sum of the kept magnitudes divided by the sum of all magnitudes, from 0 to 1.  It is 1
        where all magnitudes are zero.

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
    """Return `mask` with the share of the magnitudes `sizes` that the mask keeps."""
    inside = sizes[mask].sum(dtype=np.float64)
    # The total is the sum of both parts, not a sum over `sizes`, whose rounding could make the
    # share larger than 1.
    total = inside + sizes[~mask].sum(dtype=np.float64)
    return Pruned(mask, float(inside / total) if total else 1.0)
