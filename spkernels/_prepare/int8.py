"""Sparse matrices of int8, whose sums are exact, and the epilogues of quantised networks."""

from __future__ import annotations

import operator
import time
from typing import TYPE_CHECKING, Any, overload

import numpy as np
import scipy.sparse as sp

from .. import _core
from .._inputs import canonical, tensors
from .._inputs.canonical import pack_slots, unpack_slots
from .._inputs.dense import (
    as_rows,
    check_inner,
    check_layer,
    check_left,
    dense_array,
    dense_view,
    plan_bias,
)
from .._inputs.errors import raise_status
from .._inputs.foreign import find_sparse
from .._inputs.out import apart_from, check_out, check_out_dtype
from .._inputs.scalars import activation_code, as_extent
from .._inputs.sparse import validated
from .._runtime.describe import describe
from .._runtime.threads import resolve_workers
from .explain import explain_int8
from .int8_arguments import (
    FLOAT32,
    INT32,
    as_bytes,
    no_zero,
    output_step,
    result_dtype,
    steps_of,
    zero_points_of,
)
from .int8_state import State, describe_int8, pack_int8
from .multiplier import Multiplier, multiply_stack
from .quantise import quantised

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from .._inputs.types import Activation, Out, QuantisedDType, Result, SparseLike, Tensor
    from .explain import Explanation

__all__ = ["Int8Matrix", "prepare_int8"]

#: Numbers of columns for which the layouts differ; `explain` measures them.
_OTHER_WIDTHS = (1, 4, 128)


def prepare_int8(A, n, workers, check):
    """Return the `Int8Matrix` of a real 2-D sparse matrix, as `prepare` with dtype "int8" does.

    ``check(csr)`` must raise if the matrix breaks a declared pattern.
    """
    # float64 holds sums of duplicates, unless integers beyond 2**53 cancel each other.
    csr, slots = canonical.canonical(A, np.float64, "A")
    check(csr)
    floats = A.dtype.kind == "f"
    W = Int8Matrix(State(*quantised(csr, floats, "A")), slots, floats, n, workers)
    W._own.packed_for(n, workers)
    return W


