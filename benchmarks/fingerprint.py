"""Hash the results of a fixed set of products, bit by bit, for every instruction set.

A change that should leave results as they are prints the same lines before and after::

    python benchmarks/fingerprint.py >before.txt     # of the package installed before the change
    python benchmarks/fingerprint.py >after.txt
    diff before.txt after.txt

Each line has an instruction set, a group of products, their number and a SHA-256 of the shapes,
dtypes and bytes of their results.  Only public names are used, and nothing that is chosen by
measurement.
"""

import argparse
import hashlib
import itertools
import os
import subprocess
import sys

import numpy as np
import scipy.sparse as sp

import spkernels
from spkernels import masks

SEED = 20251130
FORMATS = ("csr", "csc", "coo", "bsr")
DTYPES = (np.float32, np.float64)
WIDTHS = (1, 2, 3, 4, 7, 8, 16, 17, 31, 33, 64, 100, 128, 200)
ACTIVATIONS = (None, "relu", "gelu", "gelu_tanh", "silu", "tanh", "sigmoid", "leaky_relu", "elu")
ACTIVATIONS += ("hardswish", "hardsigmoid", "relu6")


def scattered(rng, m, k, density, dtype):
    """Return a CSR array with entries at random places, and a few empty and a few long rows."""
    A = sp.random_array((m, k), density=density, rng=rng, dtype=np.float64, format="lil")
    A[m // 3] = 0
    A[m // 2] = rng.standard_normal(k)
    A = sp.csr_array(A)
    A.data = rng.standard_normal(A.nnz)
    return A.astype(dtype)


def blocked(rng, m, k, density, block, dtype):
    """Return a CSR array whose entries fill blocks of the shape `block`."""
    rows, cols = -(-m // block[0]), -(-k // block[1])
    grid = sp.random_array((rows, cols), density=density, rng=rng, format="csr")
    grid.data[:] = 1
    A = sp.csr_array(sp.kron(grid, np.ones(block)))[:m, :k]
    A.data = rng.standard_normal(A.nnz)
    return sp.csr_array(A).astype(dtype)


def matrices(rng, dtype):
    """Yield matrices that lead to different kernels: shapes, densities and structures."""
    yield scattered(rng, 67, 53, 0.1, dtype)
    yield scattered(rng, 300, 513, 0.05, dtype)
    yield scattered(rng, 1100, 900, 0.02, dtype)
    yield scattered(rng, 256, 1024, 0.4, dtype)
    for block in ((4, 4), (16, 1), (8, 1), (4, 1), (2, 2)):
        yield blocked(rng, 256, 384, 0.1, block, dtype)


def in_format(A, name, index):
    """Return A in a format of scipy, with indices of a dtype."""
    A = A.tobsr((4, 4)) if name == "bsr" and not any(s % 4 for s in A.shape) else A.asformat(name)
    if name == "coo":
        return sp.coo_array((A.data, tuple(c.astype(index) for c in A.coords)), shape=A.shape)
    A.indices, A.indptr = A.indices.astype(index), A.indptr.astype(index)
    return A


def laid_out(X, layout):
    """Return an array equal to X whose elements lie in another order."""
    if layout == "F":
        return np.asfortranarray(X)
    if layout == "strided":
        wide = np.zeros((X.shape[0], 2 * X.shape[1]), X.dtype)
        wide[:, ::2] = X
        return wide[:, ::2]
    return X


def spmm_formats(rng):
    """Products of every format, dtype, index dtype and width."""
    for dtype in DTYPES:
        for A, name in itertools.product(matrices(rng, dtype), FORMATS):
            A = in_format(A, name, rng.choice([np.int32, np.int64]))
            yield spkernels.spmm(A, rng.standard_normal(A.shape[1]).astype(dtype))
            for n in WIDTHS:
                B = rng.standard_normal((A.shape[1], n)).astype(dtype)
                yield spkernels.spmm(A, B, workers=1 + n % 2)


def spmm_layouts(rng):
    """Products with operands and results in other orders, and dense matrices on the left."""
    for dtype, name in itertools.product(DTYPES, FORMATS):
        for A in itertools.islice(matrices(rng, dtype), 3):
            A = in_format(A, name, np.int32)
            for layout, order, n in itertools.product("CF", "CF", (1, 5, 24, 96)):
                B = rng.standard_normal((A.shape[1], n)).astype(dtype)
                yield spkernels.spmm(A, laid_out(B, layout), order=order)
                yield spkernels.spmm(A, laid_out(B, "strided"), order=order)
                X = rng.standard_normal((n, A.shape[0])).astype(dtype)
                yield spkernels.spmm(laid_out(X, layout), A, order=order)


def spmm_epilogues(rng):
    """alpha, beta, bias and activations, for products of one time and prepared ones."""
    for dtype, name in itertools.product(DTYPES, FORMATS):
        A = in_format(scattered(rng, 90, 112, 0.15, dtype), name, np.int32)
        W = spkernels.prepare(A, n=16, tune=False)
        for activation, n in itertools.product(ACTIVATIONS, (1, 16, 40)):
            B = rng.standard_normal((A.shape[1], n)).astype(dtype)
            out = rng.standard_normal((A.shape[0], n)).astype(dtype)
            options = {"alpha": 1.5, "beta": -0.5, "activation": activation}
            options["bias"] = rng.standard_normal((A.shape[0], 1)).astype(dtype)
            yield spkernels.spmm(A, B, out=out.copy(), **options)
            yield W.spmm(B, out=out.copy(), **options)


def prepared(rng):
    """Prepared products of every structure, width and way to store values."""
    for dtype in DTYPES:
        for A in matrices(rng, dtype):
            for n in (1, 2, 4, 8, 16, 32, 64, 128):
                B = rng.standard_normal((A.shape[1], n)).astype(dtype)
                yield spkernels.prepare(A, n=n, tune=False) @ B
                if dtype == np.float32:
                    for storage in ("float16", "bfloat16"):
                        W = spkernels.prepare(A, n=n, tune=False, storage=storage)
                        yield W @ B
                        yield W.linear(np.ascontiguousarray(B.T))
                        yield W.toscipy().data
            W = spkernels.prepare(A, n=8, tune=False)
            yield W.T @ rng.standard_normal((A.shape[0], 9)).astype(dtype)
            yield W.toscipy().data


def int8(rng):
    """Products of int8 weights, for every width and type of operand."""
    for A in matrices(rng, np.float32):
        for n in (1, 2, 4, 8, 16, 32, 64, 128):
            W = spkernels.prepare(A, n=n, dtype="int8")
            for dtype in (np.int8, np.uint8):
                limits = np.iinfo(dtype)
                B = rng.integers(limits.min, limits.max, (A.shape[1], n)).astype(dtype)
                yield W @ B
                yield W.spmm(B, scale=0.01, activation="relu", dtype=np.float32)
                yield W.linear(np.ascontiguousarray(B.T), scale=0.02, dtype=np.float32)


def sampled(rng):
    """Sampled products of scattered, blocked and banded structures."""
    for dtype in DTYPES:
        band = sp.csr_array(sp.diags_array(np.ones(31), offsets=range(-15, 16), shape=(400, 400)))
        for P in (*matrices(rng, dtype), band.astype(dtype)):
            for name, k in itertools.product(FORMATS, (1, 3, 16, 64, 100)):
                X = rng.standard_normal((P.shape[0], k)).astype(dtype)
                Y = rng.standard_normal((k, P.shape[1])).astype(dtype)
                S = spkernels.sddmm(in_format(P, name, np.int64), X, laid_out(Y, "CF"[k % 2]))
                yield S.data
                yield spkernels.prepare(P, op="sddmm", k=k).sddmm(X, Y).data


def attention(rng):
    """Fused attention and the softmax of the rows of a sparse array."""
    for dtype, d in itertools.product(DTYPES, (8, 24, 64)):
        Q, K, V = rng.standard_normal((3, 320, d)).astype(dtype)
        kinds = (
            masks.window(320, 64),
            masks.causal(320),
            masks.bigbird(320, block_size=16, rng=1),
            scattered(rng, 320, 320, 0.05, dtype),
        )
        for mask in kinds:
            outputs, lse = spkernels.sparse_attention(Q, K, V, mask, return_lse=True)
            yield outputs
            yield lse
        yield spkernels.masked_softmax(scattered(rng, 320, 200, 0.1, dtype)).data


def activations(rng):
    """The largest of each row, and products of sparse vectors and of two sparse matrices."""
    for dtype in DTYPES:
        X = rng.standard_normal((33, 1000)).astype(dtype)
        for k in (1, 20, 333):
            yield spkernels.kwinners(X, k)
        for A in itertools.islice(matrices(rng, dtype), 4):
            x = sp.random_array((A.shape[1], 1), density=0.1, rng=rng, dtype=dtype, format="csc")
            yield spkernels.spmspv(A.tocsc(), x)
            yield spkernels.spmspv(np.asfortranarray(A.toarray()), x)
            B = sp.random_array((A.shape[1], 77), density=0.1, rng=rng, dtype=dtype, format="csr")
            yield spkernels.spmspm(A, B)


GROUPS = (spmm_formats, spmm_layouts, spmm_epilogues, prepared)
GROUPS += (int8, sampled, attention, activations)


def fingerprint(group):
    """Return the number of results of a group and the SHA-256 of all of them."""
    digest, count = hashlib.sha256(), 0
    for result in group(np.random.default_rng(SEED)):
        digest.update(f"{result.shape} {result.dtype.str}".encode())
        digest.update(np.ascontiguousarray(result).tobytes())
        count += 1
    return count, digest.hexdigest()


def main():
    """Print the lines of one instruction set, or of all in processes of their own."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--isa", help="one instruction set (default: all of this machine)")
    isa = parser.parse_args().isa
    if isa is None:
        found = spkernels.show_config("dicts")["simd"]["available"]
        return max(
            subprocess.run(
                [sys.executable, __file__, "--isa", name],
                env=os.environ | {"SPKERNELS_ISA": name},
                check=False,
            ).returncode
            for name in found
        )
    for group in GROUPS:
        count, digest = fingerprint(group)
        print(f"{isa:8} {group.__name__:16} {count:5} {digest}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
