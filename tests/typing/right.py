"""What a type checker must infer."""

from __future__ import annotations

from typing import Any, assert_type

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

import spkernels
from spkernels import Int8Matrix, PreparedMatrix, PreparedPattern, accelerate, datasets, masks

A = sp.csr_array(np.eye(3, dtype=np.float32))
B = np.ones((3, 4), np.float32)
unknown: NDArray[np.float32] = np.asarray([[1.0]], np.float32)
stack = np.ones((2, 3, 4), np.float32)

# Products, by what they are written into.
assert_type(spkernels.spmm(A, B), NDArray[Any])  # if-known
assert_type(spkernels.spmm(B.T, A), NDArray[Any])  # if-known
assert_type(spkernels.spmm(A, [1.0] * 3, bias=1.0, activation="gelu"), NDArray[Any])  # if-known
assert_type(spkernels.spmm(A, unknown, out=unknown, beta=1.0), NDArray[np.float32])
assert_type(spkernels.spmspv(A, [1.0, 0.0, 0.0]), NDArray[Any])
assert_type(spkernels.spmspm(A, A.T, out=unknown), NDArray[np.float32])


def optional(out: NDArray[np.float32] | None) -> NDArray[Any]:
    return spkernels.spmm(A, B, out=out)


# Sampled products are of P's class, or the values alone of a stack.
spkernels.sddmm(A, B, B.T).toarray()
spkernels.sddmm(A.tolil(), B, B.T).toarray()
samples: NDArray[Any] = spkernels.sddmm(A, stack, B.T)
assert_type(spkernels.sddmm(A, unknown, unknown), Any)
spkernels.sddmm([A, A], stack, B.T)[0].toarray()
assert_type(spkernels.sddmm(A, stack, B.T, out=unknown), NDArray[np.float32])
spkernels.masked_softmax(spkernels.sddmm(A, B, B.T)).toarray()

# What is prepared depends on what it is for.
W = spkernels.prepare(A, n=64, dtype=np.float64, storage=None, tune=False)
assert_type(W, PreparedMatrix)
assert_type(W.T, PreparedMatrix)
assert_type(spkernels.prepare(A, dtype="float32", storage="bfloat16"), PreparedMatrix)
assert_type(spkernels.prepare(A, dtype="float32", storage="int4", group=32), PreparedMatrix)
assert_type(W.rounding_error, float)
assert_type(spkernels.prepare(A, dtype="int8"), Int8Matrix)
assert_type(spkernels.prepare(A, dtype=np.int8, n=4), Int8Matrix)
assert_type(spkernels.prepare(A, dtype=np.dtype(np.int8)), Int8Matrix)
assert_type(spkernels.prepare(A, op="sddmm", k=4), PreparedPattern)
assert_type(spkernels.prepare_many([A, A], n=[1, 4], jobs=2), list[PreparedMatrix])
assert_type(spkernels.prepare_many((A for _ in range(2)), dtype="int8"), list[Int8Matrix])
assert_type(W @ B, NDArray[Any])
left: NDArray[Any] = B.T @ W
left = B.T @ W.T
assert_type(W.spmm(B, activation="relu", order="F"), NDArray[Any])
assert_type(W.spmm(unknown, out=unknown), NDArray[np.float32])
assert_type(W.shape, tuple[int, int])
assert_type(W.nnz, int)
W.explain(4).chosen.upper()
assert_type(W.linear(stack, [1.0, 2.0, 3.0], activation="relu"), NDArray[Any])
assert_type(W.linear(unknown, out=unknown), NDArray[np.float32])
assert_type(spkernels.spmm(B.T, W, bias=1.0), NDArray[Any])  # if-known
into: NDArray[Any] = np.matmul(B.T, W, out=np.empty((4, 3), np.float32))

