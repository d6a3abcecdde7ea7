"""Bad input: an error that names the argument, before anything is read or written through it."""

import itertools
from decimal import Decimal

import numpy as np
import pytest
import scipy.sparse as sp
from corruptions import FAULTS, K, M, corrupted, operand
from hypothesis import given
from hypothesis import strategies as st
from reference import assert_spmm
from strategies import NATIVE_FORMATS, random_dense, random_sparse, seeds, set_index_arrays

import spkernels
from spkernels import sddmm, spmm

N = 7
CORRUPTIONS = [(fmt, name) for fmt in NATIVE_FORMATS for name in FAULTS[fmt]]


class Anything:
    pass


# Corrupted sparse operands ------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.int64, np.complex128])
@pytest.mark.parametrize("fmt, name", CORRUPTIONS)
def test_spmm_of_a_corrupted_operand(fmt, name, dtype):
    A, culprit = corrupted(fmt, name, dtype)
    for n in (None, 1, N, 70):
        shape = () if n is None else (n,)
        out = np.full((M, *shape), 7, dtype)
        with pytest.raises(ValueError, match=rf"\bA\.{culprit}\b"):
            spmm(A, np.ones((K, *shape), dtype))
        with pytest.raises(ValueError, match=rf"\bA\.{culprit}\b"):
            spmm(A, np.ones((K, *shape), dtype), out=out)
        assert (out == 7).all()
        out = np.full((*shape, K), 7, dtype)
        with pytest.raises(ValueError, match=rf"\bB\.{culprit}\b"):
            spmm(np.ones((*shape, M), dtype), A, out=out)
        assert (out == 7).all()


@pytest.mark.parametrize("dtype", [np.float32, np.int64])
@pytest.mark.parametrize("fmt, name", CORRUPTIONS)
def test_sddmm_of_a_corrupted_pattern(fmt, name, dtype):
    P, culprit = corrupted(fmt, name, dtype)
    for k in (1, 16):
        X, Y = np.ones((M, k), dtype), np.ones((k, K), dtype)
        with pytest.raises(ValueError, match=rf"\bP\.{culprit}\b"):
            sddmm(P, X, Y)
        before = P.data.copy()
        with pytest.raises(ValueError, match=rf"\bP\.{culprit}\b"):
            sddmm(P, X, Y, out=P, scale=True)
        np.testing.assert_array_equal(P.data, before)


@pytest.mark.parametrize("dtype", [np.float32, np.int64, np.complex128])
@pytest.mark.parametrize("fmt, name", CORRUPTIONS)
def test_an_operator_of_a_corrupted_operand(fmt, name, dtype):
    """Its transposes too: scipy writes through the indices of BSR to make one."""
    for use in (
        lambda operator: operator.matvec(np.ones(K)),
        lambda operator: operator.rmatvec(np.ones(M)),
        lambda operator: operator.rmatmat(np.ones((M, 2))),
        lambda operator: operator.T @ np.ones(M),
        lambda operator: operator.H @ np.ones(M),
    ):
        A, culprit = corrupted(fmt, name, dtype)
        with pytest.raises(ValueError, match=rf"\bA\.{culprit}\b"):
            use(spkernels.aslinearoperator(A))


def test_an_operator_of_diagonals_that_are_not_there():
    A = sp.dia_array(np.eye(4))
    A.offsets = np.arange(3, dtype=A.offsets.dtype)
    with pytest.raises(ValueError, match=r"A\.data must have a row for each of A\.offsets"):
        spkernels.aslinearoperator(A)


@given(
    fmt=st.sampled_from(["csr", "csc", "bsr"]),
    name=st.sampled_from(["indptr", "indices"]),
    values=st.lists(
        st.one_of(st.integers(-40, 40), st.sampled_from([2**31 - 1, -(2**31), 2**40, -(2**63)])),
        min_size=1,
        max_size=4,
    ),
    seed=seeds,
)
def test_random_corruption_is_found_or_harmless(fmt, name, values, seed):
    """Whatever overwrites index arrays: ValueError, or the product of what they now say."""
    rng = np.random.default_rng(seed)
    A = random_sparse(rng, fmt, (M, K), 0.2, np.float64, itype=np.int64)
    array = getattr(A, name)
    array[rng.integers(0, len(array), len(values))] = values
    height, width = A.blocksize if fmt == "bsr" else (1, 1)
    inner = M if fmt == "csc" else K // width
    used = A.indices[: max(0, A.indptr[-1])]
    valid = (
        A.indptr[0] == 0
        and (A.indptr[1:] >= A.indptr[:-1]).all()
        and A.indptr[-1] <= len(A.indices)
        and ((used >= 0) & (used < inner)).all()
    )
    B = random_dense(rng, (K, N), np.float64)
    if valid:
        A.indices, A.data = used, A.data[: len(used)]
        assert_spmm(spmm(A, B), A, B)
    else:
        with pytest.raises(ValueError, match=r"A\.(indptr|indices) is corrupted"):
            spmm(A, B)


