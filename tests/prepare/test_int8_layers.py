"""int8 as layers: transposes, X @ W.T, steps and zero points per token, new values, explain."""

import copy
import pickle
import sys
import threading

import numpy as np
import pytest
import scipy.sparse as sp
from forks import SETUP
from hypothesis import given
from hypothesis import strategies as st
from int8_operands import BYTES, WIDTHS, operands, random_bytes, rounded
from strategies import lay_out, layouts, rest_untouched, seeds

import spkernels
from spkernels import prepare

LEADS = [(), (1,), (7,), (33,), (0,), (2, 3), (3, 1, 2), (2, 0)]


def with_zeros(X, zero):
    return X.astype(np.int64) - zero


# The transpose, and products from the right -------------------------------------------------------


@pytest.mark.every_isa
@given(operands(), layouts, st.sampled_from(BYTES), st.data())
def test_sums_of_the_transpose_and_from_the_right_are_exact(drawn, layout, dtype, data):
    A, dense, n, rng = drawn
    W = prepare(A, dtype="int8", n=n)
    T = W.T
    assert T.T is W and W.T is T and T.shape == W.shape[::-1] and T.nnz == W.nnz
    assert np.array_equal(T.toscipy().toarray(), dense.T)
    rows, cols = W.shape
    B = random_bytes(rng, (rows, n), dtype)
    assert np.array_equal(T @ lay_out(B, layout), dense.T @ B.astype(np.int64))
    assert np.array_equal(T @ B[:, 0], dense.T @ B[:, 0].astype(np.int64))
    zero = data.draw(st.integers(np.iinfo(dtype).min, np.iinfo(dtype).max))
    assert np.array_equal(T.spmm(B, zero_point=zero), dense.T @ with_zeros(B, zero))
    X = random_bytes(rng, (n, cols), dtype)
    got = lay_out(X, layout) @ T
    assert got.dtype == np.int32 and np.array_equal(got, X.astype(np.int64) @ dense.T)
    assert np.array_equal(X[0] @ T, X[0].astype(np.int64) @ dense.T)
    X = random_bytes(rng, (n, rows), dtype)
    assert np.array_equal(lay_out(X, layout) @ W, X.astype(np.int64) @ dense)
    assert np.array_equal(np.matmul(X, W), X.astype(np.int64) @ dense)


def test_stacks_multiply_as_in_numpy():
    rng = np.random.default_rng(0)
    dense = rng.integers(-20, 20, (6, 5)) * (rng.random((6, 5)) < 0.5)
    W = prepare(sp.csr_array(dense), dtype="int8")
    X = random_bytes(rng, (2, 3, 4, 5), np.uint8)
    assert np.array_equal(X @ W.T, X.astype(int) @ dense.T)
    B = random_bytes(rng, (2, 3, 5, 4), np.int8)
    assert np.array_equal(W @ B, dense @ B.astype(int))
    assert np.array_equal(B.swapaxes(-1, -2) @ W.T, B.swapaxes(-1, -2).astype(int) @ dense.T)
    out = np.empty((2, 3, 4, 6), np.int32)
    assert np.matmul(X, W.T, out=out) is out and np.array_equal(out, X.astype(int) @ dense.T)


def test_the_transpose_of_quantised_rows_gives_sums_alone():
    W = prepare(sp.csr_array([[1.27, 0.0], [2.54, 1.0]]), dtype="int8")
    X = np.array([[1, 2]], np.uint8)
    assert np.array_equal(X @ W, X.astype(int) @ W.toscipy().toarray().astype(int))
    with pytest.raises(ValueError, match="W.T has a scale for each column.*only sums"):
        W.T.spmm(X.T, scale=0.5)
    with pytest.raises(ValueError, match="W.T has a scale for each column"):
        W.T.linear(X, [1.0, 2.0])
    assert np.allclose(W.T.dequantise().toarray(), W.dequantise().toarray().T)
    same = prepare(sp.csr_array([[1.27, 0.0], [-1.27, 1.0]]), dtype="int8")
    wanted = (same.scale[0] * np.float32(0.5)) * (same.T @ X.T).astype(np.float32)
    assert np.array_equal(same.T.spmm(X.T, scale=0.5), wanted)


