"""Calls with tensors of torch in the place of arrays.

torch is not imported here.  A tensor exists only where torch is loaded.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import scipy.sparse as sp

from .foreign import as_sparse
from .foreign._torch import dense_of, is_sparse, is_untraced, to_sparse
from .out import check_out, check_out_dtype

__all__ = ["call", "dense_among", "found", "ordinary", "product", "returned"]


def found(*values: Any) -> bool:
    """Return whether one of the values is a tensor."""
    torch = sys.modules.get("torch")
    if torch is not None:
        kind = getattr(torch, "Tensor", ())  # missing while torch is being imported
        for value in values:
            if isinstance(value, kind):
                return True
    return False


def dense_among(*values: Any) -> bool:
    """Return whether one of the values is a tensor that is not sparse."""
    torch = sys.modules.get("torch")
    if torch is not None:
        kind = getattr(torch, "Tensor", ())
        for value in values:
            if isinstance(value, kind):
                if value.layout is torch.strided or not is_sparse(value):
                    return True
    return False


def ordinary(out: Any, *values: Any) -> list[Any] | None:
    """Return arguments with arrays in the place of tensors, or None if there are other tensors.

    None is returned where there is no tensor at all, too.  An ordinary tensor is dense, has
    elements of more than 16 bits, and takes no part in gradients, transforms and traces.  So the
    call with the arrays has the same result, which `returned` converts.  This is the fast way of
    `call`: a tensor costs two thirds of a microsecond.
    """
    torch: Any = sys.modules.get("torch")
    kind = getattr(torch, "Tensor", None)
    if kind is None or torch.compiler.is_dynamo_compiling():
        return None
    arrays = []
    some = False
    for value in (out, *values):
        if value is not None and isinstance(value, kind):
            if type(value) is not kind and type(value) is not torch.nn.Parameter:
                return None
            if value.itemsize == 2:
                return None
            try:
                if not value.data_ptr():
                    return None
                value = value.numpy()
            except Exception:
                return None
            some = True
        arrays.append(value)
    if not some or not is_untraced(torch):
        return None
    if out is not None and 0 in getattr(arrays[0], "strides", ()):
        return None
    return arrays


def returned(result: Any, out: Any) -> Any:
    """Return the result of a call with ordinary tensors: `out`, or a new tensor."""
    torch = sys.modules["torch"]
    if out is None:
        return torch.from_numpy(result)
    if isinstance(out, torch.Tensor):
        _count_change(torch, out)
    return out


def product(multiply: Any, W: Any, value: Any, name: str) -> Any:
    """Return ``multiply(W, value)`` of a dense tensor, which errors call `name`."""
    arrays = ordinary(None, value)
    if arrays is not None:
        return returned(multiply(W, arrays[1]), None)
    return call(multiply, {"W": W, name: value}, {}, value)


def call(
    verb: Any,
    operands: dict[str, Any],
    options: dict[str, Any],
    *leads: Any,
    like: Any = None,
) -> Any:
    """Return ``verb(*operands, **options)`` for arguments of which some are tensors.

    Dense tensors become arrays of the same memory; sparse ones are left to the verb.  Results
    become tensors if a dense tensor is among the arguments, or any tensor is among `leads`.  A
    sparse result does if `like` is a tensor; where that is sparse, it is the first operand, which
    the caller has converted.

    `leads` are the operands that the result takes its dtype from.  Where all of them are tensors of
    the same 16 bits, these are computed in float32, and the result is rounded to their dtype.
    """
    torch = sys.modules["torch"]
    if torch.compiler.is_dynamo_compiling():
        # torch.compile would trace the functions of NumPy that follow, and lose gradients.
        return torch.compiler.disable(call)(verb, operands, options, *leads, like=like)
    kind = torch.Tensor
    small = _small_dtype(torch, leads)
    given = small is not None
    arrays = []
    for name, value in operands.items():
        if isinstance(value, kind) and (value.layout is torch.strided or not is_sparse(value)):
            value = _array(value, name)
            given = True
        arrays.append(value)
    out = options.get("out")
    for name, value in options.items():
        if value is not out and isinstance(value, kind):
            options[name] = _array(value, name)
            given = True
    if isinstance(out, kind):
        into = _into_sparse if is_sparse(out) else _into_dense
        return into(torch, out, small, verb, arrays, options, like)
    result = verb(*arrays, **options)
    some = like is not None if sp.issparse(result) else given or found(*leads)
    return _as_tensor(torch, result, small, like) if some and result is not out else result


def _small_dtype(torch, leads):
    """Return the dtype that all of `leads` have, if it is bfloat16 or float16 of torch."""
    dtype = getattr(leads[0], "dtype", None)
    if dtype is not torch.bfloat16 and dtype is not torch.float16:
        return None
    return dtype if all(getattr(lead, "dtype", None) is dtype for lead in leads) else None


def _array(value, name):
    """Return the elements of a dense tensor as an array, of float32 for 16 bits."""
    array = dense_of(value, name)
    return array.astype(np.float32) if array.dtype == np.float16 else array


def _as_tensor(torch, result, small, like):
    """Return a result as a tensor, in the dtype `small` if it is given."""
    if type(result) is tuple:  # attention, and the logarithms of its sums, which are not rounded
        first, *rest = result
        return (_as_tensor(torch, first, small, like), *map(torch.from_numpy, rest))
    values = torch.from_numpy(result.data if sp.issparse(result) else result)
    if small is not None and not values.is_complex():
        values = values.to(small)
    return to_sparse(torch, result, values, like) if sp.issparse(result) else values


def _into_dense(torch, out, small, verb, arrays, options, like):
    """Call a verb that writes to a dense tensor, and return what it returns."""
    if out.is_conj() or out.is_neg():
        raise ValueError("out must hold its own elements, got a view that torch conjugates")
    array = _array(out, "out")
    steps = zip(out.stride(), out.shape, strict=True)
    if array.size and any(step == 0 and extent > 1 for step, extent in steps):
        raise ValueError("out must have an element for each position, got an expanded tensor")
    rounded = _is_rounded(torch, out, small)
    if not rounded:
        options["out"] = array
    elif options.get("beta", 0):
        options["out"] = array.astype(np.result_type(np.float32, *map(_dtype_of, arrays)))
    else:
        options["out"] = None
    result = verb(*arrays, **options)
    first, *rest = result if type(result) is tuple else (result,)
    if rounded:
        check_out(array, first.shape)
        if first.dtype.kind == "c":
            check_out_dtype(array, first.dtype)
        with torch.no_grad():
            out.copy_(torch.from_numpy(first))
    else:
        _count_change(torch, out)
    return (out, *map(torch.from_numpy, rest)) if rest else out


def _into_sparse(torch, out, small, verb, arrays, options, like):
    """Call a verb that writes to the values of a sparse tensor, and return the tensor."""
    layout = str(out.layout)
    if layout == "torch.sparse_bsc":
        raise TypeError("out must be in CSR, CSC, COO or BSR, got BSC")
    into = options["out"] = arrays[0] if out is like else as_sparse(out, "out")
    rounded = _is_rounded(torch, out, small)
    verb(*arrays, **options)
    if rounded:
        values = out._values() if layout == "torch.sparse_coo" else out.values()
        with torch.no_grad():
            values.copy_(torch.from_numpy(into.data))
    _count_change(torch, out)
    return out


def _is_rounded(torch, out, small):
    """Return whether `out` has 16 bits, to which a result of float32 is rounded."""
    if out.dtype is not torch.bfloat16 and out.dtype is not torch.float16:
        return False
    if out.dtype is not small:
        raise ValueError(
            f"out must have the dtype of the result, got {out.dtype}, which is not the dtype of "
            "all operands"
        )
    return True


def _dtype_of(array):
    dtype = getattr(array, "dtype", None)
    return dtype if isinstance(dtype, np.dtype) else np.float32


def _count_change(torch, out):
    """Tell autograd that the elements of `out` have changed."""
    if not out.is_inference():
        torch.autograd.graph.increment_version(out)
