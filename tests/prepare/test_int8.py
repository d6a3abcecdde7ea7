"""Sparse matrices of int8: sums are exact, scales and roundings to the bit, bad input is named."""

import concurrent.futures
import copy
import pickle

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from int8_operands import BYTES, WIDTHS, operands, random_bytes, rounded
from strategies import lay_out, layouts, rest_untouched

import spkernels
from spkernels import Int8Matrix, prepare, prune


@pytest.mark.every_isa
@given(operands(), layouts, st.sampled_from(BYTES), st.booleans(), st.data())
def test_sums_are_exact(drawn, layout, dtype, vector, data):
    A, dense, n, rng = drawn
    B = random_bytes(rng, A.shape[1] if vector else (A.shape[1], n), dtype)
    W = prepare(A, dtype="int8", n=data.draw(st.sampled_from(WIDTHS)))
    assert isinstance(W, Int8Matrix) and W.shape == A.shape
    assert np.array_equal(W.toscipy().toarray(), dense) and (W.scale == 1).all()
    laid = lay_out(B, layout)
    info = np.iinfo(dtype)
    zero = data.draw(st.integers(info.min, info.max))
    got = W @ laid
    assert got.dtype == np.int32 and np.array_equal(got, dense @ B.astype(np.int64))
    from_right = laid.T @ W.T
    assert from_right.dtype == np.int32 and np.array_equal(from_right, got.T)
    assert from_right.flags.c_contiguous and from_right.shape == got.T.shape
    wanted = dense @ (B.astype(np.int64) - zero)
    assert np.array_equal(W.spmm(laid, zero_point=zero), wanted)
    out = lay_out(np.zeros(wanted.shape, np.int32), data.draw(layouts))
    assert W.spmm(laid, zero_point=zero, out=out) is out
    assert np.array_equal(out, wanted) and rest_untouched(out)


@pytest.mark.every_isa
@given(operands(("csr",)), st.sampled_from(BYTES), st.booleans(), st.data())
def test_scaled_and_requantised_to_the_bit(drawn, dtype, vector, data):
    A, _, n, rng = drawn
    scales = (0.01 * rng.random((A.shape[0], 1)) + 0.001).astype(np.float32)
    real = sp.csr_array(A.astype(np.float64).multiply(scales))
    W = prepare(real, dtype="int8")
    assert W.scale.dtype == np.float32 and not W.scale.flags.writeable
    Q = W.toscipy().toarray().astype(np.int64)
    B = random_bytes(rng, A.shape[1] if vector else (A.shape[1], n), dtype)
    zero = data.draw(st.integers(np.iinfo(dtype).min, np.iinfo(dtype).max))
    step = data.draw(st.sampled_from([1.0, 0.37]))
    shape = (A.shape[0], *B.shape[1:])
    wanted = (Q @ (B.astype(np.int64) - zero)).astype(np.float32)
    factors = (W.scale * np.float32(step)).reshape(-1, *(1,) * (len(shape) - 1))
    wanted = wanted * factors
    bias = data.draw(st.sampled_from([None, 0.5, "rows"]))
    if bias == "rows":
        bias = rng.standard_normal((shape[0], *(1,) * (len(shape) - 1))).astype(np.float32)
    # -0 plus +0 is +0, as in the kernel.
    wanted = wanted + np.float32(0 if bias is None else bias)
    activation = data.draw(st.sampled_from([None, "relu"]))
    if activation:
        wanted = np.where(wanted < 0, np.float32(0), wanted)
    options = {"scale": step, "zero_point": zero, "bias": bias, "activation": activation}
    got = W.spmm(B, **options)
    assert got.dtype == np.float32 and np.array_equal(got, wanted)
    for kind in BYTES:
        out_zero = data.draw(st.integers(np.iinfo(kind).min, np.iinfo(kind).max))
        out_step = data.draw(st.sampled_from([0.5, 0.125, 0.3, 1e-30, 1e30]))
        got = W.spmm(B, **options, dtype=kind, out_scale=out_step, out_zero_point=out_zero)
        assert got.dtype == kind
        with np.errstate(over="ignore"):
            assert np.array_equal(got, rounded(got * 0 + wanted, kind, out_step, out_zero))


