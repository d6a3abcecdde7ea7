"""Recurrent layers and cells against those of PyTorch in float64; their operators' gradients."""

import copy
import itertools

import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

torch = pytest.importorskip("torch", reason="torch is not installed.")
from torch import nn  # noqa: E402
from torch.nn.utils import prune, rnn  # noqa: E402
from torch_models import bits, copies_of, programs_of, same_bits  # noqa: E402

import spkernels.torch  # noqa: E402
from spkernels.torch._measure import Times  # noqa: E402
from spkernels.torch._modules import FAMILIES, Options, recurrent  # noqa: E402
from spkernels.torch._weights import csr_of  # noqa: E402

OPS = torch.ops.spkernels
KINDS = ("LSTM", "GRU", "RNN", "relu")
DTYPES = (torch.float32, torch.float64, torch.float16, torch.bfloat16)
#: Every module is replaced, as no test may depend on times.
ALL = {"min_speedup": 1e-9}


def names_of(module):
    return [name for name, _ in module.named_parameters() if name.startswith("weight")]


def layers(kind, *sizes, seed=0, amount=0.6, **options):
    """Return a dense module, in float64, with random zeros."""
    if kind.startswith("relu"):
        kind, options["nonlinearity"] = kind.replace("relu", "RNN"), "relu"
    torch.manual_seed(seed)
    module = getattr(nn, kind)(*sizes, dtype=torch.float64, **options).eval()
    for name in names_of(module):
        weight = getattr(module, name)
        weight.data[torch.rand(weight.shape) < amount] = 0
    return module


def rounded(module, dtype):
    """Round the weights to `dtype`, and return a module of that dtype."""
    low = copy.deepcopy(module).to(dtype)
    module.load_state_dict(low.double().state_dict())
    return low.to(dtype)


def sparse(module, dense=()):
    """Return the sparse module, in which some weights stay dense."""
    weights = [
        None if name in dense else csr_of(getattr(module, name).detach())
        for name in names_of(module)
    ]
    return FAMILIES[type(module)].make(module, weights, None, Options()).train(module.training)


def flat(result):
    """Return all tensors of a result."""
    if isinstance(result, torch.Tensor):
        return [result]
    return [tensor for part in result if part is not None for tensor in flat(part)]


def error_bound(module, steps, largest, eps):
    """Return a bound of the errors of outputs and states, by induction over steps and layers.

    `largest` bounds inputs and first states.  A sum of k products has an error of k eps times the
    sum of their sizes; the slope of a sigmoid is at most 1/4, that of tanh and relu 1.
    """
    kind = module.mode if isinstance(module, nn.RNNBase) else type(module).__name__
    count = getattr(module, "num_layers", 1)
    size, given, given_error, worst = largest, largest, 0.0, 0.0
    for layer in range(count):
        ih, hh, bias = 0.0, 0.0, 0.0
        for name, tensor in module.named_parameters():
            if count > 1 and f"_l{layer}" not in name:
                continue
            top = tensor.detach().abs().reshape(len(tensor), -1).sum(1).max().item()
            if name.startswith("bias"):
                bias += top
            elif name.startswith("weight_ih"):
                ih = max(ih, top)
            else:
                hh = max(hh, top)
        k = module.input_size + module.hidden_size + 2 * module.hidden_size + 8
        h, c, h_error, c_error = size, size, 0.0, 0.0
        for _ in range(steps):
            terms = ih * given + hh * h + bias
            before = ih * given_error + hh * h_error + k * eps * terms
            if kind.startswith("LSTM"):
                c_error += before * (c + 5) / 4 + 8 * eps * (c + 1)
                c += 1
                h_error, h = c_error + before / 4 + 4 * eps, 1.0
            elif kind.startswith("GRU"):
                new = before * (1 + terms / 4) + 8 * eps * (1 + terms)
                h = max(h, 1.0)
                h_error += new + before * h / 2 + 8 * eps * h
            else:
                h_error, h = before + 4 * eps * terms, max(h, terms)
        worst = max(worst, h_error, c_error)
        given, given_error = h, h_error
    return worst


