"""Convolutions with sparse weights against dense ones in float64: the operator and the modules."""

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

torch = pytest.importorskip("torch", reason="torch is not installed.")
import torch.nn.functional as F  # noqa: E402
from reference import ACTIVATIONS, EXTRA_OPERATIONS, LIPSCHITZ, gamma  # noqa: E402
from torch import nn  # noqa: E402
from torch_models import bits, copies_of, programs_of, pruned, same_bits  # noqa: E402

import spkernels.torch  # noqa: E402
from spkernels.torch import _lowering, _packed, _parts  # noqa: E402
from spkernels.torch._weights import csr_of  # noqa: E402

CONV = torch.ops.spkernels.conv
DTYPES = (torch.float32, torch.float64, torch.float16, torch.bfloat16)
LAYOUTS = ("contiguous", "channels last", "transposed", "strided", "expanded")
#: Every module is replaced, as no test may depend on times.
ALL = {"min_speedup": 1e-9}


def tensor(*shape, dtype=torch.float64, seed=1, grad=False):
    generator = torch.Generator().manual_seed(seed)
    made = torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype)
    return made.requires_grad_(grad)


def sparse(*shape, dtype=torch.float64, density=0.3, seed=0, grad=False):
    """Return a dense weight with zeros, and its values, columns and offsets."""
    generator = torch.Generator().manual_seed(seed)
    mask = torch.rand(*shape, generator=generator) < density
    dense = tensor(*shape, dtype=dtype, seed=seed) * mask
    csr = csr_of(dense)
    return dense, (csr.values.requires_grad_(grad), csr.columns, csr.offsets)


def laid_out(x, layout):
    if layout == "channels last" and x.dim() == 4:
        return x.contiguous(memory_format=torch.channels_last)
    if layout == "transposed":
        return x.transpose(-1, -2).contiguous().transpose(-1, -2)
    if layout == "strided":
        return torch.stack([x, x], -1)[..., 0]
    if layout == "expanded":
        return x[..., :1].expand(x.shape)
    return x


def dense_conv(x, weight, bias, *sizes):
    return (F.conv1d if weight.dim() == 3 else F.conv2d)(x, weight, bias, *sizes)


def check(found, x, weight, bias, residual, activation, *sizes):
    """Compare a result with float64, by a bound on the rounding of its sums."""
    args = [None if t is None else t.double() for t in (x, weight, bias, residual)]

    def summed(x, weight, bias, residual):
        made = dense_conv(x, weight, bias, *sizes)
        return made if residual is None else made + residual

    expected = summed(*args)
    magnitude = summed(*(None if t is None else t.abs() for t in args))
    assert found.dtype is x.dtype and found.shape == expected.shape
    wide = "float64" if x.dtype is torch.float64 else "float32"
    terms = weight[0].numel() + EXTRA_OPERATIONS
    expected = torch.from_numpy(ACTIVATIONS[activation](expected.numpy()))
    bound = LIPSCHITZ * gamma(terms, wide) * magnitude
    bound += EXTRA_OPERATIONS * torch.finfo(getattr(torch, wide)).eps * expected.abs().clamp(min=1)
    bound += torch.finfo(x.dtype).eps * expected.abs()
    assert ((found.double() - expected).abs() <= bound).all()


@st.composite
def cases(draw):
    rank = draw(st.sampled_from([1, 2, 2]))

    def each(low, high):
        return draw(st.lists(st.integers(low, high), min_size=rank, max_size=rank))

    kernel, stride, padding, dilation = each(1, 4), each(1, 3), each(0, 3), each(1, 3)
    groups = draw(st.sampled_from([1, 1, 2, 3]))
    channels, rows = groups * draw(st.integers(1, 4)), groups * draw(st.integers(1, 7))
    more = each(0, 9)
    size = [
        max(1, d * (k - 1) + 1 - 2 * p) + m
        for d, k, p, m in zip(dilation, kernel, padding, more, strict=True)
    ]
    lead = draw(st.sampled_from([(), (0,), (1,), (3,), (5,)]))
    return (*lead, channels, *size), (rows, channels // groups, *kernel), (stride, padding,
            dilation, groups)  # fmt: skip