# The package's own types where sparse arrays are, too.
nm = spkernels.formats.NMArray.from_scipy(A, 2, 4)
assert_type(nm, spkernels.formats.NMArray)
assert_type(nm.T.toarray(), NDArray[Any])
assert_type(spkernels.prepare(nm), PreparedMatrix)
assert_type(spkernels.prepare(nm.T, dtype="int8"), Int8Matrix)
assert_type(spkernels.spmm(nm, B), NDArray[Any])
assert_type(nm.linear(stack), NDArray[Any])
assert_type(nm @ B, NDArray[Any])
W8 = spkernels.prepare(A, dtype="int8")
assert_type(W8 @ B.astype(np.int8), NDArray[np.int32])
assert_type(W8.spmm(B.astype(np.int8), dtype=np.uint8, out_scale=0.5), NDArray[Any])
assert_type(W8.scale, NDArray[np.float32])
P = spkernels.prepare(A, op="sddmm")
P.sddmm(B, B.T).toarray()
assert_type(P.sddmm(stack, B.T), NDArray[Any])

# Options that change what comes back.
Q = np.ones((3, 2), np.float32)
mask = masks.causal(3) & ~masks.window(3, 1) | masks.global_tokens(3, 1)
assert_type(mask, masks.Mask)
assert_type(spkernels.sparse_attention(Q, Q, Q, mask), NDArray[Any])
assert_type(
    spkernels.sparse_attention(Q, Q, Q, A, return_lse=True), tuple[NDArray[Any], NDArray[Any]]
)
assert_type(spkernels.kwinners(B, 1), NDArray[Any])
assert_type(spkernels.kwinners(unknown, 1, out=unknown), NDArray[np.float32])
spkernels.kwinners(B, 1, format="csr").toarray()
block = datasets.block_pruned(8, 8, (2, 2), 0.5, format="bsr").blocksize
assert_type(spkernels.show_config("dicts"), dict[str, dict[str, Any]])
assert_type(spkernels.cuda.is_available(), bool)
assert_type(spkernels.cuda.show_config("dicts"), dict[str, Any])
assert_type([found.kind == "block" for found in W.patterns], list[bool])


# A block, a decorator with parentheses and without: a function keeps its type.
@accelerate
def one(x: int) -> str:
    return str(x)


@accelerate()
def other(x: int) -> str:
    return str(x)


with accelerate() as switch:
    assert_type(switch.enabled, bool)
assert_type(one(1), str)
assert_type(other(1), str)
assert_type(accelerate.report().taken, int)


# Tensors of torch, which need not be there: of results, the class is that of `detach`.
class Tensor:
    def detach(self) -> Tensor:
        return self

    def crow_indices(self) -> Tensor:
        return self

    def __array__(self, dtype: Any = None) -> Any:
        return B


class Parameter(Tensor):
    pass


def of_tensors(x: Parameter, y: Tensor) -> None:
    assert_type(spkernels.spmm(A, x), Tensor)  # if-known
    assert_type(spkernels.spmm(x, A, bias=y), Tensor)  # if-known
    assert_type(spkernels.spmm(y, W, out=y), Tensor)
    assert_type(spkernels.spmm(y, B), NDArray[Any])  # if-known
    assert_type(W @ x, Tensor)
    assert_type(W.spmm(x, bias=y), Tensor)
    assert_type(W.linear(x, y, out=y), Tensor)
    assert_type(nm @ x, Tensor)
    assert_type(nm.linear(x), Tensor)
    assert_type(W8 @ x, Tensor)
    assert_type(W8.linear(x, scale=y), Tensor)
    assert_type(spkernels.sddmm(y, x, x), Tensor)
    assert_type(P.sddmm(x, x), Tensor)
    assert_type(spkernels.masked_softmax(y), Tensor)
    assert_type(spkernels.sparse_attention(x, x, x, mask), Tensor)
    assert_type(spkernels.sparse_attention(x, x, x, y, return_lse=True), tuple[Tensor, Tensor])
    assert_type(spkernels.kwinners(x, 1, format="csr"), Tensor)
    assert_type(spkernels.spmspv(A, x), Tensor)
    assert_type(spkernels.spmspm(A, y), Tensor)  # if-known
    assert_type(spkernels.spmspm(y, A.T), Tensor)  # if-known
