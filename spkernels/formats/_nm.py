"""The n:m format."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp

from .._inputs.canonical import canonical
from .._inputs.dense import NATIVE, dense_array, native_order
from .._inputs.foreign import as_sparse
from .._inputs.scalars import as_count
from .._prepare.prepare import deferred
from .._runtime.describe import describe
from . import _bits, _file, _windows
from ._operand import Operand

if TYPE_CHECKING:
    import os

    from numpy.typing import ArrayLike, DTypeLike, NDArray

    from .._inputs.types import SparseLike

__all__ = ["NMArray", "NMTransposed"]

#: The name of the array that marks a file as one of `NMArray.save`, and the layout's version.
_MARK, _VERSION = "spkernels_nm", 1


def _as_pair(n, m):
    m = as_count("m", m, 2, 32)
    return as_count("n", n, 1, m), m


def _check_dtype(dtype, name):
    if dtype not in NATIVE:
        raise TypeError(f"{name} must be float32 or float64, got {dtype}")


def _packed(array, name, shape):
    array = np.array(dense_array(array, name), order="C")
    if array.dtype != np.uint8 or array.shape != shape:
        raise ValueError(
            f"{name} must be uint8 of shape {shape}, got {array.dtype} of shape {array.shape}"
        )
    array.flags.writeable = False
    return array


class NMArray(Operand):
    """A sparse array with at most n entries in every m consecutive columns of a row [1]_.

    `from_dense`, `from_scipy` and `load` make such arrays.  ``W @ B`` and ``X @ W`` multiply by
    dense arrays of one or two dimensions.  An array cannot be changed, so any number of threads may
    use it at once.  It can be pickled.

    Parameters
    ----------
    shape : (int, int)
        The numbers of rows and columns.
    m : int
        The number of columns of a window, from 2 to 32.
    values : array_like of shape (rows, windows, n)
        float32 or float64.  The number of windows is ``ceil(columns / m)``, and n is from 1 to `m`.
        All arrays are copied.
    packed_indices : array_like of uint8
        The positions of the values in their windows, packed as the notes describe.
    packed_padding : array_like of uint8, optional
        The bits that mark padding, packed as the notes describe.  By default there is no padding.

    Attributes
    ----------
    shape : (int, int)
        The numbers of rows and columns.
    n, m : int
        The largest number of entries of a window, and the number of its columns.
    dtype : numpy.dtype
        float32 or float64.
    nnz : int
        The number of entries, with explicit zeros and without padding.
    values : ndarray of shape (rows, windows, n)
        The entries and the padding of each window, in the order of their columns.  All arrays are
        read-only.
    packed_indices : ndarray of uint8 of shape (rows, ceil(windows * n * bits / 8))
        The position of each value in its window.
    packed_padding : ndarray of uint8 of shape (rows, ceil(windows * n / 8)), or None
        The bits that mark padding; None where there is no padding.

    Raises
    ------
    ValueError
        If the arrays do not have the layout that the notes describe.
    TypeError
        If `values` is neither float32 nor float64.

    See Also
    --------
    spkernels.prune.nm : chooses the entries of a dense weight to keep.

    Notes
    -----
    Window w has columns ``w * m`` to ``w * m + m - 1``; the last window ends with the last column.
    Value k of window w in row i is ``values[i, w, k]``, and is number ``w * n + k`` of its row.

    **Indices.**  An index is the position of a value in its window, counted from 0.  It has ``bits
    = ceil(log2(m))`` bits: 1 for m = 2, 2 for m up to 4, 3 up to 8, 4 up to 16, 5 up to 32.  The
    indices of a row follow each other without gaps, window by window, in little-endian order:
    number j has its lowest bit in bit ``j * bits`` of the row, and bit b of a row is bit ``b % 8``
    (0 is the lowest) of byte ``b // 8``.  Each row begins with a new byte, and the unused bits of
    its last byte are 0.

    **Padding.**  A window with fewer than n entries has zeros at its first free positions, so the n
    positions of a window always ascend strictly.  One bit per value tells padding (1) from entries
    (0), which may be explicit zeros.  These bits are packed as the indices are, with ``bits = 1``.
    Positions are inside of the array, with one exception: a last window of fewer than n columns has
    positions 0 to n - 1, and the positions beyond the last column are padding.

    An array of 2:4 in float32 without padding takes 17/32 of the dense array's memory.

    References
    ----------
    .. [1] A. Mishra et al., "Accelerating sparse deep neural networks", 2021, arXiv:2104.08378.

    Examples
    --------
    >>> import numpy as np
    >>> from spkernels import formats
    >>> W = formats.NMArray.from_dense([[0.0, 5.0, 0.0, 6.0], [7.0, 0.0, 0.0, 0.0]], 2, 4)
    >>> W
    <NMArray of 2 x 4, 2:4, 3 stored, float64, kernel not chosen yet>
    >>> W @ np.ones(4)
    array([11.,  7.])
    >>> W.values
    array([[[5., 6.]],
    <BLANKLINE>
           [[7., 0.]]])
    >>> W.indices
    array([[[1, 3]],
    <BLANKLINE>
           [[0, 1]]], dtype=uint8)
    >>> W.packed_indices, W.packed_padding  # 0b1101 and 0b0100; the value after 7 is padding
    (array([[13],
           [ 4]], dtype=uint8), array([[0],
           [2]], dtype=uint8))
    """

    def __init__(
        self,
        shape: tuple[int, int],
        m: int,
        values: ArrayLike,
        packed_indices: ArrayLike,
        packed_padding: ArrayLike | None = None,
    ) -> None:
        try:
            rows, cols = shape
        except (TypeError, ValueError):
            raise ValueError(f"shape must be a pair of integers, got {shape!r}") from None
        self.shape = rows, cols = as_count("shape", rows, 0), as_count("shape", cols, 0)
        values = native_order(np.array(dense_array(values, "values"), order="C"))
        _check_dtype(values.dtype, "values")
        if values.ndim != 3:
            raise ValueError(f"values must be 3-D, got shape {values.shape}")
        self.n, self.m = _as_pair(values.shape[2], m)
        expected = (rows, -(-cols // self.m), self.n)
        if values.shape != expected:
            raise ValueError(
                f"values must have shape {expected} for shape {self.shape} and m = {self.m}, "
                f"got {values.shape}"
            )
        values.flags.writeable = False
        self.values = values
        self.dtype = values.dtype
        width = _bits.row_bytes(self._per_row, self._bits)
        self.packed_indices = _packed(packed_indices, "packed_indices", (rows, width))
        self.packed_padding = None
        if packed_padding is not None:
            width = _bits.row_bytes(self._per_row, 1)
            self.packed_padding = _packed(packed_padding, "packed_padding", (rows, width))
        padding = self.padding
        if not padding.any():
            self.packed_padding = None
        self.nnz = int(np.count_nonzero(~padding))
        _windows.check(values, self.indices, padding, self.shape, self.m)
        self._prepared = None

    @classmethod
    def _of(cls, csr, n, m, name, noun):
        values, positions, padding = _windows.place(csr, n, m, name, noun)
        flat = (csr.shape[0], values.shape[1] * n)
        packed = _bits.pack(positions.reshape(flat), (m - 1).bit_length())
        marks = _bits.pack(padding.reshape(flat).view(np.uint8), 1) if padding.any() else None
        return cls(csr.shape, m, values, packed, marks)

    @classmethod
    def from_dense(cls, W: ArrayLike, n: int, m: int) -> NMArray:
        """Store the nonzeros of a dense array.

        Parameters
        ----------
        W : array_like of shape (rows, cols)
            float32 or float64.  NaN counts as a nonzero, and -0 as a zero.
        n : int
            The largest number of nonzeros in every `m` columns of a row, from 1 to `m`.
        m : int
            The number of columns of a window, from 2 to 32.  It need not divide the columns.

        Returns
        -------
        NMArray
            A new array of the same shape and dtype.

        Raises
        ------
        ValueError
            If a window has more than `n` nonzeros (the message says which), `W` is not 2-D, or `n`
            or `m` is out of range.
        TypeError
            If `W` is sparse, or neither float32 nor float64.

        Notes
        -----
        Time and memory are linear in the size of `W`.

        Examples
        --------
        >>> from spkernels import formats
        >>> formats.NMArray.from_dense([[0.0, 1.0, 2.0, 0.0]], 1, 2).nnz
        2
        >>> formats.NMArray.from_dense([[0.0, 0.0, 1.0, 2.0]], 1, 2)
        Traceback (most recent call last):
        ValueError: W must be 1:2, but row 0 has 2 nonzeros in window 1 (columns 2 to 3)
        """
        n, m = _as_pair(n, m)
        W = native_order(dense_array(W, "W"))
        _check_dtype(W.dtype, "W")
        if W.ndim != 2:
            raise ValueError(f"W must be 2-D, got shape {W.shape}")
        return cls._of(sp.csr_array(W), n, m, "W", "nonzeros")

    @classmethod
    def from_scipy(cls, A: SparseLike, n: int, m: int) -> NMArray:
        """Store the entries of a sparse array, explicit zeros included.

        Parameters
        ----------
        A : sparse array or matrix of shape (rows, cols)
            Of any format, float32 or float64.  Duplicates are summed first.  Every place of a
            diagonal of a DIA array is an entry.
        n : int
            The largest number of entries in every `m` columns of a row, from 1 to `m`.
        m : int
            The number of columns of a window, from 2 to 32.  It need not divide the columns.

        Returns
        -------
        NMArray
            A new array of the same shape and dtype, with the same entries.

        Raises
        ------
        ValueError
            If a window has more than `n` entries (the message says which), `A` is not 2-D or is
            corrupted, or `n` or `m` is out of range.
        TypeError
            If `A` is not sparse, or neither float32 nor float64.

        Notes
        -----
        Time and memory are linear in ``rows * cols``, as is the memory of the result.

        Examples
        --------
        >>> import scipy.sparse as sp
        >>> from spkernels import formats
        >>> A = sp.csr_array(([1.0, 0.0], [1, 3], [0, 2]), shape=(1, 6))
        >>> W = formats.NMArray.from_scipy(A, 2, 4)
        >>> W.nnz, W.to_scipy().data
        (2, array([1., 0.]))
        """
        n, m = _as_pair(n, m)
        A = as_sparse(A, "A")
        dtype = A.dtype.newbyteorder("=")
        _check_dtype(dtype, "A")
        csr, _ = canonical(A, dtype, "A")
        return cls._of(csr, n, m, "A", "entries")

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> NMArray:
        """Read a file that `save` has written.

        Parameters
        ----------
        path : str or os.PathLike
            The file.  Nothing in it is unpickled.

        Returns
        -------
        NMArray
            The array that was saved.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ValueError
            If the file is corrupted, or is not one of `save`.
        """
        try:
            arrays = _file.read(path)
            if arrays.pop(_MARK, None) != _VERSION:
                raise ValueError(f"it does not say that it has layout {_VERSION}")
            arrays["shape"] = arrays["shape"].tolist()
            return cls(**arrays)
        except (ValueError, TypeError, KeyError) as error:
            raise ValueError(f"{path}: expected a file of NMArray.save, but {error}") from error

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the array to a file for `load`: an uncompressed ``.npz`` file without pickles.

        Parameters
        ----------
        path : str or os.PathLike
            The file.  A file that exists is replaced as a whole.  No suffix is added.

        Raises
        ------
        OSError
            If the file cannot be written.  A file that existed before stays as it was.

        Examples
        --------
        >>> import pathlib, tempfile
        >>> from spkernels import formats
        >>> W = formats.NMArray.from_dense([[0.0, 1.0]], 1, 2)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = pathlib.Path(folder, "layer.npz")
        ...     W.save(path)
        ...     formats.NMArray.load(path).toarray()
        array([[0., 1.]])
        """
        names = ("shape", "m", "values", "packed_indices", "packed_padding")
        arrays = {name: getattr(self, name) for name in names if getattr(self, name) is not None}
        _file.write(path, {_MARK: _VERSION, **arrays})

    @property
    def _bits(self):
        return (self.m - 1).bit_length()

    @property
    def _per_row(self):
        return self.values.shape[1] * self.n

    @property
    def indices(self) -> NDArray[np.uint8]:
        """Positions of values in their windows, of shape (rows, windows, n).

        They are unpacked at every access.
        """
        positions = _bits.unpack(self.packed_indices, self._per_row, self._bits)
        return positions.reshape(self.values.shape)

    @property
    def padding(self) -> NDArray[np.bool_]:
        """True where a value is padding, of shape (rows, windows, n).

        The marks are unpacked at every access.
        """
        if self.packed_padding is None:
            return np.zeros(self.values.shape, bool)
        marks = _bits.unpack(self.packed_padding, self._per_row, 1)
        return marks.reshape(self.values.shape).view(bool)

    @property
    def nbytes(self) -> int:
        """The bytes of values, indices and padding marks, without what products pack."""
        arrays = (self.values, self.packed_indices, self.packed_padding)
        return sum(array.nbytes for array in arrays if array is not None)

    @property
    def T(self) -> NMTransposed:
        """The transpose: a view that multiplies, too."""
        return NMTransposed(self)

    def to_scipy(self) -> sp.csr_array:
        """Return the entries as a new `scipy.sparse.csr_array` with sorted indices."""
        return _windows.take(self.values, self.indices, self.padding, self.shape, self.m)

    def toarray(self) -> NDArray[Any]:
        """Return the array as a new dense array."""
        return self.to_scipy().toarray()

    def astype(self, dtype: DTypeLike) -> NMArray:
        """Return the array with values of another dtype.

        Parameters
        ----------
        dtype : dtype
            float32 or float64.

        Returns
        -------
        NMArray
            A new array of the same structure.  Entries that are rounded to zero stay entries.

        Raises
        ------
        TypeError
            If `dtype` is neither float32 nor float64.
        """
        dtype = np.dtype(dtype).newbyteorder("=")
        _check_dtype(dtype, "dtype")
        values = self.values.astype(dtype)
        return NMArray(self.shape, self.m, values, self.packed_indices, self.packed_padding)

    def _multiplier(self):
        W = self._prepared
        if W is None:  # without a lock: if threads race here, the last one's matrix is kept
            W = self._prepared = deferred(self.to_scipy())
        return W

    def __reduce__(self):
        arrays = (self.values, self.packed_indices, self.packed_padding)
        return NMArray, (self.shape, self.m, *arrays)

    def _facts(self):
        W = self._prepared
        kernel = "kernel not chosen yet" if W is None else W._chosen()
        return f"{self.n}:{self.m}", f"{self.nnz} stored", self.dtype, kernel

    def __repr__(self) -> str:
        return describe("NMArray", self.shape, *self._facts())

    def __sizeof__(self) -> int:
        return object.__sizeof__(self) + self.nbytes


