"""The description of a library: its sparse types, their conversion, and the errors for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import scipy.sparse as sp

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..types import SparseLike

__all__ = [
    "Library",
    "by_class",
    "compressed",
    "coordinates",
    "has_base",
    "not_dense",
    "not_sparse",
    "origin",
    "type_name",
    "unreadable",
]

#: Whether scipy has sparse arrays of one dimension, as scipy 1.13 and newer have.
_HAS_VECTORS = hasattr(sp.coo_array((1, 1)), "coords")

#: Libraries whose names errors put before the names of types, as several libraries have a COO.
_NAMED = frozenset(
    ("anndata", "cupy", "cupyx", "dask", "graphblas", "jax", "jaxlib", "networkx", "pandas")
    + ("sparse", "tensorflow", "torch", "torch_sparse", "xarray")
)


class Library(NamedTuple):
    """The functions that treat the objects of a library.

    ``is_sparse(value)`` returns whether an object is sparse.  ``to_scipy(value, name)`` converts a
    sparse object.  ``check_dense(value, name)`` returns an object that `numpy.asarray` converts.
    The latter two raise errors that name the argument.
    """

    is_sparse: Callable[[Any], bool]
    to_scipy: Callable[[Any, str], SparseLike]
    check_dense: Callable[[Any, str], Any]


def by_class(lines, methods):
    """Return a library whose sparse types are the classes that `lines` names.

    For each class, `lines` has the words of errors that say how to convert an object: where a
    sparse operand is expected, and where a dense one is; None adds no words.  `methods` has the
    methods that convert objects to scipy.sparse, by class.
    """

    def find(table, value):
        return next((table[name] for name in table if has_base(value, name)), None)

    def is_sparse(value):
        return find(lines, value) is not None

    def to_scipy(value, name):
        method = find(methods, value)
        if method is not None:
            return getattr(value, method)()
        line, _ = find(lines, value)
        raise not_sparse(value, name, line.format(name))

    def check_dense(value, name):
        found = find(lines, value)
        if found is None:
            return value
        _, line = found
        raise not_dense(value, name, line and line.format(name))

    return Library(is_sparse, to_scipy, check_dense)


def origin(kind):
    """Return the first part of the name of the module that a class is from."""
    return str(kind.__module__).partition(".")[0]


def has_base(value, name):
    """Whether a class of some name is among the classes of `value`."""
    return any(base.__name__ == name for base in type(value).__mro__)


def type_name(value):
    """Return the name of a type as users know it, without the modules inside of its library."""
    kind = type(value)
    library = origin(kind)
    if library == "torch" and hasattr(value, "layout"):
        return f"torch.{kind.__name__} ({value.layout}, {value.dtype}, {value.device.type})"
    if library == "spkernels":  # whose kinds of masks are private
        kind = next(base for base in kind.__mro__ if not base.__name__.startswith("_"))
    return f"{library}.{kind.__name__}" if library in _NAMED else kind.__name__


def _refusal(value, name, wanted, line):
    text = f"{name} must be {wanted}, got {type_name(value)}"
    return TypeError(f"{text}: {line}" if line else text)


def not_sparse(value, name, line):
    """Return the TypeError for an operand that is not sparse; `line` says how to convert it."""
    return _refusal(value, name, "a scipy.sparse array", line)


def not_dense(value, name, line):
    """Return the TypeError for an operand that is not dense; `line` says how to convert it."""
    return _refusal(value, name, "dense", line)


def unreadable(value, name, line):
    """Return the TypeError for elements that NumPy cannot read; `line` says what helps."""
    return _refusal(value, name, "an array that NumPy can read", line)


# The functions below set the arrays of an empty sparse array.  scipy's constructors would read all
# indices to narrow them, and their errors name no argument.  Operations validate the result, as
# they validate every sparse array.


def _values(array):
    """Return values in a dtype that scipy.sparse has: float16 becomes float32, without loss."""
    array = np.asarray(array)
    return array.astype(np.float32) if array.dtype == np.float16 else array


def compressed(format, shape, indptr, indices, data):
    """Return CSR, CSC or BSR of these arrays."""
    data = _values(data)
    if format == "bsr":
        result = sp.bsr_array(shape, blocksize=data.shape[1:], dtype=data.dtype)
    else:
        result = {"csr": sp.csr_array, "csc": sp.csc_array}[format](shape, dtype=data.dtype)
    result.indptr, result.indices, result.data = np.asarray(indptr), np.asarray(indices), data
    return result


def coordinates(value, name, coords, data):
    """Return COO of the shape of `value` from one array of coordinates per dimension."""
    shape = tuple(int(extent) for extent in value.shape)
    data, coords = _values(data), tuple(np.asarray(part) for part in coords)
    if len(shape) != 2 and not (len(shape) == 1 and _HAS_VECTORS):
        raise ValueError(f"{name} must be 2-D, got shape {shape} ({type_name(value)})")
    result = sp.coo_array(shape, dtype=data.dtype)
    if _HAS_VECTORS:
        result.coords = coords
    else:
        result.row, result.col = coords
    result.data = data
    result.has_canonical_format = False  # scipy has set it for the empty array
    return result
