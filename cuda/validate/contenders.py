"""What is timed against what: each contender makes a call, and says how it is to be timed."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from cusparse import ALGORITHMS, CuSparse
from device import Matrix
from ours import NotThere, Prepared, variants

KERNEL = ("warm", "flushed")
#: From Python, allocation and dispatch with it.
END_TO_END = ("calls",)
#: Elements of a sparse matrix that is also multiplied as a dense one: graphs are not.
MAX_DENSE = 1 << 26


@dataclass
class Contender:
    """`make()` returns a call that takes the address of a stream."""

    name: str
    algorithm: str
    make: Callable
    ways: tuple = KERNEL


class Others:
    """The other libraries, of which an emulated device has none."""

    def __init__(self, device, clock):
        self.device = device
        self.here = not device.emulated
        if self.here:
            import torch

            self.torch, self.cusparse = torch, CuSparse(device)
            # All that torch enqueues goes where the clock looks.
            torch.cuda.set_stream(torch.cuda.ExternalStream(clock.stream.ptr))
        else:
            self.torch = self.cusparse = None

    def tensor(self, M):
        """A `device.Matrix` as a tensor of the same memory."""
        tensor = self.torch.from_dlpack(M.bits)
        return tensor.view(self.torch.bfloat16) if M.dtype == "bfloat16" else tensor

    def tensor_csr(self, A, dtype):
        """A scipy CSR matrix as torch's."""
        parts = (self.torch.from_dlpack(self.device.put(a)) for a in (A.indptr, A.indices))
        values = self.torch.from_dlpack(self.device.put(A.data.astype(np.float32)))
        kind = getattr(self.torch, dtype)
        return self.torch.sparse_csr_tensor(*parts, values.to(kind), A.shape)

    def descriptor(self, A, dtype):
        """A scipy CSR matrix as cuSPARSE's, with memory of its own."""
        put = self.device.put
        values = Matrix.rounded(self.device, put(A.data[None, :]), dtype).bits
        return self.cusparse.csr(
            put(A.indptr.astype(np.int32)), put(A.indices.astype(np.int32)), values, A.shape, dtype
        )

    def dense(self, left, right, shape, tf32=False):
        """Return the call of cuBLAS's product of two tensors."""
        out = self.torch.empty(shape, dtype=left.dtype, device=left.device)
        matmul, mm = self.torch.backends.cuda.matmul, self.torch.mm

        def call(stream):
            matmul.allow_tf32 = tf32
            mm(left, right, out=out)

        return call


def ours_spmm(library, A, dtype, n, kernel, precision, B, C):
    """Make a call of the library; a kernel that rounds is not there if another runs for it."""

    def make():
        prepared = Prepared(library, A, dtype, "spmm", kernel, precision, n)
        if precision != "strict" and prepared.name(n) in ("rows", "panels"):
            raise NotThere(f"{precision} runs {prepared.name(n)}")
        call = prepared.spmm(B, C)
        call.ran = prepared.name(n)
        return call

    return make


def ours_from_python(library, A, dtype, n, B):
    """Make a call that allocates C and the workspace each time."""

    def make():
        prepared = Prepared(library, A, dtype, "spmm", width=n)
        device, kind, shape = library.device, B.bits.dtype, (A.shape[0], n)

        def call(stream):
            C = Matrix(device, device.xp.empty(shape, kind), dtype)
            prepared.spmm(B, C, poisoned=False)(stream)

        return call

    return make


def spmm(library, others, A, dtype, n, rng, kernels=None):
    """Yield the contenders of C = A @ B for row-major B of n columns."""
    device = library.device
    B = Matrix.rounded(device, device.put(rng.standard_normal((A.shape[1], n))), dtype)
    C = Matrix.poisoned(device, (A.shape[0], n), dtype)
    for kernel, precision in kernels or variants(dtype):
        if precision != "strict" and kernel in ("rows", "panels"):
            continue  # they multiply as float32 in any case
        name = kernel if precision == "strict" else f"{kernel}/{precision}"
        make = ours_spmm(library, A, dtype, n, kernel, precision, B, C)
        yield Contender("ours", name, make)
    yield Contender("ours", "python", ours_from_python(library, A, dtype, n, B), END_TO_END)
    if others.here:
        yield from _others_spmm(others, A, dtype, B, C)


