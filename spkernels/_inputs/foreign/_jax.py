"""Arrays of JAX and of jax.experimental.sparse."""

import numpy as np

from ._library import Library, compressed, coordinates, has_base, not_dense, not_sparse, unreadable

__all__ = ["LIBRARY"]

_TRACED = "it is traced and has no values yet, jax.pure_callback calls functions of NumPy arrays"


def _is_sparse(value):
    return has_base(value, "JAXSparse")


def _obstacle(value, name):
    """Return the words for why NumPy cannot read a sparse array's values, or None if it can."""
    data = value.data
    if has_base(data, "Tracer"):
        return _TRACED
    if any(device.platform != "cpu" for device in data.devices()):
        return f'jax.device_put({name}, jax.devices("cpu")[0]) copies it'
    if np.dtype(data.dtype).kind not in "biufc":
        return f"NumPy has no {data.dtype}, float32 holds all of its values"
    return None


def _to_scipy(value, name):
    line = _obstacle(value, name)
    if line is not None:
        raise unreadable(value, name, line)
    if getattr(value, "n_batch", 0) or getattr(value, "n_dense", 0):
        raise not_sparse(value, name, f"it has dense parts, {name}.todense() is dense as a whole")
    kind, shape, data = type(value).__name__, tuple(value.shape), np.asarray(value.data)
    if kind == "BCOO":
        indices = np.asarray(value.indices)
        # JAX pads to a fixed number of entries with indices beyond the shape.
        inside = (indices < np.array(shape)).all(axis=1)
        if not inside.all():
            indices, data = indices[inside], data[inside]
        return coordinates(value, name, indices.T, data)
    if kind == "COO":
        return coordinates(value, name, (value.row, value.col), data)
    if kind in ("BCSR", "CSR", "CSC"):
        indptr, indices = np.asarray(value.indptr), np.asarray(value.indices)
        # In these formats the padding is after the last row.
        used = max(0, int(indptr[-1]))
        format = "csc" if kind == "CSC" else "csr"
        return compressed(format, shape, indptr, indices[:used], data[:used])
    raise not_sparse(value, name, f"scipy.sparse.csr_array({name}.todense()) converts it")


def _check_dense(value, name):
    if _is_sparse(value):
        raise not_dense(value, name, f"{name}.todense() converts it")
    if has_base(value, "Tracer"):
        raise unreadable(value, name, _TRACED)
    return value


LIBRARY = Library(_is_sparse, _to_scipy, _check_dense)
