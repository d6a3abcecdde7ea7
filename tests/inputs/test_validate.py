"""Every operation and every format: corrupted operands are errors, odd dtypes make no difference.

Values are whole and small, so that results are equal whatever the order of sums.
"""

import copy
import tempfile
import warnings
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
from corruptions import FAULTS, K, M, corrupted, operand
from strategies import NATIVE_FORMATS, index_arrays, set_index_arrays

import spkernels
from spkernels import (
    accelerate,
    datasets,
    formats,
    kwinners,
    masked_softmax,
    masks,
    patterns,
    prepare,
    prune,
    sddmm,
    sparse_attention,
    spmm,
    spmspm,
    spmspv,
)
from spkernels._inputs.canonical import canonical
from spkernels.cuda._sparse import rows_of

N = 3


def dense(rows, cols, dtype=np.float32):
    return (np.arange(rows * cols).reshape(rows, cols) % 7).astype(dtype)


def other():
    """A valid sparse matrix to multiply by, of shape (K, M)."""
    return sp.csr_array(dense(K, M) * (dense(K, M) > 3))


def sampled(A):
    return sddmm(A, dense(M, 2), dense(2, K)).toarray()


def sampled_batch(A):
    stacked = np.stack([dense(M, 2), 2 * dense(M, 2)])
    values = sddmm(A, stacked, dense(2, K))
    return [sp.csr_array(sddmm(A, X, dense(2, K))).toarray() for X in stacked] + [values.shape[0]]


def prepared_sample(A):
    return prepare(A, op="sddmm").sddmm(dense(M, 2, A.dtype), dense(2, K, A.dtype)).toarray()


def pattern(A):
    """A matrix with A's pattern, or any one where that is corrupted."""
    try:
        return canonical(A, np.float64, "A")[0]
    except ValueError:
        return other().T.tocsr()


def updated(A, dtype=None):
    W = prepare(pattern(A), tune=False, dtype=dtype)
    W.update_values(A)
    return W @ dense(K, N, np.uint8 if dtype else np.float32)


def updated_transpose(A, dtype=None):
    W = prepare(pattern(A).T, tune=False, dtype=dtype)
    W.T.update_values(A)
    return W.T @ dense(K, N, np.uint8 if dtype else np.float32)


def attended(A):
    return sparse_attention(dense(M, 4), dense(K, 4), dense(K, 2), A)


def accelerated(A):
    with accelerate():
        return A @ dense(K, N, A.dtype)


def operator(A):
    A = spkernels.aslinearoperator(A)
    return [A @ dense(K, N), A.T @ dense(M, N), A.matvec(dense(K, 1)[:, 0]), A.H @ dense(M, N)]


def host_rows(A):
    rows = rows_of(A, "A")
    turned = rows.T
    return [
        sp.csr_array((rows.values, rows.columns, rows.offsets), rows.shape).toarray(),
        sp.csr_array((turned.values, turned.columns, turned.offsets), turned.shape).toarray(),
    ]


def saved(A):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "pattern.smtx")
        datasets.save_smtx(path, A)
        return datasets.load(path, values="ones").toarray()


def blocks(A):
    return masks.blocks((2 * M, 2 * K), 2, A).tocsr().toarray()


