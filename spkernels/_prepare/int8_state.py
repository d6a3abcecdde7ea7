"""The state of a matrix of int8: one set of values, and the data packed from it."""

from __future__ import annotations

import numpy as np

from .. import _core
from .._inputs import canonical
from .._inputs.errors import raise_status
from .._inputs.sparse import sparse_arrays
from .._runtime.threads import resolve_workers
from .quantise import check_sums

__all__ = ["State", "describe_int8", "pack_int8"]


class State:
    """One set of values and the data packed from it; new values replace the whole state.

    There are no locks.  Packed data are assigned when they are complete; if several threads pack at
    once, the data of one thread are kept.
    """

    def __init__(self, csr, scale):
        self.csr = csr
        scale.flags.writeable = False
        self.scale = scale
        self.packed = {}
        self._factors = 1.0, scale  # the last step of B, and the factors of rows for it
        self._transposed = None

    def packed_for(self, n, workers):
        """Return the data packed for `n` columns, which the first call packs."""
        width = _core.int8_width(n)
        found = self.packed.get(width)
        if found is None:
            found = self.packed.setdefault(width, pack_int8(self.csr, width, workers))
        return found

    def transposed(self):
        """Return the state of the transpose, which the first call makes."""
        found = self._transposed
        if found is None:
            found = self._transposed = _Transposed(self)
        return found

    def factors(self, step):
        """Return the factor of each row of sums, for a step of the dense operand."""
        last, factors = self._factors
        if last != step:
            factors = self.scale * np.float32(step)
            self._factors = step, factors
        return factors

    def dequantised(self):
        """Return the values that the integers stand for, in the order of the matrix."""
        return np.repeat(self.scale, np.diff(self.csr.indptr)) * self.csr.data

    @property
    def nbytes(self):
        """The memory of the arrays and of the packed data, in bytes."""
        csr = self.csr
        arrays = csr.data.nbytes + csr.indices.nbytes + csr.indptr.nbytes + self.scale.nbytes
        return arrays + sum(packed.nbytes for packed in list(self.packed.values()))


class _Transposed(State):
    """The state of a transpose, whose scales belong to its columns."""

    def __init__(self, state):
        csr = canonical.transposed(state.csr)
        check_sums(csr, "W.T")
        super().__init__(csr, state.scale)

    def factors(self, step):
        """Return the factor of each row, if all columns have the same scale, or raise."""
        scale = self.scale
        if scale.size and (scale != scale[0]).any():
            raise ValueError(
                "W.T has a scale for each column, over which its sums go: only sums (int32) can be "
                "had; prepare(A.T, dtype='int8') quantises the transpose by its own rows"
            )
        one = scale[:1] if scale.size else np.ones(1, np.float32)
        return np.repeat(one * np.float32(step), self.csr.shape[0])

    def dequantised(self):
        """Return the values that the integers stand for, in the order of the matrix."""
        return self.scale[self.csr.indices] * self.csr.data


def pack_int8(csr, width, workers):
    """Pack a canonical matrix of int8 for products with `width` columns."""
    arrays = sparse_arrays(csr, None, "A")._replace(values=csr.data)
    known = _core.CHECKED | _core.SORTED
    status, made = _core.pack_int8(arrays, width, resolve_workers(workers), known)
    if status:
        raise_status(status, csr, "A")
    return made


def describe_int8(packed):
    """Return the words for how packed data multiply."""
    common = f", {100 * packed.share:.3g}% in rows with common columns" if packed.share else ""
    which = "any four columns" if packed.layout == "int8_gather4" else "neighbouring columns"
    return f"{packed.layout}, {which} at a time{common}"
