"""Generators of attention masks as CSR arrays; `spkernels.masks` describes masks by rules."""

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
        The length of the sequence.
    radius : int, optional
        The number of keys on each side of a query, from 0 to n - 1: half the window size w of [1]_.
    sparsity : float, optional
        Takes the place of `radius`: the radius is used whose density is nearest to
        ``1 - sparsity``.
    dtype : dtype, optional
        The dtype of the stored ones.

    Returns
    -------
    mask : scipy.sparse.csr_array
        Of shape (n, n) with exactly ``n * (2 * radius + 1) - radius * (radius + 1)`` ones.

    Raises
    ------
    ValueError
        If an argument is out of range, or not exactly one of `radius` and `sparsity` is given.

    Notes
    -----
    A step of the radius changes the density by less than ``2 / n``.  So a target sparsity is met to
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
    """Make the mask of global attention: some tokens attend to all, and all attend to them.

    Parameters
    ----------
    n : int
        The length of the sequence.
    count : int, optional
        The number of global tokens, from 0 to n.  They are the first tokens of the sequence.
    sparsity : float, optional
        Takes the place of `count`: the count is used whose density is nearest to ``1 - sparsity``.
    dtype : dtype, optional
        The dtype of the stored ones.

    Returns
    -------
    mask : scipy.sparse.csr_array
        Of shape (n, n) with exactly ``n**2 - (n - count)**2`` ones: `count` full rows and columns.

    Raises
    ------
    ValueError
        If an argument is out of range, or not exactly one of `count` and `sparsity` is given.

    Notes
    -----
    This is the symmetric global attention of [1]_ and [2]_, without the window that they combine it
    with.  A target sparsity is met to within ``1 / n``.

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
    """Make the mask of random attention: each query attends to `per_row` random keys.

    Parameters
    ----------
    n : int
        The length of the sequence.
    per_row : int, optional
        The number of keys of each query, from 0 to n.
    sparsity : float, optional
        Takes the place of `per_row`: the number is used whose density is nearest to
        ``1 - sparsity``.
    rng : int, numpy.random.Generator or None, optional
        Seeds the choice of keys; None draws fresh entropy.
    dtype : dtype, optional
        The dtype of the stored ones.

    Returns
    -------
    mask : scipy.sparse.csr_array
        Of shape (n, n) with exactly `per_row` ones in each row, ``n * per_row`` in all.

    Raises
    ------
    ValueError
        If an argument is out of range, or not exactly one of `per_row` and `sparsity` is given.

    Notes
    -----
    This is the random attention of [1]_ alone.  A target sparsity is met to within
    ``1 / (2 * n)``.

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
    """Make the block mask of BigBird, which combines window, global and random attention.

    Parameters
    ----------
    n : int
        The length of the sequence, a multiple of the block size.
    block_size : int, optional
        The side of a block, in tokens.  By default this is 64 or, with `sparsity`, the largest
        power of two up to 64 that divides `n` and leaves a random block to each row of blocks.
    window_blocks : int, default 3
        The number of blocks of the window around the diagonal, the diagonal block included.  It
        must be odd.
    global_blocks : int, default 2
        The number of rows and of columns of blocks, from the first, that are full.
    random_blocks : int, default 3
        The number of random blocks in each row of blocks that is not global.  A row with fewer free
        blocks gets all of its free blocks.
    sparsity : float, optional
        Takes the place of `random_blocks`: the number of random blocks that reaches this sparsity
        is spread evenly over the rows.
    rng : int, numpy.random.Generator or None, optional
        Seeds the choice of random blocks; None draws fresh entropy.
    dtype : dtype, optional
        The dtype of the stored ones.

    Returns
    -------
    mask : scipy.sparse.csr_array
        Of shape (n, n).  With ``s = n // block_size``, the number of full blocks is exactly
        ``round((1 - sparsity) * s**2)``.  Given `random_blocks`, it is ``global_blocks * s`` plus
        ``min(s, fixed + random_blocks)`` for each other row, where ``fixed`` counts the row's
        global blocks and the blocks of its window that are not global.  Each block has
        ``block_size**2`` ones.

    Raises
    ------
    ValueError
        If an argument is out of range, or `sparsity` leaves no room for the window and the global
        blocks.

    Notes
    -----
    The defaults are those of the base model of [1]_ in its internal construction, whose global
    tokens are the first of the sequence.  The authors' program takes the first and the last block
    instead.  A target sparsity is met to within ``(block_size / n)**2 / 2``.

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
    """Return the parameter `name`: its `value` if given, else the one nearest to `sparsity`.

    `nnz` returns the number of entries for an array of values of the parameter.
    """
    if (value is None) == (sparsity is None):
        given = "neither" if value is None else "both"
        raise ValueError(f"{name} or sparsity must be given, got {given}")
    if value is not None:
        return as_count(name, value, *bounds)
    choices = np.arange(bounds[0], bounds[1] + 1)
    target = (1 - as_sparsity(sparsity)) * n * n
    return int(choices[np.argmin(np.abs(nnz(choices) - target))])


def _ones(starts: np.ndarray, counts: np.ndarray, n: int, dtype: DTypeLike) -> csr_array:
    """Return a mask of n columns whose row i has ones in one run from column ``starts[i]``."""
    indptr = np.concatenate([[0], np.cumsum(counts)])
    data = np.ones(indptr[-1], dtype=as_dtype(dtype))
    return make_csr(data, ranges(starts, counts), indptr, (n, n))
