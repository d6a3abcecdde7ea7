"""The inputs of one product: made once by the driver, handed to every peer as the same arrays."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

#: Operations whose operands may be prepared, or converted, and what they compute.
_SAME = {
    "prepared": "spmm",
    "int8": "spmm",
    "activations": "spmm",
    "prepared_sddmm": "sddmm",
}


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

    @property
    def product(self) -> str:
        """The operation itself, however its operands may be prepared for it."""
        return _SAME.get(self.op, self.op)

    @property
    def nnz(self) -> int:
        """Stored entries."""
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
        """Return the matrix in its scipy container, sharing these arrays."""
        import scipy.sparse

        arrays = (self.data, self.indices, self.indptr)
        return getattr(scipy.sparse, self.container)(arrays, shape=self.shape)

    def dense(self) -> np.ndarray:
        """Return the matrix with its zeros written out."""
        result = np.zeros(self.shape, self.data.dtype)
        np.add.at(result, (self.rows(), self.indices), self.data)
        return result

    def save(self, path: Path) -> None:
        """Write everything to one uncompressed ``.npz``."""
        np.savez(
            path,
            op=self.op,
            shape=self.shape,
            container=self.container,
            indptr=self.indptr,
            indices=self.indices,
            data=self.data,
            **{f"operand_{name}": array for name, array in self.operands.items()},
        )

    @classmethod
    def load(cls, path: Path) -> Problem:
        """Read what `save` wrote."""
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
            )
