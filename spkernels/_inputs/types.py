"""Names for what the public functions take and return: for type checkers, never imported.

A checker without stubs for scipy takes scipy's classes for what their source says, or for `Any`;
with scipy-stubs they are generic.  Everything here means the same with and without.
"""

from __future__ import annotations

from typing import Any, Literal, Protocol, TypeAlias, TypeVar

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray


class _Format(Protocol):
    """What sparse arrays have in common: scipy's methods are said to return a private base."""

    @property
    def format(self) -> str: ...
    def tocsr(self) -> Any: ...


class _Own(Protocol):
    """What spkernels' own formats have."""

    def to_scipy(self) -> Any: ...


class _Prepared(Protocol):
    """What has the entries of a prepared matrix."""

    def toscipy(self) -> Any: ...


class _PyData(Protocol):
    """What arrays of pydata/sparse have."""

    def to_scipy_sparse(self) -> Any: ...


class _Torch(Protocol):
    """What tensors of torch have: their types do not tell the sparse ones."""

    def crow_indices(self) -> Any: ...


class _Jax(Protocol):
    """What sparse arrays of jax have."""

    @property
    def nse(self) -> int: ...
    def todense(self) -> Any: ...


class _Frame(Protocol):
    """What frames of pandas have, whose types do not tell the sparse ones."""

    @property
    def sparse(self) -> Any: ...


class Operand(_Format, Protocol):
    """A sparse operand once it is one of scipy's: what it has depends on its format."""

    def __getattr__(self, name: str) -> Any: ...
    def __matmul__(self, other: Any) -> Any: ...
    def __rmatmul__(self, other: Any) -> Any: ...


#: Any array or matrix of scipy.sparse, of any format, and what is converted to one at no loss.
SparseLike: TypeAlias = (
    sp.sparray
    | sp.spmatrix
    | _Format
    | _Own
    | _Prepared
    | _PyData
    | _Torch
    | _Jax
    | _Frame
)

#: What is returned of the class that it came in.
Sparse = TypeVar(
    "Sparse",
    sp.csr_array,
    sp.csc_array,
    sp.coo_array,
    sp.bsr_array,
    sp.csr_matrix,
    sp.csc_matrix,
    sp.coo_matrix,
    sp.bsr_matrix,
)
#: The formats of which a result is CSR.
OtherArray: TypeAlias = sp.dia_array | sp.lil_array | sp.dok_array
OtherMatrix: TypeAlias = sp.dia_matrix | sp.lil_matrix | sp.dok_matrix

#: What is written into, and returned.
Out = TypeVar("Out", bound=NDArray[Any])
SparseOut = TypeVar("SparseOut", bound=SparseLike | NDArray[Any])

#: Arrays that are known to be matrices, and those that are known to be stacks of them.
Matrix: TypeAlias = np.ndarray[tuple[int, int], np.dtype[Any]]
Stack: TypeAlias = (
    np.ndarray[tuple[int, int, int], np.dtype[Any]]
    | np.ndarray[tuple[int, int, int, int], np.dtype[Any]]
)

#: What only an array of unknown dimensions is taken for: it might be either of these.
Unranked: TypeAlias = np.ndarray[tuple[int], np.dtype[Any]]

Activation: TypeAlias = Literal[
    "relu",
    "gelu",
    "silu",
    "tanh",
    "sigmoid",
    "gelu_tanh",
    "leaky_relu",
    "elu",
    "hardswish",
    "hardsigmoid",
    "relu6",
]
Order: TypeAlias = Literal["C", "F", "K"]
Storage: TypeAlias = Literal["float16", "bfloat16"]
CudaOperation: TypeAlias = Literal["spmm", "sddmm", "attention"]
PatternKind: TypeAlias = Literal["n:m", "block", "balanced", "complementary"]

#: Names of dtypes, rather than any string, so that a misspelt one is found.
FloatDType: TypeAlias = (
    Literal["float32", "float64", "single", "double", "f4", "f8", "f", "d"]
    | type[np.float32]
    | type[np.float64]
    | type[float]
    | np.dtype[np.float32]
    | np.dtype[np.float64]
)
Int8DType: TypeAlias = Literal["int8", "i1", "b"] | type[np.int8] | np.dtype[np.int8]
#: Of what products of int8 become.
QuantisedDType: TypeAlias = (
    Int8DType
    | Literal["uint8", "u1", "int32", "i4", "i", "float32", "single", "f4", "f"]
    | type[np.uint8]
    | type[np.int32]
    | type[np.float32]
    | np.dtype[np.uint8]
    | np.dtype[np.int32]
    | np.dtype[np.float32]
)
