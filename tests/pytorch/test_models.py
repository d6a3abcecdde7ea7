"""`sparsify_` on models as people write them: their own code, hooks, masks and outputs."""

import math

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed.")
from torch import nn  # noqa: E402
from torch.nn.utils import prune, rnn  # noqa: E402
from torch_models import X, bits, mlp, pruned, same_bits  # noqa: E402

import spkernels.torch as st  # noqa: E402

ALL = {"min_speedup": 1e-9}


class Own(nn.Module):
    """Two pruned layers of equal sizes, and a function of them and an input."""

    def __init__(self, function, bias=True):
        super().__init__()
        torch.manual_seed(0)
        self.a, self.b = (pruned(nn.Linear(20, 20, bias)) for _ in range(2))
        self.held = [self.a], [self.a.weight]
        self.function = function

    def forward(self, x):
        return self.function(self, x)


def reasons_of(model, x=X):
    """Return why the layers of a model stay dense, after comparing its results and its bits."""
    expected, before = model.eval()(x), bits(model)
    report = st.sparsify_(model, example_inputs=x, **ALL)
    torch.testing.assert_close(model(x), expected)
    st.densify_(model)
    assert same_bits(model, before)
    torch.testing.assert_close(model(x), expected)
    return [layer.reason for layer in report.layers]


@pytest.mark.parametrize(
    "function",
    [
        lambda model, x: model.b(model.held[0][0](x)),
        lambda model, x: model.b(model.a(x)) + x @ model.held[1][0].T,
    ],
)
def test_a_layer_stays_whose_weight_is_read_elsewhere(function):
    assert reasons_of(Own(function)) == ["other code of the model reads its weight", ""]


def test_a_layer_stays_without_which_the_model_fails():
    def function(model, x):
        if not isinstance(model.a, nn.Linear):
            raise TypeError("a must be linear\nand nothing else")
        return model.b(model.a(x))

    assert reasons_of(Own(function)) == ["the model needs it: TypeError: a must be linear", ""]


def test_one_layer_stays_if_the_model_needs_any():
    def function(model, x):
        return model.b(model.a(x.to(next(model.parameters()).dtype)))

    assert reasons_of(Own(function, bias=False)) == ["", "the model needs it: StopIteration"]


def test_what_a_layer_has_of_its_own_keeps_it_dense():
    model = nn.Sequential(*(pruned(nn.Linear(20, 20)) for _ in range(5)))
    calls = []
    model[0].register_forward_hook(lambda module, args, result: calls.append(result.shape))
    model[1].register_full_backward_hook(lambda module, by_input, by_result: None)
    model[2].forward = lambda x: 2 * x
    model[3].register_buffer("scale", torch.ones(1))
    hooks = "it has hooks, which a sparse module would not call"
    assert reasons_of(model) == [
        hooks, hooks, "its method forward is its own",
        "it has parameters or buffers of its own: scale", "",
    ]  # fmt: skip
    assert calls


def test_attributes_that_the_model_gave_a_layer_stay():
    model = Own(lambda model, x: model.b(model.a(x)) * model.a.factor)
    model.a.factor = 3.0
    assert reasons_of(model) == ["", ""]


def test_a_model_may_change_its_input():
    model = Own(lambda model, x: model.a(x.mul_(2)) + model.b(x))
    x = X.clone()
    report = st.sparsify_(model.eval(), example_inputs={"x": x}, **ALL)
    assert torch.equal(x, X)
    assert len(report.replaced) == 2 and report.error < 1e-6


def test_a_model_may_draw_random_numbers():
    model = Own(lambda model, x: model.a(x + torch.rand_like(x)) + model.b(x))
    report = st.sparsify_(model.eval(), example_inputs=X, **ALL)
    assert len(report.replaced) == 2 and report.error < 1e-6


