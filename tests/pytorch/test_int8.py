"""Layers of int8: the operator against exact integer sums, and `sparsify_` with dtype "int8"."""

import copy

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed.")
from torch import nn  # noqa: E402
from torch_models import X, bits, mlp, pruned, same_bits  # noqa: E402

import spkernels.torch as st  # noqa: E402
from spkernels.torch import _trial, _whole  # noqa: E402
from spkernels.torch._measure import Times  # noqa: E402
from spkernels.torch._modules import attention, linear_int8  # noqa: E402

ALL = {"min_speedup": 1e-9, "dtype": "int8"}


@pytest.fixture
def bytes_win(monkeypatch):
    """Let every later form of a module be faster than those before it."""
    win(monkeypatch, lambda functions: len(functions))


def win(monkeypatch, place_of):
    """Let the form at ``place_of(functions)`` be the fastest, and those before it slower each."""

    def times(functions, modules, **options):
        for function in functions:
            for _ in range(3):
                function()
        best = place_of(functions)
        seconds = tuple(1.0 / (1 + place) if place <= best else 2.0
                        for place in range(len(functions)))  # fmt: skip
        return Times(seconds, seconds)

    for module in (_trial, _whole, attention):
        monkeypatch.setattr(module, "times_of", times)


def expected_of(layer, x, bias=None):
    """Return what the layer must give: exact sums of rounded inputs and weights, in float64."""
    rounded = torch.round(x / torch.full_like(x, layer.scale)).double() + layer.zero_point
    inputs = (rounded.clamp(0, 255) - layer.zero_point) * layer.scale
    rows = torch.repeat_interleave(torch.arange(layer.out_features), layer.offsets.diff())
    weight = torch.zeros(layer.out_features, layer.in_features, dtype=torch.float64)
    weight[rows, layer.columns.long()] = layer.values.double() * layer.scales[rows].double()
    assert torch.equal(layer.weight.double(), weight.float().double())
    bias = layer.bias if bias is None else bias
    return inputs @ weight.T + (0 if bias is None else bias.double())


def test_a_model_of_bytes(bytes_win):
    model = mlp(nn.Softplus)
    expected, before = model(X), bits(model)
    report = st.sparsify_(model, example_inputs=X, **ALL)
    assert [type(model[place]) for place in (0, 2)] == [st.SparseInt8Linear] * 2
    hidden = X
    for layer in model:
        if isinstance(layer, st.SparseInt8Linear):
            assert (layer(hidden).double() - expected_of(layer, hidden)).abs().max() < 1e-5
        hidden = layer(hidden)
    assert 1e-4 < report.error < 0.05  # it is rounded, and not by much
    assert all(1e-4 < layer.error < 0.05 for layer in report.layers)
    assert (model(X) - expected).abs().max() <= 1.01 * report.error * expected.abs().max()
    again = copy.deepcopy(model)
    assert torch.equal(again(X), model(X))
    for made in (again, model):
        assert same_bits(st.densify_(made), before)


def test_activations_are_fused(bytes_win):
    model = mlp(nn.ReLU)
    expected = model(X)
    st.sparsify_(model, example_inputs=X, **ALL)
    assert isinstance(model[1], nn.Identity)
    assert model[0](X).min() == 0
    assert (model(X) - expected).abs().max() < 0.05 * expected.abs().max()


def test_ranges_are_those_of_all_examples(bytes_win):
    model = mlp()
    st.sparsify_(model, example_inputs=[X, 3 * X, X[:1]], **ALL)
    assert model[0].scale == pytest.approx(12 / 255)
    assert model[0](torch.full((1, 20), 1e9)).isfinite().all()  # beyond the range: the last byte


def test_the_operator_can_be_compiled_and_exported(bytes_win):
    model = mlp()
    st.sparsify_(model, example_inputs=X, **ALL)
    layer = model[0]
    args = (X, layer.values, layer.columns, layer.offsets, layer.scales, 20, layer.scale,
            layer.zero_point, layer.bias.detach())  # fmt: skip
    torch.library.opcheck(torch.ops.spkernels.linear_int8.default, args)
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
    with torch.no_grad():
        assert torch.equal(compiled(X), model(X))
    assert torch.equal(torch.export.export(model, (X,)).module()(X), model(X))


def test_a_gradient_is_an_error(bytes_win):
    model = mlp()
    st.sparsify_(model, example_inputs=X, **ALL)
    with pytest.raises(NotImplementedError, match="linear_int8 has no gradient"):
        model(X.clone().requires_grad_()).sum().backward()


