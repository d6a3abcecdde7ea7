#!/usr/bin/env bash
# onnxruntime 1.32.0, CPU: SparseToDenseMatMul is many times slower for CSR than for COO.
#
# The operator of the com.microsoft domain takes a sparse first input in COO or CSR.  For one
# 2048 x 512 matrix with 10% of its entries and a row-major B of 32 columns, CSR took 50 to 60 times
# as long as COO, with equal results.  With transB = 1 and B transposed in memory, CSR is fast too.
# This script fails if CSR takes less than 5 times as long as COO.
#
# Seen, one thread: CSR 50 to 60 times COO
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install -q numpy==2.4.6 scipy==1.17.1 onnx==1.23.2 onnxruntime==1.32.0
cd "$folder"
env/bin/python - <<'PYTHON'
import time

import numpy as np
import onnxruntime
import scipy.sparse as sp
from onnx import TensorProto, helper

FLOAT, ROWS, INNER, COLS = TensorProto.FLOAT, 2048, 512, 32
graph = helper.make_graph(
    [helper.make_node("SparseToDenseMatMul", ["A", "B"], ["C"], domain="com.microsoft")],
    "product",
    [helper.make_sparse_tensor_value_info("A", FLOAT, ["m", "k"]),
     helper.make_tensor_value_info("B", FLOAT, ["k", "n"])],
    [helper.make_tensor_value_info("C", FLOAT, ["m", "n"])],
)
domains = [helper.make_opsetid("", 15), helper.make_opsetid("com.microsoft", 1)]
model = helper.make_model(graph, opset_imports=domains)
model.ir_version = 8
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
session = onnxruntime.InferenceSession(
    model.SerializeToString(), options, providers=["CPUExecutionProvider"])

A = sp.csr_array(sp.random(ROWS, INNER, 0.1, "csr", dtype=np.float32, random_state=0))
B = np.random.default_rng(0).standard_normal((INNER, COLS)).astype(np.float32)
coo, device = A.tocoo(), onnxruntime.OrtDevice.make("cpu", 0)
pairs = np.stack([coo.row, coo.col], 1).astype(np.int64)
tensors = {
    "CSR": onnxruntime.SparseTensor.sparse_csr_from_numpy(
        A.shape, A.data, A.indices.astype(np.int64), A.indptr.astype(np.int64), device),
    "COO": onnxruntime.SparseTensor.sparse_coo_from_numpy(A.shape, coo.data, pairs, device),
}
best = dict.fromkeys(tensors, float("inf"))
for _ in range(5):
    for name, tensor in tensors.items():
        feed = {"A": onnxruntime.OrtValue.ort_value_from_sparse_tensor(tensor),
                "B": onnxruntime.OrtValue.ortvalue_from_numpy(B)}
        start = time.perf_counter()
        result = session.run_with_ort_values(["C"], feed)[0].numpy()
        best[name] = min(best[name], time.perf_counter() - start)
        np.testing.assert_allclose(result, A @ B, atol=1e-4)
ratio = best["CSR"] / best["COO"]
print(f"CSR takes {ratio:.0f} times as long as COO")
assert ratio > 5, ratio
PYTHON
