"""A sparse matrix that is inspected once and multiplied many times."""

from __future__ import annotations

import copy
import operator
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np
import scipy.sparse as sp
from scipy.sparse.linalg import LinearOperator

from .. import _core
from .._inputs import canonical
from .._inputs.dense import (
    NATIVE,
    as_extent,
    as_rows,
    check_inner,
    check_layer,
    check_left,
    check_out,
    dense_array,
    numbers,
    plan_bias,
)
from .._inputs.foreign import as_sparse, find_sparse
from .._inputs.sparse import validated
from .._runtime.describe import describe
from .._runtime.locks import Lock
from .._runtime.threads import resolve_workers
from ..patterns._recognise import recognised
from . import tuning
from .int8 import Int8Matrix, prepare_int8
from .multiplier import Convertible, multiply_stack
from .pattern import PreparedPattern, prepare_pattern
from .storage import check_storage, rounded
from .strategies import KERNELS, width_class
from .structure import Structure

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from .._inputs.types import Activation, FloatDType, Int8DType, Order, Out, SparseLike, Storage
    from ..patterns import Pattern
    from .tuning import Explanation

__all__ = ["PreparedMatrix", "prepare"]

#: Widths whose kernels are remembered.
_MOST_WIDTHS = 1000

#: The columns that a matrix is prepared for where nothing is said.
USUAL_WIDTH = 128

#: The elements of a row that a pattern is prepared for where nothing is said.
USUAL_DEPTH = 64


class _State:
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
        return _State(csr, self.storage, self.workers, self.padding)

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


