"""PyTorch's layers of transformers with sparse weights: results, the fused path, and back."""

import copy
import io
import itertools

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed.")
import torch.nn.functional as F  # noqa: E402
from torch import nn  # noqa: E402
from torch_models import bits, copies_of, programs_of, same_bits  # noqa: E402

import spkernels.torch as st  # noqa: E402
from spkernels.torch._modules import (  # noqa: E402
    SparseMultiheadAttention,
    chain,
    transformer,
)
from spkernels.torch._modules.fused import identity  # noqa: E402

ALL = {"min_speedup": 1e-9}
D, HEADS, FFN = 16, 2, 40


def pruned(model, amount=0.7):
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 2:
                parameter.mul_(torch.rand(parameter.shape) > amount)
            else:
                parameter.normal_()
    return model.eval()


class Own(nn.TransformerEncoderLayer):
    """A layer of one's own whose method `forward` is PyTorch's."""


def encoder_layer(kind=nn.TransformerEncoderLayer, **options):
    return kind(D, HEADS, FFN, **options)


def check(found, model, *args, **kwargs):
    """Check a result against float64, with a few times the error of the dense model in float32."""
    with torch.no_grad():
        near = by_modules(model, args, kwargs)
        expected = by_modules(copy.deepcopy(model).double(), *map(doubled, (args, kwargs)))
    kept = torch.ones(expected.shape, dtype=torch.bool)
    padding = kwargs.get("src_key_padding_mask")
    if padding is not None:  # an encoder with nested tensors gives zeros there
        kept[padding if expected.shape[:2] == padding.shape else padding.T] = False
    error = (near.double() - expected)[kept].abs().max()
    bound = 10 * error + torch.finfo(torch.float32).eps * expected.abs().max()
    assert found.shape == expected.shape
    assert (found.double() - expected)[kept].abs().max() <= bound


def by_modules(model, args, kwargs):
    """Call the model without its fused path, which takes any float mask for one of booleans."""
    enabled = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        return model(*args, **kwargs)
    finally:
        torch.backends.mha.set_fastpath_enabled(enabled)


def doubled(values):
    if isinstance(values, dict):
        return dict(zip(values, doubled(values.values()), strict=True))
    return [value.double() if value.is_floating_point() else value for value in values]


@pytest.fixture
def chained(monkeypatch):
    """The shapes of the inputs of all chains that layers call."""
    shapes = []

    def call_modules(layers, x):
        shapes.append(tuple(x.shape))
        return chain.call_modules(layers, x)

    monkeypatch.setattr(transformer, "call_modules", call_modules)
    return shapes


@pytest.mark.parametrize("activation", [F.gelu, nn.ReLU(), nn.Softplus()])
@pytest.mark.parametrize("kind", [nn.TransformerEncoderLayer, nn.TransformerDecoderLayer])
def test_the_linear_layers_are_one_chain_where_nobody_is_between(chained, kind, activation):
    layer = pruned(encoder_layer(kind, activation=activation, batch_first=True))
    x = torch.randn(3, 5, D)
    inputs = (x,) if kind is nn.TransformerEncoderLayer else (x, torch.randn(3, 4, D))
    st.sparsify_(layer, example_inputs=inputs, **ALL)
    name = kind.__name__.replace("Transformer", "SparseTransformer")
    assert type(layer) is getattr(st, name) and isinstance(layer, kind)
    count = 0 if isinstance(activation, nn.Softplus) else 1
    chained.clear()
    with torch.no_grad():
        for _ in range(3):
            expected = layer(*inputs)
        assert chained == count * 3 * [(3, 5, D)]
        assert torch.equal(kind._ff_block(layer, x), layer._ff_block(x))
    for module in (layer.linear1, layer.linear2, layer.dropout, layer.activation):
        if not isinstance(module, nn.Module):
            continue
        calls = []
        chained.clear()
        with module.register_forward_hook(lambda *_, calls=calls: calls.append(1)):
            with torch.no_grad():
                assert torch.equal(layer(*inputs), expected)
        assert (len(calls), chained) == (1, [])
    layer.train()
    with torch.no_grad():
        layer(*inputs)
    layer.eval()
    layer(*inputs).sum().backward()
    assert chained == []
    assert type(st.densify_(layer)) is kind


