"""Conversion of sparse matrices of scipy, CuPy and torch to CSR in host memory for the library."""

from __future__ import annotations

import contextlib
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp

from .._inputs.dense import NATIVE
from .._inputs.sparse import KERNEL_FORMATS, positions, to_csr, validated
from ..formats import NMArray, NMTransposed
from ..masks import Mask
from ._arrays import dtype_name

__all__ = ["Rows", "as_scipy", "is_sparse", "rows_of"]


class Rows(NamedTuple):
    """CSR arrays whose rows may be unsorted and have duplicates, as in the caller's matrix.

    ``order[k]`` is the number of entry k among the caller's values.  It is None if the order is the
    same, and the name of the caller's format if that format has no order of values.
    """

    shape: tuple[int, int]
    offsets: np.ndarray
    columns: np.ndarray
    values: np.ndarray | None
    order: np.ndarray | str | None

    @property
    def nnz(self):
        """The number of entries."""
        return len(self.columns)

    @property
    def T(self):
        """The transpose, also as CSR."""
        places = np.arange(self.nnz, dtype=np.int64)
        transposed = sp.csr_array((places, self.columns, self.offsets), shape=self.shape).T.tocsr()
        places = transposed.data
        values = None if self.values is None else self.values[places]
        order = places if self.order is None else self.order
        if isinstance(self.order, np.ndarray):
            order = self.order[places]
        columns, offsets = _one_type(transposed.indices, transposed.indptr)
        return Rows(self.shape[::-1], offsets, columns, values, order)


def _one_type(columns, offsets):
    wanted = np.result_type(columns, offsets)
    return columns.astype(wanted, copy=False), offsets.astype(wanted, copy=False)


def _module(value):
    return type(value).__module__


def _is_cupyx(value):
    return _module(value).startswith("cupyx.scipy.sparse")


def _is_sparse_tensor(value):
    layout = getattr(value, "layout", None)
    return _module(value).split(".")[0] == "torch" and str(layout) != "torch.strided"


def is_sparse(value):
    """Return whether `value` is a sparse matrix of a supported library."""
    return (
        sp.issparse(value)
        or isinstance(value, NMArray | NMTransposed | Mask)
        or _is_cupyx(value)
        or _is_sparse_tensor(value)
    )


def as_scipy(value, name):
    """Return `value` as an array of scipy, the name of its dtype, and a context for its device.

    In the context the device of `value` is the current one.  Values of 16 bits, which scipy does
    not support, become float32.
    """
    if sp.issparse(value):
        return value, value.dtype.name, contextlib.nullcontext()
    if isinstance(value, NMArray | NMTransposed):
        return value.to_scipy(), value.dtype.name, contextlib.nullcontext()
    if isinstance(value, Mask):
        return value.tocsr(), "bool", contextlib.nullcontext()
    if _is_cupyx(value):
        return value.get(), value.dtype.name, value.device
    if _is_sparse_tensor(value):
        return _of_tensor(value, name), dtype_name(value.dtype), _device_of(value)
    raise TypeError(
        f"{name} must be a sparse matrix of scipy.sparse, cupyx.scipy.sparse or torch, got "
        f"{type(value).__name__}"
    )


def _device_of(tensor):
    if not tensor.is_cuda:
        return contextlib.nullcontext()
    import torch

    return torch.cuda.device(tensor.device)


def _host(tensor):
    tensor = tensor.detach().cpu()
    return (tensor.float() if tensor.element_size() == 2 else tensor).numpy()


def _of_tensor(A, name):
    layout = str(A.layout).removeprefix("torch.")
    if A.ndim != 2:
        raise ValueError(f"{name} must be 2-D, got shape {tuple(A.shape)}")
    shape = tuple(A.shape)
    if layout == "sparse_coo":
        if A.dense_dim():
            raise ValueError(f"{name} must have no dense dimensions, got {A.dense_dim()}")
        row, column = _host(A._indices())
        return _made(sp.coo_array, (_host(A._values()), (row, column)), shape, name)
    if layout in ("sparse_csr", "sparse_bsr"):
        kind = sp.csr_array if layout == "sparse_csr" else sp.bsr_array
        offsets, indices = A.crow_indices(), A.col_indices()
    elif layout == "sparse_csc":
        kind, offsets, indices = sp.csc_array, A.ccol_indices(), A.row_indices()
    else:
        raise TypeError(
            f"{name} must have layout sparse_csr, sparse_csc, sparse_coo or sparse_bsr, got "
            f"{layout}"
        )
    return _made(kind, (_host(A.values()), _host(indices), _host(offsets)), shape, name)


def _made(kind, arrays, shape, name):
    try:
        return kind(arrays, shape=shape)
    except ValueError as error:
        raise ValueError(f"{name} is corrupted: {error}") from None


def rows_of(A, name, *, values=True):
    """Return a 2-D array of scipy as `Rows`, with copies of its arrays."""
    if A.ndim != 2:
        raise ValueError(f"{name} must be 2-D, got shape {A.shape}")
    if A.dtype.kind not in "biuf":
        raise TypeError(f"{name} must hold real numbers, got dtype {A.dtype}")
    own = A.dtype.newbyteorder("=")
    dtype = own if own in NATIVE else np.result_type(own, np.float32)
    dtype = dtype if dtype in NATIVE else np.dtype(np.float64)
    order = None
    if A.format in KERNEL_FORMATS:
        A = validated(A, name, dtype=dtype)
    else:
        A, order = to_csr(A, name, dtype=dtype), A.format
    if A.format == "csr":
        columns, offsets = A.indices.copy(), A.indptr.copy()
        return Rows(A.shape, offsets, columns, A.data.copy() if values else None, order)
    if A.format == "csc":
        transposed = Rows(A.shape[::-1], A.indptr, A.indices, A.data if values else None, None)
        return transposed.T
    rows, columns = positions(A)
    columns = columns.astype(np.int32 if A.shape[1] <= 2**31 - 1 else np.int64, copy=False)
    places = np.argsort(rows, kind="stable")
    offsets = np.zeros(A.shape[0] + 1, np.int64)
    np.cumsum(np.bincount(rows, minlength=A.shape[0]), out=offsets[1:])
    if len(rows) <= np.iinfo(np.int32).max and columns.dtype == np.int32:
        offsets = offsets.astype(np.int32)
    columns, offsets = _one_type(columns[places], offsets)
    data = A.data.reshape(-1)[places] if values else None
    return Rows(A.shape, offsets, columns, data, places)