class PreparedMatrix(Convertible, LinearOperator):
    """A sparse matrix that was packed for products with dense ones; made by `prepare`.

    ``W @ B`` and ``B @ W`` multiply, `spmm` does so with options, and any number of threads may use
    it at once, for any number of columns.  It holds copies: what becomes of the matrix that it was
    made from does not matter.  It is a `scipy.sparse.linalg.LinearOperator`, and can be pickled.

    Attributes
    ----------
    shape : (int, int)
        Its shape.
    dtype : numpy.dtype
        float32 or float64.
    nnz : int
        Stored entries, duplicates added up.
    nbytes : int
        The memory that it takes by now: what was packed for the numbers of columns that it has met,
        and a copy in CSR where a kernel in use needs it.  Elsewhere CSR is restored from what was
        packed, for `toscipy`, `T`, `update_values` and other dtypes, and given back.
    kernel : str
        The kernel that multiplies as many columns as it was prepared for.
    patterns : tuple of spkernels.patterns.Pattern
        The structure that it has, as `spkernels.patterns.recognise` finds it.
    T : PreparedMatrix
        The transpose, which packs what it needs when it is used.
    """

    shape: tuple[int, int]
    dtype: np.dtype[Any]

    def __init__(self, state, slots, n, workers, choices, structure, parent=None):
        shape = state.shape if parent is None else parent.shape[::-1]
        dtype = state.dtype if parent is None else parent.dtype
        self._storage = state.storage if parent is None else parent._storage
        self._own = state
        self._slots = slots
        self._n = n
        self._workers = workers
        self._choices = choices
        self._structure = structure
        self._patterns = None
        self._parent = parent
        self._transposed = parent
        # One lock for a matrix and its transpose, whose values change together.
        self._lock = Lock() if parent is None else parent._lock
        super().__init__(dtype=dtype, shape=shape)

    @property
    def _state(self):
        state = self._own
        if state is None:  # of a transpose that is used for the first time, or after an update
            with self._lock:
                if self._own is None:
                    turned = canonical.transposed(self._parent._own.csr)
                    padding = self._structure.padding(turned, self._n, self._workers)
                    self._own = _State(turned, self._storage, self._workers, padding)
                state = self._own
        return state

    @property
    def nnz(self) -> int:
        """Stored entries, duplicates added up."""
        own = self._own
        return (self._parent._own if own is None else own).nnz

    @property
    def nbytes(self) -> int:
        """The memory that it takes by now: its arrays, and what was packed."""
        state = self._own
        if state is None:
            return 0
        return state.nbytes + getattr(self._slots, "nbytes", 0)

    @property
    def patterns(self) -> tuple[Pattern, ...]:
        """The structure that it has: see `spkernels.patterns.recognise`; looked for when asked."""
        if self._patterns is None:
            self._patterns = recognised(self._state.csr, self._structure.fill)
        return self._patterns

    @property
    def kernel(self) -> str:
        """The kernel that multiplies as many columns as it was prepared for."""
        return self._kernel(self._n).describe()

    def _choice(self, n, state):
        """Return the name of the kernel for `n` columns."""
        where = width_class(n, self.dtype)
        name = self._choices.get(where)
        if name is None:
            choice = tuning.predict(state, n, self._workers, state.padding)
            name = self._choices.setdefault(where, choice)
        return name

    def _kernel(self, n, workers=None):
        state = self._state
        found = state.by_width.get(n)
        if found is None:
            found = state.kernel(self._choice(n, state), n, workers)
            if len(state.by_width) >= _MOST_WIDTHS:
                state.forget()
            state.operands[n] = found.operand
            state.by_width[n] = found
            state.shed()
        return found

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
        B: ArrayLike,
        *,
        out: NDArray[Any] | None = None,
        alpha: float = 1.0,
        beta: float = 0.0,
        bias: ArrayLike | None = None,
        activation: Activation | None = None,
        order: Order | None = None,
        workers: int | None = None,
    ) -> NDArray[Any]:
        """Multiply: ``activation(alpha * W @ B + beta * out + bias)``.

        Parameters
        ----------
        B : array_like of shape (k,) or (k, n)
            The dense operand, of any strides.
        out, alpha, beta, bias, activation, order
            As in `spkernels.spmm`.
        workers : int, optional
            Threads, at most; by default as many as it was prepared for.

        Returns
        -------
        ndarray
            Of shape (m, n), or (m,) where `B` is 1-D.

        Raises
        ------
        TypeError, ValueError
            As `spkernels.spmm`.

        Notes
        -----
        If `B` has another dtype than `W`, the result has the one that both are promoted to, and the
        packed values are not used.

        `alpha` multiplies finished sums, then follow ``beta * out``, `bias` and the activation, as
        in `spkernels.spmm`, whichever kernel was chosen.

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
        # Microseconds count where products take few: what needs no look at arguments goes first.
        own = self._own
        if own is not None:
            result = _core.spmm_fast(
                own.operands, B, out, alpha, beta, bias, activation, order, workers, False
            )
            if result is not None:
                return result
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

    @overload
    def __matmul__(self, other: ArrayLike) -> NDArray[Any]: ...
    @overload
    def __matmul__(self, other: LinearOperator) -> LinearOperator: ...
    def __matmul__(self, other: ArrayLike | LinearOperator) -> Any:
        own = self._own
        if own is not None:
            result = _core.spmm_fast(
                own.operands, other, None, 1.0, 0.0, None, None, None, self._workers, False
            )
            if result is not None:
                return result
        if isinstance(other, LinearOperator):
            return super().__matmul__(other)
        return self._matmul(other)

    @overload
    def __rmatmul__(self, other: ArrayLike) -> NDArray[Any]: ...
    @overload
    def __rmatmul__(self, other: LinearOperator) -> LinearOperator: ...
    def __rmatmul__(self, other: ArrayLike | LinearOperator) -> Any:
        turned = self._transposed
        if turned is not None and type(other) is np.ndarray and other.ndim in (1, 2):
            result = turned._rows(other, None, None, None, 1.0, 0.0, self._workers)
            if result is not None:
                return result
        if isinstance(other, LinearOperator):
            return super().__rmatmul__(other)
        return self._rmatmul(other)

    def _matmul(self, B, out=None):
        """Multiply by a vector, a matrix, or a stack of matrices of shape (..., k, n)."""
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
        """Multiply from the right with the options of `spmm`, by way of the transpose."""
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
        X: ArrayLike,
        bias: ArrayLike | None = None,
        *,
        activation: Activation | None = None,
        out: NDArray[Any] | None = None,
        alpha: float = 1.0,
        beta: float = 0.0,
        workers: int | None = None,
    ) -> NDArray[Any]:
        """Apply it as the weight of a linear layer: ``activation(alpha * X @ W.T + bias)``.

        Parameters
        ----------
        X : array_like of shape (..., k)
            The inputs, a row for each; any number of leading dimensions, and any strides.
        bias : array_like of shape (m,), or a number, optional
            Added to each row of the result.
        activation : str, optional
            Applied last, as in `spkernels.spmm`.
        out : ndarray of shape (..., m), optional
            Where to write; returned.  May be `X` itself if W is square.
        alpha, beta : float, optional
            Factors of the product and of what `out` held, as in `spkernels.spmm`.
        workers : int, optional
            Threads, at most; by default as many as it was prepared for.

        Returns
        -------
        ndarray
            Of shape (..., m), in C order.

        Raises
        ------
        TypeError, ValueError
            As `spkernels.spmm`, naming `X`.

        Notes
        -----
        ``torch.nn.functional.linear`` with a sparse weight of shape (m, k), for arrays of NumPy.
        Takes ``2 * nnz`` operations for each row of `X`.  Nothing is transposed in memory: the
        kernels read `X` and write the result by strides.  `X` is copied only where its leading
        dimensions are not one dimension of some stride, as of ``X.transpose(1, 0, 2)``.

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
        X = numbers(dense_array(X, "X"), "X")
        bias = check_layer(self.shape, X, bias)
        shape = (*X.shape[:-1], self.shape[0])
        if out is not None:
            check_out(out, shape)
        options = {"activation": activation, "alpha": alpha, "beta": beta, "workers": workers}
        if X.ndim == 1:
            return self.spmm(X, bias=bias, out=out, **options)
        if bias is not None and bias.ndim:
            bias = bias[:, None]
        X = as_rows(X)
        if out is None:
            result = self.spmm(X.T, bias=bias, order="F", **options)
            return result.T.reshape(shape)
        into = as_rows(out)
        self.spmm(X.T, bias=bias, out=into.T, **options)
        if not np.may_share_memory(into, out):  # leading dimensions that are not one
            out[...] = into.reshape(shape)
        return out

    def _rows(self, X, bias, activation, out, alpha, beta, workers):
        """`linear` of one or two dimensions where nothing is out of the ordinary, or None."""
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
        """Multiply by a dense operand, a number or another operator, as ``W @ x`` and ``x * W``."""
        if np.isscalar(x) or isinstance(x, LinearOperator):
            return super().dot(x)
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
    def T(self) -> PreparedMatrix:
        """The transpose, which packs what it needs when it is used."""
        return self._transpose()

    def toscipy(self) -> sp.csr_array:
        """Return a copy as a `scipy.sparse.csr_array`, its rows sorted, duplicates added up."""
        return self._state.csr.copy()

    def update_values(self, data: ArrayLike | SparseLike) -> None:
        """Take new values for the same pattern, as when weights were trained on.

        Products that run in other threads meanwhile use the old values or the new ones, never both.

        Parameters
        ----------
        data : array_like or sparse array
            The values in the order of the ``data`` of the CSR, CSC, COO or BSR matrix that was
            prepared, duplicates included (for ``W.T`` too), or a sparse matrix with the same
            pattern, in any format.

        Raises
        ------
        ValueError
            If `data` has another length or pattern, or values that the storage cannot hold; the old
            ones then stay.
        TypeError
            If it is not real.
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
            # The transpose first: a child that is forked in between makes it again of the values
            # that the matrix has there, the old ones.
            if self._transposed is not None:
                self._transposed._own = None  # made again when it is used
            self._own = state

    def explain(self, n: int | None = None) -> Explanation:
        """Measure every kernel that could multiply `n` columns, and say which is used and why.

        Parameters
        ----------
        n : int, optional
            Columns; by default as many as it was prepared for.

        Returns
        -------
        Explanation
            Prints as a table: what was predicted and measured per product, by how much that varies,
            what packing took, how many products pay for it, which patterns `W` has, and how sure
            all of this is.  `candidates` has the numbers, `chosen` the kernel's name, `patterns`
            what was recognised, `basis` how the times are known, `how` how the kernel was chosen.

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
        report = tuning.explain(state, n, self._workers, chosen, used, self.patterns)
        self._state.shed()
        return report

    def __repr__(self) -> str:
        return describe(
            "PreparedMatrix",
            self.shape,
            f"{self.nnz} stored",
            self.dtype,
            None if self._storage is None else f"stored as {self._storage}",
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
        state = own.csr, own.storage, self._workers, own.padding
        return _restore, (state, self._slots, self._n, self._workers, choices, self._structure)


def _restore(state, *rest):
    return PreparedMatrix(_State(*state), *rest)


@overload
def prepare(
    A: SparseLike,
    *,
    n: int | None = None,
    op: Literal["spmm"] = "spmm",
    k: None = None,
    dtype: FloatDType | None = None,
    storage: Storage | None = None,
    pattern: str | None = None,
    fill: float | None = None,
    tune: bool = True,
    workers: int | None = None,
) -> PreparedMatrix: ...
@overload
def prepare(
    A: SparseLike,
    *,
    n: int | None = None,
    op: Literal["spmm"] = "spmm",
    k: None = None,
    dtype: Int8DType,
    storage: None = None,
    pattern: str | None = None,
    fill: float | None = None,
    tune: bool = True,
    workers: int | None = None,
) -> Int8Matrix: ...
@overload
def prepare(
    A: SparseLike,
    *,
    n: int | None = None,
    op: Literal["spmm"] = "spmm",
    k: None = None,
    dtype: np.dtype[Any],
    storage: Storage | None = None,
    pattern: str | None = None,
    fill: float | None = None,
    tune: bool = True,
    workers: int | None = None,
) -> PreparedMatrix | Int8Matrix: ...
@overload
def prepare(
    A: SparseLike,
    *,
    n: None = None,
    op: Literal["sddmm"],
    k: int | None = None,
    dtype: FloatDType | np.dtype[Any] | None = None,
    storage: None = None,
    pattern: None = None,
    fill: None = None,
    tune: bool = True,
    workers: int | None = None,
) -> PreparedPattern: ...
def prepare(
    A: SparseLike,
    *,
    n: int | None = None,
    op: Literal["spmm", "sddmm"] = "spmm",
    k: int | None = None,
    dtype: FloatDType | Int8DType | np.dtype[Any] | None = None,
    storage: Storage | None = None,
    pattern: str | None = None,
    fill: float | None = None,
    tune: bool = True,
    workers: int | None = None,
) -> PreparedMatrix | PreparedPattern | Int8Matrix:
    """Inspect and pack a sparse matrix once, for many products with dense ones.

    Parameters
    ----------
    A : sparse array or matrix of shape (m, k)
        Of any format, or of another library (see :ref:`foreign`).  Copied; duplicates are added up,
        explicit zeros stay.
    n : int, optional
        Columns of the dense operands to come, 128 if nothing is said.  Others work too: what they
        need is packed at their first product.
    op : {"spmm", "sddmm"}, optional
        What it is for: products with dense matrices, or sampled products of two of them at its
        stored positions.
    k : int, optional
        With ``op="sddmm"``, the elements of a row of the dense factors to come, 64 if nothing is
        said; others work too.  `n`, `storage`, `pattern`, `fill` and `tune` are for
        ``op="spmm"``.
    dtype : {float32, float64, int8}, optional
        Of the values.  By default that of `A`, and for integers and booleans the one that NumPy
        promotes them and float32 to.  With int8, integers of `A` are taken as they are, and floats
        are quantised row by row, to 127 steps on either side of 0; the dense operands to come are
        int8 or uint8 then, and there is no `storage`, nothing to `tune` and nothing to fill up.
    storage : {None, "float16", "bfloat16"}, optional
        How packed float32 values lie in memory.  In 16 bits they are rounded to the nearest value
        that these hold, take half of the memory, and are float32 again where they are used, as is
        the dense operand: sums have the accuracy of float32.  It pays where the values leave the
        caches; elsewhere products take a little longer, with a vector up to twice as long.
    pattern : str, optional
        The structure of `A`.  "auto" has it looked for, and columns of blocks that are `fill` full
        on average filled up with zeros where that is faster.  A declared one is checked: "n:m" (at
        most n entries in every m columns of a row), "VxW" (blocks of V rows and W columns, which
        are filled up likewise), "balanced n:m" (n entries exactly) or "complementary K" (K rows
        after one another have no column in common), numbers in the place of letters.  Columns that
        rows have in common are made use of whatever is said.
    fill : float, optional
        The share of their places that blocks hold at least, on average: from 0.7 to 1.  If nothing
        is said, 0.9 with "auto", and all of them if blocks are declared.
    tune : bool, optional
        Whether to measure the kernels that may suit `A` (some hundredths of a second, once per
        pattern and width in a process, see `save_tuning`); with False a model of the machine
        chooses, and preparing takes some nanoseconds per entry.
    workers : int, optional
        Threads of its products where these do not say, as in `spmm`.

    Returns
    -------
    PreparedMatrix
        With ``W @ B``, ``B @ W``, ``W.spmm``, ``W.T``, ``W.update_values`` and ``W.explain``.
    PreparedPattern
        With ``op="sddmm"``: ``W.sddmm(X, Y)`` and ``W.explain``.
    Int8Matrix
        With ``dtype="int8"``: ``W @ B`` and ``X @ W.T``; ``W.spmm`` and ``W.linear``, which scale
        and requantise; ``W.update_values`` and ``W.explain``.

    Raises
    ------
    TypeError
        If `A` is not sparse or not real, or an argument has the wrong type.
    ValueError
        If `A` is not 2-D or corrupted, an option is unknown, `storage` cannot hold a value, or `A`
        breaks a declared pattern: the first row and window or block that does is named.  With
        int8, if `A` holds infinity, NaN or an integer that int8 does not, if the magnitudes of a
        row add up to more than 8421504, or if it has too few entries for its shape.  With
        ``op="sddmm"``, if `A` has more than 2147479551 columns.

    See Also
    --------
    spmm : one product, without preparation.
    prepare_many : the matrices of a network, in parallel.
    aslinearoperator : for scipy's solvers, without preparation.
    spkernels.patterns.recognise : says which structure a matrix has.

    Notes
    -----
    Products take ``2 * nnz * n`` operations.  `A` is cut into strips of rows and blocks of columns
    such that the rows of the dense operand that a block needs stay in the L1 cache; the rows of a
    strip are sorted by their length in a block, so that loops end when the branch predictor expects
    it [1]_.  Where the dense product is faster, it is used: the values outside of the pattern then
    multiply too, as zeros of padded blocks do, but never reach the result, as operands with
    infinities or NaN go the other way.
    But for that, results have the same bits for any number of threads.

    References
    ----------
    .. [1] M. Kreutzer, G. Hager, G. Wellein, H. Fehske, A. R. Bishop, "A unified sparse matrix data
       format for efficient general sparse matrix-vector multiplication on modern processors with
       wide SIMD units", SIAM J. Sci. Comput. 36, 2014, for rows sorted in windows.

    Examples
    --------
    >>> import numpy as np
    >>> import scipy.sparse as sp
    >>> import spkernels
    >>> W = spkernels.prepare(sp.csr_array([[0.0, 2.0], [1.0, 0.0]]), n=3)
    >>> W @ np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    array([[ 8., 10., 12.],
           [ 1.,  2.,  3.]])
    >>> np.array([1.0, 2.0]) @ W
    array([2., 2.])

    A mask that breaks the pattern that it is said to have is an error:

    >>> spkernels.prepare(sp.csr_array([[0, 0, 0, 0], [1, 2, 0, 3]]), pattern="2:4")
    Traceback (most recent call last):
    ValueError: A breaks pattern='2:4': row 1 has 3 entries in window 0 (columns 0 to 3)
    """
    options = check_options(op, n, k, storage, pattern, fill, tune, workers)
    made = inspected(A, op=op, n=n, k=k, dtype=dtype, workers=workers, **options)
    return chosen(made, tune)


def check_options(op, n, k, storage, pattern, fill, tune, workers):
    """Raise where options of `prepare` are wrong; return those that `inspected` takes."""
    if op not in ("spmm", "sddmm"):
        raise ValueError(f"op must be 'spmm' or 'sddmm', got {op!r}")
    if op == "sddmm" and any(value is not None for value in (n, storage, pattern, fill)):
        raise ValueError("n, storage, pattern and fill are for op='spmm', got op='sddmm'")
    if op == "spmm" and k is not None:
        raise ValueError("k is for op='sddmm', got op='spmm'")
    if tune is not True and tune is not False:
        raise TypeError(f"tune must be True or False, got {tune!r}")
    resolve_workers(workers)
    return {"storage": storage, "structure": Structure.of(pattern, fill)}


def inspected(A, *, op, n, k, dtype, workers, storage, structure):
    """Return what `prepare` makes of a matrix, before a kernel is chosen."""
    n = USUAL_WIDTH if n is None else as_extent(n, "n")
    k = USUAL_DEPTH if k is None else as_extent(k, "k")
    A = as_sparse(A, "A")
    if A.ndim != 2:
        raise ValueError(f"A must be 2-D, got shape {A.shape}")
    if op == "spmm" and dtype is not None and np.dtype(dtype) == np.int8:
        if storage is not None:
            raise ValueError(f"storage must be None with dtype int8, got {storage!r}")
        return prepare_int8(A, n, workers, structure.check)
    value_type = _value_type(A, dtype)
    if op == "sddmm":
        return prepare_pattern(A, value_type, k, workers)
    check_storage(storage, value_type)
    csr, slots = canonical.canonical(A, value_type, "A")
    structure.check(csr)
    state = _State(csr, storage, workers, structure.padding(csr, n, workers))
    return PreparedMatrix(state, slots, n, workers, {}, structure)


def packed_ahead(made, tune):
    """Pack what choosing a kernel will need: this may be done in any thread."""
    if isinstance(made, PreparedMatrix):
        if tune:
            tuning.pack_candidates(made._own, made._n, made._workers)
        else:
            made._kernel(made._n)
    return made


def chosen(made, tune):
    """Have the kernel chosen and packed for a matrix that was `inspected`."""
    if isinstance(made, PreparedMatrix):
        if tune:
            choice = tuning.choose(made._own, made._n, made._workers)
            made._choices[width_class(made._n, made.dtype)] = choice
        made._kernel(made._n)
    return made


def deferred(A):
    """Return what `prepare` makes of floats without options, but packed when it multiplies."""
    csr, slots = canonical.canonical(A, A.dtype, "A")
    state, structure = _State(csr, None, None), Structure.of(None, None)
    made = PreparedMatrix(state, slots, USUAL_WIDTH, None, {}, structure)
    made._choice(USUAL_WIDTH, state)
    return made


def _value_type(A, dtype):
    if dtype is None:
        own = A.dtype.newbyteorder("=")
        dtype = own if own in NATIVE else np.result_type(own, np.float32)
    dtype = np.dtype(dtype).newbyteorder("=")
    if dtype not in NATIVE or A.dtype.kind not in "biuf":
        raise TypeError(
            f"dtype must be float32, float64 or int8 and A real, got dtype {dtype} for A of "
            f"{A.dtype}"
        )
    return dtype
