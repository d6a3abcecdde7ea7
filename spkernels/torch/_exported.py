"""Programs of `torch.export` as modules whose layers are modules again."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.fx import GraphModule, Node

__all__ = ["module_of"]

_CONVOLUTIONS = {
    torch.ops.aten.conv1d.default: nn.Conv1d,
    torch.ops.aten.conv2d.default: nn.Conv2d,
}
_NAMES = ("input", "weight", "bias", "stride", "padding", "dilation", "groups")


def module_of(program: torch.export.ExportedProgram) -> nn.Module:
    """Return a module that computes what a program does, with modules for its layers.

    In a program a linear layer or a convolution is a call of a function.  Layers whose weights are
    computed stay such calls.
    """
    exported = program.module()
    assert isinstance(exported, GraphModule)
    # A module of torch.export cannot be put into evaluation mode; this one can.
    made = GraphModule(exported, exported.graph)
    layers: dict[str, nn.Module] = {}
    for node in list(made.graph.nodes):
        layer = _layer_of(made, node)
        if layer is None:
            continue
        given = _arguments(node)
        path = given["weight"].target.removesuffix(".weight")
        known = layers.setdefault(path, layer)
        if repr(known) != repr(layer):  # two layers share a weight
            path = f"{path}_{len(layers)}"
            layers[path] = layer
        made.add_submodule(path, layers[path])
        with made.graph.inserting_before(node):
            call = made.graph.call_module(path, (given["input"],))
        node.replace_all_uses_with(call)
        made.graph.erase_node(node)
    made.recompile()
    return made.eval()


def _layer_of(module, node):
    """Return the module that stands for a call of a layer's function, or None."""
    linear = node.target is torch.ops.aten.linear.default
    kind = nn.Linear if linear else _CONVOLUTIONS.get(node.target)
    if node.op != "call_function" or kind is None:
        return None
    given = _arguments(node)
    weight, bias = (_parameter(module, given.get(name)) for name in ("weight", "bias"))
    if weight is None or (bias is None and given.get("bias") is not None):
        return None
    settings: dict[str, Any] = {"bias": bias is not None, "dtype": weight.dtype}
    if linear:
        layer = kind(weight.shape[1], weight.shape[0], **settings)
    else:
        groups = given.get("groups", 1)
        names = [name for name in ("stride", "padding", "dilation") if name in given]
        sizes = {name: tuple(given[name]) for name in names}
        layer = kind(weight.shape[1] * groups, weight.shape[0], tuple(weight.shape[2:]),
                     groups=groups, **sizes, **settings)  # fmt: skip
    layer.weight, layer.bias = weight, bias
    return layer


def _arguments(node):
    """Return the arguments of a call by name; programs of old releases name some when loaded."""
    return dict(zip(_NAMES, node.args, strict=False)) | node.kwargs


def _parameter(module, node):
    """Return the parameter that a node reads, or None if it computes something."""
    if not isinstance(node, Node) or node.op != "get_attr":
        return None
    found = module
    for name in node.target.split("."):
        found = getattr(found, name)
    return found if isinstance(found, nn.Parameter) else None
