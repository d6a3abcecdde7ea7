"""C = A @ B of one matrix: each kernel, precision, number of columns and layout."""

import bounds
import numpy as np
from device import Matrix, to_bits
from ours import Failed, NotThere, Prepared, variants

#: 260 and 512 meet the wide tiles that a large GPU takes only where there is enough to do.
COLUMNS = (1, 8, 33, 128, 260, 512)


class Reference:
    """A, rounded to a dtype, times as many columns as are tried, in float64 on the device."""

    def __init__(self, device, A, dtype):
        xp = device.xp
        rng = np.random.default_rng(1)
        self.A = scaled(device, A, dtype)
        B = device.put(rng.standard_normal((A.shape[1], max(COLUMNS))))
        self.B = Matrix.rounded(device, B, dtype).values
        size = self.A.copy()
        size.data = np.abs(size.data)
        values = self.B.astype(xp.float64)
        self.exact = device.product(device.csr(self.A), values)
        self.size = device.product(device.csr(size), xp.abs(values))
        self.terms = device.put(np.diff(A.indptr).astype(float)[:, None])
        # A column that some rows lack and some have, if there is one.
        counts = np.bincount(A.indices, minlength=A.shape[1])
        self.poisoned = int(np.argmax(np.where(counts < A.shape[0], counts, 0)))
        held = np.zeros(A.shape[0], bool)
        held[np.repeat(np.arange(A.shape[0]), np.diff(A.indptr))[A.indices == self.poisoned]] = True
        self.held = device.put(held)


def scaled(device, A, dtype):
    """A, its largest value below 2 and all of them as the dtype has them."""
    A = A.copy()
    largest = np.abs(A.data).max() if A.nnz else 0
    if largest:
        A.data = A.data * 2.0 ** -np.floor(np.log2(largest))
    A.data = device.get(Matrix.rounded(device, device.put(A.data[None, :]), dtype).values)[0]
    A.data = A.data.astype(np.float64)
    return A


def run(library, name, A, dtype, progress):
    """Attempt each kernel and precision."""
    if 0 in A.shape:
        return
    reference = Reference(library.device, A, dtype)
    for kernel, precision in variants(dtype):
        record = {"operation": "spmm", "matrix": name, "dtype": dtype}
        record |= {"kernel": kernel, "precision": precision}
        asked = (library, reference, dtype, kernel, precision)
        progress.attempt(record, lambda asked=asked: [one(*asked)])


def one(library, reference, dtype, kernel, precision):
    """Return the status of a kernel, with what was wrong."""
    try:
        prepared = Prepared(library, reference.A, dtype, "spmm", kernel, precision)
        wrong, largest, cases = [], 0.0, 0
        for n in COLUMNS:
            for layout in "CF":
                share, faults = case(library.device, prepared, reference, n, layout, precision)
                wrong += [f"n={n} {layout}: {fault}" for fault in faults]
                largest, cases = max(largest, share), cases + 1
    except NotThere as reason:
        return {"status": "not there", "why": str(reason)}
    except Failed as reason:
        return {"status": "failed", "why": str(reason)}
    found = {"ran": prepared.name(128), "cases": cases, "worst": largest}
    return {**found, "status": "wrong" if wrong else "ok", "why": "; ".join(wrong[:4])}


def case(device, prepared, reference, n, layout, precision):
    """Return the worst share of the bound, and what was wrong."""
    xp, dtype = device.xp, prepared.dtype
    B = Matrix.rounded(device, reference.B[:, :n], dtype, layout)
    C = Matrix.poisoned(device, (prepared.shape[0], n), dtype, layout)
    product = prepared.spmm(B, C)
    product()
    device.synchronize()
    exact = reference.exact[:, :n]
    bound = bounds.of_sum(reference.terms, reference.size[:, :n], exact, dtype, precision)
    share = bounds.worst(xp, C.values, exact, bound)
    faults = [] if share <= 1 else [f"{share:.3g} times the bound"]
    first = C.bits.copy(order="A")
    C.poison()
    product()
    device.synchronize()
    if not C.has_bits_of(first):
        faults.append("other bits the second time")
    faults += spread_of_nan(device, product, B, C, reference, exact, bound)
    return share, faults


def spread_of_nan(device, product, B, C, reference, exact, bound):
    """NaN in a row of B: the rows of A with an entry there are NaN, and the others right."""
    xp, held = device.xp, reference.held
    B.bits[reference.poisoned] = to_bits(xp, xp.full(B.shape[1], xp.nan), B.dtype)
    C.poison()
    product()
    device.synchronize()
    values, others = C.values, ~held
    faults = []
    if not bool(xp.isnan(values[held]).all()):
        faults.append("NaN of B did not reach a row that has it")
    # Not the same bits: a kernel may sum in another order what holds NaN.
    if bounds.worst(xp, values[others], exact[others], bound[others]) > 1:
        faults.append("NaN of B changed a row that has no entry there")
    return faults