class NMTransposed(Operand):
    """The transpose of an `NMArray`, as ``W.T`` returns it: a view without memory of its own.

    ``W.T @ B`` and ``X @ W.T`` multiply.  ``X @ W.T`` is a linear layer with a sample per row of X.

    Attributes
    ----------
    shape : (int, int)
        The array's shape in reverse order.
    dtype : numpy.dtype
        float32 or float64.
    nnz : int
        The number of entries.
    T : NMArray
        The array that this is the transpose of.

    Examples
    --------
    >>> import numpy as np
    >>> from spkernels import formats
    >>> W = formats.NMArray.from_dense([[0.0, 1.0], [2.0, 0.0], [0.0, 3.0]], 1, 2)
    >>> np.ones((1, 2)) @ W.T
    array([[1., 2., 3.]])
    >>> W.T.T is W
    True
    """

    def __init__(self, array: NMArray) -> None:
        self.T = array
        self.shape = array.shape[::-1]
        self.dtype = array.dtype
        self.nnz = array.nnz

    def to_scipy(self) -> sp.csr_array:
        """Return the entries as a new `scipy.sparse.csr_array` with sorted indices."""
        return self.T.to_scipy().T.tocsr()

    def toarray(self) -> NDArray[Any]:
        """Return the array as a new dense array."""
        return self.T.toarray().T

    def _multiplier(self):
        return self.T._multiplier().T

    def __repr__(self):
        return describe("NMTransposed", self.shape, *self.T._facts(), "transposed")
