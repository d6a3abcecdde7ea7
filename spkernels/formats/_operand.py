"""What an array of a format and its transpose have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .._operands import check_inner, dense_array, numbers

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["Operand"]


def _vector_or_matrix(value, name):
    array = numbers(dense_array(value, name), name)
    if array.ndim not in (1, 2):
        raise ValueError(f"{name} must be 1-D or 2-D, got shape {array.shape}")
    return array


class Operand:
    """Multiplies by dense arrays on either side, by a product with it and one with its transpose.

    A subclass has a `shape` and ``_product(B, transposed, order)``.
    """

    #: Has NumPy's arrays leave ``X @ W`` to ``W``.
    __array_ufunc__ = None

    def __matmul__(self, B: ArrayLike) -> NDArray[Any]:
        B = _vector_or_matrix(B, "B")
        check_inner(self.shape, B)
        return self._product(B, False, "C")

    def __rmatmul__(self, X: ArrayLike) -> NDArray[Any]:
        X = _vector_or_matrix(X, "X")
        if X.shape[-1] != self.shape[0]:
            raise ValueError(
                f"dimension mismatch in X @ W: X has shape {X.shape} and W has shape {self.shape}"
            )
        # In F order, so that the result, which is its transpose, is in C order.
        return self._product(X.T, True, "F").T