#: Names of operations: what they call the operand, and a call that returns arrays.
OPERATIONS = {
    "spmm": ("A", lambda A: spmm(A, dense(K, N))),
    "spmm, a vector": ("A", lambda A: spmm(A, dense(K, 1)[:, 0])),
    "spmm, column-major": ("A", lambda A: spmm(A, np.asfortranarray(dense(K, N)))),
    "spmm, right": ("B", lambda A: spmm(dense(N, M), A)),
    "spmm, right, a vector": ("B", lambda A: spmm(dense(1, M)[0], A)),
    "spmm, promoted": ("A", lambda A: spmm(A, dense(K, N, np.float64))),
    "spmm, complex": ("A", lambda A: spmm(A, dense(K, N, complex))),
    "spmm, right, complex": ("B", lambda A: spmm(dense(N, M, complex), A)),
    "accelerate": ("A", accelerated),
    "prepare": ("A", lambda A: prepare(A, tune=False, n=N) @ dense(K, N)),
    "prepare, tuned": ("A", lambda A: prepare(A, tune=True, n=1) @ dense(K, 1)),
    "prepare, right": ("A", lambda A: dense(N, M) @ prepare(A, tune=False)),
    "prepare, pattern": ("A", lambda A: prepare(A, tune=False, pattern="auto") @ dense(K, N)),
    "prepare, declared": ("A", lambda A: prepare(A, tune=False, pattern="32:32") @ dense(K, N)),
    "prepare, int8": ("A", lambda A: prepare(A, dtype="int8") @ dense(K, N, np.uint8)),
    "prepare, sddmm": ("A", prepared_sample),
    "update_values": ("data", updated),
    "update_values, transpose": ("data", updated_transpose),
    "update_values, int8": ("data", lambda A: updated(A, "int8")),
    "update_values, int8, transpose": ("data", lambda A: updated_transpose(A, "int8")),
    "sddmm": ("P", sampled),
    "sddmm, promoted": ("P", lambda A: sddmm(A, dense(M, 2, float), dense(2, K)).toarray()),
    "sddmm, complex": ("P", lambda A: sddmm(A, dense(M, 2, complex), dense(2, K)).toarray()),
    "sddmm, a batch": ("P", sampled_batch),
    "sddmm, a list": ("P", lambda A: [S.toarray() for S in sddmm([A], dense(M, 2), dense(2, K))]),
    "sparse_attention": ("mask", attended),
    "masked_softmax": ("P", lambda A: masked_softmax(A).toarray()),
    "spmspv": ("A", lambda A: spmspv(A, 1 + dense(K, 1)[:, 0])),
    "spmspv, sparse": ("A", lambda A: spmspv(A, sp.coo_array(1 + dense(1, K)))),
    "spmspv, complex": ("A", lambda A: spmspv(A, dense(K, 1, complex)[:, 0])),
    "spmspm, left": ("A", lambda A: spmspm(A, other())),
    "spmspm, right": ("B", lambda A: spmspm(other(), A)),
    "spmspm, columns": ("A", lambda A: spmspm(A, other().tocsc())),
    "spmspm, complex": ("A", lambda A: spmspm(A, other().astype(complex))),
    "recognise": ("A", patterns.recognise),
    "NMArray": ("A", lambda A: formats.NMArray.from_scipy(A, 32, 32).toarray()),
    "masks.from_sparse": ("P", lambda A: masks.from_sparse(A).toarray()),
    "masks.blocks": ("positions", blocks),
    "aslinearoperator": ("A", operator),
    "save_smtx": ("A", saved),
    "cuda.prepare, its host side": ("A", host_rows),
}


def is_taken(operation, fmt, fault=None):
    """Whether it is ours: small products of other formats `accelerate` leaves to scipy."""
    return operation != "accelerate" or (fmt in ("csr", "csc") and fault != "starts above 0")


CASES = [
    (operation, fmt, fault)
    for operation in OPERATIONS
    for fmt, faults in FAULTS.items()
    for fault in faults
    if is_taken(operation, fmt, fault)
]

@pytest.mark.parametrize("operation, fmt, fault", CASES)
def test_a_corrupted_operand_is_an_error_that_names_the_array(operation, fmt, fault):
    name, call = OPERATIONS[operation]
    A, culprit = corrupted(fmt, fault)
    with pytest.raises(ValueError, match=rf"\b{name}\.{culprit}\b"):
        call(A)


