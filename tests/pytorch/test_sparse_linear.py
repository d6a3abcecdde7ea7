"""`SparseLinear`: training, its structure, and what an optimizer sees."""

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed.")
from torch import nn  # noqa: E402

import spkernels.torch as st  # noqa: E402


def test_the_gradient_is_that_of_the_dense_weight_at_the_mask():
    layer = st.SparseLinear(12, 9, sparsity=0.7, dtype=torch.float64)
    dense = layer.to_dense()
    x = torch.randn(5, 12, dtype=torch.float64)
    for module in (layer, dense):
        module(x).square().sum().backward()
    rows = torch.repeat_interleave(torch.arange(9), layer.offsets.diff())
    torch.testing.assert_close(layer.values.grad, dense.weight.grad[rows, layer.columns.long()])
    torch.testing.assert_close(layer.bias.grad, dense.bias.grad)
    torch.testing.assert_close(layer.weight, dense.weight)


@pytest.mark.parametrize(
    ("kind", "shape"),
    [(st.SparseLinear, (5, 12)), (lambda *n, **kw: st.SparseConv2d(*n, 3, **kw), (2, 12, 6, 6))],
)
def test_steps_of_an_optimizer_are_seen_in_both_modes(kind, shape):
    layer = kind(12, 9, sparsity=0.5, dtype=torch.float64)
    step = torch.optim.SGD(layer.parameters(), lr=0.01)
    x = torch.randn(shape, dtype=torch.float64)
    for _ in range(4):
        layer.train()
        step.zero_grad()
        layer(x).square().sum().backward()
        step.step()
        layer.eval()
        for _ in range(3):
            with torch.no_grad():
                torch.testing.assert_close(layer(x), layer.to_dense()(x))


@pytest.mark.parametrize("kind", [st.SparseLinear, lambda *n: st.SparseConv1d(*n, 1)])
def test_a_parametrized_bias_is_computed_at_each_call(kind):
    layer = kind(12, 9).eval()
    nn.utils.parametrize.register_parametrization(layer, "bias", nn.Tanh())
    x = torch.randn(5, 12, 1)
    x = x if "Conv" in type(layer).__name__ else x[..., 0]
    original = layer.parametrizations.bias.original
    with torch.no_grad():
        for _ in range(3):
            torch.testing.assert_close(layer(x), layer.to_dense()(x))
        original.add_(1)
        torch.testing.assert_close(layer(x), layer.to_dense()(x))
    layer(x).sum().backward()
    assert original.grad.any()


def test_repack_reads_what_was_changed_unseen():
    layer = st.SparseLinear(12, 9, sparsity=0.5).eval()
    x = torch.randn(5, 12)
    with torch.no_grad():
        for _ in range(3):
            layer(x)
        layer.values.data.mul_(2)
        layer.repack()
        torch.testing.assert_close(layer(x), layer.to_dense()(x))


def test_a_mask_and_a_generator_fix_the_layer():
    mask = torch.eye(6, dtype=torch.bool)
    layers = [
        st.SparseLinear(6, 6, mask=mask, generator=torch.Generator().manual_seed(3))
        for _ in range(2)
    ]
    assert torch.equal(layers[0].weight != 0, mask)
    assert torch.equal(layers[0].values, layers[1].values)
    drawn = [
        st.SparseLinear(60, 60, generator=torch.Generator().manual_seed(3)).columns
        for _ in range(2)
    ]
    assert torch.equal(*drawn)


def test_from_linear_keeps_what_is_not_zero():
    dense = nn.Linear(8, 8)
    dense.weight.data[:, ::2] = 0
    layer = st.SparseLinear.from_linear(dense)
    assert layer.values.numel() == 32 and layer.values.requires_grad
    assert torch.equal(layer.weight, dense.weight)


@pytest.mark.parametrize("activation", [None, "gelu", "tanh"])
@pytest.mark.parametrize("bias", [True, False])
def test_gradients_by_differences(activation, bias):
    layer = st.SparseLinear(6, 5, bias, sparsity=0.6, activation=activation, dtype=torch.float64)
    inputs = torch.randn(2, 3, 6, dtype=torch.float64, requires_grad=True)
    parameters = dict(layer.named_parameters())

    def call(x, residual, *values):
        state = dict(zip(parameters, values, strict=True))
        return torch.func.functional_call(layer, state, (x, residual))

    residual = torch.randn(2, 3, 5, dtype=torch.float64, requires_grad=True)
    args = inputs, residual, *parameters.values()
    assert torch.autograd.gradcheck(call, args, check_forward_ad=True)
    assert torch.autograd.gradgradcheck(call, args)


def test_conventions_of_dense_layers():
    layer = st.SparseLinear(60, 40, False, sparsity=0.5, dtype=torch.bfloat16, device="cpu")
    assert layer.bias is None and dict(layer.named_parameters()).keys() == {"values"}
    assert layer.values.dtype is torch.bfloat16 and layer.columns.dtype is torch.int32
    assert layer.values.abs().max() <= 1 / 30**0.5
    assert layer.mask.sum() == layer.values.numel() == 1200
    assert st.SparseLinear(60, 40, device="meta").values.is_meta
    assert repr(st.SparseLinear(60, 40, mask=layer.mask, activation="relu")) == (
        "SparseLinear(in_features=60, out_features=40, bias=True, nnz=1200, sparsity=50.0%, "
        "activation=relu)"
    )
    assert st.SparseLinear(0, 3, dtype=torch.float64)(torch.ones(2, 0).double()).shape == (2, 3)


def test_the_gradient_of_the_dense_weight_reaches_the_values():
    layer = st.SparseLinear(12, 9)
    layer.weight.square().sum().backward()
    torch.testing.assert_close(layer.values.grad, 2 * layer.values.detach())


def test_frozen_values_keep_no_input():
    kept = []

    def keep(tensor):
        kept.append(tensor.shape)
        return tensor

    for frozen in (False, True):
        layer = st.SparseLinear(12, 9)
        layer.values.requires_grad_(not frozen)
        kept.clear()
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            layer(torch.ones(5, 12)).sum().backward()
        assert ((5, 12) in kept) is not frozen
        assert layer.bias.grad.sum() == 45


def test_bad_arguments():
    with pytest.raises(ValueError, match="in_features must be an integer of at least 0, got -1"):
        st.SparseLinear(-1, 3)
    with pytest.raises(TypeError, match="layer must be a torch.nn.Linear, got ReLU"):
        st.SparseLinear.from_linear(nn.ReLU())
    parametrized = nn.utils.parametrizations.weight_norm(nn.Linear(3, 3))
    with pytest.raises(ValueError, match="layer cannot become sparse: it is parametrized"):
        st.SparseLinear.from_linear(parametrized)
    with pytest.raises(ValueError, match=r"mask must be bool of shape \(2, 3\)"):
        st.SparseLinear(3, 2, mask=torch.ones(3, 2, dtype=torch.bool))
    with pytest.raises(TypeError, match="dtype must be float32"):
        st.SparseLinear(3, 2, dtype=torch.int8)
    with pytest.raises(ValueError, match="sparsity must be a fraction from 0 to 1"):
        st.SparseLinear(3, 2, sparsity=2)
