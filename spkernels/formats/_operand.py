"""The base class of arrays of a format and of their transposes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, overload

from .._prepare.multiplier import Convertible

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from .._inputs.types import Activation, Out, Result, Tensor

__all__ = ["Operand"]


class Operand(Convertible):
    """Multiplies by dense arrays on either side, through a `PreparedMatrix`.

    A subclass defines `shape`, `dtype`, `toarray` and ``_multiplier()``, which returns the prepared
    matrix.
    """

    def _multiplier(self) -> Any:
        raise NotImplementedError

    @overload
    def __matmul__(self, B: Tensor[Result]) -> Result: ...
    @overload
    def __matmul__(self, B: ArrayLike) -> NDArray[Any]: ...
    def __matmul__(self, B: Any) -> Any:
        return self._multiplier() @ B

    @overload
    def __rmatmul__(self, X: Tensor[Result]) -> Result: ...
    @overload
    def __rmatmul__(self, X: ArrayLike) -> NDArray[Any]: ...
    def __rmatmul__(self, X: Any) -> Any:
        return self._multiplier().__rmatmul__(X)

    def _matmul(self, B, out):
        return self._multiplier()._matmul(B, out)

    def _rmatmul(self, X, out):
        return self._multiplier()._rmatmul(X, out)

    def _spmm(self, B, **options):
        return self._multiplier()._spmm(B, **options)

    def _rspmm(self, X, **options):
        return self._multiplier()._rspmm(X, **options)

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
        out: NDArray[Any] | Tensor[Any] | None = None,
        alpha: float = 1.0,
        beta: float = 0.0,
        workers: int | None = None,
    ) -> Any:
        """Apply this array as the weight of a linear layer; see `spkernels.PreparedMatrix.linear`.

        Examples
        --------
        >>> import numpy as np
        >>> from spkernels import formats
        >>> W = formats.NMArray.from_dense([[0.0, 1.0], [2.0, 0.0], [0.0, 3.0]], 1, 2)
        >>> W.linear(np.ones((4, 5, 2)), bias=[1.0, 1.0, 1.0])[0, 0]
        array([2., 3., 4.])
        """
        options = {"activation": activation, "out": out, "alpha": alpha, "beta": beta}
        return self._multiplier().linear(X, bias, **options, workers=workers)

    def _dense(self):
        return self.toarray()
