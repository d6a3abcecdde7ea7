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


def test_steps_of_an_optimizer_are_seen_in_both_modes():
    layer = st.SparseLinear(12, 9, sparsity=0.5)
    step = torch.optim.SGD(layer.parameters(), lr=0.1)
    x = torch.randn(5, 12)
    for _ in range(4):
        layer.train()
        step.zero_grad()
        layer(x).square().sum().backward()
        step.step()
        layer.eval()
        for _ in range(3):
            with torch.no_grad():
                torch.testing.assert_close(layer(x), layer.to_dense()(x))


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


def test_bad_arguments():
    with pytest.raises(ValueError, match=r"mask must be bool of shape \(2, 3\)"):
        st.SparseLinear(3, 2, mask=torch.ones(3, 2, dtype=torch.bool))
    with pytest.raises(TypeError, match="dtype must be float32"):
        st.SparseLinear(3, 2, dtype=torch.int8)
    with pytest.raises(ValueError, match="sparsity must be a fraction from 0 to 1"):
        st.SparseLinear(3, 2, sparsity=2)