@pytest.mark.every_isa
def test_the_same_bits_for_any_number_of_threads_and_at_once():
    rng = np.random.default_rng(0)
    A = sp.csr_array(np.where(rng.random((700, 900)) < 0.1, rng.standard_normal((700, 900)), 0))
    W = prepare(A, dtype="int8", n=8)
    for n in (1, 8, 200):
        B = random_bytes(rng, (900, n), np.uint8)
        one = W.spmm(B, scale=0.1, activation="gelu", workers=1)
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            jobs = [
                pool.submit(W.spmm, B, scale=0.1, activation="gelu", workers=workers)
                for workers in (1, 2, 3, 8) * 3
            ]
        assert all(np.array_equal(job.result(), one) for job in jobs)


def test_quantised_symmetrically_by_rows():
    A = sp.csr_array([[0, 0, 0], [1.27, -0.635, 0.01], [0, 1e-50, 0], [-300, 299, 0]])
    W = prepare(A, dtype="int8")
    assert W.toscipy().toarray().tolist() == [[0, 0, 0], [127, -64, 1], [0, 0, 0], [-127, 127, 0]]
    assert W.scale == pytest.approx([1, 0.01, 1, 300 / 127])
    assert W.nnz == 6  # what is rounded to zero stays stored
    error = abs(W.dequantise() - A).toarray()
    assert (error <= W.scale[:, None] / 2 * (1 + 1e-6)).all()


@pytest.mark.parametrize("largest", [2.54e-43, 1e-42, 3e-41])
def test_subnormal_steps_are_not_too_small(largest):
    A = sp.csr_array([[largest, -largest / 3]])
    W = prepare(A, dtype="int8")
    dequantised = W.scale.astype(np.float64)[:, None] * W.toscipy().toarray()
    assert (abs(dequantised - A.toarray()) <= W.scale.astype(np.float64) / 2).all()


def test_the_error_of_a_quantised_product_is_half_a_step_per_entry():
    rng = np.random.default_rng(3)
    A = sp.csr_array(np.where(rng.random((60, 80)) < 0.2, rng.standard_normal((60, 80)), 0))
    X = rng.random((80, 9)).astype(np.float32)
    step = X.max() / 255
    B = np.rint(X / step).astype(np.uint8)
    W = prepare(A, dtype="int8")
    got = W.spmm(B, scale=step)
    magnitudes = abs(A)
    bound = (magnitudes @ np.full_like(X, step / 2)) + 0.51 * W.scale[:, None] * (
        (A != 0).astype(float) @ (X + step)
    )
    assert (abs(got - A @ X) <= bound).all()
    assert abs(got - A @ X).max() > 0


def test_duplicates_add_up_before_they_are_taken():
    A = sp.coo_array(([100, 100, -90], ([0, 0, 0], [1, 1, 1])), shape=(1, 3))
    assert prepare(A, dtype="int8").toscipy().toarray().tolist() == [[0, 110, 0]]


@pytest.mark.every_isa
@pytest.mark.parametrize(("height", "width"), [(16, 1), (4, 4), (4, 1), (1, 4)])
def test_rows_with_common_columns_share(height, width):
    rng = np.random.default_rng(1)
    D = rng.standard_normal((64, 96)).astype(np.float32)
    mask = prune.block(D, (height, width), 0.8).mask
    A = sp.csr_array(np.where(mask, rng.integers(1, 100, D.shape), 0))
    wide = prepare(A, dtype="int8", n=128)
    assert ("100% in rows with common columns" in wide.kernel) == (height > 1)
    B = random_bytes(rng, (96, 128), np.uint8)
    assert np.array_equal(wide @ B, A @ B.astype(np.int64))
    for n in (1, 4, 16):
        assert np.array_equal(wide @ B[:, :n], A @ B[:, :n].astype(np.int64))


