"""The layers of an ONNX model: modules of the same shapes, with random weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

__all__ = ["OnnxLayers", "read_onnx", "session_of"]

_CONVOLUTIONS = {1: nn.Conv1d, 2: nn.Conv2d}
_RECURRENT: dict[str, tuple[type[nn.Module], int]] = {
    "LSTM": (nn.LSTM, 4), "GRU": (nn.GRU, 3), "RNN": (nn.RNN, 1),
}  # fmt: skip
#: The dtypes of weights by their names in ONNX.
_DTYPES = {
    "FLOAT": torch.float32, "DOUBLE": torch.float64, "FLOAT16": torch.float16,
    "BFLOAT16": torch.bfloat16,
}  # fmt: skip


class OnnxLayers(nn.Module):
    """The layers of a model, which are called one after another with inputs of their own."""

    def __init__(self) -> None:
        super().__init__()
        self._calls: list[tuple[nn.Module, torch.Tensor]] = []

    def put(self, name: str, layer: nn.Module, x: torch.Tensor) -> None:
        """Add a layer, under any name."""
        self._modules[name] = layer
        self._calls.append((layer, x))

    def forward(self) -> None:
        """Call all layers."""
        for layer, x in self._calls:
            layer(x)


def read_onnx(model: ModelProto, inputs: Mapping[str, torch.Tensor]) -> OnnxLayers:
    """Return the layers of a model at the shapes that its inputs produce.

    These are Conv, Gemm, MatMul, LSTM, GRU and RNN whose weights are constant and whose inputs have
    shapes that ONNX can infer.
    """
    import onnx
    from onnx import helper, shape_inference

    sized = onnx.ModelProto()
    sized.CopyFrom(model)
    graph = sized.graph
    # Shapes in the file may name dimensions that the inputs fix.
    del graph.value_info[:]
    for each in graph.output:
        each.type.tensor_type.ClearField("shape")
    for each in graph.input:
        if each.name in inputs:
            kind, sizes = each.type.tensor_type.elem_type, tuple(inputs[each.name].shape)
            each.CopyFrom(helper.make_tensor_value_info(each.name, kind, sizes))
    graph = shape_inference.infer_shapes(sized, data_prop=True).graph
    weights = {each.name: each for each in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            weights[node.output[0]] = node.attribute[0].t
    shapes = {
        each.name: tuple(dim.dim_value for dim in each.type.tensor_type.shape.dim)
        for each in (*graph.input, *graph.value_info, *graph.output)
    }
    layers = OnnxLayers()
    names: set[str] = set()
    for node in graph.node:
        with torch.device("cpu"):
            found = _layer_of(node, weights, shapes)
        if found is not None:
            name = node.name or node.output[0]
            name = node.output[0] if name in names else name
            names.add(name)
            layers.put(name, *found)
    return layers


def _layer_of(node, weights, shapes):
    """Return the module that stands for a node, and its input; None if it is no known layer."""
    makers: dict[str, Callable[..., Any]] = {"Conv": _conv, "Gemm": _gemm, "MatMul": _matmul}
    maker = makers.get(node.op_type, _recurrent if node.op_type in _RECURRENT else None)
    if maker is None or len(node.input) < 2 or node.input[1] not in weights:
        return None
    shape = shapes.get(node.input[0], ())
    dtype = _DTYPES.get(_type_name(weights[node.input[1]]))
    if not shape or not all(shape) or dtype is None:
        return None
    made = maker(node, weights, shape)
    if made is None:
        return None
    layer, sizes = made
    return layer.to(dtype), torch.randn(sizes).to(dtype)


def _type_name(tensor):
    import onnx

    return onnx.TensorProto.DataType.Name(tensor.data_type)


def _settings(node: NodeProto) -> dict[str, Any]:
    from onnx import helper

    return {each.name: helper.get_attribute_value(each) for each in node.attribute}


def _has(node, place):
    return len(node.input) > place and bool(node.input[place])


def _conv(node, weights, shape):
    outputs, inputs, *kernel = weights[node.input[1]].dims
    kind = _CONVOLUTIONS.get(len(kernel))
    if kind is None:
        return None
    settings = _settings(node)
    stride = settings.get("strides", [1] * len(kernel))
    dilation = settings.get("dilations", [1] * len(kernel))
    pads = settings.get("pads", [0] * 2 * len(kernel))
    before, after = pads[: len(kernel)], pads[len(kernel) :]
    if settings.get("auto_pad", b"NOTSET").startswith(b"SAME"):
        total = [
            max(0, (-(-size // step) - 1) * step + (width - 1) * apart + 1 - size)
            for size, step, width, apart in zip(shape[2:], stride, kernel, dilation, strict=True)
        ]
        before = [each // 2 for each in total]
        after = [each - half for each, half in zip(total, before, strict=True)]
    # torch pads both ends alike; what is more at one end belongs to the input here.
    padding = list(map(min, before, after))
    more = [one + other - 2 * both for one, other, both in zip(before, after, padding, strict=True)]
    groups = settings.get("group", 1)
    layer = kind(inputs * groups, outputs, tuple(kernel), tuple(stride), tuple(padding),
                 tuple(dilation), groups, _has(node, 2))  # fmt: skip
    return layer, (*shape[:2], *(size + extra for size, extra in zip(shape[2:], more, strict=True)))


def _gemm(node, weights, shape):
    settings = _settings(node)
    outputs, inputs = weights[node.input[1]].dims
    if not settings.get("transB", 0):
        outputs, inputs = inputs, outputs
    shape = shape[::-1] if settings.get("transA", 0) else shape
    return nn.Linear(inputs, outputs, _has(node, 2)), shape


def _matmul(node, weights, shape):
    dims = weights[node.input[1]].dims
    if len(dims) != 2:
        return None
    return nn.Linear(dims[0], dims[1], bias=False), shape


def _recurrent(node, weights, shape):
    kind, gates = _RECURRENT[node.op_type]
    directions, height, inputs = weights[node.input[1]].dims
    layer = kind(inputs, height // gates, bias=_has(node, 3), bidirectional=directions == 2)
    return layer, shape


def session_of(model: ModelProto, inputs: Mapping[str, torch.Tensor]) -> Callable[[], Any] | None:
    """Return a function that runs a model in onnxruntime, or None if that is not installed.

    It uses as many threads as torch does at the time.
    """
    try:
        import onnxruntime
    except ImportError:
        return None
    stored = model.SerializeToString()
    sessions: dict[int, Any] = {}
    feeds = {name: tensor.numpy() for name, tensor in inputs.items()}

    def run():
        threads = torch.get_num_threads()
        if threads not in sessions:
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = threads
            sessions[threads] = onnxruntime.InferenceSession(
                stored, options, providers=["CPUExecutionProvider"]
            )
        return sessions[threads].run(None, feeds)

    return run
