"""C = A @ B on tensor cores, by cells that are written out or under bitmaps, against float64."""

import mmap

import numpy as np
import pytest
import scipy.sparse as sp
from gpu import EMULATED, SMALLEST, UNITS, Array, Handle, round_to
from hypothesis import given
from hypothesis import strategies as st
from reference import ACTIVATIONS, LIPSCHITZ, gamma

from spkernels.cuda import _library

seeds = st.integers(0, 2**32 - 1)

#: dtype, precision: how far a product of two operands may be off, relatively.  16 bits multiply
#: exactly; TF32 rounds each operand to 11 bits, or to two parts whose error is 2**-22, and leaves
#: out low * low, up to 2**-22 again.
PRODUCTS = {
    ("float16", "strict"): 0.0,
    ("bfloat16", "strict"): 0.0,
    ("float32", "tf32"): 2.0**-10 + 2.0**-22,
    ("float32", "3xtf32"): 2.0**-20,
}


def check_product(C, A, B, kind, *, alpha=1.0, beta=0.0, before=0.0, biases=(), activation=None):
    """|C - f(alpha A B + beta before + biases)| is no more than rounding makes it; NaN as scipy."""
    dtype = kind[0]
    # Not abs(A), which adds up repeated entries.
    large = sp.csr_array((np.abs(A.data), A.indices, A.indptr), shape=A.shape)
    with np.errstate(all="ignore"):
        exact = alpha * (A @ B.astype(float)) + beta * before + sum(biases)
        size = abs(alpha) * (large @ np.abs(B.astype(float)))
        size += np.abs(beta * before) + sum(np.abs(bias) for bias in biases)
        # Tensor cores cut sums where float32 would round them: twice the unit.
        terms = 2 * (3 * np.diff(A.indptr).max(initial=0) + 10)
        bound = (gamma(terms, np.float32) + PRODUCTS[kind]) * size
        if activation:
            bound = LIPSCHITZ * (bound + 2.0**-22 * np.abs(exact))
            exact = ACTIVATIONS[activation](exact)
        bound += 2 * UNITS[dtype] * np.abs(exact) + SMALLEST[dtype] + 1e-37 * terms
        C = C.astype(float)
        same = (C == exact) | (np.isnan(C) & np.isnan(exact)) | (np.abs(C - exact) <= bound)
    worst = np.argwhere(~same)
    assert same.all(), f"{C[~same][:5]} instead of {exact[~same][:5]}, at {worst[:5].tolist()}"


def random_values(rng, A, dtype):
    """The same pattern with new values, as the dtype has them."""
    data = round_to(rng.standard_normal(len(A.data)), dtype).astype(np.float64)
    return sp.csr_array((data, A.indices, A.indptr), shape=A.shape)


def unstructured(rng, m, k):
    return sp.csr_array(sp.random(m, k, density=rng.random() ** 2, format="csr", random_state=rng))