def test_a_copy_and_a_pickle_have_the_class_of_the_layer():
    layer = pruned(encoder_layer(batch_first=True))
    x = torch.randn(3, 5, D)
    st.sparsify_(layer, example_inputs=x, **ALL)
    stored = io.BytesIO()
    torch.save(layer, stored)
    stored.seek(0)
    for made in (copy.deepcopy(layer), torch.load(stored, weights_only=False)):
        assert type(made) is st.SparseTransformerEncoderLayer
        with torch.no_grad():
            torch.testing.assert_close(made(x), layer(x))
        assert type(st.densify_(made)) is nn.TransformerEncoderLayer


ACTIVATIONS = [
    "relu", "gelu", F.gelu, F.silu, torch.relu, nn.ReLU(), nn.GELU(), nn.GELU(approximate="tanh"),
    nn.SiLU(), nn.Softplus(),
]  # fmt: skip


@pytest.mark.parametrize(
    ("activation", "norm_first", "batch_first"),
    [(activation, False, True) for activation in ACTIVATIONS]
    + [("gelu", norm_first, batch_first) for norm_first, batch_first in
       ((False, False), (True, False), (True, True))],
    ids=str,
)  # fmt: skip
def test_an_encoder_layer_is_that_of_pytorch(activation, norm_first, batch_first):
    layer = pruned(
        encoder_layer(activation=activation, norm_first=norm_first, batch_first=batch_first)
    )
    dense, before = copy.deepcopy(layer), bits(layer)
    settings = layer.activation, layer.activation_relu_or_gelu
    x = torch.randn(3, 5, D)
    report = st.sparsify_(layer, example_inputs=x, **ALL)
    assert [one.name for one in report.replaced] == ["self_attn", "linear1", "linear2"]
    fused = layer.linear1.activation is not None
    assert fused != isinstance(activation, nn.Softplus)
    rows, batch = x.shape[batch_first], x.shape[not batch_first]
    masks = [
        {},
        {"src_mask": torch.ones(rows, rows).triu(1).bool()},
        {"src_mask": torch.randn(rows, rows)},
        {"src_key_padding_mask": torch.arange(rows) > torch.arange(2, 2 + batch)[:, None]},
    ]
    for kwargs, context in itertools.product(
        masks, (torch.no_grad, torch.enable_grad, torch.inference_mode)
    ):
        with context():
            found = layer(x, **kwargs)
        check(found, dense, x, **kwargs)
    assert st.densify_(layer) is layer
    assert (layer.activation, layer.activation_relu_or_gelu) == settings
    assert same_bits(layer, before) and layer.__dict__.keys() == dense.__dict__.keys()
    with torch.no_grad():
        assert torch.equal(layer(x), dense(x))


@pytest.mark.parametrize(
    ("activation", "norm_first", "batch_first"),
    [("gelu", False, True), (nn.ReLU(), True, True), ("relu", False, False)],
    ids=str,
)
def test_a_decoder_layer_is_that_of_pytorch(activation, norm_first, batch_first):
    layer = pruned(nn.TransformerDecoderLayer(
        D, HEADS, FFN, activation=activation, norm_first=norm_first, batch_first=batch_first
    ))  # fmt: skip
    dense, before = copy.deepcopy(layer), bits(layer)
    target, memory = torch.randn(2, 4, D), torch.randn(2, 4, D)
    report = st.sparsify_(layer, example_inputs=(target, memory), **ALL)
    assert [one.name for one in report.replaced] == [
        "self_attn", "multihead_attn", "linear1", "linear2"
    ]  # fmt: skip
    assert layer.self_attn.counts == (3,) and layer.multihead_attn.counts == (1, 2)
    assert layer.linear1.activation in ("gelu", "relu")
    rows = target.shape[batch_first]
    causal = {"tgt_mask": nn.Transformer.generate_square_subsequent_mask(rows)}
    for kwargs in ({}, causal):
        with torch.no_grad():
            check(layer(target, memory, **kwargs), dense, target, memory, **kwargs)
    with torch.no_grad():
        found = layer(target, memory, **causal, tgt_is_causal=True)
        check(found, dense, target, memory, **causal)
    st.densify_(layer)
    assert same_bits(layer, before)
    with torch.no_grad():
        assert torch.equal(layer(target, memory), dense(target, memory))


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("which", ["all", "attention", "linear"])
@pytest.mark.parametrize("kind", [nn.TransformerEncoderLayer, Own])
def test_an_encoder_neither_bypasses_nor_breaks_the_layers(nested, which, kind):
    layer = encoder_layer(kind, batch_first=True)
    encoder = pruned(nn.TransformerEncoder(layer, 2, enable_nested_tensor=nested))
    dense, before = copy.deepcopy(encoder), bits(encoder)
    x = torch.randn(2, 5, D)
    padding = torch.arange(5) > torch.tensor([4, 2])[:, None]
    calls = []

    def wanted(module, name):
        if which == "all":
            return True
        return isinstance(module, nn.MultiheadAttention) == (which == "attention")

    st.sparsify_(encoder, example_inputs=x, filter_fn=wanted, **ALL)
    for module in encoder.modules():
        if isinstance(module, st.SparseLinear | SparseMultiheadAttention):
            original = module.forward
            module.forward = lambda *args, call=original, **kwargs: (
                calls.append(1), call(*args, **kwargs)
            )[1]  # fmt: skip
    per_call = {"all": 6, "attention": 2, "linear": 4}[which]
    for kwargs in ({}, {"src_key_padding_mask": padding}):
        for context in (torch.no_grad, torch.inference_mode):
            calls.clear()
            with context():
                found = encoder(x, **kwargs)
            assert len(calls) == per_call
            check(found, dense, x, **kwargs)
    for module in encoder.modules():
        module.__dict__.pop("forward", None)
    st.densify_(encoder)
    assert encoder.use_nested_tensor == dense.use_nested_tensor == nested
    assert same_bits(encoder, before)
    with torch.no_grad():
        for kwargs in ({}, {"src_key_padding_mask": padding}):
            assert torch.equal(encoder(x, **kwargs), dense(x, **kwargs))


