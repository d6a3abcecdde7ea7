"""A sparse matrix that is inspected once and multiplied many times."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any, overload

import numpy as np
import scipy.sparse as sp
from scipy.sparse.linalg import LinearOperator

from .. import _core
from .._inputs import canonical, tensors
from .._inputs.canonical import pack_slots, unpack_slots
from .._inputs.dense import (
    as_rows,
    check_inner,
    check_layer,
    check_left,
    dense_array,
    numbers,
    plan_bias,
)
from .._inputs.foreign import find_sparse
from .._inputs.out import check_out
from .._inputs.scalars import as_extent
from .._inputs.sparse import validated
from .._runtime.describe import describe
from .._runtime.locks import Lock
from ..patterns._padding import Padding
from ..patterns._recognise import recognised
from . import prediction
from .explain import explain_matrix
from .multiplier import Convertible, multiply_stack
from .state import State
from .storage import Stored
from .strategies import width_class
from .structure import Structure

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from .._inputs.types import Activation, Order, Out, Result, SparseLike, Tensor
    from ..patterns import Pattern
    from .explain import Explanation

__all__ = ["DEFAULT_WIDTH", "PreparedMatrix"]

#: The largest number of widths (numbers of columns) whose kernels are remembered.
_MAX_WIDTHS = 1000

#: The number of columns that a matrix is prepared for by default.
DEFAULT_WIDTH = 128


class PreparedMatrix(Convertible, LinearOperator):  # type: ignore[misc]  # scipy's has a None
    """A sparse matrix that is packed for products with dense ones; `prepare` makes it.

    ``W @ B`` and ``B @ W`` multiply, and `spmm` multiplies with options.  Products with tensors of
    PyTorch are tensors; see :ref:`foreign`.  Any number of threads may use a matrix at once, for
    any numbers of columns.  It holds copies, so later changes of its source do not matter.  It is a
    `scipy.sparse.linalg.LinearOperator`, and can be pickled.

    Attributes
    ----------
    shape : (int, int)
        The numbers of rows and columns.
    dtype : numpy.dtype
        float32 or float64.
    nnz : int
        The number of entries, after duplicates are summed.
    nbytes : int
        The memory in use now, in bytes: the data packed for the numbers of columns so far, and a
        copy in CSR if a kernel in use needs it.  Otherwise CSR is restored from packed data for
        `toscipy`, `T`, `update_values` and other dtypes, and freed again.
    kernel : str
        A description of the kernel for the number of columns that `prepare` was given.
    rounding_error : float
        The relative error of rounding the values to `storage`, in the Frobenius norm.
    patterns : tuple of spkernels.patterns.Pattern
        The patterns of the matrix, as `spkernels.patterns.recognise` finds them.
    T : PreparedMatrix
        The transpose, which its first use packs.
    """

    shape: tuple[int, int]  # type: ignore[misc]  # as scipy's, which is set by its __init__
    dtype: np.dtype[Any]

    def __init__(self, state, slots, n, workers, choices, structure, parent=None):
        shape = state.shape if parent is None else parent.shape[::-1]
        dtype = state.dtype if parent is None else parent.dtype
        # Integers of a matrix with scales for its rows are none of its transpose.
        self._storage = state.storage if parent is None else parent._storage.of_panels
        self._own = state
        self._slots = slots
        self._n = n
        self._workers = workers
        self._choices = choices
        self._structure = structure
        self._patterns = None
        self._parent = parent
        self._transposed = parent
        # A matrix and its transpose share a lock, as their values change together.
        self._lock = Lock() if parent is None else parent._lock
        super().__init__(dtype=dtype, shape=shape)

    @property
    def _state(self):
        state = self._own
        if state is None:  # the first use of a transpose, or its first use after an update
            with self._lock:
                if self._own is None:
                    turned = canonical.transposed(self._parent._own.csr)
                    padding = self._structure.padding(turned, self._n, self._workers)
                    self._own = State(turned, self._storage, self._workers, padding)
                state = self._own
        return state

    @property
    def nnz(self) -> int:
        """The number of entries, after duplicates are summed."""
        own = self._own
        return (self._parent._own if own is None else own).nnz

    @property
    def nbytes(self) -> int:
        """The memory in use now, in bytes: arrays and packed data."""
        state = self._own
        if state is None:
            return 0
        return state.nbytes + getattr(self._slots, "nbytes", 0)

    @property
    def patterns(self) -> tuple[Pattern, ...]:
        """The patterns of the matrix; the first access calls `spkernels.patterns.recognise`."""
        if self._patterns is None:
            self._patterns = recognised(self._state.csr, self._structure.fill)
        return self._patterns

    @property
    def rounding_error(self) -> float:
        """The error of rounding the values to the storage, in the Frobenius norm.

        It is ``norm(W - A) / norm(A)``, for the values `A` that were given and the values `W` that
        are stored: 0 without a storage of fewer bits.  That of a transpose is the same.
        """
        own = self._own if self._parent is None else self._parent._own
        return own.rounding_error

    @property
    def kernel(self) -> str:
        """A description of the kernel for the number of columns that `prepare` was given."""
        return self._kernel(self._n).describe()

    def _choice(self, n, state):
        """Return the name of the strategy for `n` columns."""
        where = width_class(n, self.dtype)
        name = self._choices.get(where)
        if name is None:
            choice = prediction.predict(
                state, n, self._workers, state.padding, state.storage
            )
            name = self._choices.setdefault(where, choice)
        return name

    def _kernel(self, n, workers=None):
        state = self._state
        found = state.by_width.get(n)
        if found is None:
            found = state.kernel(self._choice(n, state), n, workers)
            if len(state.by_width) >= _MAX_WIDTHS:
                state.forget()
            state.operands[n] = found.operand
            state.by_width[n] = found
            state.shed()
        return found

    @overload
    def spmm(
        self,
        B: Tensor[Result],
        *,
        out: None = None,
        alpha: float = 1.0,
        beta: float = 0.0,
        bias: ArrayLike | None = None,
        activation: Activation | None = None,
        order: Order | None = None,
        workers: int | None = None,
    ) -> Result: ...
    @overload
    def spmm(
        self,
        B: ArrayLike,
        *,
        out: None = None,
        alpha: float = 1.0,
        beta: float = 0.0,
        bias: ArrayLike | None = None,
        activation: Activation | None = None,
        order: Order | None = None,
        workers: int | None = None,
    ) -> NDArray[Any]: ...
    @overload
    def spmm(
        self,
        B: ArrayLike,
        *,
        out: Out,
        alpha: float = 1.0,
        beta: float = 0.0,
        bias: ArrayLike | None = None,
        activation: Activation | None = None,
        order: None = None,
        workers: int | None = None,
    ) -> Out: ...
    def spmm(
        self,
        B: Any,
        *,
        out: Any = None,
        alpha: float = 1.0,
        beta: float = 0.0,
        bias: ArrayLike | None = None,
        activation: Activation | None = None,
        order: Order | None = None,
        workers: int | None = None,
    ) -> Any:
        """Multiply: ``activation(alpha * W @ B + beta * out + bias)``.

        Parameters
        ----------
        B : array_like of shape (k,) or (k, n)
            The dense operand, of any strides.
        out, alpha, beta, bias, activation, order
            As in `spkernels.spmm`.
        workers : int, optional
            The largest number of threads; by default the number that `prepare` was given.

        Returns
        -------
        ndarray
            Of shape (m, n), or (m,) if `B` is 1-D.

        Raises
        ------
        TypeError, ValueError
            As `spkernels.spmm`.

        Notes
        -----
        If `B` has another dtype than `W`, the result has the promoted dtype.  If that is not W's
        dtype, the packed values are not used.

        With every strategy, `alpha` multiplies finished sums, ``beta * out`` and `bias` are added,
        and the activation is applied, as in `spkernels.spmm`.

        Examples
        --------
        >>> import numpy as np
        >>> import scipy.sparse as sp
        >>> import spkernels
        >>> W = spkernels.prepare(sp.csr_array([[0.0, 2.0], [1.0, 0.0]]), n=2)
        >>> W.spmm(np.array([[1.0, -2.0], [3.0, -4.0]]), activation="relu")
        array([[6., 0.],
               [1., 0.]])
        """
        if workers is None:
            workers = self._workers
        # A small product takes a few microseconds, so the fast entry comes before all checks.
        own = self._own
        if own is not None:
            result = _core.spmm_fast(
                own.operands, B, out, alpha, beta, bias, activation, order, workers, False
            )
            if result is not None:
                return result
        if tensors.dense_among(B, out, bias):
            given = {
                "out": out, "alpha": alpha, "beta": beta, "bias": bias, "activation": activation,
                "order": order, "workers": workers,
            }  # fmt: skip
            return self._of_tensors(PreparedMatrix.spmm, "B", B, given)
        if not isinstance(B, np.ndarray):
            B = dense_array(B, "B")
        if B.ndim > 2:
            raise ValueError(
                f"B must be 1-D or 2-D, got shape {B.shape}: W @ B multiplies stacks of matrices, "
                "W.linear(X) takes X of any shape (..., k)"
            )
        if B.ndim:
            check_inner(self.shape, B)
        kernel = self._kernel(max(1, B.shape[1]) if B.ndim == 2 else 1, workers)
        return kernel.multiply(B, out, alpha, beta, bias, activation, order, workers)

    # scipy's operator multiplies fewer operands.
    @overload  # type: ignore[override]
    def __matmul__(self, other: Tensor[Result]) -> Result: ...
    @overload
    def __matmul__(self, other: ArrayLike) -> NDArray[Any]: ...
    @overload
    def __matmul__(self, other: LinearOperator) -> LinearOperator: ...
    def __matmul__(self, other: Any) -> Any:
        own = self._own
        if own is not None:
            result = _core.spmm_fast(
                own.operands, other, None, 1.0, 0.0, None, None, None, self._workers, False
            )
            if result is not None:
                return result
        if isinstance(other, LinearOperator):
            return super().__matmul__(other)
        if tensors.dense_among(other):
            return tensors.product(PreparedMatrix.__matmul__, self, other, "B")
        return self._matmul(other)

    @overload  # type: ignore[override]
    def __rmatmul__(self, other: Tensor[Result]) -> Result: ...
    @overload
    def __rmatmul__(self, other: ArrayLike) -> NDArray[Any]: ...
    @overload
    def __rmatmul__(self, other: LinearOperator) -> LinearOperator: ...
    def __rmatmul__(self, other: Any) -> Any:
        turned = self._transposed
        if turned is not None and type(other) is np.ndarray and other.ndim in (1, 2):
            result = turned._rows(other, None, None, None, 1.0, 0.0, self._workers)
            if result is not None:
                return result
        if isinstance(other, LinearOperator):
            return super().__rmatmul__(other)
        if tensors.dense_among(other):
            return tensors.product(PreparedMatrix.__rmatmul__, self, other, "X")
        return self._rmatmul(other)

    def _matmul(self, B, out=None):
        """Return the product with a vector, a matrix, or a stack of matrices (..., k, n)."""
        B = numbers(dense_array(B, "B", np.asanyarray), "B")
        if B.ndim <= 2:
            return self.spmm(B, out=out)
        return multiply_stack(self, B, np.result_type(self.dtype, B.dtype), out)

    def _rmatmul(self, X, out=None):
        X = numbers(dense_array(X, "X", np.asanyarray), "X")
        check_left(self.shape, X)
        return self.T.linear(X, out=out)

    def _spmm(self, B, **options):
        return self.spmm(B, **options)

    def _rspmm(self, X, *, bias, order, out, **options):
        """Return ``X @ W`` with the options of `spmm`, computed by the transpose."""
        X = numbers(dense_array(X, "A", np.asanyarray), "A")
        if X.ndim > 2:
            if order not in (None, "C"):
                raise ValueError(f"order must be None or 'C' for a stack, got {order!r}")
            return self.T.linear(X, bias, out=out, **options)
        if X.ndim and X.shape[-1] != self.shape[0]:
            raise ValueError(
                f"dimension mismatch in A @ B: A has shape {X.shape} and B has shape {self.shape}"
            )
        if X.ndim < 2:
            return self.T.spmm(X, bias=bias, order=order, out=out, **options)
        shape = (X.shape[0], self.shape[1])
        if bias is not None:
            per_row, per_column = plan_bias(bias, shape, np.result_type(self.dtype, X.dtype))
            bias = per_column[:, None] if per_row is None else per_row
        if out is not None:
            check_out(out, shape)
            self.T.spmm(X.T, bias=bias, order=order, out=out.T, **options)
            return out
        if order in (None, "C", "F"):
            order = "C" if order == "F" else "F"
        return self.T.spmm(X.T, bias=bias, order=order, **options).T

    @overload
    def linear(
        self,
        X: Tensor[Result],
        bias: ArrayLike | None = None,
        *,
        activation: Activation | None = None,
        out: None = None,
        alpha: float = 1.0,
        beta: float = 0.0,
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
        alpha: float = 1.0,
        beta: float = 0.0,
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
        alpha: float = 1.0,
        beta: float = 0.0,
        workers: int | None = None,
    ) -> Out: ...
    def linear(
        self,
        X: Any,
        bias: ArrayLike | None = None,
        *,
        activation: Activation | None = None,
        out: Any = None,
        alpha: float = 1.0,
        beta: float = 0.0,
        workers: int | None = None,
    ) -> Any:
        """Apply W as the weight of a linear layer: ``activation(alpha * X @ W.T + bias)``.

        Parameters
        ----------
        X : array_like of shape (..., k)
            The inputs, a row for each, with any number of leading dimensions and any strides.
        bias : array_like of shape (m,), or a number, optional
            Is added to each row of the result.
        activation : str, optional
            Is applied last, as in `spkernels.spmm`.
        out : ndarray of shape (..., m), optional
            The array for the result, which is returned.  It may be `X` itself if W is square.
        alpha, beta : float, optional
            The factors of the product and of the old content of `out`, as in `spkernels.spmm`.
        workers : int, optional
            The largest number of threads; by default the number that `prepare` was given.

        Returns
        -------
        ndarray
            Of shape (..., m), in C order.

        Raises
        ------
        TypeError, ValueError
            As `spkernels.spmm`; messages name `X`.

        Notes
        -----
        This is ``torch.nn.functional.linear`` with a sparse weight of shape (m, k), for arrays of
        NumPy and tensors of PyTorch (see :ref:`foreign`).  It takes ``2 * nnz`` operations for each
        row of `X`.  Kernels read `X` and write the result by strides, so no array is transposed in
        memory.  `X` is copied only if its leading dimensions cannot be joined to one dimension, as
        those of ``X.transpose(1, 0, 2)``.

        Examples
        --------
        >>> import numpy as np
        >>> import scipy.sparse as sp
        >>> import spkernels
        >>> W = spkernels.prepare(sp.csr_array([[0.0, 2.0], [1.0, 0.0], [0.0, -1.0]]), n=12)
        >>> W.linear(np.ones((3, 4, 2)), bias=[0.5, 0.0, 0.0], activation="relu")[0, 0]
        array([2.5, 1. , 0. ])
        """
        if workers is None:
            workers = self._workers
        if type(X) is np.ndarray and (X.ndim in (1, 2) or (X.ndim > 2 and out is None)):
            flat = X if X.ndim <= 2 else as_rows(X)
            result = self._rows(flat, bias, activation, out, alpha, beta, workers)
            if result is not None:
                return result if X.ndim <= 2 else result.reshape(*X.shape[:-1], self.shape[0])
        elif tensors.dense_among(X, out, bias):
            given = {
                "bias": bias, "activation": activation, "out": out, "alpha": alpha, "beta": beta,
                "workers": workers,
            }  # fmt: skip
            return self._of_tensors(PreparedMatrix.linear, "X", X, given)
        X = numbers(dense_array(X, "X"), "X")
        bias = check_layer(self.shape, X, bias)
        shape = (*X.shape[:-1], self.shape[0])
        if out is not None:
            check_out(out, shape)
        options: dict[str, Any] = {
            "activation": activation, "alpha": alpha, "beta": beta, "workers": workers,
        }  # fmt: skip
        if X.ndim == 1:
            return self.spmm(X, bias=bias, **{**options, "out": out})
        if bias is not None and bias.ndim:
            bias = bias[:, None]
        X = as_rows(X)
        if out is None:
            result = self.spmm(X.T, bias=bias, order="F", **options)
            return result.T.reshape(shape)
        into = as_rows(out)
        self.spmm(X.T, bias=bias, out=into.T, **options)
        if not np.may_share_memory(into, out):  # the leading dimensions could not be joined
            out[...] = into.reshape(shape)
        return out

    def _of_tensors(self, verb, name, value, options):
        """Return a verb's result where the operand, `out` or `bias` is a tensor of torch."""
        out = options["out"]
        arrays = tensors.ordinary(out, value, options["bias"])
        if arrays is None:
            return tensors.call(verb, {"W": self, name: value}, options, value)
        options["out"], value, options["bias"] = arrays
        return tensors.returned(verb(self, value, **options), out)

    def _rows(self, X, bias, activation, out, alpha, beta, workers):
        """Return `linear` of a 1-D or 2-D ndarray by the fast entry, or None if that refuses it."""
        own = self._own
        if own is None:
            return None
        into, order = None, "F"
        if out is not None:
            if type(out) is not np.ndarray:
                return None
            into, order = out.T, None
        if bias is not None:
            if type(bias) is not np.ndarray or bias.ndim != 1:
                return None
            bias = bias[:, None] if X.ndim == 2 else bias
        result = _core.spmm_fast(
            own.operands, X.T, into, alpha, beta, bias, activation, order, workers, False
        )
        return None if result is None else result.T if out is None else out

    def dot(self, x: Any) -> Any:
        """Return the product with a dense operand, a number or another operator.

        It is ``W @ x`` for a dense operand and an operator, and ``x * W`` for a number.
        """
        if np.isscalar(x) or isinstance(x, LinearOperator):
            factor: Any = x
            return super().dot(factor)
        return self @ x

    def _dense(self):
        return self._state.csr.toarray()

    def _matmat(self, X):
        return self.spmm(X)

    def _matvec(self, x):
        return self.spmm(np.ravel(x))

    def _rmatmat(self, X):
        return self.T.spmm(X)

    def _rmatvec(self, x):
        return self.T.spmm(np.ravel(x))

    def _transpose(self):
        with self._lock:
            if self._transposed is None:
                self._transposed = PreparedMatrix(
                    None, None, self._n, self._workers, {}, self._structure.T, self
                )
        return self._transposed

    _adjoint = _transpose

    @property
    def T(self) -> PreparedMatrix:  # type: ignore[override]  # scipy's is any operator
        """The transpose, which its first use packs."""
        return self._transpose()

    def toscipy(self) -> sp.csr_array:
        """Return a copy as a `scipy.sparse.csr_array`, with sorted rows and without duplicates."""
        return self._state.csr.copy()

    def update_values(self, data: ArrayLike | SparseLike) -> None:
        """Replace the values and keep the structure, as a step of training needs it.

        Products that run in other threads meanwhile use either the old or the new values.

        Parameters
        ----------
        data : array_like or sparse array
            The new values.  An array has them in the order of the ``data`` of the CSR, CSC, COO or
            BSR matrix that was prepared, duplicates included, also for ``W.T``.  A sparse matrix of
            any format must have the same structure.

        Raises
        ------
        ValueError
            If `data` has another length or structure, or values that the storage cannot hold.  The
            old values then stay.
        TypeError
            If `data` is not real.
        """
        sparse = find_sparse(data, "data")
        if self._parent is not None:
            self._parent.update_values(data if sparse is None else validated(sparse, "data").T)
            return
        own = self._own.csr
        if sparse is not None:
            csr, _ = canonical.canonical(sparse, self.dtype, "data")
            if not canonical.same(csr, own):
                raise ValueError("data must have the pattern that was prepared")
            values = csr.data
        else:
            values = canonical.place(data, self._slots, own)
        self._replace(self._own.with_values(own, values))

    def _replace(self, state):
        with self._lock:
            # The transpose is dropped first.  A child that is forked in between then makes it again
            # from the old values, which the matrix still has there.
            if self._transposed is not None:
                self._transposed._own = None  # its next use makes it again
            self._own = state

    def explain(self, n: int | None = None) -> Explanation:
        """Measure every strategy that could multiply `n` columns, and report which is used and why.

        Parameters
        ----------
        n : int, optional
            The number of columns; by default the number that `prepare` was given.

        Returns
        -------
        Explanation
            A table of the strategies: the predicted and the measured time of a product, the spread
            of the latter, the time of packing, and the number of products that pay for packing.
            The patterns of `W` and the certainty of the times follow.  `candidates` has the
            numbers, `chosen` the name of the strategy in use, `patterns` the patterns, `basis` the
            source of the times, and `how` the source of the choice.

        Examples
        --------
        >>> import spkernels
        >>> W = spkernels.prepare(spkernels.datasets.random_pruned(512, 512, 0.9), n=64)
        >>> report = W.explain()
        >>> sorted(candidate.name for candidate in report.candidates)
        ['dense', 'packed', 'rows']
        >>> report.chosen in W.kernel
        True
        """
        n = self._n if n is None else as_extent(n, "n")
        chosen = self._kernel(n).name
        used = set(self._choices.values())
        state = self._state
        if state.padding is None:
            structure = self._structure._replace(kind="auto")
            state = state.with_padding(structure.padding(state.csr, n, self._workers))
        report = explain_matrix(state, n, self._workers, chosen, used, self.patterns)
        self._state.shed()
        return report

    def __repr__(self) -> str:
        return describe(
            "PreparedMatrix",
            self.shape,
            f"{self.nnz} stored",
            self.dtype,
            None if self._storage.name is None else f"stored as {self._storage.describe()}",
            self._chosen(),
            None if self._parent is None else "transposed",
        )

    def _chosen(self):
        name = self._choices.get(width_class(self._n, self.dtype))
        kernel = "kernel not chosen yet" if name is None else f"kernel {name}"
        return f"{kernel} for {self._n} columns"

    def __sizeof__(self) -> int:
        return object.__sizeof__(self) + self.nbytes

    def __reduce__(self):
        if self._parent is not None:
            return operator.attrgetter("T"), (self._parent,)
        own, choices = self._own, dict(self._choices)
        padding = None if own.padding is None else tuple(own.padding)
        state = own.csr, tuple(own.storage), own.rounding_error, self._workers, padding
        slots, structure = pack_slots(self._slots), tuple(self._structure)
        return self._restored, (state, slots, self._n, self._workers, choices, structure)

    @classmethod
    def _restored(cls, state, slots, n, workers, choices, structure):
        """Return the matrix of a pickle, which names a public class and has arrays alone."""
        csr, storage, rounding_error, own_workers, padding = state
        padding = None if padding is None else Padding(*padding)
        own = State(csr, Stored(*storage), own_workers, padding)
        own.rounding_error = rounding_error
        return cls(own, unpack_slots(slots), n, workers, choices, Structure(*structure))
