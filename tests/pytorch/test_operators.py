"""The operators ``torch.ops.spkernels.*`` against dense products in float64; their gradients."""

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

torch = pytest.importorskip("torch", reason="torch is not installed.")
import spkernels.torch  # noqa: E402, F401

OPS = torch.ops.spkernels
ACTIVATIONS = (None, "relu", "gelu", "gelu_tanh", "silu", "tanh", "sigmoid", "leaky_relu", "elu",
               "hardswish", "hardsigmoid", "relu6")  # fmt: skip
DTYPES = (torch.float32, torch.float64, torch.float16, torch.bfloat16)


def weight(rows, cols, dtype=torch.float64, seed=0, grad=False):
    A = sp.random(rows, cols, 0.3, format="csr", random_state=np.random.default_rng(seed))
    A.sort_indices()
    values = torch.from_numpy(A.data).to(dtype).requires_grad_(grad)
    return values, torch.from_numpy(A.indices), torch.from_numpy(A.indptr), cols


def dense(values, columns, offsets, width):
    shape = (len(offsets) - 1, width)
    A = sp.csr_array((values.detach().double().numpy(), columns, offsets), shape)
    return torch.from_numpy(A.toarray())


def tensor(*shape, dtype=torch.float64, seed=1, grad=False):
    generator = torch.Generator().manual_seed(seed)
    made = torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype)
    return made.requires_grad_(grad)


def check(found, expected, dtype):
    assert found.dtype is dtype
    assert found.shape == expected.shape
    bound = 40 * torch.finfo(dtype).eps
    assert (found.double() - expected).abs().max() <= bound * max(1.0, expected.abs().max())


def linear_samples():
    for activation in ("gelu", "silu", None):
        yield (tensor(3, 5, grad=True), *weight(7, 5, grad=True), tensor(7, grad=True), activation,
               tensor(3, 7, grad=True))  # fmt: skip
    yield tensor(7, grad=True), *weight(7, 5, grad=True), tensor(5, grad=True), "tanh", None, True
    yield tensor(5, 6, 3).mT.requires_grad_(), *weight(4, 5)[:3], 5


@pytest.mark.parametrize("place", range(5))
def test_linear_passes_opcheck_and_has_gradients(place):
    args = list(linear_samples())[place]
    if place == 4:
        args = (tensor(6, 3, 5, grad=True).transpose(0, 1), *args[1:])
    torch.library.opcheck(OPS.linear.default, args)
    assert torch.autograd.gradcheck(OPS.linear, args)
    assert torch.autograd.gradgradcheck(OPS.linear, args)


@pytest.mark.parametrize("transpose", [False, True])
@pytest.mark.parametrize("shape", [(2,), ()])
def test_spmm_passes_opcheck_and_has_gradients(transpose, shape):
    inner = 7 if transpose else 5
    args = (*weight(7, 5, grad=True), tensor(inner, *shape, grad=True), transpose)
    torch.library.opcheck(OPS.spmm.default, args)
    assert torch.autograd.gradgradcheck(OPS.spmm, args)


def test_sddmm_passes_opcheck_and_has_gradients():
    _, columns, offsets, width = weight(7, 5)
    args = columns, offsets, tensor(7, 3, grad=True), tensor(width, 3).mT.requires_grad_()
    torch.library.opcheck(OPS.sddmm.default, args)
    assert torch.autograd.gradgradcheck(OPS.sddmm, args)


LAYOUTS = {
    "transposed": lambda t: t.transpose(-1, -2).contiguous().transpose(-1, -2),
    "every second": lambda t: t.repeat_interleave(2, -1)[..., ::2],
    "expanded": lambda t: t[..., :1].expand(t.shape),
    "offset": lambda t: torch.cat([t.flatten()[:1], t.flatten()])[1:].view(t.shape),
}


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
@pytest.mark.parametrize("name", ["linear", "linear_transposed", "spmm", "sddmm"])
def test_operands_of_any_strides(name, layout):
    weight_of = weight(7, 5, grad=True)

    def operand(*shape, seed=1):
        return layout(tensor(*shape, seed=seed)).detach().requires_grad_()

    op, args = {
        "linear": (OPS.linear, (operand(2, 3, 5), *weight_of, operand(1, 7)[0], "silu",
                                operand(2, 3, 7, seed=4))),
        "linear_transposed": (OPS.linear, (operand(2, 3, 7), *weight_of, None, None, None, True)),
        "spmm": (OPS.spmm, (*weight_of, operand(5, 4))),
        "sddmm": (OPS.sddmm, (*weight_of[1:3], operand(7, 3), operand(3, 5, seed=4))),
    }[name]  # fmt: skip
    torch.library.opcheck(op.default, args)
    found = []
    for change in (lambda t: t, lambda t: t.detach().contiguous().requires_grad_(t.requires_grad)):
        changed = [change(t) if isinstance(t, torch.Tensor) else t for t in args]
        wanted = [t for t in changed if isinstance(t, torch.Tensor) and t.requires_grad]
        result = op(*changed)
        found.append([result, *torch.autograd.grad(result.square().sum(), wanted)])
    torch.testing.assert_close(*found, rtol=1e-14, atol=1e-14)
    # PyTorch differentiates no tensors numerically whose elements share memory.
    assert torch.autograd.gradcheck(op, changed, check_forward_ad=True)
    assert torch.autograd.gradgradcheck(op, changed)


