from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

CSR: int
CSC: int
COO: int
BSR: int
SORTED: int
ERR_ARGUMENT: int
ERR_INDPTR: int
ERR_INDEX: int
ERR_MEMORY: int
ERR_ISA: int
ERR_SPARSE: int
CHECKED: int

class SparseArrays(NamedTuple):
    format: int
    shape: tuple[int, int]
    block: tuple[int, int]
    offsets: NDArray[Any] | None
    indices: NDArray[Any]
    row_indices: NDArray[Any] | None
    values: NDArray[Any]

ACTIVATIONS: dict[str | None, int]

def register(formats: dict[type, int], resolve_workers: Callable[[int | None], int]) -> None: ...

class Packed:
    nbytes: int
    layout: str
    block_rows: int
    shared: int
    def unpack(
        self, offsets: NDArray[Any], indices: NDArray[Any], values: NDArray[Any]
    ) -> int: ...

def pack(
    A: SparseArrays, width: int, block_rows: int, threads: int, flags: int, storage: int = 0
) -> tuple[int, Packed | None]: ...

class PackedInt8:
    nbytes: int
    layout: str
    share: float

def int8_width(n: int) -> int: ...
def pack_int8(
    A: SparseArrays, width: int, threads: int, flags: int
) -> tuple[int, PackedInt8 | None]: ...
def spmm_int8(
    A: PackedInt8,
    B: NDArray[np.int8] | NDArray[np.uint8],
    C: NDArray[Any],
    zero_point: int,
    scale: NDArray[np.float32] | None,
    bias: NDArray[np.float32] | None,
    activation: int,
    out_scale: float,
    out_zero_point: int,
    threads: int,
    column_scale: NDArray[np.float32] | None = None,
    column_zero_points: NDArray[np.int32] | None = None,
) -> int: ...
def spmm_int8_fast(
    A: PackedInt8, B: NDArray[Any], by_rows: bool = False
) -> NDArray[np.int32] | None: ...
def takes_strides(rows: int, cols: int, nnz: int, n: int) -> bool: ...
def walks_often(rows: int, cols: int, itemsize: int) -> bool: ...
def predict(rows: int, cols: int, nnz: int, double: bool, n: int, strategy: int) -> float: ...
def pack_stored(
    A: SparseArrays,
    scales: NDArray[np.float32] | None,
    group: int,
    threads: int,
    flags: int,
    storage: int,
    sell: bool = False,
) -> tuple[int, Packed | None]: ...
def pack_width(double: bool, n: int) -> int: ...
def spmm(
    A: SparseArrays | Packed,
    B: NDArray[np.floating],
    C: NDArray[np.floating],
    alpha: float,
    beta: float,
    bias_row: NDArray[np.floating] | None,
    bias_col: NDArray[np.floating] | None,
    activation: int,
    threads: int,
    flags: int,
) -> int: ...
def spmspv(
    A: SparseArrays,
    ids: NDArray[np.integer],
    x: NDArray[np.floating],
    y: NDArray[np.floating],
    threads: int,
    flags: int,
) -> int: ...
def spmspm(A: SparseArrays, B: SparseArrays, C: NDArray[np.floating], threads: int) -> int: ...
def kwinners(
    X: NDArray[np.floating],
    k: int,
    out: NDArray[np.floating] | None,
    winners: NDArray[np.int32] | None,
    threads: int,
) -> int: ...
def quantise(
    X: NDArray[np.float32],
    ldx: int,
    scale: float,
    zero_point: int,
    out: NDArray[np.int8] | NDArray[np.uint8],
    threads: int,
) -> int: ...
def sddmm(
    P: SparseArrays,
    X: NDArray[np.floating],
    Y: NDArray[np.floating],
    values: NDArray[np.floating],
    alpha: float,
    beta: float,
    scale: bool,
    threads: int,
    flags: int,
    column_runs: ColumnRuns | None = None,
) -> int: ...

class ColumnRuns:
    shape: tuple[int, int]
    nnz: int
    nbytes: int

    def tiled(self, k: int) -> int: ...

def column_runs_of(P: SparseArrays, threads: int, flags: int) -> tuple[int, ColumnRuns | None]: ...
def column_runs_from(
    shape: tuple[int, int],
    offsets: NDArray[np.int64],
    starts: NDArray[np.int32],
    stops: NDArray[np.int32],
    threads: int,
) -> tuple[int, ColumnRuns | None]: ...

_Heads = tuple[NDArray[np.floating], NDArray[np.intp]]

def head_offsets(array: NDArray[Any], heads: tuple[int, ...]) -> NDArray[np.intp]: ...
def attend(
    mask: ColumnRuns,
    Q: _Heads,
    K: _Heads,
    V: _Heads,
    out: _Heads,
    bias: _Heads | tuple[None, None],
    lse: NDArray[np.floating] | None,
    scale: float,
    threads: int,
) -> int: ...
def softmax(
    P: SparseArrays, values: NDArray[np.floating], scale: float, threads: int, flags: int
) -> int: ...
def kernel_name(
    A: SparseArrays,
    B: NDArray[np.floating],
    C: NDArray[np.floating],
    threads: int,
    flags: int,
) -> tuple[int, str]: ...
def are_plain_diagonals(A: Any) -> bool: ...
def plain_arrays(A: Any, format: int) -> SparseArrays | None: ...
def check(A: SparseArrays) -> tuple[int, int]: ...
def trusted_flags(A: Any, check: bool) -> int: ...
def spmm_fast(
    A: Any,
    B: Any,
    out: Any = None,
    alpha: Any = 1.0,
    beta: Any = 0.0,
    bias: Any = None,
    activation: Any = None,
    order: Any = None,
    workers: Any = None,
    check: Any = True,
    data: Any = None,
) -> NDArray[np.floating] | None: ...
def chain_fast(
    operands: tuple[dict[int, Any], ...],
    biases: tuple[NDArray[np.floating] | None, ...],
    activations: tuple[int, ...],
    dense: Any,
    out: Any = None,
    workers: Any = None,
) -> NDArray[np.floating] | None: ...
def spmspv_fast(
    A: Any, x: Any, out: Any = None, workers: Any = None, check: Any = True
) -> NDArray[np.floating] | None: ...
def sddmm_fast(
    P: Any,
    X: Any,
    Y: Any,
    out: Any = None,
    alpha: Any = 1.0,
    beta: Any = 0.0,
    scale: Any = False,
    workers: Any = None,
    check: Any = True,
    column_runs: ColumnRuns | None = None,
) -> NDArray[np.floating] | None: ...
def get_num_threads() -> int: ...
def set_num_threads(threads: int) -> None: ...
def limit_threads(limit: int) -> None: ...
def use_team(parallel: int, thread_num: int, in_parallel: int, threads: int) -> int: ...
def isa() -> str | None: ...
def isa_list() -> list[str]: ...
def openmp() -> str | None: ...
def contended_regions() -> int: ...
def status_string(status: int) -> str: ...
def abi_version() -> int: ...
def workspace_limit() -> int: ...
def transpose_blocks(A: SparseArrays) -> SparseArrays: ...
def shared_limit(rows: int) -> int: ...
def roofline(loads: bool, double_precision: bool, size: int, threads: int) -> float: ...
def keep_results(limit: int, huge_pages: bool) -> None: ...
def kept_results() -> int: ...
def release_memory() -> int: ...
def empty(
    shape: tuple[int, ...], dtype: np.dtype[Any], order: str = "C"
) -> NDArray[Any]: ...