def test_columns_whose_sums_do_not_fit_are_named():
    height = (2**31 - 1) // 255 // 127 + 1
    W = prepare(sp.csr_array(np.full((height, 1), 127, np.int8)), dtype="int8")
    assert np.array_equal(W @ np.ones(1, np.uint8), np.full(height, 127))
    with pytest.raises(ValueError, match=r"W\.T must have rows whose magnitudes add up"):
        W.T @ np.ones(height, np.uint8)


# Steps and zero points of columns, and of tokens --------------------------------------------------


@st.composite
def layers(draw):
    """Draw W, its integers as int64, and bytes of any leading dimensions."""
    A, _, _, rng = draw(operands(("csr",)))
    scales = (0.01 * rng.random((A.shape[0], 1)) + 0.001).astype(np.float32)
    W = prepare(sp.csr_array(A.astype(np.float64).multiply(scales)), dtype="int8",
                n=draw(st.sampled_from(WIDTHS)))
    lead = draw(st.sampled_from([*LEADS, *((n,) for n in WIDTHS)]))
    X = random_bytes(rng, (*lead, A.shape[1]), draw(st.sampled_from(BYTES)))
    return W, W.toscipy().toarray().astype(np.int64), X, rng


@pytest.mark.every_isa
@given(layers(), st.data())
def test_linear_has_the_bits_of_one_row_at_a_time(drawn, data):
    W, Q, X, rng = drawn
    lead, info = X.shape[:-1], np.iinfo(X.dtype)
    steps = rng.random(lead).astype(np.float32)
    zeros = rng.integers(info.min, info.max + 1, lead)
    steps = data.draw(st.sampled_from([steps, np.float32(0.3), None]))
    zeros = data.draw(st.sampled_from([zeros, 0, int(info.max)]))
    kept = data.draw(st.booleans())  # shapes as of keepdims=True, or not
    as_given = [
        value[..., None] if kept and isinstance(value, np.ndarray) else value
        for value in (steps, zeros)
    ]
    bias = data.draw(st.sampled_from([None, 0.5, rng.standard_normal(Q.shape[0])]))
    activation = data.draw(st.sampled_from([None, "relu"]))
    options = {"scale": as_given[0], "zero_point": as_given[1]}
    sums = with_zeros(X, np.broadcast_to(zeros, lead)[..., None]) @ Q.T
    step = np.broadcast_to(np.float32(1 if steps is None else steps), lead)[..., None]
    wanted = sums.astype(np.float32) * (W.scale * step)
    wanted = wanted + np.float32(0 if bias is None else bias)
    if activation:
        wanted = np.where(wanted < 0, np.float32(0), wanted)
    full = {**options, "bias": bias, "activation": activation, "dtype": np.float32}
    got = W.linear(X, **full)
    assert got.dtype == np.float32 and got.shape == (*lead, Q.shape[0])
    assert got.flags.c_contiguous and np.array_equal(got, wanted)
    assert np.array_equal(W.linear(X, zero_point=as_given[1]), sums)
    laid = lay_out(X, data.draw(layouts)) if X.ndim <= 2 else X[::-1][::-1]
    out = np.full((*lead, Q.shape[0]), 7, np.float32)
    assert W.linear(laid, **full, out=out) is out and np.array_equal(out, wanted)
    for kind in BYTES:
        zero = data.draw(st.integers(np.iinfo(kind).min, np.iinfo(kind).max))
        full |= {"dtype": kind, "out_scale": 0.125, "out_zero_point": zero}
        assert np.array_equal(W.linear(X, **full), rounded(wanted, kind, 0.125, zero))
    if X.ndim == 2:
        transposed = {
            key: value.reshape(1, -1) if isinstance(value, np.ndarray) and kept else value
            for key, value in options.items()
        }
        column_bias = bias if bias is None or isinstance(bias, float) else bias[:, None]
        other = W.spmm(X.T, **transposed, bias=column_bias, activation=activation,
                       dtype=np.float32)
        assert np.array_equal(other, wanted.T)


