"""The base class of all masks, and the masks that combine other masks."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import scipy.sparse as sp

from .. import _core
from .._inputs.errors import raise_status
from .._runtime.describe import describe, held
from . import _runs

if TYPE_CHECKING:
    from numpy.typing import DTypeLike, NDArray

__all__ = ["Mask", "as_size"]

# The number of rows that `toarray` expands at a time, which bounds the memory of their indices.
_STEP = 8192


def as_size(value, name, least=0):
    """Return `value` as an integer from `least` to `MAX_COLS`; an error names the argument."""
    try:
        value = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} must be an integer, got {value!r}") from None
    if not least <= value <= _runs.MAX_COLS:
        raise ValueError(f"{name} must be from {least} to {_runs.MAX_COLS}, got {value}")
    return value


class Mask:
    """An attention mask: a boolean matrix whose row i says which keys query i attends to.

    The functions of `spkernels.masks` make masks, and ``&``, ``|`` and ``~`` combine them.  A mask
    stores the rule that describes it.  Its first use adds its column runs, of which most kinds have
    a few per row.  A mask cannot be changed, and can be pickled.

    Attributes
    ----------
    shape : (int, int)
        The numbers of queries and keys.
    nnz : int
        The number of pairs of a query and a key that attend.
    sparsity : float
        The share of pairs that do not attend, from 0 to 1.
    nbytes : int
        The memory in use now, in bytes, with that of the masks that it combines.

    Examples
    --------
    >>> from spkernels import masks
    >>> mask = masks.causal(4) & ~masks.window(4, 1) | masks.global_tokens(4, 1)
    >>> mask.toarray().astype(int)
    array([[1, 1, 1, 1],
           [1, 0, 0, 0],
           [1, 0, 0, 0],
           [1, 1, 0, 0]])
    """

    def __init__(self, shape: tuple[int, int]) -> None:
        self.shape = shape
        self._made = None

    def _rows(self, first, last):
        """Return the column runs of rows [first, last), as `_runs` describes them."""
        raise NotImplementedError

    #: Classes by name.  Pickles hold the name, so that no pickle names a private module.
    _kinds: ClassVar[dict[str, type[Mask]]] = {}

    def __init_subclass__(cls) -> None:
        Mask._kinds[cls.__name__] = cls

    def __reduce__(self):
        return Mask._restored, (type(self).__name__, {**self.__dict__, "_made": None})

    @classmethod
    def _restored(cls, kind, state):
        """Return the mask that a pickle holds: `kind` is its class's name."""
        mask = object.__new__(cls._kinds[kind])
        mask.__dict__.update(state)
        return mask

    def _column_runs(self, workers=0):
        """Return the handle of the column runs that kernels read; the first call makes it."""
        made = self._made
        if made is None:
            rows, cols = self.shape
            offsets, starts, stops = self._rows(0, rows)
            status, made = _core.column_runs_from((rows, cols), offsets, starts, stops, workers)
            if status:
                raise_status(status, self, "mask")
            self._made = made
        return made

    @property
    def nnz(self) -> int:
        """The number of pairs of a query and a key that attend; the first access counts them."""
        return self._column_runs().nnz

    @property
    def nbytes(self) -> int:
        """The memory in use now, in bytes, with that of the masks that this mask combines."""
        return sum(map(held, vars(self).values()))

    @property
    def sparsity(self) -> float:
        """The share of pairs that do not attend, from 0 to 1; 0 where there are no pairs."""
        rows, cols = self.shape
        return 1.0 - self.nnz / (rows * cols) if rows and cols else 0.0

    def tocsr(self, dtype: DTypeLike = np.float32) -> sp.csr_array:
        """Return a CSR array of shape `shape` with a one for each pair that attends.

        Parameters
        ----------
        dtype : dtype, optional
            The dtype of the ones, float32 by default.

        Returns
        -------
        scipy.sparse.csr_array
            A new array with sorted indices, which takes memory for each of its `nnz` entries.
        """
        indptr, indices = _runs.positions(self._rows(0, self.shape[0]))
        index = np.int32 if max(len(indices), *self.shape) <= np.iinfo(np.int32).max else np.int64
        arrays = (np.ones(len(indices), dtype), indices.astype(index), indptr.astype(index))
        return sp.csr_array(arrays, shape=self.shape)

    def toarray(self) -> NDArray[np.bool_]:
        """Return the mask as a new boolean array of shape `shape`."""
        result = np.zeros(self.shape, bool)
        for first in range(0, self.shape[0], _STEP):
            last = min(first + _STEP, self.shape[0])
            indptr, indices = _runs.positions(self._rows(first, last))
            result[np.repeat(np.arange(first, last), np.diff(indptr)), indices] = True
        return result

    def _with(self, other, kind):
        if not isinstance(other, Mask):
            return NotImplemented
        if other.shape != self.shape:
            raise ValueError(f"masks must have one shape, got {self.shape} and {other.shape}")
        return kind(self, other)

    def __and__(self, other: Mask) -> Mask:
        return self._with(other, _And)

    def __or__(self, other: Mask) -> Mask:
        return self._with(other, _Or)

    def __invert__(self) -> Mask:
        return _Not(self)

    def __repr__(self) -> str:
        made = self._made
        pairs = "pairs not counted yet" if made is None else f"{made.nnz} pairs"
        return describe("Mask", self.shape, "bool", pairs, self._text())

    def __sizeof__(self) -> int:
        return object.__sizeof__(self) + self.nbytes

    def _text(self):
        raise NotImplementedError


class _Pair(Mask):
    def __init__(self, one, other):
        super().__init__(one.shape)
        self._one, self._other = one, other

    def _rows(self, first, last):
        parts = [self._one._rows(first, last), self._other._rows(first, last)]
        return _runs.at_least(self._depth, parts, self.shape[1])

    def _text(self):
        return f"({self._one._text()} {self._sign} {self._other._text()})"


class _And(_Pair):
    _depth, _sign = 2, "&"


class _Or(_Pair):
    _depth, _sign = 1, "|"


class _Not(Mask):
    def __init__(self, one):
        super().__init__(one.shape)
        self._one = one

    def _rows(self, first, last):
        return _runs.complement(self._one._rows(first, last), self.shape[1])

    def _text(self):
        return f"~{self._one._text()}"
