"""Pruning of whole blocks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .._inputs.scalars import as_count, as_sparsity
from .._inputs.scalars import kept as _count
from ._arguments import as_flag, as_magnitudes
from ._pruned import pruned
from ._select import largest

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from ._pruned import Pruned

__all__ = ["block", "vector"]


def _prune(W, height, width, sparsity, balanced):
    sizes = as_magnitudes(W)
    sparsity, balanced = as_sparsity(sparsity), as_flag("balanced", balanced)
    rows, cols = sizes.shape
    sums = np.add.reduceat(sizes, np.arange(0, rows, height), axis=0, dtype=np.float64)
    sums = np.add.reduceat(sums, np.arange(0, cols, width), axis=1)
    candidates = sums if balanced else sums.reshape(-1)
    grid = largest(candidates, _count(candidates.shape[-1], sparsity)).reshape(sums.shape)
    mask = np.repeat(np.repeat(grid, height, axis=0)[:rows], width, axis=1)[:, :cols]
    return pruned(np.ascontiguousarray(mask), sizes)


def block(
    W: ArrayLike, shape: tuple[int, int], sparsity: float, *, balanced: bool = False
) -> Pruned:
    """Keep the whole blocks that have the largest sums of magnitudes [1]_.

    Parameters
    ----------
    W : array_like of shape (m, n)
        The weight, of real numbers.  Dtypes other than float32 and float64 are taken as float64.
    shape : (int, int)
        The numbers of rows and columns of a block, each at least 1.  If they do not divide those of
        `W`, the blocks at the lower and right edges are smaller; their sums compete with the sums
        of whole blocks.
    sparsity : float
        The share of blocks that are removed, from 0 to 1.
    balanced : bool, optional
        Whether each row of blocks keeps the same number of blocks.  By default the largest blocks
        of the whole matrix stay.

    Returns
    -------
    Pruned
        The mask and the share of the magnitudes that it keeps.  Exactly
        ``round((1 - sparsity) * blocks)`` blocks stay, where ``blocks`` counts the blocks of the
        matrix or, if balanced, of a row of blocks, smaller blocks included.  `round` takes halves
        to the even number.

    Raises
    ------
    ValueError
        If `W` is not 2-D or holds NaN or infinity, `shape` is not a pair from 1 up, or `sparsity`
        is not from 0 to 1.
    TypeError
        If `W` is sparse or not real, or another argument has the wrong type.

    See Also
    --------
    vector : keeps blocks of one column.

    Notes
    -----
    Sums are float64.  Of blocks with equal sums, the block with the lower row stays, and in a row
    of blocks the block with the lower column.  Time is linear in the size of `W`.

    References
    ----------
    .. [1] S. Narang, E. Undersander, G. Diamos, "Block-sparse recurrent neural networks", 2017,
       arXiv:1711.02782.

    Examples
    --------
    >>> import numpy as np
    >>> from spkernels import prune
    >>> W = np.array([[1.0, 1.0, 0.0, 3.0, 1.0], [1.0, 1.0, 0.0, 0.0, 1.0]])
    >>> mask, kept = prune.block(W, (2, 2), 2 / 3)
    >>> mask.astype(int)
    array([[1, 1, 0, 0, 0],
           [1, 1, 0, 0, 0]])
    >>> round(kept, 3)
    0.444
    """
    try:
        height, width = shape
    except (TypeError, ValueError):
        raise ValueError(f"shape must be a pair of integers, got {shape!r}") from None
    return _prune(W, as_count("shape", height), as_count("shape", width), sparsity, balanced)


def vector(W: ArrayLike, v: int, sparsity: float, *, balanced: bool = False) -> Pruned:
    """Keep the largest blocks of `v` rows and one column [1]_, whose entries share each load of B.

    Parameters
    ----------
    W : array_like of shape (m, n)
        The weight, of real numbers.  Dtypes other than float32 and float64 are taken as float64.
    v : int
        The number of rows of a block, at least 1.  If it does not divide the rows of `W`, the last
        blocks are smaller.
    sparsity : float
        The share of blocks that are removed, from 0 to 1.
    balanced : bool, optional
        Whether every `v` rows keep the same number of blocks.  By default the largest blocks of the
        whole matrix stay.

    Returns
    -------
    Pruned
        The mask and the share of the magnitudes that it keeps, as of ``block(W, (v, 1),
        sparsity)``.

    Raises
    ------
    ValueError
        If `W` is not 2-D or holds NaN or infinity, `v` is below 1, or `sparsity` is not from 0
        to 1.
    TypeError
        If `W` is sparse or not real, or another argument has the wrong type.

    See Also
    --------
    block : keeps blocks of any shape; it says how counts are rounded and ties decided.

    References
    ----------
    .. [1] Z. Chen, Z. Qu, L. Liu, Y. Ding, Y. Xie, "Efficient tensor core-based GPU kernels for
       structured sparsity under reduced precision", SC 2021.

    Examples
    --------
    >>> from spkernels import prune
    >>> prune.vector([[1.0, 0.0, 2.0], [1.0, 3.0, 2.0]], 2, 1 / 3).mask.astype(int)
    array([[0, 1, 1],
           [0, 1, 1]])
    """
    return _prune(W, as_count("v", v), 1, sparsity, balanced)