def compare(module, made, *args, steps, dtype):
    """Compare the results of a sparse module with those of the dense one in float64."""

    def wide(value):
        if isinstance(value, rnn.PackedSequence):
            return value.to(torch.float64)
        if isinstance(value, tuple):
            return tuple(map(wide, value))
        return value if value is None else value.double()

    with torch.no_grad():
        expected, found = flat(module(*map(wide, args))), flat(made(*args))
    tensors = [tensor for tensor in flat(args) if tensor.is_floating_point()]
    largest = max([1.0, *(t.abs().max().item() for t in tensors if t.numel())])
    bound = error_bound(module, steps, largest, torch.finfo(dtype).eps)
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert one.shape == other.shape
        if other.is_floating_point():
            assert one.dtype is dtype
            assert one.numel() == 0 or (one.double() - other).abs().max() <= bound
        else:
            assert torch.equal(one, other)


def drawn(*shape, dtype):
    return torch.randn(*shape, dtype=torch.float64).to(dtype)


@given(
    kind=st.sampled_from(KINDS), inputs=st.integers(1, 9), hidden=st.integers(1, 9),
    count=st.integers(1, 2), two=st.booleans(), first=st.booleans(), bias=st.booleans(),
    steps=st.integers(1, 10), batch=st.integers(0, 4), states=st.booleans(),
    dtype=st.sampled_from(DTYPES), dense=st.integers(0, 255), amount=st.sampled_from((0.5, 1.0)),
    calls=st.integers(1, 3), seed=st.integers(0, 2**20),
)  # fmt: skip
def test_layers_are_those_of_torch(kind, inputs, hidden, count, two, first, bias, steps, batch,
                                   states, dtype, dense, amount, calls, seed):  # fmt: skip
    module = layers(kind, inputs, hidden, count, bias=bias, batch_first=first, seed=seed,
                    amount=amount, bidirectional=two)  # fmt: skip
    low = rounded(module, dtype)
    kept = [name for place, name in enumerate(names_of(module)) if dense >> place & 1]
    made = sparse(low, kept)
    shape = (steps, inputs) if batch == 0 else (steps, batch, inputs)
    if first and batch:
        shape = (batch, steps, inputs)
    x, hx = drawn(*shape, dtype=dtype), None
    if states:
        rows = count * (2 if two else 1)
        sizes = (rows, batch, hidden) if batch else (rows, hidden)
        hx = drawn(*sizes, dtype=dtype)
        if kind == "LSTM":
            hx = hx, drawn(*sizes, dtype=dtype)
    for _ in range(calls):  # the second one packs
        compare(module, made, x, hx, steps=steps, dtype=dtype)


@given(
    kind=st.sampled_from(KINDS), count=st.integers(1, 2), two=st.booleans(),
    lengths=st.lists(st.integers(1, 6), min_size=1, max_size=5), states=st.booleans(),
    seed=st.integers(0, 2**20),
)  # fmt: skip
def test_packed_sequences(kind, count, two, lengths, states, seed):
    module = layers(kind, 5, 6, count, bidirectional=two, seed=seed)
    made = sparse(rounded(module, torch.float32))
    sequences = [drawn(length, 5, dtype=torch.float32) for length in lengths]
    packed = rnn.pack_sequence(sequences, enforce_sorted=False)
    hx = None
    if states:
        shape = (count * (2 if two else 1), len(lengths), 6)
        hx = drawn(*shape, dtype=torch.float32)
        if kind == "LSTM":
            hx = hx, drawn(*shape, dtype=torch.float32)
    compare(module, made, packed, hx, steps=max(lengths), dtype=torch.float32)
    ordered = rnn.pack_sequence(sorted(sequences, key=len, reverse=True))
    compare(module, made, ordered, hx, steps=max(lengths), dtype=torch.float32)


