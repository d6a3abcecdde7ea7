"""From what users pass to what the compiled module takes, with errors that name the argument."""

from __future__ import annotations

from numbers import Real

import numpy as np
import scipy.sparse as sp

from . import _core, _foreign

__all__ = [
    "NATIVE",
    "activation_code",
    "apart_from",
    "check_diagonals",
    "check_indices",
    "check_inner",
    "check_out",
    "check_out_dtype",
    "dense_array",
    "dense_view",
    "integral_factor",
    "is_spmatrix",
    "numbers",
    "plan_bias",
    "raise_status",
    "scalar",
    "sparse_arrays",
    "to_csr",
    "transposed_arrays",
]

#: The dtypes that the kernels compute in; everything else is scipy's.
NATIVE = (np.dtype(np.float32), np.dtype(np.float64))

_INDEX_DTYPES = (np.dtype(np.int32), np.dtype(np.int64))


def _index_array(array, name):
    array = np.asarray(array)
    if array.ndim != 1:
        raise ValueError(f"{name} must be 1-D, got shape {array.shape}")
    if array.dtype.kind not in "iu":
        raise ValueError(f"{name} must hold integers, got dtype {array.dtype}")
    return array


def _index_arrays(arrays):
    """Index arrays of one native width, contiguous; copies only where they are not."""
    wanted = np.result_type(*(array.dtype for _, array in arrays))
    wanted = wanted if wanted in _INDEX_DTYPES else np.dtype(np.int64)
    result = []
    for name, array in arrays:
        if array.dtype.kind == "u" and array.dtype.itemsize == 8 and array.size:
            if array.max() > np.iinfo(np.int64).max:
                raise ValueError(f"{name} holds values above {np.iinfo(np.int64).max}")
        array = np.ascontiguousarray(array, dtype=wanted)
        result.append(array if array.flags.aligned else array.copy())
    return result


def _values(data, dtype, name, ndim):
    data = np.asarray(data)
    if data.ndim != ndim:
        raise ValueError(f"{name} must be {ndim}-D, got shape {data.shape}")
    if dtype is None:
        return np.empty(data.shape, np.float32)
    data = np.ascontiguousarray(data, dtype=dtype)
    return data if data.flags.aligned else data.copy()


def sparse_arrays(A, dtype, name):
    """Return the arrays of a sparse operand, 2-D or a row, as `_core` takes them.

    CSR, CSC, COO and BSR keep their format and, where dtypes allow, their arrays; other formats go
    through `tocsr`.  Lengths are checked here, contents by the compiled module.  With dtype None,
    for a look at the indices alone, values are left undefined.
    """
    if A.format not in ("csr", "csc", "coo", "bsr"):
        A = to_csr(A, name)
    shape = (1,) * (2 - A.ndim) + tuple(int(extent) for extent in A.shape)
    if A.format == "coo":
        row, col = _index_array(A.row, f"{name}.row"), _index_array(A.col, f"{name}.col")
        row, col = _index_arrays([(f"{name}.row", row), (f"{name}.col", col)])
        data = _values(A.data, dtype, f"{name}.data", 1)
        if not len(row) == len(col) == len(data):
            raise ValueError(
                f"{name}.row, {name}.col and {name}.data must have equal lengths, "
                f"got {len(row)}, {len(col)} and {len(data)}"
            )
        return _core.COO, shape, (1, 1), None, col, row, data
    offsets = _index_array(A.indptr, f"{name}.indptr")
    indices = _index_array(A.indices, f"{name}.indices")
    offsets, indices = _index_arrays([(f"{name}.indptr", offsets), (f"{name}.indices", indices)])
    block = (1, 1)
    if A.format == "bsr":
        data = _values(A.data, dtype, f"{name}.data", 3)
        block = data.shape[1:]
        if min(block) < 1 or shape[0] % block[0] or shape[1] % block[1]:
            raise ValueError(f"{name}.data has blocks {block} that do not divide shape {shape}")
        outer = shape[0] // block[0]
    else:
        data = _values(A.data, dtype, f"{name}.data", 1)
        outer = shape[1] if A.format == "csc" else shape[0]
    if len(offsets) != outer + 1:
        raise ValueError(
            f"{name}.indptr must have length {outer + 1} for shape {shape}, got {len(offsets)}"
        )
    code = {"csr": _core.CSR, "csc": _core.CSC, "bsr": _core.BSR}[A.format]
    return code, shape, block, offsets, indices, None, data


