"""Generators of pruned layers: weight matrices with most weights removed."""

from __future__ import annotations

from typing import Literal, overload

import numpy as np
from numpy.typing import DTypeLike
from scipy.sparse import bsr_array, csr_array

from .._inputs.assemble import from_positions
from .._inputs.scalars import RNG, as_count, as_dtype, as_generator, as_real, as_sparsity, kept
from ..masks._sampling import largest, sample
from ._csr import check_area, standard_normal


def magnitude_pruned(
    m: int,
    n: int,
    sparsity: float,
    *,
    row_spread: float = 0.07,
    col_spread: float = 0.055,
    rng: RNG = None,
    dtype: DTypeLike = np.float32,
) -> csr_array:
    r"""Make a layer that is pruned by the magnitude of its weights.

    The weights are :math:`r_i c_j g_{ij}`: Gaussian :math:`g`, with a log-normal scale for each
    row and column.  The largest weights of the whole matrix are kept, as in global magnitude
    pruning [1]_, so that rows and columns with a larger scale keep more weights.

    Parameters
    ----------
    m, n : int
        The numbers of rows (outputs) and columns (inputs).
    sparsity : float
        The share of zeros, from 0 to 1.
    row_spread, col_spread : float
        The standard deviations of the logarithms of the row and column scales; 0 for no spread.
    rng : int, numpy.random.Generator or None, optional
        Seeds the weights; None draws fresh entropy.
    dtype : dtype, optional
        The dtype of the values, floating or complex.

    Returns
    -------
    A : scipy.sparse.csr_array
        Of shape (m, n), with exactly ``round((1 - sparsity) * m * n)`` entries: the kept weights.

    Raises
    ------
    TypeError
        If an argument has the wrong type.
    ValueError
        If an argument is out of range.

    See Also
    --------
    random_pruned : makes rows whose lengths differ by chance alone.

    Notes
    -----
    The spread of row lengths grows with sparsity.  The default scales follow the magnitude-pruned
    Transformer layers of the Deep Learning Matrix Collection (DLMC) [2]_.  The table compares
    coefficients of variation (standard deviation over mean) of row lengths.  For DLMC it gives the
    median of 97 layers and the range of the middle 80%.  "Generated" is this function at 512 x 512,
    and "uniform" a uniform choice:

    ========  =================  =========  =======
    sparsity  DLMC               generated  uniform
    ========  =================  =========  =======
    0.5       0.10 (0.06, 0.20)  0.07       0.04
    0.7       0.19 (0.12, 0.32)  0.13       0.07
    0.8       0.16 (0.11, 0.28)  0.18       0.09
    0.9       0.25 (0.17, 0.40)  0.26       0.13
    0.95      0.36 (0.22, 0.59)  0.36       0.19
    0.98      0.47 (0.31, 0.83)  0.51       0.31
    ========  =================  =========  =======

    The ResNet-50 layers of DLMC spread more: ``row_spread=0.09, col_spread=0.11`` are their
    medians.

    All m * n weights are drawn in float64 before they are pruned.

    References
    ----------
    .. [1] T. Gale, E. Elsen, S. Hooker, "The state of sparsity in deep neural networks", 2019,
       arXiv:1902.09574.
    .. [2] T. Gale, M. Zaharia, C. Young, E. Elsen, "Sparse GPU kernels for deep learning", SC
       2020, arXiv:2006.10901.

    Examples
    --------
    >>> from spkernels import datasets
    >>> A = datasets.magnitude_pruned(512, 2048, 0.9, rng=0)
    >>> A.shape, A.nnz, A.dtype
    ((512, 2048), 104858, dtype('float32'))
    """
    m, n, sparsity = as_count("m", m), as_count("n", n), as_sparsity(sparsity)
    check_area("m, n", m, n)
    spreads = []
    for name, value in (("row_spread", row_spread), ("col_spread", col_spread)):
        spreads.append(as_real(name, value))
        if spreads[-1] < 0:
            raise ValueError(f"{name} must be a standard deviation of at least 0, got {value}")
    kind, rng = as_dtype(dtype, "fc"), as_generator(rng)
    row_scale = np.exp(spreads[0] * rng.standard_normal(m))
    col_scale = np.exp(spreads[1] * rng.standard_normal(n))
    wide = np.dtype(np.complex128 if kind.kind == "c" else np.float64)
    weights = standard_normal(rng, m * n, wide).reshape(m, n)
    weights *= row_scale[:, None]
    weights *= col_scale
    flat = largest(np.abs(weights).ravel(), kept(m * n, sparsity))
    return from_positions(flat, weights.ravel()[flat].astype(kind), (m, n))