@given(
    case=cases(), dtype=st.sampled_from(DTYPES), density=st.sampled_from([0, 0.2, 0.9]),
    layout=st.sampled_from(LAYOUTS), bias=st.booleans(), residual=st.booleans(),
    activation=st.sampled_from([None, "relu", "gelu", "sigmoid", "hardswish"]),
    calls=st.integers(1, 3), together=st.booleans(), slides=st.booleans(),
    seed=st.integers(0, 2**20),
)  # fmt: skip
def test_it_is_the_dense_convolution(case, dtype, density, layout, bias, residual, activation,
                                     calls, together, slides, seed):  # fmt: skip
    shape, filters, sizes = case
    dense, csr = sparse(*filters, dtype=dtype, density=density, seed=seed)
    x = laid_out(tensor(*shape, dtype=dtype, seed=seed + 1), layout)
    b = tensor(filters[0], dtype=dtype, seed=seed + 2) if bias else None
    plain = dense_conv(x.double(), dense.double(), None, *sizes)
    r = tensor(*plain.shape, dtype=dtype, seed=seed + 3) if residual else None
    with pytest.MonkeyPatch.context() as patch:
        if not together:  # small buffers, so that there are several blocks of rows
            patch.setattr(_lowering, "_BUFFER_BYTES", 2000)
        if not slides:  # copies of blocks for strides of one, too
            patch.setattr(_lowering, "_MAX_SLID_ROW", -1)
            patch.setattr(_lowering, "_MAX_SLID_WORK", 0)
        for _ in range(calls):  # the second one packs
            found = CONV(x, *csr, filters[2:], *sizes[:3], sizes[3], b, activation, r)
    check(found, x, dense, b, r, activation, *sizes)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("kernel", [(1, 1), (3, 3), (2, 3)])
def test_the_memory_format_follows_the_input(layout, kernel):
    dense, csr = sparse(6, 4, *kernel, dtype=torch.float32)
    x = laid_out(tensor(3, 4, 8, 9, dtype=torch.float32), layout)
    for each in (x, x[0]):
        found = CONV(each, *csr, kernel, [1, 1], [1, 0], [1, 1])
        expected = F.conv2d(each, dense, padding=(1, 0))
        assert found.stride() == expected.stride()
        with torch._subclasses.fake_tensor.FakeTensorMode(allow_non_fake_inputs=True) as mode:
            fake = CONV(mode.from_tensor(each), *csr, kernel, [1, 1], [1, 0], [1, 1])
        assert fake.stride() == expected.stride()


def samples():
    two = [2, 1], [1, 0], [1, 2]
    yield (tensor(1, 2, 3, 4, grad=True), *sparse(2, 1, 3, 2, density=0.5, grad=True)[1], [3, 2],
           *two, 2, tensor(2, grad=True), "silu", tensor(1, 2, 2, 2, grad=True))  # fmt: skip
    yield (tensor(2, 2, 3, grad=True), *sparse(3, 2, 3, 3, grad=True)[1], [3, 3], [1, 1], [1, 1],
           [1, 1], 1, tensor(3, grad=True), "gelu")  # fmt: skip
    yield (tensor(2, 6, 2, grad=True).mT, *sparse(3, 2, 3, grad=True)[1], [3], [2], [1], [1])
    last = tensor(2, 2, 3, 2).contiguous(memory_format=torch.channels_last).requires_grad_()
    yield (last, *sparse(3, 2, 1, 1, grad=True)[1], [1, 1], [1, 1], [0, 0], [1, 1], 1, None, None)
    turned = tensor(2, 2, 4, 3, grad=True).transpose(-1, -2)
    yield (turned, *sparse(3, 2, 3, 3)[1], [3, 3], [1, 1], [1, 1], [1, 1])
    yield (tensor(2, 2, 3, 6)[..., ::2], *sparse(3, 2, 2, 2, grad=True)[1], [2, 2], [1, 1], [1, 1],
           [1, 1])  # fmt: skip


@pytest.mark.parametrize("place", range(6))
def test_it_passes_opcheck_and_has_gradients(place):
    args = list(samples())[place]
    torch.library.opcheck(CONV.default, args)
    assert torch.autograd.gradcheck(CONV, args, check_forward_ad=True)
    assert torch.autograd.gradgradcheck(CONV, args)


@pytest.mark.parametrize("layer", [
    spkernels.torch.SparseConv2d(4, 6, (2, 3), padding=1, activation="relu", dtype=torch.float64),
    spkernels.torch.SparseConv1d(4, 6, 3, stride=2, dtype=torch.float64),
])  # fmt: skip
def test_a_batch_of_calls(layer):
    x = tensor(3, 2, 4, *[7, 8][: layer._rank])
    same = torch.testing.assert_close
    same(torch.func.vmap(layer)(x), torch.stack([layer(one) for one in x]))
    same(torch.func.vmap(layer, 1)(x), torch.stack([layer(one) for one in x.unbind(1)]))
    residual = layer(x[0])
    found = torch.func.vmap(layer, (0, None))(x, residual)
    same(found, torch.stack([layer(one, residual) for one in x]))
    gradients = torch.func.vmap(torch.func.grad(lambda one: layer(one).sum()))(x[0])
    same(gradients, torch.func.grad(lambda many: layer(many).sum())(x[0]))


