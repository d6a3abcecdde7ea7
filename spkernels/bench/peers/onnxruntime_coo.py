"""onnxruntime's contributed operator SparseToDenseMatMul, with the matrix as an input in COO.

onnxruntime makes a sparse initialiser dense when it loads a model, but keeps an input sparse.  With
an input in CSR the operator takes 30 to 60 times as long from 16 columns on (1.32, 2048 x 512, 90%
zeros), and about twice as long with fewer columns.
"""

import os

import numpy as np
import onnxruntime
from onnx import TensorProto, helper

THREADS = int(os.environ.get("OMP_NUM_THREADS", "1"))
TYPES = {"float32": TensorProto.FLOAT, "float64": TensorProto.DOUBLE}
#: Old enough for every onnxruntime that has the operator.
IR_VERSION, OPSET = 8, 15


def versions():
    return {"onnxruntime": onnxruntime.__version__}


def _session(dtype):
    """Return a session for C = A @ B of any shapes."""
    kind = TYPES[dtype.name]
    sparse = helper.make_sparse_tensor_value_info("A", kind, ["m", "k"])
    dense = helper.make_tensor_value_info("B", kind, ["k", "n"])
    result = helper.make_tensor_value_info("C", kind, ["m", "n"])
    node = helper.make_node("SparseToDenseMatMul", ["A", "B"], ["C"], domain="com.microsoft")
    model = helper.make_model(
        helper.make_graph([node], "product", [sparse, dense], [result]),
        opset_imports=[helper.make_opsetid("", OPSET), helper.make_opsetid("com.microsoft", 1)],
    )
    model.ir_version = IR_VERSION
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = THREADS
    return onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


def bind(problem):
    if problem.product != "spmm":
        raise NotImplementedError(f"onnxruntime has no {problem.product}")
    device = onnxruntime.OrtDevice.make("cpu", 0)
    positions = np.stack([problem.rows(), problem.indices], axis=1).astype(np.int64)
    matrix = onnxruntime.SparseTensor.sparse_coo_from_numpy(
        problem.shape, problem.data, positions, device
    )
    feeds = {
        "A": onnxruntime.OrtValue.ort_value_from_sparse_tensor(matrix),
        "B": onnxruntime.OrtValue.ortvalue_from_numpy(problem.b.reshape(len(problem.b), -1)),
    }
    session = _session(problem.data.dtype)

    # onnxruntime borrows the arrays, so the call keeps them alive.
    def call(borrowed=(problem, positions)):
        return session.run_with_ort_values(["C"], feeds)[0]

    return call


def to_numpy(result, problem):
    return result.numpy().reshape(problem.shape[0], *problem.b.shape[1:])
