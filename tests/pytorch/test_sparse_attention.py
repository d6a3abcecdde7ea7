"""The operator ``torch.ops.spkernels.sparse_attention`` against attention in float64."""

import math

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

torch = pytest.importorskip("torch", reason="torch is not installed.")
import spkernels.torch  # noqa: E402, F401

ATTENTION = torch.ops.spkernels.sparse_attention
DTYPES = (torch.float32, torch.float64, torch.float16, torch.bfloat16)


def mask(rows, cols, density=0.5, seed=0):
    A = sp.csr_array(np.random.default_rng(seed).random((rows, cols)) < density)
    return torch.from_numpy(A.indices), torch.from_numpy(A.indptr)


def dense_mask(columns, offsets, cols):
    shape = (len(offsets) - 1, cols)
    ones = np.ones(len(columns), bool)
    return torch.from_numpy(sp.csr_array((ones, columns, offsets), shape).toarray())


def attention(q, k, v, columns, offsets, bias=None, scale=None):
    """Return the result in float64; a query that attends to nothing gets zeros."""
    q, k, v = (tensor.double() for tensor in (q, k, v))
    if q.dim() > 2 and k.dim() > 2 and 1 < k.shape[-3] < q.shape[-3]:
        k, v = (tensor.repeat_interleave(q.shape[-3] // k.shape[-3], -3) for tensor in (k, v))
    scores = q @ k.mT * (1 / math.sqrt(q.shape[-1]) if scale is None else scale)
    scores = scores if bias is None else scores + bias.double()
    scores = scores.masked_fill(~dense_mask(columns, offsets, k.shape[-2]), -math.inf)
    return torch.softmax(scores, -1).nan_to_num(0.0) @ v


def tensor(*shape, dtype=torch.float64, seed=1, grad=False):
    generator = torch.Generator().manual_seed(seed)
    made = torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)
    return made.requires_grad_(grad)


def samples():
    structure = mask(5, 4)
    yield tensor(5, 3, grad=True), tensor(4, 3, grad=True), tensor(4, 2, grad=True), *structure
    yield (
        tensor(2, 4, 5, 3, grad=True), tensor(2, 2, 4, 3, grad=True), tensor(1, 2, 4, 2, grad=True),
        *structure, tensor(4, 1, 4, grad=True), 0.7,
    )  # fmt: skip
    yield (
        tensor(5, 2, 3, grad=True).transpose(0, 1), tensor(4, 2, 3).transpose(0, 1),
        tensor(3, 4, grad=True).mT, *structure, tensor(5, 4, grad=True),
    )  # fmt: skip


@pytest.mark.parametrize("place", range(3))
def test_it_passes_opcheck_and_has_gradients(place):
    args = list(samples())[place]
    torch.library.opcheck(ATTENTION.default, args)
    assert torch.autograd.gradcheck(ATTENTION, args, check_forward_ad=True)
    assert torch.autograd.gradgradcheck(ATTENTION, args)


@given(
    rows=st.integers(0, 40), cols=st.integers(1, 40), d=st.integers(1, 20), dv=st.integers(1, 20),
    lead=st.sampled_from([(), (1,), (4,), (2, 4), (3, 1)]),
    key_lead=st.sampled_from([None, (), (2,), (1, 1)]), dtype=st.sampled_from(DTYPES),
    bias=st.sampled_from([None, (), (-1,), (-2, -1)]), scale=st.sampled_from([None, 0.3]),
    density=st.sampled_from([0.0, 0.2, 1.0]), seed=st.integers(0, 2**20),
)  # fmt: skip
def test_it_is_attention_under_the_mask(rows, cols, d, dv, lead, key_lead, dtype, bias, scale,
                                        density, seed):  # fmt: skip
    key_lead = lead if key_lead is None or (key_lead == (2,) and lead[-1:] != (4,)) else key_lead
    structure = mask(rows, cols, density, seed)
    q = tensor(*lead, rows, d, dtype=dtype, seed=seed + 1)
    k = tensor(*key_lead, cols, d, dtype=dtype, seed=seed + 2)
    v = tensor(*key_lead, cols, dv, dtype=dtype, seed=seed + 3)
    if bias is not None:
        bias = tensor(*((rows, cols)[place] for place in bias), dtype=dtype, seed=seed + 4)
    found = ATTENTION(q, k, v, *structure, bias, scale)
    expected = attention(q, k, v, *structure, bias, scale)
    assert found.dtype is dtype and found.shape == expected.shape
    if expected.numel():
        # Scores lie within 60, and the error of one is the relative error of its weight.
        bound = 200 * torch.finfo(dtype).eps * max(1.0, v.double().abs().max())
        assert (found.double() - expected).abs().max() <= bound


def test_gradients_are_those_of_the_formula_in_float32():
    structure = mask(30, 20, 0.3)
    made = [tensor(3, 30, 8), tensor(3, 20, 8), tensor(3, 20, 8), tensor(30, 20)]
    wide = [part.clone().requires_grad_() for part in made]
    low = [part.float().requires_grad_() for part in made]
    attention(*wide[:3], *structure, wide[3]).square().sum().backward()
    ATTENTION(*low[:3], *structure, low[3]).square().sum().backward()
    for narrow, right in zip(low, wide, strict=True):
        assert narrow.grad.dtype is torch.float32
        bound = 200 * torch.finfo(torch.float32).eps * right.grad.abs().max()
        assert (narrow.grad.double() - right.grad).abs().max() <= bound


def test_queries_that_attend_to_nothing_have_no_gradient():
    columns, offsets = torch.tensor([0, 1]), torch.tensor([0, 0, 2])
    bias = torch.tensor([[0.0, 0.0], [-math.inf, -math.inf]], dtype=torch.float64)
    q, k, v = (tensor(2, 3, seed=seed, grad=True) for seed in range(3))
    found = ATTENTION(q, k, v, columns, offsets, bias)
    assert torch.equal(found, torch.zeros(2, 3, dtype=torch.float64))
    found.sum().backward()
    for each in (q, k, v):
        assert torch.equal(each.grad, torch.zeros_like(each))


def test_it_is_compiled():
    structure = mask(6, 5)
    args = tensor(2, 6, 3), tensor(2, 5, 3), tensor(2, 5, 3), *structure
    compiled = torch.compile(ATTENTION, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(*args), attention(*args))


@pytest.mark.parametrize(
    ("place", "wrong", "words"),
    [
        (0, tensor(5, 3, dtype=torch.float32), "k must be float32, float16 or bfloat16 for"),
        (0, tensor(4, 3), r"q must have shape \(..., 5, d\), got \(4, 3\)"),
        (0, tensor(3), r"q must have shape \(..., n, d\), got \(3,\)"),
        (1, tensor(4, 2), r"k must have shape \(..., m, 3\), got \(4, 2\)"),
        (2, tensor(3, 2), r"v must have shape \(..., 4, d\), got \(3, 2\)"),
        (2, tensor(5, 4, 2), r"v must have leading dimensions that broadcast with \(2,\)"),
        (3, torch.zeros(11, dtype=torch.int16), "columns must be int32 or int64, got int16"),
        (5, tensor(3, 5, 4), r"bias must broadcast to \(2, 5, 4\), got \(3, 5, 4\)"),
        (5, tensor(1, 1, 5, 4), r"bias must broadcast to \(2, 5, 4\), got \(1, 1, 5, 4\)"),
    ],
)
def test_errors_name_the_argument(place, wrong, words):
    args = [tensor(2, 5, 3), tensor(4, 3), tensor(4, 2), *mask(5, 4), None]
    args[place] = wrong
    with pytest.raises((ValueError, TypeError), match=words):
        ATTENTION(*args)
    with torch._subclasses.fake_tensor.FakeTensorMode(allow_non_fake_inputs=True):
        with pytest.raises((ValueError, TypeError), match=words):
            ATTENTION(*args)


def test_columns_beyond_the_keys_are_refused():
    args = tensor(1, 3), tensor(4, 3), tensor(4, 2), torch.tensor([4]), torch.tensor([0, 1])
    with pytest.raises(ValueError, match="in CSR"):
        ATTENTION(*args)
