"""One set of values of a prepared matrix, and the kernels that were made of it."""

from __future__ import annotations

import copy

from .._inputs import canonical
from .storage import rounded
from .strategies import KERNELS, width_class

__all__ = ["State"]


class State:
    """What belongs to one set of values: replaced as a whole when these change."""

    def __init__(self, csr, storage, workers, padding=None):
        values = rounded(csr.data, storage)
        self.shape, self.dtype, self.nnz = csr.shape, csr.dtype, csr.nnz
        # The matrix in CSR, or the kernel that it is restored from: one of both.
        self._csr = csr if values is csr.data else canonical.with_values(csr, values)
        self._source = None
        self.storage = storage
        self.workers = workers
        self.padding = padding
        self.kernels = {}
        # Those in use, and what `_core.spmm_fast` takes of them, by the columns that they multiply.
        self.by_width = {}
        self.operands = {}

    @property
    def csr(self):
        """The matrix in CSR: made anew at each look where it is not kept."""
        csr = self._csr
        return self._source.restored() if csr is None else csr

    @property
    def nbytes(self):
        """The memory of all that it keeps."""
        kept = {id(kernel): kernel.nbytes for kernel in list(self.kernels.values())}
        csr, source = self._csr, self._source
        if csr is not None:
            kept[id(csr)] = csr.data.nbytes + csr.indices.nbytes + csr.indptr.nbytes
        if source is not None:
            kept[id(source)] = source.nbytes
        return sum(kept.values())

    def shed(self):
        """Keep no CSR where a kernel in use holds all of it, and none needs it."""
        used = {id(kernel) for kernel in self.by_width.values()}
        for key, kernel in list(self.kernels.items()):
            if kernel.name == "rows" and id(kernel) not in used:
                self.kernels.pop(key, None)
        kernels = list(self.kernels.values())
        sources = [kernel for kernel in kernels if kernel.restores and id(kernel) in used]
        if sources and not any(kernel.needs_csr for kernel in kernels):
            # In this order: others may look at the matrix now.
            self._source = sources[0]
            self._csr = None

    def with_values(self, csr, values):
        """Return a state of its own for the same pattern, which `csr` has."""
        csr = canonical.with_values(csr, values)
        return State(csr, self.storage, self.workers, self.padding)

    def with_padding(self, padding):
        """Return a state that shares its kernels with this one, and may pad."""
        state = copy.copy(self)
        state.padding = padding
        return state

    def _key(self, name, n):
        return (name, width_class(n, self.dtype)) if KERNELS[name].by_width else name

    def make(self, name, csr, n, workers=None):
        """Make a kernel, for these rows or some of them; `workers` as in `PreparedMatrix.spmm`."""
        height = 1 if self.padding is None else self.padding.height
        workers = self.workers if workers is None else workers
        return KERNELS[name](csr, n, self.storage, workers, height)

    def kernel(self, name, n, workers=None):
        """Return a kernel by its name, packed for `n` columns by these workers."""
        key = self._key(name, n)
        found = self.kernels.get(key)
        if found is None:
            # Of threads that come at once, one's is kept.
            found = self.kernels.setdefault(key, self.make(name, self.csr, n, workers))
            if found.needs_csr:
                self._csr = found.csr
        return found

    def forget(self):
        """Have kernels chosen again."""
        # In this order: a width without an operand would take the longer path for good.
        self.by_width.clear()
        self.operands.clear()

    def drop(self, name, n):
        """Give the memory of a packed kernel back."""
        self.kernels.pop(self._key(name, n), None)
