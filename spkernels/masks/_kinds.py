"""The attention masks of the literature, each described by a rule."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp

from .._inputs.canonical import canonical_pattern
from .._inputs.dense import dense_array, is_single
from .._inputs.foreign import as_sparse, find_sparse
from .._inputs.scalars import as_count, as_generator
from . import _runs
from ._bigbird import bigbird_blocks
from ._mask import Mask, as_size
from ._sampling import sample_rows

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from .._inputs.scalars import RNG
    from .._inputs.types import SparseLike

__all__ = [
    "bigbird",
    "blocks",
    "causal",
    "causal_window",
    "dilated",
    "from_sparse",
    "full",
    "global_tokens",
    "random",
    "window",
]


class _Band(Mask):
    """Lets query i attend to keys ``i - below`` to ``i + above``; None sets no limit there."""

    def __init__(self, shape, below, above, text):
        super().__init__(shape)
        self._below, self._above, self._what = below, above, text

    def _rows(self, first, last):
        rows, cols = np.arange(first, last), self.shape[1]
        starts = np.zeros_like(rows) if self._below is None else rows - self._below
        stops = np.full_like(rows, cols) if self._above is None else rows + self._above + 1
        return _runs.one_per_row(np.clip(starts, 0, cols), np.clip(stops, 0, cols))

    def _text(self):
        return self._what


class _Dilated(Mask):
    def __init__(self, n, radius, dilation):
        super().__init__((n, n))
        self._radius, self._dilation = radius, dilation

    def _rows(self, first, last):
        # A larger radius names only keys outside of the matrix, and would cost memory for them.
        radius = min(self._radius, max(0, self.shape[1] - 1) // self._dilation)
        steps = np.arange(-radius, radius + 1) * self._dilation
        keys = np.arange(first, last)[:, None] + steps
        inside = (keys >= 0) & (keys < self.shape[1])
        indptr = np.concatenate([[0], np.cumsum(inside.sum(axis=1))])
        return _runs.from_csr(indptr, keys[inside])

    def _text(self):
        return f"dilated(radius={self._radius}, dilation={self._dilation})"


class _Global(Mask):
    def __init__(self, n, tokens):
        super().__init__((n, n))
        self._tokens = tokens  # ascending
        # Tokens that are neighbours make one run.
        self._starts, self._stops = _runs.from_csr(np.array([0, len(tokens)]), tokens)[1:]

    def _rows(self, first, last):
        n = self.shape[0]
        full = np.isin(np.arange(first, last), self._tokens)
        counts = np.where(full, 1, len(self._starts))
        offsets = np.concatenate([[0], np.cumsum(counts)])
        starts, stops = np.zeros(offsets[-1], np.int32), np.full(offsets[-1], n, np.int32)
        others = ~np.repeat(full, counts)
        partial = np.count_nonzero(~full)
        starts[others] = np.tile(self._starts, partial)
        stops[others] = np.tile(self._stops, partial)
        return offsets, starts, stops

    def _text(self):
        return f"global_tokens({len(self._tokens)} of them)"


class _Blocks(Mask):
    """Blocks of a grid; the column runs `grid` say which blocks of each row are attended."""

    def __init__(self, shape, height, width, grid, text):
        super().__init__(shape)
        self._height, self._width, self._grid, self._what = height, width, grid, text

    def _rows(self, first, last):
        offsets, starts, stops = self._grid
        row = np.arange(first, last) // self._height
        counts = np.diff(offsets)[row]
        ends = np.cumsum(counts)
        total = int(ends[-1]) if ends.size else 0
        which = np.arange(total) + np.repeat(offsets[row] - (ends - counts), counts)
        cols = self.shape[1]
        begin = np.minimum(starts[which].astype(np.int64) * self._width, cols)
        end = np.minimum(stops[which].astype(np.int64) * self._width, cols)
        return np.concatenate([[0], ends]), begin.astype(np.int32), end.astype(np.int32)

    def _text(self):
        return self._what


def full(n: int, m: int | None = None) -> Mask:
    """Let every query attend to every key.

    Parameters
    ----------
    n : int
        The number of queries.
    m : int, optional
        The number of keys; `n` by default.

    Returns
    -------
    Mask
        Of shape (n, m).

    Raises
    ------
    TypeError
        If a size is not an integer.
    ValueError
        If a size is negative or above 2147479551.

    Examples
    --------
    >>> from spkernels import masks
    >>> masks.full(2, 3).nnz
    6
    """
    return _Band(_shape(n, m), None, None, "full()")


def window(n: int, radius: int) -> Mask:
    """Let a query attend to the keys that are at most `radius` positions away [1]_.

    Parameters
    ----------
    n : int
        The length of the sequence.
    radius : int
        The number of keys on each side of a query; with 0 a query attends to itself alone.

    Returns
    -------
    Mask
        Of shape (n, n).

    Raises
    ------
    TypeError
        If an argument is not an integer.
    ValueError
        If an argument is negative or above 2147479551.

    References
    ----------
    .. [1] I. Beltagy, M. E. Peters, A. Cohan, "Longformer: the long-document transformer", 2020,
       arXiv:2004.05150.

    Examples
    --------
    >>> from spkernels import masks
    >>> masks.window(4, 1).toarray().astype(int)
    array([[1, 1, 0, 0],
           [1, 1, 1, 0],
           [0, 1, 1, 1],
           [0, 0, 1, 1]])
    """
    radius = as_size(radius, "radius")
    return _Band(_shape(n), radius, radius, f"window(radius={radius})")


def causal(n: int, m: int | None = None, *, offset: int = 0) -> Mask:
    """Let a query attend to itself and to the keys before it.

    Parameters
    ----------
    n : int
        The number of queries.
    m : int, optional
        The number of keys; `n` by default.
    offset : int, optional
        The number of keys before the first query's own key.  Use ``m - n`` where the queries are
        the last ones of the sequence, as in decoding with a cache of earlier keys.

    Returns
    -------
    Mask
        Of shape (n, m): query i attends to keys 0 to ``i + offset``.

    Raises
    ------
    TypeError
        If an argument is not an integer.
    ValueError
        If a size is negative or above 2147479551.

    Examples
    --------
    >>> from spkernels import masks
    >>> masks.causal(2, 4, offset=2).toarray().astype(int)
    array([[1, 1, 1, 0],
           [1, 1, 1, 1]])
    """
    shape = _shape(n, m)
    try:
        offset = operator.index(offset)
    except TypeError:
        raise TypeError(f"offset must be an integer, got {offset!r}") from None
    # Offsets outside of this range describe the same mask, but may not fit the runs' 32 bits.
    reach = max(-shape[0], min(offset, shape[1]))
    return _Band(shape, None, reach, f"causal(offset={offset})")


def causal_window(n: int, width: int) -> Mask:
    """Let a query attend to the last `width` keys, its own key included [1]_.

    Parameters
    ----------
    n : int
        The length of the sequence.
    width : int
        The number of keys of a query, at least 1.  The first queries have fewer.

    Returns
    -------
    Mask
        Of shape (n, n).

    Raises
    ------
    TypeError
        If an argument is not an integer.
    ValueError
        If an argument is out of range.

    References
    ----------
    .. [1] A. Q. Jiang et al., "Mistral 7B", 2023, arXiv:2310.06825.

    Examples
    --------
    >>> from spkernels import masks
    >>> masks.causal_window(4, 2).toarray().astype(int)
    array([[1, 0, 0, 0],
           [1, 1, 0, 0],
           [0, 1, 1, 0],
           [0, 0, 1, 1]])
    """
    width = as_size(width, "width", 1)
    return _Band(_shape(n), width - 1, 0, f"causal_window({width})")


def dilated(n: int, radius: int, dilation: int) -> Mask:
    """Let a query attend to every `dilation`-th key around it, `radius` keys on each side [1]_.

    Parameters
    ----------
    n : int
        The length of the sequence.
    radius : int
        The number of keys on each side of a query.
    dilation : int
        The distance between neighbouring keys of a query, in positions; at least 1.

    Returns
    -------
    Mask
        Of shape (n, n).

    Raises
    ------
    TypeError
        If an argument is not an integer.
    ValueError
        If an argument is out of range.

    References
    ----------
    .. [1] I. Beltagy, M. E. Peters, A. Cohan, "Longformer: the long-document transformer", 2020,
       arXiv:2004.05150.

    Examples
    --------
    >>> from spkernels import masks
    >>> masks.dilated(5, 1, 2).toarray().astype(int)
    array([[1, 0, 1, 0, 0],
           [0, 1, 0, 1, 0],
           [1, 0, 1, 0, 1],
           [0, 1, 0, 1, 0],
           [0, 0, 1, 0, 1]])
    """
    n = _shape(n)[0]
    radius, dilation = as_size(radius, "radius"), as_size(dilation, "dilation", 1)
    if dilation == 1:
        return _Band((n, n), radius, radius, f"dilated(radius={radius}, dilation=1)")
    return _Dilated(n, radius, dilation)


def global_tokens(n: int, tokens: int | ArrayLike) -> Mask:
    """Let some tokens attend to all tokens, and all tokens attend to them [1]_.

    Parameters
    ----------
    n : int
        The length of the sequence.
    tokens : int or array_like of int
        The positions of the global tokens.  An integer k stands for the first k positions.

    Returns
    -------
    Mask
        Of shape (n, n).

    Raises
    ------
    TypeError
        If `tokens` is neither an integer nor a vector of integers.
    ValueError
        If a position is outside of the sequence, or an argument is out of range.

    References
    ----------
    .. [1] M. Zaheer et al., "Big Bird: transformers for longer sequences", NeurIPS 2020,
       arXiv:2007.14062.

    Examples
    --------
    >>> from spkernels import masks
    >>> masks.global_tokens(3, [1]).toarray().astype(int)
    array([[0, 1, 0],
           [1, 1, 1],
           [0, 1, 0]])
    """
    n = _shape(n)[0]
    if is_single(tokens):
        count = as_size(tokens, "tokens")
        if count > n:
            raise ValueError(f"tokens must be at most the length {n}, got {count}")
        which = np.arange(count)
    else:
        which = dense_array(tokens, "tokens")
        if which.ndim != 1 or (which.size and which.dtype.kind not in "iu"):
            raise TypeError(f"tokens must be an integer or a vector of them, got {tokens!r}")
        which = np.unique(which).astype(np.int64)
        if which.size and (which[0] < 0 or which[-1] >= n):
            raise ValueError(f"tokens must be from 0 to {n - 1}, got {which[0]} to {which[-1]}")
    return _Global(n, which)


def random(n: int, per_row: int, *, rng: RNG = None) -> Mask:
    """Let a query attend to `per_row` keys that are drawn uniformly [1]_.

    Parameters
    ----------
    n : int
        The length of the sequence.
    per_row : int
        The number of keys of each query, from 0 to `n`.
    rng : int, numpy.random.Generator or None, optional
        Seeds the draw.

    Returns
    -------
    Mask
        Of shape (n, n).  No rule describes random keys, so this mask stores them.

    Raises
    ------
    TypeError
        If a number is not an integer.
    ValueError
        If a number is out of range.

    References
    ----------
    .. [1] M. Zaheer et al., "Big Bird: transformers for longer sequences", NeurIPS 2020,
       arXiv:2007.14062.

    Examples
    --------
    >>> from spkernels import masks
    >>> masks.random(512, 51, rng=0).nnz == 512 * 51
    True
    """
    n = _shape(n)[0]
    if n == 0 and as_size(per_row, "per_row") == 0:
        return full(0)
    per_row = as_count("per_row", per_row, 0, n)
    flat = sample_rows(as_generator(rng), n, np.full(n, per_row), np.empty(0, np.int64))
    runs = _runs.from_csr(np.arange(n + 1) * per_row, flat % n)
    return _Blocks((n, n), 1, 1, runs, f"random(per_row={per_row})")


def bigbird(
    n: int,
    block_size: int = 64,
    *,
    window_blocks: int = 3,
    global_blocks: int = 2,
    random_blocks: int = 3,
    rng: RNG = None,
) -> Mask:
    """Let a query attend to blocks of a window, to global blocks and to random blocks [1]_.

    Parameters
    ----------
    n : int
        The length of the sequence, a multiple of the block size.
    block_size : int, optional
        The side of a block, in tokens.
    window_blocks : int, optional
        The number of blocks of the window around the diagonal, the diagonal block included.  It
        must be odd.
    global_blocks : int, optional
        The number of rows and of columns of blocks, from the first, that are full.
    random_blocks : int, optional
        The number of random blocks in each row of blocks that is not global.  A row with fewer
        free blocks gets all of its free blocks.
    rng : int, numpy.random.Generator or None, optional
        Seeds the choice of random blocks.

    Returns
    -------
    Mask
        Of shape (n, n).

    Raises
    ------
    TypeError
        If a number is not an integer.
    ValueError
        If a number is out of range, or `n` is not a multiple of the block size.

    References
    ----------
    .. [1] M. Zaheer et al., "Big Bird: transformers for longer sequences", NeurIPS 2020,
       arXiv:2007.14062.

    Examples
    --------
    >>> from spkernels import masks
    >>> masks.bigbird(1024, rng=0).nnz == (2 * 16 + 14 * (2 + 3 + 3) - 2) * 64**2
    True
    """
    grid, size = bigbird_blocks(
        n,
        block_size,
        window_blocks=window_blocks,
        global_blocks=global_blocks,
        random_blocks=random_blocks,
        rng=rng,
    )
    runs = _runs.from_csr(grid.indptr, grid.indices)
    return _Blocks((n, n), size, size, runs, f"bigbird(block_size={size})")


def blocks(
    shape: tuple[int, int], block_size: int | tuple[int, int], positions: ArrayLike | SparseLike
) -> Mask:
    """Let the queries of each block attend to the keys of chosen blocks.

    Parameters
    ----------
    shape : (int, int)
        The numbers of queries and keys.  The last blocks may reach beyond these.
    block_size : int or (int, int)
        The numbers of queries and keys of a block.  One integer stands for both.
    positions : array_like of shape (blocks, 2), or sparse array
        The row and the column of each attended block, counted in blocks; or a sparse array of the
        shape of the grid, with an entry for each attended block.

    Returns
    -------
    Mask
        Of shape `shape`.

    Raises
    ------
    ValueError
        If an argument has another shape, or a block lies outside of the grid.
    TypeError
        If a size is not an integer.

    Examples
    --------
    >>> from spkernels import masks
    >>> masks.blocks((4, 6), (2, 3), [(0, 1), (1, 0)]).toarray().astype(int)
    array([[0, 0, 0, 1, 1, 1],
           [0, 0, 0, 1, 1, 1],
           [1, 1, 1, 0, 0, 0],
           [1, 1, 1, 0, 0, 0]])
    """
    try:
        rows, cols = shape
        sides: Any = (block_size,) * 2 if is_single(block_size) else block_size
        height, width = sides
    except (TypeError, ValueError):
        raise ValueError(
            f"shape and block_size must be pairs of integers, got {shape!r} and {block_size!r}"
        ) from None
    rows, cols = as_size(rows, "shape"), as_size(cols, "shape")
    height, width = as_size(height, "block_size", 1), as_size(width, "block_size", 1)
    extent = (-(-rows // height), -(-cols // width))
    sparse = find_sparse(positions, "positions")
    if sparse is not None:
        grid = _canonical(sparse, "positions")
        if grid.shape != extent:
            raise ValueError(f"positions must have shape {extent}, got {grid.shape}")
    else:
        pairs = dense_array(positions, "positions")
        pairs = pairs.reshape(-1, 2) if pairs.size == 0 else pairs
        if pairs.ndim != 2 or pairs.shape[1] != 2 or (pairs.size and pairs.dtype.kind not in "iu"):
            raise ValueError(
                f"positions must be pairs of integers, got {pairs.dtype} of shape {pairs.shape}"
            )
        if pairs.size and (pairs.min() < 0 or (pairs >= extent).any()):
            raise ValueError(f"positions must lie in a grid of {extent} blocks")
        pairs = pairs.astype(np.int64)
        ones = np.ones(len(pairs), bool)
        grid = _canonical(sp.coo_array((ones, (pairs[:, 0], pairs[:, 1])), shape=extent), "")
    runs = _runs.from_csr(grid.indptr, grid.indices)
    return _Blocks((rows, cols), height, width, runs, f"blocks({grid.nnz} of {height}x{width})")


def from_sparse(P: SparseLike) -> Mask:
    """Let a query attend to the keys that its row of a sparse matrix has entries for.

    Parameters
    ----------
    P : sparse array or matrix of shape (n, m)
        Its structure is the mask.  Values do not matter: an explicit zero is attended, too.

    Returns
    -------
    Mask
        Of shape (n, m).

    Raises
    ------
    TypeError, ValueError
        If `P` is not sparse, is corrupted, or has more than 2147479551 rows or columns.

    Examples
    --------
    >>> import scipy.sparse as sp
    >>> from spkernels import masks
    >>> masks.from_sparse(sp.eye_array(3)).nnz
    3
    """
    P = as_sparse(P, "P")
    csr = _canonical(P, "P")
    runs = _runs.from_csr(csr.indptr, csr.indices)
    return _Blocks(csr.shape, 1, 1, runs, f"from_sparse({csr.nnz} entries)")


def _canonical(P, name):
    if P.ndim != 2:
        raise ValueError(f"{name} must be 2-D, got shape {P.shape}")
    as_size(P.shape[0], f"{name}.shape[0]")
    as_size(P.shape[1], f"{name}.shape[1]")
    return canonical_pattern(P, name)


def _shape(n, m=None):
    n = as_size(n, "n")
    return n, n if m is None else as_size(m, "m")