@pytest.mark.parametrize("fmt", ["csr", "csc"])
def test_an_index_out_of_range_in_a_long_array_is_found_anywhere(fmt):
    """The scan works in blocks and vectors: the first, the last and those at their seams count."""
    A = sp.csr_array(np.ones((100, 301), np.float32)).asformat(fmt)
    extent = 301 if fmt == "csr" else 100
    B = np.ones((301, 3), np.float32)
    for position in (0, 1, 15, 16, 4095, 4096, 4097, 8191, 8192, A.nnz - 2, A.nnz - 1):
        for wrong, itype in itertools.product((-1, extent), (np.int32, np.int64)):
            bad = A.copy()
            set_index_arrays(bad, lambda array, itype=itype: array.astype(itype))
            bad.indices[position] = wrong
            with pytest.raises(ValueError, match=r"A\.indices is corrupted"):
                spmm(bad, B)


def test_a_negative_narrow_index_into_a_huge_dimension():
    """-1 in 32 bits is 2**32 - 1 unsigned, and would pass for an index below 2**33."""
    A = sp.csr_array((1, 2**33), dtype=np.float32)
    A.indptr = np.array([0, 1], np.int32)
    A.indices = np.array([-1], np.int32)
    A.data = np.ones(1, np.float32)
    B = np.broadcast_to(np.ones(2, np.float32), (2**33, 2))
    with pytest.raises(ValueError, match=r"A\.indices is corrupted"):
        spmm(A, B)


@pytest.mark.parametrize("fmt", ["lil", "dok"])
def test_corrupted_operands_of_other_formats(fmt):
    A = operand(fmt)
    if fmt == "lil":
        A.rows[0] = [K + 100]
        A.data[0] = [1.0]
    else:
        dict.__setitem__(getattr(A, "_dict", A), (0, K + 100), 1.0)
    with pytest.raises(ValueError):
        spmm(A, np.ones((K, N), np.float32))


def test_blocks_that_do_not_divide_the_shape():
    A = operand("bsr")
    A.data = np.zeros((len(A.data), 5, 3), np.float32)
    with pytest.raises(ValueError, match=r"A\.data must have blocks .*\(24, 30\), got \(5, 3\)"):
        spmm(A, np.ones((K, N), np.float32))
    A.data = np.zeros((len(A.data), 0, 3), np.float32)
    with pytest.raises(ValueError, match=r"A\.data must have blocks .*, got \(0, 3\)"):
        spmm(A, np.ones((K, N), np.float32))


# Shapes -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.int64])
@pytest.mark.parametrize("shape", [(K - 1,), (K + 1, N), (N, K), (0,), (0, 0), (1,), (1, K)])
def test_spmm_shapes_that_do_not_fit(shape, dtype):
    A = operand("csr", dtype)
    with pytest.raises(ValueError, match=r"A has shape \(24, 30\) and B has shape") as info:
        spmm(A, np.ones(shape, dtype))
    assert str(shape) in str(info.value)
    shape = shape[::-1]
    with pytest.raises(ValueError, match=r"A has shape .* and B has shape \(24, 30\)") as info:
        spmm(np.ones(shape, dtype), A)
    assert str(shape) in str(info.value)


@pytest.mark.parametrize("junk", [None, {}, set(), {1.0, 2.0}, Anything(), iter([1.0])])
def test_what_is_no_array_is_a_type_error(junk):
    A, B = operand("csr"), np.ones((M, 2))
    for name, call in (
        ("B", lambda: spmm(A, junk)),
        ("A", lambda: spmm(junk, A)),
        ("X", lambda: sddmm(A, junk, B)),
        ("Y", lambda: sddmm(A, B, junk)),
    ):
        kind = type(junk).__name__
        with pytest.raises(TypeError, match=f"^{name} must be an array of numbers, got {kind}"):
            call()


