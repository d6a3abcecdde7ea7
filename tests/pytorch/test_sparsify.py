"""`sparsify_` and `densify_`: the results of models, what is replaced, and what comes back."""

import copy
import math

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed.")
from torch import nn  # noqa: E402
from torch.nn.utils import prune  # noqa: E402
from torch_models import X, bits, copies_of, mlp, programs_of, pruned, same_bits  # noqa: E402

import spkernels.torch as st  # noqa: E402
from spkernels.torch import _followers, _trial, _whole  # noqa: E402
from spkernels.torch._measure import Times  # noqa: E402

#: Every module is replaced, as no test may depend on times.
ALL = {"min_speedup": 1e-9}


@pytest.mark.parametrize(
    "activation", [nn.ReLU, nn.GELU, nn.SiLU, nn.Tanh, nn.Sigmoid, nn.LeakyReLU, nn.Softplus]
)
def test_a_model_gives_what_it_gave(activation):
    model = mlp(activation)
    expected, before = model(X), bits(model)
    report = st.sparsify_(model, example_inputs=X, **ALL)
    assert [layer.replaced for layer in report.layers] == [True, True]
    assert isinstance(model[1], nn.Softplus if activation is nn.Softplus else nn.Identity)
    torch.testing.assert_close(model(X), expected)
    assert st.densify_(model) is model
    assert [type(layer) for layer in model] == [nn.Linear, activation, nn.Linear]
    assert same_bits(model, before)


def test_a_sparse_model_is_copied_saved_compiled_and_exported():
    model = mlp()
    expected, before = model(X), bits(model)
    st.sparsify_(model, example_inputs=X, **ALL)
    copies = copies_of(model)
    for made in [*copies, *programs_of(model, X)]:
        torch.testing.assert_close(made(X), expected)
    for made in copies:
        assert same_bits(st.densify_(made), before)


def test_a_state_dict_carries_the_weights_over():
    model, other = mlp(), mlp()
    expected = model(X)
    for layer in (other[0], other[2]):
        layer.weight.data *= 2
    for each in (model, other):
        st.sparsify_(each, example_inputs=X, **ALL)
        for _ in range(3):
            each(X)
    other.load_state_dict(model.state_dict())
    torch.testing.assert_close(other(X), expected)


def test_weights_with_a_mask_come_back_with_it():
    model = mlp()
    prune.random_unstructured(model[0], "weight", amount=0.5)
    expected, before = model(X), bits(model)
    report = st.sparsify_(model, example_inputs=X, **ALL)
    assert report.layers[0].replaced
    torch.testing.assert_close(model(X), expected)
    st.densify_(model)
    assert same_bits(model, before)
    assert prune.is_pruned(model[0])
    torch.testing.assert_close(model(X), expected)


def test_weights_that_are_sparse_tensors():
    for convert in ("to_sparse_csr", "to_sparse", "to_sparse_csc", "to_sparse_bsr"):
        model = mlp()
        expected = model(X)
        dense = model[0].weight.detach()
        blocks = [(2, 2)] if convert == "to_sparse_bsr" else []
        sparse = getattr(dense, convert)(*blocks)
        model[0].weight = nn.Parameter(sparse, requires_grad=False)
        report = st.sparsify_(model, example_inputs=X, **ALL)
        assert report.layers[0].replaced, report
        for made in copies_of(model):
            torch.testing.assert_close(made(X), expected)
            weight = st.densify_(made)[0].weight
            assert weight.layout is model[0].weight.layout
            assert torch.equal(weight.to_dense(), dense)


def test_what_stays_dense_says_why():
    tied = pruned(nn.Linear(20, 20))
    other = nn.Linear(20, 20)
    other.weight = tied.weight

    class Own(nn.Linear):
        def forward(self, x):
            return super().forward(x) + 1

    model = nn.Sequential(tied, other, pruned(nn.Linear(20, 20)), nn.Linear(20, 20), Own(20, 20))
    model.append(nn.utils.parametrizations.weight_norm(nn.Linear(20, 20)))
    model.append(nn.Unflatten(-1, (1, 20))).append(nn.ConvTranspose1d(1, 2, 1)).append(nn.Flatten())
    model.append(nn.LazyLinear(3))
    report = st.sparsify_(model, example_inputs=X, filter_fn=lambda m, name: name != "2", **ALL)
    reasons = [layer.reason for layer in report.layers]
    assert reasons[0] == "its weight is tied to that of 1"
    assert reasons[1] == "its weight is tied to that of 0"
    assert reasons[2] == "filter_fn"
    assert reasons[3].startswith("fewer than 30% of its weights are zero")
    assert "subclass of Linear" in reasons[4]
    assert reasons[5].startswith("it is parametrized")
    assert reasons[6] == "there is no sparse form of it"
    assert reasons[7].startswith("its weight has no shape yet")
    assert report.replaced == ()
    assert "stays dense: filter_fn" in str(report)


