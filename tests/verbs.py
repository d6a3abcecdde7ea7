"""Every verb that takes a sparse operand, by what is made of it."""

import numpy as np
import scipy.sparse as sp
from strategies import random_sparse

import spkernels
from spkernels import masks, patterns, prepare, sddmm, spmm, spmspm, spmspv
from spkernels._inputs.foreign import as_sparse, find_sparse
from spkernels.formats import NMArray


def whole_numbers(shape=(6, 8), density=0.4, dtype=np.float32, seed=0):
    """Return a matrix whose products are exact, and have one value by any order of sums."""
    A = random_sparse(np.random.default_rng(seed), "csr", shape, density, dtype)
    A.data = np.random.default_rng(seed).integers(1, 9, A.nnz).astype(dtype)
    return A


def blocks(A):
    return sp.csr_array(A).tobsr((2, 2))


def dense(result):
    return result.toarray() if sp.issparse(result) else np.asarray(result)


def arrays(result):
    """Return a tensor of torch as an array of NumPy or scipy, and any other result as it is."""
    if type(result).__module__.partition(".")[0] != "torch":
        return result
    sparse = find_sparse(result, "result")
    return result.numpy() if sparse is None else sparse


def places(result):
    """Rows and columns of what is stored."""
    coo = result.tocoo()
    return sorted(zip(coo.row.tolist(), coo.col.tolist(), strict=True))


ROWS, COLS = 6, 8
X, Y = np.arange(ROWS * 3.0).reshape(ROWS, 3), np.arange(3.0 * COLS).reshape(3, COLS)
B, D = np.arange(COLS * 5.0).reshape(COLS, 5), np.arange(5.0 * ROWS).reshape(5, ROWS)
OTHER = whole_numbers((COLS, 5), seed=1)

VERBS = {
    "spmm": lambda A: spmm(A, B),
    "spmm on the right": lambda A: spmm(D, A, bias=np.ones(COLS), activation="relu"),
    "spmm of a vector": lambda A: spmm(A, B[:, 0]),
    "sddmm": lambda A: sddmm(A, X, Y, beta=1.0),
    "sddmm of a list": lambda A: sddmm([A, A], X, Y)[1],
    "masked_softmax": spkernels.masked_softmax,
    "sparse_attention": lambda A: spkernels.sparse_attention(X, Y.T, Y.T, A),
    "spmspm": lambda A: spmspm(A, OTHER),
    "spmspm on the right": lambda A: spmspm(OTHER.T, A.T) if sp.issparse(A) else spmspm(
        OTHER.T, as_sparse(A, "A").T),
    "spmspv": lambda A: spmspv(A, B[:, 0]),
    "prepare": lambda A: prepare(A, tune=False) @ B,
    "prepare, int8": lambda A: prepare(A, dtype="int8").dequantise(),
    "prepare, sddmm": lambda A: prepare(A, op="sddmm").sddmm(X, Y),
    "recognise": lambda A: [str(found) for found in patterns.recognise(A)],
    "from_sparse": lambda A: masks.from_sparse(A).toarray(),
    "blocks": lambda A: masks.blocks((ROWS, COLS), 1, A).toarray(),
    "NMArray": lambda A: NMArray.from_scipy(A, 4, 4).to_scipy(),
    "aslinearoperator": lambda A: spkernels.aslinearoperator(A) @ B,
    "update_values": lambda A: updated(A) @ B,
}  # fmt: skip


def updated(A):
    W = prepare(as_sparse(A, "A") * 2, tune=False)
    W.update_values(A)
    return W


def assert_same(verb, foreign, A):
    """Check that a verb makes the same of an operand as of A: values, dtype and pattern."""
    result, expected = arrays(VERBS[verb](foreign)), VERBS[verb](A)
    if isinstance(expected, list):
        assert result == expected
        return
    assert result.dtype == expected.dtype
    np.testing.assert_array_equal(dense(result), dense(expected))
    if sp.issparse(expected):
        assert places(result) == places(expected)