def transposed_arrays(arrays):
    """Return the arrays of the transpose of valid ones: the same, but of BSR, whose blocks turn."""
    code, (rows, cols), block, offsets, indices, row_indices, data = arrays
    shape = (cols, rows)
    if code == _core.COO:
        return code, shape, block, None, row_indices, indices, data
    if code == _core.BSR:
        used = int(offsets[-1])
        A = sp.bsr_array((data[:used], indices[:used], offsets), shape=(rows, cols))
        return sparse_arrays(A.T, data.dtype, "")
    code = _core.CSC if code == _core.CSR else _core.CSR
    return code, shape, block, offsets, indices, None, data


def to_csr(A, name):
    """Convert an operand of a format without kernels, with all that it stores, to CSR."""
    if A.format != "dia":
        return A.tocsr()
    check_diagonals(A, name)
    result = A.tocsr()
    if result.nnz == A.nnz:
        return result
    # It left the zeros of the diagonals out, which scipy's own products multiply by: infinity and
    # NaN then make NaN.  Numbered from 1, all of the entries stay.
    marked = A.copy()
    marked.data = np.arange(1, A.data.size + 1).reshape(A.data.shape)
    result = marked.tocsr()
    result.data = A.data.reshape(-1)[result.data - 1]
    return result


def check_diagonals(A, name):
    """Raise if a DIA operand lacks diagonals: scipy would read them out of bounds."""
    if A.data.ndim != 2 or A.offsets.shape != A.data.shape[:1]:
        raise ValueError(
            f"{name}.data must have a row for each of {name}.offsets, "
            f"got shapes {A.data.shape} and {A.offsets.shape}"
        )


def check_indices(A, name):
    """Raise if the index arrays of `A` are corrupted: for what goes to scipy or NumPy next."""
    if A.ndim <= 2:
        status, _ = _core.check(sparse_arrays(A, None, name))
        if status:
            raise_status(status, A, name)
        return
    for axis, (coord, extent) in enumerate(zip(A.coords, A.shape, strict=True)):
        if coord.size and (coord.min() < 0 or coord.max() >= extent):
            raise ValueError(
                f"{name}.coords[{axis}] is corrupted: an index is negative or out of range for "
                f"shape {A.shape}"
            )


def raise_status(status, A, name):
    """Raise the exception for a status other than success."""
    text = _core.status_string(status)
    if "memory" in text:
        raise MemoryError(f"spkernels: {text}")
    if "SPKERNELS_ISA" in text:
        raise RuntimeError(f"{text}: this machine has {', '.join(_core.isa_list())}")
    if "offsets" in text:
        raise ValueError(
            f"{name}.indptr is corrupted: it must start at 0, never decrease and end at or below "
            f"len({name}.indices) and len({name}.data) ({name} has shape {A.shape})"
        )
    if "index" in text:
        where = f"{name}.row or {name}.col" if A.format == "coo" else f"{name}.indices"
        raise ValueError(
            f"{where} is corrupted: an index is negative or out of range for shape {A.shape}"
        )
    if "too few entries" in text:
        raise ValueError(f"{name} has {text}: {A.nnz}, for {A.shape[0]} x {A.shape[1]}")
    raise ValueError(f"spkernels: {text}")


def dense_array(value, name, convert=np.asarray):
    """Return an array_like as an array, or raise naming the argument where it is none."""
    if type(value) is not np.ndarray:
        value = _foreign.check_dense(value, name)
    try:
        array = convert(value)
    except ValueError as error:  # nested sequences of unequal lengths
        raise ValueError(f"{name} must be an array of numbers, but {error}") from None
    except (TypeError, RuntimeError) as error:  # of other libraries
        kind = _foreign.type_name(value)
        raise TypeError(
            f"{name} must be an array of numbers, and {kind} is not converted: {error}"
        ) from error
    if array.ndim == 0 and array.dtype.kind == "O":
        held = value.item() if isinstance(value, np.ndarray) else value
        if sp.issparse(held):  # which NumPy puts into arrays as an object
            return dense_array(held, name)
        raise TypeError(f"{name} must be an array of numbers, got {_foreign.type_name(value)}")
    return array


def numbers(array, name):
    """Return `array` if it holds numbers, or raise naming the argument."""
    if array.dtype.kind not in "biufc":
        raise TypeError(f"{name} must hold numbers, got dtype {array.dtype}")
    return array


def dense_view(array, dtype):
    """Return `array` in `dtype` with strides that are whole elements; a copy only where needed."""
    array = np.asarray(array, dtype=dtype)
    if array.flags.aligned and all(stride % array.itemsize == 0 for stride in array.strides):
        return array
    return array.copy(order="K")