@pytest.mark.parametrize("dtype", [np.float32, np.int64])
def test_lists_of_unequal_lengths_are_named(dtype):
    A, B, ragged = operand("csr", dtype), np.ones((M, 2), dtype), [[1.0], [1.0, 2.0]]
    for name, call in (
        ("B", lambda: spmm(A, ragged)),
        ("A", lambda: spmm(ragged, A)),
        ("bias", lambda: spmm(B.T, A, bias=ragged)),
        ("X", lambda: sddmm(A, ragged, B)),
        ("Y", lambda: sddmm(A, B, ragged)),
    ):
        with pytest.raises(ValueError, match=f"^{name} must be an array of numbers, but .*shape"):
            call()
    with pytest.raises(TypeError, match="^alpha must be a"):
        spmm(B.T, A, alpha=ragged)


def test_factors_of_sddmm_are_dense():
    A, B = operand("csr"), np.ones((M, 2))
    with pytest.raises(TypeError, match="^X must be dense, got csr_array"):
        sddmm(A, A, B)
    with pytest.raises(TypeError, match="^Y must be dense, got csr_array"):
        sddmm(A, B, A)
    with pytest.raises(TypeError, match="^bias must be dense, got csr_array"):
        spmm(A, np.ones((K, 2)), bias=A)


@pytest.mark.parametrize("B", [3.0, np.ones((2, K, N)), np.float32(2)])
def test_spmm_of_what_is_not_one_or_two_dimensional(B):
    with pytest.raises(ValueError, match="B must be 1-D or 2-D"):
        spmm(operand("csr"), B)
    with pytest.raises(ValueError, match="A must be 1-D or 2-D"):
        spmm(B, operand("csr"))


@pytest.mark.parametrize("junk", [["a"] * K, np.full(K, "a"), np.full(K, None),
                                  np.zeros(K, "datetime64[s]"), np.zeros(K, [("x", "f4")])])
def test_what_is_not_numbers(junk):
    with pytest.raises(TypeError, match="B must hold numbers"):
        spmm(operand("csr"), junk)
    with pytest.raises(TypeError, match="X must hold numbers"):
        sddmm(operand("csr"), np.array([junk] * M), np.ones((K, K)))
    with pytest.raises(TypeError, match="Y must hold numbers"):
        sddmm(operand("csr"), np.ones((M, 1)), np.array([junk]))


def test_exactly_one_operand_is_sparse():
    A, B = operand("csr"), np.ones((K, N), np.float32)
    with pytest.raises(TypeError, match="exactly one of A and B.*both are sparse"):
        spmm(A, operand("csc"))
    with pytest.raises(TypeError, match="exactly one of A and B.*both are dense"):
        spmm(B, B)
    with pytest.raises(TypeError, match="P must be a scipy.sparse array, got ndarray"):
        sddmm(A.toarray(), B, B)


def test_sddmm_shapes_that_do_not_fit():
    P, X, Y = operand("csr"), np.ones((M, 4)), np.ones((4, K))
    with pytest.raises(ValueError, match=r"X must have 24 rows.*\(25, 4\)"):
        sddmm(P, np.ones((M + 1, 4)), Y)
    with pytest.raises(ValueError, match=r"Y must have 30 columns.*\(4, 29\)"):
        sddmm(P, X, np.ones((4, K - 1)))
    with pytest.raises(ValueError, match=r"X @ Y.*\(24, 4\).*\(5, 30\)"):
        sddmm(P, X, np.ones((5, K)))
    with pytest.raises(ValueError, match=r"Y must have 30 columns.*\(30, 4\)"):
        sddmm(P, X, Y.T)
    for bad in (np.ones(M), 3.0):
        with pytest.raises(ValueError, match="X must have 2 dimensions or more"):
            sddmm(P, bad, Y)
        with pytest.raises(ValueError, match="Y must have 2 dimensions or more"):
            sddmm(P, X, bad)


@pytest.mark.skipif(
    not hasattr(sp.coo_array((1, 1)), "coords"), reason="This scipy has no 1-D arrays."
)
def test_sddmm_pattern_must_have_two_dimensions():
    with pytest.raises(ValueError, match=r"P must be 2-D, got shape \(3,\)"):
        sddmm(sp.coo_array(np.ones(3)), np.ones((1, 2)), np.ones((2, 3)))


# Options ------------------------------------------------------------------------------------------


