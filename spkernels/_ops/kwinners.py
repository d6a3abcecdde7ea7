"""k-winners: the k largest elements of each row stay, and all others become zero."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np
import scipy.sparse as sp

from .. import _core
from .._inputs import tensors
from .._inputs.dense import NATIVE, dense_array, native_order
from .._inputs.errors import raise_status
from .._inputs.out import apart_from, check_out, check_out_dtype
from .._runtime.threads import resolve_workers

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from .._inputs.types import Out, Result, Tensor

__all__ = ["kwinners"]


@overload
def kwinners(
    X: Tensor[Result],
    k: int,
    *,
    axis: int = -1,
    format: Literal["dense", "csr"] = "dense",
    out: None = None,
    workers: int | None = None,
) -> Result: ...


@overload
def kwinners(
    X: ArrayLike,
    k: int,
    *,
    axis: int = -1,
    format: Literal["dense"] = "dense",
    out: None = None,
    workers: int | None = None,
) -> NDArray[Any]: ...


@overload
def kwinners(
    X: ArrayLike,
    k: int,
    *,
    axis: int = -1,
    format: Literal["dense"] = "dense",
    out: Out,
    workers: int | None = None,
) -> Out: ...


@overload
def kwinners(
    X: ArrayLike,
    k: int,
    *,
    axis: int = -1,
    format: Literal["csr"],
    out: None = None,
    workers: int | None = None,
) -> sp.csr_array: ...


def kwinners(
    X: Any,
    k: int,
    *,
    axis: int = -1,
    format: Literal["dense", "csr"] = "dense",
    out: Any = None,
    workers: int | None = None,
) -> Any:
    """Keep the `k` largest elements along an axis, the winners [1]_, and set all others to zero.

    Parameters
    ----------
    X : array_like of float32 or float64
        An array of at least one dimension.
    k : int
        The number of winners in each row.  A row with fewer elements keeps all of them.
    axis : int, optional
        The axis of the rows, the last one by default.
    format : {"dense", "csr"}, optional
        The format of the result.  "csr" needs a 2-D `X` and its last axis.
    out : ndarray, optional
        The array for a dense result, of X's shape and dtype, which is returned.  It may be `X`
        itself.
    workers : int, optional
        The largest number of threads, as in `spmm`.

    Returns
    -------
    ndarray or csr_array
        Of X's shape and dtype; a tensor if `X` is one of PyTorch (see :ref:`foreign`).  In CSR each
        row has ``min(k, n)`` entries with sorted indices; a winner that is 0 is an entry, too.

    Raises
    ------
    TypeError
        If `X` is neither float32 nor float64, or an argument has the wrong type.
    ValueError
        If `k` is negative, `format` is unknown, `X` is not 2-D or has 2**31 columns or more for
        "csr", or `out` does not fit.

    See Also
    --------
    spmspv : multiplies a matrix by the winners of a vector.

    Notes
    -----
    Winners are the largest elements by value, not by magnitude.  Of equal elements, such as -0 and
    0, those of lower index win.  NaN counts as larger than any number.  Each row is read at most 32
    (float32) or 64 (float64) times for any `k`, by bisection on the bits of the k-th largest
    element.  An axis other than the last takes a copy.  Rows are distributed over threads; results
    do not depend on the number of threads.

    References
    ----------
    .. [1] S. Ahmad, L. Scheinkman, "How can we be so dense? The benefits of using highly sparse
       representations", 2019, arXiv:1903.11257.

    Examples
    --------
    >>> import numpy as np
    >>> from spkernels import kwinners
    >>> X = np.array([[3.0, -1.0, 2.0, 3.0], [-4.0, -2.0, -3.0, -1.0]])
    >>> kwinners(X, 2)
    array([[ 3.,  0.,  0.,  3.],
           [ 0., -2.,  0., -1.]])
    >>> kwinners(X, 1, format="csr").indices
    array([0, 3], dtype=int32)
    """
    if tensors.dense_among(X, out):
        options = {"axis": axis, "format": format, "out": out, "workers": workers}
        return tensors.call(kwinners, {"X": X, "k": k}, options, X, like=X)
    X = native_order(np.asarray(dense_array(X, "X")))
    if X.dtype not in NATIVE:
        raise TypeError(f"X must be float32 or float64, got dtype {X.dtype}")
    if X.ndim == 0:
        raise ValueError("X must have a dimension or more, got shape ()")
    try:
        k = operator.index(k)
    except TypeError:
        raise TypeError(f"k must be an integer, got {k!r}") from None
    if k < 0:
        raise ValueError(f"k must not be negative, got {k}")
    try:
        axis = operator.index(axis)
    except TypeError:
        raise TypeError(f"axis must be an integer, got {axis!r}") from None
    if not -X.ndim <= axis < X.ndim:
        raise ValueError(f"axis must be from {-X.ndim} to {X.ndim - 1}, got {axis}")
    axis %= X.ndim
    if not isinstance(format, str) or format not in ("dense", "csr"):
        raise ValueError(f"format must be 'dense' or 'csr', got {format!r}")
    k, threads = min(k, X.shape[axis]), resolve_workers(workers)
    if format == "csr":
        return _winners_csr(X, k, axis, out, threads)
    if out is not None:
        check_out(out, X.shape)
        check_out_dtype(out, X.dtype)
    rows = _rows(_last(X, axis))
    into = None if out is None else _last(out, axis)
    # `out` may be `X` itself, but must not overlap it at an offset.
    same = out is not None and out.ctypes.data == rows.ctypes.data
    rows = rows if same else apart_from(out, rows)
    target = into if into is not None and into.flags.carray else _core.empty(rows.shape, rows.dtype)
    flat = (-1, rows.shape[-1]) if rows.size else (0, 0)
    _run_kwinners(rows.reshape(flat), k, target.reshape(flat), None, threads)
    if out is None:
        return target if axis == X.ndim - 1 else np.ascontiguousarray(np.moveaxis(target, -1, axis))
    if into is not None and target is not into:
        into[...] = target
    return out


def _last(array: NDArray[Any], axis: int) -> NDArray[Any]:
    """Return a view of `array` whose last axis is `axis`."""
    return array if axis == array.ndim - 1 else np.moveaxis(array, axis, -1)


def _rows(array):
    """Return `array` as an aligned array in C order."""
    array = np.ascontiguousarray(array)
    return array if array.flags.aligned else array.copy()


def _winners_csr(X, k, axis, out, threads):
    if X.ndim != 2 or axis != 1:
        raise ValueError(
            f"X must be 2-D and axis its last one for format 'csr', got shape {X.shape} and axis "
            f"{axis}"
        )
    if out is not None:
        raise ValueError("out must be None for format 'csr', got an array")
    m, n = X.shape
    if n > np.iinfo(np.int32).max:
        raise ValueError(
            f"X must have at most {np.iinfo(np.int32).max} columns for format 'csr', whose winners "
            f"are found in 32 bits, got shape {X.shape}"
        )
    indices = np.empty((m, k), np.int32)
    X = _rows(X)
    _run_kwinners(X, k, None, indices, threads)
    data = np.take_along_axis(X, indices.astype(np.intp), axis=1).ravel()
    itype = np.int32 if m * k <= np.iinfo(np.int32).max else np.int64
    indptr = np.arange(m + 1, dtype=itype) * itype(k)
    result = sp.csr_array((data, indices.ravel().astype(itype, copy=False), indptr), shape=(m, n))
    result.has_sorted_indices = True
    result.has_canonical_format = True
    return result


def _run_kwinners(X, k, out, winners, threads):
    status = _core.kwinners(X, k, out, winners, threads)
    if status:
        raise_status(status, X, "X")
