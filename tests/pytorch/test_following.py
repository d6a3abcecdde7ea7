"""Batch norms and activations that become part of the layer before them."""


import pytest

torch = pytest.importorskip("torch", reason="torch is not installed.")
import torch.nn.functional as F  # noqa: E402
from torch import nn  # noqa: E402
from torch_models import bits, copies_of, programs_of, pruned, same_bits  # noqa: E402

import spkernels.torch as st  # noqa: E402
from spkernels.torch._following import Chains  # noqa: E402

#: Every module is replaced, as no test may depend on times.
ALL = {"min_speedup": 1e-9}


class Block(nn.Module):
    """A convolution, a norm and an activation in code of its own."""

    def __init__(self, norm=None, act=None):
        super().__init__()
        self.conv = pruned(nn.Conv2d(4, 4, 3, padding=1, bias=norm is None))
        self.bn = nn.BatchNorm2d(4) if norm is None else norm
        self.act = nn.SiLU() if act is None else act

    def forward(self, x):
        return self.act(self.bn(self.conv(x)))


class Basic(nn.Module):
    """A block of a ResNet, as torchvision writes it: one activation is called twice."""

    def __init__(self):
        super().__init__()
        self.conv1, self.bn1 = pruned(nn.Conv2d(4, 6, 3, padding=1)), nn.BatchNorm2d(6)
        self.conv2, self.bn2 = pruned(nn.Conv2d(6, 4, 1)), nn.BatchNorm2d(4, affine=False)
        self.relu = nn.ReLU(inplace=True)
        self.shortcut = None

    def forward(self, x):
        same = x if self.shortcut is None else self.shortcut(x)
        x = self.relu(self.bn1(self.conv1(x)))
        return self.relu(self.bn2(self.conv2(x)) + same)


class Mlp(nn.Module):
    """Two linear layers with an activation between them."""

    def __init__(self):
        super().__init__()
        self.fc1, self.act, self.fc2 = pruned(nn.Linear(6, 8)), nn.GELU(), pruned(nn.Linear(8, 6))

    def forward(self, x):
        return self.fc2(self.act(self.fc1(x)))


def trained(model, *shape):
    """Return a model whose norms have seen data, in evaluation mode."""
    torch.manual_seed(1)
    for norm in model.modules():
        if isinstance(norm, nn.modules.batchnorm._BatchNorm) and norm.weight is not None:
            nn.init.normal_(norm.weight)
            nn.init.normal_(norm.bias)
    with torch.no_grad():
        for _ in range(3):
            model.train()(3 * torch.randn(5, *shape[1:]) + 1)
    return model.eval()


def network():
    torch.manual_seed(0)
    line = nn.Sequential(nn.Flatten(2), pruned(nn.Conv1d(4, 3, 2)), nn.BatchNorm1d(3), nn.Tanh())
    ends = nn.Sequential(nn.Sequential(pruned(nn.Conv2d(4, 4, 1)), nn.BatchNorm2d(4)), nn.ReLU())
    return nn.Sequential(Block(), Basic(), ends, line)


FUSED = {"0.conv": ("bn", "act"), "1.conv1": ("bn1",), "1.conv2": ("bn2",), "2.0.0": ("1", "1"),
         "3.1": ("2", "3")}  # fmt: skip


def test_what_follows_becomes_part_of_a_layer_and_comes_back():
    x = torch.randn(2, 4, 5, 6)
    model = trained(network(), *x.shape)
    expected, before = model(x), bits(model)
    report = st.sparsify_(model, example_inputs=x, **ALL)
    assert {layer.name: layer.fused for layer in report.layers} == FUSED
    assert "with bn and act" in str(report)
    assert model[0].conv.activation == "silu" and model[1].conv1.activation is None
    made = copies_of(model)
    for each in [*made, *programs_of(model, x)]:
        for _ in range(3):
            torch.testing.assert_close(each(x), expected)
    with pytest.raises(RuntimeError, match=r"call model.eval\(\), or spkernels.torch.densify_"):
        model.train()(x)
    for each in made:
        st.densify_(each.eval())
        assert same_bits(each, before)
        assert torch.equal(each(x), expected)
        assert type(each[0].bn) is nn.BatchNorm2d and type(each[2][1]) is nn.ReLU