@pytest.mark.every_isa
@given(seeds, layouts, st.sampled_from([np.int32, np.float32, np.int8]))
def test_results_are_written_to_any_strides(seed, layout, dtype):
    rng = np.random.default_rng(seed)
    dense = rng.integers(-9, 9, (17, 30)) * (rng.random((17, 30)) < 0.4)
    W = prepare(sp.csr_array(dense), dtype="int8")
    X = random_bytes(rng, (21, 30), np.uint8)
    zeros = rng.integers(0, 256, 21)
    options = {} if dtype == np.int32 else {"scale": rng.random(21)}
    if dtype == np.int8:
        options["out_scale"] = 30.0
    wanted = W.linear(X, zero_point=zeros, dtype=dtype, **options)
    out = lay_out(np.zeros((21, 17), dtype), layout)
    W.linear(X, zero_point=zeros, out=out, **options)
    assert np.array_equal(out, wanted) and rest_untouched(out)
    stacked = np.zeros((7, 17, 3), dtype).swapaxes(1, 2)  # of leading dimensions that are not one
    W.linear(X.reshape(7, 3, 30), zero_point=zeros.reshape(7, 3), out=stacked,
             **{k: v.reshape(7, 3) if k == "scale" else v for k, v in options.items()})
    assert np.array_equal(stacked.reshape(21, 17), wanted)


@pytest.mark.every_isa
@pytest.mark.parametrize("n", [1, 3, 8, 40, 300])
def test_the_same_bits_for_any_number_of_threads(n):
    rng = np.random.default_rng(1)
    dense = np.where(rng.random((700, 900)) < 0.1, rng.standard_normal((700, 900)), 0)
    W = prepare(sp.csr_array(dense), dtype="int8")
    X = random_bytes(rng, (n, 900), np.uint8)
    options = {"scale": rng.random(n), "zero_point": rng.integers(0, 256, n), "activation": "gelu"}
    one = W.linear(X, workers=1, **options)
    for workers in (2, 3, 8):
        assert np.array_equal(W.linear(X, workers=workers, **options), one)


def test_extremes_of_per_token_zero_points_fit():
    length = (2**31 - 1) // 255 // 127
    W = prepare(sp.csr_array(np.full((1, length), -127)), dtype="int8")
    X = np.array([[0], [255], [0]], np.uint8) * np.ones((1, length), np.uint8)
    got = W.linear(X, zero_point=[255, 0, 0])
    assert got.tolist() == [[127 * 255 * length], [-127 * 255 * length], [0]]


def test_nan_and_overflow_follow_float32():
    W = prepare(sp.csr_array([[1.0, -1.0]]), dtype="int8")
    X = np.array([[200, 0], [0, 0], [0, 200]], np.uint8)
    with np.errstate(over="ignore", invalid="ignore"):
        wanted = (X.astype(np.int64) @ [[127], [-127]]).astype(np.float32) * (
            W.scale * np.float32(3e38)
        )
    assert np.array_equal(W.linear(X, scale=[3e38] * 3), wanted)


W8 = prepare(sp.csr_array([[1, 0, 2], [0, 3, 0]]), dtype="int8")
X8 = np.zeros((4, 3), np.uint8)


