"""Frames, series and arrays of pandas, which may be sparse or dense operands."""

import numpy as np

from ._library import Library, coordinates, not_sparse, unreadable

__all__ = ["LIBRARY"]


def _is_sparse(value):
    if getattr(value, "ndim", 0) == 2:
        return hasattr(value, "sparse")  # frames have it if all of their columns are sparse
    return hasattr(getattr(value, "dtype", None), "fill_value")


def _to_scipy(value, name):
    if value.ndim == 2:
        try:
            return value.sparse.to_coo()
        except (TypeError, ValueError):
            line = f"columns must hold numbers and be filled with 0, numpy.asarray({name}) is dense"
            raise not_sparse(value, name, line) from None
    array = getattr(value, "array", value)
    if array.fill_value != 0:
        line = f"it must be filled with 0, numpy.asarray({name}) is dense"
        raise not_sparse(value, name, line)
    return coordinates(value, name, (array.sp_index.indices,), array.sp_values)


def _check_dense(value, name):
    array = np.asarray(value)
    if array.dtype.kind == "O":  # dtypes with missing values, such as Int64, become objects
        line = f"if it holds numbers, {name}.to_numpy(float, na_value=numpy.nan) converts it"
        raise unreadable(value, name, line)
    return array


LIBRARY = Library(_is_sparse, _to_scipy, _check_dense)
