"""The layers of ONNX models: their shapes and settings, and the advice on them."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed.")
onnx = pytest.importorskip("onnx", reason="onnx is not installed.")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402
from torch import nn  # noqa: E402

from spkernels.torch import _advise, advise  # noqa: E402
from spkernels.torch._onnx import read_onnx  # noqa: E402


def model_of(nodes, shape, **weights):
    """Return a model with the input x and the output y, whose weights have these shapes."""
    initializers = [
        numpy_helper.from_array(np.ones(sizes, np.float32), name) for name, sizes in weights.items()
    ]
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        initializers,
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return made


def layers_of(model, *sizes):
    layers = read_onnx(model, {"x": torch.zeros(sizes)})
    layers()
    return {name: (layer, tuple(x.shape)) for (name, layer), (_, x) in zip(
        layers.named_children(), layers._calls, strict=True)}  # fmt: skip


def test_products():
    nodes = [
        helper.make_node("Gemm", ["x", "a", "b"], ["u"], name="layer.0", transB=1),
        helper.make_node("Relu", ["u"], ["v"]),
        helper.make_node("MatMul", ["v", "m"], ["w"], name="layer.0"),
        helper.make_node("Gemm", ["w", "c"], ["z"]),
        helper.make_node("Identity", ["z"], ["y"]),
    ]
    model = model_of(nodes, ["n", 20], a=(30, 20), b=(30,), m=(30, 8), c=(8, 5))
    found = layers_of(model, 3, 20)
    assert list(found) == ["layer.0", "w", "z"]
    facts = [(each.out_features, each.in_features, each.bias is not None, shape)
             for each, shape in found.values()]  # fmt: skip
    assert facts == [(30, 20, True, (3, 20)), (8, 30, False, (3, 30)), (5, 8, False, (3, 8))]


def test_layers_are_on_the_cpu_whatever_the_default_device():
    model = model_of([helper.make_node("Gemm", ["x", "a"], ["y"], transB=1)], [3, 20], a=(30, 20))
    with torch.device("meta"):
        ((layer, _),) = layers_of(model, 3, 20).values()
    assert layer.weight.is_cpu


@pytest.mark.parametrize(
    ("settings", "sizes"),
    [
        ({}, (9, 7)),
        ({"pads": [1, 2, 1, 2], "strides": [2, 1], "dilations": [1, 2]}, (9, 7)),
        ({"pads": [0, 1, 2, 3]}, (9, 7)),
        ({"auto_pad": "SAME_UPPER", "strides": [2, 2]}, (9, 8)),
        ({"auto_pad": "VALID", "strides": [2, 3]}, (9, 8)),
        ({"group": 2}, (5, 5)),
    ],
)
def test_convolutions_have_the_outputs_of_onnx(settings, sizes):
    group = settings.get("group", 1)
    node = helper.make_node("Conv", ["x", "w"], ["y"], name="conv", **settings)
    model = model_of([node], [2, 4, *sizes], w=(6, 4 // group, 3, 2))
    inferred = onnx.shape_inference.infer_shapes(model).graph.output[0]
    expected = tuple(dim.dim_value for dim in inferred.type.tensor_type.shape.dim)
    ((layer, shape),) = layers_of(model, 2, 4, *sizes).values()
    assert layer.groups == group and layer.bias is None
    assert tuple(layer(torch.zeros(shape)).shape) == expected


def test_recurrent_layers_and_constants():
    constant = helper.make_node("Constant", [], ["w"], value=numpy_helper.from_array(
        np.ones((2, 32, 5), np.float32)))  # fmt: skip
    node = helper.make_node("LSTM", ["x", "w", "r"], ["", "h"], name="cell", hidden_size=8,
                            direction="bidirectional")  # fmt: skip
    end = helper.make_node("Identity", ["h"], ["y"])
    found = layers_of(model_of([constant, node, end], [7, 1, 5], r=(2, 32, 8)), 7, 1, 5)
    ((layer, shape),) = found.values()
    assert type(layer) is nn.LSTM and shape == (7, 1, 5)
    assert (layer.input_size, layer.hidden_size, layer.bidirectional) == (5, 8, True)


@pytest.mark.parametrize("installed", [True, False])
def test_advice_says_what_measured_the_whole(monkeypatch, installed):
    if installed:
        pytest.importorskip("onnxruntime", reason="onnxruntime is not installed.")
    else:
        monkeypatch.setattr(_advise, "session_of", lambda model, inputs: None)
    node = helper.make_node("Gemm", ["x", "a"], ["y"], name="fc", transB=1)
    model = model_of([node], ["n", 20], a=(30, 20))
    advice = advise(model, {"x": torch.randn(3, 20)}, [0.9], ["16x1"])
    assert [(layer.name, layer.shape, layer.input) for layer in advice.layers] == [
        ("fc", (30, 20), (3, 20))
    ]
    assert advice.dense > 0 and 0 < advice.layers[0].share <= 1
    words = "was measured in onnxruntime" if installed else "onnxruntime, which measures it, is not"
    assert words in str(advice)


def test_inputs_must_have_names():
    model = model_of([helper.make_node("Relu", ["x"], ["y"])], [2])
    with pytest.raises(TypeError, match="example_inputs must be a dict of tensors"):
        advise(model, torch.zeros(2))