def random_pruned(
    m: int, n: int, sparsity: float, *, rng: RNG = None, dtype: DTypeLike = np.float32
) -> csr_array:
    """Make a layer that is pruned at random: every position is equally likely to stay.

    Parameters
    ----------
    m, n : int
        The numbers of rows (outputs) and columns (inputs).
    sparsity : float
        The share of zeros, from 0 to 1.
    rng : int, numpy.random.Generator or None, optional
        Seeds the positions and values; None draws fresh entropy.
    dtype : dtype, optional
        The dtype of the values, floating or complex.

    Returns
    -------
    A : scipy.sparse.csr_array
        Of shape (m, n), with exactly ``round((1 - sparsity) * m * n)`` entries.  Their values are
        standard normal.

    Raises
    ------
    TypeError
        If an argument has the wrong type.
    ValueError
        If an argument is out of range.

    Notes
    -----
    This is the baseline "random pruning" of [1]_.

    References
    ----------
    .. [1] T. Gale, E. Elsen, S. Hooker, "The state of sparsity in deep neural networks", 2019,
       arXiv:1902.09574.

    Examples
    --------
    >>> from spkernels import datasets
    >>> datasets.random_pruned(64, 147, 0.9, rng=0).nnz
    941
    """
    m, n, sparsity = as_count("m", m), as_count("n", n), as_sparsity(sparsity)
    check_area("m, n", m, n)
    kind, rng = as_dtype(dtype, "fc"), as_generator(rng)
    flat = sample(rng, m * n, kept(m * n, sparsity))
    return from_positions(flat, standard_normal(rng, flat.size, kind), (m, n))


