"""The inputs of one product: the driver makes them once, and every peer gets the same arrays."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

#: Operations whose operands may be prepared or converted, and the products that they compute.
_SAME = {
    "prepared": "spmm",
    "int8": "spmm",
    "activations": "spmm",
    "prepared_sddmm": "sddmm",
    "chosen": "spmm",
    "habit": "spmm",
    "dense_habit": "dense_spmm",
}

#: Layouts: the memory layout of the dense operand or of the result, or the width of indices.
LAYOUTS = ("C", "F", "rows apart", "columns apart", "result in F", "int64 indices")


@dataclass
class Problem:
    """A CSR matrix and the dense operands of an operation, by name (see `ops`)."""

    op: str
    shape: tuple[int, int]
    indptr: np.ndarray
    indices: np.ndarray
    data: np.ndarray
    operands: dict[str, np.ndarray]
    container: str = "csr_array"
    layout: str = "C"

    def __post_init__(self) -> None:
        self.operands = {name: arrange(array, self.layout) for name, array in self.operands.items()}

    @property
    def product(self) -> str:
        """The product that the operation computes, without regard to preparation."""
        return _SAME.get(self.op, self.op)

    @property
    def dtype(self) -> np.dtype:
        """The dtype of the answer."""
        return np.result_type(self.data, *self.operands.values())

    @property
    def nnz(self) -> int:
        """The number of entries."""
        return self.indices.size

    @property
    def b(self) -> np.ndarray:
        """The dense operand of a product."""
        return self.operands["b"]

    @property
    def x(self) -> np.ndarray:
        """The left factor of a sampled product, (m, k)."""
        return self.operands["x"]

    @property
    def yt(self) -> np.ndarray:
        """The right factor of a sampled product, transposed: (n, k)."""
        return self.operands["yt"]

    def rows(self) -> np.ndarray:
        """Return the row of every stored entry."""
        return np.repeat(np.arange(self.shape[0]), np.diff(self.indptr))

    def sparse(self) -> Any:
        """Return the matrix in its scipy container, which shares these arrays if its format can."""
        import scipy.sparse

        arrays = (self.data, self.indices, self.indptr)
        format, _, kind = self.container.partition("_")
        A = getattr(scipy.sparse, f"csr_{kind}")(arrays, shape=self.shape).asformat(format)
        if self.layout == "int64 indices":
            # The constructor narrows indices, so they are widened after it.
            if format == "coo":
                A.coords = tuple(index.astype(np.int64) for index in A.coords)
            else:
                A.indices, A.indptr = A.indices.astype(np.int64), A.indptr.astype(np.int64)
        return A

    def dense(self) -> np.ndarray:
        """Return the matrix as a dense array."""
        result = np.zeros(self.shape, self.data.dtype)
        np.add.at(result, (self.rows(), self.indices), self.data)
        return result

    def save(self, path: Path) -> None:
        """Write the problem to an uncompressed ``.npz`` file."""
        operands: Any = {f"operand_{name}": array for name, array in self.operands.items()}
        np.savez(
            path,
            op=self.op,
            shape=self.shape,
            container=self.container,
            layout=self.layout,
            indptr=self.indptr,
            indices=self.indices,
            data=self.data,
            **operands,
        )

    @classmethod
    def load(cls, path: Path) -> Problem:
        """Read a problem that `save` wrote."""
        with np.load(path) as stored:
            prefix = "operand_"
            operands = {
                name.removeprefix(prefix): stored[name]
                for name in stored.files
                if name.startswith(prefix)
            }
            return cls(
                str(stored["op"]),
                tuple(stored["shape"].tolist()),
                stored["indptr"],
                stored["indices"],
                stored["data"],
                operands,
                str(stored["container"]),
                str(stored["layout"]),
            )


def arrange(array: np.ndarray, layout: str) -> np.ndarray:
    """Return an array of the same elements in the memory layout `layout`."""
    if layout == "F":
        return np.asfortranarray(array)
    if layout in ("rows apart", "columns apart"):
        *heads, tail = array.shape
        wide = np.zeros((*heads, 2 * tail), array.dtype)
        kept = wide[..., :tail] if layout == "rows apart" else wide[..., ::2]
        kept[...] = array
        return kept
    return array