def test_extremes_fit():
    length = (2**31 - 1) // 255 // 127
    A = sp.csr_array(np.full((1, length), -127))
    W = prepare(A, dtype="int8", n=1)
    for kind, low, high in ((np.uint8, 0, 255), (np.int8, -128, 127)):
        for n in (1, 5, 40):
            B = np.full((length, n), low, kind)
            assert (W.spmm(B, zero_point=high) == 127 * 255 * length).all()
            B[:] = high
            assert (W.spmm(B, zero_point=low) == -127 * 255 * length).all()
    A = sp.csr_array(np.full((2, length + 1), 127))
    A.data[: length + 1] = 1
    with pytest.raises(ValueError, match=r"at most 8421504, so that sums fit int32, row 1 has"):
        prepare(A, dtype="int8")


@pytest.mark.every_isa
@pytest.mark.parametrize("layout", ["C", "F", "strided"])
def test_sums_whose_bits_are_those_of_nan(layout):
    W = prepare(sp.csr_array(np.full((5, 300), -127)), dtype="int8")
    for n in (1, 2, 17, 40):
        wide = np.zeros((5, 2 * n), np.int32)
        out = wide[:, ::2] if layout == "strided" else np.zeros((5, n), np.int32, order=layout)
        W.spmm(np.full((300, n), 200, np.uint8), out=out)
        assert (out == -127 * 200 * 300).all() and not wide[:, 1::2].any()


def test_pickled_copied_and_described():
    A = sp.csr_array(np.eye(5) * [[1], [2], [3], [4], [5]])
    W = prepare(A, dtype="int8", n=4)
    assert W.dtype == np.int8
    before = W.nbytes
    x = np.arange(5, dtype=np.uint8)
    for other in (pickle.loads(pickle.dumps(W)), copy.deepcopy(W), copy.copy(W)):
        assert np.array_equal(other @ x, W @ x) and np.array_equal(other.scale, W.scale)
        assert other.kernel == W.kernel
    W @ np.zeros((5, 100), np.uint8)
    assert W.nbytes >= before > 0
    assert np.array_equal(W @ (x > 2), W.toscipy() @ (x > 2).astype(np.int32))


W = prepare(sp.csr_array([[1, 0, 2], [0, 3, 0]]), dtype="int8")
X = np.zeros((3, 2), np.uint8)


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"B": X.astype(np.int32)}, TypeError, "B must be of int8, uint8 or bool, got int32"),
        ({"B": sp.csr_array(X)}, TypeError, "B must be dense"),
        ({"B": X[:2]}, ValueError, r"W has shape \(2, 3\) and B has shape \(2, 2\)"),
        ({"B": X[None]}, ValueError, "B must be 1-D or 2-D"),
        ({"zero_point": 256}, ValueError, "zero_point must be from 0 to 255, got 256"),
        ({"zero_point": 1.5}, TypeError, "zero_point must be an integer"),
        ({"B": X.view(np.int8), "zero_point": 128}, ValueError, "from -128 to 127"),
        ({"dtype": np.int32, "scale": 2.0}, ValueError, "must be None for a result of int32"),
        ({"dtype": np.float64}, TypeError, "dtype must be of int32, float32, int8 or uint8"),
        ({"dtype": np.int8}, ValueError, "out_scale must be given for a result of int8"),
        ({"scale": 1.0, "out_scale": 2.0}, ValueError, "out_scale must be None"),
        ({"dtype": np.int8, "out_scale": 0.0}, ValueError, "out_scale must be positive"),
        ({"dtype": np.int8, "out_scale": 1e-60}, ValueError, "out_scale must be positive"),
        ({"dtype": np.int8, "out_scale": np.inf}, ValueError, "out_scale must be finite"),
        ({"dtype": np.int8, "out_scale": 1.0, "out_zero_point": 200}, ValueError, "-128 to 127"),
        ({"scale": "1"}, TypeError, "scale"),
        ({"scale": np.nan}, ValueError, "scale must be finite"),
        ({"scale": 1e39}, ValueError, "scale must be finite as float32, got 1e[+]39"),
        ({"dtype": np.uint8, "out_scale": 1e39}, ValueError, "out_scale must be finite as float32"),
        (
            {"out_zero_point": 1},
            ValueError,
            "out_zero_point must be 0 for a result of int32, got 1",
        ),
        ({"scale": 1.0, "out_zero_point": 1}, ValueError, "0 for a result of float32, got 1"),
        ({"bias": np.ones(2)}, ValueError, r"bias must be a scalar or have shape \(2, 1\)"),
        ({"bias": np.ones(5)}, ValueError, "bias"),
        ({"activation": "elus"}, ValueError, "activation must be one of"),
        ({"activation": 3}, ValueError, "activation must be one of"),
        ({"out": np.zeros((2, 2))}, TypeError, "out must be of int32, float32, int8 or uint8"),
        ({"out": np.zeros((3, 2), np.int32)}, ValueError, r"out must have shape \(2, 2\)"),
        ({"out": [[0, 0]] * 2}, TypeError, "out must be an ndarray"),
        (
            {"out": np.zeros((2, 2), np.int32), "dtype": np.float32},
            ValueError,
            "out must have dtype float32",
        ),
        ({"workers": 0}, ValueError, "workers"),
    ],
)
def test_bad_options_are_named(options, error, text):
    options = {"B": X, **options}
    with pytest.raises(error, match=text):
        W.spmm(**options)