BAD_OPTIONS = [
    ({"workers": 0}, ValueError, "workers"),
    ({"workers": -10_000}, ValueError, "workers"),
    ({"workers": 1.5}, TypeError, "workers"),
    ({"workers": "2"}, TypeError, "workers"),
    ({"workers": [1]}, TypeError, "workers"),
    ({"alpha": "1"}, TypeError, "alpha"),
    ({"alpha": None}, TypeError, "alpha"),
    ({"alpha": 1j}, TypeError, "alpha"),
    ({"alpha": np.ones(2)}, TypeError, "alpha"),
    ({"alpha": [1.0]}, TypeError, "alpha"),
    ({"alpha": Anything()}, TypeError, "alpha"),
    ({"beta": "1"}, TypeError, "beta"),
    ({"beta": None}, TypeError, "beta"),
    ({"beta": np.ones(2)}, TypeError, "beta"),
    ({"alpha": Decimal(1)}, TypeError, "alpha"),
    ({"alpha": 10**400}, ValueError, "alpha must be within the range of float64"),
    ({"beta": -(10**400)}, ValueError, "beta must be within the range of float64"),
]
BAD_SPMM_OPTIONS = [
    *BAD_OPTIONS,
    ({"beta": 1.0}, ValueError, "beta must be 0 without out, .* got 1.0"),
    ({"activation": "rule"}, ValueError, "activation must be one of .*'relu'.*got 'rule'"),
    ({"activation": 3}, ValueError, "activation"),
    ({"activation": ["relu"]}, ValueError, "activation"),
    ({"activation": np.tanh}, ValueError, "activation"),
    ({"order": "A"}, ValueError, "order must be .*'A'"),
    ({"order": "c"}, ValueError, "order"),
    ({"order": 0}, ValueError, "order"),
    ({"order": np.zeros(2)}, ValueError, "order"),
    ({"bias": np.ones(N + 1)}, ValueError, r"bias .*\(8,\)"),
    ({"bias": np.ones((M, N, 1))}, ValueError, "bias"),
    ({"bias": np.ones((M + 1, 1))}, ValueError, "bias"),
    ({"bias": np.ones(N) * 1j}, TypeError, "bias"),
    ({"bias": ["a"] * N}, TypeError, "bias"),
    ({"bias": np.full(N, None)}, TypeError, "bias"),
    ({"out": [[0.0]]}, TypeError, "out must be an ndarray, got list"),
    ({"out": sp.csr_array((M, N))}, TypeError, "out must be an ndarray"),
    ({"out": np.ones((M, N + 1), np.float32)}, ValueError, r"out must have shape \(24, 7\).*8"),
    ({"out": np.ones((N, M), np.float32)}, ValueError, "out must have shape"),
    ({"out": np.ones(M * N, np.float32)}, ValueError, "out must have shape"),
    ({"out": np.ones((M, N), np.float64)}, ValueError, "out must have dtype float32, got float64"),
    ({"out": np.ones((M, N), np.complex64)}, ValueError, "out must have dtype"),
    ({"out": np.ones((M, N), ">f4")}, ValueError, "out must have dtype"),
    ({"out": np.broadcast_to(np.float32(0), (M, N))}, ValueError, "out must be writeable"),
    ({"out": np.ones((M, N), np.float32), "order": "F"}, ValueError, "order must be None"),
]


def as_id(value):
    return str(value)[:40] if isinstance(value, dict) else None


@pytest.mark.parametrize("options, error, message", BAD_SPMM_OPTIONS, ids=as_id)
def test_spmm_options(options, error, message):
    with pytest.raises(error, match=message):
        spmm(operand("csr"), np.ones((K, N), np.float32), **options)


@pytest.mark.parametrize("options, error, message", BAD_SPMM_OPTIONS, ids=as_id)
def test_spmm_options_of_integers(options, error, message):
    """The same where the product is scipy's, but for complex factors, which are right there."""
    if "dtype" in message or any(np.iscomplexobj(value) for value in options.values()):
        pytest.skip("This case is not wrong here, or has another message.")
    with pytest.raises(error, match=message):
        spmm(operand("csr", np.int64), np.ones((K, N), np.int64), **options)


def test_out_of_integers_must_have_the_dtype_of_the_result():
    A, B = operand("csr", np.int64), np.ones((K, N), np.int64)
    for dtype in (np.int32, np.float64, np.complex128, np.uint64):
        with pytest.raises(ValueError, match="out must have dtype int64"):
            spmm(A, B, out=np.zeros((M, N), dtype))
    with pytest.raises(ValueError, match="out must have dtype float64, got int64"):
        spmm(A, B, alpha=0.5, out=np.zeros((M, N), np.int64))


