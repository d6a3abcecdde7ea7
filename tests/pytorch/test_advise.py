"""`advise`: random weights with a pattern, predictions from given times, models as they were."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

torch = pytest.importorskip("torch", reason="torch is not installed.")
from torch import nn  # noqa: E402
from torch_models import X, mlp  # noqa: E402

from spkernels.torch import _advise, _profile, advise, sparsify_  # noqa: E402  # noqa: E402
from spkernels.torch._draw import Pattern, outline_of  # noqa: E402
from spkernels.torch._exported import module_of  # noqa: E402
from spkernels.torch._measure import Times  # noqa: E402
from spkernels.torch._profile import REST, profile, shares_of  # noqa: E402
from spkernels.torch._weights import dense_of  # noqa: E402

ADVICE = {"sparsities": (0.5, 0.9), "patterns": ("unstructured", "2:4")}


@st.composite
def drawn(draw, patterns):
    shape = draw(st.lists(st.integers(1, 20), min_size=2, max_size=3))
    dtype = draw(st.sampled_from([torch.float32, torch.float64, torch.float16, torch.bfloat16]))
    outline = outline_of(torch.zeros(shape, dtype=dtype))
    pattern = Pattern.of(draw(st.sampled_from(patterns)))
    sparsity = draw(st.floats(0.01, 0.99))
    weight = pattern.draw(outline, sparsity, np.random.default_rng(draw(st.integers(0, 99))))
    assert weight.values.dtype is dtype and weight.shape == tuple(shape)
    assert weight.columns.dtype is weight.offsets.dtype is torch.int32
    for start, stop in zip(weight.offsets[:-1], weight.offsets[1:], strict=True):
        assert (weight.columns[start:stop].diff() > 0).all()
    dense = dense_of(weight)
    assert dense.shape == tuple(shape)
    return pattern, sparsity, dense.flatten(1) != 0


@given(drawn(["unstructured"]))
def test_unstructured_weights_have_the_sparsity(weight):
    _, sparsity, mask = weight
    assert abs(mask.sum() - (1 - sparsity) * mask.numel()) <= 1


@given(drawn(["16x1", "4x4", "2x3", "1x8"]))
def test_blocks_are_whole(weight):
    pattern, sparsity, mask = weight
    height, width = pattern.block
    kept = blocks = 0
    for row in range(0, mask.shape[0], height):
        for col in range(0, mask.shape[1], width):
            block = mask[row : row + height, col : col + width]
            assert block.all() or not block.any()
            kept, blocks = kept + bool(block.any()), blocks + 1
    assert abs(kept - (1 - sparsity) * blocks) <= 1


@given(drawn(["2:4", "1:4", "4:8"]))
def test_groups_keep_their_number(weight):
    pattern, _, mask = weight
    kept, group = pattern.group
    assert pattern.sparsities((0.1, 0.9)) == (1 - kept / group,)
    for start in range(0, mask.shape[1], group):
        part = mask[:, start : start + group]
        assert (part.sum(1) == min(kept, part.shape[1])).all()


@pytest.fixture
def times(monkeypatch):
    """Give layers and their sparse forms times: a list of seconds for each measured layer."""
    given = {"whole": 10.0, "parts": {"0": 6.0, "2": 3.0, REST: 1.0}, "left": [], "calm": True}
    taken = []

    def times_of(functions, modules=(), *, ready=False):
        for function in functions:
            function()
        if len(functions) == 1:
            return Times((given["whole"],), (2 * given["whole"],), given["calm"])
        left = given["left"][len(taken) % len(given["left"])]
        taken.append(len(functions) - 1)
        seconds = (1.0, *left)[: len(functions)]
        return Times(seconds, seconds, given["calm"])

    def parts(call, owners, *, serial):
        found = {name: Times((t,), (2 * t,)) for name, t in given["parts"].items()}
        assert set(owners.values()) == found.keys() - {REST}
        return found

    monkeypatch.setattr(_advise, "times_of", times_of)
    monkeypatch.setattr(_advise, "profile", parts)
    given["taken"] = taken
    return given


@pytest.mark.parametrize("calm", [True, False])
def test_predictions_subtract_what_layers_save(times, calm):
    times["calm"] = calm
    # Of each layer, unstructured at 50% and 90%, then 2:4.
    times["left"] = [[1.2, 0.25], [0.5], [0.99, 0.5], [2.0]]
    advice = advise(mlp(), X, **ADVICE)
    scale = 1 if calm else 2
    assert times["taken"] == [2, 1, 2, 1]
    assert advice.dense == 10 * scale
    assert advice.rest == pytest.approx(0.1) and advice.limit == pytest.approx(10)
    first, second = advice.layers
    assert (first.name, first.kind, first.shape, first.input) == ("0", "Linear", (30, 20), (3, 20))
    assert first.calls == 1 and first.share == pytest.approx(0.6)
    assert first.dense == pytest.approx(6 * scale)
    assert first.speedups == {"unstructured": {0.5: 1 / 1.2, 0.9: 4.0}, "2:4": {0.5: 2.0}}
    assert first.pays_from("unstructured") == 0.9 and first.pays_from("2:4") == 0.5
    assert second.pays_from("2:4") is None and second.pays_from("16x1") is None
    found = [(each.pattern, each.sparsity, each.sparse) for each in advice.outcomes]
    assert found == [
        ("unstructured", 0.5, ()), ("unstructured", 0.9, ("0", "2")), ("2:4", 0.5, ("0",)),
    ]  # fmt: skip
    expected = [10, 6 * 0.25 + 3 * 0.5 + 1, 6 * 0.5 + 3 + 1]
    assert [each.seconds for each in advice.outcomes] == pytest.approx(
        [scale * seconds for seconds in expected]
    )
    best = advice.outcomes[1]
    assert advice.best is best and best.speedup == pytest.approx(2.5)
    assert best.shares == pytest.approx({"0": 0.375, "2": 0.375})
    assert advice.advice == (
        "Pruning pays at 50% zeros with 2:4 and from 90% zeros on with unstructured. The model "
        "becomes at most 2.5 times as fast, with unstructured at 90% zeros. Prune 0 and 2: this "
        "saves 100% of what can be saved."
    )
    star = "" if calm else "*"
    text = str(advice)
    assert f"{4 * scale}e+03{star}     2.50x         2 of 2" in text
    assert ("by one thread, as other processes were running" in text) is not calm


def test_the_rest_and_what_does_not_pay_are_named(times):
    times["parts"] = {"0": 5.0, "2": 0.5, REST: 4.5}
    times["left"] = [[0.5, 0.1], [0.5], [1.0, 1.0], [1.0]]
    advice = advise(mlp(), X, **ADVICE)
    assert advice.advice.endswith(
        "Prune 0: this saves 100% of what can be saved. The rest of the model takes 45% of the "
        "dense time, which limits any speed-up to 2.2."
    )
    times["left"] = [[1.0, 1.0]]
    assert advise(mlp(), X, **ADVICE).advice == (
        "Pruning would not make this model faster: the layers that can be pruned take 55% of the "
        "time, and the largest speed-up is 1.00."
    )


def test_layers_that_are_alike_are_measured_once(times):
    layers = [nn.Linear(20, 20) for _ in range(6)]
    model = nn.Sequential(
        *layers[:2], nn.ReLU(), layers[2], nn.ReLU(), layers[3], layers[4], layers[4], layers[5]
    )
    model[-1].bias = None
    times["parts"] = dict.fromkeys(["0", "1", "3", "5", "6", "8", REST], 1.0)
    times["left"] = [[0.5, 0.1], [0.5]]
    advice = advise(model, X, **ADVICE)
    # With an activation and without, without a bias, and called twice.
    assert [layer.like for layer in advice.layers] == ["0", "1", "1", "0", "6", "8"]
    assert times["taken"] == [2, 1] * 3
    assert advice.layers[4].calls == 2
    assert "Prune 0 (and 1 like it), 1 (and 1 like it), 6 and 8: this" in advice.advice
    assert "1 (x2)  Linear  20x20" in str(advice)


def test_what_cannot_be_pruned_says_why(times):
    model = mlp()
    model.append(nn.Bilinear(2, 2, 2))
    model.forward = lambda x: model[0](x)
    model[2].weight = nn.Parameter(model[2].weight)
    times["parts"] = {"0": 1.0, "2": 0.0, REST: 1.0}
    times["left"] = [[0.5, 0.1], [0.5]]
    advice = advise(model, X, **ADVICE)
    assert [layer.reason for layer in advice.layers] == [
        "", "the example inputs do not reach it", "a bilinear layer has no sparse kernel",
    ]  # fmt: skip
    assert "not measured: 1 layer of Bilinear: a bilinear layer has no sparse kernel" in str(advice)
    del times["parts"]["2"]
    advice = advise(model, X, **ADVICE, filter_fn=lambda module, name: name == "0")
    assert advice.layers[1].reason == "filter_fn"


def test_a_model_without_layers_gets_an_advice():
    advice = advise(nn.Sequential(nn.ReLU()), X, **ADVICE)
    assert advice.layers == advice.outcomes == () and advice.best is None
    assert str(advice).endswith("There is no layer that could be pruned.")
    assert advice.plot() is not None


def test_the_model_stays_as_it_is():
    model = mlp().append(nn.Dropout()).append(nn.BatchNorm1d(7)).train()
    model[0].eval()
    before = bits_of(model), [module.training for module in model.modules()]
    state = torch.get_rng_state()
    steps = []
    advice = advise(model, X, **ADVICE, workers=1, progress=steps.append)
    assert steps == ["the whole model", "0", "2"]
    assert torch.equal(torch.get_rng_state(), state)
    assert [module.training for module in model.modules()] == before[1]
    assert all(torch.equal(*pair) for pair in zip(bits_of(model), before[0], strict=True))
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
    assert advice.dense > 0 and len(advice.outcomes) == 3
    assert all(layer.basis for layer in advice.layers)


def bits_of(model):
    return [value.clone() for value in model.state_dict().values()]


def test_models_that_are_pruned_or_sparse_already():
    model = mlp()
    model[2].weight = nn.Parameter(model[2].weight.detach().to_sparse(), requires_grad=False)
    advice = advise(model, X, **ADVICE)
    assert len(advice.measured) == 2
    assert model[2].weight.layout is torch.sparse_coo
    sparsify_(model, example_inputs=X, min_speedup=1e-9)
    assert advise(model, X, **ADVICE).layers == ()


def test_advice_is_numbers_for_json(times):
    times["left"] = [[0.5, 0.25], [0.5]]
    model = mlp()
    model.append(nn.Bilinear(2, 2, 2))
    model.forward = lambda x: model[2](model[1](model[0](x)))
    facts = json.loads(json.dumps(advise(model, X, **ADVICE).to_dict(), allow_nan=False))
    assert facts["dense"] == 10 and facts["basis"] == "measured"
    assert facts["layers"][0]["speedups"][1] == {
        "pattern": "unstructured", "sparsity": 0.9, "speedup": 4.0,
    }  # fmt: skip
    assert facts["layers"][2]["dense"] is None
    assert facts["outcomes"][1]["sparse"] == ["0", "2"]
    assert facts["outcomes"][1]["speedup"] == pytest.approx(10 / 3.25)
    assert facts["advice"].startswith("Pruning pays")


def test_the_plot_has_a_line_for_each_pattern(times):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed.")
    times["left"] = [[0.5, 0.1], [0.5]]
    axes = advise(mlp(), X, **ADVICE).plot()
    lines = {line.get_label(): line for line in axes.get_lines()}
    assert list(lines["unstructured"].get_xdata()) == [50, 90]
    assert lines["unstructured"].get_ydata()[1] == pytest.approx(10 / 1.9)
    assert list(lines["2:4"].get_xdata()) == [50]
    assert lines["if these layers took no time"].get_ydata()[0] == pytest.approx(10)
    assert axes.get_title("left") == f"dense: 1e+04 ms, {torch.get_num_threads()} threads"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"model": 1}, "model must be a torch.nn.Module, .* got int"),
        ({"example_inputs": 3}, "example_inputs must be a tensor"),
        ({"sparsities": ()}, "sparsities must be shares above 0 and below 1"),
        ({"sparsities": 0.5}, "sparsities must be shares above 0 and below 1, got 0.5"),
        ({"sparsities": [0.5, 1]}, "sparsities must be shares above 0 and below 1"),
        ({"patterns": "16x1"}, "patterns must be a sequence"),
        ({"patterns": []}, "patterns must be a sequence of at least one"),
        ({"patterns": ["16x"]}, "patterns must be 'unstructured', .* got '16x'"),
        ({"patterns": [16]}, "patterns must be 'unstructured', .* got 16"),
        ({"patterns": ["4:4"]}, "patterns must keep fewer weights .* got '4:4'"),
        ({"patterns": 16}, "patterns must be a sequence of at least one pattern, got 16"),
        ({"workers": 0}, "workers must be None or at least 1, got 0"),
        ({"filter_fn": 1}, "filter_fn must be None or callable, got int"),
        ({"progress": 1}, "progress must be None or callable, got int"),
    ],
)
def test_bad_arguments(change, words):
    with pytest.raises((TypeError, ValueError), match=words):
        advise(**{"model": mlp(), "example_inputs": X, **change})


def test_a_profile_has_the_shortest_times_of_the_parts(monkeypatch):
    class Clock:
        now = used = 0.0

        def wall(self):
            return self.now

        def cpu(self):
            return self.used

    class Part(nn.Module):
        def __init__(self, seconds):
            super().__init__()
            self.seconds = iter(seconds)

        def forward(self, x):
            seconds = next(self.seconds)
            clock.now += seconds
            clock.used += 10 * seconds
            return x

    monkeypatch.setattr(_profile, "_SECONDS", 0.0)
    clock = Clock()
    model = nn.Sequential(Part([3, 1, 2, 3, 1, 2]), Part([5, 6, 7, 4, 5, 6]), Part([1, 2, 3] * 2))
    owners = {model[0]: "a", model[1]: "b"}
    found = profile(lambda: model(X), owners, clock=clock)
    assert found == {
        "a": Times((1.0,), (10.0,)), "b": Times((5.0,), (40.0,)), REST: Times((1.0,), (10.0,)),
    }  # fmt: skip
    by_one = nn.Sequential(Part([3, 1, 2]), Part([4, 5, 6]))
    owners = dict(zip(by_one, "ab", strict=True))
    found = profile(lambda: by_one(X), owners, wall=False, clock=clock)
    assert found["a"] == Times((10.0,), (10.0,)) and found["b"] == Times((40.0,), (40.0,))


def test_programs_of_torch_export_have_layers():
    model = nn.Sequential(
        nn.Conv2d(4, 6, 3, stride=(2, 1), padding=1, groups=2),
        nn.ReLU(),
        nn.Conv1d(6, 6, 2),
        *mlp(),
    )
    shared = model[3]

    class Whole(nn.Module):
        def __init__(self):
            super().__init__()
            self.parts = model
            self.scale = nn.Parameter(torch.ones(20, 30))

        def forward(self, x, y):
            x = self.parts[2](self.parts[1](self.parts[0](x)).flatten(2))[..., :20]
            return self.parts[5](self.parts[4](shared(x))) + nn.functional.linear(
                y, (2 * self.scale[:, :7]).T
            )

    whole = Whole().eval()
    args = torch.randn(2, 4, 6, 8), torch.randn(2, 6, 20)
    made = module_of(torch.export.export(whole, args))
    torch.testing.assert_close(made(*args), whole(*args))
    found = {name: type(module) for name, module in made.named_modules()}
    assert found["parts.0"] is nn.Conv2d and found["parts.2"] is nn.Conv1d
    assert found["parts.3"] is found["parts.5"] is nn.Linear
    assert made.get_submodule("parts.0").groups == 2
    assert sum(kind is nn.Linear for kind in found.values()) == 2  # not that of a computed weight


def test_advice_on_a_program():
    advice = advise(torch.export.export(mlp(), (X,)), X, **ADVICE)
    assert [(layer.name, layer.shape) for layer in advice.measured] == [
        ("0", (30, 20)), ("2", (7, 30)),
    ]  # fmt: skip
    assert len(advice.outcomes) == 3


def test_shares_are_those_of_undisturbed_parts():
    parts = {"a": Times((2.0,), (3.0,)), "b": Times((9.0,), (1.0,)), REST: Times((1.0,), (6.0,))}
    whole = Times((8.0,), (20.0,))
    # The rest cannot take longer than what the layers leave, and b was disturbed by all threads.
    assert shares_of(whole, parts) == pytest.approx({"a": 2 / 4, "b": 1 / 4})
    busy = Times((8.0,), (8.0,), calm=False)
    assert shares_of(busy, parts) == pytest.approx({"a": 3 / 8, "b": 1 / 8})
    del parts[REST]
    assert shares_of(whole, parts) == pytest.approx({"a": 2 / 8, "b": 1 / 8})
    assert shares_of(Times((2.0,), (2.0,)), parts) == pytest.approx({"a": 2 / 3, "b": 1 / 3})
