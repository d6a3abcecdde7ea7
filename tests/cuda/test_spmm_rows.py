"""C = A @ B by parts of rows, against float64."""

import numpy as np
import scipy.sparse as sp
from gpu import Array, Handle, round_to
from hypothesis import given
from hypothesis import strategies as st
from reference import gamma, to_float64

UNITS = {"float32": 2.0**-24, "float64": 2.0**-53, "float16": 2.0**-11, "bfloat16": 2.0**-8}


def check_product(C, A, B, dtype, terms):
    """|C - A B| <= gamma_k |A| |B| and the rounding of the result."""
    exact, size = to_float64(A) @ B.astype(float), to_float64(A, np.abs) @ np.abs(B.astype(float))
    sums = np.float64 if dtype == "float64" else np.float32
    bound = gamma(terms + 10, sums) * size + UNITS[dtype] * np.abs(exact)
    bound += 2.0**-24 if dtype == "float16" else 1e-38
    assert (np.abs(C.astype(float) - exact) <= bound).all()


@given(
    seed=st.integers(0, 2**32 - 1),
    dtype=st.sampled_from(sorted(UNITS)),
    m=st.integers(0, 20),
    k=st.integers(1, 40),
    n=st.sampled_from([0, 1, 2, 3, 4, 5, 8, 16, 31, 32, 33, 64, 128, 132, 257]),
    layouts=st.tuples(st.sampled_from("CF"), st.sampled_from("CF")),
    apart=st.sampled_from([0, 1, 4, 8]),
    shift=st.sampled_from([0, 1, 8]),
)
def test_any_matrix(library, seed, dtype, m, k, n, layouts, apart, shift):
    rng = np.random.default_rng(seed)
    A = sp.random(m, k, density=rng.random(), format="csr", dtype=np.float64, random_state=rng)
    A.data = round_to(rng.standard_normal(A.nnz), dtype).astype(np.float64)
    B = round_to(rng.standard_normal((k, n)), dtype)
    handle = Handle(library, A, dtype, kernel="rows")
    assert handle.status == 0
    C = Array(np.full((m, n), np.nan), dtype, layouts[1], apart, shift)
    assert handle.spmm(Array(B, dtype, layouts[0], apart, shift), C) == 0
    check_product(C.get(), A, B, dtype, k)