class Int8Matrix(Multiplier):
    """A sparse matrix of int8 that is packed for products with bytes; `prepare` makes it.

    The matrix stands for ``scale[:, None] * Q``, where `Q` are the integers.  ``W @ B``, ``X @ W``
    and ``X @ W.T`` multiply by `Q`.  `spmm` and `linear` also scale the sums.  Products with
    tensors of PyTorch are tensors; see :ref:`foreign`.  Any number of threads may use a matrix at
    once, and it can be pickled.

    Attributes
    ----------
    shape : (int, int)
        The numbers of rows and columns.
    dtype : numpy.dtype
        int8.
    nnz : int
        The number of entries.
    nbytes : int
        The memory in use now, in bytes, of the packed data and of a copy in CSR.
    scale : ndarray of shape (m,), float32
        The scale of each row: its largest magnitude divided by 127, or 1 if the matrix was prepared
        with integers.  A transpose has the same scales, for its columns.
    kernel : str
        A description of the kernel for the number of columns that the matrix was prepared for.
    T : Int8Matrix
        The transpose, which its first use packs.  ``X @ W.T`` needs no packing, as `W` computes it.
        ``W.T @ B`` and ``X @ W`` sum over the rows of `W`, which have different scales: the sums
        are exact, but can only be scaled if all scales are equal.

    Notes
    -----
    A product takes ``2 * nnz * n`` operations.  On CPUs with AVX512_VNNI or AVX_VNNI, one
    instruction multiplies any four entries of a row, or of four rows that share most of their
    columns, by four bytes of a column of `B`.  Other CPUs take several instructions, without the
    saturation of ``vpmaddubsw``.  Sums are exact, and so the same on every machine.

    With AVX2 or AVX512_VNNI, products with up to 16 columns multiply groups of four neighbouring
    columns of the matrix instead, or of two with AVX2 alone.  So do products with more columns if
    entries fill these groups well.  A product with scattered entries then takes about the time of
    the same product in float32.
    """

    dtype = np.dtype(np.int8)

    def __init__(self, state, slots, floats, n, workers, parent=None):
        self._own = state  # None for a transpose, which uses its parent's state
        self._slots = slots
        self._floats = floats
        self._n = n
        self._workers = workers
        self._parent = parent
        self._transposed = parent

    @property
    def _state(self):
        return self._own if self._parent is None else self._parent._own.transposed()

    @property
    def shape(self) -> tuple[int, int]:
        """The numbers of rows and columns."""
        return self._own.csr.shape if self._parent is None else self._parent.shape[::-1]

    @property
    def scale(self) -> NDArray[np.float32]:
        """The scale of each row, or of each column of a transpose; read-only."""
        return (self._parent or self)._own.scale

    @property
    def nnz(self) -> int:
        """The number of entries."""
        return (self._parent or self)._own.csr.nnz

    @property
    def nbytes(self) -> int:
        """The memory in use now, in bytes."""
        if self._parent is None:
            return self._own.nbytes + getattr(self._slots, "nbytes", 0)
        state = self._parent._own._transposed
        return 0 if state is None else state.nbytes

    @property
    def T(self) -> Int8Matrix:
        """The transpose, which its first use packs."""
        if self._transposed is None:
            self._transposed = Int8Matrix(
                None, None, self._floats, self._n, self._workers, parent=self
            )
        return self._transposed

    @property
    def kernel(self) -> str:
        """A description of the kernel for the number of columns that `prepare` was given."""
        return f"int8: {describe_int8(self._state.packed_for(self._n, self._workers))}"

    def toscipy(self) -> sp.csr_array:
        """Return a copy of the integers as a `scipy.sparse.csr_array` of int8."""
        return self._state.csr.copy()

    def dequantise(self) -> sp.csr_array:
        """Return ``scale[:, None] * Q`` as a `scipy.sparse.csr_array` of float32."""
        state = self._state
        return canonical.with_values(state.csr.copy(), state.dequantised())

    def update_values(self, data: ArrayLike | SparseLike) -> None:
        """Replace the values and keep the structure; new values are quantised as the first were.

        Products that run in other threads meanwhile use either the old or the new values.

        Parameters
        ----------
        data : array_like or sparse array
            The new values.  An array has them in the order of the ``data`` of the CSR, CSC, COO or
            BSR matrix that was prepared, duplicates included, also for ``W.T``.  A sparse matrix of
            any format must have the same structure.  Each row gets a new scale; if `W` was prepared
            with integers, the new integers are taken as they are.

        Raises
        ------
        ValueError
            If `data` has another length or structure, or values that cannot be quantised.  The old
            values then stay.
        TypeError
            If `data` is not real, or not integer although `W` was prepared with integers.

        Examples
        --------
        >>> import scipy.sparse as sp
        >>> import spkernels
        >>> W = spkernels.prepare(sp.csr_array([[0.0, 2.54], [-1.27, 0.0]]), dtype="int8")
        >>> W.update_values([1.27, 2.54])
        >>> W.scale
        array([0.01, 0.02], dtype=float32)
        """
        sparse = find_sparse(data, "data")
        if self._parent is not None:
            self._parent.update_values(data if sparse is None else validated(sparse, "data").T)
            return
        own = self._own.csr
        if sparse is not None:
            self._check_kind(sparse.dtype)
            csr, _ = canonical.canonical(sparse, np.float64, "data")
            if not canonical.same(csr, own):
                raise ValueError("data must have the pattern that was prepared")
        else:
            data = dense_array(data, "data")
            self._check_kind(data.dtype)
            values = canonical.place(data, self._slots, own, np.float64)
            csr = canonical.with_values(own, values)
        state = State(*quantised(csr, self._floats, "data"))
        state.packed_for(self._n, self._workers)
        self._own = state

    def _check_kind(self, dtype):
        if not self._floats and dtype.kind == "f":
            raise TypeError(f"data must hold integers, as W was prepared with these, got {dtype}")

    def explain(self, n: int | None = None) -> Explanation:
        """Measure the layouts that could multiply `n` columns, and report which one is in use.

        Parameters
        ----------
        n : int, optional
            The number of columns; by default the number that `prepare` was given.

        Returns
        -------
        Explanation
            A table, as that of `PreparedMatrix.explain`, of the measured times of a product with
            bytes and of packing.  For comparison, "rows" is the unpacked product of the same values
            in float32.  There are no predictions, as `n` alone chooses the layout.

        Examples
        --------
        >>> import spkernels
        >>> A = spkernels.datasets.random_pruned(512, 512, 0.9)
        >>> report = spkernels.prepare(A, dtype="int8").explain(64)
        >>> report.chosen
        'int8_gather4'
        """
        n = self._n if n is None else as_extent(n, "n")
        state = self._state
        chosen = state.packed_for(n, self._workers)
        layouts: dict[str, tuple[Any, str, float]] = {}
        for width in (n, *_OTHER_WIDTHS):
            start = time.perf_counter()
            packed = pack_int8(state.csr, _core.int8_width(width), self._workers)
            seconds = time.perf_counter() - start
            layouts.setdefault(
                packed.layout, (packed, f"int8: {describe_int8(packed)}", seconds)
            )
        floats = canonical.with_values(state.csr, state.dequantised())
        return explain_int8(floats, layouts, n, self._workers, chosen.layout)

    @overload
    def spmm(
        self,
        B: Tensor[Result],
        *,
        out: None = None,
        dtype: QuantisedDType | np.dtype[Any] | None = None,
        scale: ArrayLike | None = None,
        zero_point: ArrayLike = 0,
        bias: ArrayLike | None = None,
        activation: Activation | None = None,
        out_scale: float | None = None,
        out_zero_point: int = 0,
        workers: int | None = None,
    ) -> Result: ...
    @overload
    def spmm(
        self,
        B: ArrayLike,
        *,
        out: None = None,
        dtype: QuantisedDType | np.dtype[Any] | None = None,
        scale: ArrayLike | None = None,
        zero_point: ArrayLike = 0,
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
        scale: ArrayLike | None = None,
        zero_point: ArrayLike = 0,
        bias: ArrayLike | None = None,
        activation: Activation | None = None,
        out_scale: float | None = None,
        out_zero_point: int = 0,
        workers: int | None = None,
    ) -> Out: ...
    def spmm(
        self,
        B: Any,
        *,
        out: NDArray[Any] | Tensor[Any] | None = None,
        dtype: QuantisedDType | np.dtype[Any] | None = None,
        scale: ArrayLike | None = None,
        zero_point: ArrayLike = 0,
        bias: ArrayLike | None = None,
        activation: Activation | None = None,
        out_scale: float | None = None,
        out_zero_point: int = 0,
        workers: int | None = None,
    ) -> Any:
        """Multiply, and scale or requantise the sums.

        The sums ``S = Q @ (B - zero_point)`` are exact.  The `dtype` determines the result [1]_:

        - int32: ``S``
        - float32: ``Y = activation((self.scale[:, None] * scale) * S + bias)``
        - int8, uint8: ``Y / out_scale``, rounded to the nearest integer (halves to the even one),
          plus `out_zero_point`.  A value outside of the range of `dtype` becomes the nearest value
          of the range, and NaN becomes the smallest.

        Parameters
        ----------
        B : array_like of int8, uint8 or bool, shape (k,) or (k, n)
            The bytes, of any strides.  They stand for ``scale * (B - zero_point)``.  If `scale` is
            given, `B` may be float32 too: it is rounded to the nearest uint8 first, as results of
            uint8 are, with `scale` and `zero_point` as `out_scale` and `out_zero_point`.
        out : ndarray, optional
            The array for the result, which is returned.  It has the shape and dtype of the result,
            and any strides.
        dtype : {int32, float32, int8, uint8}, optional
            The dtype of the result.  By default this is the dtype of `out`, or else int32 if sums
            are not scaled, and float32 otherwise.
        scale : float or array_like of shape (n,) or (1, n), optional
            The scale of `B`, 1 by default.  An array has a scale for each column (token).  For
            `B` of float32, `scale` must be a positive number, and `zero_point` one from 0 to 255.
        zero_point : int or array_like of shape (n,) or (1, n), optional
            The value of `B` that stands for 0.  An array has a value for each column.
        bias : array_like, optional
            Is added to each row: a scalar, or an array of shape (m, 1), or (m,) if `B` is 1-D.
        activation : str, optional
            Is applied to the scaled sums, as in `spkernels.spmm`.
        out_scale, out_zero_point : float and int, optional
            The scale of the result, and the value of the result that stands for 0.
        workers : int, optional
            The largest number of threads, as in `spkernels.spmm`.

        Returns
        -------
        ndarray
            Of shape (m, n), or (m,) if `B` is 1-D.

        Raises
        ------
        TypeError
            If `B` is not dense or of another dtype, or an argument has the wrong type.
        ValueError
            If shapes do not fit, a zero point is not a value of its dtype, or an option does not go
            with the dtype of the result.  A transpose with different scales returns int32 alone,
            and raises this error for other results.

        Notes
        -----
        Floating-point operations are in float32, and each is rounded.  So results have the same
        bits for all instruction sets and numbers of threads, with one exception: "hardswish" and
        activations with an exponential may differ in the last bit on instruction sets without a
        fused multiply-add.

        References
        ----------
        .. [1] B. Jacob et al., "Quantization and Training of Neural Networks for Efficient
           Integer-Arithmetic-Only Inference", CVPR 2018.

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

        A scale for each of two columns:

        >>> W.spmm(np.array([[10, 20], [200, 100]], np.uint8), scale=[0.5, 1.0])
        array([[254.  , 254.  ],
               [ -6.35, -25.4 ]], dtype=float32)
        """
        if tensors.dense_among(B, out, scale, zero_point, bias):
            options = {
                "out": out, "dtype": dtype, "scale": scale, "zero_point": zero_point, "bias": bias,
                "activation": activation, "out_scale": out_scale,
                "out_zero_point": out_zero_point, "workers": workers,
            }  # fmt: skip
            return tensors.call(Int8Matrix.spmm, {"W": self, "B": B}, options, B)
        B = as_bytes(B, "B", scale, zero_point, self._workers if workers is None else workers)
        if B.ndim not in (1, 2):
            raise ValueError(
                f"B must be 1-D or 2-D, got shape {B.shape}: W @ B multiplies stacks of matrices, "
                "W.linear(X) takes X of any shape (..., k)"
            )
        state = self._state
        own = state.csr.shape
        check_inner(own, B)
        shape: tuple[int, ...]
        per_column: tuple[tuple[int, ...], ...]
        if B.ndim == 1:
            shape, per_column = own[:1], ()
        else:
            n = B.shape[1]
            shape, per_column = (own[0], n), ((n,), (1, n))
        row_bias = None
        if bias is not None:
            row_bias, column_bias = plan_bias(bias, shape, FLOAT32)
            if column_bias is not None:
                raise ValueError(
                    f"bias must be a scalar or have shape ({shape[0]}, 1), got {np.shape(bias)}"
                )
        return self._multiply(
            state, B, shape, False, out, dtype, row_bias, per_column, scale, zero_point,
            activation, out_scale, out_zero_point, workers,
        )  # fmt: skip

    @overload
    def linear(
        self,
        X: Tensor[Result],
        bias: ArrayLike | None = None,
        *,
        activation: Activation | None = None,
        out: None = None,
        dtype: QuantisedDType | np.dtype[Any] | None = None,
        scale: ArrayLike | None = None,
        zero_point: ArrayLike = 0,
        out_scale: float | None = None,
        out_zero_point: int = 0,
        workers: int | None = None,
    ) -> Result: ...
    @overload
    def linear(
        self,
        X: ArrayLike,
        bias: ArrayLike | None = None,
        *,
        activation: Activation | None = None,
        out: None = None,
        dtype: QuantisedDType | np.dtype[Any] | None = None,
        scale: ArrayLike | None = None,
        zero_point: ArrayLike = 0,
        out_scale: float | None = None,
        out_zero_point: int = 0,
        workers: int | None = None,
    ) -> NDArray[Any]: ...
    @overload
    def linear(
        self,
        X: ArrayLike,
        bias: ArrayLike | None = None,
        *,
        activation: Activation | None = None,
        out: Out,
        dtype: QuantisedDType | np.dtype[Any] | None = None,
        scale: ArrayLike | None = None,
        zero_point: ArrayLike = 0,
        out_scale: float | None = None,
        out_zero_point: int = 0,
        workers: int | None = None,
    ) -> Out: ...
    def linear(
        self,
        X: Any,
        bias: ArrayLike | None = None,
        *,
        activation: Activation | None = None,
        out: NDArray[Any] | Tensor[Any] | None = None,
        dtype: QuantisedDType | np.dtype[Any] | None = None,
        scale: ArrayLike | None = None,
        zero_point: ArrayLike = 0,
        out_scale: float | None = None,
        out_zero_point: int = 0,
        workers: int | None = None,
    ) -> Any:
        """Apply W as the weight of a linear layer: ``X @ W.T``, scaled, with bias and activation.

        The sums ``S = (X - zero_point) @ Q.T`` are exact.  `spmm` says what results from them.

        Parameters
        ----------
        X : array_like of int8, uint8 or bool, of shape (..., k)
            The inputs, a row for each token, with any number of leading dimensions and any strides.
            If `scale` is given, they may be float32 too, as in `spmm`.
        bias : array_like of shape (m,), or a number, optional
            Is added to each row of the result.
        activation : str, optional
            Is applied to the scaled sums, as in `spkernels.spmm`.
        out : ndarray of shape (..., m), optional
            The array for the result, which is returned.
        dtype : {int32, float32, int8, uint8}, optional
            The dtype of the result.  By default this is the dtype of `out`, or else int32 if sums
            are not scaled, and float32 otherwise.
        scale : float or array_like of shape (...) or (..., 1), optional
            The scale of `X`, 1 by default.  An array has a scale for each row of `X`, unless that
            is float32.
        zero_point : int or array_like of shape (...) or (..., 1), optional
            The value of `X` that stands for 0.  An array has a value for each row of `X`.
        out_scale, out_zero_point : float and int, optional
            The scale of the result, and the value of the result that stands for 0.
        workers : int, optional
            The largest number of threads; by default the number that `prepare` was given.

        Returns
        -------
        ndarray
            Of shape (..., m), in C order.

        Raises
        ------
        TypeError, ValueError
            As `spmm`; messages name `X`.

        Notes
        -----
        The call takes ``2 * nnz`` operations for each row of `X`.  `X` is copied only if its
        leading dimensions cannot be joined to one dimension, as those of ``X.transpose(1, 0, 2)``.

        Examples
        --------
        >>> import numpy as np
        >>> import scipy.sparse as sp
        >>> import spkernels
        >>> W = spkernels.prepare(sp.csr_array([[0.0, 2.54], [-1.27, 0.0]]), dtype="int8")
        >>> X = np.array([[[10, 200]], [[20, 100]]], np.uint8)
        >>> W.linear(X, [1.0, 2.0], scale=[[0.5], [1.0]])
        array([[[255.  ,  -4.35]],
        <BLANKLINE>
               [[255.  , -23.4 ]]], dtype=float32)
        >>> X @ W.T
        array([[[25400, -1270]],
        <BLANKLINE>
               [[12700, -2540]]], dtype=int32)
        """
        if tensors.dense_among(X, out, scale, zero_point, bias):
            options = {
                "out": out, "dtype": dtype, "scale": scale, "zero_point": zero_point, "bias": bias,
                "activation": activation, "out_scale": out_scale,
                "out_zero_point": out_zero_point, "workers": workers,
            }  # fmt: skip
            return tensors.call(Int8Matrix.linear, {"W": self, "X": X}, options, X)
        X = as_bytes(X, "X", scale, zero_point, self._workers if workers is None else workers)
        state = self._state
        own = state.csr.shape
        bias = check_layer(own, X, bias)
        lead, rows = X.shape[:-1], own[0]
        row_bias, _ = plan_bias(bias, (rows,), FLOAT32)
        return self._multiply(
            state, X, (*lead, rows), True, out, dtype, row_bias, (lead, (*lead, 1)), scale,
            zero_point, activation, out_scale, out_zero_point, workers,
        )  # fmt: skip

    def _multiply(
        self, state, X, shape, by_rows, out, dtype, row_bias, shapes, scale, zero_point,
        activation, out_scale, out_zero_point, workers,
    ):  # fmt: skip
        """Multiply by the bytes `X`, whose columns or (`by_rows`) rows are vectors.

        The scale and the zero point are numbers, or arrays of one of `shapes` with an element for
        each vector.
        """
        if out is not None:
            check_out(out, shape)
        scaled = not (scale is row_bias is activation is out_scale is None)
        dtype = result_dtype(dtype, out, scaled)
        if out is not None:
            check_out_dtype(out, dtype)
        zero, zeros = zero_points_of(zero_point, X.dtype, shapes)
        steps = None
        if dtype is INT32:
            if scaled:
                raise ValueError(
                    "scale, bias, activation and out_scale must be None for a result of int32"
                )
            no_zero(out_zero_point, dtype)
            factors = None
            code, out_step, out_zero = 0, 1.0, 0
        else:
            step, steps = steps_of(scale, shapes)
            factors, code = state.factors(step), activation_code(activation)
            out_step, out_zero = output_step(dtype, out_scale, out_zero_point)
        result, B = out, X
        if out is None:
            result = _core.empty(shape, dtype)
        else:
            if dense_view(out, dtype) is not out:
                result = _core.empty(shape, dtype)
            B, row_bias = apart_from(out, X), apart_from(out, row_bias)
            steps, zeros = apart_from(out, steps), apart_from(out, zeros)
        target = result
        if by_rows and X.ndim > 1:
            B, target = as_rows(B).T, as_rows(result).T
            if result is out and not np.may_share_memory(target, result) and result.size:
                result = _core.empty(shape, dtype)  # leading dimensions of `out` cannot be joined
                target = as_rows(result).T
        workers = self._workers if workers is None else workers
        packed = state.packed_for(B.shape[1] if B.ndim == 2 else 1, workers)
        threads = resolve_workers(workers)
        status = _core.spmm_int8(
            packed, B, target, zero, factors, row_bias, code, out_step, out_zero, threads, steps,
            zeros,
        )  # fmt: skip
        if status:
            raise_status(status, state.csr, "W")
        if out is None or result is out:
            return result
        out[...] = result
        return out

    @overload
    def __matmul__(self, B: Tensor[Result]) -> Result: ...
    @overload
    def __matmul__(self, B: ArrayLike) -> NDArray[np.int32]: ...
    def __matmul__(self, B: Any) -> Any:
        own = self._own
        if type(B) is np.ndarray and self._workers is None and own is not None:
            packed = own.packed.get(_core.int8_width(B.shape[1] if B.ndim == 2 else 1))
            result = None if packed is None else _core.spmm_int8_fast(packed, B)
            if result is not None:
                return result
        if tensors.dense_among(B):
            return tensors.product(Int8Matrix.__matmul__, self, B, "B")
        return self._matmul(B)

    @overload
    def __rmatmul__(self, X: Tensor[Result]) -> Result: ...
    @overload
    def __rmatmul__(self, X: ArrayLike) -> NDArray[np.int32]: ...
    def __rmatmul__(self, X: Any) -> Any:
        W = self._parent
        if type(X) is np.ndarray and W is not None and W._workers is None:
            packed = W._own.packed.get(_core.int8_width(X.shape[0] if X.ndim == 2 else 1))
            result = None if packed is None else _core.spmm_int8_fast(packed, X, True)
            if result is not None:
                return result
        if tensors.dense_among(X):
            return tensors.product(Int8Matrix.__rmatmul__, self, X, "X")
        return self._rmatmul(X)

    def _matmul(self, B, out=None):
        """Multiply by a vector, a matrix, or a stack of matrices of shape (..., k, n)."""
        B = as_bytes(B, "B")
        return self.spmm(B, out=out) if B.ndim <= 2 else multiply_stack(self, B, INT32, out)

    def _rmatmul(self, X, out=None):
        X = as_bytes(X, "X")
        check_left(self.shape, X)
        return self.T.linear(X, out=out)

    def __repr__(self) -> str:
        state = self._own if self._parent is None else self._parent._own._transposed
        packed = None if state is None else state.packed.get(_core.int8_width(self._n))
        kernel = "kernel not packed yet" if packed is None else f"kernel {packed.layout}"
        return describe(
            "Int8Matrix",
            self.shape,
            f"{self.nnz} stored",
            self.dtype,
            "quantised by rows" if self._floats else "integers as they were",
            f"{kernel} for {self._n} columns",
            None if self._parent is None else "transposed",
        )

    def __sizeof__(self) -> int:
        return object.__sizeof__(self) + self.nbytes

    def __reduce__(self):
        if self._parent is not None:
            return operator.attrgetter("T"), (self._parent,)
        own = self._own
        rest = (pack_slots(self._slots), self._floats, self._n, self._workers)
        return self._restored, (own.csr, own.scale, *rest)

    @classmethod
    def _restored(cls, csr, scale, slots, floats, n, workers):
        """Return the matrix of a pickle, which names a public class and has arrays alone."""
        W = cls(State(csr, scale), unpack_slots(slots), floats, n, workers)
        W._own.packed_for(n, workers)
        return W
