"""sparse_attention and masked_softmax against dense float64."""

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from strategies import DTYPES, lay_out, layouts, random_sparse, rest_untouched, seeds, sparse

import spkernels
from spkernels import masked_softmax, masks, sddmm, sparse_attention, spmm


def expected_attention(Q, K, V, mask, scale=None, bias=None, return_lse=False):
    """The answer in float64, and how far rounding in `dtype` may lead from it.

    A score is off by gamma_(d + 4) times the sum of its absolute terms, weights by twice the
    largest of these, exponentials and sums add a few units per key.
    """
    dtype = np.result_type(Q, K, V)
    u = np.finfo(dtype).eps / 2 if dtype.kind == "f" else 2.0**-53
    Q, K, V = (np.asarray(array, np.float64) for array in (Q, K, V))
    if Q.ndim > 2 and K.ndim > 2 and K.shape[-3] not in (1, Q.shape[-3]):
        K, V = (np.repeat(array, Q.shape[-3] // array.shape[-3], axis=-3) for array in (K, V))
    scale = 1 / np.sqrt(Q.shape[-1]) if scale is None else scale
    with np.errstate(all="ignore"):
        scores = scale * (Q @ np.swapaxes(K, -1, -2))
        size = abs(scale) * (abs(Q) @ np.swapaxes(abs(K), -1, -2))
        if bias is not None:
            scores, size = scores + bias, size + abs(bias)
        scores = np.where(mask, scores, -np.inf)
        most = scores.max(axis=-1, keepdims=True, initial=-np.inf)
        base = np.where(most == -np.inf, 0, most)
        weights = np.exp(scores - base)
        total = weights.sum(axis=-1, keepdims=True)
        weights = np.where(total == 0, 0, weights / total)
        lse = np.where(total == 0, -np.inf, base + np.log(total))[..., 0]
    # What is left out is not multiplied by 0.
    out = np.zeros((*weights.shape[:-1], V.shape[-1]))
    reach = np.zeros_like(out)
    for key in range(V.shape[-2]):
        weight = np.where(mask[:, key], weights[..., key], 0)[..., None]
        with np.errstate(invalid="ignore"):
            term = np.where(mask[:, key, None], weight * V[..., key : key + 1, :], 0)
        out, reach = out + term, reach + abs(term)
    size = np.where(mask & (scores > -np.inf), size, 0)
    slack = 2 * (Q.shape[-1] + 4) * u * size.max(axis=-1, initial=0) + (2 * V.shape[-2] + 24) * u
    if return_lse:
        largest = abs(np.where(total[..., 0], lse, 0))
        return out, reach * slack[..., None], lse, slack * (1 + largest)
    return out, reach * slack[..., None]


def assert_attention(got, Q, K, V, mask, **options):
    expected, slack = expected_attention(Q, K, V, mask, **options)
    assert got.shape == expected.shape
    wrong = ~((abs(got - expected) <= slack) | (np.isnan(got) & np.isnan(expected)))
    wrong &= ~((got == expected) & np.isinf(expected))
    assert not wrong.any(), (np.argwhere(wrong)[:5], got[wrong][:5], expected[wrong][:5])


def numbers(rng, shape, dtype):
    return rng.standard_normal(shape).astype(dtype)


def operands(rng, heads, n, m, d, dv, dtype=np.float32, key_heads=None):
    key_heads = heads if key_heads is None else key_heads
    return (
        numbers(rng, (*heads, n, d), dtype),
        numbers(rng, (*key_heads, m, d), dtype),
        numbers(rng, (*key_heads, m, dv), dtype),
    )


def some_mask(rng, n, m):
    """Of a kind that is described, or a sparse array of any kind."""
    kinds = [
        lambda: masks.causal(n, m, offset=int(rng.integers(-3, 9))),
        lambda: masks.full(n, m),
        lambda: ~masks.causal(n, m),
        lambda: random_sparse(rng, "csr", (n, m), 0.1, np.float32, in_order=False, duplicates=True),
        lambda: random_sparse(rng, "coo", (n, m), 0.5, np.float64, in_order=False),
        lambda: random_sparse(rng, "csc", (n, m), 0.9, np.float32, zeros=True),
    ]
    if n == m:
        kinds += [
            lambda: masks.window(n, int(rng.integers(0, 30))),
            lambda: masks.dilated(n, 2, 3) | masks.global_tokens(n, min(n, 2)),
        ]
    return kinds[rng.integers(len(kinds))]()


def dense(mask):
    if isinstance(mask, masks.Mask):
        return mask.toarray()
    ones = mask.tocsr().copy()
    ones.data[:] = 1
    return ones.toarray() != 0


lengths = st.one_of(st.integers(0, 20), st.sampled_from([31, 33, 64, 100, 250]))
depths = st.one_of(st.integers(0, 20), st.sampled_from([24, 31, 33, 64, 100, 300]))


@given(seeds, lengths, st.one_of(st.none(), lengths), depths, depths, st.sampled_from(DTYPES))
def test_any_shape_and_mask(seed, n, m, d, dv, dtype):
    rng = np.random.default_rng(seed)
    m = n if m is None else m
    Q, K, V = operands(rng, (2,), n, m, d, dv, dtype)
    mask = some_mask(rng, n, m)
    scale = None if d else 1.0
    got = sparse_attention(Q, K, V, mask, scale=scale)
    assert got.dtype == dtype
    assert_attention(got, Q, K, V, dense(mask), scale=scale)


@given(seeds, layouts, layouts, layouts, st.sampled_from(DTYPES))
def test_any_layout(seed, q_layout, k_layout, v_layout, dtype):
    rng = np.random.default_rng(seed)
    Q, K, V = operands(rng, (), 37, 45, 18, 21, dtype)
    mask = some_mask(rng, 37, 45)
    laid_out = lay_out(Q, q_layout), lay_out(K, k_layout), lay_out(V, v_layout)
    got = sparse_attention(*laid_out, mask)
    assert_attention(got, Q, K, V, dense(mask))
    out = lay_out(np.zeros((37, 21), dtype), q_layout)
    assert sparse_attention(*laid_out, mask, out=out) is out
    assert np.array_equal(out, got)
    assert rest_untouched(out)


@pytest.mark.parametrize(
    ("heads", "key_heads"),
    [
        ((), ()),
        ((1,), (1,)),
        ((3,), (3,)),
        ((4,), (1,)),
        ((4,), (2,)),  # grouped queries
        ((6,), (3,)),
        ((2, 6), (2, 3)),
        ((2, 6), (1, 2)),
        ((2, 3), (3,)),
        ((5,), ()),
        ((), (5,)),
        ((2, 1, 4), (3, 4)),
        ((0,), (0,)),
        ((2, 0, 3), (2, 0, 3)),
    ],
)
def test_heads(heads, key_heads):
    rng = np.random.default_rng(5)
    mask = masks.window(50, 6)
    Q, K, V = operands(rng, heads, 50, 50, 16, 24, key_heads=key_heads)
    got, lse = sparse_attention(Q, K, V, mask, return_lse=True)
    assert_attention(got, Q, K, V, mask.toarray())
    assert lse.shape == got.shape[:-1]
    # Batch and heads swapped in memory, as frameworks have them.
    swapped = [np.moveaxis(np.moveaxis(x, -2, 0).copy(), 0, -2) for x in (Q, K, V)]
    assert np.array_equal(sparse_attention(*swapped, mask), got)


@given(seeds, st.sampled_from([(), (1, 1), (30, 1), (1, 40), (30, 40), (3, 1, 1), (2, 1, 30, 40)]))
def test_bias(seed, shape):
    rng = np.random.default_rng(seed)
    Q, K, V = operands(rng, (2, 3), 30, 40, 8, 8)
    mask = some_mask(rng, 30, 40)
    bias = rng.standard_normal(shape).astype(np.float32)
    got, lse = sparse_attention(Q, K, V, mask, bias=bias, return_lse=True)
    assert_attention(got, Q, K, V, dense(mask), bias=bias)
    _, _, expected, slack = expected_attention(Q, K, V, dense(mask), bias=bias, return_lse=True)
    with np.errstate(invalid="ignore"):
        assert ((lse == expected) | (abs(lse - expected) <= slack)).all()


@given(seeds, st.sampled_from(DTYPES))
def test_rows_of_nothing_and_scores_of_infinity(seed, dtype):
    rng = np.random.default_rng(seed)
    Q, K, V = operands(rng, (), 40, 40, 4, 5, dtype)
    mask = dense(some_mask(rng, 40, 40))
    mask[[0, 17, 39]] = False
    bias = np.zeros((40, 40), dtype)
    bias[rng.random((40, 40)) < 0.4] = -np.inf
    bias[5] = -np.inf
    P = sp.csr_array(mask)
    got, lse = sparse_attention(Q, K, V, P, bias=bias, return_lse=True)
    assert_attention(got, Q, K, V, mask, bias=bias)
    for row in (0, 5, 17, 39):
        assert (got[row] == 0).all()
        assert lse[row] == -np.inf
    # Also where the values would make NaN of weights of 0.
    wild = np.full_like(V, np.inf)
    for P_all in (P, masks.random(40, 3, rng=0)):
        got = sparse_attention(Q, K, wild, P_all, bias=np.full((40, 40), -np.inf, dtype))
        assert (got == 0).all()
    # Enormous ones: all weight goes to the largest.
    big = 1e37 if dtype == np.float32 else 1e300
    got = sparse_attention(big * np.ones((40, 1), dtype), K[:, :1], V, P, scale=1.0)
    best = np.where(mask, K[:, 0], -np.inf).argmax(axis=1)
    assert np.allclose(got[mask.any(axis=1)], V[best][mask.any(axis=1)], rtol=1e-6)
    # A score of +infinity, as NumPy has it: NaN for its query alone.
    bias[:], bias[20, :] = 0, np.inf
    mask[20, 3] = True
    got = sparse_attention(Q, K, V, sp.csr_array(mask), bias=bias)
    assert np.isnan(got[20]).all()
    assert np.isfinite(np.delete(got, 20, axis=0)).all()


@pytest.mark.parametrize("special", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("which", ["K", "V"])
@pytest.mark.parametrize("mask", [masks.window(64, 4), masks.random(64, 3, rng=0)], ids=str)
def test_what_is_left_out_spreads_nothing(special, which, mask):
    rng = np.random.default_rng(7)
    Q, K, V = operands(rng, (2,), 64, 64, 16, 16)
    (K if which == "K" else V)[:, 30, 2] = special
    got = sparse_attention(Q, K, V, mask)
    others = ~mask.toarray()[:, 30]
    assert_attention(got[:, others], Q[:, others], K, V, mask.toarray()[others])
    assert not np.isfinite(got[:, ~others]).all() or special == -np.inf or which == "K"


@given(seeds, st.sampled_from(["f2", "f4", "f8", "i4", "?"]), st.sampled_from(["f2", "f4", "f8"]))
def test_promotion(seed, left, right):
    rng = np.random.default_rng(seed)
    Q, K, V = operands(rng, (), 20, 20, 8, 8)
    mask = masks.window(20, 3)
    Q, V = (4 * Q).astype(left), V.astype(right)
    got = sparse_attention(Q, K.astype(right), V, mask)
    wanted = np.result_type(np.dtype(left), np.dtype(right))
    assert got.dtype == (np.float32 if wanted in (np.float16, np.float32) else np.float64)
    assert_attention(got, Q.astype(got.dtype), K.astype(right).astype(got.dtype), V, mask.toarray())


def test_the_parts_make_the_whole():
    rng = np.random.default_rng(1)
    Q, K, V = operands(rng, (), 300, 300, 32, 32, np.float64)
    mask = masks.bigbird(300, 10, rng=0)
    P = masked_softmax(sddmm(mask.tocsr(np.float64), Q, K.T), scale=1 / np.sqrt(32))
    assert np.allclose(spmm(P, V), sparse_attention(Q, K, V, mask), rtol=1e-12, atol=1e-13)


def test_lse_merges_two_sets_of_keys():
    rng = np.random.default_rng(1)
    Q, K, V = operands(rng, (2,), 90, 90, 16, 16, np.float64)
    near, far = masks.window(90, 8), ~masks.window(90, 8)
    (a, la), (b, lb) = (sparse_attention(Q, K, V, m, return_lse=True) for m in (near, far))
    both = np.logaddexp(la, lb)
    merged = np.exp(la - both)[..., None] * a + np.exp(lb - both)[..., None] * b
    assert np.allclose(merged, sparse_attention(Q, K, V, masks.full(90)), rtol=1e-12)


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_same_bits_for_any_number_of_threads(dtype, exact_workers):
    rng = np.random.default_rng(2)
    Q, K, V = operands(rng, (3,), 500, 500, 40, 40, dtype)
    for mask in (masks.window(500, 30), masks.random(500, 40, rng=1), masks.causal(500)):
        one = sparse_attention(Q, K, V, mask, workers=1)
        for workers in (2, 3, 7):
            assert np.array_equal(sparse_attention(Q, K, V, mask, workers=workers), one)


def test_out_may_be_an_operand():
    rng = np.random.default_rng(3)
    Q, K, V = operands(rng, (2,), 60, 60, 16, 16)
    mask = masks.causal(60)
    expected = sparse_attention(Q, K, V, mask)
    for which in range(3):
        arrays = [x.copy() for x in (Q, K, V)]
        assert np.array_equal(sparse_attention(*arrays, mask, out=arrays[which]), expected)


# What is refused ----------------------------------------------------------------------------------


def good():
    Q, K, V = operands(np.random.default_rng(0), (4,), 10, 12, 8, 6)
    return {"Q": Q, "K": K, "V": V, "mask": masks.full(10, 12)}


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        ({"Q": np.zeros(8)}, ValueError, "Q must have two dimensions"),
        ({"K": "abc"}, TypeError, "K must hold numbers"),
        ({"K": sp.eye_array(8)}, TypeError, "K must be dense"),
        ({"V": np.zeros((4, 12, 6), complex)}, TypeError, "V must hold real numbers"),
        ({"K": np.zeros((4, 12, 7))}, ValueError, "K must have rows of 8 elements"),
        ({"V": np.zeros((4, 11, 6))}, ValueError, "V must have 12 rows"),
        ({"K": np.zeros((3, 12, 8))}, ValueError, "K must have leading dimensions"),
        ({"mask": masks.full(12, 10)}, ValueError, r"mask must have shape \(10, 12\)"),
        ({"mask": np.ones((10, 12), bool)}, TypeError, "mask must be a scipy.sparse array"),
        ({"scale": "a"}, TypeError, "scale must be a real number"),
        ({"bias": np.zeros((9, 12))}, ValueError, "bias must broadcast"),
        ({"bias": np.zeros((10, 12), complex)}, TypeError, "bias must hold real numbers"),
        ({"out": np.zeros((4, 10, 5), "f4")}, ValueError, r"out must have shape \(4, 10, 6\)"),
        ({"out": np.zeros((4, 10, 6))}, ValueError, "out must have dtype float32"),
        ({"out": [0]}, TypeError, "out must be an ndarray"),
        ({"workers": 0}, ValueError, "workers"),
    ],
)
def test_errors(change, error, match):
    with pytest.raises(error, match=match):
        sparse_attention(**{**good(), **change})


def test_a_corrupted_mask():
    bad = sp.csr_array(np.ones((10, 12)))
    bad.indices[5] = 12
    with pytest.raises(ValueError, match=r"mask\.indices is corrupted"):
        sparse_attention(**{**good(), "mask": bad})
    with pytest.raises(ValueError, match=r"P\.indices is corrupted"):
        masked_softmax(bad)


def test_a_read_only_out():
    out = np.zeros((4, 10, 6), np.float32)
    out.flags.writeable = False
    with pytest.raises(ValueError, match="out must be writeable, got a read-only array"):
        sparse_attention(**good(), out=out)


# Softmax ------------------------------------------------------------------------------------------


@given(sparse(dtypes=(np.float32, np.float64, np.int32)), st.sampled_from([1.0, -0.5, 0.0]))
def test_masked_softmax(P, scale):
    got = masked_softmax(P, scale=scale)
    csr = P.tocsr() if P.format != "dia" else None
    if csr is None:  # which stores zeros that tocsr leaves out
        return
    assert got.format == "csr"
    assert got.dtype == (np.float32 if P.dtype == np.float32 else np.float64)
    assert isinstance(got, sp.spmatrix) == isinstance(P, sp.spmatrix)
    eps = np.finfo(got.dtype).eps
    for i in range(csr.shape[0]):
        row = slice(csr.indptr[i], csr.indptr[i + 1])
        x = scale * csr.data[row].astype(np.float64)
        if x.size == 0:
            continue
        weights = np.exp(x - x.max())
        slack = (abs(x).max() * 2 + x.size + 8) * eps
        tiny = np.finfo(got.dtype).tiny
        assert (abs(got.data[row] - weights / weights.sum()) <= slack * weights + tiny).all()


@pytest.mark.every_isa
@pytest.mark.parametrize("dtype", DTYPES)
def test_exponentials_of_masked_softmax(dtype):
    """Within 1.1 units: beside exp(0) = 1, of which they change no bit, they are the result."""
    low, high, wider = {
        np.float32: (-87.33, -17.4, np.float64), np.float64: (-708.3, -37.5, np.longdouble)
    }[dtype]  # fmt: skip
    scores = np.linspace(low, high, 100_000).astype(dtype)
    rows = np.stack([np.zeros_like(scores), scores], axis=1)
    P = sp.csr_array(
        (rows.ravel(), np.tile([0, 1], scores.size), np.arange(scores.size + 1) * 2),
        shape=rows.shape,
    )
    result = masked_softmax(P).data[1::2]
    exact = np.exp(scores.astype(wider))
    unit = np.spacing(exact.astype(dtype)).astype(wider)
    slack = 0 if np.finfo(wider).nmant > np.finfo(dtype).nmant + 5 else 1
    assert (np.abs(result - exact) <= (1.1 + slack) * unit).all()
    P.data[1::2] = low - 1  # where they would be subnormal
    np.testing.assert_array_equal(masked_softmax(P).data, np.tile([1, 0], scores.size))


def test_masked_softmax_in_place():
    P = sp.csr_array(np.array([[1.0, 2.0, 0.0], [0.0, 0.0, 0.0], [-np.inf, 0.0, -np.inf]]))
    expected = masked_softmax(P).toarray()
    assert (expected[2] == 0).all()
    assert masked_softmax(P, out=P) is P
    assert np.array_equal(P.toarray(), expected)
    other = sp.csr_array((np.zeros(4), P.indices, P.indptr), shape=P.shape)
    with pytest.raises(ValueError, match="out"):
        masked_softmax(P, out=other.tocsc())
    # Into an array that overlaps the values.
    held = np.append(P.data, 0.0)
    P.data, other.data = held[:-1], held[1:]
    expected = masked_softmax(P).data
    np.testing.assert_array_equal(masked_softmax(P, out=other).data, expected)
    # Entries behind the last row are not among the scores.
    longer = sp.csr_array((3, 3))
    longer.data, longer.indices = np.ones(5), np.arange(5) % 3
    longer.indptr = np.array([0, 2, 3, 3])
    assert masked_softmax(longer).data.tolist() == [0.5, 0.5, 1, 0, 0]
    with pytest.raises(TypeError, match="P must hold real numbers"):
        masked_softmax(P.astype(complex))
    with pytest.raises(TypeError, match=r"P must be a scipy\.sparse array"):
        masked_softmax(np.eye(3))


def test_they_are_public():
    for name in ("sparse_attention", "masked_softmax", "masks"):
        assert name in spkernels.__all__
