"""The generator of graphs with a power-law distribution of degrees."""

from __future__ import annotations

import numpy as np
from numpy.typing import DTypeLike
from scipy.sparse import csr_array

from .._inputs.assemble import from_positions
from .._inputs.scalars import RNG, as_count, as_dtype, as_generator, as_real
from ..masks._sampling import largest, merged
from ._csr import check_area

# If edges are more than this share of all pairs, many draws repeat an edge, and it is cheaper to
# rank all pairs.
_CROWDED = 1 / 4


def power_law_graph(
    n: int,
    avg_degree: float,
    exponent: float = 2.5,
    *,
    symmetric: bool = True,
    rng: RNG = None,
    dtype: DTypeLike = np.float32,
) -> csr_array:
    r"""Make the adjacency matrix of a random graph with power-law degrees.

    Parameters
    ----------
    n : int
        The number of nodes.
    avg_degree : float
        The mean number of entries per row, from 0 to n - 1.
    exponent : float, default 2.5
        The exponent of the degree distribution, larger than 2: the number of nodes of degree k
        falls as ``k**-exponent``.
    symmetric : bool, default True
        Whether edges have no direction.
    rng : int, numpy.random.Generator or None, optional
        Seeds the edges; None draws fresh entropy.
    dtype : dtype, optional
        The dtype of the stored ones.

    Returns
    -------
    A : scipy.sparse.csr_array
        Of shape (n, n), without loops and duplicates, with exactly ``round(n * avg_degree)`` ones,
        or ``2 * round(n * avg_degree / 2)`` ones if symmetric.

    Raises
    ------
    TypeError
        If an argument has the wrong type.
    ValueError
        If an argument is out of range.

    Notes
    -----
    This is the model of Chung and Lu [1]_: node i has weight
    :math:`(i + i_0)^{-1/(\gamma - 1)}`, with :math:`i_0` such that no expected degree exceeds
    :math:`\sqrt{n d}`, above which the model is no longer accurate; d is the average degree.  As in
    [2]_, both ends of an edge are drawn in proportion to the weights.  Loops and repeated edges are
    drawn again until the number of edges is exact.  Then nodes are numbered at random.  In a
    directed graph a node with a large in-degree has a large out-degree, too.

    References
    ----------
    .. [1] F. Chung, L. Lu, "The average distances in random graphs with given expected degrees",
       PNAS 99, 2002.
    .. [2] A. Pinar, C. Seshadhri, T. G. Kolda, "The similarity between stochastic Kronecker and
       Chung-Lu graph models", SDM 2012, arXiv:1110.4925.

    Examples
    --------
    >>> from spkernels import datasets
    >>> A = datasets.power_law_graph(10_000, 8, rng=0)
    >>> A.nnz, int(abs(A - A.T).sum())
    (80000, 0)
    """
    n = as_count("n", n)
    check_area("n", n, n)
    avg_degree, exponent = as_real("avg_degree", avg_degree), as_real("exponent", exponent)
    if not 0 <= avg_degree <= n - 1:
        raise ValueError(f"avg_degree must be from 0 to {n - 1}, got {avg_degree}")
    if exponent <= 2:
        raise ValueError(f"exponent must be larger than 2, got {exponent}")
    kind, rng = as_dtype(dtype), as_generator(rng)
    pairs = n * (n - 1) // 2 if symmetric else n * (n - 1)
    edges = round(n * avg_degree / 2) if symmetric else round(n * avg_degree)
    weights = rng.permutation(_weights(n, avg_degree, exponent))
    draw = _ranked_edges if edges > _CROWDED * pairs else _drawn_edges
    flat = draw(rng, weights, edges, symmetric)
    if symmetric:
        flat = np.concatenate([flat, flat % n * n + flat // n])
    return from_positions(np.sort(flat), np.ones(flat.size, dtype=kind), (n, n))


def _weights(n: int, avg_degree: float, exponent: float) -> np.ndarray:
    share = (exponent - 2) / (exponent - 1) * np.sqrt(avg_degree / n)
    return (np.arange(1, n + 1) + n * share ** (exponent - 1)) ** (-1 / (exponent - 1))


def _drawn_edges(
    rng: np.random.Generator, weights: np.ndarray, edges: int, symmetric: bool
) -> np.ndarray:
    """Draw edges one after the other, and drop loops and repetitions."""
    n = weights.size
    cumulated = np.cumsum(weights)
    found = np.empty(0, dtype=np.int64)
    while found.size < edges:
        count = edges - found.size
        ends = cumulated.searchsorted(rng.random((2, count)) * cumulated[-1], side="right")
        rows, cols = (ends.min(axis=0), ends.max(axis=0)) if symmetric else ends
        # A round draws only the missing number of edges, so that no edge must be removed again.
        found = merged(found, (rows * n + cols)[rows != cols])
    return found


def _ranked_edges(
    rng: np.random.Generator, weights: np.ndarray, edges: int, symmetric: bool
) -> np.ndarray:
    """Draw from the same distribution as `_drawn_edges` by the Gumbel-top-k trick.

    It ranks all pairs of nodes, in time and memory of n * n.
    """
    n = weights.size
    logs = np.log(weights)
    keys = logs[:, None] + logs + rng.gumbel(size=(n, n))
    keys[np.tri(n, dtype=bool) if symmetric else np.eye(n, dtype=bool)] = -np.inf
    return largest(keys.ravel(), edges)
