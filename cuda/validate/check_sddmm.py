"""X @ Y at the positions of one matrix."""

import itertools

import bounds
import numpy as np
from device import Matrix
from ours import Failed, NotThere, Prepared, variants

WIDTHS = (64, 128)
#: Elements of the float64 products that the reference makes at a time.
CHUNK = 1 << 25


def reference(device, A, X, Y):
    """The exact values and the sums of magnitudes, in A's order."""
    xp = device.xp
    rows = np.repeat(np.arange(A.shape[0]), np.diff(A.indptr))
    exact, size = xp.empty(A.nnz), xp.empty(A.nnz)
    step = CHUNK // X.shape[1]
    for start in range(0, A.nnz, step):
        part = slice(start, start + step)
        left = X[device.put(rows[part])].astype(xp.float64)
        terms = left * Y[device.put(A.indices[part])].astype(xp.float64)
        exact[part], size[part] = terms.sum(axis=1), xp.abs(terms).sum(axis=1)
    return exact, size


def run(library, name, A, dtype, progress):
    """Attempt each precision and width of X."""
    if A.nnz == 0:
        return
    precisions = [precision for kernel, precision in variants(dtype) if kernel == "auto"]
    for precision, k in itertools.product(precisions, WIDTHS):
        record = {"operation": "sddmm", "matrix": name, "dtype": dtype, "k": k, "kernel": "auto"}
        record["precision"] = precision
        asked = (library, A, dtype, k, precision)
        progress.attempt(record, lambda asked=asked: [one(*asked)])


def one(library, A, dtype, k, precision):
    """Return the status of a product, with what was wrong."""
    device = library.device
    try:
        prepared = Prepared(library, A, dtype, "sddmm", precision=precision, width=k)
        rng = np.random.default_rng(2)
        X = Matrix.rounded(device, device.put(rng.standard_normal((A.shape[0], k))), dtype)
        # Y, k x n and column-major, is the transpose of a row-major matrix.
        transposed = Matrix.rounded(device, device.put(rng.standard_normal((A.shape[1], k))), dtype)
        Y = Matrix(device, transposed.bits.T, dtype, "F")
        values = Matrix.poisoned(device, (1, A.nnz), dtype)
        product = prepared.sddmm(X, Y, values)
        product()
        device.synchronize()
        exact, size = reference(device, A, X.values, transposed.values)
        bound = bounds.of_sum(float(k), size, exact, dtype, precision)
        share = bounds.worst(device.xp, values.values[0], exact, bound)
        faults = [] if share <= 1 else [f"{share:.3g} times the bound"]
        first = values.bits.copy()
        values.poison()
        product()
        device.synchronize()
        if not values.has_bits_of(first):
            faults.append("other bits the second time")
    except NotThere as reason:
        return {"status": "not there", "why": str(reason)}
    except Failed as reason:
        return {"status": "failed", "why": str(reason)}
    return {"status": "wrong" if faults else "ok", "worst": share, "why": "; ".join(faults)}
