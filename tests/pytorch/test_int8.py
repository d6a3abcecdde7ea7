"""Layers of int8: the operator against exact integer sums, and `sparsify_` with dtype "int8"."""

import copy

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed.")
from torch import nn  # noqa: E402
from torch_models import X, bits, mlp, pruned, same_bits  # noqa: E402

import spkernels.torch as st  # noqa: E402
from spkernels.torch import _trial, _whole  # noqa: E402
from spkernels.torch._measure import Times  # noqa: E402
from spkernels.torch._modules import linear_int8  # noqa: E402

ALL = {"min_speedup": 1e-9, "dtype": "int8"}


@pytest.fixture
def bytes_win(monkeypatch):
    """Let every later form of a module be faster than those before it."""

    def times(functions, modules, **options):
        for function in functions:
            for _ in range(3):
                function()
        seconds = tuple(1.0 / (1 + place) for place in range(len(functions)))
        return Times(seconds, seconds)

    for module in (_trial, _whole):
        monkeypatch.setattr(module, "times_of", times)


def expected_of(layer, x):
    """Return what the layer must give: exact sums of rounded inputs and weights, in float64."""
    rounded = torch.round(x / torch.full_like(x, layer.scale)).double() + layer.zero_point
    inputs = (rounded.clamp(0, 255) - layer.zero_point) * layer.scale
    rows = torch.repeat_interleave(torch.arange(layer.out_features), layer.offsets.diff())
    weight = torch.zeros(layer.out_features, layer.in_features, dtype=torch.float64)
    weight[rows, layer.columns.long()] = layer.values.double() * layer.scales[rows].double()
    return inputs @ weight.T + layer.bias.double()


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
    assert "int8 is for linear layers: 1 other module in floats" in report.notes


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
