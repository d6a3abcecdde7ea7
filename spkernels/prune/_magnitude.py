"""Pruning of single entries."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._inputs.scalars import as_count, as_sparsity
from .._inputs.scalars import kept as _count
from ._arguments import as_magnitudes
from ._pruned import pruned
from ._select import in_windows, largest

if TYPE_CHECKING:
    from typing import Literal

    from numpy.typing import ArrayLike

    from ._pruned import Pruned

__all__ = ["magnitude", "nm"]


def _as_window(balanced, cols):
    """Return the width of the windows that the argument `balanced` stands for."""
    if isinstance(balanced, str):
        if balanced != "rows":
            raise ValueError(f"balanced must be None, 'rows' or an int, got {balanced!r}")
        return max(1, cols)
    if isinstance(balanced, bool):
        raise TypeError(f"balanced must be None, 'rows' or an int, got {balanced}")
    return as_count("balanced", balanced)


def magnitude(
    W: ArrayLike, sparsity: float, *, balanced: Literal["rows"] | int | None = None
) -> Pruned:
    """Keep the largest entries of the matrix, of each row, or of each window of a row.

    Parameters
    ----------
    W : array_like of shape (m, n)
        The weight, of real numbers.  Dtypes other than float32 and float64 are taken as float64.
    sparsity : float
        The share of entries that are removed, from 0 to 1.
    balanced : {None, "rows"} or int, optional
        None keeps the largest entries of the whole matrix [1]_.  "rows" keeps the same number of
        entries in every row, and an int w the same number in every w consecutive columns of a
        row [2]_.

    Returns
    -------
    Pruned
        The mask and the share of the magnitudes that it keeps.  Exactly
        ``round((1 - sparsity) * size)`` entries stay, where ``size`` counts the elements of the
        matrix, of a row or of a window.  `round` takes halves to the even number.  If w does not
        divide n, the last window of a row is shorter, and its count follows from its own size.

    Raises
    ------
    ValueError
        If `W` is not 2-D or holds NaN or infinity, `sparsity` is not from 0 to 1, or `balanced` is
        an unknown string or a number below 1.
    TypeError
        If `W` is sparse or not real, or another argument has the wrong type.

    Notes
    -----
    Of equal magnitudes, the entry with the lower row stays, and in a row the entry with the lower
    column, so that ties do not change the counts.  Time is linear in the size of `W`.

    References
    ----------
    .. [1] S. Han, J. Pool, J. Tran, W. J. Dally, "Learning both weights and connections for
       efficient neural networks", NeurIPS 2015, arXiv:1506.02626.
    .. [2] Z. Yao, S. Cao, W. Xiao, C. Zhang, L. Nie, "Balanced sparsity for efficient DNN inference
       on GPU", AAAI 2019, arXiv:1811.00206.

    Examples
    --------
    >>> import numpy as np
    >>> from spkernels import prune
    >>> W = np.array([[4.0, -3.0, 2.0, 0.0], [1.0, 0.0, -1.0, 1.0]])
    >>> mask, kept = prune.magnitude(W, 0.5)
    >>> mask.astype(int)
    array([[1, 1, 1, 0],
           [1, 0, 0, 0]])
    >>> round(kept, 3)
    0.833
    >>> prune.magnitude(W, 0.5, balanced="rows").mask.astype(int)
    array([[1, 1, 0, 0],
           [1, 0, 1, 0]])
    >>> prune.magnitude(W, 0.5, balanced=2).mask.astype(int)
    array([[1, 0, 1, 0],
           [1, 0, 1, 0]])
    """
    sizes, sparsity = as_magnitudes(W), as_sparsity(sparsity)
    if balanced is None:
        mask = largest(sizes.reshape(-1), _count(sizes.size, sparsity)).reshape(sizes.shape)
    else:
        width = _as_window(balanced, sizes.shape[1])
        mask = in_windows(sizes, width, lambda w: _count(w, sparsity))
    return pruned(mask, sizes)


def nm(W: ArrayLike, n: int, m: int) -> Pruned:
    """Keep the `n` largest of every `m` consecutive elements of a row, such as 2 of 4 [1]_ [2]_.

    Parameters
    ----------
    W : array_like of shape (rows, cols)
        The weight, of real numbers.  Dtypes other than float32 and float64 are taken as float64.
    n : int
        The number of elements of a window that stay, from 1 to `m`.
    m : int
        The number of columns of a window, from 2 to 32.  If it does not divide the columns of `W`,
        the last window of a row is shorter.  It keeps `n` elements too, or all if it has fewer.

    Returns
    -------
    Pruned
        The mask and the share of the magnitudes that it keeps.

    Raises
    ------
    ValueError
        If `W` is not 2-D or holds NaN or infinity, or `n` or `m` is out of range.
    TypeError
        If `W` is sparse or not real, or `n` or `m` is not an integer.

    See Also
    --------
    spkernels.formats.NMArray : stores the remaining entries in few bytes.

    Notes
    -----
    Of equal magnitudes, the element with the lower column stays.  Time is linear in the size of
    `W`.

    References
    ----------
    .. [1] A. Mishra et al., "Accelerating sparse deep neural networks", 2021, arXiv:2104.08378.
    .. [2] A. Zhou et al., "Learning N:M fine-grained structured sparse neural networks from
       scratch", ICLR 2021, arXiv:2102.04010.

    Examples
    --------
    >>> from spkernels import prune
    >>> mask, kept = prune.nm([[5.0, -1.0, 1.0, -6.0, 2.0, 3.0]], 2, 4)
    >>> mask.astype(int)
    array([[1, 0, 0, 1, 1, 1]])
    >>> round(kept, 3)
    0.889
    """
    m = as_count("m", m, 2, 32)
    n = as_count("n", n, 1, m)
    sizes = as_magnitudes(W)
    return pruned(in_windows(sizes, m, lambda w: min(n, w)), sizes)