def test_a_module_at_two_places_is_replaced_at_both():
    shared = pruned(nn.Linear(20, 20))
    model = nn.Sequential(shared, nn.ReLU(), shared)
    expected = model(X)
    st.sparsify_(model, example_inputs=X, **ALL)
    assert model[0] is model[2] is not shared
    torch.testing.assert_close(model(X), expected)
    st.densify_(model)
    assert model[0] is model[2] is shared


def test_what_is_not_faster_stays_dense():
    model = mlp()
    before = copy.deepcopy(model)
    report = st.sparsify_(model, example_inputs=X, min_speedup=1e9)
    assert report.replaced == ()
    assert all("times as fast" in layer.reason for layer in report.layers)
    assert same_bits(model, bits(before))


def test_the_report_is_numbers_and_a_table():
    report = st.sparsify_(mlp(), example_inputs=[X, X[:1]], **ALL)
    facts = report.to_dict()
    assert [layer["name"] for layer in facts["layers"]] == ["0", "2"]
    first = report.layers[0]
    assert first.calls == 2 and first.shape == (30, 20) and first.input == (3, 20)
    assert first.sparsity == pytest.approx(0.8) and first.error < 1e-6
    assert 0 <= report.predicted and math.isfinite(report.speedup)
    assert "2 of 2 modules became sparse" in str(report)


@pytest.mark.parametrize("calm", [True, False])
def test_the_report_says_by_what_times_it_compares(monkeypatch, calm):
    def times_of(functions, modules, ready=False):
        dense = 10.0 if ready else 3.0
        return Times((dense, 1.0), (2 * dense, 4.0), calm)

    def parts(call, owners, *, wall, serial):
        assert sorted(owners.values()) == ["0", "0", "2"] and serial and wall is calm
        return {"0": Times((3.0,), (6.0,)), "2": Times((3.0,), (6.0,)), "": Times((4.0,), (9.0,))}

    for module in (_trial, _whole):
        monkeypatch.setattr(module, "times_of", times_of)
    monkeypatch.setattr(_whole, "profile", parts)
    report = st.sparsify_(mlp(), example_inputs=X)
    assert (report.dense, report.sparse) == ((10.0, 1.0) if calm else (20.0, 4.0))
    assert report.predicted == pytest.approx(10 - 2 * 2 if calm else 20 - 2 * 2)
    layer = report.layers[0]
    assert (layer.dense, layer.sparse) == ((3.0, 1.0) if calm else (6.0, 4.0))
    words = "measured" if calm else "by one thread, as other processes were running"
    assert layer.basis == report.basis == report.to_dict()["basis"] == words
    assert ("\n* by one thread" in str(report)) is not calm
    assert ("4e+03*     1.50x" in str(report)) is not calm


@pytest.mark.parametrize(("chained", "wins"), [(1.5, True), (2.95, False)])
def test_a_layer_that_is_slower_alone_is_tried_in_its_chain(monkeypatch, chained, wins):
    def alone(functions, modules):
        sparse = 1.0 if alone.calls == 0 else 2.2
        alone.calls += 1
        return Times((2.0, sparse), (4.0, sparse))

    def together(functions, modules):
        # What the layer before gives, and then the dense one; and both as a chain.
        assert {type(module).__name__ for module in modules} == {"SparseSequential", "SparseLinear"}
        apart, chain = (function() for function in functions)
        torch.testing.assert_close(apart, chain)
        return Times((3.0, chained), (5.0, chained))

    def whole(functions, modules, ready):
        return Times((2.0, 1.0), (2.0, 1.0))

    alone.calls = 0
    monkeypatch.setattr(_trial, "times_of", alone)
    monkeypatch.setattr(_followers, "times_of", together)
    monkeypatch.setattr(_whole, "times_of", whole)
    model = mlp()
    expected = model(X)
    report = st.sparsify_(model, example_inputs=X)
    assert [layer.replaced for layer in report.layers] == [True, wins]
    last = report.layers[1]
    assert (last.dense, last.sparse) == (2.0, pytest.approx(chained - 1.0))
    assert last.reason == ("" if wins else "1.03 times as fast")
    torch.testing.assert_close(model(X), expected)