@pytest.mark.parametrize(
    ("X", "options", "error", "text"),
    [
        (X8.astype(int), {}, TypeError, "X must be of int8, uint8 or bool, got int64"),
        (X8[:, :2], {}, ValueError, r"X has shape \(4, 2\) and W has shape \(2, 3\)"),
        (np.uint8(3), {}, ValueError, r"X must have shape \(..., 3\), got a number"),
        (X8, {"scale": np.ones(3)}, ValueError, r"scale must be a number or of shape \(4,\) or of"),
        (X8, {"scale": np.ones((1, 4))}, ValueError, r"scale must be.*got shape \(1, 4\)"),
        (X8, {"scale": [1, 2, np.nan, 1]}, ValueError, "scale must be finite as float32.*at 2"),
        (X8, {"scale": [1, 2, 1e39, 1]}, ValueError, "scale must be finite as float32.*at 2"),
        (X8, {"scale": [1j] * 4}, TypeError, "scale must be real"),
        (X8, {"scale": ["1"] * 4}, TypeError, "scale must hold numbers"),
        (X8, {"scale": [[1.0], [1.0, 2.0]]}, ValueError, "scale must be an array of numbers, but"),
        (X8, {"zero_point": [[0], [0, 1]]}, ValueError, "zero_point must be an array of numbers"),
        (X8, {"zero_point": [0, 256, 0, 0]}, ValueError, "zero_point must be from 0 to 255.*at 1"),
        (X8, {"zero_point": [0, -1, 0, 0]}, ValueError, "zero_point must be from 0 to 255"),
        (X8, {"zero_point": np.zeros(4)}, TypeError, "zero_point must be of integers"),
        (X8, {"zero_point": [0, 1]}, ValueError, r"zero_point must be a number or of shape"),
        (X8.view(np.int8), {"zero_point": [0, 0, 0, 128]}, ValueError, "from -128 to 127"),
        (X8, {"scale": np.ones(4), "dtype": np.int32}, ValueError, "None for a result of int32"),
        (X8, {"bias": np.ones(3)}, ValueError, r"bias must be a number or have shape \(2,\)"),
        (X8, {"bias": np.ones((2, 1))}, ValueError, r"bias must be a number or have shape \(2,\)"),
        (X8, {"out": np.zeros((2, 4), np.int32)}, ValueError, r"out must have shape \(4, 2\)"),
        (X8, {"workers": 0}, ValueError, "workers"),
        (X8, {"activation": "elus"}, ValueError, "activation must be one of"),
    ],
)
def test_bad_layers_are_named(X, options, error, text):
    with pytest.raises(error, match=text):
        W8.linear(X, **options)


def test_bad_columns_and_operands_are_named():
    B = X8.T
    with pytest.raises(ValueError, match=r"scale must be a number or of shape \(4,\) or of shape"):
        W8.spmm(B, scale=np.ones(2))
    with pytest.raises(ValueError, match="scale must be a number, got shape"):
        W8.spmm(B[:, 0], scale=np.ones(2))
    with pytest.raises(ValueError, match=r"B must be 1-D or 2-D.*W.linear\(X\)"):
        W8.spmm(np.zeros((2, 3, 4), np.uint8))
    with pytest.raises(ValueError, match=r"in X @ W: X has shape \(4, 3\)"):
        X8 @ W8
    with pytest.raises(TypeError, match="X must be of int8, uint8 or bool, got float64"):
        X8.astype(float) @ W8.T
    with pytest.raises(ValueError, match=r"in W @ B: W has shape \(2, 3\) and B has shape"):
        W8 @ np.zeros((2, 4, 3), np.uint8)


def test_layers_in_place_of_inputs():
    """`out` may overlap any operand."""
    A = sp.csr_array(np.eye(4, dtype=np.int8) * 2)
    W = prepare(A, dtype="int8")
    X = np.arange(16, dtype=np.int8).reshape(4, 4)
    wanted = W.linear(X, dtype=np.int8, out_scale=1.0)
    assert np.array_equal(W.linear(X, out=X, out_scale=1.0), wanted)
    out = np.ones((4, 4), np.float32)
    steps = out[:, 0]
    wanted = W.linear(X, scale=steps.copy())
    assert np.array_equal(W.linear(X, scale=steps, out=out), wanted)
    zeros = np.zeros((4, 4), np.int32)
    assert np.array_equal(W.linear(X, zero_point=zeros[:, 1], out=zeros), W.linear(X))


# New values ---------------------------------------------------------------------------------------


@given(operands(), st.booleans(), st.booleans())
def test_new_values_are_those_of_a_new_matrix(drawn, floats, sparse):
    A, _, n, rng = drawn
    if floats:
        A = A.astype(np.float64) * 0.37
    W = prepare(A, dtype="int8", n=n)
    B = random_bytes(rng, (A.shape[1], n), np.uint8)
    W @ B, W.T @ random_bytes(rng, (A.shape[0], 2), np.uint8)
    later = A.copy()
    if A.format in ("csr", "csc", "coo", "bsr"):
        fresh = rng.integers(-5, 6, A.data.shape)
        later.data = fresh * 0.11 if floats else fresh.astype(A.dtype)
    else:
        sparse = True  # formats whose values have no order of their own
        if A.format == "dia":  # whose transpose and products with a number may store more
            later.data = A.data * A.dtype.type(0.5 if floats else 1)
        else:
            later = A * (0.5 if floats else 1)
    W.update_values(later if sparse else later.data)
    wanted = prepare(later, dtype="int8", n=n)
    assert np.array_equal(W.scale, wanted.scale)
    assert np.array_equal(W.toscipy().toarray(), wanted.toscipy().toarray())
    assert np.array_equal(W @ B, wanted @ B)
    X = random_bytes(rng, (3, A.shape[0]), np.int8)
    assert np.array_equal(X @ W, X @ wanted)
    if A.format != "dia":
        W.T.update_values(A.T if sparse else A.data)
    else:
        W.update_values(A)
    assert np.array_equal(W @ B, prepare(A, dtype="int8", n=n) @ B)


