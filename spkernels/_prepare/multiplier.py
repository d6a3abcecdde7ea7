"""Functions of NumPy and torch for objects that multiply by dense arrays."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _core
from .._inputs import tensors
from .._inputs.dense import check_inner, dense_array
from .._inputs.out import check_out, check_out_dtype

if TYPE_CHECKING:
    from numpy.typing import DTypeLike, NDArray

__all__ = ["Convertible", "Multiplier", "multiply_stack"]

_MATMUL = np.matmul

#: The values of ``axes`` that ``X @= W`` passes for 2-D and 1-D `X`; they mean the default.
_DEFAULT_AXES = ([(-2, -1)] * 3, [(-1,), (-2, -1), (-1,)])

#: The largest dense array, in bytes, that an implicit conversion makes.
_MAX_CONVERTED = 2**30

#: Functions that read only attributes of their arguments, so that these need not be arrays.
_OF_ATTRIBUTES = {np.iscomplexobj, np.isrealobj, np.ndim, np.result_type, np.shape}


class Multiplier:
    """Makes `numpy.matmul` and `numpy.dot` multiply as ``W @ B`` and ``X @ W`` do.

    Functions of NumPy return arrays, of tensors, too.  Products of torch return tensors: ``X @ W``
    of a tensor, `torch.matmul`, and `torch.nn.functional.linear` where the object is the weight.

    A subclass defines `shape`, `dtype` and `__matmul__`, and `__rmatmul__` if it multiplies from
    the right.  Its ``_matmul(B, out)`` and ``_rmatmul(X, out)`` write products of its dtype.
    """

    #: The number of dimensions.
    ndim = 2

    def __array_ufunc__(self, ufunc, method, *inputs, **options) -> Any:
        if ufunc is _MATMUL and method == "__call__":
            if not options and inputs[1] is self:  # X @ W: the fast path
                left = inputs[0]
                return _from_right(left if type(left) is np.ndarray else _array(left, "X"), self)
            return _matmul(_array(inputs[0], "X"), _array(inputs[1], "B"), **options)
        if method == "__call__" and not options:
            if ufunc in _COMPARISONS:  # objects that are not arrays compare by identity
                return _COMPARISONS[ufunc](*inputs)
            if ufunc.__name__ in _PRODUCTS:
                return _PRODUCTS[ufunc.__name__](*inputs)
            if ufunc is np.multiply and np.ndim(inputs[0]) == 0 and hasattr(self, "__rmul__"):
                return self.__rmul__(np.asarray(inputs[0]).item())
        raise self._undefined(ufunc.__name__)

    def __array_function__(self, function, types, args, kwargs) -> Any:
        if function is np.dot:
            return _dot(*args, **kwargs)
        if function is np.size:
            return _size(*args, **kwargs)
        if hasattr(self, "__array__") or function in _OF_ATTRIBUTES:
            return function._implementation(*args, **kwargs)
        raise self._undefined(function.__name__)

    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None) -> Any:
        # torch asks the right operand by this method before it looks for `__rmatmul__`.
        name = function.__name__
        if name in _TORCH_PRODUCTS and not kwargs:
            left, right = args
            return left @ right if isinstance(left, Multiplier) else _from_right(left, right)
        if name == "linear" and isinstance(args[1], Multiplier) and hasattr(args[1], "linear"):
            return args[1].linear(args[0], *args[2:], **(kwargs or {}))
        if name in _TORCH_COMPARISONS:
            return _TORCH_COMPARISONS[name](*args)
        return NotImplemented

    def _undefined(self, name):
        return TypeError(
            f"numpy.{name} is not defined for {type(self).__name__}, which multiplies by @, "
            "numpy.matmul and numpy.dot"
        )


class Convertible(Multiplier):
    """A `Multiplier` that `numpy.asarray` converts to a dense array.

    pandas converts the right operand of a frame's ``@`` so, and scipy does, too.  A subclass
    defines ``_dense()``.
    """

    shape: tuple[int, int]
    dtype: np.dtype[Any]

    def _dense(self) -> NDArray[Any]:
        raise NotImplementedError

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        size = self.shape[0] * self.shape[1] * self.dtype.itemsize
        if size > _MAX_CONVERTED:
            raise TypeError(
                f"a {type(self).__name__} of shape {self.shape} takes {size / 2**30:.3g} GiB as a "
                "dense array, which is made on request alone: see toscipy() or to_scipy()"
            )
        if copy is False:
            raise ValueError("a sparse matrix becomes a dense array by a copy only")
        return self._dense().astype(dtype or self.dtype, copy=False)


def multiply_stack(W, B, dtype, out):
    """Return ``W @ B`` in `dtype`, in `out` if given, for `B` of shape (..., k, n)."""
    check_inner(W.shape, B)
    shape = (*B.shape[:-2], W.shape[0], B.shape[-1])
    if out is not None:
        check_out(out, shape)
        check_out_dtype(out, dtype)
    # A product may fail, so `out` is written only after all products are done.
    result = _core.empty(shape, dtype)
    if shape[-1] == 1:  # a stack of vectors is a matrix, which one product multiplies
        W.linear(B[..., 0], out=result[..., 0])
    else:
        for index in np.ndindex(shape[:-2]):
            W.spmm(B[index], out=result[index])
    if out is None:
        return result
    out[...] = result
    return out


def _array(value, name):
    """Return a tensor of torch as an array, and any other operand as it is."""
    return dense_array(value, name) if tensors.found(value) else value


def _matmul(left, right, out=None, axes=None, **options):
    if axes is not None and axes not in _DEFAULT_AXES:
        options["axes"] = axes
    if options:
        raise TypeError(
            "numpy.matmul with a matrix of spkernels takes out and no other option, got "
            f"{', '.join(options)}"
        )
    if out is None:
        return left @ right if isinstance(left, Multiplier) else _from_right(left, right)
    (out,) = out
    return _into(out, left, right)


def _from_right(left, right):
    if not hasattr(right, "__rmatmul__"):
        raise TypeError(f"X @ W is not defined for {type(right).__name__}, W @ X.T is")
    return right.__rmatmul__(left)


def _into(out, left, right):
    """Write a product to `out`, an array of its shape and of a dtype that it may be cast to."""
    if isinstance(left, Multiplier):
        matrix, dense, write = left, right, getattr(left, "_matmul", None)
    else:
        matrix, dense, write = right, left, getattr(right, "_rmatmul", None)
    dtypes = getattr(dense, "dtype", None), getattr(out, "dtype", None)
    if write is not None and all(isinstance(dtype, np.dtype) for dtype in dtypes):
        if np.result_type(matrix.dtype, dtypes[0]) == dtypes[1]:
            return write(dense, out)
    product = _matmul(left, right)
    check_out(out, product.shape)
    if not np.can_cast(product.dtype, out.dtype, "same_kind"):
        raise TypeError(f"out must be of a dtype that {product.dtype} casts to, got {out.dtype}")
    np.copyto(out, product, casting="same_kind")
    return out


def _matvec(matrix, vector):
    return _matmul(matrix, dense_array(vector, "x")[..., None])[..., 0]


def _vecmat(vector, matrix):
    return _matmul(np.conj(dense_array(vector, "x"))[..., None, :], matrix)[..., 0, :]


#: By name, as only NumPy 2.2 and newer have these ufuncs.
_PRODUCTS = {"matvec": _matvec, "vecmat": _vecmat}
_TORCH_PRODUCTS = {"matmul", "mm", "mv", "__matmul__", "__rmatmul__"}
_TORCH_COMPARISONS = {"eq": operator.is_, "ne": operator.is_not}
_COMPARISONS = {np.equal: operator.is_, np.not_equal: operator.is_not}


def _ndim(value, name):
    return value.ndim if hasattr(value, "ndim") else dense_array(value, name).ndim


def _dot(a, b, out=None):
    if _ndim(a, "X") == 0 or _ndim(b, "B") == 0:
        if out is not None:
            raise TypeError("out must be None for the product of a matrix and a number")
        return a * b
    a, b = _array(a, "X"), _array(b, "B")
    if _ndim(b, "B") > 2:
        # The axes of `a` come first in numpy.dot.
        product = np.moveaxis(_matmul(a, b), -2, 0)
        if out is None:
            return product
        check_out(out, product.shape)
        np.copyto(out, product, casting="same_kind")
        return out
    return _matmul(a, b) if out is None else _into(out, a, b)


def _size(a, axis=None):
    return a.shape[0] * a.shape[1] if axis is None else a.shape[axis]
