"""The preparation of many matrices at once, such as those of a network."""

from __future__ import annotations

import itertools
import operator
import sys
from collections.abc import Iterable, Mapping, Sequence, Set, Sized
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, overload

from .._inputs.foreign import find_sparse
from .._inputs.scalars import as_count, as_extent
from .._runtime.threads import thread_count
from .prepare import check_options, chosen, inspected, packed_ahead

if TYPE_CHECKING:
    import numpy as np

    from .._inputs.types import FloatDType, Int8DType, SparseLike, Storage
    from .int8 import Int8Matrix
    from .matrix import PreparedMatrix

__all__ = ["prepare_many"]

#: The number of matrices per thread in a batch, which is packed before the next batch is read.
_PER_JOB = 2


@overload
def prepare_many(
    matrices: Iterable[SparseLike],
    *,
    n: int | Sequence[int] | None = None,
    dtype: FloatDType | None = None,
    storage: Storage | None = None,
    group: int | None = None,
    pattern: str | None = None,
    fill: float | None = None,
    tune: bool = True,
    workers: int | None = None,
    jobs: int | None = None,
) -> list[PreparedMatrix]: ...
@overload
def prepare_many(
    matrices: Iterable[SparseLike],
    *,
    n: int | Sequence[int] | None = None,
    dtype: Int8DType,
    storage: None = None,
    group: None = None,
    pattern: str | None = None,
    fill: float | None = None,
    tune: bool = True,
    workers: int | None = None,
    jobs: int | None = None,
) -> list[Int8Matrix]: ...
@overload
def prepare_many(
    matrices: Iterable[SparseLike],
    *,
    n: int | Sequence[int] | None = None,
    dtype: np.dtype[Any],
    storage: Storage | None = None,
    group: int | None = None,
    pattern: str | None = None,
    fill: float | None = None,
    tune: bool = True,
    workers: int | None = None,
    jobs: int | None = None,
) -> list[PreparedMatrix] | list[Int8Matrix]: ...
def prepare_many(
    matrices: Iterable[SparseLike],
    *,
    n: int | Sequence[int] | None = None,
    dtype: FloatDType | Int8DType | np.dtype[Any] | None = None,
    storage: Storage | None = None,
    group: int | None = None,
    pattern: str | None = None,
    fill: float | None = None,
    tune: bool = True,
    workers: int | None = None,
    jobs: int | None = None,
) -> Any:
    """Prepare several matrices in parallel, each as `prepare` does.

    Parameters
    ----------
    matrices : iterable of sparse arrays or matrices
        The matrices, of any formats and shapes.  Of a generator, a few matrices are taken at a
        time.
    n : int or sequence of int, optional
        The number of columns of the dense operands: one number for all matrices, or one for each.
    dtype, storage, group, pattern, fill, tune, workers
        As in `prepare`, for all matrices.
    jobs : int, optional
        The number of threads that copy and pack, each one matrix at a time.  The default is the
        number of threads of a product.  Strategies are measured one matrix at a time, while no
        thread packs.

    Returns
    -------
    list of PreparedMatrix or Int8Matrix
        The prepared matrices, in the order of `matrices`.

    Raises
    ------
    TypeError, ValueError
        As `prepare`, for the first matrix that fails; the message has its index.  Also if `n` is
        not a number of columns or has another length than `matrices`, or `jobs` is below 1.

    See Also
    --------
    prepare : prepares one matrix.

    Notes
    -----
    Besides the results, memory holds at most ``2 * jobs`` matrices and their copies.

    Examples
    --------
    >>> import spkernels
    >>> layers = [spkernels.datasets.random_pruned(64, k, 0.9) for k in (32, 64)]
    >>> [W.shape for W in spkernels.prepare_many(layers, n=[1, 16])]
    [(64, 32), (64, 64)]
    """
    options = check_options("spmm", n, None, storage, group, pattern, fill, tune, workers)
    jobs = thread_count(workers) if jobs is None else as_count("jobs", jobs)
    batch = min(_PER_JOB * jobs, sys.maxsize)

    def pack(numbered):
        index, (matrix, columns) = numbered
        with _Named(index):
            made = inspected(
                matrix, op="spmm", n=columns, k=None, dtype=dtype, workers=workers, **options
            )
            return packed_ahead(made, tune)

    numbered = enumerate(_with_columns(matrices, n))
    results: list[Any] = []
    with ThreadPoolExecutor(jobs, "spkernels-prepare") as pool:
        run = pool.map if jobs > 1 else map
        # References to a batch are dropped before the next batch is read, to bound memory.
        while packed := list(run(pack, list(itertools.islice(numbered, batch)))):
            # Measurements need an idle machine, so no thread packs meanwhile.
            for made in packed:
                with _Named(len(results)):
                    results.append(chosen(made, tune))
            del packed, made
    return results


def _with_columns(matrices, n):
    """Return an iterator over pairs of a matrix and its number of columns."""
    if find_sparse(matrices, "matrices") is not None or not isinstance(matrices, Iterable):
        raise TypeError(
            f"matrices must be an iterable of sparse matrices, got {type(matrices).__name__}"
        )
    if n is None:
        return zip(matrices, itertools.repeat(n))
    try:
        same = operator.index(n)
    except TypeError:
        pass  # `n` is a sequence
    else:
        return zip(matrices, itertools.repeat(as_extent(same, "n")))
    wrong = TypeError(f"n must be an integer or a sequence of integers, got {n!r}")
    if isinstance(n, Mapping | Set):  # their order is not that of the matrices
        raise wrong
    try:
        columns = list(map(operator.index, n))
    except TypeError:
        raise wrong from None
    if isinstance(matrices, Sized) and len(matrices) != len(columns):
        raise _wrong_length(len(columns), len(matrices))
    return _paired(matrices, columns)


def _paired(matrices, columns):
    count = 0
    for matrix in matrices:
        if count == len(columns):
            raise _wrong_length(len(columns), f"{count + 1} or more")
        yield matrix, columns[count]
        count += 1
    if count < len(columns):
        raise _wrong_length(len(columns), count)


def _wrong_length(found, expected):
    return ValueError(f"n must have a number for each matrix, got {found} for {expected}")


class _Named:
    """A context that puts the index of a matrix into the messages of errors."""

    def __init__(self, index):
        self.index = index

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        if isinstance(error, (TypeError, ValueError)):
            base = TypeError if isinstance(error, TypeError) else ValueError
            raise base(f"matrices[{self.index}]: {error}") from error