@given(
    kind=st.sampled_from(KINDS), inputs=st.integers(1, 9), hidden=st.integers(1, 9),
    bias=st.booleans(), batch=st.integers(0, 3), states=st.booleans(),
    dtype=st.sampled_from(DTYPES), seed=st.integers(0, 2**20),
)  # fmt: skip
def test_cells_are_those_of_torch(kind, inputs, hidden, bias, batch, states, dtype, seed):
    module = layers(f"{kind}Cell", inputs, hidden, bias, seed=seed)
    made = sparse(rounded(module, dtype))
    lead = (batch,) if batch else ()
    hx = None
    if states:
        hx = drawn(*lead, hidden, dtype=dtype)
        if kind == "LSTM":
            hx = hx, drawn(*lead, hidden, dtype=dtype)
    compare(module, made, drawn(*lead, inputs, dtype=dtype), hx, steps=1, dtype=dtype)


def test_large_batches_and_no_sequences():
    for kind in KINDS:
        module = layers(kind, 8, 130)  # the sigmoids of a step go by several calls
        made = sparse(rounded(module, torch.float32))
        x = drawn(2, 300, 8, dtype=torch.float32)
        compare(module, made, x, steps=2, dtype=torch.float32)
        found = made(x[:, :0])
        assert flat(found)[0].shape == (2, 0, 130)
        assert flat(found)[1].shape == (1, 0, 130)


def operands(name, gates, dense, grad=True):
    """Return the arguments of an operator."""

    def made(*shape):
        return torch.randn(*shape, dtype=torch.float64).requires_grad_(grad)

    def weight(rows, cols):
        A = sp.random(rows, cols, 0.4, format="csr", random_state=rows)
        A.sort_indices()
        values = torch.from_numpy(A.data).requires_grad_(grad)
        return values, torch.from_numpy(A.indices), torch.from_numpy(A.indptr)

    torch.manual_seed(0)
    states = [made(2, 3) for _ in range(2 if name == "lstm" else 1)]
    extra = ("tanh",) if name == "rnn" else ()
    ih = (made(gates * 3, 4), None, None) if dense else weight(gates * 3, 4)
    hh = weight(gates * 3, 3)
    return [made(3, 2, 4), *states, *extra, *ih, *hh, made(gates * 3), made(gates * 3)]


@pytest.mark.parametrize(("name", "gates"), [("lstm", 4), ("gru", 3), ("rnn", 1)])
@pytest.mark.parametrize("dense", [False, True])
def test_operators_pass_opcheck_and_have_gradients(name, gates, dense):
    operator = getattr(OPS, name)
    args = operands(name, gates, dense)
    torch.library.opcheck(operator.default, args)
    for reverse in (False, True):
        assert torch.autograd.gradcheck(operator, (*args, reverse))
    assert torch.autograd.gradgradcheck(operator, args)
    assert torch.autograd.gradcheck(operator, args, check_forward_ad=True, check_backward_ad=False)


def test_derivatives_of_functions():
    x, h, *rest = operands("gru", 3, False, grad=False)

    def call(x):
        return OPS.gru(x, h, *rest).square().sum()

    one = x.clone().requires_grad_()
    (expected,) = torch.autograd.grad(call(one), one)
    torch.testing.assert_close(torch.func.grad(call)(x), expected)
    torch.testing.assert_close(torch.func.jvp(call, (x,), (x,))[1], (expected * x).sum())
    many = torch.stack([x, 2 * x])
    torch.testing.assert_close(
        torch.func.vmap(call)(many), torch.stack([call(x), call(2 * x)])
    )