def test_without_inputs_there_is_no_range():
    with pytest.raises(ValueError, match="example_inputs must be inputs for dtype 'int8'"):
        st.sparsify_(mlp(), example_inputs=4, dtype="int8")


def test_weights_that_int8_cannot_hold_stay_floats(bytes_win):
    model = mlp()
    model[0].weight.data[0, 0] = float("inf")
    report = st.sparsify_(model, example_inputs=X.abs() + 1, **ALL)
    assert type(model[0]) is st.SparseLinear and type(model[2]) is not st.SparseInt8Linear
    assert any("0 has no int8" in note for note in report.notes)


def test_the_report_counts_sparse_modules_that_have_no_int8(bytes_win):
    layers = pruned(nn.Linear(20, 30)), nn.Unflatten(1, (3, 10)), pruned(nn.Conv1d(3, 4, 3))
    report = st.sparsify_(nn.Sequential(*layers).eval(), example_inputs=torch.randn(4, 20), **ALL)
    assert [layer.replaced for layer in report.layers] == [True, True]
    assert "int8 is for linear layers and attention: 1 other module in floats" in report.notes


def test_floats_stay_where_bytes_are_slower(monkeypatch):
    def times(functions, modules, **options):
        seconds = (3.0, 1.0, 2.0)[: len(functions)]
        return Times(seconds, seconds)

    for module in (_trial, _whole):
        monkeypatch.setattr(module, "times_of", times)
    model = mlp()
    st.sparsify_(model, example_inputs=X, **ALL)
    assert type(model[0]) is st.SparseLinear


def one_of_bytes():
    model = mlp(nn.Softplus)
    st.sparsify_(model, example_inputs=X, **ALL)
    layer = model[0]
    with torch.no_grad():
        layer(X)
    return layer


def test_a_call_that_repeats_checks_nothing_again(bytes_win, monkeypatch):
    layer = one_of_bytes()
    with torch.no_grad():
        expected = layer(X)
        monkeypatch.setattr(linear_int8, "linear_int8_now", None)  # what checks
        assert torch.equal(layer(X), expected)


@pytest.mark.parametrize("name", ["values", "scales", "bias"])
def test_a_change_in_place_is_noticed(bytes_win, name):
    layer = one_of_bytes()
    with torch.no_grad():
        getattr(layer, name).mul_(-1)
        assert (layer(X).double() - expected_of(layer, X)).abs().max() < 1e-5


def test_new_scales_are_noticed(bytes_win):
    layer = one_of_bytes()
    with torch.no_grad():
        layer.scales = layer.scales * 2
        assert (layer(X).double() - expected_of(layer, X)).abs().max() < 1e-5


def test_wrong_inputs_are_errors_after_a_right_one(bytes_win):
    layer = one_of_bytes()
    with torch.no_grad():
        with pytest.raises(ValueError, match=r"x must have shape \(..., 20\)"):
            layer(X[:, :-1])
        with pytest.raises(TypeError, match="x must be float32, float16 or bfloat16"):
            layer(X.double())


class Attends(nn.Module):
    """Calls its attention, as `sparsify_` needs a parent."""

    def __init__(self, **options):
        super().__init__()
        torch.manual_seed(4)
        made = nn.MultiheadAttention(16, 2, **options)
        for owner, name in ((made, "in_proj_weight"), (made, "q_proj_weight"),
                            (made, "k_proj_weight"), (made, "v_proj_weight"),
                            (made.out_proj, "weight")):  # fmt: skip
            weight = getattr(owner, name)
            if weight is not None:
                weight.data[torch.rand(weight.shape) < 0.7] = 0
        for bias in (made.in_proj_bias, made.out_proj.bias):
            if bias is not None:
                nn.init.normal_(bias)
        self.attention = made.eval()

    def forward(self, *args, **kwargs):
        return self.attention(*args, **kwargs)


def sequences(*widths):
    torch.manual_seed(7)
    return [torch.randn(5, 3, width) * (1 + place) for place, width in enumerate(widths)]


CALLS = {
    "of itself": ({}, lambda: 3 * sequences(16)),
    "of a memory": ({}, lambda: [sequences(16)[0], *2 * sequences(16, 16)[1:]]),
    "of three": ({}, lambda: sequences(16, 16, 16)),
    "of other widths": ({"kdim": 12, "vdim": 20}, lambda: sequences(16, 12, 20)),
    "without biases": ({"bias": False}, lambda: 3 * sequences(16)),
}


