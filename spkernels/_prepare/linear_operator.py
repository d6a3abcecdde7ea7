"""Sparse matrices as linear operators, for scipy's solvers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse.linalg import LinearOperator

from .._inputs import tensors
from .._inputs.foreign import as_sparse
from .._inputs.sparse import KERNEL_FORMATS, to_csr, validated
from .._ops.spmm import spmm
from .._runtime.describe import describe, held
from .multiplier import Multiplier

if TYPE_CHECKING:
    from .._inputs.types import SparseLike

__all__ = ["aslinearoperator"]


class SparseOperator(Multiplier, LinearOperator):  # type: ignore[misc]  # scipy's has a None
    """A scipy LinearOperator whose products run on `spmm`; see `aslinearoperator`."""

    def __init__(self, A):
        self.A = A
        self._adjoint_made = None
        super().__init__(dtype=A.dtype, shape=A.shape)

    @property
    def _adjoint_operand(self):
        # Until Python 3.12 a cached_property holds a lock, at which a forked child could wait.
        if self._adjoint_made is None:
            # The transpose shares A's arrays, except for BSR; conjugation makes new values.
            transpose = self._transposed()
            self._adjoint_made = transpose.conj() if self.dtype.kind == "c" else transpose
        return self._adjoint_made

    def __repr__(self) -> str:
        return describe(
            "SparseOperator",
            self.shape,
            f"{self.A.nnz} stored in {self.A.format.upper()}",
            self.dtype,
            "kernel chosen by each product",
        )

    def __reduce__(self):
        return aslinearoperator, (self.A,)

    def __sizeof__(self) -> int:
        # scipy's matrices do not count their arrays in __sizeof__.
        return object.__sizeof__(self) + sum(map(held, vars(self.A).values()))

    def __matmul__(self, other):
        if tensors.dense_among(other):
            return tensors.product(SparseOperator.__matmul__, self, other, "B")
        return super().__matmul__(other)

    def __rmatmul__(self, other):
        if tensors.dense_among(other):
            return tensors.product(SparseOperator.__rmatmul__, self, other, "X")
        return super().__rmatmul__(other)

    def _matmat(self, X):
        return spmm(self.A, X)

    def _matvec(self, x):
        return spmm(self.A, np.ravel(x))

    def _rmatmat(self, X):
        return spmm(self._adjoint_operand, X)

    def _rmatvec(self, x):
        return spmm(self._adjoint_operand, np.ravel(x))

    def _spmm(self, B, **options):
        return spmm(self.A, B, **options)

    def _rspmm(self, X, **options):
        return spmm(X, self.A, **options)

    def _matmul(self, B, out):
        return spmm(self.A, B, out=out)

    def _rmatmul(self, X, out):
        return spmm(X, self.A, out=out)

    def _adjoint(self):
        return SparseOperator(self._adjoint_operand)

    def _transpose(self):
        return SparseOperator(self._transposed())

    def _transposed(self):
        # scipy transposes BSR by writing through its indices, which it does not check.
        return validated(self.A, "A").T


def aslinearoperator(A: SparseLike) -> LinearOperator:
    """Wrap a sparse matrix as a `scipy.sparse.linalg.LinearOperator` that multiplies by `spmm`.

    Parameters
    ----------
    A : sparse array or matrix of shape (m, n)
        The matrix, which is not copied, so it must not change while the operator is in use.  CSR,
        CSC, COO and BSR are used as they are; other formats are converted to CSR once.

    Returns
    -------
    scipy.sparse.linalg.LinearOperator
        An operator with ``matvec``, ``matmat``, ``rmatvec``, ``rmatmat``, ``.H`` and ``.T``, for
        `cg`, `gmres`, `eigsh`, `svds`, `lsqr` and other solvers.

    Raises
    ------
    TypeError
        If `A` is not sparse.
    ValueError
        If `A` is not 2-D.  If `A` is corrupted, products and transposes raise it.

    See Also
    --------
    prepare : packs a matrix, which is a LinearOperator, too.
    accelerate : makes scipy's own products run on the kernels instead.

    Examples
    --------
    >>> import numpy as np
    >>> import scipy.sparse as sp
    >>> from scipy.sparse.linalg import cg
    >>> import spkernels
    >>> A = sp.csr_array([[2.0, 0.0], [0.0, 4.0]])
    >>> x, info = cg(spkernels.aslinearoperator(A), np.array([2.0, 8.0]))
    >>> x
    array([1., 2.])
    """
    A = as_sparse(A, "A")
    if A.ndim != 2:
        raise ValueError(f"A must be 2-D, got shape {A.shape}")
    if A.format not in KERNEL_FORMATS:
        A = to_csr(A, "A")
    return SparseOperator(A)