def test_an_empty_batch_has_gradients():
    _, csr = sparse(4, 3, 3, 3, grad=True)
    x = tensor(0, 3, 5, 5, grad=True)
    found = CONV(x, *csr, [3, 3], [1, 1], [1, 1], [1, 1])
    assert found.shape == (0, 4, 5, 5)
    found.sum().backward()
    assert x.grad.shape == x.shape and not csr[0].grad.any()


def test_values_that_change_in_place_are_read_again():
    dense, csr = sparse(6, 20, 3, 3, dtype=torch.float32, density=0.7)
    x = tensor(2, 20, 6, 6, dtype=torch.float32)
    sizes = (1, 1), (1, 1), (1, 1), 1
    for factor in (1, 2, 3):
        csr[0].mul_(factor)
        dense.mul_(factor)
        for _ in range(3):
            found = CONV(x, *csr, [3, 3], *sizes)
            check(found, x, dense, None, None, None, *sizes)


@pytest.mark.parametrize("inference_first", [False, True])
def test_buffers_serve_inference_mode_and_others(inference_first):
    dense, csr = sparse(6, 7, 3, 3, dtype=torch.float32)
    x = tensor(2, 7, 5 + inference_first, 6, dtype=torch.float32)
    sizes = (1, 1), (1, 1), (1, 1), 1
    for mode in (inference_first, not inference_first):
        with torch.inference_mode(mode):
            for _ in range(2):
                found = CONV(x, *csr, [3, 3], *sizes)
        check(found, x, dense, None, None, None, *sizes)


@pytest.mark.parametrize(
    ("place", "wrong", "words"),
    [
        (0, tensor(2, 5), r"x must have shape \(n, channels, height, width\) or"),
        (0, tensor(2, 4, 2, 5), "x must be as large as the kernel at least, got"),
        (0, tensor(2, 4, 5, 5, dtype=torch.float32), "x must be float64 for values of float64"),
        (1, tensor(2), "values must have the shape of columns"),
        (4, [3, 3, 3], "kernel_size must have 1 or 2 elements"),
        (4, [3, 0], "kernel_size must have 2 elements of at least 1"),
        (5, [1], "stride must have 2 elements of at least 1"),
        (6, [0, -1], "padding must have 2 elements of at least 0"),
        (7, [0, 1], "dilation must have 2 elements of at least 1"),
        (8, 4, "groups must divide the 4 channels of x and the 6 rows of the weight, got 4"),
        (9, tensor(5), r"bias must have shape \(6,\), got \(5,\)"),
        (10, "softplus", "activation must be None or one of relu, .* got 'softplus'"),
        (11, tensor(2, 6, 3, 4), r"residual must have shape \(2, 6, 3, 3\), got \(2, 6, 3, 4\)"),
    ],
)
def test_errors_name_the_argument(place, wrong, words):
    args = [tensor(2, 4, 5, 5), *sparse(6, 2, 3, 3)[1], [3, 3], [1, 1], [0, 0], [1, 1], 2,
            tensor(6), "relu", tensor(2, 6, 3, 3)]  # fmt: skip
    CONV(*args)
    args[place] = wrong
    with pytest.raises((ValueError, TypeError), match=words):
        CONV(*args)
    with torch._subclasses.fake_tensor.FakeTensorMode(allow_non_fake_inputs=True):
        with pytest.raises((ValueError, TypeError), match=words):
            CONV(*args)


def network():
    torch.manual_seed(0)
    last = pruned(nn.Conv2d(6, 6, 3, groups=2))
    last.weight.data = last.weight.data.contiguous(memory_format=torch.channels_last)
    return nn.Sequential(
        pruned(nn.Conv2d(4, 8, 3, padding=1)), nn.ReLU(), pruned(nn.Conv2d(8, 8, 1)),
        nn.BatchNorm2d(8), pruned(nn.Conv2d(8, 6, (2, 3), stride=2)), nn.GELU(), last,
    ).eval()  # fmt: skip


@pytest.mark.parametrize("layout", ["contiguous", "channels last"])
def test_a_network_gives_what_it_gave(layout):
    model, x = network(), laid_out(tensor(3, 4, 11, 12, dtype=torch.float32), layout)
    expected, before = model(x), bits(model)
    strides = model[6].weight.stride()
    report = spkernels.torch.sparsify_(model, example_inputs=x, **ALL)
    assert len(report.replaced) == 4
    assert isinstance(model[0], spkernels.torch.SparseConv2d) and model[0].activation == "relu"
    made = copies_of(model)
    for each in [*made, *programs_of(model, x)]:
        for _ in range(3):
            torch.testing.assert_close(each(x), expected)
    for each in made:
        spkernels.torch.densify_(each)
        assert same_bits(each, before)
        assert each[6].weight.stride() == strides