def test_values_that_cannot_be_taken_leave_the_old_ones():
    A = sp.csr_array([[1.0, 0.0, 2.0], [0.0, 3.0, 0.0]])
    W, whole = prepare(A, dtype="int8"), prepare(A.astype(int), dtype="int8")
    before = W.dequantise().toarray()
    for data, error, text in [
        ([1.0, 2.0], ValueError, "data must have 3 values"),
        ([[1.0], [2.0, 3.0]], ValueError, "data must be an array of numbers, but"),
        (None, TypeError, "data must be an array of numbers, got NoneType"),
        ([1.0, np.nan, 2.0], ValueError, "data must be finite to be quantised, row 0"),
        ([1.0, 2.0, 1e300], ValueError, "data must have scales that float32 holds, row 1"),
        ([1j, 1, 1], TypeError, "data must hold real numbers"),
        (sp.csr_array([[1.0, 1.0, 2.0], [0.0, 3.0, 0.0]]), ValueError, "data must have the patt"),
    ]:
        with pytest.raises(error, match=text):
            W.update_values(data)
    assert np.array_equal(W.dequantise().toarray(), before)
    with pytest.raises(TypeError, match="data must hold integers, as W was prepared with these"):
        whole.update_values([1.0, 2.0, 3.0])
    with pytest.raises(TypeError, match="data must hold integers"):
        whole.update_values(A)
    with pytest.raises(ValueError, match="data must hold integers from -128 to 127.*row 1 has 200"):
        whole.update_values([1, 2, 200])
    assert np.array_equal(whole.toscipy().toarray(), A.toarray())


def test_other_threads_see_old_values_or_new_ones():
    rng = np.random.default_rng(2)
    mask = rng.random((60, 80)) < 0.3
    matrices = [sp.csr_array(np.where(mask, value, 0.0)) for value in (1.0, 3.0)]
    W = prepare(matrices[0], dtype="int8")
    X = random_bytes(rng, (9, 80), np.uint8)
    wanted = [prepare(A, dtype="int8").linear(X, scale=np.ones(9)) for A in matrices]
    wrong, stop = [], threading.Event()

    def read():
        while not stop.is_set():
            got = W.linear(X, scale=np.ones(9))
            if not any(np.array_equal(got, one) for one in wanted):
                wrong.append(got)

    threads = [threading.Thread(target=read) for _ in range(3)]
    for thread in threads:
        thread.start()
    for step in range(60):
        W.update_values(matrices[step % 2])
    stop.set()
    for thread in threads:
        thread.join()
    assert not wrong


# What it says of itself ---------------------------------------------------------------------------


def test_explained():
    rng = np.random.default_rng(3)
    dense = np.where(rng.random((64, 96)) < 0.1, rng.standard_normal((64, 96)), 0)
    W = prepare(sp.csr_array(dense), dtype="int8", n=4)
    for n in (None, 1, 4, 100):
        for matrix in (W, W.T):
            report = matrix.explain(n)
            names = {candidate.name for candidate in report.candidates}
            assert report.chosen in names and "rows" in names and "int8" in report.title
            assert report.flops == 2 * W.nnz * (n or 4)
            assert all(candidate.measured > 0 for candidate in report.candidates)
            text = str(report)
            assert "nan" not in text and f"n = {n or 4}" in text and report.chosen in text
    for empty in (sp.csr_array((3, 4)), sp.csr_array((0, 4)), sp.csr_array((3, 0))):
        str(prepare(empty, dtype="int8").explain())
    with pytest.raises(ValueError, match="n must be at least 1"):
        W.explain(0)


