"""Prepared matrices that multiply one after the other, as the layers of a network do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, overload

import numpy as np

from .. import _core
from .._inputs import tensors
from .._inputs.dense import as_rows, check_layer, dense_array, numbers
from .._inputs.out import check_out
from .._inputs.scalars import activation_code
from .._runtime.describe import describe
from .._runtime.threads import resolve_workers
from .matrix import PreparedMatrix

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    from .._inputs.types import Activation, Out, Result, Tensor

__all__ = ["Chain"]


class Chain:
    """Linear layers with sparse weights, which one call applies one after the other.

    ``chain(X)`` is ``activation(X @ W.T + bias)`` for each matrix in turn.  It takes less time than
    a call for each layer.  Any number of threads may use a chain at once.  It can be pickled.

    Parameters
    ----------
    matrices : sequence of PreparedMatrix
        The weights.  Each has as many columns as the one before has rows.
    biases : sequence of array_like, optional
        For each matrix of shape (m, k) a bias of shape (m,), a number, or None.  An array of the
        matrix's dtype is not copied.
    activations : sequence of str, optional
        For each matrix the name of an activation, as in `spmm`, or None.
    workers : int, optional
        The largest number of threads; by default the number that the first matrix was prepared for.

    Attributes
    ----------
    matrices : tuple of PreparedMatrix
    biases : tuple of ndarray, or of None
    activations : tuple of str, or of None
    shape : (int, int)
        The lengths of a result and of an input.
    nbytes : int
        The memory in use now, in bytes, of the matrices and the biases.

    Raises
    ------
    TypeError, ValueError
        If `matrices` is empty or its shapes do not follow each other, or if a bias or an activation
        does not suit its matrix.

    See Also
    --------
    PreparedMatrix.linear : applies one layer.

    Notes
    -----
    Results have the bits of `PreparedMatrix.spmm`, layer by layer from ``X.T`` on.  If the batch is
    large, each thread takes a part of it through all layers, and finds what it reads in its own
    cache.  Otherwise threads share each layer.

    The first call for a batch size chooses the kernels, layer by layer.  All calls go layer by
    layer if the strategy of a matrix writes out zeros (``dense`` and ``padded``), or if the dtype
    of `X` is not that of all matrices.

    Examples
    --------
    >>> import numpy as np
    >>> import spkernels
    >>> W = [spkernels.prepare(spkernels.datasets.random_pruned(256, 256, 0.9), n=8) for _ in "ab"]
    >>> chain = spkernels.Chain(W, activations=["relu", None])
    >>> X = np.ones((8, 256), np.float32)
    >>> np.allclose(chain(X), W[1].linear(W[0].linear(X, activation="relu")))
    True
    """

    def __init__(
        self,
        matrices: Sequence[PreparedMatrix],
        biases: Sequence[ArrayLike | None] | None = None,
        activations: Sequence[Activation | None] | None = None,
        *,
        workers: int | None = None,
    ):
        self.matrices = _checked(matrices)
        count = len(self.matrices)
        given = _each(biases, "biases", count)
        self.biases = tuple(
            _bias(W, bias, f"biases[{i}]")
            for i, (W, bias) in enumerate(zip(self.matrices, given, strict=True))
        )
        self.activations = _each(activations, "activations", count)
        self._codes = tuple(
            activation_code(activation, f"activations[{i}]")
            for i, activation in enumerate(self.activations)
        )
        self.shape: tuple[int, int] = self.matrices[-1].shape[0], self.matrices[0].shape[1]
        if workers is not None:
            resolve_workers(workers)
        self._workers = workers

    @property
    def nbytes(self) -> int:
        """The memory in use now, in bytes, of the matrices and the biases."""
        kept = [part for part in (*self.matrices, *self.biases) if part is not None]
        return sum({id(part): part.nbytes for part in kept}.values())

    @overload
    def __call__(
        self, X: Tensor[Result], *, out: None = None, workers: int | None = None
    ) -> Result: ...
    @overload
    def __call__(
        self, X: ArrayLike, *, out: None = None, workers: int | None = None
    ) -> NDArray[Any]: ...
    @overload
    def __call__(self, X: ArrayLike, *, out: Out, workers: int | None = None) -> Out: ...
    def __call__(self, X: Any, *, out: Any = None, workers: int | None = None) -> Any:
        """Apply all layers.

        Parameters
        ----------
        X : array_like of shape (..., k)
            The inputs, a row for each, with any number of leading dimensions and any strides.
        out : ndarray of shape (..., m), optional
            The array for the result, which is returned.
        workers : int, optional
            The largest number of threads; by default the number that the chain was made with.

        Returns
        -------
        ndarray
            Of shape (..., m), in C order.

        Raises
        ------
        TypeError, ValueError
            As `PreparedMatrix.linear`; messages name `X`.
        """
        if workers is None:
            workers = self._workers
            if workers is None:
                workers = self.matrices[0]._workers
        if type(X) is np.ndarray and 1 <= X.ndim <= 2:
            operands = tuple([(W._own or W._state).operands for W in self.matrices])
            result = _core.chain_fast(operands, self.biases, self._codes, X, out, workers)
            if result is not None:
                return result
        elif tensors.dense_among(X, out):
            arrays = tensors.ordinary(out, X)
            if arrays is None:
                options = {"out": out, "workers": workers}
                return tensors.call(Chain.__call__, {"chain": self, "X": X}, options, X)
            return tensors.returned(self(arrays[1], out=arrays[0], workers=workers), out)
        X = numbers(dense_array(X, "X"), "X")
        check_layer((self.matrices[0].shape[0], self.shape[1]), X, None)
        shape = (*X.shape[:-1], self.shape[0])
        if out is not None:
            check_out(out, shape)
        if X.ndim <= 2:
            return self._by_layers(X, out, workers)
        X = as_rows(X)
        if out is None:
            return self(X, workers=workers).reshape(shape)
        into = as_rows(out)
        self(X, out=into, workers=workers)
        if not np.may_share_memory(into, out):  # the leading dimensions could not be joined
            out[...] = into.reshape(shape)
        return out

    def _by_layers(self, X, out, workers):
        """Return the result for a vector or a matrix by a product for each layer."""
        B, last = X.T, len(self.matrices) - 1
        for i, W in enumerate(self.matrices):
            bias = self.biases[i]
            B = W.spmm(
                B,
                out=out.T if i == last and out is not None else None,
                bias=bias if bias is None or X.ndim == 1 else bias[:, None],
                activation=self.activations[i],
                order="F" if i == last and out is None else None,
                workers=workers,
            )
        return B.T if out is None else out

    def __repr__(self) -> str:
        stored = sum(W.nnz for W in self.matrices)
        dtype = np.result_type(*(W.dtype for W in self.matrices))
        return describe(
            "Chain", self.shape, f"{len(self.matrices)} layers", f"{stored} stored", dtype
        )

    def __sizeof__(self) -> int:
        return object.__sizeof__(self) + self.nbytes

    def __reduce__(self):
        options = self.matrices, self.biases, self.activations, self._workers
        return self._restored, options

    @classmethod
    def _restored(cls, matrices, biases, activations, workers):
        return cls(matrices, biases, activations, workers=workers)


def _checked(matrices):
    if isinstance(matrices, PreparedMatrix):
        raise TypeError("matrices must be a sequence of PreparedMatrix, got a PreparedMatrix")
    matrices = tuple(matrices)
    if not matrices:
        raise ValueError("matrices must have at least one matrix, got none")
    for i, W in enumerate(matrices):
        if not isinstance(W, PreparedMatrix):
            raise TypeError(f"matrices[{i}] must be a PreparedMatrix, got {type(W).__name__}")
        if i and W.shape[1] != matrices[i - 1].shape[0]:
            raise ValueError(
                f"matrices[{i}] must have {matrices[i - 1].shape[0]} columns, as many as "
                f"matrices[{i - 1}] has rows, got shape {W.shape}"
            )
    return matrices


def _each(values, name, count):
    if values is None:
        return (None,) * count
    if isinstance(values, str):
        raise TypeError(f"{name} must be a sequence, with an element per matrix, got {values!r}")
    values = tuple(values)
    if len(values) != count:
        raise ValueError(f"{name} must have {count} elements, one per matrix, got {len(values)}")
    return values


def _bias(W, bias, name):
    if bias is None:
        return None
    bias = numbers(dense_array(bias, name), name)
    if bias.shape not in ((), (W.shape[0],)):
        raise ValueError(f"{name} must be a number or have shape ({W.shape[0]},), got {bias.shape}")
    if not np.can_cast(bias.dtype, W.dtype, "same_kind"):
        raise TypeError(f"{name} must be castable to {W.dtype}, got dtype {bias.dtype}")
    return np.ascontiguousarray(np.broadcast_to(bias, W.shape[:1]), W.dtype)
