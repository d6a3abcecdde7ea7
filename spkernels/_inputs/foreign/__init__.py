"""Operands of other libraries, none of which is imported here.

A sparse operand whose arrays NumPy can read becomes a scipy.sparse array.  Values are not rounded,
and arrays are copied only if their dtype or layout must change.  For all other operands an error
names the type and the line of code that converts it.  A library is recognised by the modules of an
object's classes, so that subclasses of its types are recognised, too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp

from . import _jax, _own, _pandas, _pydata, _refused, _torch
from ._library import has_base, not_dense, not_sparse, origin, type_name

if TYPE_CHECKING:
    from ..types import Operand

__all__ = ["as_sparse", "check_dense", "find_sparse", "type_name"]

#: The libraries by the first part of the names of their modules.
_LIBRARIES = {
    "jax": _jax.LIBRARY,
    "jaxlib": _jax.LIBRARY,
    "pandas": _pandas.LIBRARY,
    "sparse": _pydata.LIBRARY,
    "spkernels": _own.LIBRARY,
    "torch": _torch.LIBRARY,
    **_refused.LIBRARIES,
}


def _library(value):
    for base in type(value).__mro__:
        found = _LIBRARIES.get(origin(base))
        if found is not None:
            return found
    return None


def _is_sparse(value):
    if sp.issparse(value):
        return True
    library = _library(value)
    return library is not None and library.is_sparse(value)


def _is_of(value, library, *names):
    return origin(type(value)) == library and any(has_base(value, name) for name in names)


def find_sparse(value: Any, name: str) -> Operand | None:
    """Return a sparse operand of any library as an array of scipy, or None if it is not sparse.

    Raises TypeError if the operand is sparse and cannot be converted without loss.
    """
    if sp.issparse(value):
        operand: Any = value  # the stubs of scipy give it a class of their own
        return operand
    if _is_of(value, "xarray", "DataArray", "Variable"):
        return find_sparse(value.data, f"{name}.data")
    if _is_of(value, "dask", "Array", "FrameBase") and _is_sparse(value._meta):
        raise not_sparse(value, name, f"{name}.compute() converts it")
    library = _library(value)
    if library is None or not library.is_sparse(value):
        return None
    return library.to_scipy(value, name)


def as_sparse(value: Any, name: str) -> Operand:
    """Return a sparse operand of any library as an array of scipy, or raise a TypeError."""
    found = find_sparse(value, name)
    if found is None:
        raise not_sparse(value, name, _line_for_dense(value, name))
    return found


def check_dense(value: Any, name: str) -> Any:
    """Return a dense operand as an object that `numpy.asarray` converts, or raise a TypeError."""
    if sp.issparse(value):
        raise not_dense(value, name, f"{name}.toarray() converts it")
    if _is_of(value, "xarray", "DataArray", "Variable"):
        return check_dense(value.data, f"{name}.data")
    if _is_of(value, "dask", "Array", "FrameBase") and _is_sparse(value._meta):
        raise not_dense(value, name, f"{name}.compute().toarray() converts it")
    library = _library(value)
    return value if library is None else library.check_dense(value, name)


def _line_for_dense(value, name):
    """Return the words for how to convert a dense operand to a sparse array, or None."""
    if isinstance(value, np.ndarray) and value.ndim == 0 and value.dtype.kind == "O":
        return f"{name}.item() is what it holds" if sp.issparse(value.item()) else None
    for method in ("to_scipy_sparse", "to_scipy", "tocsr"):
        if callable(getattr(value, method, None)):
            return f"{name}.{method}() converts it"
    if _is_of(value, "dask", "Array", "FrameBase"):
        return f"scipy.sparse.csr_array({name}.compute()) converts it"
    if isinstance(value, list | tuple) or hasattr(value, "__array__"):
        return f"scipy.sparse.csr_array({name}) converts it"
    return None