@given(
    rows=st.integers(0, 40), cols=st.integers(0, 40), lead=st.lists(st.integers(0, 4), max_size=3),
    dtype=st.sampled_from(DTYPES), activation=st.sampled_from(ACTIVATIONS), bias=st.booleans(),
    residual=st.booleans(), transpose=st.booleans(), calls=st.integers(1, 3),
    seed=st.integers(0, 2**20),
)  # fmt: skip
def test_linear_is_the_dense_layer(rows, cols, lead, dtype, activation, bias, residual, transpose,
                                   calls, seed):  # fmt: skip
    arrays = weight(rows, cols, dtype, seed)
    W = dense(*arrays)
    W = W.T if transpose else W
    x = tensor(*lead, W.shape[1], dtype=dtype, seed=seed + 1)
    b = tensor(W.shape[0], dtype=dtype, seed=seed + 2) if bias else None
    r = tensor(*lead, W.shape[0], dtype=dtype, seed=seed + 3) if residual else None
    for _ in range(calls):  # the second one packs
        found = OPS.linear(x, *arrays, b, activation, r, transpose)
    expected = x.double() @ W.T
    expected = expected if b is None else expected + b.double()
    expected = expected if r is None else expected + r.double()
    if activation is not None:
        expected = spkernels.torch._ops.activation.ACTIVATIONS[activation](expected)
    if expected.numel():
        check(found, expected, dtype)
    assert found.shape == expected.shape


def test_values_that_change_in_place_are_read_again():
    values, *rest = weight(30, 20, torch.float32)
    x = tensor(4, 20, dtype=torch.float32)
    for factor in (1, 1, 2, 3):
        values.mul_(factor)
        for _ in range(3):
            check(OPS.linear(x, values, *rest), x.double() @ dense(values, *rest).T, torch.float32)


def test_values_with_new_memory_are_read_again():
    values, *rest = weight(30, 20, torch.float32)
    x = tensor(4, 20, dtype=torch.float32)
    for _ in range(3):
        OPS.linear(x, values, *rest)
    values.data = values.data * 2
    check(OPS.linear(x, values, *rest), x.double() @ dense(values, *rest).T, torch.float32)


@pytest.mark.parametrize(
    ("place", "wrong", "words"),
    [
        (0, tensor(3, 4), r"x must have shape \(..., 5\), got \(3, 4\)"),
        (0, tensor(3, 5, dtype=torch.float32), "x must be float64 for values of float64"),
        (1, tensor(2), "values must have the shape of columns"),
        (2, torch.zeros(11, dtype=torch.int16), "columns must be int32 or int64, got int16"),
        (3, torch.zeros(2, 4, dtype=torch.int32), "offsets must be 1-D"),
        (5, tensor(6), r"bias must have shape \(7,\), got \(6,\)"),
        (6, "softplus", "activation must be None or one of relu, .* got 'softplus'"),
        (7, tensor(3, 6), r"residual must have shape \(3, 7\), got \(3, 6\)"),
    ],
)
def test_errors_name_the_argument(place, wrong, words):
    args = [tensor(3, 5), *weight(7, 5), tensor(7), "relu", tensor(3, 7)]
    args[place] = wrong
    with pytest.raises((ValueError, TypeError), match=words):
        OPS.linear(*args)
    with torch._subclasses.fake_tensor.FakeTensorMode(allow_non_fake_inputs=True):
        with pytest.raises((ValueError, TypeError), match=words):
            OPS.linear(*args)


@pytest.mark.parametrize("place", [0, 1, 3, 5])
@pytest.mark.parametrize("grad", [False, True])
def test_tensors_on_several_devices_are_refused(place, grad):
    """PyTorch asks for a result without values if a single tensor has no memory."""
    args = [tensor(3, 5, grad=grad), *weight(7, 5), tensor(7)]
    args[place] = args[place].to("meta")
    words = "values must be on the device of x, meta, got" if place == 0 else "must be on the dev"
    with pytest.raises(ValueError, match=words):
        OPS.linear(*args)


@pytest.mark.parametrize(
    ("columns", "offsets", "words"),
    [
        ([0, 9], [0, 1, 2], "in CSR"),
        ([0, 1], [0, 3, 2], "in CSR"),
        ([1, 0], [0, 2, 2], "columns must increase within each row"),
        ([1, 1], [0, 2, 2], "columns must increase within each row"),
    ],
)
def test_corrupted_structures_are_refused(columns, offsets, words):
    arrays = torch.ones(2), torch.tensor(columns), torch.tensor(offsets)
    with pytest.raises(ValueError, match=words):
        OPS.linear(torch.ones(3, 4), *arrays, 4)


def test_a_bias_with_other_strides_at_the_same_address():
    arrays = weight(4, 5)
    square = tensor(4, 4)
    x = tensor(3, 5)
    for bias in (square[0], square[:, 0], square[0]):
        check(OPS.linear(x, *arrays, bias), x @ dense(*arrays).T + bias, torch.float64)
