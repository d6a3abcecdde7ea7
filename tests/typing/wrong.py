"""What a type checker must find: an error on each line that says so, and on no other."""

import numpy as np
import scipy.sparse as sp

import spkernels
from spkernels import accelerate, datasets, prepare, sparse_attention, spmm

A = sp.csr_array(np.eye(3, dtype=np.float32))
B = np.ones((3, 4), np.float32)
W = prepare(A)

spmm(A, B, activation="rellu")  # expect-error
spmm(A, B, order="R")  # expect-error
spmm(A, B, out=[1.0])  # expect-error
spmm(A, B, out=B, order="C")  # expect-error
spmm(A, B, worker=1)  # expect-error
spmm(A)  # expect-error
W.spmm(B, activation="RELU")  # expect-error
W.spmm(B, order="c")  # expect-error
W.linear(B.T, activation="swish")  # expect-error
W.linear(B.T, order="F")  # expect-error
W.linear(B, out=[1.0])  # expect-error
W.sddmm(B, B.T)  # expect-error-if-scipy-is-known
prepare(A, dtype="int9")  # expect-error
prepare(A, dtype=np.complex64)  # expect-error
prepare(A, op="spmv")  # expect-error
prepare(A, storage="float8")  # expect-error
prepare(A, dtype="int8", storage="float16")  # expect-error
prepare(A, op="sddmm", n=4)  # expect-error
prepare(A, k=4)  # expect-error
prepare(A, dtype="int8").spmm(B, activation="rellu")  # expect-error
prepare(A, dtype="int8").spmm(B, dtype="int16")  # expect-error
prepare(A, dtype="int8").explode()  # expect-error
prepare(A, op="sddmm") @ B  # expect-error
prepare(B)  # expect-error-if-scipy-is-known
spkernels.kwinners(B, 1, format="csc")  # expect-error
spkernels.kwinners(B, 1, format="csr", out=B)  # expect-error
spkernels.show_config("dict")  # expect-error
spkernels.patterns.Pattern("blocks", (4, 4), 1.0)  # expect-error
shape = sparse_attention(B, B, B, A, return_lse=True).shape  # expect-error
sparse_attention(B, B, B, B)  # expect-error-if-scipy-is-known
datasets.load("layer.smtx", values="one")  # expect-error
datasets.block_pruned(8, 8, (2, 2), 0.5, format="coo")  # expect-error
spkernels.cuda.prepare(A, kernel="row")  # expect-error
spkernels.cuda.prepare(A, precision="fp32")  # expect-error
spkernels.cuda.prepare(A, op=("spmm", "sdmm"))  # expect-error
spkernels.cuda.spmm(A, B, activation="rellu")  # expect-error
accelerate.report(True)  # expect-error


@accelerate
def twice(x: int) -> int:
    return 2 * x


twice("two")  # expect-error