@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize("how", ["forward", "hook", "pre-hook", "global hook"])
def test_code_around_a_module_is_called(how, place):
    model = mlp()
    st.sparsify_(model, example_inputs=X, **ALL)
    called = []

    def note(module, *_):
        if module is model[place]:
            called.append(module)

    with torch.no_grad():
        for _ in range(3):
            expected = model(X)
        if how == "forward":
            forward = model[place].forward
            model[place].forward = lambda x: (called.append(1), forward(x))[1]
        elif how == "hook":
            model[place].register_forward_hook(note)
        elif how == "pre-hook":
            model[place].register_forward_pre_hook(note)
        else:
            handle = nn.modules.module.register_module_forward_hook(note)
        try:
            torch.testing.assert_close(model(X), expected)
        finally:
            if how == "global hook":
                handle.remove()
    assert len(called) == 1


@pytest.mark.parametrize("integer", [int, np.int64])
def test_batch_sizes_stand_for_inputs(integer):
    report = st.sparsify_(mlp(), example_inputs=[integer(1), integer(16)], **ALL)
    assert [layer.input for layer in report.layers] == [(1, 20), (1, 30)]
    assert all(layer.calls == 2 for layer in report.layers)
    assert math.isnan(report.dense)
    assert report.notes[0].startswith("the model was not called")


def test_what_a_batch_size_means_to_each_kind_of_module():
    model = nn.ModuleList([
        nn.Linear(16, 8), nn.MultiheadAttention(16, 2), nn.GRU(16, 4), nn.LSTMCell(16, 4),
        nn.Conv1d(16, 4, 3),
    ])  # fmt: skip
    for weight in model.parameters():
        weight.data[..., 1::2] = 0.0
    report = st.sparsify_(model, example_inputs=5, **ALL)
    assert [layer.input for layer in report.layers] == [
        (5, 16), (5, 1, 16), (32, 5, 16), (5, 16), (),
    ]  # fmt: skip
    assert [layer.reason for layer in report.layers if not layer.replaced] == [
        "a batch size does not tell the shape of its input"
    ]


def test_modes_and_random_numbers_stay_as_they_were():
    model = mlp()
    model.append(nn.Dropout()).append(nn.BatchNorm1d(7))
    model.train()
    mean, state = model[4].running_mean.clone(), torch.get_rng_state()
    report = st.sparsify_(model, example_inputs=X, **ALL)
    assert all(module.training for module in model.modules())
    assert torch.equal(model[4].running_mean, mean)
    assert torch.equal(torch.get_rng_state(), state)
    assert any("training mode" in note for note in report.notes)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"example_inputs": "x"}, "example_inputs must be a tensor"),
        ({"example_inputs": []}, "example_inputs must hold at least one"),
        ({"example_inputs": 0}, "example_inputs must be positive batch sizes, got 0"),
        ({"example_inputs": [1, X]}, "example_inputs must be inputs or batch sizes, .* of both"),
        ({"min_speedup": 0}, "min_speedup must be a positive number, got 0"),
        ({"dtype": "int3"}, "dtype must be"),
        ({"workers": 0}, "workers must be None or at least 1, got 0"),
        ({"workers": True}, "workers must be None or at least 1, got True"),
        ({"filter_fn": "0"}, "filter_fn must be None or callable, got str"),
        ({"pattern": "16y1"}, "pattern must be"),
    ],
)
def test_bad_arguments(change, words):
    with pytest.raises((TypeError, ValueError), match=words):
        st.sparsify_(mlp(), **{"example_inputs": X, **change})


def test_gradients_reach_the_input_and_the_bias():
    model = mlp()
    x = X.clone().requires_grad_()
    model(x).sum().backward()
    expected, by_bias = x.grad, model[0].bias.grad
    x.grad = model[0].bias.grad = None
    st.sparsify_(model, example_inputs=X, **ALL)
    model(x).sum().backward()
    torch.testing.assert_close(x.grad, expected)
    torch.testing.assert_close(model[0].bias.grad, by_bias)


def test_in_inference_mode_weights_are_packed_all_the_same():
    model = mlp()
    expected = model(X)
    with torch.inference_mode():
        st.sparsify_(model, example_inputs=X, **ALL)
        copied = copy.deepcopy(model)
        for made in (model, copied):
            for _ in range(3):
                torch.testing.assert_close(made(X), expected)
            assert made[0].packed() is not None
        copied[0].values.mul_(0)
        torch.testing.assert_close(copied[0](X), copied[0].bias.relu().expand(3, -1))


