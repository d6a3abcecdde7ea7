"""scikit-learn on sparse data with spkernels, and not a line of it changed.

Run it with the Python that has spkernels: ``python examples/scikit_learn.py``.
"""

import sys
from time import perf_counter

import numpy as np
import scipy.sparse as sp

from spkernels import accelerate

try:
    from sklearn.decomposition import TruncatedSVD
    from sklearn.linear_model import Ridge
except ImportError:
    print("This example needs scikit-learn: pip install scikit-learn")
    sys.exit()

DOCUMENTS, WORDS = 10_000, 5_000

rng = np.random.default_rng(0)
X = sp.csr_array(sp.random(DOCUMENTS, WORDS, 0.01, random_state=rng))
y = X @ rng.standard_normal(WORDS)


def fit():
    """Fit two estimators; return what they found, and the seconds that each took."""
    start = perf_counter()
    ridge = Ridge(solver="sparse_cg", random_state=0).fit(X, y)
    between = perf_counter()
    svd = TruncatedSVD(20, random_state=0).fit(X)
    return ridge.coef_, svd.singular_values_, (between - start, perf_counter() - between)


fit()  # loads what is loaded at the first call
*plain, plain_seconds = fit()
# scipy's products run on spkernels in this block.  The BLAS is held to one thread meanwhile, as its
# threads would otherwise keep CPUs busy between products.
with accelerate(blas_threads=1):
    *fast, fast_seconds = fit()
for ours, theirs in zip(fast, plain, strict=True):
    assert np.allclose(ours, theirs, rtol=1e-3, atol=1e-3)

for name, before, after in zip(("Ridge", "SVD"), plain_seconds, fast_seconds, strict=True):
    print(f"{name:6} {1e3 * before:7.0f} ms with scipy, {1e3 * after:7.0f} ms with spkernels")
print(accelerate.report())
