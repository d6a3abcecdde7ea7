"""The networks of the suite "models", as modules of torch.

The driver and the peers that run torch import this module; it needs torch and NumPy alone.
"""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from .problem import Problem

#: The version of ONNX's operators; DeepSparse, the oldest reader, knows no later ones than 17.
OPSET = 14


@dataclass(frozen=True)
class Network:
    """A network, and the shape of one input of it, without the batch."""

    make: Callable[[], nn.Module]
    input: tuple[int, ...]


class Winners(nn.Module):
    """The `count` largest elements along dimension 1 stay; the others become zeros."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.count = count

    def forward(self, x):
        # A comparison with the last winner is wrong in DeepSparse where a product follows.
        top = x.topk(self.count, dim=1, sorted=False)
        return torch.zeros_like(x).scatter(1, top.indices, top.values)


class Recurrent(nn.Module):
    """A recurrent layer whose result is the state of every step."""

    def __init__(self, kind: Callable[..., nn.RNNBase], inputs: int, hidden: int) -> None:
        super().__init__()
        self.layer = kind(inputs, hidden, batch_first=True)

    def forward(self, x):
        return self.layer(x)[0]


class Bottleneck(nn.Module):
    """A block of ResNet-50, without batch norms if these are folded into the convolutions.

    K. He, X. Zhang, S. Ren, J. Sun, "Deep residual learning for image recognition", CVPR 2016.
    """

    def __init__(self, channels, width, out, stride=1, *, norm=True) -> None:
        super().__init__()

        def convolution(inputs, outputs, size, stride=1):
            found = nn.Conv2d(inputs, outputs, size, stride, padding=size // 2, bias=not norm)
            return nn.Sequential(found, nn.BatchNorm2d(outputs)) if norm else found

        self.body = nn.Sequential(
            convolution(channels, width, 1),
            nn.ReLU(inplace=True),
            convolution(width, width, 3, stride),
            nn.ReLU(inplace=True),
            convolution(width, out, 1),
        )
        same = channels == out and stride == 1
        self.shortcut = nn.Identity() if same else convolution(channels, out, 1, stride)

    def forward(self, x):
        return torch.relu(self.body(x) + self.shortcut(x))


def mlp(*widths: int) -> nn.Module:
    """Return linear layers of these widths, with ReLU between them."""
    layers: list[nn.Module] = []
    for inputs, outputs in zip(widths, widths[1:], strict=False):
        layers += [nn.Linear(inputs, outputs), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def encoder(layers: int, d: int, heads: int, hidden: int) -> nn.Module:
    """Return a transformer encoder with the exact gelu; of one layer, that layer."""
    layer = nn.TransformerEncoderLayer(d, heads, hidden, activation="gelu", batch_first=True)
    return layer if layers == 1 else nn.TransformerEncoder(layer, layers)


def gsc(channels: int, hidden: int, classes: int) -> nn.Module:
    """Return Numenta's network for Google's Speech Commands: 32 x 32 inputs, k winners.

    S. Ahmad, L. Scheinkman, "How can we be so dense? The benefits of using highly sparse
    representations", 2019.
    """
    return nn.Sequential(
        nn.Conv2d(1, channels, 5),
        nn.MaxPool2d(2),
        Winners(round(0.095 * channels)),
        nn.Conv2d(channels, channels, 5),
        nn.MaxPool2d(2),
        Winners(round(0.125 * channels)),
        nn.Flatten(),
        nn.Linear(25 * channels, hidden),
        Winners(round(0.1 * hidden)),
        nn.Linear(hidden, classes),
    )


def resnet(blocks: tuple[int, ...], width: int, classes: int) -> nn.Module:
    """Return a ResNet of bottlenecks, of the shape that torchvision's have."""
    layers: list[nn.Module] = [
        nn.Conv2d(3, width, 7, 2, padding=3, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(3, 2, padding=1),
    ]
    channels = width
    for stage, count in enumerate(blocks):
        inner = width << stage
        for block in range(count):
            stride = 2 if stage and not block else 1
            layers.append(Bottleneck(channels, inner, 4 * inner, stride))
            channels = 4 * inner
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes)]
    return nn.Sequential(*layers)


