"""Operands of different dtypes: converted once, to what NumPy promotes both to."""

import itertools

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import EXTRA_OPERATIONS, assert_rounded_alike

from spkernels import _core, accelerate, prepare, spmm
from spkernels._prepare import strategies
from spkernels._prepare.strategies import width_class

REAL = ["?", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f2", "f4", "f8"]
SPARSE = [dtype for dtype in REAL if dtype != "f2"]  # scipy has none in float16
NATIVE = (np.float32, np.float64)
FORMATS = ["csr", "csc", "coo", "bsr"]


def make(format, dtype, shape=(20, 14), seed=0):
    rng = np.random.default_rng(seed)
    dense = rng.integers(-90, 90, shape) * (rng.random(shape) < 0.3)
    return sp.csr_array(dense.astype(dtype)).asformat(format)


def dense(dtype, shape, seed=1):
    return np.random.default_rng(seed).integers(-90, 90, shape).astype(dtype)


PAIRS = [
    pair
    for pair in itertools.product(SPARSE, REAL)
    if np.result_type(*pair) in NATIVE and pair[0] != pair[1]
]


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize(("left", "right"), PAIRS)
def test_the_bits_are_those_of_converted_operands(format, left, right):
    A, dtype = make(format, left), np.result_type(left, right)
    for shape in [(14,), (14, 1), (14, 5)]:
        for B in (dense(right, shape), np.asfortranarray(dense(right, shape))):
            result = _core.spmm_fast(A, B)
            if format == "coo" and result is None:
                # Small ones are converted to CSR where rows of the operand are not whole.
                assert not B.flags.c_contiguous
                continue
            assert result is not None, "it took the way by Python"
            assert result.dtype == dtype
            np.testing.assert_array_equal(result, spmm(A.astype(dtype), B.astype(dtype)))
            np.testing.assert_array_equal(spmm(A, B), result)
    X = dense(right, (3, 20))
    np.testing.assert_array_equal(spmm(X, A), spmm(X.astype(dtype), A.astype(dtype)))


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(PAIRS),
    st.sampled_from(FORMATS),
    st.integers(0, 4),
    st.sampled_from([None, "C", "F", "K"]),
    st.booleans(),
)
def test_options_meet_converted_operands(pair, format, n, order, column_major):
    A, dtype = make(format, pair[0]), np.result_type(*pair)
    B = np.array(dense(pair[1], (14, n)), order="F" if column_major else "C")
    bias = np.ones(n, dtype)
    result = spmm(A, B, alpha=2.0, bias=bias, activation="relu", order=order)
    expected = spmm(
        A.astype(dtype), B.astype(dtype, order="K"), alpha=2.0, bias=bias, activation="relu",
        order=order,
    )  # fmt: skip
    np.testing.assert_array_equal(result, expected)
    assert result.dtype == dtype
    assert (result.flags.c_contiguous, result.flags.f_contiguous) == (
        expected.flags.c_contiguous,
        expected.flags.f_contiguous,
    )


def test_out_may_be_what_is_converted():
    A, B = make("csr", "f8", (14, 14)), dense("f4", (14, 28))
    out = B.view(np.float64)
    expected = spmm(A, B[:, :14].astype(np.float64))
    np.testing.assert_array_equal(spmm(A, B[:, :14], out=out), expected)


@pytest.mark.parametrize(("left", "right"), [("i8", "i8"), ("f4", "c8"), ("?", "i4")])
def test_other_dtypes_are_left_to_scipy(left, right):
    A, B = make("csr", left), dense(right, (14, 3))
    assert _core.spmm_fast(A, B) is None
    result = spmm(A, B)
    assert result.dtype == (A @ B).dtype
    np.testing.assert_array_equal(result, A @ B)


def test_corrupted_indices_are_found():
    A = make("csr", "i8")
    A.indices[3] = 14
    with pytest.raises(ValueError, match="A.indices is corrupted"):
        spmm(A, dense("f4", (14, 3)))


def packed_weight():
    A = sp.random_array((128, 96), density=0.2, format="csr", dtype=np.float32, random_state=0)
    W = prepare(A, n=8, tune=False)
    W._choices[width_class(8, W.dtype)] = "packed"
    W @ np.ones((96, 8), np.float32)
    W._state.shed()
    return A, W


def test_a_prepared_matrix_keeps_what_other_dtypes_need(monkeypatch):
    A, W = packed_weight()
    before, made = W.nbytes, []
    restored = strategies.Packed.restored
    monkeypatch.setattr(
        strategies.Packed, "restored", lambda self: made.append(1) or restored(self)
    )
    wide = A.astype(np.float64)
    for seed in range(3):
        B = dense("f8", (96, 8), seed) / 7
        assert (W @ B).dtype == np.float64
        np.testing.assert_array_equal(W @ B, spmm(wide, B))
    assert len(made) == 1
    assert W.nbytes >= before + A.nnz * 12
    single = dense("f4", (96, 8))
    assert (W @ single).dtype == np.float32
    # Rows of float32 that are no whole elements apart are not what is kept for float64.
    odd = np.zeros((96, 8), [("x", "f4"), ("y", "i1")])["x"]
    assert (W @ odd).dtype == np.float32


def test_complex_operands_keep_a_matrix_too(monkeypatch):
    A, W = packed_weight()
    made, restored = [], strategies.Packed.restored
    monkeypatch.setattr(
        strategies.Packed, "restored", lambda self: made.append(1) or restored(self)
    )
    B = dense("c8", (96, 3)) * 1j
    for _ in range(2):
        size = abs(A) @ np.abs(B).astype(np.float64)
        assert_rounded_alike(W @ B, A @ B, size, A.shape[1] + EXTRA_OPERATIONS)
    assert len(made) == 1


def test_integers_of_a_narrow_type_use_what_was_packed():
    A, W = packed_weight()
    B = dense("i1", (96, 8))
    np.testing.assert_array_equal(W @ B, W @ B.astype(np.float32))
    assert not W.explain().notes


def test_explain_says_so():
    _, W = packed_weight()
    assert not W.explain().notes
    W @ np.ones((96, 8))
    (note,) = W.explain().notes
    assert "convert the operand to float32" in note
    assert f"note: {note}" in str(W.explain())


def test_the_report_says_so():
    A = sp.csr_array(make("csr", "f4"))
    accelerate.report(reset=True)
    with accelerate():
        A @ np.ones(14, np.float32)
        assert not accelerate.report().notes
        result = A @ np.ones((14, 3))
    report = accelerate.report(reset=True)
    assert result.dtype == np.float64
    assert report.taken == 2
    (note,) = report.notes
    assert note.startswith("float32 x float64: ")
    assert f"note: {note}" in str(report)