#: What runs compiled code of scipy, or calls what does, on the arrays of an operand.
METHODS = """
    tocsr tocsc tocoo tobsr todia tolil todok toarray todense asformat astype copy transpose conj
    conjugate sum_duplicates sort_indices sorted_indices eliminate_zeros prune check_format dot sum
    max min diagonal getnnz count_nonzero multiply reshape __matmul__ __rmatmul__ __mul__ __rmul__
    __abs__ __neg__ __add__ __getitem__ _matmul_dispatch _rmatmul_dispatch _matmul_vector
    _matmul_multivector _mul_dispatch _rmul_dispatch _mul_vector _mul_multivector
""".split()
PROPERTIES = ["T", "has_canonical_format", "has_sorted_indices"]


def guarded(A):
    """Give an operand a class that refuses to do anything with its arrays; return it."""

    def refuse(name):
        def method(*arguments, **options):
            raise AssertionError(f"scipy's {name} was reached")

        return method

    kind = type(A)
    own = {name: refuse(name) for name in METHODS if hasattr(kind, name)}
    own |= {
        name: property(refuse(name))
        for name in PROPERTIES
        if isinstance(getattr(kind, name, None), property)
    }
    A.__class__ = type(f"guarded_{kind.__name__}", (kind,), own)
    return A


@pytest.mark.parametrize("operation", [name for name in OPERATIONS if name != "accelerate"])
@pytest.mark.parametrize("fmt", [fmt for fmt in FAULTS if fmt != "lil"])
def test_scipy_never_sees_a_corrupted_operand(operation, fmt):
    """But for LIL, whose lists it flattens once their lengths are right, and one key of DOK.

    Of small DOK it walks the keys, in Python; that a key is a fraction is found there.
    """
    name, call = OPERATIONS[operation]
    for fault in FAULTS[fmt].keys() - {"a fraction"}:
        A, culprit = corrupted(fmt, fault)
        with pytest.raises(ValueError, match=rf"\b{name}\.{culprit}\b"):
            call(guarded(A))


def sparse_vector(fmt, shape):
    return sp.coo_array(1 + dense(*shape)).asformat(fmt)


@pytest.mark.parametrize("shape", [(1, K), (K, 1)])
@pytest.mark.parametrize("fmt", FAULTS)
@pytest.mark.parametrize("dtype", [np.float32, np.int64])
def test_a_corrupted_sparse_vector(fmt, shape, dtype):
    A = sp.csc_array(dense(M, K)).astype(dtype)
    x = sparse_vector(fmt, shape).astype(dtype)
    np.testing.assert_array_equal(spmspv(A, x), A @ x.toarray().ravel())
    for wrong in (-1, K, 2**31 - 1):
        x = sparse_vector(fmt, shape).astype(dtype)
        if fmt == "lil":
            x.rows[0] = [wrong]
            x.data[0] = [1.0]
        elif fmt == "dok":
            dict.__setitem__(getattr(x, "_dict", x), (0, wrong), dtype(1))
        elif fmt == "dia":
            x.offsets = np.append(x.offsets, wrong)
        else:
            for array in index_arrays(x):
                array[-1] = wrong
        with pytest.raises(ValueError, match=r"\bx\.(indptr|indices|row|rows|keys|data)\b"):
            spmspv(A, x)


@pytest.mark.parametrize("fmt, fault", [(fmt, fault) for fmt in NATIVE_FORMATS
                                        for fault in FAULTS[fmt]])  # fmt: skip
def test_a_corrupted_sparse_out(fmt, fault):
    P = operand(fmt)
    out, _ = corrupted(fmt, fault)
    before = out.data.copy()
    with pytest.raises(ValueError, match=r"^out must have|^out\."):
        sddmm(P, dense(M, 2), dense(2, K), out=out)
    np.testing.assert_array_equal(out.data, before)


#: Of one dtype, and of two: offsets and indices, or rows and columns.
INDEX_DTYPES = [
    *((dtype, dtype) for dtype in ("i1", "u1", "i2", "u2", "u4", "i8", "u8", ">i4", ">i8", ">u2")),
    *(("i8", "i4"), ("i4", "i8"), ("u1", "i4"), ("u8", "i4"), ("i4", "u8"), ("u8", "u4")),
    *((">i8", "i4"), (">i4", "<i4"), ("i4", ">i8"), (">u8", "u1")),
]


