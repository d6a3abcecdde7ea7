"""Attention to what a mask has, against a softmax in float64."""

import ctypes
import mmap

import numpy as np
import pytest
import scipy.sparse as sp
from gpu import EMULATED, Array, Handle, from_bits, round_to
from hypothesis import given
from hypothesis import strategies as st
from reference import gamma

from spkernels.cuda import _library

#: Unit roundoffs, and the least differences.
UNITS = {"float16": 2.0**-11, "bfloat16": 2.0**-8}
MIN = {"float16": 2.0**-25, "bfloat16": 2.0**-134}
seeds = st.integers(0, 2**32 - 1)
dtypes = st.sampled_from(sorted(UNITS))


class Heads:
    """batch x heads x rows x width in device memory, in any order of these, rows apart."""

    def __init__(self, values, dtype, order=(0, 1, 2), apart=0):
        self.shape, self.order, self.dtype = values.shape, order, dtype
        outer = np.moveaxis(values, order, (0, 1, 2))
        self._outer = outer.shape
        self.array = Array(outer.reshape(-1, values.shape[-1]), dtype, apart=apart)
        steps = [outer.shape[1] * outer.shape[2], outer.shape[2], 1]
        self.strides = [steps[order.index(axis)] * self.array.stride for axis in range(3)]
        self.pointer = self.array.pointer

    def get(self):
        return np.moveaxis(self.array.get().reshape(self._outer), (0, 1, 2), self.order)


def as_csr(mask):
    """A boolean mask or anything sparse; values are not read."""
    A = sp.csr_array(mask)
    A.data = np.full(len(A.indices), np.nan)
    return A


def attend(library, Q, K, V, mask, dtype, scale, *, order=(0, 1, 2), apart=0, lse=True, change=()):
    """Return the status, the output and the logarithms of sums."""
    handle = Handle(library, as_csr(mask), dtype, operations=("attention",))
    assert handle.status == 0
    batch, heads, m, d = Q.shape
    Q, K, V = (Heads(x, dtype, order, apart) for x in (Q, K, V))
    out = Heads(np.full((batch, heads, m, V.shape[-1]), np.nan), dtype, order, apart)
    sums = Array(np.full((1, batch * heads * m), np.nan), "float32")
    fields = {
        "dtype": _library.DTYPES[dtype],
        "batch": batch,
        "heads": heads,
        "kv_heads": K.shape[1],
        "d": d,
        "dv": V.shape[-1],
        "scale": scale,
        "lse": sums.pointer if lse else None,
    }
    for name, x in (("Q", Q), ("K", K), ("V", V), ("out", out)):
        fields[name] = x.pointer
        fields[f"{name.lower()}_strides"] = x.strides
    fields.update(change)
    strides = {name: (ctypes.c_ssize_t * 3)(*x) for name, x in fields.items() if "strides" in name}
    task = _library.Attention(**{**fields, **strides})
    status = library.spk_cuda_attend(handle.pointer, ctypes.byref(task), None)
    if status != 0 or not lse:
        assert np.isnan(sums.get()).all()
    return status, out.get(), sums.get().reshape(batch, heads, m)


