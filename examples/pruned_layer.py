"""A pruned linear layer: 90% of the weights are zero, and a batch of inputs goes through it.

Run it with the Python that has spkernels: ``python examples/pruned_layer.py``.
"""

from timeit import repeat

import numpy as np
import scipy.sparse as sp

from spkernels import prepare, prune

OUTPUTS, INPUTS, BATCH = 1024, 768, 64

rng = np.random.default_rng(0)
dense = rng.standard_normal((OUTPUTS, INPUTS), dtype=np.float32)
bias = rng.standard_normal(OUTPUTS, dtype=np.float32)
X = rng.standard_normal((BATCH, INPUTS), dtype=np.float32)

# Which weights to keep: the largest, in blocks of 4 outputs that share an input.  Such blocks run
# faster than scattered weights and keep less of the sum of magnitudes.
pruned = prune.vector(dense, 4, 0.9)
weights = sp.csr_array(np.where(pruned.mask, dense, 0))
print(f"{weights.nnz} of {dense.size} weights, {pruned.kept:.0%} of the sum of magnitudes")

# Inspected and packed once, for batches of about this size.
layer = prepare(weights, n=BATCH)
print(layer.explain())

Y = layer.linear(X, bias=bias, activation="relu")  # relu(X @ weights.T + bias), in one pass
expected = np.maximum(X @ weights.toarray().T + bias, 0)
assert np.allclose(Y, expected, rtol=1e-4, atol=1e-4)

for name, call in (
    ("dense NumPy", lambda: np.maximum(X @ dense.T + bias, 0)),
    ("scipy", lambda: np.maximum((weights @ X.T).T + bias, 0)),
    ("spkernels", lambda: layer.linear(X, bias=bias, activation="relu")),
):
    print(f"{name:12} {1e5 * min(repeat(call, number=10, repeat=7)):7.0f} us")
