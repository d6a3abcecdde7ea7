"""Attention of a long sequence under a mask: a window of neighbours and a few global tokens.

Run it with the Python that has spkernels: ``python examples/masked_attention.py``.
"""

from timeit import repeat

import numpy as np

from spkernels import masks, sparse_attention

HEADS, TOKENS, DIM = 4, 1024, 64

rng = np.random.default_rng(0)
Q, K, V = rng.standard_normal((3, HEADS, TOKENS, DIM), dtype=np.float32)

# Masks are sets of (query, key): the 128 latest keys, or one of 4 global tokens; nothing later.
mask = masks.causal_window(TOKENS, 128) | masks.global_tokens(TOKENS, 4) & masks.causal(TOKENS)
allowed = mask.toarray().astype(bool)
print(f"each query meets {allowed.sum(1).mean():.0f} of {TOKENS} keys on average")


def dense_attention():
    """Return the same by NumPy: all scores are computed, and most are masked."""
    scores = Q @ K.transpose(0, 2, 1) / np.sqrt(np.float32(DIM))
    scores[:, ~allowed] = -np.inf
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    return weights / weights.sum(-1, keepdims=True) @ V


# Softmax and both products in one pass: scores are never stored.
output = sparse_attention(Q, K, V, mask)
assert np.allclose(output, dense_attention(), rtol=1e-4, atol=1e-4)

for name, call in (
    ("dense NumPy", dense_attention),
    ("spkernels", lambda: sparse_attention(Q, K, V, mask)),
):
    print(f"{name:12} {1e3 * min(repeat(call, number=1, repeat=5)):7.2f} ms")
