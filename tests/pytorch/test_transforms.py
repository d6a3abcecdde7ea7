"""Transforms of models: derivatives in both modes, `torch.func`, autocast, tracing, compilation."""

import io

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed.")
from torch import nn  # noqa: E402
from torch.autograd import forward_ad  # noqa: E402

import spkernels.torch as st  # noqa: E402

OPS = torch.ops.spkernels
X = torch.linspace(-2, 2, 60, dtype=torch.float64).reshape(3, 20)


def trained(activation=None, dtype=torch.float64):
    """Return a sparse layer, and a dense one that computes the same."""
    generator = torch.Generator().manual_seed(0)
    layer = st.SparseLinear(
        20, 7, sparsity=0.8, activation=activation, dtype=dtype, generator=generator
    )
    dense = layer.to_dense()
    return layer, dense if activation is None else nn.Sequential(dense, nn.SiLU())


def same(found, expected):
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("activation", [None, "silu"])
@pytest.mark.parametrize("frozen", [False, True])
def test_derivatives_by_the_input_are_those_of_the_dense_layer(activation, frozen):
    layer, dense = trained(activation)
    layer.requires_grad_(not frozen)
    direction = X.flip(0)
    same(torch.func.jvp(layer, (X,), (direction,)), torch.func.jvp(dense, (X,), (direction,)))
    same(torch.func.jacrev(layer)(X[0]), torch.func.jacrev(dense)(X[0]))
    same(torch.func.jacfwd(layer)(X[0]), torch.func.jacfwd(dense)(X[0]))
    same(torch.func.hessian(lambda x: layer(x).sum())(X[0]),
         torch.func.hessian(lambda x: dense(x).sum())(X[0]))  # fmt: skip
    for grad in (torch.enable_grad, torch.no_grad):
        with grad(), forward_ad.dual_level():
            tangents = [
                forward_ad.unpack_dual(module(forward_ad.make_dual(X, direction))).tangent
                for module in (layer, dense)
            ]
            assert tangents[0] is not None
            same(*tangents)


def test_derivatives_by_parameters_in_forward_mode():
    layer, _ = trained("silu")
    parameters = dict(layer.named_parameters())
    directions = {name: torch.ones_like(value) for name, value in parameters.items()}

    def call(values):
        return torch.func.functional_call(layer, values, (X,))

    _, found = torch.func.jvp(call, (parameters,), (directions,))
    step = 1e-6
    ends = [
        call({name: parameters[name] + sign * step for name in parameters}) for sign in (-1, 1)
    ]
    torch.testing.assert_close(found, (ends[1] - ends[0]) / (2 * step), rtol=1e-7, atol=1e-7)


def test_a_call_with_other_parameters():
    layer, _ = trained()
    doubled = {name: 2 * value for name, value in layer.named_parameters()}
    same(torch.func.functional_call(layer, doubled, (X,)), 2 * layer(X))


def test_gradients_for_each_sample():
    layer, _ = trained("silu")
    parameters = {name: value.detach() for name, value in layer.named_parameters()}

    def loss(values, x):
        return torch.func.functional_call(layer, values, (x,)).square().sum()

    found = torch.func.vmap(torch.func.grad(loss), (None, 0))(parameters, X)
    for place, x in enumerate(X):
        layer.zero_grad()
        layer(x).square().sum().backward()
        same(found["values"][place], layer.values.grad)
        same(found["bias"][place], layer.bias.grad)


