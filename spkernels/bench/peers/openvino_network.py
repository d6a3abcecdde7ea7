"""A network in OpenVINO, in float32: by default it rounds to bfloat16 where the processor can."""

import os
from functools import partial

import openvino

from ..ops.networks import onnx_model

SETTINGS = {
    "INFERENCE_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1"),
    "PERFORMANCE_HINT": "LATENCY",
    "INFERENCE_PRECISION_HINT": "f32",
}

OWN_THREADS = True


def versions():
    return {"openvino": openvino.__version__}


def bind(problem):
    core = openvino.Core()
    model = core.read_model(onnx_model(problem))
    return partial(core.compile_model(model, "CPU", SETTINGS), {"x": problem.operands["x"]})


def to_numpy(result, problem):
    return result[0]