def _others_spmm(others, A, dtype, B, C):
    def by_cusparse(algorithm):
        sparse, (b, c) = others.descriptor(A, dtype), map(others.cusparse.dense, (B, C))
        return others.cusparse.product("SpMM", sparse, b, c, algorithm)

    for name, algorithm in ALGORITHMS.items():
        yield Contender("cusparse", name, lambda algorithm=algorithm: by_cusparse(algorithm))

    def by_torch():
        sparse, right = others.tensor_csr(A, dtype), others.tensor(B)
        return lambda stream: sparse @ right

    yield Contender("torch.sparse", "csr", by_torch, ("queued",))

    def by_cublas(tf32):
        values = others.device.put(A.toarray())
        left = others.tensor(Matrix.rounded(others.device, values, dtype))
        return others.dense(left, others.tensor(B), C.shape, tf32)

    if A.shape[0] * A.shape[1] <= MAX_DENSE:
        yield Contender("cublas", "dense", lambda: by_cublas(False))
        if dtype == "float32":
            yield Contender("cublas", "dense/tf32", lambda: by_cublas(True))

    def by_cupy():
        sparse = others.device.sparse.csr_matrix(A.astype(np.float32))
        right = B.bits
        return lambda stream: sparse @ right

    if dtype == "float32":
        yield Contender("cupy", "csr", by_cupy, END_TO_END)


def sddmm(library, others, mask, dtype, k, rng):
    """Yield the contenders of X @ Y at the entries of a mask."""
    device = library.device
    X, transposed = (
        Matrix.rounded(device, device.put(rng.standard_normal((size, k))), dtype)
        for size in mask.shape
    )
    Y = Matrix(device, transposed.bits.T, dtype, "F")

    def by_us(precision):
        values = Matrix.poisoned(device, (1, mask.nnz), dtype)
        prepared = Prepared(library, mask, dtype, "sddmm", precision=precision, width=k)
        return prepared.sddmm(X, Y, values)

    yield Contender("ours", "auto", lambda: by_us("strict"))
    if dtype == "float32":
        yield Contender("ours", "auto/tf32", lambda: by_us("tf32"))
    if not others.here:
        return

    def by_cusparse():
        sparse, (x, y) = others.descriptor(mask, dtype), map(others.cusparse.dense, (X, Y))
        return others.cusparse.product("SDDMM", x, y, sparse)

    def by_torch():
        sparse, (x, y) = others.tensor_csr(mask, dtype), map(others.tensor, (X, Y))
        sampled = others.torch.sparse.sampled_addmm
        return lambda stream: sampled(sparse, x, y, beta=0.0)

    def by_cublas(tf32):
        return others.dense(others.tensor(X), others.tensor(Y), mask.shape, tf32)

    if dtype != "bfloat16":
        yield Contender("cusparse", "default", by_cusparse)
    if dtype == "float32":
        yield Contender("torch.sparse", "sampled_addmm", by_torch, ("queued",))
    yield Contender("cublas", "dense", lambda: by_cublas(False))
    if dtype == "float32":
        yield Contender("cublas", "dense/tf32", lambda: by_cublas(True))


def attention(library, others, mask, dtype, heads, d, rng, flex):
    """Yield the contenders of attention over a mask, one batch of so many heads."""
    device = library.device
    xp, rows = device.xp, mask.shape[0]
    flat = [
        Matrix.rounded(device, device.put(rng.standard_normal((heads * rows, d))), dtype)
        for _ in range(3)
    ]
    shape = (1, heads, rows, d)

    def by_us():
        out = xp.empty(shape, flat[0].bits.dtype)
        prepared = Prepared(library, mask, dtype, "attention", width=d)
        parts = (M.bits.reshape(shape) for M in flat)
        return prepared.attend(*parts, out, None, 1 / np.sqrt(d))

    yield Contender("ours", "auto", by_us)
    if not others.here:
        return
    torch = others.torch

    def dense_mask():
        return torch.from_dlpack(device.put(mask.toarray().astype(np.uint8))).to(torch.bool)

    def by_sdpa():
        Q, K, V = (others.tensor(M).view(shape) for M in flat)
        kept, attend = dense_mask(), torch.nn.functional.scaled_dot_product_attention
        return lambda stream: attend(Q, K, V, attn_mask=kept)

    def by_full_sdpa():
        Q, K, V = (others.tensor(M).view(shape) for M in flat)
        attend = torch.nn.functional.scaled_dot_product_attention
        return lambda stream: attend(Q, K, V)

    def by_flex():
        from torch.nn.attention.flex_attention import create_block_mask, flex_attention

        kept = dense_mask()
        blocks = create_block_mask(
            lambda b, h, q, k: kept[q, k], None, None, rows, rows, device="cuda"
        )
        Q, K, V = (others.tensor(M).view(shape) for M in flat)
        compiled = torch.compile(flex_attention)
        return lambda stream: compiled(Q, K, V, block_mask=blocks)

    if flex:
        yield Contender("flex", "compiled", by_flex, ("queued",))
        return
    yield Contender("sdpa", "mask", by_sdpa)
    yield Contender("sdpa", "no mask", by_full_sdpa)