def test_an_activation_in_code_becomes_part_of_a_linear_layer():
    model, x = nn.Sequential(Mlp()).eval(), torch.randn(3, 6)
    expected = model(x)
    report = st.sparsify_(model, example_inputs=x, **ALL)
    assert [layer.fused for layer in report.layers] == [("act",), ()]
    torch.testing.assert_close(model(x), expected)
    assert type(st.densify_(model)[0].act) is nn.GELU
    # Without a call nobody knows whether the code that was traced is what runs.
    assert [layer.fused for layer in st.sparsify_(model, **ALL).layers] == [(), ()]


class Reads(Block):
    def forward(self, x):
        made = self.conv(x)
        return self.act(self.bn(made)) + made


class CallsTwice(Block):
    def forward(self, x):
        return self.act(self.bn(self.conv(self.bn(self.conv(x)))))


class Branches(Block):
    def forward(self, x):
        made = self.conv(x)
        return self.act(self.bn(made)) if made.sum() < 1e9 else made


class Leaves(Block):
    def forward(self, x, whole=None):
        made = self.conv(x)
        return self.act(self.bn(made)) if whole is None else made


class Calls(nn.Module):
    def __init__(self):
        super().__init__()
        self.block = Block()

    def forward(self, x):
        return self.block(x) + self.block.conv(x)


def hooked():
    block = Block()
    block.bn.register_forward_hook(lambda module, args, made: 2 * made)
    return block


@pytest.mark.parametrize("make", [
    Reads, CallsTwice, Branches, Calls, hooked,
    lambda: Block(nn.BatchNorm2d(4, track_running_stats=False)),
    lambda: Block(nn.InstanceNorm2d(4)),
    lambda: Block(nn.Identity()),
])  # fmt: skip
def test_what_other_code_reads_stays(make):
    torch.manual_seed(0)
    x = torch.randn(2, 4, 5, 6)
    model = trained(nn.Sequential(make()), *x.shape)
    expected = model(x)
    report = st.sparsify_(model, example_inputs=x, **ALL)
    assert [layer.fused for layer in report.replaced] == [()]
    torch.testing.assert_close(model(x), expected)


def test_calls_that_leave_out_what_follows_are_seen():
    torch.manual_seed(0)
    x = torch.randn(2, 4, 5, 6)
    for calls, fused in (([x], ("bn", "act")), ([x, (x, True)], ())):
        model = trained(Leaves(), *x.shape)
        report = st.sparsify_(model, example_inputs=calls, **ALL)
        assert [layer.fused for layer in report.replaced] == [fused]


def test_norms_in_training_mode_stay():
    x = torch.randn(2, 4, 5, 6)
    model = trained(network(), *x.shape).train()
    report = st.sparsify_(model, example_inputs=x, **ALL)
    assert {layer.name: layer.fused for layer in report.layers} == {
        **dict.fromkeys(FUSED, ()), "3.1": ()
    }  # fmt: skip
    assert model.training and model(x).shape == (2, 3, 29)


class Registers(nn.Module):
    def forward(self, x):
        self.register_buffer("seen", x)
        return x


def traces_buffers():
    """Return whether torch.fx traces `register_buffer`, which old releases of PyTorch refuse."""
    try:
        torch.fx.symbolic_trace(Registers())
    except TypeError:
        return False
    return True


class Keeps(Block):
    def forward(self, x):
        self.last = self.conv(x)
        self.register_buffer("seen", self.last)
        return self.act(self.bn(self.last))


def test_code_that_is_traced_leaves_nothing_behind():
    x = torch.randn(2, 4, 5, 6)
    model = nn.Sequential(Keeps()).eval()
    found = Chains(model, True).after(model[0].conv, True)
    assert [one.place.name for one in found] == (["bn", "act"] if traces_buffers() else [])
    assert not hasattr(model[0], "last") and not hasattr(model[0], "seen")
    assert F.silu(model[0].bn(model[0].conv(x))).shape == x.shape
