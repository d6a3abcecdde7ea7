"""A network in onnxruntime, which makes sparse weights dense."""

from functools import partial

import onnxruntime

from ..ops.networks import onnx_model
from .onnxruntime_coo import THREADS, versions

__all__ = ["bind", "to_numpy", "versions"]


def bind(problem):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = THREADS
    session = onnxruntime.InferenceSession(
        onnx_model(problem), options, providers=["CPUExecutionProvider"]
    )
    return partial(session.run, None, {"x": problem.operands["x"]})


def to_numpy(result, problem):
    return result[0]