@pytest.mark.parametrize("mode", ["zeros", "reflect", "replicate", "circular"])
@pytest.mark.parametrize("padding", [2, "same", "valid"])
@pytest.mark.parametrize("rank", [1, 2])
def test_padding_is_that_of_the_dense_module(mode, padding, rank):
    kinds = (nn.Conv1d, spkernels.torch.SparseConv1d), (nn.Conv2d, spkernels.torch.SparseConv2d)
    dense_kind, sparse_kind = kinds[rank - 1]
    dense = dense_kind(3, 4, 4, padding=padding, dilation=1, padding_mode=mode)
    layer = sparse_kind.from_conv(dense).eval()
    assert layer.values.requires_grad
    x = tensor(2, 3, *[7, 8][:rank], dtype=torch.float32)
    torch.testing.assert_close(layer(x), dense(x))
    torch.testing.assert_close(layer.to_dense()(x), dense(x))
    assert torch.equal(layer.weight, dense.weight)
    with pytest.raises(TypeError, match=f"layer must be a torch.nn.Conv{rank}d, got Linear"):
        sparse_kind.from_conv(nn.Linear(3, 4))


@pytest.mark.parametrize("kernel", [1, 3])
@pytest.mark.parametrize("slides", [False, True])
def test_what_a_layer_keeps_follows_its_tensors_and_its_input(kernel, slides, monkeypatch):
    if not slides:
        monkeypatch.setattr(_lowering, "_MAX_SLID_ROW", -1)
        monkeypatch.setattr(_lowering, "_MAX_SLID_WORK", 0)
    layer = spkernels.torch.SparseConv2d(
        6, 8, kernel, padding=kernel // 2, sparsity=0.5, activation="relu", dtype=torch.float64
    ).eval()

    def same(x):
        expected = layer.to_dense()(x).relu()
        for _ in range(4):
            torch.testing.assert_close(layer(x), expected)

    x = tensor(2, 6, 9, 8)
    with torch.no_grad():
        for each in (x, x[:, :, :5], x.contiguous(memory_format=torch.channels_last), x[0], -x):
            same(each)
        layer.values.mul_(2)
        same(x)
        layer.bias.add_(1)
        same(x)
        layer.values.data.mul_(3)
        layer.repack()
        same(x)
        layer.bias = nn.Parameter(-layer.bias)
        same(x)
        same(x[:0])
        same(torch._neg_view(x))
        layer.activation = None
        torch.testing.assert_close(layer(x), layer.to_dense()(x))
    again = copy.deepcopy(layer)
    with torch.no_grad():
        torch.testing.assert_close(again(x), layer(x))
    assert again(x).requires_grad and layer.float()(x.float()).dtype is torch.float32


def test_a_depthwise_convolution_stays_dense():
    model = nn.Sequential(pruned(nn.Conv2d(4, 4, 3, groups=4)))
    x = tensor(1, 4, 5, 5, dtype=torch.float32)
    report = spkernels.torch.sparsify_(model, example_inputs=x, **ALL)
    assert report.layers[0].reason.startswith("a depthwise filter has one channel")
    report = spkernels.torch.sparsify_(nn.Sequential(pruned(nn.Conv1d(4, 4, 3))), **ALL)
    assert report.layers[0].reason == "a batch size does not tell the shape of its input"


def test_bad_arguments_of_modules():
    for arguments, words in [
        ((4, 6, 3, 1, 0, 1, 3), "groups must divide in_channels 4 and out_channels 6, got 3"),
        ((4, 6, (3,)), r"kernel_size must be an int or 2 of them, got \(3,\)"),
        ((4, 6, 3, 2, "same"), "padding must be numbers, 'valid', or 'same' with stride 1"),
        ((4, 6, 3, 1, 0, 1, 1, True, "wrap"), "padding_mode must be one of zeros, .* got 'wrap'"),
    ]:
        with pytest.raises(ValueError, match=words):
            spkernels.torch.SparseConv2d(*arguments)


def test_inputs_of_many_sizes_keep_few_parts_of_the_weight():
    layer = spkernels.torch.SparseConv2d(8, 16, 3, sparsity=0.5).eval()
    with torch.no_grad():
        for size in range(5, 30):
            layer(torch.ones(1, 8, size, size))
    weight = _packed.weight_of(layer.values, layer.columns, layer.offsets, 8 * 9)
    assert 0 < len(weight.derived) <= _parts._MAX_KEPT