def test_whole_numbers_beyond_a_dtype_of_integers():
    A, B = operand("csr", np.int8), np.ones((K, 2), np.int8)
    for value in (300, -129, 10**18):
        with pytest.raises(ValueError, match="alpha must be from -128 to 127 .* in int8, got"):
            spmm(A, B, alpha=value)
        with pytest.raises(ValueError, match="beta must be from -128 to 127 .* in int8, got"):
            spmm(A, B, out=np.ones((M, 2), np.int8), beta=value)
        with pytest.raises(ValueError, match="alpha must be from -128 to 127 .* in int8, got"):
            sddmm(A, np.ones((M, 2), np.int8), B.T, alpha=value)


def test_options_of_integers_are_looked_at_before_the_product(monkeypatch):
    A, B = operand("csr", np.int64), np.ones((K, N), np.int64)

    def multiply(*_):
        raise AssertionError("the product was computed")

    for name in ("__matmul__", "__rmatmul__"):
        monkeypatch.setattr(sp.csr_array, name, multiply)
    for options, error, message in (
        ({"bias": np.ones(N + 1)}, ValueError, "bias"),
        ({"bias": ["a"] * N}, TypeError, "bias"),
        ({"activation": "tanh"}, TypeError, "activation"),
        ({"activation": "relu", "alpha": 1j}, TypeError, "activation"),
        ({"out": np.ones((M, N))}, ValueError, "out must have dtype int64"),
        ({"out": np.ones((M, N), np.int64), "alpha": 0.5}, ValueError, "dtype float64"),
        ({"out": np.ones((M, N), np.int64), "bias": 0.5}, ValueError, "dtype float64"),
    ):
        with pytest.raises(error, match=message):
            spmm(A, B, **options)


def test_bias_of_a_vector_result():
    A = operand("csr")
    for shape in [(M - 1,), (1, M), (M, 1), (K,)]:
        with pytest.raises(ValueError, match="bias"):
            spmm(A, np.ones(K, np.float32), bias=np.ones(shape))


@pytest.mark.parametrize("options, error, message", BAD_OPTIONS, ids=as_id)
def test_sddmm_options(options, error, message):
    with pytest.raises(error, match=message):
        sddmm(operand("csr"), np.ones((M, 4), np.float32), np.ones((4, K), np.float32), **options)


@pytest.mark.parametrize("fmt", NATIVE_FORMATS)
def test_sddmm_out(fmt):
    P, X, Y = operand(fmt), np.ones((M, 4), np.float32), np.ones((4, K), np.float32)

    def refused(error, message, out):
        with pytest.raises(error, match=message):
            sddmm(P, X, Y, out=out)

    refused(TypeError, "out must be a scipy.sparse array, got ndarray", P.toarray())
    other = "csc" if fmt == "csr" else "csr"
    refused(ValueError, "out must have the format", P.asformat(other))
    refused(ValueError, "out must have dtype float32, got float64", P.astype(np.float64))
    refused(ValueError, "out must have the format, shape and pattern",
            random_sparse(np.random.default_rng(0), fmt, (M, K + 3), 0.3, np.float32))
    moved = P.copy()
    set_index_arrays(moved, lambda array: array[::-1].copy() if array[0] else array)
    set_index_arrays(moved, lambda array: np.minimum(array, array[-1] - 1))
    refused(ValueError, "out must have the pattern of P", moved)
    fixed = P.copy()
    fixed.data.flags.writeable = False
    refused(ValueError, "out.data must be writeable, got a read-only array", fixed)


@pytest.mark.parametrize("n", [0, -1, -(2**70)])
def test_set_num_threads_out_of_range(n):
    with pytest.raises(ValueError, match="n must be at least 1"):
        spkernels.set_num_threads(n)


@pytest.mark.parametrize("n", [1.5, "2", [1]])
def test_set_num_threads_of_what_is_not_an_integer(n):
    with pytest.raises(TypeError, match="n must be an integer"):
        spkernels.set_num_threads(n)


def test_show_config_of_an_unknown_mode():
    with pytest.raises(ValueError, match="mode must be 'stdout' or 'dicts', got 'json'"):
        spkernels.show_config("json")
