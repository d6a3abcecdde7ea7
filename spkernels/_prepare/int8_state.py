"""One set of values of a matrix of int8, and what was packed of it."""

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
    """One set of values, and what was made of it: replaced as a whole when these change.

    Nothing is locked.  What is made at its first use is assigned when it is complete, and of
    threads that come at once, one's is kept.
    """

    def __init__(self, csr, scale):
        self.csr = csr
        scale.flags.writeable = False
        self.scale = scale
        self.packed = {}
        self._factors = 1.0, scale  # the last step of B, and what rows are multiplied by for it
        self._transposed = None

    def packed_for(self, n, workers):
        """Return what is packed for `n` columns."""
        width = _core.int8_width(n)
        found = self.packed.get(width)
        if found is None:
            found = self.packed.setdefault(width, pack_int8(self.csr, width, workers))
        return found

    def transposed(self):
        """Return the state of the transpose."""
        found = self._transposed
        if found is None:
            found = self._transposed = _Transposed(self)
        return found

    def factors(self, step):
        """Return what rows of sums are multiplied by, for a step of the dense operand."""
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
        """The memory of its arrays, and of what was packed."""
        csr = self.csr
        arrays = csr.data.nbytes + csr.indices.nbytes + csr.indptr.nbytes + self.scale.nbytes
        return arrays + sum(packed.nbytes for packed in list(self.packed.values()))


class _Transposed(State):
    """The same of a transpose, whose scales are those of its columns."""

    def __init__(self, state):
        csr = canonical.transposed(state.csr)
        check_sums(csr, "W.T")
        super().__init__(csr, state.scale)

    def factors(self, step):
        """Return the one factor that all columns share, for each row."""
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
    """Say how something packed multiplies."""
    common = f", {100 * packed.share:.3g}% in rows with common columns" if packed.share else ""
    which = "any four columns" if packed.layout == "int8_gather4" else "four neighbouring columns"
    return f"{packed.layout}, {which} at a time{common}"
