"""CSR from the arrays of a file, which are validated before scipy reads through their indices."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from scipy.sparse import bsr_array, csc_array, csr_array, dia_array

from .._inputs.assemble import make_csr
from ._csr import check_compressed, check_positions, check_rows, check_sizes, from_triplets

__all__ = ["LAYOUTS", "build"]

#: The arrays of each format of scipy.sparse, without ``data`` and ``shape``, which all have.
LAYOUTS = {
    "csr": ("indices", "indptr"),
    "csc": ("indices", "indptr"),
    "bsr": ("indices", "indptr"),
    "coo": ("row", "col"),
    "dia": ("offsets",),
}


def build(layout: str, arrays: Mapping[str, np.ndarray], shape: tuple[int, int]) -> csr_array:
    """Return a matrix as CSR; `arrays` has ``data`` and the arrays that `LAYOUTS` lists.

    Values keep their dtype, in the machine's byte order.  Only float16, which scipy does not
    compute with, becomes float32.
    """
    check_sizes(*shape)
    data = _values(arrays["data"], 3 if layout == "bsr" else 2 if layout == "dia" else 1)
    parts = [arrays[name] for name in LAYOUTS[layout]]
    for name, part in zip(LAYOUTS[layout], parts, strict=True):
        if part.ndim != 1 or part.dtype.kind not in "iu":
            raise ValueError(
                f"expected a vector of integers as {name}, found {part.ndim}-D {part.dtype}"
            )
        if name != "indptr" and len(part) != len(data):
            raise ValueError(f"expected as many values as {name}, {len(part)}, found {len(data)}")
    if layout != "csr":
        check_rows(shape[0], sum(part.nbytes for part in (data, *parts)))
    return _BUILDERS[layout](data, *parts, shape)


def _values(data: np.ndarray, ndim: int) -> np.ndarray:
    if data.dtype.kind not in "biufc":
        raise ValueError(f"expected numeric values as data, found dtype {data.dtype}")
    if data.ndim != ndim:
        raise ValueError(f"expected data of {ndim} dimensions, found shape {data.shape}")
    dtype = data.dtype.newbyteorder("=")
    return data.astype(np.float32 if dtype == np.float16 else dtype, copy=False)


def _csr(data, indices, indptr, shape):
    check_compressed(indptr, indices, *shape)
    return make_csr(data, indices, indptr, shape)


def _csc(data, indices, indptr, shape):
    check_compressed(indptr, indices, *shape[::-1], major_name="column")
    return csc_array((data, indices, indptr), shape=shape).tocsr()


def _bsr(data, indices, indptr, shape):
    R, C = data.shape[1:]
    if min(R, C) < 1 or shape[0] % R or shape[1] % C:
        raise ValueError(f"expected blocks that divide shape {shape}, found {R} x {C}")
    check_compressed(indptr, indices, shape[0] // R, shape[1] // C, major_name="row of blocks")
    return bsr_array((data, indices, indptr), shape=shape, blocksize=(R, C)).tocsr()


def _coo(data, row, col, shape):
    check_positions("row", row, shape[0])
    check_positions("col", col, shape[1])
    return from_triplets(data, row, col, shape)


def _dia(data, offsets, shape):
    # Diagonals outside of the matrix have no entries, and their offsets can overflow.
    inside = offsets < shape[1]
    if offsets.dtype.kind == "i":
        inside &= offsets > -shape[0]
    offsets = offsets[inside].astype(np.int64)
    if np.unique(offsets).size != offsets.size:
        raise ValueError("expected offsets that differ, found one twice")
    return dia_array((data[inside], offsets), shape=shape).tocsr()


_BUILDERS: dict[str, Callable[..., csr_array]] = {
    "csr": _csr, "csc": _csc, "bsr": _bsr, "coo": _coo, "dia": _dia,
}  # fmt: skip