@pytest.mark.parametrize(
    ("A", "error", "text"),
    [
        (sp.csr_array([[1.0], [np.inf]]), ValueError, "row 1 holds infinity or NaN"),
        (sp.csr_array([[1.0], [np.nan]]), ValueError, "row 1 holds infinity or NaN"),
        (sp.csr_array([[1], [0], [128]]), ValueError, "from -128 to 127.*row 2 has 128"),
        (sp.csr_array([[1e300]]), ValueError, "scales that float32 holds, row 0"),
        (sp.csr_array([[1j]]), TypeError, "A must hold real numbers"),
        (np.eye(3), TypeError, "A must be a scipy.sparse array"),
    ],
)
def test_matrices_that_are_no_int8_are_refused(A, error, text):
    with pytest.raises(error, match=text):
        prepare(A, dtype="int8")


def test_int8_takes_no_storage_and_is_no_sddmm():
    A = sp.csr_array(np.eye(3))
    with pytest.raises(ValueError, match="storage must be None with dtype int8"):
        prepare(A, dtype="int8", storage="float16")
    with pytest.raises(TypeError, match="dtype must be float32"):
        prepare(A, dtype="int8", op="sddmm")


def test_too_sparse_for_its_shape():
    A = sp.csr_array(([1], ([0], [2**31 - 2])), shape=(2, 2**31 - 1), dtype=np.int8)
    with pytest.raises(ValueError, match="A has too few entries for its shape.*: 1, for 2 x"):
        prepare(A, dtype="int8")


def test_out_may_overlap_B():
    A = sp.csr_array(np.eye(4) * 2)
    W8 = prepare(A.astype(np.int8), dtype="int8")
    B = np.arange(16, dtype=np.int8).reshape(4, 4)
    wanted = W8.spmm(B, dtype=np.int8, out_scale=1.0)
    assert np.array_equal(W8.spmm(B, out=B, out_scale=1.0), wanted)
    assert spkernels.Int8Matrix is Int8Matrix


@pytest.mark.parametrize("n", [1, 3, 70])
def test_out_may_overlap_bias(n):
    rng = np.random.default_rng(0)
    W8 = prepare(sp.csr_array(rng.integers(-9, 9, (40, 30))), dtype="int8")
    B = random_bytes(rng, (30, n), np.uint8)
    out = rng.standard_normal((40, n)).astype(np.float32)
    bias = out[:, :1]
    wanted = W8.spmm(B, scale=0.5, bias=bias.copy())
    assert np.array_equal(W8.spmm(B, scale=0.5, bias=bias, out=out), wanted)
    vector = out[:, 0].copy()
    wanted = W8.spmm(B[:, 0], scale=0.5, bias=vector.copy())
    assert np.array_equal(W8.spmm(B[:, 0], scale=0.5, bias=vector, out=vector), wanted)
