"""Use an installed package as a user would: both products, against dense NumPy."""

import sys

import numpy as np
import scipy.sparse as sp

import spkernels

rng = np.random.default_rng(0)
A = sp.random_array((300, 200), density=0.1, format="csr", rng=rng) if hasattr(
    sp, "random_array") else sp.random(300, 200, 0.1, "csr")
B = rng.standard_normal((200, 70))
assert np.allclose(spkernels.spmm(A, B, workers=2), A.toarray() @ B)
X, Y = rng.standard_normal((300, 20)), rng.standard_normal((20, 200))
assert np.allclose(spkernels.sddmm(A, X, Y).toarray(), (A.toarray() != 0) * (X @ Y))
with spkernels.accelerate():
    assert np.allclose(A @ B, A.toarray() @ B)
config = spkernels.show_config("dicts")
print(sys.version.split()[0], np.__version__, config["simd"]["in use"], config["threads"]["OpenMP"])