def expected(Q, K, V, mask, dtype, scale):
    """The answer, its logarithms of sums, and how far rounding may lead from either.

    Operands are exact.  A score is off by gamma_(d + 4) times the sum of its absolute terms.  A
    weight is off by twice the largest such error of its row, by a few units of float32 for the
    exponential, whose argument is below 150 where it is not 0, and by its own rounding: a unit of
    itself, of float16 2**-25 of 2**-15 times the greatest at least.  Then there are the float32
    sums of V and of weights, and the rounding of the output.
    """
    Q, K, V = (np.asarray(x, np.float64) for x in (Q, K, V))
    repeat = Q.shape[1] // K.shape[1]
    K, V = (np.repeat(x, repeat, axis=1) for x in (K, V))
    with np.errstate(all="ignore"):
        scores = np.where(mask, scale * (Q @ np.swapaxes(K, -1, -2)), -np.inf)
        sizes = np.where(mask, abs(scale) * (abs(Q) @ np.swapaxes(abs(K), -1, -2)), 0)
        sizes = np.where(scores > -np.inf, sizes, 0)
        most = scores.max(axis=-1, keepdims=True, initial=-np.inf)
        base = np.where(most == -np.inf, 0, most)
        weights = np.exp(scores - base)
        total = weights.sum(axis=-1, keepdims=True)
        weights = np.where(total == 0, 0, weights / total)
        lse = np.where(total == 0, -np.inf, base + np.log(total))[..., 0]
    out = np.zeros((*weights.shape[:-1], V.shape[-1]))
    reach, least = np.zeros_like(out), np.zeros_like(out)
    for key in range(V.shape[-2]):
        has = mask[:, key, None] & (total != 0)
        value = V[..., key : key + 1, :]
        with np.errstate(invalid="ignore"):
            term = np.where(has, weights[..., key, None] * value, 0)
            least += np.where(has, abs(value), 0)
        out, reach = out + term, reach + abs(term)
    keys, u = V.shape[-2], np.finfo(np.float32).eps / 2
    score = gamma(Q.shape[-1] + 4, np.float32) * sizes.max(axis=-1, initial=0)[..., None]
    with np.errstate(all="ignore"):
        relative = np.expm1(2 * score) + gamma(2 * keys, np.float32) + 400 * u
        # Below these weights exponentials may be 0.
        least = (2.0**-40 if dtype == "float16" else 2.0**-125) * least
        slack = (relative + UNITS[dtype]) * reach + least
        slack = slack * (1 + UNITS[dtype]) + UNITS[dtype] * abs(out) + MIN[dtype]
        close = score[..., 0] + gamma(keys, np.float32) + 100 * u
        close = close + 4 * u * abs(np.where(np.isfinite(lse), lse, 0))
    return out, slack, lse, close


def check(got, reference, slack):
    wrong = ~((abs(got - reference) <= slack) | (np.isnan(got) & np.isnan(reference)))
    with np.errstate(invalid="ignore"):
        wrong &= ~((got == reference) & np.isinf(reference))
    assert not wrong.any(), (np.argwhere(wrong)[:5], got[wrong][:5], reference[wrong][:5])


def check_attention(library, Q, K, V, mask, dtype, scale, **options):
    status, out, sums = attend(library, Q, K, V, mask, dtype, scale, **options)
    assert status == 0
    reference, slack, lse, close = expected(Q, K, V, mask, dtype, scale)
    with np.errstate(invalid="ignore"):
        check(out.astype(float), reference, slack)
        if options.get("lse", True):
            check(sums.astype(float), lse, close)
    return out


def operands(rng, dtype, heads, m, n, d, dv, kv_heads=None, batch=1):
    kv_heads = heads if kv_heads is None else kv_heads
    shapes = (batch, heads, m, d), (batch, kv_heads, n, d), (batch, kv_heads, n, dv)
    return [round_to(rng.standard_normal(shape), dtype) for shape in shapes]