def test_one_tensor_as_two_inputs_has_the_gradients_of_both():
    x, h, _, *rest = operands("lstm", 4, False)
    a, b = h.detach().clone().requires_grad_(), h.detach().clone().requires_grad_()
    (found,) = torch.autograd.grad(OPS.lstm(x, h, h, *rest)[1].sum(), h)
    apart = torch.autograd.grad(OPS.lstm(x, a, b, *rest)[1].sum(), (a, b))
    torch.testing.assert_close(found, sum(apart))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({0: torch.zeros(2, 4)}, r"x must have shape \(steps, batch, inputs\), got \(2, 4\)"),
        ({0: torch.zeros(3, 2, 4)}, "x must be float64 for values of float64, got float32"),
        ({1: torch.zeros(1, 3).double()}, r"h must have shape \(2, 3\), got \(1, 3\)"),
        ({2: torch.zeros(2, 2).double()}, r"c must have shape \(2, 3\), got \(2, 2\)"),
        ({4: None}, "ih_columns and ih_offsets must both be tensors or None"),
        ({3: torch.zeros(12, 5).double(), 4: None, 5: None}, r"ih must have shape \(12, 4\)"),
        ({3: torch.zeros(5).double(), 4: None, 5: None}, "ih must be a matrix of float32"),
        ({8: torch.zeros(12, dtype=torch.int32)}, r"hh must have shape \(12, 3\), got \(11, 3\)"),
        ({6: torch.zeros(2).double()}, "values must have the shape of columns"),
        ({9: torch.zeros(5).double()}, r"bias_ih must have shape \(12,\), got \(5,\)"),
        ({10: torch.zeros(12)}, "bias_hh must be float64"),
    ],
)
def test_errors_of_operators_name_the_argument(change, words):
    args = operands("lstm", 4, False, grad=False)
    for place, value in change.items():
        args[place] = value
    with pytest.raises((ValueError, TypeError), match=words):
        OPS.lstm(*args)
    with torch._subclasses.fake_tensor.FakeTensorMode(allow_non_fake_inputs=True):
        with pytest.raises((ValueError, TypeError), match=words):
            OPS.lstm(*args)


def test_an_unknown_activation_is_refused():
    args = operands("rnn", 1, False, grad=False)
    args[2] = "gelu"
    with pytest.raises(ValueError, match="activation must be one of tanh, relu, got 'gelu'"):
        OPS.rnn(*args)


class Tagger(nn.Module):
    """A recurrent layer in a model, whose outputs alone are read."""

    def __init__(self, kind):
        super().__init__()
        self.rnn = layers(kind, 12, 16, 2, bidirectional=True).float()
        self.out = nn.Linear(32, 3)

    def forward(self, x):
        self.rnn.flatten_parameters()
        return self.out(self.rnn(x)[0])


X = torch.linspace(-1, 1, 5 * 2 * 12).reshape(5, 2, 12)


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_is_replaced_copied_compiled_exported_and_restored(kind):
    model = Tagger(kind).eval()
    expected, before = model(X), bits(model)
    report = spkernels.torch.sparsify_(model, example_inputs=X, **ALL)
    assert report.layers[0].replaced, report
    assert type(model.rnn).__name__ == f"Sparse{'RNN' if kind == 'relu' else kind}"
    assert not isinstance(model.rnn, nn.RNNBase)
    copies = copies_of(model)
    with torch.no_grad():
        for each in [*copies, *programs_of(model, X)]:
            torch.testing.assert_close(each(X), expected)
    for each in copies:
        spkernels.torch.densify_(each)
        assert type(each.rnn) is getattr(nn, "RNN" if kind == "relu" else kind)
        assert same_bits(each, before)
        torch.testing.assert_close(each(X), expected)


@pytest.fixture(params=["ih", "hh", "both"])
def choice(request, monkeypatch):
    """Have these weights measured as faster if they are sparse, and the others if dense."""
    names = iter(itertools.cycle(("ih", "hh")))

    def times(functions, modules):
        faster = request.param in (next(names), "both")
        return Times(*[(1.0, 0.5) if faster else (0.0, 0.5)] * 2)

    monkeypatch.setattr(recurrent, "times_of", times)
    return request.param


