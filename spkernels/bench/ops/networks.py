"""Whole networks whose weights are pruned; an operation for each.

The matrix of a problem has one row, in which the weights of the network follow each other; the
other parameters are an operand.  The modules are those of `bench.networks`, which needs torch.
"""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np

from ..problem import Problem
from ._sizes import matrix_bytes
from ._tolerance import within

#: The allowed error in float32, relative to the largest number in the result.
TOLERANCE = 1e-4


class Network:
    """The operation of one network."""

    WIDTH = "batch"
    DENSE = ("torch eager", "torch compile", "onnxruntime network", "openvino")
    PEERS = (*DENSE, "deepsparse", "spkernels before", "spkernels")

    def __init__(self, name: str, tolerance: float = TOLERANCE) -> None:
        self.NAME = self.TITLE = name
        self._tolerance = tolerance

    def operands(self, matrix, width, rng, dtype) -> dict[str, np.ndarray]:
        """Make the inputs, and the parameters that are no weights."""
        from .. import networks

        shape = (width, *networks.NETWORKS[self.NAME].input)
        vectors = networks.draw_vectors(self.NAME, rng).astype(dtype)
        return {"x": rng.standard_normal(shape).astype(dtype), "vectors": vectors}

    def complete(self, problem: Problem) -> None:
        """Add the model of ONNX, as bytes, for peers that read one, if it can be made."""
        from .. import networks

        if find_spec("onnx") is not None:
            problem.operands["onnx"] = np.frombuffer(networks.to_onnx(problem), np.uint8)

    def reference(self, problem: Problem):
        """Return the result in float64, and its tolerance as `within` returns it."""
        from .. import networks

        return within(networks.reference(problem), self._tolerance, problem)

    def flops(self, problem: Problem) -> int:
        """Return the operations of the weights if each is used once for each input.

        Convolutions use each weight for every pixel, and other layers for every token or step.
        """
        return 2 * problem.nnz * len(problem.operands["x"])

    def bytes(self, problem: Problem) -> int:
        """Return the bytes of the weights, of the other parameters and of the inputs."""
        operands = problem.operands
        return matrix_bytes(problem) + operands["x"].nbytes + operands["vectors"].nbytes


def onnx_model(problem: Problem) -> bytes:
    """Return the model of ONNX; `NotImplementedError` if the driver could not make it."""
    if "onnx" not in problem.operands:
        raise NotImplementedError("the driver has no onnx, which exports the network")
    return problem.operands["onnx"].tobytes()


NETWORKS = {
    op.NAME: op
    for op in (
        Network("MLP"),
        Network("encoder layer, 128 tokens"),
        Network("encoder layer, 384 tokens"),
        Network("encoder of 6 layers, 128 tokens"),
        Network("LSTM"),
        Network("GRU"),
        Network("ResNet bottleneck"),
        # Of two values that differ by a rounding, either may be a winner.
        Network("GSC", tolerance=0.01),
        Network("ResNet-50"),
    )
}
