"""Many matrices prepared at once, as those of a network are."""

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

#: Matrices for each thread that are packed before the next ones are looked at.
_PER_JOB = 2


@overload
def prepare_many(
    matrices: Iterable[SparseLike],
    *,
    n: int | Sequence[int] | None = None,
    dtype: FloatDType | None = None,
    storage: Storage | None = None,
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
    pattern: str | None = None,
    fill: float | None = None,
    tune: bool = True,
    workers: int | None = None,
    jobs: int | None = None,
) -> Any:
    """Prepare several matrices, as `prepare` does each, in parallel.

    Parameters
    ----------
    matrices : iterable of sparse arrays or matrices
        Each of any format and shape.  A generator is asked for a few at a time.
    n : int or sequence of int, optional
        Columns of the dense operands to come: one number for all, or one for each.
    dtype, storage, pattern, fill, tune, workers
        As in `prepare`, for all.
    jobs : int, optional
        Threads that copy and pack, one matrix each; by default those that a product may have.
        Kernels are measured one at a time, while nothing else is packed.

    Returns
    -------
    list of PreparedMatrix or Int8Matrix
        In the order of `matrices`.

    Raises
    ------
    TypeError, ValueError
        As `prepare`, for the first matrix of which it does, named by its index; and if `n` is no
        number of columns or has another length than `matrices`, or `jobs` is below 1.

    See Also
    --------
    prepare : one matrix.

    Notes
    -----
    Besides the results, at most twice `jobs` matrices are held, and their copies.

    Examples
    --------
    >>> import spkernels
    >>> layers = [spkernels.datasets.random_pruned(64, k, 0.9) for k in (32, 64)]
    >>> [W.shape for W in spkernels.prepare_many(layers, n=[1, 16])]
    [(64, 32), (64, 64)]
    """
    options = check_options("spmm", n, None, storage, pattern, fill, tune, workers)
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
        # Nobody holds the matrices of a batch when the next one is asked for.
        while packed := list(run(pack, list(itertools.islice(numbered, batch)))):
            # What is measured must have the machine to itself.
            for made in packed:
                with _Named(len(results)):
                    results.append(chosen(made, tune))
            del packed, made
    return results


def _with_columns(matrices, n):
    """Return an iterator over each matrix and its number of columns."""
    if find_sparse(matrices, "matrices") is not None or not isinstance(matrices, Iterable):
        raise TypeError(
            f"matrices must be an iterable of sparse matrices, got {type(matrices).__name__}"
        )
    if n is None:
        return zip(matrices, itertools.repeat(n))
    try:
        same = operator.index(n)
    except TypeError:
        pass  # of several
    else:
        return zip(matrices, itertools.repeat(as_extent(same, "n")))
    wrong = TypeError(f"n must be an integer or a sequence of integers, got {n!r}")
    if isinstance(n, Mapping | Set):  # these are not in the order of the matrices
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
    """Has errors say which of the matrices they are about."""

    def __init__(self, index):
        self.index = index

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        if isinstance(error, (TypeError, ValueError)):
            base = TypeError if isinstance(error, TypeError) else ValueError
            raise base(f"matrices[{self.index}]: {error}") from error