def nm_pruned(
    m: int, n: int, N: int, M: int, *, rng: RNG = None, dtype: DTypeLike = np.float32
) -> csr_array:
    """Make a layer of N:M sparsity: the N largest of every M neighbouring weights of a row stay.

    Parameters
    ----------
    m, n : int
        The numbers of rows (outputs) and columns (inputs).
    N, M : int
        The number of weights that stay in a group, and the number of weights of a group;
        ``0 <= N <= M``.
    rng : int, numpy.random.Generator or None, optional
        Seeds the weights; None draws fresh entropy.
    dtype : dtype, optional
        The dtype of the values, floating or complex.

    Returns
    -------
    A : scipy.sparse.csr_array
        Of shape (m, n), with exactly ``m * (n // M * N + min(N, n % M))`` entries.  If M does not
        divide n, the shorter last group of each row keeps N weights too, or all if it has fewer.
        If M divides n, the density is N / M.

    Raises
    ------
    TypeError
        If an argument has the wrong type.
    ValueError
        If an argument is out of range.

    Notes
    -----
    The weights are standard normal before they are pruned.  Sparse tensor cores take 2:4 [1]_;
    [2]_ trains general N:M patterns.

    References
    ----------
    .. [1] A. Mishra et al., "Accelerating sparse deep neural networks", 2021, arXiv:2104.08378.
    .. [2] A. Zhou et al., "Learning N:M fine-grained structured sparse neural networks from
       scratch", ICLR 2021, arXiv:2102.04010.

    Examples
    --------
    >>> from spkernels import datasets
    >>> A = datasets.nm_pruned(2, 8, 2, 4, rng=0, dtype=float)
    >>> (A.toarray() != 0).reshape(2, 2, 4).sum(axis=2)
    array([[2, 2],
           [2, 2]])
    """
    m, n, M = as_count("m", m), as_count("n", n), as_count("M", M)
    check_area("m, n", m, n)
    N = as_count("N", N, 0, M)
    kind, rng = as_dtype(dtype, "fc"), as_generator(rng)
    groups = -(-n // M)
    weights = standard_normal(rng, m * n, kind).reshape(m, n)
    magnitude = np.full((m, groups * M), -1.0)
    magnitude[:, :n] = np.abs(weights)
    order = np.argsort(magnitude.reshape(m, groups, M), axis=2)[:, :, M - N :]
    cols = np.sort((order + np.arange(groups)[:, None] * M).reshape(m, groups * N), axis=1)
    # Padding of the last group ranks below every weight, and its columns are at the end of a row:
    # the cut drops it.
    cols = cols[:, : n // M * N + min(N, n % M)]
    flat = (cols + np.arange(m)[:, None] * n).ravel()
    return from_positions(flat, weights.ravel()[flat], (m, n))


@overload
def block_pruned(
    m: int,
    n: int,
    block: tuple[int, int],
    sparsity: float,
    *,
    format: Literal["csr"] = "csr",
    rng: RNG = None,
    dtype: DTypeLike = np.float32,
) -> csr_array: ...
@overload
def block_pruned(
    m: int,
    n: int,
    block: tuple[int, int],
    sparsity: float,
    *,
    format: Literal["bsr"],
    rng: RNG = None,
    dtype: DTypeLike = np.float32,
) -> bsr_array: ...
def block_pruned(
    m: int,
    n: int,
    block: tuple[int, int],
    sparsity: float,
    *,
    format: Literal["csr", "bsr"] = "csr",
    rng: RNG = None,
    dtype: DTypeLike = np.float32,
) -> csr_array | bsr_array:
    """Make a layer that is pruned by blocks: random blocks stay, and all others are removed.

    Parameters
    ----------
    m, n : int
        The numbers of rows (outputs) and columns (inputs), multiples of those of a block.
    block : (int, int)
        The numbers of rows and columns of a block; ``(V, 1)`` for column vectors.
    sparsity : float
        The share of blocks that are removed, from 0 to 1.
    format : {"csr", "bsr"}, default "csr"
        The format of the result.
    rng : int, numpy.random.Generator or None, optional
        Seeds the blocks and values; None draws fresh entropy.
    dtype : dtype, optional
        The dtype of the values, floating or complex.

    Returns
    -------
    A : scipy.sparse.csr_array or scipy.sparse.bsr_array
        Of shape (m, n), with exactly ``round((1 - sparsity) * (m // R) * (n // C))`` blocks for
        ``block = (R, C)``.  Each block has R * C standard normal values.

    Raises
    ------
    TypeError
        If an argument has the wrong type.
    ValueError
        If an argument is out of range, or a block does not divide the matrix.

    Notes
    -----
    Such layers are trained in [1]_.  [2]_ trains them, too, and describes kernels for them.

    References
    ----------
    .. [1] S. Narang, E. Undersander, G. Diamos, "Block-sparse recurrent neural networks", 2017,
       arXiv:1711.02782.
    .. [2] S. Gray, A. Radford, D. P. Kingma, "GPU kernels for block-sparse weights", 2017.

    Examples
    --------
    >>> from spkernels import datasets
    >>> A = datasets.block_pruned(64, 64, (16, 1), 0.95, rng=0)
    >>> A.nnz == round(0.05 * 4 * 64) * 16
    True
    """
    try:
        R, C = block
    except (TypeError, ValueError):
        raise ValueError(f"block must be (rows, columns), got {block!r}") from None
    R, C, m, n = (as_count(*pair) for pair in (("block", R), ("block", C), ("m", m), ("n", n)))
    sparsity = as_sparsity(sparsity)
    for name, size, part in (("m", m, R), ("n", n, C)):
        if size % part:
            raise ValueError(f"{name} must be a multiple of the block's {part}, got {size}")
    if format not in ("csr", "bsr"):
        raise ValueError(f"format must be 'csr' or 'bsr', got {format!r}")
    check_area("m, n", m, n)
    kind, rng = as_dtype(dtype, "fc"), as_generator(rng)
    rows, cols = m // R, n // C
    flat = sample(rng, rows * cols, kept(rows * cols, sparsity))
    values = standard_normal(rng, flat.size * R * C, kind).reshape(flat.size, R, C)
    grid = from_positions(flat, np.ones(flat.size, dtype=np.bool_), (rows, cols))
    blocks = bsr_array((values, grid.indices, grid.indptr), shape=(m, n))
    return blocks if format == "bsr" else blocks.tocsr()
