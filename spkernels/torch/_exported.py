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
        path = node.args[1].target.removesuffix(".weight")
        known = layers.setdefault(path, layer)
        if repr(known) != repr(layer):  # two layers share a weight
            path = f"{path}_{len(layers)}"
            layers[path] = layer
        made.add_submodule(path, layers[path])
        with made.graph.inserting_before(node):
            call = made.graph.call_module(path, (node.args[0],))
        node.replace_all_uses_with(call)
        made.graph.erase_node(node)
    made.recompile()
    return made.eval()


def _layer_of(module, node):
    """Return the module that stands for a call of a layer's function, or None."""
    linear = node.target is torch.ops.aten.linear.default
    kind = nn.Linear if linear else _CONVOLUTIONS.get(node.target)
    if node.op != "call_function" or kind is None or node.kwargs:
        return None
    weight = _parameter(module, node.args[1])
    bias = _parameter(module, node.args[2]) if len(node.args) > 2 and node.args[2] else None
    if weight is None or (bias is None and len(node.args) > 2 and node.args[2] is not None):
        return None
    settings: dict[str, Any] = {"bias": bias is not None, "dtype": weight.dtype}
    if linear:
        layer = kind(weight.shape[1], weight.shape[0], **settings)
    else:
        rest = dict(zip(("stride", "padding", "dilation", "groups"), node.args[3:], strict=False))
        groups = rest.pop("groups", 1)
        sizes = {name: tuple(value) for name, value in rest.items()}
        layer = kind(weight.shape[1] * groups, weight.shape[0], tuple(weight.shape[2:]),
                     groups=groups, **sizes, **settings)  # fmt: skip
    layer.weight, layer.bias = weight, bias
    return layer


def _parameter(module, node):
    """Return the parameter that a node reads, or None if it computes something."""
    if not isinstance(node, Node) or node.op != "get_attr":
        return None
    found = module
    for name in node.target.split("."):
        found = getattr(found, name)
    return found if isinstance(found, nn.Parameter) else None
