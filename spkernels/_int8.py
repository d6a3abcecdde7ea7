"""Sparse matrices of int8: exact sums, and what quantised networks make of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, overload

import numpy as np
import scipy.sparse as sp

from . import _core, _pattern
from ._arguments import as_count
from ._multiplier import Multiplier
from ._operands import (
    activation_code,
    apart_from,
    check_inner,
    check_out,
    check_out_dtype,
    dense_array,
    dense_view,
    plan_bias,
    scalar,
)
from ._threads import resolve_workers
from ._validate import raise_status, sparse_arrays

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from ._typing import Activation, Out, QuantisedDType

__all__ = ["Int8Matrix", "prepare_int8"]

_MOST_FLOAT = float(np.finfo(np.float32).max)

#: What the magnitudes of a row may add up to: times a byte, sums still fit 32 bits.
MOST_ROW_SUM = (2**31 - 1) // 255

# A product may take a few microseconds: dtypes are looked up, as comparing them takes long.
_INT32, _FLOAT32 = np.dtype(np.int32), np.dtype(np.float32)
#: The least and the most value of the dtypes of bytes.
_RANGES = {np.dtype(np.int8): (-128, 127), np.dtype(np.uint8): (0, 255)}
_RESULTS = {_INT32: _INT32, _FLOAT32: _FLOAT32, **{kind: kind for kind in _RANGES}}
_RESULTS |= {kind.type: kind for kind in _RESULTS}


def _first_row(csr, wrong):
    """Return the row of the first entry for which `wrong` holds."""
    return int(np.searchsorted(csr.indptr, np.flatnonzero(wrong)[0], side="right")) - 1


def _largest(csr):
    """Return the largest magnitude of each row; 0 of empty ones."""
    largest = np.zeros(csr.shape[0])
    filled = np.flatnonzero(np.diff(csr.indptr))
    if filled.size:
        largest[filled] = np.maximum.reduceat(np.abs(csr.data), csr.indptr[filled])
    return largest


def _quantise(csr):
    """Return int8 values and the scale of each row, from float64 ones: symmetric, 127 steps."""
    finite = np.isfinite(csr.data)
    if not finite.all():
        row = _first_row(csr, ~finite)
        raise ValueError(f"A must be finite to be quantised, row {row} holds infinity or NaN")
    largest = _largest(csr)
    with np.errstate(over="ignore"):
        scale = (largest / 127).astype(np.float32)
    if np.isinf(scale).any():
        row = int(np.flatnonzero(np.isinf(scale))[0])
        raise ValueError(f"A must have scales that float32 holds, row {row} has {largest[row]:.3g}")
    scale[scale == 0] = 1  # rows of zeros, or of so little that float32 has no step for it
    # Subnormal steps may have been rounded down a lot: no value may exceed 127 of them.
    short = largest > 127.5 * scale.astype(np.float64)
    scale[short] = np.nextafter(scale[short], np.float32(np.inf))
    steps = np.rint(csr.data / np.repeat(scale.astype(np.float64), np.diff(csr.indptr)))
    return np.clip(steps, -127, 127).astype(np.int8), scale


def _whole(csr):
    """Return values that are whole numbers as int8."""
    wrong = (csr.data < -128) | (csr.data > 127)
    if wrong.any():
        value = csr.data[wrong][0]
        raise ValueError(
            f"A must hold integers from -128 to 127 for dtype='int8' (duplicates added up), row "
            f"{_first_row(csr, wrong)} has {value:.0f}"
        )
    return csr.data.astype(np.int8)


def prepare_int8(A, n, workers, check):
    """Return the `Int8Matrix` of a sparse matrix, real and 2-D: `prepare` with dtype "int8".

    ``check(csr)`` raises where its pattern is not what it should be.
    """
    # float64 holds sums of duplicates, unless integers beyond 2**53 cancel each other.
    csr, _ = _pattern.canonical(A, np.float64, "A")
    check(csr)
    if A.dtype.kind == "f":
        values, scale = _quantise(csr)
    else:
        values, scale = _whole(csr), np.ones(csr.shape[0], np.float32)
    return Int8Matrix(_pattern.with_values(csr, values), scale, n, workers)


class Int8Matrix(Multiplier):
    """A sparse matrix of int8, packed for products with matrices of bytes; made by `prepare`.

    It stands for ``scale[:, None] * Q``, where `Q` are the integers.  ``W @ B`` and `spmm` multiply
    `Q`, any number of threads may use it at once, and it can be pickled.

    Attributes
    ----------
    shape : (int, int)
        Its shape.
    dtype : numpy.dtype
        int8.
    nnz : int
        Stored entries.
    nbytes : int
        The memory that it takes, packed and as CSR.
    scale : ndarray of shape (m,), float32
        The factor of each row: its largest magnitude over 127, or 1 where integers were taken.
    kernel : str
        What multiplies as many columns as it was prepared for.

    Notes
    -----
    A product takes ``2 * nnz * n`` operations.  Any four entries of a row (or of four rows that
    have most of their columns in common) meet four bytes of a column of `B` in one instruction
    where the CPU has AVX512_VNNI, in some more where it has not, without the saturation of
    ``vpmaddubsw``; sums are exact, and so the same on every machine.  With up to 16 columns,
    or 32 where that fills them, it is neighbouring columns that go by four, on CPUs with
    AVX512_VNNI: entries at random then take about as long as those of float32 do.
    """

    dtype = np.dtype(np.int8)

    def __init__(self, csr, scale, n, workers):
        totals = np.bincount(
            np.repeat(np.arange(csr.shape[0]), np.diff(csr.indptr)),
            np.abs(csr.data.astype(np.int16)),
            csr.shape[0],
        )
        if totals.max(initial=0) > MOST_ROW_SUM:
            row = int(np.argmax(totals > MOST_ROW_SUM))
            raise ValueError(
                f"A must have rows whose magnitudes add up to at most {MOST_ROW_SUM}, so that sums "
                f"fit int32, row {row} has {totals[row]:.0f}"
            )
        self._csr = csr
        self._n = n
        self._workers = workers
        self._packed = {}
        self._scale = scale
        scale.flags.writeable = False
        self._factors = 1.0, scale  # the last step of B, and what rows are multiplied by for it
        self._for(n)

    def _for(self, n):
        """Return what is packed for `n` columns."""
        width = _core.int8_width(n)
        found = self._packed.get(width)
        if found is None:
            arrays = (*sparse_arrays(self._csr, None, "A")[:-1], self._csr.data)
            known = _core.CHECKED | _core.SORTED
            threads = resolve_workers(self._workers)
            status, made = _core.pack_int8(arrays, width, threads, known)
            if status:
                raise_status(status, self._csr, "A")
            # Of threads that come at once, one's is kept.
            found = self._packed.setdefault(width, made)
        return found

    @property
    def shape(self) -> tuple[int, int]:
        """Its shape."""
        return self._csr.shape

    @property
    def scale(self) -> NDArray[np.float32]:
        """The factor of each row; read-only."""
        return self._scale

    @property
    def nnz(self) -> int:
        """Stored entries."""
        return self._csr.nnz

    @property
    def nbytes(self) -> int:
        """The memory that it takes."""
        csr = self._csr
        arrays = csr.data.nbytes + csr.indices.nbytes + csr.indptr.nbytes + self.scale.nbytes
        return arrays + sum(packed.nbytes for packed in list(self._packed.values()))

    @property
    def kernel(self) -> str:
        """What multiplies as many columns as it was prepared for."""
        packed = self._for(self._n)
        common = f", {100 * packed.share:.3g}% in rows with common columns" if packed.share else ""
        which = "any four columns" if packed.layout == "quads" else "four neighbouring columns"
        return f"int8: {packed.layout}, {which} at a time{common}"

    def toscipy(self) -> sp.csr_array:
        """Return a copy of the integers as a `scipy.sparse.csr_array` of int8."""
        return self._csr.copy()

    def dequantise(self) -> sp.csr_array:
        """Return ``scale[:, None] * Q`` as a `scipy.sparse.csr_array` of float32."""
        factors = np.repeat(self.scale, np.diff(self._csr.indptr))
        return _pattern.with_values(self._csr.copy(), factors * self._csr.data)

    @overload
    def spmm(
        self,
        B: ArrayLike,
        *,
        out: None = None,
        dtype: QuantisedDType | np.dtype[Any] | None = None,
        scale: float | None = None,
        zero_point: int = 0,
        bias: ArrayLike | None = None,
        activation: Activation | None = None,
        out_scale: float | None = None,
        out_zero_point: int = 0,
        workers: int | None = None,
    ) -> NDArray[Any]: ...
    @overload
    def spmm(
        self,
        B: ArrayLike,
        *,
        out: Out,
        dtype: QuantisedDType | np.dtype[Any] | None = None,
        scale: float | None = None,
        zero_point: int = 0,
        bias: ArrayLike | None = None,
        activation: Activation | None = None,
        out_scale: float | None = None,
        out_zero_point: int = 0,
        workers: int | None = None,
    ) -> Out: ...
    def spmm(
        self,
        B: ArrayLike,
        *,
        out: NDArray[Any] | None = None,
        dtype: QuantisedDType | np.dtype[Any] | None = None,
        scale: float | None = None,
        zero_point: int = 0,
        bias: ArrayLike | None = None,
        activation: Activation | None = None,
        out_scale: float | None = None,
        out_zero_point: int = 0,
        workers: int | None = None,
    ) -> NDArray[Any]:
        """Multiply, and scale or requantise what comes out.

        With ``S = Q @ (B - zero_point)``, exact, the result is, by its `dtype`,

        - int32: ``S``
        - float32: ``Y = activation(self.scale[:, None] * scale * S + bias)``
        - int8, uint8: ``Y / out_scale``, rounded to the nearest integer, of two to the even one,
          plus `out_zero_point`, and the nearest value of `dtype` where that lies outside (the least
          for NaN)

        Parameters
        ----------
        B : array_like of int8, uint8 or bool, shape (k,) or (k, n)
            The bytes, of any strides.  They stand for ``scale * (B - zero_point)``.
        out : ndarray, optional
            Where to write, with the shape and dtype of the result and any strides; returned.
        dtype : {int32, float32, int8, uint8}, optional
            Of the result: by default that of `out`, int32 where nothing is scaled, else float32.
        scale : float, optional
            What a step of `B` stands for, 1 by default.
        zero_point : int, optional
            The value of `B` that stands for 0.
        bias : array_like, optional
            Added to each row: a scalar, or of shape (m, 1); (m,) where `B` is 1-D.
        activation : {None, "relu", "gelu", "silu", "tanh", "sigmoid"}, optional
            Applied to the scaled sums.
        out_scale, out_zero_point : float and int, optional
            What a step of the result stands for, and which of its values stands for 0.
        workers : int, optional
            Threads, at most, as in `spkernels.spmm`.

        Returns
        -------
        ndarray
            Of shape (m, n), or (m,) where `B` is 1-D.

        Raises
        ------
        TypeError
            If `B` is not dense or of another dtype, or an argument has the wrong type.
        ValueError
            If shapes do not fit, a zero point is no value of its dtype, or an option does not go
            with the dtype of the result.

        Notes
        -----
        Floating-point operations are float32 and rounded one by one, so that results have the same
        bits for all instruction sets and numbers of threads, but for what the C library's functions
        give for "gelu", "silu", "tanh" and "sigmoid".

        References
        ----------
        .. [1] B. Jacob et al., "Quantization and Training of Neural Networks for Efficient
           Integer-Arithmetic-Only Inference", CVPR 2018, for scales and zero points.

        Examples
        --------
        >>> import numpy as np
        >>> import scipy.sparse as sp
        >>> import spkernels
        >>> W = spkernels.prepare(sp.csr_array([[0.0, 2.54], [-1.27, 0.0]]), dtype="int8")
        >>> W.toscipy().toarray()
        array([[   0,  127],
               [-127,    0]], dtype=int8)
        >>> x = np.array([10, 200], np.uint8)
        >>> W @ x
        array([25400, -1270], dtype=int32)
        >>> W.spmm(x, scale=0.5)
        array([254.  ,  -6.35], dtype=float32)
        >>> W.spmm(x, scale=0.5, dtype=np.int8, out_scale=4.0, activation="relu")
        array([64,  0], dtype=int8)
        """
        B = self._bytes(B)
        shape = (self.shape[0], *B.shape[1:])
        if out is not None:
            check_out(out, shape)
        scaled = not (scale is bias is activation is out_scale is None)
        dtype = self._result_dtype(dtype, out, scaled)
        if out is not None:
            check_out_dtype(out, dtype)
        zero_point = _value_of(zero_point, "zero_point", B.dtype)
        if dtype is _INT32:
            if scaled:
                raise ValueError(
                    "scale, bias, activation and out_scale must be None for a result of int32"
                )
            _no_zero(out_zero_point, dtype)
            factors = row_bias = None
            code, step, out_zero = 0, 1.0, 0
        else:
            factors, row_bias, code = self._epilogue(shape, scale, bias, activation)
            step, out_zero = _output(dtype, out_scale, out_zero_point)
        view = out
        if out is None or dense_view(out, dtype) is not out:
            view = np.empty(shape, dtype)
        threads = resolve_workers(self._workers if workers is None else workers)
        packed = self._for(shape[1] if len(shape) == 2 else 1)
        status = _core.spmm_int8(
            packed, apart_from(out, B), view, zero_point, factors, apart_from(out, row_bias), code,
            step, out_zero, threads,
        )  # fmt: skip
        if status:
            raise_status(status, self._csr, "W")
        if out is None or view is out:
            return view
        out[...] = view
        return out

    def _bytes(self, B):
        if type(B) is not np.ndarray:
            B = dense_array(B, "B")
        if B.dtype == np.bool_:
            B = B.view(np.uint8)
        if B.dtype not in _RANGES:
            raise TypeError(f"B must be of int8, uint8 or bool, got {B.dtype}: quantise it first")
        if B.ndim not in (1, 2):
            raise ValueError(f"B must be 1-D or 2-D, got shape {B.shape}")
        check_inner(self.shape, B)
        return B

    def _result_dtype(self, dtype, out, scaled):
        if dtype is None:
            dtype = out.dtype if out is not None else _FLOAT32 if scaled else _INT32
        found = _RESULTS.get(dtype) if isinstance(dtype, np.dtype | type) else None
        if found is None:
            dtype = np.dtype(dtype)
            found = _RESULTS.get(dtype)
        if found is None:
            name = "out" if out is not None and dtype == out.dtype else "dtype"
            raise TypeError(f"{name} must be of int32, float32, int8 or uint8, got {dtype}")
        return found

    def _epilogue(self, shape, scale, bias, activation):
        """Return the factors and biases of the rows, and the activation's number."""
        step = 1.0 if scale is None else _finite(scale, "scale")
        row_bias, column_bias = plan_bias(bias, shape, _FLOAT32)
        if column_bias is not None:
            raise ValueError(
                f"bias must be a scalar or have shape ({shape[0]}, 1), got {np.shape(bias)}"
            )
        last, factors = self._factors
        if last != step:
            factors = self.scale * np.float32(step)
            self._factors = step, factors
        return factors, row_bias, activation_code(activation)

    def __matmul__(self, B: ArrayLike) -> NDArray[np.int32]:
        if type(B) is np.ndarray and self._workers is None:
            packed = self._packed.get(_core.int8_width(B.shape[1] if B.ndim == 2 else 1))
            result = None if packed is None else _core.spmm_int8_fast(packed, B)
            if result is not None:
                return result
        return self.spmm(B)

    def _matmul(self, B, out):
        return self.spmm(B, out=out)

    def __repr__(self):
        rows, cols = self.shape
        return f"<Int8Matrix of {rows} x {cols}, {self.nnz} stored>"

    def __reduce__(self):
        return Int8Matrix, (self._csr, self.scale.copy(), self._n, self._workers)


def _finite(value, name):
    if type(value) is not float:
        value = scalar(value, name)
    if not abs(value) <= _MOST_FLOAT:
        raise ValueError(f"{name} must be finite as float32, got {value}")
    return value


def _value_of(value, name, dtype):
    low, high = _RANGES[dtype]
    if type(value) is int and low <= value <= high:
        return value
    return as_count(name, value, low, high)


def _no_zero(out_zero_point, dtype):
    if out_zero_point != 0:
        raise ValueError(
            f"out_zero_point must be 0 for a result of {dtype}, got {out_zero_point!r}"
        )


def _output(dtype, out_scale, out_zero_point):
    """Return what a step of the result stands for, and its zero."""
    if dtype is _FLOAT32:
        if out_scale is not None:
            raise ValueError("out_scale must be None for a result of float32")
        _no_zero(out_zero_point, dtype)
        return 1.0, 0
    if out_scale is None:
        raise ValueError(f"out_scale must be given for a result of {dtype}")
    step = _finite(out_scale, "out_scale")
    if not np.float32(step) > 0:
        raise ValueError(f"out_scale must be positive, got {step}")
    return step, _value_of(out_zero_point, "out_zero_point", dtype)
