"""`prepare`: options are checked, the matrix is inspected, its kernel chosen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np

from .._inputs import canonical
from .._inputs.dense import NATIVE
from .._inputs.foreign import as_sparse
from .._inputs.scalars import as_extent
from .._runtime.threads import resolve_workers
from . import selection
from .int8 import Int8Matrix, prepare_int8
from .matrix import DEFAULT_WIDTH, PreparedMatrix
from .pattern import PreparedPattern, prepare_pattern
from .state import State
from .storage import check_storage
from .strategies import width_class
from .structure import Structure

if TYPE_CHECKING:
    from .._inputs.types import FloatDType, Int8DType, SparseLike, Storage

__all__ = ["check_options", "chosen", "deferred", "inspected", "packed_ahead", "prepare"]

#: The elements of a row that a pattern is prepared for where nothing is said.
DEFAULT_DEPTH = 64


@overload
def prepare(
    A: SparseLike,
    *,
    n: int | None = None,
    op: Literal["spmm"] = "spmm",
    k: None = None,
    dtype: FloatDType | None = None,
    storage: Storage | None = None,
    pattern: str | None = None,
    fill: float | None = None,
    tune: bool = True,
    workers: int | None = None,
) -> PreparedMatrix: ...


@overload
def prepare(
    A: SparseLike,
    *,
    n: int | None = None,
    op: Literal["spmm"] = "spmm",
    k: None = None,
    dtype: Int8DType,
    storage: None = None,
    pattern: str | None = None,
    fill: float | None = None,
    tune: bool = True,
    workers: int | None = None,
) -> Int8Matrix: ...


@overload
def prepare(
    A: SparseLike,
    *,
    n: int | None = None,
    op: Literal["spmm"] = "spmm",
    k: None = None,
    dtype: np.dtype[Any],
    storage: Storage | None = None,
    pattern: str | None = None,
    fill: float | None = None,
    tune: bool = True,
    workers: int | None = None,
) -> PreparedMatrix | Int8Matrix: ...


@overload
def prepare(
    A: SparseLike,
    *,
    n: None = None,
    op: Literal["sddmm"],
    k: int | None = None,
    dtype: FloatDType | np.dtype[Any] | None = None,
    storage: None = None,
    pattern: None = None,
    fill: None = None,
    tune: bool = True,
    workers: int | None = None,
) -> PreparedPattern: ...


def prepare(
    A: SparseLike,
    *,
    n: int | None = None,
    op: Literal["spmm", "sddmm"] = "spmm",
    k: int | None = None,
    dtype: FloatDType | Int8DType | np.dtype[Any] | None = None,
    storage: Storage | None = None,
    pattern: str | None = None,
    fill: float | None = None,
    tune: bool = True,
    workers: int | None = None,
) -> PreparedMatrix | PreparedPattern | Int8Matrix:
    """Inspect and pack a sparse matrix once, for many products with dense ones.

    Parameters
    ----------
    A : sparse array or matrix of shape (m, k)
        Of any format, or of another library (see :ref:`foreign`).  Copied; duplicates are added up,
        explicit zeros stay.
    n : int, optional
        Columns of the dense operands to come, 128 if nothing is said.  Others work too: what they
        need is packed at their first product.
    op : {"spmm", "sddmm"}, optional
        What it is for: products with dense matrices, or sampled products of two of them at its
        stored positions.
    k : int, optional
        With ``op="sddmm"``, the elements of a row of the dense factors to come, 64 if nothing is
        said; others work too.  `n`, `storage`, `pattern`, `fill` and `tune` are for
        ``op="spmm"``.
    dtype : {float32, float64, int8}, optional
        Of the values.  By default that of `A`, and for integers and booleans the one that NumPy
        promotes them and float32 to.  With int8, integers of `A` are taken as they are, and floats
        are quantised row by row, to 127 steps on either side of 0; the dense operands to come are
        int8 or uint8 then, and there is no `storage`, nothing to `tune` and nothing to fill up.
    storage : {None, "float16", "bfloat16"}, optional
        How packed float32 values lie in memory.  In 16 bits they are rounded to the nearest value
        that these hold, take half of the memory, and are float32 again where they are used, as is
        the dense operand: sums have the accuracy of float32.  It pays where the values leave the
        caches; elsewhere products take a little longer, with a vector up to twice as long.
    pattern : str, optional
        The structure of `A`.  "auto" has it looked for, and columns of blocks that are `fill` full
        on average filled up with zeros where that is faster.  A declared one is checked: "n:m" (at
        most n entries in every m columns of a row), "VxW" (blocks of V rows and W columns, which
        are filled up likewise), "balanced n:m" (n entries exactly) or "complementary K" (K rows
        after one another have no column in common), numbers in the place of letters.  Columns that
        rows have in common are made use of whatever is said.
    fill : float, optional
        The share of their places that blocks hold at least, on average: from 0.7 to 1.  If nothing
        is said, 0.9 with "auto", and all of them if blocks are declared.
    tune : bool, optional
        Whether to measure the kernels that may suit `A` (some hundredths of a second, once per
        pattern and width in a process, see `save_tuning`); with False a model of the machine
        chooses, and preparing takes some nanoseconds per entry.
    workers : int, optional
        Threads of its products where these do not say, as in `spmm`.

    Returns
    -------
    PreparedMatrix
        With ``W @ B``, ``B @ W``, ``W.spmm``, ``W.T``, ``W.update_values`` and ``W.explain``.
    PreparedPattern
        With ``op="sddmm"``: ``W.sddmm(X, Y)`` and ``W.explain``.
    Int8Matrix
        With ``dtype="int8"``: ``W @ B`` and ``X @ W.T``; ``W.spmm`` and ``W.linear``, which scale
        and requantise; ``W.update_values`` and ``W.explain``.

    Raises
    ------
    TypeError
        If `A` is not sparse or not real, or an argument has the wrong type.
    ValueError
        If `A` is not 2-D or corrupted, an option is unknown, `storage` cannot hold a value, or `A`
        breaks a declared pattern: the first row and window or block that does is named.  With
        int8, if `A` holds infinity, NaN or an integer that int8 does not, if the magnitudes of a
        row add up to more than 8421504, or if it has too few entries for its shape.  With
        ``op="sddmm"``, if `A` has more than 2147479551 columns.

    See Also
    --------
    spmm : one product, without preparation.
    prepare_many : the matrices of a network, in parallel.
    aslinearoperator : for scipy's solvers, without preparation.
    spkernels.patterns.recognise : says which structure a matrix has.

    Notes
    -----
    Products take ``2 * nnz * n`` operations.  `A` is cut into row panels and blocks of columns
    such that the rows of the dense operand that a block needs stay in the L1 cache; the rows of a
    row panel are sorted by their length in a block, so that loops end when the branch predictor
    expects it [1]_.  Where the dense product is faster, it is used: the values outside of the
    pattern then multiply too, as zeros of padded blocks do, but never reach the result, as operands
    with infinities or NaN go the other way.  But for that, results have the same bits for any
    number of threads.

    References
    ----------
    .. [1] M. Kreutzer, G. Hager, G. Wellein, H. Fehske, A. R. Bishop, "A unified sparse matrix data
       format for efficient general sparse matrix-vector multiplication on modern processors with
       wide SIMD units", SIAM J. Sci. Comput. 36, 2014, for rows sorted in windows.

    Examples
    --------
    >>> import numpy as np
    >>> import scipy.sparse as sp
    >>> import spkernels
    >>> W = spkernels.prepare(sp.csr_array([[0.0, 2.0], [1.0, 0.0]]), n=3)
    >>> W @ np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    array([[ 8., 10., 12.],
           [ 1.,  2.,  3.]])
    >>> np.array([1.0, 2.0]) @ W
    array([2., 2.])

    A mask that breaks the pattern that it is said to have is an error:

    >>> spkernels.prepare(sp.csr_array([[0, 0, 0, 0], [1, 2, 0, 3]]), pattern="2:4")
    Traceback (most recent call last):
    ValueError: A breaks pattern='2:4': row 1 has 3 entries in window 0 (columns 0 to 3)
    """
    options = check_options(op, n, k, storage, pattern, fill, tune, workers)
    made = inspected(A, op=op, n=n, k=k, dtype=dtype, workers=workers, **options)
    return chosen(made, tune)


def check_options(op, n, k, storage, pattern, fill, tune, workers):
    """Raise where options of `prepare` are wrong; return those that `inspected` takes."""
    if op not in ("spmm", "sddmm"):
        raise ValueError(f"op must be 'spmm' or 'sddmm', got {op!r}")
    for name, value in (("n", n), ("storage", storage), ("pattern", pattern), ("fill", fill)):
        if op == "sddmm" and value is not None:
            raise ValueError(f"{name} must be None for op='sddmm', got {value!r}")
    if op == "spmm" and k is not None:
        raise ValueError(f"k must be None for op='spmm', got {k!r}")
    if tune is not True and tune is not False:
        raise TypeError(f"tune must be True or False, got {tune!r}")
    resolve_workers(workers)
    return {"storage": storage, "structure": Structure.of(pattern, fill)}


def inspected(A, *, op, n, k, dtype, workers, storage, structure):
    """Return what `prepare` makes of a matrix, before a kernel is chosen."""
    n = DEFAULT_WIDTH if n is None else as_extent(n, "n")
    k = DEFAULT_DEPTH if k is None else as_extent(k, "k")
    A = as_sparse(A, "A")
    if A.ndim != 2:
        raise ValueError(f"A must be 2-D, got shape {A.shape}")
    if op == "spmm" and dtype is not None and np.dtype(dtype) == np.int8:
        if storage is not None:
            raise ValueError(f"storage must be None with dtype int8, got {storage!r}")
        return prepare_int8(A, n, workers, structure.check)
    value_type = _value_type(A, dtype)
    if op == "sddmm":
        return prepare_pattern(A, value_type, k, workers)
    check_storage(storage, value_type)
    csr, slots = canonical.canonical(A, value_type, "A")
    structure.check(csr)
    state = State(csr, storage, workers, structure.padding(csr, n, workers))
    return PreparedMatrix(state, slots, n, workers, {}, structure)


def packed_ahead(made, tune):
    """Pack what choosing a kernel will need: this may be done in any thread."""
    if isinstance(made, PreparedMatrix):
        if tune:
            selection.pack_candidates(made._own, made._n, made._workers)
        else:
            made._kernel(made._n)
    return made


def chosen(made, tune):
    """Have the kernel chosen and packed for a matrix that was `inspected`."""
    if isinstance(made, PreparedMatrix):
        if tune:
            choice = selection.choose(made._own, made._n, made._workers)
            made._choices[width_class(made._n, made.dtype)] = choice
        made._kernel(made._n)
    return made


def deferred(A):
    """Return what `prepare` makes of floats without options, but packed when it multiplies."""
    csr, slots = canonical.canonical(A, A.dtype, "A")
    state, structure = State(csr, None, None), Structure.of(None, None)
    made = PreparedMatrix(state, slots, DEFAULT_WIDTH, None, {}, structure)
    made._choice(DEFAULT_WIDTH, state)
    return made


def _value_type(A, dtype):
    if dtype is None:
        own = A.dtype.newbyteorder("=")
        dtype = own if own in NATIVE else np.result_type(own, np.float32)
    dtype = np.dtype(dtype).newbyteorder("=")
    if dtype not in NATIVE or A.dtype.kind not in "biuf":
        raise TypeError(
            f"dtype must be float32, float64 or int8 and A real, got dtype {dtype} for A of "
            f"{A.dtype}"
        )
    return dtype
