"""Sparse matrices for tests and measurements: files of common formats, and seeded generators.

`load` reads the ``.smtx`` files of the Deep Learning Matrix Collection, and Matrix Market, NumPy
and MATLAB files, compressed or not.  The generators make the sparsity patterns of deep learning:
pruned layers, attention masks and graphs.  Each generator makes an exact, documented number of
nonzeros.  An integer ``rng`` always makes the same matrix, as long as NumPy does not change its
random streams.  All matrices are arrays of scipy.sparse, ready for the functions of `spkernels`.
"""

from .._runtime.public import publish
from ._fetch import fetch_dlmc, fetch_suitesparse
from ._graphs import power_law_graph
from ._io import find, keys, load
from ._masks import bigbird_mask, global_mask, random_mask, window_mask
from ._pruned import block_pruned, magnitude_pruned, nm_pruned, random_pruned
from ._smtx import save_smtx

__all__ = [
    "bigbird_mask",
    "block_pruned",
    "fetch_dlmc",
    "fetch_suitesparse",
    "find",
    "keys",
    "global_mask",
    "load",
    "magnitude_pruned",
    "nm_pruned",
    "power_law_graph",
    "random_mask",
    "random_pruned",
    "save_smtx",
    "window_mask",
]

publish(__name__, *map(globals().get, __all__))
