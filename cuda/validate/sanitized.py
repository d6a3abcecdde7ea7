"""Runs every kernel family once on small matrices of odd shapes, for a checker to look on.

python cuda/validate/sanitized.py LIBRARY [--emulated]
"""

import json
import sys

import numpy as np
import patterns
import scipy.sparse as sp
from device import UNITS, to_bits
from memory import Memory, Operand, RawDevice
from ours import Library, NotThere, Prepared, variants


def odd(rng):
    """Matrices with empty rows, a long row, and columns that rows share."""
    scattered = sp.random(37, 53, density=0.2, format="csr", random_state=rng)
    lengths = rng.choice([0, 1, 5, 40], 21)
    lengths[3] = 700
    indptr = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    indices = rng.integers(0, 900, indptr[-1]).astype(np.int32)
    long = sp.csr_matrix((rng.standard_normal(indptr[-1]), indices, indptr), shape=(21, 900))
    shared = patterns.with_values(patterns.blocks(48, 80, 0.3, rng, 16, 1), rng)
    return scattered, long, shared


def wide(rng):
    """A matrix with enough rows for the widest tiles of a large GPU."""
    return sp.random(4300, 64, density=0.03, format="csr", random_state=rng)


def filled(device, rng, shape, dtype):
    """Normal values in memory of their own."""
    return Memory(device, to_bits(np, rng.standard_normal(shape), dtype), dtype)


def spmm(library, A, dtype, rng, columns=(1, 7, 33, 130)):
    """Run every kernel; return how many there were."""
    count, device = 0, library.device
    for kernel, precision in variants(dtype):
        try:
            prepared = Prepared(library, A, dtype, "spmm", kernel, precision)
        except NotThere:
            continue
        for n in columns:
            for strides in ((n, 1), (1, None)):
                operands = []
                for rows in A.shape[::-1]:
                    memory = filled(device, rng, (rows, n), dtype)
                    pair = tuple(rows if step is None else step for step in strides)
                    operands.append(Operand(memory, (rows, n), dtype, pair))
                prepared.spmm(*operands)()
                device.synchronize()
        count += 1
    return count


def sddmm(library, A, dtype, rng):
    """Run products of some widths, of both layouts; return how many there were."""
    count, device = 0, library.device
    for k in (5, 40, 64, 128):
        try:
            prepared = Prepared(library, A, dtype, "sddmm", width=k)
            X = Operand(filled(device, rng, (A.shape[0], k), dtype), (A.shape[0], k), dtype, (k, 1))
            values = filled(device, rng, (1, A.nnz), dtype)
            for strides in ((1, k), (A.shape[1], 1)):
                memory = filled(device, rng, (A.shape[1], k), dtype)
                Y = Operand(memory, (k, A.shape[1]), dtype, strides)
                prepared.sddmm(X, Y, values)()
                device.synchronize()
        except NotThere:
            continue
        count += 1
    return count


def attention(library, dtype, rng):
    """Run attention on odd numbers of rows; return how many there were."""
    count, device = 0, library.device
    for rows, d, dv in ((67, 64, 64), (130, 40, 72), (96, 128, 128), (65, 256, 200)):
        mask = rng.random((rows, rows)) < 0.2
        mask[5] = False
        try:
            prepared = Prepared(
                library, patterns.with_values(mask, rng), dtype, "attention", width=d
            )
            shapes = ((1, 2, rows, d), (1, 1, rows, d), (1, 1, rows, dv), (1, 2, rows, dv))
            Q, K, V, out = (filled(device, rng, shape, dtype) for shape in shapes)
            lse = Memory(device, np.zeros((1, 2, rows), np.float32))
            prepared.attend(Q, K, V, out, lse, 0.1)()
            device.synchronize()
        except NotThere:
            continue
        count += 1
    return count


def main(path, emulated):
    """Run everything, and print how much there was."""
    library, rng = Library(path, RawDevice(emulated)), np.random.default_rng(0)
    counts = {"spmm": 0, "sddmm": 0, "attention": 0}
    for dtype in UNITS:
        for A in odd(rng):
            counts["spmm"] += spmm(library, A, dtype, rng)
            counts["sddmm"] += sddmm(library, A, dtype, rng)
        if not emulated:  # where a few rows fill the device
            counts["spmm"] += spmm(library, wide(rng), dtype, rng, (132, 260))
    for dtype in ("float16", "bfloat16"):
        counts["attention"] += attention(library, dtype, rng)
    print(json.dumps(counts))


if __name__ == "__main__":
    main(sys.argv[1], "--emulated" in sys.argv[2:])