@pytest.mark.parametrize(
    "convert",
    [
        lambda y: y > 0,
        lambda y: y.argmax(1),
        torch.fft.fft,
        lambda y: {"a": [y, None], "b": (1, "text")},
        lambda y: y.relu().to_sparse(),
        lambda y: torch.nested.nested_tensor([y, y[:1]]),
        lambda y: y / 0,
        lambda y: y[:0],
        lambda y: rnn.pack_sequence([y, y[:1]]),
    ],
)
def test_outputs_of_any_kind_are_compared(convert):
    model = Own(lambda model, x: convert(model.b(model.a(x)))).eval()
    report = st.sparsify_(model, example_inputs=X, **ALL)
    assert len(report.replaced) == 2
    assert report.error < 1e-6


def test_outputs_that_differ():
    def function(model, x):
        return model.a(x) * (2 if isinstance(model.a, st.SparseLinear) else 1)

    report = st.sparsify_(Own(function).eval(), example_inputs=X, **ALL)
    assert report.error == pytest.approx(1)

    def infinite(model, x):
        return model.a(x) / (0 if isinstance(model.a, st.SparseLinear) else 1)

    report = st.sparsify_(Own(infinite).eval(), example_inputs=X, **ALL)
    assert report.error == math.inf and report.to_dict()["error"] is None

    def shorter(model, x):
        return model.a(x)[int(isinstance(model.a, st.SparseLinear)) :]

    report = st.sparsify_(Own(shorter).eval(), example_inputs=X, **ALL)
    assert math.isnan(report.error) and "different shapes" in str(report)


@pytest.mark.parametrize("convert", ["to_sparse", "to_sparse_csr"])
def test_a_layer_stays_whose_input_is_sparse(convert):
    model = Own(lambda model, x: model.b(model.a(getattr(x.relu(), convert)())))
    assert reasons_of(model) == ["its input is not a dense tensor on the CPU", ""]


@pytest.mark.parametrize(
    "make",
    [
        lambda: (pruned(nn.Linear(20, 9)), X),
        lambda: (pruned(nn.Conv1d(20, 9, 1)), X[..., None]),
        lambda: (nn.LSTM(20, 9), X[:, None]),
    ],
)
def test_biases_with_a_mask(make):
    module, x = make()
    for name in [name for name, _ in module.named_parameters() if "bias" in name]:
        prune.random_unstructured(module, name, amount=0.5)
    if isinstance(module, nn.LSTM):
        prune.random_unstructured(module, "weight_hh_l0", amount=0.8)
        model = Own(lambda model, x: model.lstm(x)[0])
        model.lstm = module
    else:
        model = nn.Sequential(module, nn.ReLU())
    assert reasons_of(model, x)[-1] == ""


def test_a_layer_without_rows():
    model = nn.Sequential(nn.Linear(20, 0), nn.Linear(0, 5))
    assert len(reasons_of(model)) == 2


def test_torchscript_is_refused():
    with pytest.raises(TypeError, match="model must not be TorchScript"):
        st.sparsify_(torch.jit.script(mlp()), example_inputs=X)


def test_the_error_leaves_out_what_the_fused_path_gives_at_padding():
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)
    model = nn.TransformerEncoder(layer, 2).eval()
    for parameter in model.parameters():
        if parameter.dim() == 2:
            parameter.data[torch.rand(parameter.shape) < 0.8] = 0
    padding = torch.arange(5) > torch.tensor([[2], [4]])
    inputs = {"src": torch.randn(2, 5, 16), "src_key_padding_mask": padding}
    report = st.sparsify_(model, example_inputs=inputs, **ALL)
    assert len(report.replaced) == 6 and report.error < 1e-5


@pytest.mark.skipif(
    not hasattr(torch.compiler, "set_stance"),
    reason="This PyTorch cannot leave out what was compiled.",
)
@pytest.mark.parametrize("place", [False, True])
def test_a_compiled_model(place):
    model = mlp()
    expected = model(X)
    if place:
        compiled = model
        model.compile(backend="eager")
    else:
        compiled = torch.compile(model, backend="eager")
    torch.testing.assert_close(compiled(X), expected)
    report = st.sparsify_(compiled, example_inputs=X, **ALL)
    assert len(report.replaced) == 2
    assert any("torch.compile" in note for note in report.notes) is not place
    torch.testing.assert_close(compiled(X), expected)
    st.densify_(compiled)
    torch.testing.assert_close(compiled(X), expected)
