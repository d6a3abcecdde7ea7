"""Tensors of PyTorch."""

import numpy as np

from ._library import Library, compressed, coordinates, not_dense, not_sparse, unreadable

__all__ = ["LIBRARY"]


def _obstacle(value, name):
    """Return the words for why NumPy cannot read a tensor and what helps, or None if it can."""
    if value.requires_grad:
        return f"{name}.detach() is without the gradient, which would be lost"
    device = value.device.type
    if device == "meta":
        return "it has no values"
    if device != "cpu":
        other = ", spkernels.cuda multiplies there" if device == "cuda" else ""
        return f"{name}.cpu() copies it from {device}{other}"
    if value.is_nested:
        return f"{name}.to_padded_tensor(0.0) is rectangular"
    if value.is_quantized:
        return f"{name}.dequantize() converts it"
    dtype = str(value.dtype).removeprefix("torch.")
    if dtype.startswith(("bfloat", "float8", "float4")):
        return f"{name}.float() converts it"
    if dtype == "complex32":
        return f"{name}.to(torch.complex64) converts it"
    return None


def _is_sparse(value):
    return not value.is_nested and str(value.layout).startswith("torch.sparse_")


def _array(tensor):
    """Return the elements of a tensor that NumPy can read; lazy conjugation is resolved."""
    return tensor.resolve_conj().resolve_neg().numpy()


def _to_scipy(value, name):
    line = _obstacle(value, name)
    if line is not None:
        raise unreadable(value, name, line)
    if value.dense_dim():
        raise not_sparse(value, name, f"it has dense parts, {name}.to_dense() is dense as a whole")
    layout = str(value.layout).removeprefix("torch.sparse_")
    if layout == "coo":
        # A tensor that is not coalesced may have duplicates, which scipy sums, too.
        return coordinates(value, name, _array(value._indices()), _array(value._values()))
    shape = tuple(value.shape)
    if len(shape) != 2:
        raise ValueError(f"{name} must be 2-D, got shape {shape} (torch.Tensor)")
    values = _array(value.values())
    if layout in ("csr", "bsr"):
        arrays = _array(value.crow_indices()), _array(value.col_indices())
        return compressed(layout, shape, *arrays, values)
    arrays = _array(value.ccol_indices()), _array(value.row_indices())
    if layout == "csc":
        return compressed("csc", shape, *arrays, values)
    return _from_bsc(value, name, *arrays, values)


def _from_bsc(value, name, offsets, rows, blocks):
    """Return COO from blocks that are compressed by columns, a format that scipy does not have."""
    counts = np.diff(offsets)
    if offsets[0] != 0 or (counts < 0).any() or not offsets[-1] == len(rows) == len(blocks):
        raise ValueError(
            f"{name}.ccol_indices() is corrupted: it must start at 0, never decrease and end at "
            f"the number of blocks, which is {len(blocks)}"
        )
    height, width = blocks.shape[1:]
    rows = rows[:, None, None] * height + np.arange(height)[:, None]
    cols = np.repeat(np.arange(counts.size), counts)[:, None, None] * width + np.arange(width)
    coords = [np.broadcast_to(part, blocks.shape).ravel() for part in (rows, cols)]
    return coordinates(value, name, coords, blocks.ravel())


def _check_dense(value, name):
    line = _obstacle(value, name)
    if line is not None:
        raise unreadable(value, name, line)
    if str(value.layout) != "torch.strided":
        raise not_dense(value, name, f"{name}.to_dense() converts it")
    return value.resolve_conj().resolve_neg()


LIBRARY = Library(_is_sparse, _to_scipy, _check_dense)
