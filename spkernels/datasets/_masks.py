"""Generators of attention masks: which key each query attends to."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import DTypeLike
from scipy.sparse import bsr_array, csr_array

from .._inputs.assemble import INT32_MAX, from_positions, make_csr, ranges
from .._inputs.scalars import RNG, as_count, as_dtype, as_generator, as_sparsity
from ..masks._bigbird import bigbird_blocks, window_runs
from ..masks._sampling import sample_rows

__all__ = ["bigbird_mask", "global_mask", "random_mask", "window_mask"]


def window_mask(
    n: int,
    radius: int | None = None,
    *,
    sparsity: float | None = None,
    dtype: DTypeLike = np.float32,
) -> csr_array:
    """Make the mask of sliding-window attention: ``|i - j| <= radius``.

    Parameters
    ----------
    n : int
        Length of the sequence.
    radius : int, optional
        Keys on each side of a query, from 0 to n - 1: half the window size w of [1]_.
    sparsity : float, optional
        Instead of `radius`: the one whose density comes nearest to ``1 - sparsity``.
    dtype : dtype, optional
        Of the stored ones.

    Returns
    -------
    mask : scipy.sparse.csr_array
        Of shape (n, n) with exactly ``n * (2 * radius + 1) - radius * (radius + 1)`` ones.

    Notes
    -----
    A step of the radius changes the density by less than ``2 / n``: a target sparsity is met to
    within ``1 / n``, except that the diagonal always stays.

    References
    ----------
    .. [1] I. Beltagy, M. E. Peters, A. Cohan, "Longformer: the long-document transformer", 2020,
       arXiv:2004.05150.

    Examples
    --------
    >>> from spkernels import datasets
    >>> datasets.window_mask(4, 1, dtype=int).toarray()
    array([[1, 1, 0, 0],
           [1, 1, 1, 0],
           [0, 1, 1, 1],
           [0, 0, 1, 1]])
    >>> A = datasets.window_mask(1024, sparsity=0.9)
    >>> round(1 - A.nnz / 1024**2, 4)
    0.9001
    """
    n = as_count("n", n, 1, INT32_MAX)
    radius = _direct_or_nearest(
        n, "radius", radius, (0, n - 1), sparsity, lambda h: n * (2 * h + 1) - h * (h + 1)
    )
    starts, stops = window_runs(n, radius)
    return _ones(starts, stops - starts, n, dtype)


def global_mask(
    n: int,
    count: int | None = None,
    *,
    sparsity: float | None = None,
    dtype: DTypeLike = np.float32,
) -> csr_array:
    """Make the mask of global attention: a few tokens attend to all, and all attend to them.

    Parameters
    ----------
    n : int
        Length of the sequence.
    count : int, optional
        Global tokens, from 0 to n: the first ones of the sequence.
    sparsity : float, optional
        Instead of `count`: the one whose density comes nearest to ``1 - sparsity``.
    dtype : dtype, optional
        Of the stored ones.

    Returns
    -------
    mask : scipy.sparse.csr_array
        Of shape (n, n) with exactly ``n**2 - (n - count)**2`` ones: `count` full rows and columns.

    Notes
    -----
    The symmetric global attention of [1]_ and [2]_ alone, without the window they combine it with;
    a target sparsity is met to within ``1 / n``.

    References
    ----------
    .. [1] I. Beltagy, M. E. Peters, A. Cohan, "Longformer: the long-document transformer", 2020,
       arXiv:2004.05150.
    .. [2] M. Zaheer et al., "Big Bird: transformers for longer sequences", NeurIPS 2020,
       arXiv:2007.14062.

    Examples
    --------
    >>> from spkernels import datasets
    >>> datasets.global_mask(4, 1, dtype=int).toarray()
    array([[1, 1, 1, 1],
           [1, 0, 0, 0],
           [1, 0, 0, 0],
           [1, 0, 0, 0]])
    """
    n = as_count("n", n, 1, INT32_MAX)
    count = _direct_or_nearest(
        n, "count", count, (0, n), sparsity, lambda g: n * n - (n - g) * (n - g)
    )
    lengths = np.where(np.arange(n) < count, n, count)
    return _ones(np.zeros(n, dtype=np.int64), lengths, n, dtype)


def random_mask(
    n: int,
    per_row: int | None = None,
    *,
    sparsity: float | None = None,
    rng: RNG = None,
    dtype: DTypeLike = np.float32,
) -> csr_array:
    """Make the mask of random attention: each query attends to as many random keys.

    Parameters
    ----------
    n : int
        Length of the sequence.
    per_row : int, optional
        Keys of each query, from 0 to n.
    sparsity : float, optional
        Instead of `per_row`: the one whose density comes nearest to ``1 - sparsity``.
    rng : int, numpy.random.Generator or None, optional
        Seeds the choice of keys; None draws fresh entropy.
    dtype : dtype, optional
        Of the stored ones.

    Returns
    -------
    mask : scipy.sparse.csr_array
        Of shape (n, n) with exactly `per_row` ones in each row, ``n * per_row`` in all.

    Notes
    -----
    The random attention of [1]_ alone.  A target sparsity is met to within ``1 / (2 * n)``.

    References
    ----------
    .. [1] M. Zaheer et al., "Big Bird: transformers for longer sequences", NeurIPS 2020,
       arXiv:2007.14062.

    Examples
    --------
    >>> from spkernels import datasets
    >>> datasets.random_mask(512, sparsity=0.9, rng=0).nnz == 512 * 51
    True
    """
    n = as_count("n", n, 1, INT32_MAX)
    per_row = _direct_or_nearest(n, "per_row", per_row, (0, n), sparsity, lambda r: n * r)
    nothing = np.empty(0, dtype=np.int64)
    flat = sample_rows(as_generator(rng), n, np.full(n, per_row), nothing)
    return from_positions(flat, np.ones(flat.size, dtype=as_dtype(dtype)), (n, n))


def bigbird_mask(
    n: int,
    block_size: int | None = None,
    *,
    window_blocks: int = 3,
    global_blocks: int = 2,
    random_blocks: int | None = None,
    sparsity: float | None = None,
    rng: RNG = None,
    dtype: DTypeLike = np.float32,
) -> csr_array:
    """Make the block mask of BigBird: a window, global and random attention together.

    Parameters
    ----------
    n : int
        Length of the sequence, a multiple of the block size.
    block_size : int, optional
        Tokens per side of a block.  By default 64; with `sparsity` the largest power of two up to
        64 that divides `n` and leaves a random block to each row of blocks.
    window_blocks : int, default 3
        Blocks of the window around the diagonal, itself included: an odd number.
    global_blocks : int, default 2
        Rows and columns of blocks that are full, the first ones.
    random_blocks : int, default 3
        Random blocks in each other row of blocks (all that are free, if those are fewer).
    sparsity : float, optional
        Instead of `random_blocks`: as many random blocks, spread evenly over the rows, as it takes.
    rng : int, numpy.random.Generator or None, optional
        Seeds the choice of random blocks; None draws fresh entropy.
    dtype : dtype, optional
        Of the stored ones.

    Returns
    -------
    mask : scipy.sparse.csr_array
        Of shape (n, n).  With ``s = n // block_size``, the number of full blocks is exactly
        ``round((1 - sparsity) * s**2)``, or, given `random_blocks`, ``global_blocks * s`` plus
        ``min(s, fixed + random_blocks)`` for each other row, where ``fixed`` counts its global
        blocks and those of its window that are not global.  Each has ``block_size**2`` ones.

    Raises
    ------
    ValueError
        Also if `sparsity` leaves no room for the window and the global blocks.

    Notes
    -----
    The defaults are the base model's of [1]_ in its internal construction (global tokens are the
    first of the sequence; the authors' program takes the first and the last block instead).  A
    target sparsity is met to within ``(block_size / n)**2 / 2``.

    References
    ----------
    .. [1] M. Zaheer et al., "Big Bird: transformers for longer sequences", NeurIPS 2020,
       arXiv:2007.14062.

    Examples
    --------
    >>> from spkernels import datasets
    >>> datasets.bigbird_mask(1024, rng=0).nnz == (2 * 16 + 14 * (2 + 3 + 3) - 2) * 64**2
    True
    >>> A = datasets.bigbird_mask(2048, sparsity=0.9, rng=0)
    >>> round(1 - A.nnz / 2048**2, 4)
    0.9
    """
    blocks, b = bigbird_blocks(
        n,
        block_size,
        window_blocks=window_blocks,
        global_blocks=global_blocks,
        random_blocks=random_blocks,
        sparsity=sparsity,
        rng=rng,
    )
    data = np.ones((blocks.nnz, b, b), dtype=as_dtype(dtype))
    return bsr_array((data, blocks.indices, blocks.indptr), shape=(n, n)).tocsr()


def _direct_or_nearest(
    n: int,
    name: str,
    value: int | None,
    bounds: tuple[int, int],
    sparsity: float | None,
    nnz: Callable[[np.ndarray], np.ndarray],
) -> int:
    """Return the parameter `name`, given as `value` or by the sparsity it should come nearest."""
    if (value is None) == (sparsity is None):
        given = "neither" if value is None else "both"
        raise ValueError(f"{name} or sparsity must be given, got {given}")
    if value is not None:
        return as_count(name, value, *bounds)
    choices = np.arange(bounds[0], bounds[1] + 1)
    target = (1 - as_sparsity(sparsity)) * n * n
    return int(choices[np.argmin(np.abs(nnz(choices) - target))])


def _ones(starts: np.ndarray, counts: np.ndarray, n: int, dtype: DTypeLike) -> csr_array:
    """Make a mask whose rows are one run of columns each."""
    indptr = np.concatenate([[0], np.cumsum(counts)])
    data = np.ones(indptr[-1], dtype=as_dtype(dtype))
    return make_csr(data, ranges(starts, counts), indptr, (n, n))