def some_mask(rng, m, n):
    rows, keys = np.arange(m)[:, None], np.arange(n)
    near = abs(rows - keys) <= rng.integers(0, 80)
    blocks = rng.random((m // 64 + 1, n // 64 + 1))[rows // 64, keys // 64]
    kinds = {
        "random": lambda: rng.random((m, n)) < rng.random() ** 3,
        "scattered": lambda: rng.random((m, n)) < 0.01,
        "full": lambda: np.ones((m, n), bool),
        "none": lambda: np.zeros((m, n), bool),
        "window": lambda: near,
        "causal": lambda: keys <= rows + rng.integers(-3, 9),
        "global": lambda: near | (keys < 2) | (rows < 3),
        "blocks": lambda: blocks < 0.5,
        "bigbird": lambda: near | (blocks < 0.3) | (keys < 17) | (rows == 5),
        "some rows": lambda: rng.random((m, 1)) < 0.1 + 0 * keys,
    }
    return kinds[rng.choice(list(kinds))]()


@given(
    seed=seeds,
    dtype=dtypes,
    m=st.sampled_from([0, 1, 16, 17, 64, 65, 128, 130, 300]),
    n=st.sampled_from([0, 1, 17, 64, 65, 130, 300]),
    d=st.sampled_from([8, 16, 24, 64]),
    dv=st.sampled_from([8, 16, 40, 64]),
)
def test_any_mask_and_shape(library, seed, dtype, m, n, d, dv):
    rng = np.random.default_rng(seed)
    scale = rng.choice([1 / np.sqrt(d), -0.3, 0.0])
    check_attention(
        library,
        *operands(rng, dtype, 1, m, n, d, dv),
        some_mask(rng, m, n),
        dtype,
        scale,
        lse=bool(rng.integers(2)),
    )


@pytest.mark.parametrize("dtype", sorted(UNITS))
@pytest.mark.parametrize("widths", [(72, 128), (128, 8), (16, 256), (256, 200)])
def test_wide_rows(library, dtype, widths):
    rng = np.random.default_rng(3)
    for m, n in ((20, 70), (140, 97), (128, 128)):
        mask = some_mask(rng, m, n) | (rng.random((m, n)) < 0.1)
        check_attention(library, *operands(rng, dtype, 1, m, n, *widths), mask, dtype, 0.1)


@pytest.mark.parametrize("long", [False, True])
def test_every_head_and_panel_has_a_block(library, long):
    """With panels that begin before the others, and without."""
    rng = np.random.default_rng(2)
    rows, keys = np.arange(600)[:, None], np.arange(600)
    mask = abs(rows - keys) <= 1
    if long:
        mask = mask | (rows == 300)
    Q, K, V = operands(rng, "float16", 2, 600, 600, 8, 8, batch=2)
    check_attention(library, Q, K, V, mask, "float16", 0.5)


@given(
    seed=seeds,
    shape=st.sampled_from([(1, 1, 1), (2, 1, 1), (1, 3, 3), (2, 4, 2), (1, 4, 1), (2, 6, 3)]),
    order=st.permutations(range(3)),
    apart=st.sampled_from([0, 8, 24]),
)
def test_heads_and_strides(library, seed, shape, order, apart):
    rng = np.random.default_rng(seed)
    batch, heads, kv_heads = shape
    Q, K, V = operands(rng, "bfloat16", heads, 5, 9, 16, 8, kv_heads, batch)
    mask = rng.random((5, 9)) < 0.5
    check_attention(library, Q, K, V, mask, "bfloat16", 0.25, order=order, apart=apart)


@given(seed=seeds, dtype=dtypes, special=st.sampled_from([np.nan, np.inf, -np.inf]))
def test_what_is_left_out_spreads_nothing(library, seed, dtype, special):
    """Queries that have a wild key get it; to the bits, no others do."""
    rng = np.random.default_rng(seed)
    m, n = rng.integers(1, 40), rng.integers(1, 140)
    mask = rng.random((m, n)) < 0.3
    scale = rng.choice([0.5, -0.5])
    Q, K, V = operands(rng, dtype, 2, m, n, 8, 16, kv_heads=1)
    status, clean, _ = attend(library, Q, K, V, mask, dtype, scale)
    key = rng.integers(n)
    (K if rng.integers(2) else V)[..., key, 3] = special
    out = check_attention(library, Q, K, V, mask, dtype, scale)
    others = ~mask[:, key]
    columns = np.arange(16) != 3
    np.testing.assert_array_equal(
        out[:, :, others][..., columns], clean[:, :, others][..., columns]
    )
    assert np.isfinite(out[:, :, others]).all()


@pytest.mark.parametrize("dtype", sorted(UNITS))
def test_scores_that_are_large_or_infinite(library, dtype):
    rng = np.random.default_rng(1)
    Q, K, V = operands(rng, dtype, 1, 40, 70, 8, 8)
    mask = rng.random((40, 70)) < 0.5
    mask[7], mask[8, 1:], mask[8, 0] = False, False, True
    # All weight goes to the largest.
    Q[0, 0, :, 0] += np.copysign(1, Q[0, 0, :, 0])
    Q[...] = round_to(Q, dtype)
    order = rng.permutation(70)
    best = np.where(mask, Q[0, 0, :, :1] * order, -np.inf).argmax(axis=1)
    for large in (2.0**-20, 1, 2.0**9) if dtype == "float16" else (1, 2.0**60, 2.0**100):
        single = np.zeros_like(K)
        single[0, 0, :, 0] = large * order
        status, out, lse = attend(library, Q, single, V, mask, dtype, 2.0**15 / min(large, 1))
        assert status == 0
        np.testing.assert_array_equal(np.delete(out, 7, 2)[0, 0], np.delete(V[0, 0, best], 7, 0))
        assert (out[0, 0, 7] == 0).all()
        assert lse[0, 0, 7] == -np.inf
        assert np.isfinite(np.delete(lse, 7, 2)).all()
    # A score of -infinity is a weight of 0; of nothing else, a row of 0 whatever V holds.
    Q[0, 0, :, 0], K[0, 0, 5, 0] = abs(Q[0, 0, :, 0]), -np.inf
    mask[9] = np.arange(70) == 5
    check_attention(library, Q, K, V, mask, dtype, 0.5)
    V[0, 0, 5] = np.inf
    status, out, lse = attend(library, Q, K, V, mask, dtype, 0.5)
    assert (out[0, 0, 9] == 0).all()
    assert lse[0, 0, 9] == -np.inf
    # One of +infinity is NaN for its query alone.
    K[0, 0, 5, 0], V[0, 0, 5] = np.inf, 1
    status, out, lse = attend(library, Q, K, V, mask, dtype, 0.5)
    np.testing.assert_array_equal(np.isnan(out[0, 0]).all(axis=1), mask[:, 5])
    np.testing.assert_array_equal(np.isfinite(out[0, 0]).all(axis=1), ~mask[:, 5])


@pytest.mark.parametrize("dtype", sorted(UNITS))
def test_the_largest_values(library, dtype):
    """Means of finite values are finite, where float32 holds no sum of them, or they round up."""
    rng = np.random.default_rng(4)
    most = 65504.0 if dtype == "float16" else float(from_bits(np.array(0x7F7F, np.uint16), dtype))
    Q, K, V = operands(rng, dtype, 1, 33, 100, 8, 8)
    V[...] = most
    check_attention(library, Q, K, V, rng.random((33, 100)) < 0.7, dtype, 0.5)


def test_repeated_and_unsorted_entries_count_once(library):
    rng = np.random.default_rng(5)
    Q, K, V = operands(rng, "float16", 1, 3, 80, 8, 8)
    indices = np.array([70, 2, 2, 2, 79, 0, 70])
    repeated = sp.csr_array((np.ones(7), indices, np.array([0, 4, 4, 7])), shape=(3, 80))
    mask = np.zeros((3, 80), bool)
    mask[[0, 0, 2, 2, 2], [70, 2, 79, 0, 70]] = True
    once = attend(library, Q, K, V, mask, "float16", 1.0)
    for got, wanted in zip(attend(library, Q, K, V, repeated, "float16", 1.0), once, strict=True):
        np.testing.assert_array_equal(got, wanted)


@pytest.mark.skipif(not EMULATED, reason="It needs 12 GiB of which next to nothing is touched.")
def test_rows_nearly_4_gib_apart(library):
    """Q, K, V and the output side by side."""
    apart = 2**31 - 8
    memory = mmap.mmap(-1, 3 * apart * 2)  # pages that exist when used
    rows = np.frombuffer(memory, np.float16).reshape(3, apart)
    Q, K, V = operands(np.random.default_rng(6), "float16", 1, 3, 3, 8, 8)
    for at, x in enumerate((Q, K, V)):
        rows[:, 8 * at : 8 * at + 8] = x[0, 0]
    mask = np.array([[0, 0, 1], [1, 0, 1], [1, 1, 0]]) != 0
    names = ("Q", "K", "V", "out")
    change = {name: rows.ctypes.data + 16 * at for at, name in enumerate(names)}
    change |= {f"{name.lower()}_strides": [0, 0, apart] for name in names}
    status, _, _ = attend(library, Q, K, V, mask, "float16", 0.5, change=change)
    assert status == _library.OK
    reference, slack, _, _ = expected(Q, K, V, mask, "float16", 0.5)
    check(rows[:, 24:32].astype(float), reference[0, 0], slack[0, 0])
    del rows


def test_halves_tell_small_weights_apart(library):
    """A thousand weights of 2**-26 each add up."""
    n = 1025
    Q, K, V = np.ones((1, 1, 1, 8)), np.zeros((1, 1, n, 8)), np.ones((1, 1, n, 8))
    K[0, 0, 0], V[0, 0, 0] = 26 * np.log(2) / 8, 0
    Q, K = round_to(Q, "float16"), round_to(K, "float16")
    check_attention(library, Q, K, 1000 * V, np.ones((1, n), bool), "float16", 1.0)


# What is refused ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({}, _library.OK),
        ({"batch": 0, "Q": None, "K": None}, _library.OK),
        ({"dtype": 3}, _library.ERR_DTYPE),
        ({"dtype": 0}, _library.ERR_DTYPE),
        ({"batch": -1}, _library.ERR_ARGUMENT),
        ({"d": 12}, _library.ERR_SHAPE),
        ({"d": 0}, _library.ERR_SHAPE),
        ({"dv": 264}, _library.ERR_SHAPE),
        ({"heads": 3}, _library.ERR_SHAPE),
        ({"kv_heads": 0}, _library.ERR_SHAPE),
        ({"Q": None}, _library.ERR_ARGUMENT),
        ({"V": 8}, _library.ERR_ARGUMENT),
        ({"out": 1032}, _library.ERR_ARGUMENT),
        ({"k_strides": [192, 96, 15]}, _library.ERR_ARGUMENT),
        ({"k_strides": [192, 96, 8]}, _library.ERR_ARGUMENT),
        ({"v_strides": [192, 94, 16]}, _library.ERR_ARGUMENT),
        ({"q_strides": [192, 96, 2**31]}, _library.ERR_SHAPE),
        ({"batch": 2**31, "heads": 2**31, "kv_heads": 1}, _library.ERR_SHAPE),
    ],
)
def test_arguments(library, change, status):
    Q, K, V = operands(np.random.default_rng(0), "float16", 2, 4, 6, 16, 16, batch=2)
    got, out, _ = attend(library, Q, K, V, np.ones((4, 6)), "float16", 1.0, change=change)
    assert got == status
    assert np.isnan(out).all() == bool(change)


def test_handles(library):
    A = sp.csr_array(np.eye(4))
    plain = Handle(library, A, "float16")
    task = _library.Attention(dtype=2)
    pointer = ctypes.byref(task)
    assert library.spk_cuda_attend(plain.pointer, pointer, None) == _library.ERR_PREPARED
    assert library.spk_cuda_attend(None, pointer, None) == _library.ERR_ARGUMENT
    assert Handle(library, A, "float32", operations=("attention",)).status == _library.ERR_DTYPE
    both = Handle(library, A, "float16", operations=("spmm", "attention"))
    assert library.spk_cuda_attend(both.pointer, None, None) == _library.ERR_ARGUMENT
    assert library.spk_cuda_bytes(both.pointer) > library.spk_cuda_bytes(plain.pointer)
