"""Names of types that public functions take and return; only type checkers import this module.

Without stubs for scipy, a checker takes scipy's classes from their source, or as `Any`; with
scipy-stubs they are generic.  All names here have the same meaning with and without these stubs.
"""

from __future__ import annotations

from typing import Any, Literal, Protocol, TypeAlias, TypeVar

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray


class _Format(Protocol):
    """Any sparse array of scipy; by scipy's source its methods return a private base class."""

    @property
    def format(self) -> str: ...
    def tocsr(self) -> Any: ...


class _Own(Protocol):
    """The formats of spkernels."""

    def to_scipy(self) -> Any: ...


class _Prepared(Protocol):
    """Prepared matrices."""

    def toscipy(self) -> Any: ...


class _PyData(Protocol):
    """Arrays of pydata/sparse."""

    def to_scipy_sparse(self) -> Any: ...


class _Torch(Protocol):
    """Tensors of torch; their type does not say whether they are sparse."""

    def crow_indices(self) -> Any: ...


_Tensor_co = TypeVar("_Tensor_co", covariant=True)


class Tensor(_Torch, Protocol[_Tensor_co]):
    """Tensors of torch and its subclasses, with the class of results: torch.Tensor."""

    def detach(self) -> _Tensor_co: ...


class _Jax(Protocol):
    """Sparse arrays of jax."""

    @property
    def nse(self) -> int: ...
    def todense(self) -> Any: ...


class _Frame(Protocol):
    """Frames of pandas; their type does not say whether they are sparse."""

    @property
    def sparse(self) -> Any: ...


class Operand(_Format, Protocol):
    """A sparse operand after its conversion to scipy; its attributes depend on its format."""

    def __getattr__(self, name: str) -> Any: ...
    def __matmul__(self, other: Any) -> Any: ...
    def __rmatmul__(self, other: Any) -> Any: ...


#: Arrays and matrices of scipy.sparse, of any format, and types that convert to them at no loss.
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

#: The classes that a function returns as it got them.
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
#: The classes for which a result is in CSR.
OtherArray: TypeAlias = sp.dia_array | sp.lil_array | sp.dok_array
OtherMatrix: TypeAlias = sp.dia_matrix | sp.lil_matrix | sp.dok_matrix

#: The class of results that are tensors of torch.
Result = TypeVar("Result")

#: The types of `out`, which functions return.
Out = TypeVar("Out", bound=NDArray[Any] | Tensor[Any])
SparseOut = TypeVar("SparseOut", bound=SparseLike | NDArray[Any])

#: Arrays that are known to be matrices, and those that are known to be stacks of them.
Matrix: TypeAlias = np.ndarray[tuple[int, int], np.dtype[Any]]
Stack: TypeAlias = (
    np.ndarray[tuple[int, int, int], np.dtype[Any]]
    | np.ndarray[tuple[int, int, int, int], np.dtype[Any]]
)

#: A type that matches only arrays of an unknown number of dimensions.
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
Storage: TypeAlias = Literal["float16", "bfloat16", "int8", "int4"]
CudaOperation: TypeAlias = Literal["spmm", "sddmm", "attention"]
PatternKind: TypeAlias = Literal["n:m", "block", "balanced", "complementary"]

#: The names of dtypes, rather than any string, so that checkers find misspelt names.
FloatDType: TypeAlias = (
    Literal["float32", "float64", "single", "double", "f4", "f8", "f", "d"]
    | type[np.float32]
    | type[np.float64]
    | type[float]
    | np.dtype[np.float32]
    | np.dtype[np.float64]
)
Int8DType: TypeAlias = Literal["int8", "i1", "b"] | type[np.int8] | np.dtype[np.int8]
#: The dtypes of results of int8 products.
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