def test_weights_stay_dense_where_that_is_faster(choice):
    model = nn.Sequential(layers("GRU", 12, 8).float())
    expected = model(X)
    weights = {"ih": model[0].weight_ih_l0, "hh": model[0].weight_hh_l0}
    report = spkernels.torch.sparsify_(model, example_inputs=X, **ALL)
    assert report.layers[0].kernel.endswith("/ dense") == (choice != "both")
    keys = set(model.state_dict())
    for name, weight in weights.items():
        is_sparse = choice in (name, "both")
        assert (f"0.weight_{name}_l0" in keys) == (not is_sparse)
        assert (f"0.weight_{name}_l0.values" in keys) == is_sparse
        assert (weight.numel() == 0) == is_sparse
    for _ in range(2):
        for one, other in zip(flat(model(X)), flat(expected), strict=True):
            torch.testing.assert_close(one, other)
        spkernels.torch.densify_(model)
    assert model[0].weight_hh_l0 is weights["hh"] and model[0].weight_ih_l0 is weights["ih"]


def test_a_dense_weight_beside_a_sparse_one_is_no_hindrance():
    module = layers("LSTM", 30, 4, amount=0.0).float()
    module.weight_hh_l0.data[:, 1:] = 0
    model = nn.Sequential(module)
    report = spkernels.torch.sparsify_(model, example_inputs=torch.randn(3, 2, 30), **ALL)
    assert report.layers[0].replaced, report
    assert report.layers[0].sparsity < 0.3


@pytest.mark.parametrize("kind", KINDS)
def test_a_state_dict_carries_the_weights_over(kind, choice):
    models = [nn.Sequential(layers(kind, 12, 10).float()) for _ in range(2)]
    expected = models[0](X)[0]
    models[1][0].weight_ih_l0.data *= 2
    for model in models:
        spkernels.torch.sparsify_(model, example_inputs=X, **ALL)
        for _ in range(3):
            model(X)
    models[1].load_state_dict(models[0].state_dict())
    torch.testing.assert_close(models[1](X)[0], expected)


def test_weights_with_a_mask_and_weights_that_are_sparse_tensors(choice):
    masked = layers("LSTM", 12, 10).float()
    prune.random_unstructured(masked, "weight_hh_l0", amount=0.5)
    stored = layers("LSTM", 12, 10).float()
    given = nn.Parameter(stored.weight_hh_l0.detach().to_sparse_csr(), requires_grad=False)
    expected = stored(X)[0]
    stored.weight_hh_l0 = given
    for module, output in ((masked, masked(X)[0]), (stored, expected)):
        model = nn.Sequential(module)
        report = spkernels.torch.sparsify_(model, example_inputs=X, **ALL)
        assert report.layers[0].replaced, report
        torch.testing.assert_close(model(X)[0], output)
        spkernels.torch.densify_(model)
    torch.testing.assert_close(masked(X)[0], nn.Sequential(masked)(X)[0])
    assert prune.is_pruned(masked)
    assert stored.weight_hh_l0 is given


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_reach_inputs_states_and_biases(kind, choice):
    model = nn.Sequential(layers(kind, 12, 8, 2, bidirectional=True).float())
    found = []
    for _ in range(2):
        x, hx = X.clone().requires_grad_(), torch.ones(4, 2, 8, requires_grad=True)
        states = (hx, hx) if kind == "LSTM" else hx
        sum(part.square().sum() for part in flat(model[0](x, states))).backward()
        biases = [p.grad.clone() for name, p in model.named_parameters() if "bias" in name]
        found.append([x.grad, hx.grad, *biases])
        model.zero_grad()
        spkernels.torch.sparsify_(model, example_inputs=X, **ALL)
    torch.testing.assert_close(found[1], found[0])


@pytest.mark.parametrize("kind", KINDS)
def test_autocast_keeps_the_dtype_of_the_input(kind, choice):
    model = nn.Sequential(layers(kind, 12, 8).float())
    spkernels.torch.sparsify_(model, example_inputs=X, **ALL)
    x = X.clone().requires_grad_()
    found = []
    for low in (False, True):
        with torch.autocast("cpu", torch.bfloat16, enabled=low):
            output = model(x)[0]
            found.append((output, *torch.autograd.grad(output.sum(), x)))
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other)