def whole(fmt):
    """An operand whose values are whole numbers."""
    A = operand(fmt, density=0.15)
    if fmt in ("lil", "dok"):
        return sp.csr_array(np.rint(np.clip(A.toarray(), -9, 9))).asformat(fmt)
    A.data = np.rint(np.clip(A.data, -9, 9))
    return A


def laid_out(array, how):
    if how == "strided":
        held = np.repeat(array, 2, axis=0)
        held[1::2] = -1
        return held[::2]
    if how == "misaligned":
        held = np.zeros(array.nbytes + 1, np.uint8)[1:].view(array.dtype).reshape(array.shape)
        held[...] = array
        return held
    if how == "big-endian":
        return array.astype(array.dtype.newbyteorder(">"))
    held = array.copy()
    held.flags.writeable = False
    return held


def with_index_dtypes(A, dtypes):
    A = copy.deepcopy(A)
    if A.format == "dia":
        A.offsets = (A.offsets + 2).astype(dtypes[0])
        A.data = A.data.copy()
    elif A.format in NATIVE_FORMATS:
        remaining = iter(dtypes)
        set_index_arrays(A, lambda array: array.astype(next(remaining)))
    return A


def assert_same(result, expected):
    if isinstance(expected, np.ndarray):
        assert result.dtype == expected.dtype
        np.testing.assert_array_equal(result, expected)
    elif isinstance(expected, list | tuple):
        for one, other in zip(result, expected, strict=True):
            assert_same(one, other)
    else:
        assert result == expected


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("dtypes", INDEX_DTYPES, ids="-".join)
def test_index_arrays_of_any_dtype(operation, dtypes):
    _, call = OPERATIONS[operation]
    for fmt in (*NATIVE_FORMATS, "dia"):
        if not is_taken(operation, fmt):
            continue
        plain = whole(fmt)
        if fmt == "dia":
            plain.offsets = plain.offsets + 2  # none negative, for unsigned dtypes
        A = with_index_dtypes(operand(fmt, density=0.15), dtypes)
        A.data = plain.data
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            result = call(A)
        assert_same(result, call(plain))


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("how", ["strided", "misaligned", "read-only", "big-endian"])
def test_arrays_of_any_layout(operation, how):
    """Of indices and of values; big-endian values have the results of native ones."""
    _, call = OPERATIONS[operation]
    for fmt in FAULTS:
        if not is_taken(operation, fmt) or (operation, how) == ("accelerate", "big-endian"):
            continue
        plain = whole(fmt)
        A = copy.deepcopy(plain)
        if fmt in NATIVE_FORMATS:
            set_index_arrays(A, lambda array: laid_out(array, how))
        elif fmt == "dia":
            A.offsets = laid_out(A.offsets, how)
        if fmt in ("lil", "dok"):
            A.dtype = A.dtype.newbyteorder(">" if how == "big-endian" else "=")
        else:
            A.data = laid_out(A.data, how)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            result = call(A)
        assert_same(result, call(plain))


@pytest.mark.parametrize("dtypes", INDEX_DTYPES, ids="-".join)
@pytest.mark.parametrize("fmt", ["csr", "csc", "coo"])
def test_a_sparse_vector_with_indices_of_any_dtype(fmt, dtypes):
    A = sp.csc_array(dense(M, K))
    for shape in ((1, K), (K, 1)):
        plain = sparse_vector(fmt, shape)
        x = with_index_dtypes(plain, dtypes)
        np.testing.assert_array_equal(spmspv(A, x), spmspv(A, plain))