def blocks(rng, m, k):
    """Blocks of up to 64 x 16."""
    high, wide = rng.choice([4, 16, 64]), rng.choice([2, 8, 16])
    mask = sp.random(m // high + 1, k // wide + 1, density=0.3, random_state=rng)
    return sp.csr_array(sp.csr_array(sp.kron(mask, np.ones((high, wide))))[:m, :k])


def vectors(rng, m, k):
    """Eight rows with the same columns."""
    mask = sp.random(m // 8 + 1, k, density=0.2, random_state=rng)
    return sp.csr_array(sp.csr_array(sp.kron(mask, np.ones((8, 1))))[:m])


def two_of_four(rng, m, k):
    """2:4, the same columns in all rows of a half."""
    kept = np.zeros((2, k))
    for j in range(0, k, 4):
        kept[:, j : j + 4] = rng.permuted([[1.0, 1.0, 0.0, 0.0]] * 2, axis=1)[:, : k - j]
    return sp.csr_array(kept[np.arange(m) * 2 // max(m, 1)])


def untidy(rng, m, k):
    """Unsorted, with repeated entries, empty and long rows, and zeros that are entries."""
    lengths = rng.choice([0, 0, 1, 3, 17, 70], m)
    indptr = np.concatenate([[0], np.cumsum(lengths)]).astype(rng.choice([np.int32, np.int64]))
    indices = rng.integers(0, k, indptr[-1]).astype(indptr.dtype)
    return sp.csr_array((np.ones(indptr[-1]), indices, indptr), shape=(m, k))


PATTERNS = [unstructured, blocks, vectors, two_of_four, untidy]
kinds = st.sampled_from(sorted(PRODUCTS))


@pytest.fixture(params=["gather", "bitmap"], scope="module")
def kernel(request):
    return request.param


def product(library, kernel, kind, A, B, *, layouts="CC", apart=0, shift=0, before=np.nan, **more):
    """A @ B by the library, as floats that NumPy computes with."""
    dtype, precision = kind
    handle = Handle(library, A, dtype, kernel=kernel, precision=precision)
    assert handle.status == 0
    assert handle.kernel(B.shape[1]) == kernel
    C = Array(np.broadcast_to(before, (A.shape[0], B.shape[1])), dtype, layouts[1], apart, shift)
    assert handle.spmm(Array(B, dtype, layouts[0], apart, shift), C, **more) == 0
    return C.get()


@given(
    seed=seeds,
    kind=kinds,
    pattern=st.sampled_from(PATTERNS),
    m=st.sampled_from([0, 1, 15, 16, 17, 40, 64, 70, 120, 130]),
    k=st.integers(1, 90),
    n=st.sampled_from([0, 1, 7, 8, 64, 65, 129, 256]),
    layouts=st.sampled_from(["CC", "CF", "FC", "FF"]),
    apart=st.sampled_from([0, 1, 4, 8]),
    shift=st.sampled_from([0, 1, 2, 8]),
)
def test_any_matrix(library, kernel, kind, seed, pattern, m, k, n, layouts, apart, shift):
    rng = np.random.default_rng(seed)
    A = random_values(rng, pattern(rng, m, k), kind[0])
    B = round_to(rng.standard_normal((k, n)), kind[0])
    C = product(library, kernel, kind, A, B, layouts=layouts, apart=apart, shift=shift)
    check_product(C, A, B, kind)


@given(
    seed=seeds,
    kind=kinds,
    layout=st.sampled_from("CF"),
    activation=st.sampled_from(sorted(ACTIVATIONS, key=str)),
    n=st.sampled_from([3, 16, 80]),
)
def test_epilogue(library, kernel, kind, seed, layout, activation, n):
    rng = np.random.default_rng(seed)
    m, k = 37, 50
    A = random_values(rng, unstructured(rng, m, k), kind[0])
    before, B = (round_to(rng.standard_normal(shape), kind[0]) for shape in ((m, n), (k, n)))
    row, col = (round_to(rng.standard_normal((1, count)), kind[0]) for count in (m, n))
    C = product(
        library,
        kernel,
        kind,
        A,
        B,
        layouts="C" + layout,
        before=before,
        alpha=0.5,
        beta=-2.0,
        bias_row=Array(row, kind[0]),
        bias_col=Array(col, kind[0]),
        activation=activation,
    )
    check_product(
        C,
        A,
        B,
        kind,
        alpha=0.5,
        beta=-2.0,
        before=before.astype(float),
        biases=(row.astype(float).T, col.astype(float)),
        activation=activation,
    )


@given(
    seed=seeds,
    kind=kinds,
    pattern=st.sampled_from(PATTERNS),
    m=st.sampled_from([1, 20, 70]),
    k=st.integers(1, 90),
    n=st.sampled_from([1, 24, 64]),
    layout=st.sampled_from("CF"),
)
def test_not_finite(library, kernel, kind, seed, pattern, m, k, n, layout):
    """NaN and infinity reach what entries read, zeros among them, and nothing else."""
    rng = np.random.default_rng(seed)
    special = [np.nan, np.inf, -np.inf]
    A = random_values(rng, pattern(rng, m, k), kind[0])
    A.data[rng.random(len(A.data)) < 0.02] = rng.choice(special)
    A.data[rng.random(len(A.data)) < 0.2] = rng.choice([0.0, -0.0])
    B = round_to(rng.standard_normal((k, n)), kind[0])
    B[rng.random(B.shape) < 0.02] = rng.choice(special)
    check_product(product(library, kernel, kind, A, B, layouts="C" + layout), A, B, kind)


@pytest.mark.parametrize("kind", sorted(PRODUCTS))
@pytest.mark.parametrize("n", [5, 72])
def test_cut(library, kernel, kind, n):
    """A matrix of few rows and many columns, whose list of columns is cut; one row is longer."""
    rng = np.random.default_rng(7 * n)
    m, k = 21, 2000
    A = sp.random(m, k, density=0.3, format="lil", random_state=rng)
    A[rng.integers(m)] = 1.0
    A = random_values(rng, sp.csr_array(A), kind[0])
    B = round_to(rng.standard_normal((k, n)), kind[0])
    B[rng.integers(k), rng.integers(n)] = np.inf
    C = product(library, kernel, kind, A, B)
    check_product(C, A, B, kind)
    again = product(library, kernel, kind, A, B)
    np.testing.assert_array_equal(C, again)


@pytest.mark.skipif(not EMULATED, reason="How tensor cores of GPUs round is not known.")
@pytest.mark.parametrize("kind", sorted(PRODUCTS))
@pytest.mark.parametrize(("m", "k"), [(8, 64), (20, 64), (50, 64), (100, 64), (1030, 272)])
@pytest.mark.parametrize("n", [40, 130])
def test_steps(library, kernel, kind, m, k, n):
    """Sums are those of steps of tensor cores: were an operand read before it is there, the NaN
    that the emulated GPU has in its place would be mended as others are, and not be seen."""
    big, small, depth = 2.0**11, 2.0**-14, 16 if kind[0] != "float32" else 8
    row = np.where(np.arange(k) % 16 == 0, big, small)
    A = sp.csr_array(np.tile(row, (m, 1)))
    # What is left of C has few bits, so that 16 hold it.
    ones = np.count_nonzero(row == big)
    scales = {"before": float(ones), "alpha": 2.0**20, "beta": -(2.0**20)}
    C = product(library, kernel, kind, A, np.full((k, n), 1 / big), **scales)
    expected = np.float32(0)
    for at in range(0, k, depth):
        expected = np.float32(expected + (row[at : at + depth] / big).sum())
    # Added one by one, small products are lost beside a sum of 1.
    assert expected != ones
    assert (C == 2.0**20 * (expected - ones)).all()


@pytest.mark.parametrize("kind", sorted(PRODUCTS))
def test_new_values(library, kernel, kind):
    """Values take the same way as the first ones; repeated entries each have their own."""
    rng = np.random.default_rng(5)
    A = random_values(rng, untidy(rng, 40, 60), kind[0])
    handle = Handle(library, A, kind[0], kernel=kernel, precision=kind[1])
    A = random_values(rng, A, kind[0])
    assert handle.update(A.data) == _library.OK
    B = round_to(rng.standard_normal((60, 70)), kind[0])
    C = Array(np.full((40, 70), np.nan), kind[0])
    assert handle.spmm(Array(B, kind[0]), C) == _library.OK
    check_product(C.get(), A, B, kind)


@pytest.mark.skipif(not EMULATED, reason="It needs 24 GiB of which next to nothing is touched.")
@pytest.mark.parametrize("precision", ["tf32", "3xtf32"])
def test_rows_nearly_4_gib_apart(library, kernel, precision):
    """Rows of B and C nearly 4 GiB apart: offsets beyond 2**31 elements."""
    apart, rows, n = 2**30 - 4, 3, 8
    memory = [mmap.mmap(-1, rows * apart * 4 + 64) for _ in range(2)]  # pages that exist when used
    B, C = (np.frombuffer(m, np.float32)[: rows * apart].reshape(rows, apart) for m in memory)
    B[:, :n] = np.random.default_rng(3).standard_normal((rows, n))
    B[2, 0] = np.inf
    A = sp.csr_array(np.array([[0.0, 0, 1], [2, 0, 3], [0, 4, 0]]))
    handle = Handle(library, A, "float32", kernel=kernel, precision=precision)
    dense = [_library.Dense(0, rows, n, apart, 1, array.ctypes.data) for array in (B, C)]
    status = library.spk_cuda_spmm(handle.pointer, *dense, None, None, None)
    assert status == _library.OK
    check_product(C[:, :n], A, B[:, :n], ("float32", precision))
    del B, C


def test_refuses(library, kernel):
    A = sp.csr_array(np.eye(3))
    assert Handle(library, A, "float64", kernel=kernel).status == _library.ERR_DTYPE
    assert Handle(library, A, "float32", kernel=kernel).status == _library.ERR_ARGUMENT
