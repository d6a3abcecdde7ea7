"""Two steps of a graph network: mean of the neighbours' features, and a score for each edge.

Run it with the Python that has spkernels: ``python examples/graph.py``.
"""

from timeit import repeat

import numpy as np
import scipy.sparse as sp

from spkernels import datasets, prepare, sddmm

NODES, FEATURES = 20_000, 64

rng = np.random.default_rng(0)
graph = datasets.power_law_graph(NODES, 10, rng=rng)
H = rng.standard_normal((NODES, FEATURES), dtype=np.float32)

# Each row of A has equal values that add up to 1, or no entry.
degrees = np.diff(graph.indptr)
values = np.repeat(1 / np.maximum(degrees, 1), degrees).astype(np.float32)
A = sp.csr_array((values, graph.indices, graph.indptr), shape=graph.shape)
print(f"{A.nnz} edges, {A.nnz / NODES:.0f} per node")

# The graph stays and the features change: it is inspected once.
prepared = prepare(A, n=FEATURES)
means = prepared @ H
assert np.allclose(means, A @ H, rtol=1e-4, atol=1e-4)

# One score per edge, without the 20,000 x 20,000 product: where A[i, j] is stored, S[i, j] is
# the dot product of H[i] and H[j].
S = sddmm(A, H, H.T)
edge = np.argmax(S.data)
i = np.searchsorted(S.indptr, edge, side="right") - 1
assert np.isclose(S.data[edge], H[i] @ H[S.indices[edge]], rtol=1e-4)

for name, call in (
    ("means by scipy", lambda: A @ H),
    ("means by spkernels", lambda: prepared @ H),
    ("scores by NumPy", lambda: np.einsum("ek,ek->e", *(H[nodes] for nodes in A.nonzero()))),
    ("scores by spkernels", lambda: sddmm(A, H, H.T)),
):
    print(f"{name:20} {1e3 * min(repeat(call, number=1, repeat=5)):7.2f} ms")
