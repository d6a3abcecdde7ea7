"""The state of a prepared matrix: one set of values, and the kernels packed from it."""

from __future__ import annotations

import copy

from .._inputs import canonical
from .storage import relative_error, rounded
from .strategies import KERNELS, width_class

__all__ = ["State"]


class State:
    """One set of values and its kernels; new values replace the whole state."""

    def __init__(self, csr, storage, workers, padding=None):
        source, csr = csr, rounded(csr, storage)
        #: The relative error of rounding to the storage, in the Frobenius norm.
        self.rounding_error = 0.0 if csr is source else relative_error(csr.data, source.data)
        self.shape, self.dtype, self.nnz = csr.shape, csr.dtype, csr.nnz
        # Either the matrix in CSR, or the kernel from which it is restored.
        self._csr = csr
        self._source = None
        self.storage = storage
        self.workers = workers
        self.padding = padding
        self.kernels = {}
        # By number of columns: the kernels in use, and their operands for `_core.spmm_fast`.
        self.by_width = {}
        self.operands = {}

    @property
    def csr(self):
        """The matrix in CSR; if it is not kept, each access restores it."""
        csr = self._csr
        return self._source.restored() if csr is None else csr

    @property
    def nbytes(self):
        """The memory of the CSR and of all kernels, in bytes."""
        kept = {id(kernel): kernel.nbytes for kernel in list(self.kernels.values())}
        csr, source = self._csr, self._source
        if csr is not None:
            kept[id(csr)] = csr.data.nbytes + csr.indices.nbytes + csr.indptr.nbytes
        if source is not None:
            kept[id(source)] = source.nbytes
        return sum(kept.values())

    def shed(self):
        """Free the CSR if a kernel in use can restore it and no kernel needs it."""
        used = {id(kernel) for kernel in self.by_width.values()}
        for key, kernel in list(self.kernels.items()):
            if kernel.name == "rows" and id(kernel) not in used:
                self.kernels.pop(key, None)
        kernels = list(self.kernels.values())
        sources = [kernel for kernel in kernels if kernel.restores and id(kernel) in used]
        if sources and not any(kernel.needs_csr for kernel in kernels):
            # Other threads may read the matrix now, so the source must be set first.
            self._source = sources[0]
            self._csr = None

    def with_values(self, csr, values):
        """Return a new state with other values for the structure of `csr`."""
        csr = canonical.with_values(csr, values)
        return State(csr, self.storage, self.workers, self.padding)

    def with_padding(self, padding):
        """Return a state that shares its kernels with this one, and has a padding."""
        state = copy.copy(self)
        state.padding = padding
        return state

    def _key(self, name, n):
        return (name, width_class(n, self.dtype)) if KERNELS[name].by_width else name

    def make(self, name, csr, n, workers=None):
        """Return a new kernel for `csr`, which has all or some of the rows."""
        height = 1 if self.padding is None else self.padding.height
        workers = self.workers if workers is None else workers
        return KERNELS[name](csr, n, self.storage, workers, height)

    def kernel(self, name, n, workers=None):
        """Return the kernel of a strategy for `n` columns, which the first call packs."""
        key = self._key(name, n)
        found = self.kernels.get(key)
        if found is None:
            # If several threads pack at once, the kernel of one is kept.
            found = self.kernels.setdefault(key, self.make(name, self.csr, n, workers))
            if found.needs_csr:
                self._csr = found.csr
        return found

    def forget(self):
        """Forget which kernels are used for which numbers of columns."""
        # A width with a kernel but without an operand would never use the fast entry again, so the
        # kernels are forgotten first.
        self.by_width.clear()
        self.operands.clear()

    def drop(self, name, n):
        """Free the memory of a packed kernel."""
        self.kernels.pop(self._key(name, n), None)
