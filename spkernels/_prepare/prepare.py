"""`prepare`, which checks options, inspects the matrix, and chooses a strategy."""

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
from .storage import PLAIN, as_stored, check_stored
from .strategies import width_class
from .structure import Structure

if TYPE_CHECKING:
    from .._inputs.types import FloatDType, Int8DType, SparseLike, Storage

__all__ = ["check_options", "chosen", "deferred", "inspected", "packed_ahead", "prepare"]

#: The number of elements of a row of the factors that sampled products are prepared for by default.
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
    group: int | None = None,
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
    group: None = None,
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
    group: int | None = None,
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
    group: None = None,
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
    group: int | None = None,
    pattern: str | None = None,
    fill: float | None = None,
    tune: bool = True,
    workers: int | None = None,
) -> PreparedMatrix | PreparedPattern | Int8Matrix:
    """Inspect and pack a sparse matrix once, for many products with dense ones.

    Parameters
    ----------
    A : sparse array or matrix of shape (m, k)
        The matrix, of any format, or of another library (see :ref:`foreign`).  It is copied.
        Duplicates are summed, and explicit zeros stay.
    n : int, optional
        The number of columns of the dense operands, 128 by default.  Other numbers work, too: their
        first product packs what they need.
    op : {"spmm", "sddmm"}, optional
        The operation that the matrix is for: "spmm", products with dense matrices, or "sddmm",
        products of two dense matrices that are sampled at its entries.
    k : int, optional
        With ``op="sddmm"``, the number of elements of a row of the left factor, 64 by default.
        Other numbers work, too.  `n`, `storage`, `group`, `pattern`, `fill` and `tune` are for
        ``op="spmm"``.
    dtype : {float32, float64, int8}, optional
        The dtype of the values.  By default this is the dtype of `A`; for integers and booleans it
        is the dtype to which NumPy promotes them together with float32.  With int8, integers of `A`
        are taken as they are, and floats are quantised row by row, to 127 steps on either side of
        0.  The dense operands are int8 or uint8 then, and `storage`, `tune` and padding do not
        apply.
    storage : {None, "float16", "bfloat16", "int8", "int4"}, optional
        The format of packed float32 values in memory.  Values are rounded to the nearest value of
        the format; ``W.rounding_error`` says by how much.  They are expanded to float32 before
        products, so sums have the accuracy of float32.  This pays if the values do not fit the
        caches, and most of all for vectors.  "int8" and "int4" are integers up to 127 and 7, which
        scales multiply.  Few columns are multiplied by a bitmap, which takes a bit for every place
        and the values; for many columns, integers are packed as float32, which takes more memory.
    group : int, optional
        With storage "int8" or "int4", the number of columns of a row that share a scale: 32, or a
        multiple of 64.  By default, rows of int8 have one scale, and rows of int4 one for every 128
        columns.
    pattern : str, optional
        The pattern of `A`.  "auto" searches for patterns, and pads columns of blocks whose mean
        fill is at least `fill` with zeros if that is faster.  A declared pattern is checked: "n:m"
        (at most n entries in every m columns of a row), "VxW" (blocks of V rows and W columns,
        which are padded likewise), "balanced n:m" (exactly n entries) or "complementary K" (K
        consecutive rows have no column in common), with numbers in place of the letters.  Columns
        that rows share are used in any case.
    fill : float, optional
        The smallest mean share of the places of blocks that hold entries, from 0.7 to 1.  The
        default is 0.9 with "auto", and 1 if blocks are declared.
    tune : bool, optional
        Whether to measure the strategies that may suit `A`.  This takes some hundredths of a
        second, once per structure and width in a process (see `save_tuning`).  With False a model
        of the machine chooses, and preparing takes some nanoseconds per entry.
    workers : int, optional
        The default of `workers` for the products of the matrix, as in `spmm`.

    Returns
    -------
    PreparedMatrix
        W with ``W @ B``, ``B @ W``, ``W.spmm``, ``W.T``, ``W.update_values`` and ``W.explain``.
    PreparedPattern
        With ``op="sddmm"``: W with ``W.sddmm(X, Y)`` and ``W.explain``.
    Int8Matrix
        With ``dtype="int8"``: W with ``W @ B`` and ``X @ W.T``, with ``W.spmm`` and ``W.linear``,
        which scale and requantise, and with ``W.update_values`` and ``W.explain``.

    Raises
    ------
    TypeError
        If `A` is not sparse or not real, or an argument has the wrong type.
    ValueError
        If `A` is not 2-D or corrupted, an option is unknown, `storage` cannot hold a value, or `A`
        breaks a declared pattern; the message names the first row and window, or the first block,
        that breaks it.  With int8, if `A` holds infinity, NaN or an integer that int8 cannot hold,
        if the magnitudes of a row sum to more than 8421504, or if `A` has too few entries for its
        shape.  With ``op="sddmm"``, if `A` has more than 2147479551 columns.

    See Also
    --------
    spmm : multiplies without preparation.
    prepare_many : prepares the matrices of a network in parallel.
    aslinearoperator : wraps a matrix for scipy's solvers, without preparation.
    spkernels.patterns.recognise : finds the patterns of a matrix.

    Notes
    -----
    Products take ``2 * nnz * n`` operations.  `A` is cut into row panels and blocks of columns,
    such that the rows of the dense operand that a block needs stay in the L1 cache.  The rows of a
    row panel are sorted by their number of entries in a block, so that the branch predictor
    expects the ends of loops [1]_.

    If the dense product is faster, it is used.  Structural zeros are then multiplied, too, as are
    the zeros of padded blocks.  They never change the result, because operands with infinity or NaN
    take another strategy.  Except for dense products, results have the same bits for any number of
    threads.

    With storage "int8" or "int4", CPUs with AVX512_VBMI2 take columns of the dense operand in fixed
    point, unless their elements differ in magnitude by more than 2**20: elements are rounded by at
    most 2**-30 of the largest.

    References
    ----------
    .. [1] M. Kreutzer, G. Hager, G. Wellein, H. Fehske, A. R. Bishop, "A unified sparse matrix data
       format for efficient general sparse matrix-vector multiplication on modern processors with
       wide SIMD units", SIAM J. Sci. Comput. 36, 2014.

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

    A matrix that breaks its declared pattern is an error:

    >>> spkernels.prepare(sp.csr_array([[0, 0, 0, 0], [1, 2, 0, 3]]), pattern="2:4")
    Traceback (most recent call last):
    ValueError: A breaks pattern='2:4': row 1 has 3 entries in window 0 (columns 0 to 3)
    """
    options = check_options(op, n, k, storage, group, pattern, fill, tune, workers)
    made = inspected(A, op=op, n=n, k=k, dtype=dtype, workers=workers, **options)
    return chosen(made, tune)