@pytest.mark.parametrize("which", CALLS)
def test_projections_of_attention(bytes_win, which):
    options, made = CALLS[which]
    model, sources = Attends(**options).eval(), made()
    before = bits(model)
    sources_64 = dict(zip(map(id, sources), (x.double() for x in sources), strict=False))
    with torch.no_grad():
        floats = copy.deepcopy(model).double()(*(sources_64[id(x)] for x in sources))
        dense = model.attention
        report = st.sparsify_(model, example_inputs=tuple(sources), **ALL)
        sparse = model.attention
        layers = [*sparse.inputs, sparse.out_proj]
        assert {type(layer) for layer in layers} == {st.SparseInt8Linear}
        found, weights = model(*sources)
        assert 1e-4 < report.error < 0.1
        assert (found - floats[0]).abs().max() <= 1.01 * report.error * floats[0].abs().max()
        assert (weights - floats[1]).abs().max() <= 1.01 * report.error * floats[1].abs().max()
        # Each projection has the range of what it multiplies.
        first, bias = 0, dense.in_proj_bias
        for layer, count in zip(sparse.inputs, sparse.counts, strict=True):
            mine = sources[first : first + count]
            low, high = min(x.min() for x in mine), max(x.max() for x in mine)
            assert layer.scale == pytest.approx((high - low).item() / 255)
            added = None if bias is None else bias[16 * first : 16 * (first + count)]
            for x in mine:
                close = layer.product(x, added).double() - expected_of(layer, x, added)
                assert close.abs().max() < 1e-5
            first += count
        attended, _ = sparse.attend(*sources)
        width = (attended.max() - attended.min()).item() / 255
        assert sparse.out_proj.scale == pytest.approx(width, rel=0.05)
        torch.testing.assert_close(found, sparse.out_proj(attended))
    again = copy.deepcopy(model)
    for made in (again, model):
        assert same_bits(st.densify_(made), before)


def test_ranges_of_attention_are_those_of_all_examples(bytes_win):
    model, (x,) = Attends().eval(), sequences(16)
    x /= x.abs().max()
    st.sparsify_(model, example_inputs=[(x, x, x), (9 * x, x, x), (x, x, -9 * x)], **ALL)
    bound = 9 * (x.max() - x.min()).item() / 255
    both = (max(x.max(), -9 * x.min()) - min(x.min(), -9 * x.max())).item() / 255
    scales = [layer.scale for layer in model.attention.inputs]
    assert scales == pytest.approx([bound, bound / 9, both])


def test_each_projection_has_the_form_that_is_fastest(monkeypatch):
    model, (x,) = Attends().eval(), sequences(16)

    def place_of(functions):
        function = getattr(functions[0], "func", None)
        return 1 if getattr(function, "__name__", "") == "project" else 2

    win(monkeypatch, place_of)
    with torch.no_grad():
        expected = model(x, x, x)[0]
        report = st.sparsify_(model, example_inputs=(x, x, x), **ALL)
        kinds = [type(layer) for layer in (*model.attention.inputs, model.attention.out_proj)]
        assert kinds == [st.SparseLinear, st.SparseInt8Linear]
        assert (model(x, x, x)[0] - expected).abs().max() < 0.05 * expected.abs().max()
    assert " / " in report.layers[0].kernel


def test_attention_of_bytes_is_compiled_and_exported(bytes_win):
    layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True).eval()
    for parameter in layer.parameters():
        if parameter.dim() == 2:
            parameter.data[torch.rand(parameter.shape) < 0.7] = 0
    (x,) = sequences(16)
    with torch.no_grad():
        expected = layer(x)
        report = st.sparsify_(layer, example_inputs=x, **ALL)
        assert all(one.replaced for one in report.layers) and not report.notes
        assert type(layer.self_attn.out_proj) is st.SparseInt8Linear
        found = layer(x)
        assert (found - expected).abs().max() < 0.05 * expected.abs().max()
        compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
        torch.testing.assert_close(compiled(x), found)
        torch.testing.assert_close(torch.export.export(layer, (x,)).module()(x), found)
        torch.testing.assert_close(copy.deepcopy(layer)(x), found)


def test_attention_that_int8_cannot_hold_stays_in_floats(bytes_win):
    model, (x,) = Attends().double().eval(), sequences(16)
    x = x.double()
    report = st.sparsify_(model, example_inputs=(x, x, x), **ALL)
    assert type(model.attention.out_proj) is st.SparseLinear
    assert "attention has no int8: in_proj_bias must be float32, got torch.float64" in report.notes