#: The networks by the names of their operations (see `ops.networks`).
NETWORKS = {
    "MLP": Network(lambda: mlp(784, 1024, 1024, 1024, 10), (784,)),
    "encoder layer, 128 tokens": Network(lambda: encoder(1, 768, 12, 3072), (128, 768)),
    "encoder layer, 384 tokens": Network(lambda: encoder(1, 768, 12, 3072), (384, 768)),
    "encoder of 6 layers, 128 tokens": Network(lambda: encoder(6, 768, 12, 3072), (128, 768)),
    "LSTM": Network(lambda: Recurrent(nn.LSTM, 256, 1024), (100, 256)),
    "GRU": Network(lambda: Recurrent(nn.GRU, 256, 1024), (100, 256)),
    "ResNet bottleneck": Network(lambda: Bottleneck(1024, 256, 1024, norm=False), (1024, 14, 14)),
    "GSC": Network(lambda: gsc(64, 1500, 12), (1, 32, 32)),
    "ResNet-50": Network(lambda: resnet((3, 4, 6, 3), 64, 1000), (3, 224, 224)),
}


def _parameters(name: str) -> Iterator[tuple[bool, str, tuple[int, ...]]]:
    """Yield for each parameter of a network whether it is a weight, its name and its shape."""
    with torch.device("meta"):
        network = NETWORKS[name].make()
    for parameter, tensor in network.named_parameters():
        yield tensor.ndim > 1, parameter, tuple(tensor.shape)


def weight_shapes(name: str) -> list[tuple[int, ...]]:
    """Return the shapes of the weights of a network; other parameters are vectors."""
    return [shape for is_weight, _, shape in _parameters(name) if is_weight]


def draw_vectors(name: str, rng: np.random.Generator) -> np.ndarray:
    """Return the parameters that are no weights, one after another: biases and scales of norms."""
    drawn = [
        parameter.endswith("weight") + 0.1 * rng.standard_normal(shape)
        for is_weight, parameter, shape in _parameters(name)
        if not is_weight
    ]
    return np.concatenate(drawn)


def build(problem: Problem) -> nn.Module:
    """Return the network of a problem with its weights, ready for inference."""
    network = NETWORKS[problem.op].make().eval()
    # One row has all weights, one after another.
    weights = torch.zeros(problem.shape[1])
    weights[torch.from_numpy(problem.indices).long()] = torch.from_numpy(problem.data)
    sources = {True: weights, False: torch.from_numpy(problem.operands["vectors"])}
    with torch.no_grad():
        for parameter in network.parameters():
            is_weight = parameter.ndim > 1
            count = parameter.numel()
            parameter.copy_(sources[is_weight][:count].view_as(parameter))
            sources[is_weight] = sources[is_weight][count:]
    return network.requires_grad_(False)


def bind(problem: Problem, network: nn.Module) -> Callable[[], torch.Tensor]:
    """Return the call of a network with the inputs of a problem."""
    x = torch.from_numpy(problem.operands["x"])
    return torch.inference_mode()(lambda: network(x))


def reference(problem: Problem) -> np.ndarray:
    """Return the result of torch in float64."""
    network = build(problem).double()
    with torch.inference_mode():
        return network(torch.from_numpy(problem.operands["x"]).double()).numpy()


class _Traced(nn.Module):
    """A network without its options, which torch would export as inputs."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x):
        return self.network(x)


def to_onnx(problem: Problem) -> bytes:
    """Return the network of a problem as a model of ONNX whose only input is "x"."""
    x = torch.from_numpy(problem.operands["x"])
    # The fused operator of torch's encoder layers has no counterpart in ONNX.
    fused = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with (
            tempfile.TemporaryDirectory() as folder,
            torch.inference_mode(),
            warnings.catch_warnings(),
        ):
            warnings.simplefilter("ignore")
            path = Path(folder) / "network.onnx"
            torch.onnx.export(
                _Traced(build(problem)).eval(),
                (x,),
                path,
                # The exporter that writes operators as old as `OPSET`.
                dynamo=False,
                opset_version=OPSET,
                input_names=["x"],
            )
            return path.read_bytes()
    finally:
        torch.backends.mha.set_fastpath_enabled(fused)