def test_layers_of_a_sequential_pass_arrays_on():
    for make in (mlp, lambda: mlp(nn.Tanh), lambda: mlp(nn.Softplus)):
        model = make()
        report = st.sparsify_(model, example_inputs=X, **ALL)
        assert len(report.replaced) == 2
        dense = st.densify_(copy.deepcopy(model))
        assert type(model) is not nn.Sequential and type(dense) is nn.Sequential
        with torch.no_grad():
            for x in (X, X[0], X[:0], X.reshape(3, 1, 20), X.T.contiguous().T, X.expand(2, 3, 20)):
                for _ in range(4):
                    found, expected = model(x), dense(x)
                    torch.testing.assert_close(found, expected)
                    assert found.stride() == expected.stride() or found.numel() < 2
            with pytest.raises(ValueError, match=r"x must have shape \(..., 20\)"):
                model(X[:, :5])
            seen = []
            model[0].register_forward_hook(lambda *call, seen=seen: seen.append(call))
            torch.testing.assert_close(model(X), dense(X))
            assert len(seen) == 1


def test_a_sequential_sees_new_values_and_new_modules():
    model = mlp()
    st.sparsify_(model, example_inputs=X, **ALL)
    with torch.no_grad():
        for _ in range(3):
            model(X)
        model[2].values.mul_(3)
        model[0].bias.data = torch.ones(30)
        dense = st.densify_(copy.deepcopy(model))
        torch.testing.assert_close(model(X), dense(X))
        model[2] = nn.Identity()
        torch.testing.assert_close(model(X), dense[1](dense[0](X)))


def parametrize(layer, name):
    nn.utils.parametrize.register_parametrization(layer, name, nn.Tanh())


@pytest.mark.parametrize(
    "change",
    [
        lambda model: model[0].values.neg_(),
        lambda model: model[2].columns.add_(1),
        lambda model: model[2].bias.add_(1),
        lambda model: setattr(model[2], "bias", nn.Parameter(torch.ones(7))),
        lambda model: setattr(model[2], "bias", None),
        lambda model: parametrize(model[0], "bias"),
        lambda model: setattr(model[0], "activation", "tanh"),
        lambda model: setattr(model[2], "workers", 1),
        lambda model: model.__setitem__(1, nn.Tanh()),
        lambda model: model.append(nn.Softplus()),
        lambda model: model.double(),
    ],
)
def test_a_sequential_sees_each_change(change):
    model = mlp()
    st.sparsify_(model, example_inputs=X, **ALL)
    model[2] = st.SparseLinear(30, 7, mask=torch.arange(30).expand(7, 30) < 9).eval()
    with torch.no_grad():
        for _ in range(3):
            before = model(X)
        assert len(model[0]._run) == 3
        change(model)
        x = X.to(model[0].values.dtype)
        found, expected = model(x), nn.Sequential.forward(model, x)
        torch.testing.assert_close(found, expected)
        if model[-1].__dict__.get("workers") is None:  # the only change that leaves the result
            assert not torch.equal(found, before)


def test_a_second_call_goes_on_where_the_first_one_ended():
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)
    model = nn.Sequential(layer, nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 16)).eval()
    for parameter in model.parameters():
        if parameter.dim() == 2:
            parameter.data[torch.rand(parameter.shape) < 0.8] = 0
    x = torch.randn(2, 3, 16)
    expected, before = model(x), bits(model)
    settings = layer.activation, layer.activation_relu_or_gelu
    for names in (("0.linear1", "1"), ("0.linear2", "3")):
        st.sparsify_(model, example_inputs=x, filter_fn=lambda m, n, names=names: n in names, **ALL)
        torch.testing.assert_close(model(x), expected)
    unchanged = st.sparsify_(model, example_inputs=x, min_speedup=1e9)
    assert unchanged.notes == ("4 modules of the model became sparse before",)
    assert unchanged.replaced == () and type(model) is not nn.Sequential
    assert st.densify_(model) is model and type(model) is nn.Sequential
    assert (layer.activation, layer.activation_relu_or_gelu) == settings
    assert same_bits(model, before)
    torch.testing.assert_close(model(x), expected)


def test_a_model_that_fails_on_the_way_is_as_it_was():
    class Fails(nn.Module):
        def __init__(self, good):
            super().__init__()
            self.good = good

        def forward(self, x):
            if self.good == 0:
                raise RuntimeError("it fails")
            self.good -= 1
            return x

    for good in (0, 2, 4):
        model = mlp().append(Fails(good))
        before, kinds = bits(model), [type(module) for module in model.modules()]
        with pytest.raises(RuntimeError, match="it fails"):
            st.sparsify_(model, example_inputs=X, **ALL)
        assert [type(module) for module in model.modules()] == kinds
        assert same_bits(model, before)


def test_an_activation_stays_where_other_code_reads_the_layer():
    class Reads(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = mlp()

        def forward(self, x):
            before = self.net[0](x)
            return self.net[2](self.net[1](before)) + before.sum()

    model = Reads().eval()
    expected = model(X)
    report = st.sparsify_(model, example_inputs=X, **ALL)
    assert len(report.replaced) == 2 and type(model.net[1]) is nn.ReLU
    torch.testing.assert_close(model(X), expected)
