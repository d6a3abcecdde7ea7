"""The inputs of a cell: made once by the driver, handed to every peer as the same NumPy arrays."""

import gzip
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np


@dataclass
class Problem:
    """A CSR matrix and the dense operands of one operation.

    For ``op="spmm"`` the operand is `b` (one- or two-dimensional); for ``op="sddmm"`` they are
    `x` (m, k) and `yt` (n, k), the transpose of the right factor.
    """

    op: str
    shape: tuple[int, int]
    indptr: np.ndarray
    indices: np.ndarray
    data: np.ndarray
    operands: dict[str, np.ndarray]
    container: str = "csr_array"

    @property
    def nnz(self) -> int:
        return self.indices.size

    @property
    def flops(self) -> int:
        """Useful operations: a multiplication and an addition per stored entry and column."""
        if self.op == "spmm":
            return 2 * self.nnz * (self.b.shape[1] if self.b.ndim == 2 else 1)
        return 2 * self.nnz * self.x.shape[1]

    @property
    def b(self) -> np.ndarray:
        return self.operands["b"]

    @property
    def x(self) -> np.ndarray:
        return self.operands["x"]

    @property
    def yt(self) -> np.ndarray:
        return self.operands["yt"]

    def rows(self) -> np.ndarray:
        """The row of every stored entry."""
        return np.repeat(np.arange(self.shape[0]), np.diff(self.indptr))

    def sparse(self) -> Any:
        """The matrix in its scipy container, sharing these arrays."""
        import scipy.sparse

        arrays = (self.data, self.indices, self.indptr)
        return getattr(scipy.sparse, self.container)(arrays, shape=self.shape)

    def dense(self) -> np.ndarray:
        """The matrix with its zeros written out."""
        result = np.zeros(self.shape, self.data.dtype)
        np.add.at(result, (self.rows(), self.indices), self.data)
        return result

    def save(self, path: Path) -> None:
        """Write everything to one uncompressed ``.npz``."""
        np.savez(
            path, op=self.op, shape=self.shape, container=self.container, indptr=self.indptr,
            indices=self.indices, data=self.data,
            **{f"operand_{name}": array for name, array in self.operands.items()},
        )  # fmt: skip

    @classmethod
    def load(cls, path: Path) -> "Problem":
        """Read what `save` wrote."""
        with np.load(path) as stored:
            operands = {
                name.removeprefix("operand_"): stored[name]
                for name in stored.files
                if name.startswith("operand_")
            }
            return cls(
                str(stored["op"]), tuple(stored["shape"].tolist()), stored["indptr"],
                stored["indices"], stored["data"], operands, str(stored["container"]),
            )  # fmt: skip


@dataclass(frozen=True)
class Pattern:
    """Where the entries of a matrix are, and what tables call it."""

    name: str
    shape: tuple[int, int]
    indptr: np.ndarray = field(repr=False)
    indices: np.ndarray = field(repr=False)

    @property
    def sparsity(self) -> float:
        size = self.shape[0] * self.shape[1]
        return 1.0 - self.indices.size / size if size else 1.0


def read_smtx(path: Path, name: str) -> Pattern:
    """Read a ``.smtx.gz``: sizes, row offsets, column indices (that line empty if none)."""
    with gzip.open(path, "rt") as lines:
        rows, cols, nnz = (int(part) for part in lines.readline().split(","))
        indptr = np.array(lines.readline().split(), np.int32)
        indices = np.array(lines.readline().split(), np.int32)
    if indptr.size != rows + 1 or indices.size != nnz:
        raise ValueError(f"{name}: {indptr.size} offsets and {indices.size} indices do not fit")
    return Pattern(name, (rows, cols), indptr, indices)


def from_mask(name: str, mask: np.ndarray) -> Pattern:
    """The pattern of a boolean matrix."""
    indptr = np.concatenate(([0], np.count_nonzero(mask, axis=1).cumsum())).astype(np.int32)
    return Pattern(name, mask.shape, indptr, np.nonzero(mask)[1].astype(np.int32))


def random_mask(n: int, entries: int, rng: np.random.Generator) -> np.ndarray:
    """An n x n mask with exactly this many entries, anywhere."""
    mask = np.zeros(n * n, bool)
    mask[rng.choice(n * n, entries, replace=False)] = True
    return mask.reshape(n, n)


def window_mask(n: int, entries: int) -> np.ndarray:
    """An n x n band around the diagonal, of the width that comes nearest to this many entries."""
    position = np.arange(n)
    widths = n + 2 * (n * position - position * (position + 1) // 2)
    half = np.argmin(np.abs(widths - entries))
    return np.abs(position[:, None] - position[None, :]) <= half


def spmm_problem(
    pattern: Pattern,
    n: int | None,
    seed: int,
    dtype: Any = np.float32,
    container: str = "csr_array",
) -> Problem:
    """Normal values on a pattern, times a normal matrix of n columns (a vector for n = None)."""
    rng = np.random.default_rng(seed)
    data = rng.standard_normal(pattern.indices.size).astype(dtype)
    tail = () if n is None else (n,)
    b = rng.standard_normal((pattern.shape[1], *tail)).astype(dtype)
    return Problem(
        "spmm", pattern.shape, pattern.indptr, pattern.indices, data, {"b": b}, container
    )


def sddmm_problem(pattern: Pattern, k: int, seed: int, dtype: Any = np.float32) -> Problem:
    """Normal factors of inner dimension k, sampled on a pattern."""
    rng = np.random.default_rng(seed)
    m, n = pattern.shape
    operands = {
        "x": rng.standard_normal((m, k)).astype(dtype),
        "yt": rng.standard_normal((n, k)).astype(dtype),
    }
    data = np.ones(pattern.indices.size, dtype)
    return Problem("sddmm", pattern.shape, pattern.indptr, pattern.indices, data, operands)