def test_a_transformer_is_copied_saved_compiled_and_exported():
    model = nn.Transformer(D, HEADS, 1, 1, FFN, batch_first=True, activation="gelu")
    model = pruned(model)
    dense, before = copy.deepcopy(model), bits(model)
    args = torch.randn(2, 5, D), torch.randn(2, 3, D)
    report = st.sparsify_(model, example_inputs=args, **ALL)
    assert len(report.replaced) == 7
    copies = copies_of(model)
    for made in [*copies, *programs_of(model, *args)]:
        with torch.no_grad():
            check(made(*args), dense, *args)
    for made in copies:
        assert same_bits(st.densify_(made), before)
        with torch.no_grad():
            assert torch.equal(made(*args), dense(*args))


def test_an_encoder_is_exported_for_batches_of_any_size():
    layer = pruned(encoder_layer(batch_first=True))
    dense = copy.deepcopy(layer)
    x = torch.randn(2, 9, D)
    st.sparsify_(layer, example_inputs=x, **ALL)
    batch = torch.export.Dim("batch", min=1, max=10**4)
    made = torch.export.export(layer, (x,), dynamic_shapes=({0: batch},)).module()
    for size in (1, 2, 300):  # few and many scores
        x = torch.randn(size, 9, D)
        with torch.no_grad():
            check(made(x), dense, x)


def test_attributes_that_pytorch_reads_are_there():
    layer = pruned(encoder_layer(batch_first=True))
    dense = copy.deepcopy(layer)
    st.sparsify_(layer, example_inputs=torch.randn(2, 5, D), **ALL)
    for name in ("linear1.weight", "linear2.weight", "self_attn.in_proj_weight",
                 "self_attn.in_proj_bias", "self_attn.out_proj.weight", "self_attn.out_proj.bias",
                 "linear1.bias", "linear2.bias"):  # fmt: skip
        found, expected = layer, dense
        for part in name.split("."):
            found, expected = getattr(found, part), getattr(expected, part)
        assert torch.equal(found, expected), name
    for name in ("embed_dim", "num_heads", "head_dim", "batch_first", "_qkv_same_embed_dim",
                 "kdim", "vdim", "dropout", "bias_k", "bias_v", "add_zero_attn"):  # fmt: skip
        assert getattr(layer.self_attn, name) == getattr(dense.self_attn, name), name
    assert layer.activation is identity


def test_training_mode_goes_on_with_gradients():
    layer = pruned(encoder_layer(dropout=0.0, batch_first=True))
    dense = copy.deepcopy(layer)
    x = torch.randn(2, 5, D)
    st.sparsify_(layer, example_inputs=x, **ALL)
    found = []
    for model in (layer, dense):
        model.train()
        given = x.clone().requires_grad_()
        model(given).square().sum().backward()
        found.append([given.grad, model.linear1.bias.grad, model.self_attn.in_proj_bias.grad,
                      model.norm1.weight.grad])  # fmt: skip
    torch.testing.assert_close(*found)
