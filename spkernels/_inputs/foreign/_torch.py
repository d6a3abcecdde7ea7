"""Tensors of PyTorch."""

import sys

import numpy as np

from ._library import (
    Library,
    compressed,
    coordinates,
    has_base,
    not_dense,
    not_sparse,
    type_name,
    unreadable,
)

__all__ = ["LIBRARY", "dense_of", "is_sparse", "is_untraced", "to_sparse"]

_GRADIENT = (
    "the gradient that it requires would be lost, the operators of spkernels.torch "
    "(torch.ops.spkernels) are differentiable, {0}.detach() is without the gradient"
)


def _module_of(value):
    """Return the module of a tensor's class, or None for what only looks like a tensor."""
    torch = sys.modules.get("torch")
    return torch if isinstance(value, getattr(torch, "Tensor", ())) else None


def _obstacle(value, name):
    """Return the words for why NumPy cannot read a tensor and what helps, or None if it can."""
    torch = _module_of(value)
    if value.requires_grad and (torch is None or torch.is_grad_enabled()):
        return _GRADIENT.format(name)
    device = value.device.type
    if device == "meta" or has_base(value, "FakeTensor"):
        return "it has no values"
    if device != "cpu":
        other = ", spkernels.cuda multiplies there" if device == "cuda" else ""
        return f"{name}.cpu() copies it from {device}{other}"
    if value.is_nested:
        return f"{name}.to_padded_tensor(0.0) is rectangular"
    if value.is_quantized:
        return f"{name}.dequantize() converts it"
    dtype = str(value.dtype).removeprefix("torch.")
    if dtype.startswith(("float8", "float4")):
        return f"{name}.float() converts it"
    if dtype == "complex32":
        return f"{name}.to(torch.complex64) converts it"
    return None if torch is None else _untraceable(torch, value, name)


def _untraceable(torch, value, name):
    """Return the words for why values of a tensor of torch must not be read, or None.

    Such a tensor belongs to a transform or to a trace, which would lose what is computed here.
    """
    forward = torch.autograd.forward_ad
    if forward._current_level >= 0 and forward.unpack_dual(value).tangent is not None:
        return f"its tangent would be lost, {name} has forward-mode gradients"
    if torch._C._functorch.is_functorch_wrapped_tensor(value):
        return "a transform of torch.func has replaced its values"
    if torch._C._get_tracing_state() is not None or _is_recorded(torch):
        return "it is traced, and a trace would keep this call's result as a constant"
    if value.layout is torch.strided and value.numel() and not value.data_ptr():
        return "its storage has no memory"
    return None


def _is_recorded(torch):
    """Return whether operations of torch are recorded into a graph."""
    modes = torch.utils._python_dispatch._get_current_dispatch_mode_stack()
    return any(has_base(mode, "ProxyTorchDispatchMode") for mode in modes)


def _check_readable(value, name):
    """Raise a TypeError if NumPy cannot read a tensor."""
    line = _obstacle(value, name)
    if line is not None:
        raise unreadable(value, name, line)


def is_sparse(value):
    """Return whether a tensor has a sparse layout."""
    return not value.is_nested and str(value.layout).startswith("torch.sparse_")


def _array(tensor):
    """Return the elements of a tensor that NumPy can read; lazy bits are resolved."""
    if str(tensor.dtype) == "torch.bfloat16":
        tensor = tensor.float()  # without loss
    return tensor.numpy(force=True)


def dense_of(value, name):
    """Return the elements of a dense tensor: an array of its memory, or of a copy if needed.

    A copy is made of bfloat16, which becomes float32, and of elements that torch conjugates or
    negates when it reads them.
    """
    torch = _module_of(value)
    if torch is not None and torch.compiler.is_dynamo_compiling():
        return torch.compiler.disable(dense_of)(value, name)
    half = torch is not None and value.dtype is torch.bfloat16
    try:
        # torch refuses tensors that require a gradient, or that NumPy has no array for.
        array = (value.float() if half else value).numpy()
    except Exception:
        array = None
    if array is not None and (torch is None or (value.data_ptr() and is_untraced(torch))):
        return array
    _check_readable(value, name)
    if str(value.layout) != "torch.strided":
        raise not_dense(value, name, f"{name}.to_dense() converts it")
    try:
        return _array(value) if array is None else array
    except Exception as error:
        raise TypeError(
            f"{name} must be an array of numbers, and {type_name(value)} is not converted: {error}"
        ) from error


def is_untraced(torch):
    """Return whether torch certainly records nothing of what is done now."""
    core = torch._C
    return (
        torch.autograd.forward_ad._current_level < 0
        and not core._len_torch_dispatch_stack()
        and core._get_tracing_state() is None
    )


def _to_scipy(value, name):
    torch = _module_of(value)
    if torch is not None and torch.compiler.is_dynamo_compiling():
        return torch.compiler.disable(_to_scipy)(value, name)
    _check_readable(value, name)
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


def to_sparse(torch, A, values, like):
    """Return a tensor with the structure of a sparse array of scipy, whose indices it shares.

    In COO, whose indices torch has in one array, it shares the indices of the tensor `like` if that
    is in COO with as many entries, of which `A` has the pattern.
    """
    if A.format == "coo":
        known = str(like.layout) == "torch.sparse_coo" and like._nnz() == A.data.size
        indices = like._indices() if known else torch.from_numpy(np.array([A.row, A.col]))
        made = torch.sparse_coo_tensor(indices, values, A.shape, check_invariants=False)
        return made._coalesced_(known and like.is_coalesced())
    make = getattr(torch, f"sparse_{A.format}_tensor")
    parts = torch.from_numpy(A.indptr), torch.from_numpy(A.indices)
    return make(*parts, values, A.shape, check_invariants=False)


LIBRARY = Library(is_sparse, _to_scipy, dense_of)