def test_buffers_that_were_made_in_inference_mode_are_packed_once():
    module = layers("GRU", 12, 8).float()
    made = sparse(module)
    with torch.inference_mode():
        made.to(torch.float64).to(torch.float32)
        expected = module(X)[0]
        for _ in range(2):
            torch.testing.assert_close(made(X)[0], expected)
    assert not made.weight_hh_l0.values.is_inference()


def test_dropout_between_layers_in_training_mode():
    model = nn.Sequential(layers("LSTM", 12, 8, 2, dropout=1.0).float())
    spkernels.torch.sparsify_(model, example_inputs=X, **ALL)
    evaluated = model(X)[0]
    model.train()
    trained = model(X)[0]
    assert not torch.equal(trained, evaluated)
    spkernels.torch.densify_(model)
    assert model.training
    torch.testing.assert_close(model(X)[0], trained)


def test_what_stays_dense_says_why():
    tied = layers("GRU", 8, 8)
    tied.weight_hh_l0 = tied.weight_ih_l0
    hooked = layers("RNN", 8, 8)
    nn.utils.weight_norm(hooked, "bias_hh_l0")
    model = nn.ModuleList([layers("LSTM", 8, 8, proj_size=3), tied, hooked])
    report = spkernels.torch.sparsify_(model, example_inputs=4, **ALL)
    assert [layer.reason for layer in report.layers] == [
        "its states are projected (proj_size)",
        "two of its weights are one tensor",
        "its bias_hh_l0 is computed by a hook",
    ]


def test_modules_are_measured_at_batch_sizes_and_at_packed_sequences():
    model = nn.ModuleList([layers("GRU", 8, 8, batch_first=True), layers("LSTMCell", 8, 8)])
    report = spkernels.torch.sparsify_(model, example_inputs=4, **ALL)
    assert [layer.input for layer in report.layers] == [(4, 32, 8), (4, 8)]
    assert len(report.replaced) == 2
    packed = rnn.pack_sequence([torch.randn(3, 12), torch.randn(2, 12)])
    model = nn.Sequential(layers("GRU", 12, 8).float())
    expected = model(packed)[0].data
    assert spkernels.torch.sparsify_(model, example_inputs=(packed,), **ALL).replaced
    torch.testing.assert_close(model(packed)[0].data, expected)


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ((torch.zeros(2),), "input must be 2-D or 3-D, got 1-D"),
        ((torch.zeros(2, 3, 5),), r"input must have 4 features, got shape \(2, 3, 5\)"),
        ((torch.zeros(0, 3, 4),), "input must have at least one step"),
        ((torch.zeros(2, 3, 4), torch.zeros(1, 3, 5)), "hx must be a pair of tensors, got Tensor"),
        ((torch.zeros(2, 3, 4), (torch.zeros(1, 3, 5), torch.zeros(3, 5))),
         r"hx must have shape \(1, 3, 5\), got \(3, 5\)"),
    ],
)  # fmt: skip
def test_errors_of_modules_name_the_argument(args, words):
    made = sparse(layers("LSTM", 4, 5).float())
    with pytest.raises((ValueError, TypeError), match=words):
        made(*args)


def test_errors_of_cells_name_the_argument():
    made = sparse(layers("GRUCell", 4, 5).float())
    with pytest.raises(ValueError, match=r"input must have shape \(batch, 4\) or \(4,\)"):
        made(torch.zeros(2, 3))
    with pytest.raises(ValueError, match=r"hx must have shape \(2, 5\), got \(5,\)"):
        made(torch.zeros(2, 4), torch.zeros(5))
    with pytest.raises(TypeError, match="hx must be a tensor, got list"):
        made(torch.zeros(2, 4), [torch.zeros(2, 5)])