@pytest.mark.parametrize("dtypes", INDEX_DTYPES, ids="-".join)
@pytest.mark.parametrize("fmt", NATIVE_FORMATS)
def test_out_with_indices_of_any_dtype(fmt, dtypes):
    X, Y, P = dense(M, 2), dense(2, K), operand(fmt, density=0.15)
    expected = sddmm(P, X, Y).data
    out = with_index_dtypes(P, dtypes)
    assert sddmm(P, X, Y, out=out) is out
    np.testing.assert_array_equal(out.data, expected)
    assert sddmm(out, X, Y, out=out) is out
    np.testing.assert_array_equal(out.data, expected)
    # What comes back, scipy takes, whatever it was given.
    assert sddmm(with_index_dtypes(P, dtypes), X, Y).tocsr().nnz == P.tocsr().nnz


def pruned(W):
    return [prune.magnitude(W, 0.5), prune.nm(W, 2, 4), prune.block(W, (2, 2), 0.5)]


def trained(W):
    prepared = prepare(operand("coo"), tune=False)
    prepared.update_values(W.ravel()[: operand("coo").nnz])
    return prepared @ dense(K, N)


def quantised(W):
    return prepare(sp.csr_array(dense(M, K)), dtype="int8").spmm(
        dense(K, N, np.uint8), bias=W[:M, :1]
    )


#: Operations with a dense operand of shape (M, K).
DENSE_OPERATIONS = {
    "spmm": lambda W: spmm(operand("csr").T, W),
    "spmm, right": lambda W: spmm(W.T, operand("csr")),
    "spmm, bias": lambda W: spmm(operand("csr"), dense(K, K), bias=W[:, :1]),
    "prepare": lambda W: prepare(operand("csr").T, tune=False) @ W,
    "prepare, bias": lambda W: prepare(operand("csr"), tune=False).spmm(dense(K, 2), bias=W[:, :1]),
    "update_values": trained,
    "int8, bias": quantised,
    "sddmm": lambda W: sddmm(operand("csr"), W, dense(K, K)).toarray(),
    "prepare, sddmm": lambda W: prepare(operand("csr"), op="sddmm")
    .sddmm(W, dense(K, K))
    .toarray(),
    "sparse_attention": lambda W: sparse_attention(W[:4], W[:M], W[:M], masks.full(4, M)),
    "sparse_attention, bias": lambda W: sparse_attention(
        dense(M, 2), dense(K, 2), dense(K, 2), operand("csr"), bias=W
    ),
    "spmspv": lambda W: spmspv(sp.csc_array(dense(M, K)), W[0]),
    "spmspv, dense": lambda W: spmspv(W, dense(K, 1)[:, 0]),
    "spmspv, Fortran": lambda W: spmspv(np.asfortranarray(W), dense(K, 1)[:, 0]),
    "kwinners": lambda W: kwinners(W, 3),
    "kwinners, csr": lambda W: kwinners(W, 3, format="csr").toarray(),
    "NMArray.from_dense": lambda W: formats.NMArray.from_dense(W, 32, 32).toarray(),
    "prune": pruned,
}


@pytest.mark.parametrize("operation", DENSE_OPERATIONS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("how", ["strided", "misaligned", "read-only", "big-endian"])
def test_dense_operands_of_any_layout(operation, dtype, how):
    W = dense(M, K, dtype)
    call = DENSE_OPERATIONS[operation]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = call(laid_out(W, how))
    assert_same(result, call(W))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_what_is_made_of_big_endian_values_is_native(dtype):
    W = dense(M, K, dtype)
    swapped = W.astype(W.dtype.newbyteorder(">"))
    made = formats.NMArray.from_dense(W, 32, 32)
    again = formats.NMArray(
        made.shape,
        made.m,
        made.values.astype(swapped.dtype),
        made.packed_indices,
        made.packed_padding,
    )
    assert made.dtype == again.dtype == made.astype(swapped.dtype).dtype == dtype
    assert prepare(sp.csr_array(W), dtype=swapped.dtype, tune=False).dtype == dtype
    np.testing.assert_array_equal(again.toarray(), W)