@pytest.mark.parametrize("dim", [0, 1, 2])
def test_a_batch_of_calls(dim):
    layer, dense = trained("silu")
    x = torch.randn(4, 5, 20, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    residual = torch.ones(5, 7, dtype=torch.float64)
    for module in (layer, dense):
        module.requires_grad_(False)
    same(torch.func.vmap(layer)(x), dense(x))
    batched = x.movedim(0, dim)
    weight = layer.values, layer.columns, layer.offsets, 20
    found = torch.func.vmap(lambda one: OPS.linear(one, *weight, None, None, residual), dim)
    same(found(batched), OPS.linear(x, *weight) + 1)
    found = torch.func.vmap(lambda one: OPS.spmm(*weight, one.mT), dim)
    same(found(batched), torch.stack([OPS.spmm(*weight, one.mT) for one in x]))
    found = torch.func.vmap(lambda one: OPS.spmm(*weight, one), 0)
    same(found(x[0]), OPS.spmm(*weight, x[0].mT).mT)
    many = torch.stack([layer.values, 2 * layer.values])
    found = torch.func.vmap(lambda values: OPS.linear(x, values, *weight[1:]))
    same(found(many)[1], 2 * OPS.linear(x, *weight))
    rows, cols = x[0], torch.ones(20, 5, dtype=torch.float64)
    found = torch.func.vmap(lambda one: OPS.sddmm(*weight[1:3], rows[:, :7].mT @ one, cols.mT))
    squares = torch.stack([torch.eye(5, dtype=torch.float64)] * 2)
    same(found(squares)[1], OPS.sddmm(*weight[1:3], rows[:, :7].mT, cols.mT))


def test_an_operator_without_a_formula_says_so():
    args = (
        torch.ones(2, 3, requires_grad=True), torch.ones(3, dtype=torch.int8), torch.arange(3),
        torch.arange(4), torch.ones(3), 3, 1.0, 0,
    )  # fmt: skip
    with pytest.raises(NotImplementedError, match="linear_int8 has no gradient"):
        OPS.linear_int8(*args).sum().backward()
    with pytest.raises((NotImplementedError, RuntimeError), match="jvp function"):
        torch.func.jvp(lambda x: OPS.linear_int8(x, *args[1:]), (args[0],), (args[0],))


@pytest.mark.parametrize("x_dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_autocast_gives_the_dtype_of_the_dense_layer(x_dtype):
    layer, dense = trained(dtype=torch.float32)
    x = X.to(x_dtype)
    exact = X.to(x_dtype).double() @ dense.weight.double().T + dense.bias.double()
    for low in (torch.bfloat16, torch.float16):
        with torch.autocast("cpu", low):
            found, expected = layer(x), dense(x)
        assert found.dtype is expected.dtype is low
        # Roundings of the result: the operands of products keep their dtypes.
        bound = (torch.finfo(low).eps + torch.finfo(x_dtype).eps) * exact.abs() + 1e-5
        assert ((found.double() - exact).abs() <= bound).all()
        found.float().sum().backward()
    assert layer.values.grad.dtype is torch.float32
    with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
        assert layer.eval()(x).dtype is torch.bfloat16
        double, _ = trained()
        assert double(X).dtype is torch.float64


def test_a_model_that_was_traced_and_saved():
    layer, dense = trained("silu", torch.float32)
    with torch.no_grad():
        made = torch.jit.trace(layer.eval(), X.float())
    stored = io.BytesIO()
    torch.jit.save(made, stored)
    stored.seek(0)
    x = torch.randn(5, 20)
    torch.testing.assert_close(torch.jit.load(stored)(x), dense(x))


def test_symbolic_tracing():
    layer, dense = trained("silu")
    made = torch.fx.symbolic_trace(nn.Sequential(layer))
    same(made(X), dense(X))


@pytest.mark.parametrize("dynamic", [False, True])
def test_a_compiled_model_of_any_batch(dynamic):
    layer, dense = trained("silu")
    made = torch.compile(layer, fullgraph=True, dynamic=dynamic, backend="aot_eager")
    for size in (1, 2, 5, 3):
        x = X[:1].expand(size, 20).contiguous().requires_grad_()
        found = made(x)
        same(found, dense(x))
        (by_x,) = torch.autograd.grad(found.sum(), x)
        same(by_x, torch.autograd.grad(dense(x).sum(), x)[0])


@pytest.mark.slow
def test_a_model_that_inductor_compiled():
    layer, dense = trained("silu", torch.float32)
    model, expected = nn.Sequential(layer, nn.LayerNorm(7)), nn.Sequential(dense, nn.LayerNorm(7))
    made = torch.compile(model, fullgraph=True, dynamic=True)
    x = X.float()
    torch.testing.assert_close(made(x), expected(x))
    made(x).square().sum().backward()
    gradient, layer.values.grad = layer.values.grad, None
    model(x).square().sum().backward()
    torch.testing.assert_close(gradient, layer.values.grad)
    with torch.no_grad():
        torch.testing.assert_close(made(x[:2]), expected(x[:2]))


def test_batches_without_members():
    layer, _ = trained("silu")
    values, columns, offsets = layer.values.detach(), layer.columns, layer.offsets
    none = torch.zeros(0, dtype=torch.float64)

    def call(name, *batched):
        return torch.func.vmap(lambda *members: getattr(OPS, name)(*members, *rest))(*batched)

    rest = values, columns, offsets, 20
    assert call("linear", none.view(0, 3, 20)).shape == (0, 3, 7)
    rest = columns, offsets, 20, X.T
    assert call("spmm", none.view(0, len(values))).shape == (0, 7, 3)
    rest = X.mT[:20, :2], X.mT[:20, :2], columns, offsets
    assert call("sparse_attention", none.view(0, 7, 2)).shape == (0, 7, 2)
    rest = (none.view(3, 0),) * 2 + (none.view(0, 20), None, None, none.view(0, 0), None, None)
    out, cells = call("lstm", none.view(0, 4, 3, 20))
    assert out.shape == (0, 4, 3, 0) and cells.shape == (0, 3, 0)


@pytest.mark.parametrize("grad", [False, True])
def test_a_default_device_is_not_that_of_cpu_tensors(grad):
    dense = nn.Sequential(nn.Linear(20, 7), nn.ReLU()).double()
    nn.utils.prune.l1_unstructured(dense[0], "weight", 0.8)
    nn.utils.prune.remove(dense[0], "weight")
    expected = dense(X)
    convolution = st.SparseConv2d(2, 3, 3, sparsity=0.5, dtype=torch.float64)
    images = torch.linspace(-1, 1, 98, dtype=torch.float64).reshape(1, 2, 7, 7)
    folded = convolution(images)
    with torch.device("meta"), torch.set_grad_enabled(grad):
        st.sparsify_(dense, example_inputs=X, min_speedup=1e-9)
        found = dense(X)
        assert isinstance(dense[0], st.SparseLinear)
        same(convolution(images), folded)
        if grad:
            (found.sum() + convolution(images).sum()).backward()
        assert dense[0].to_dense().weight.device == X.device
        assert isinstance(st.densify_(dense)[0], nn.Linear)
        same(dense(X), expected)
        st.SparseLinear.from_linear(dense[0])
    same(found, expected)


@pytest.mark.parametrize("kind", [st.SparseLinear, st.SparseConv1d, st.SparseConv2d])
def test_layers_are_made_on_the_default_device(kind):
    with torch.device("meta"):
        layer = kind(4, 6, *[3] * (kind is not st.SparseLinear), sparsity=0.5)
        here = kind(4, 6, *[3] * (kind is not st.SparseLinear), sparsity=0.5, device="cpu")
    assert {tensor.device.type for tensor in layer.state_dict().values()} == {"meta"}
    assert {tensor.device.type for tensor in here.state_dict().values()} == {"cpu"}
    layer.load_state_dict(here.state_dict(), assign=True)
    assert (layer.values is not here.values) and torch.equal(layer.weight, here.weight)


@pytest.mark.parametrize("grad", [False, True])
def test_a_sequence_is_traced_in_every_mode(grad):
    model = nn.Sequential(nn.Linear(20, 30), nn.ReLU(), nn.Linear(30, 7)).double()
    for place in (0, 2):
        nn.utils.prune.l1_unstructured(model[place], "weight", 0.8)
        nn.utils.prune.remove(model[place], "weight")
    expected = model(X)
    st.sparsify_(model, example_inputs=X, min_speedup=1e-9)
    assert isinstance(model, st.SparseSequential)
    with torch.set_grad_enabled(grad):
        made = torch.jit.trace(model, X)
        same(made(X), expected)
        same(made(X[:2]), expected[:2])


def test_script_is_refused_in_words():
    for model in (st.SparseConv1d(2, 3, 3), nn.Sequential(nn.ReLU(), st.SparseLinear(4, 5))):
        with pytest.raises(TypeError, match=r"Sparse\w+ cannot be compiled by torch.jit.script"):
            torch.jit.script(model)
