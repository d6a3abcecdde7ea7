"""Arrays of the package `sparse` of PyData."""

from ._library import Library, coordinates, not_dense, not_sparse

__all__ = ["LIBRARY"]


def _is_sparse(value):
    # Other packages may have a module of this name, so attributes decide.
    return hasattr(value, "fill_value") and hasattr(value, "todense")


def _to_scipy(value, name):
    if value.fill_value != 0:
        line = f"its fill_value must be 0, got {value.fill_value}; {name}.todense() is dense"
        raise not_sparse(value, name, line)
    if hasattr(value, "to_coo"):  # DOK
        value = value.to_coo()
    if value.ndim == 2:
        return value.to_scipy_sparse()
    value = value.tocoo() if hasattr(value, "tocoo") else value  # GCXS
    return coordinates(value, name, value.coords, value.data)


def _check_dense(value, name):
    if _is_sparse(value):
        raise not_dense(value, name, f"{name}.todense() converts it")
    return value


LIBRARY = Library(_is_sparse, _to_scipy, _check_dense)
