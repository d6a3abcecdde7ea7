"""Small pruned models of PyTorch, their bits, and what can be made of them."""

import copy
import io

import torch
from torch import nn
from torch.nn.utils import prune


def pruned(layer, amount=0.8):
    prune.l1_unstructured(layer, "weight", amount=amount)
    prune.remove(layer, "weight")  # leaves -0 for negative weights
    return layer


def mlp(activation=nn.ReLU):
    torch.manual_seed(0)
    layers = [pruned(nn.Linear(20, 30)), activation(), pruned(nn.Linear(30, 7))]
    return nn.Sequential(*layers).eval()


def bits(model):
    state = model.state_dict()
    return {name: value.clone().reshape(-1).view(torch.uint8) for name, value in state.items()}


def same_bits(model, expected):
    found = bits(model)
    return found.keys() == expected.keys() and all(
        torch.equal(found[name], expected[name]) for name in expected
    )


def copies_of(model):
    """Return the model, a copy, and what is saved of it and loaded."""
    stored = io.BytesIO()
    torch.save(model, stored)
    stored.seek(0)
    return [model, copy.deepcopy(model), torch.load(stored, weights_only=False)]


def programs_of(model, *args):
    """Return what torch.compile and torch.export make of the model, without graph breaks."""
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
    return [compiled, torch.export.export(model, args).module()]


X = torch.linspace(-2, 2, 60).reshape(3, 20)