def check_inner(shape, B):
    """Raise unless a matrix of `shape`, which users have as W, can be multiplied by `B`."""
    if B.shape[0] != shape[1]:
        raise ValueError(
            f"dimension mismatch in W @ B: W has shape {shape} and B has shape {B.shape}"
        )


def check_out(out, shape):
    """Raise unless `out` is a writeable ndarray of a shape."""
    if not isinstance(out, np.ndarray):
        raise TypeError(f"out must be an ndarray, got {type(out).__name__}")
    if out.shape != shape:
        raise ValueError(f"out must have shape {shape}, got {out.shape}")
    if not out.flags.writeable:
        raise ValueError("out is read-only")


def check_out_dtype(out, dtype):
    """Raise unless `out` has a dtype."""
    if out.dtype != dtype:
        raise ValueError(f"out must have dtype {dtype}, got {out.dtype}")


def apart_from(out, array):
    """Return `array`, or a copy of it where it may overlap `out`."""
    if array is None or out is None or not np.may_share_memory(out, array):
        return array
    return array.copy(order="K")


def scalar(value, name, *, real=True):
    """Return a number (a float, if it must be real), or raise naming the argument."""
    if isinstance(value, Real) and np.asarray(value).dtype.kind == "O":
        # A fraction, or an integer that no dtype holds.
        try:
            value = float(value)
        except OverflowError:
            raise ValueError(
                f"{name} must be within the range of float64, which ends at "
                f"{np.finfo(np.float64).max:.2g}"
            ) from None
    try:
        kind = np.asarray(value).dtype.kind if np.ndim(value) == 0 else ""
    except ValueError:  # nested sequences of unequal lengths
        kind = ""
    if not kind or kind not in ("biuf" if real else "biufc"):
        raise TypeError(f"{name} must be a {'real ' if real else ''}number, got {value!r}")
    return float(value) if real else value


def integral_factor(value, name, dtype):
    """Return a factor of integers as an int where it is whole: 1.0 and 2.0 make no floats of them.

    An int that the dtype does not hold is a ValueError, as it is an OverflowError of NumPy 2.
    """
    if dtype.kind not in "biu" or not isinstance(value, int | float | np.floating):
        return value
    # bool times int is NumPy's default integer.
    range_ = np.iinfo(np.int64 if dtype.kind == "b" else dtype)
    if isinstance(value, int):
        if not range_.min <= value <= range_.max:
            raise ValueError(
                f"{name} must be from {range_.min} to {range_.max} as an int, for a product in "
                f"{dtype}, got {value}; a float makes the result one"
            )
        return value
    return int(value) if value.is_integer() and range_.min <= value <= range_.max else value


def plan_bias(bias, shape, dtype):
    """Return (per row, per column) bias vectors of a result of `shape`; None for none.

    NumPy's broadcasting decides: (n,) and (1, n) go along columns, (m, 1) along rows, a scalar
    everywhere; for a 1-D result, (m,).
    """
    if bias is None:
        return None, None
    bias = numbers(dense_array(bias, "bias"), "bias")
    if not np.can_cast(bias.dtype, dtype, "same_kind"):
        raise TypeError(f"bias must be castable to {dtype}, got dtype {bias.dtype}")
    bias = bias.astype(dtype, copy=False)
    vector_result = len(shape) == 1
    rows = shape[0]
    cols = 1 if vector_result else shape[1]
    if bias.size == 1 and bias.ndim <= len(shape):
        return np.full(rows, bias.item(), dtype), None
    if vector_result and bias.shape == (rows,):
        return np.ascontiguousarray(bias), None
    if not vector_result and bias.shape in ((cols,), (1, cols)):
        return None, np.ascontiguousarray(bias.reshape(cols))
    if not vector_result and bias.shape == (rows, 1):
        return np.ascontiguousarray(bias.reshape(rows)), None
    expected = f"({rows},)" if vector_result else f"({cols},), (1, {cols}) or ({rows}, 1)"
    raise ValueError(f"bias must be a scalar or have shape {expected}, got {bias.shape}")


def activation_code(activation):
    """Return the number of an activation, or raise with the names of all."""
    if not isinstance(activation, str | None) or activation not in _core.ACTIVATIONS:
        names = ", ".join(repr(name) for name in _core.ACTIVATIONS)
        raise ValueError(f"activation must be one of {names}, got {activation!r}")
    return _core.ACTIVATIONS[activation]


def is_spmatrix(A):
    """Whether `A` is one of scipy's matrices, whose products with np.matrix are np.matrix."""
    return isinstance(A, sp.spmatrix)
