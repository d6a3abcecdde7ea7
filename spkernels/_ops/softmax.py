"""The softmax over the entries of each row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, overload

import numpy as np
import scipy.sparse as sp

from .. import _core
from .._inputs import tensors
from .._inputs.dense import NATIVE
from .._inputs.errors import raise_status
from .._inputs.foreign import as_sparse
from .._inputs.out import apart_from, check_sparse_out
from .._inputs.scalars import scalar
from .._inputs.sparse import normalised, sparse_arrays, to_csr
from .._runtime.threads import resolve_workers
from .sddmm import with_data

if TYPE_CHECKING:
    from .._inputs.types import Result, Sparse, SparseLike, Tensor

__all__ = ["masked_softmax"]


@overload
def masked_softmax(  # type: ignore[overload-overlap]  # types of tensors tell no layouts
    P: Tensor[Result],
    *,
    scale: float = 1.0,
    out: Tensor[Any] | None = None,
    workers: int | None = None,
    check: bool = True,
) -> Result: ...


@overload
def masked_softmax(
    P: SparseLike,
    *,
    scale: float = 1.0,
    out: Sparse,
    workers: int | None = None,
    check: bool = True,
) -> Sparse: ...


@overload
def masked_softmax(
    P: sp.sparray,
    *,
    scale: float = 1.0,
    out: None = None,
    workers: int | None = None,
    check: bool = True,
) -> sp.csr_array: ...


@overload
def masked_softmax(
    P: sp.spmatrix,
    *,
    scale: float = 1.0,
    out: None = None,
    workers: int | None = None,
    check: bool = True,
) -> sp.csr_matrix: ...


@overload
def masked_softmax(
    P: SparseLike,
    *,
    scale: float = 1.0,
    out: None = None,
    workers: int | None = None,
    check: bool = True,
) -> sp.csr_array | sp.csr_matrix: ...


def masked_softmax(
    P: SparseLike,
    *,
    scale: float = 1.0,
    out: SparseLike | None = None,
    workers: int | None = None,
    check: bool = True,
) -> Any:
    """Compute the softmax of ``scale * P`` over the entries of each row.

    Parameters
    ----------
    P : sparse array or matrix of shape (m, n)
        The scores, as `sddmm` returns them.  Positions without an entry count as -infinity.
    scale : float, optional
        The factor of the scores.
    out : sparse array or matrix, optional
        The array for the result, which is returned: in CSR, of P's shape and structure.  Its data
        are overwritten.  It may be `P` itself.
    workers : int, optional
        The largest number of threads; a negative number counts from the number of CPUs, as in
        `scipy.fft`.
    check : bool, optional
        Whether to check P's index arrays first; see `spmm`.

    Returns
    -------
    sparse array or matrix
        In CSR, and of P's class if that is CSR.  The dtype is float32 or float64 as that of `P`,
        and float64 for integers.  Rows whose values are all -infinity become 0.  Each duplicate is
        an entry of its own, except in COO, whose duplicates are summed first.  For a sparse tensor
        of PyTorch the result is one.

    Raises
    ------
    TypeError
        If `P` is not sparse, or does not hold real numbers.
    ValueError
        If `P` is not 2-D or is corrupted, or `out` does not fit.

    See Also
    --------
    sparse_attention : computes scores, softmax and weighted values in one pass.

    Notes
    -----
    The call takes two passes over the values, and no memory besides the result.  Exponentials are
    within 1.1 units in the last place, and 0 where they would be subnormal.

    Examples
    --------
    >>> import scipy.sparse as sp
    >>> from spkernels import masked_softmax
    >>> P = sp.csr_array([[0.0, 1.0, 1.0], [5.0, 0.0, 0.0]])
    >>> masked_softmax(P).toarray()
    array([[0. , 0.5, 0.5],
           [1. , 0. , 0. ]])
    """
    if tensors.found(P, out):
        like = P if tensors.found(P) else None
        options = {"scale": scale, "out": out, "workers": workers, "check": check}
        return tensors.call(masked_softmax, {"P": as_sparse(P, "P")}, options, P, like=like)
    threads = resolve_workers(workers)
    P = as_sparse(P, "P")
    if P.ndim != 2:
        raise ValueError(f"P must be 2-D, got shape {P.shape}")
    if P.dtype.kind not in "biuf":
        raise TypeError(f"P must hold real numbers, got dtype {P.dtype}")
    scale = scalar(scale, "scale")
    P = normalised(P, "P") if P.format == "csr" else to_csr(P, "P")
    dtype = P.dtype if P.dtype in NATIVE else np.dtype(np.float64)
    values = _core.empty(P.data.shape, dtype) if out is None else check_sparse_out(out, P, dtype)
    arrays = sparse_arrays(P, dtype, "P")
    direct = values.flags.c_contiguous and values.flags.aligned
    if values is not P.data:
        # `out` may be `P` itself, but must not overlap its values at an offset.
        direct = direct and apart_from(values, arrays.values) is arrays.values
    target = values if direct else _core.empty(values.shape, dtype)
    status = _core.softmax(arrays, target, scale, threads, _core.trusted_flags(P, check))
    if status:
        raise_status(status, P, "P")
    if target is not P.data:
        assert arrays.offsets is not None  # of CSR
        target[int(arrays.offsets[-1]) :] = 0  # elements after the last row's entries
    if not direct:
        values[...] = target
    return with_data(P, values) if out is None else out