def test_described_and_measured():
    W = prepare(sp.csr_array(np.eye(5, 4) * [1.0, 2.0, 3.0, 4.0]), dtype="int8", n=100)
    assert repr(W) == (
        "<Int8Matrix of 5 x 4, 4 stored, int8, quantised by rows, "
        "kernel int8_gather4 for 100 columns>"
    )
    T = W.T
    assert repr(T) == (
        "<Int8Matrix of 4 x 5, 4 stored, int8, quantised by rows, kernel not packed yet for 100 "
        "columns, transposed>"
    )
    assert T.nbytes == 0
    for matrix in (W, T):
        assert type(matrix).__sizeof__(matrix) == object.__sizeof__(matrix) + matrix.nbytes
        assert sys.getsizeof(matrix) >= matrix.nbytes
    T @ np.ones((5, 100), np.uint8)
    assert repr(T).endswith("kernel int8_gather4 for 100 columns, transposed>") and T.nbytes > 0
    assert "int8, integers as they were, " in repr(prepare(sp.csr_array([[1]]), dtype="int8"))
    assert T.kernel.startswith("int8: int8_gather4")


@pytest.mark.parametrize("transposed", [False, True])
def test_pickled_with_its_transpose_and_taking_new_values(transposed):
    A = sp.coo_array(([1.0, 2.0, 3.0], ([1, 0, 1], [0, 1, 0])), shape=(2, 3))
    W = prepare(A, dtype="int8")
    W = W.T if transposed else W
    B = np.arange(W.shape[1], dtype=np.uint8)
    for other in (pickle.loads(pickle.dumps(W)), copy.deepcopy(W), copy.copy(W)):
        assert np.array_equal(other @ B, W @ B) and np.array_equal(other.scale, W.scale)
        other.update_values([2.0, 2.0, 2.0])  # duplicates included, in their order
        assert other.dequantise().toarray().max() == pytest.approx(4.0)
        assert W.dequantise().toarray().max() == pytest.approx(4.0)
    one, two = pickle.loads(pickle.dumps((W, W.T)))
    assert one.T is two


def test_a_child_works_while_a_thread_gives_new_values(run_script):
    run_script(SETUP + """
bytes_ = np.ones((40, 5), np.uint8)
old, new = (prepare(M, dtype="int8") for M in (A, LATER))
products = [(W @ bytes_, W.T @ bytes_[:30]) for W in (old, new)]

def made():
    W = prepare(A, dtype="int8")
    W.T @ bytes_[:30]
    return W

def check(W):
    got = W @ bytes_, W.T @ bytes_[:30]
    assert any(all(map(np.array_equal, got, wanted)) for wanted in products)
    W.update_values(LATER)
    assert np.array_equal(W @ bytes_, products[1][0])
    assert np.array_equal(W.T @ bytes_[:30], products[1][1])

def work(W):
    W.update_values(LATER)
    W.T @ bytes_[:30]

forked_at_each_line(made, work, check, least=20)
""")


def test_the_weight_of_a_network():
    """Two layers with activations quantised per token, against float64 by their error bound."""
    rng = np.random.default_rng(5)
    weight = np.where(rng.random((30, 50)) < 0.3, rng.standard_normal((30, 50)), 0)
    W = prepare(sp.csr_array(weight), dtype="int8")
    X = rng.standard_normal((4, 6, 50)) * rng.random((4, 6, 1)) * 10
    low, high = X.min(-1), X.max(-1)
    step = (high - low) / 255
    zero = np.rint(-low / step).astype(int).clip(0, 255)
    quantised = (np.rint(X / step[..., None]) + zero[..., None]).clip(0, 255).astype(np.uint8)
    got = W.linear(quantised, scale=step, zero_point=zero)
    stored = (weight != 0).astype(float)
    bound = abs(W.dequantise().toarray()) @ np.ones(50) * step[..., None] + (
        W.scale / 2 * (abs(X) @ stored.T)
    )
    assert (abs(got - X @ weight.T) <= 1.01 * bound + 1e-5).all()
    assert spkernels.Int8Matrix is type(W)