def check_options(op, n, k, storage, group, pattern, fill, tune, workers):
    """Check the options of `prepare`, and return those that `inspected` takes."""
    if op not in ("spmm", "sddmm"):
        raise ValueError(f"op must be 'spmm' or 'sddmm', got {op!r}")
    of_spmm = {"n": n, "storage": storage, "group": group, "pattern": pattern, "fill": fill}
    for name, value in of_spmm.items():
        if op == "sddmm" and value is not None:
            raise ValueError(f"{name} must be None for op='sddmm', got {value!r}")
    if op == "spmm" and k is not None:
        raise ValueError(f"k must be None for op='spmm', got {k!r}")
    if tune is not True and tune is not False:
        raise TypeError(f"tune must be True or False, got {tune!r}")
    resolve_workers(workers)
    return {"storage": as_stored(storage, group), "structure": Structure.of(pattern, fill)}


def inspected(A, *, op, n, k, dtype, workers, storage, structure):
    """Return the prepared object of a matrix, before a strategy is chosen."""
    n = DEFAULT_WIDTH if n is None else as_extent(n, "n")
    k = DEFAULT_DEPTH if k is None else as_extent(k, "k")
    A = as_sparse(A, "A")
    if A.ndim != 2:
        raise ValueError(f"A must be 2-D, got shape {A.shape}")
    if op == "spmm" and dtype is not None and np.dtype(dtype) == np.int8:
        if storage.name is not None:
            raise ValueError(f"storage must be None with dtype int8, got {storage.name!r}")
        return prepare_int8(A, n, workers, structure.check)
    value_type = _value_type(A, dtype)
    if op == "sddmm":
        return prepare_pattern(A, value_type, k, workers)
    check_stored(storage, value_type)
    csr, slots = canonical.canonical(A, value_type, "A")
    structure.check(csr)
    state = State(csr, storage, workers, structure.padding(csr, n, workers))
    return PreparedMatrix(state, slots, n, workers, {}, structure)


def packed_ahead(made, tune):
    """Pack the data that `chosen` will need, and return `made`; any thread may do this."""
    if isinstance(made, PreparedMatrix):
        if tune:
            selection.pack_candidates(made._own, made._n, made._workers)
        else:
            made._kernel(made._n)
    return made


def chosen(made, tune):
    """Choose and pack the strategy of an object of `inspected`, and return the object."""
    if isinstance(made, PreparedMatrix):
        if tune:
            choice = selection.choose(made._own, made._n, made._workers)
            made._choices[width_class(made._n, made.dtype)] = choice
        made._kernel(made._n)
    return made


def deferred(A):
    """Return a prepared matrix of floats with default options, which its first product packs."""
    csr, slots = canonical.canonical(A, A.dtype, "A")
    state, structure = State(csr, PLAIN, None), Structure.of(None, None)
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
