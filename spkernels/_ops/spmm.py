"""The product of a sparse and a dense matrix (SpMM)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, overload

import numpy as np
import scipy.sparse as sp

from .. import _core
from .._inputs import tensors
from .._inputs.arrays import transposed_arrays
from .._inputs.dense import NATIVE, dense_array, dense_view, is_spmatrix, numbers, plan_bias
from .._inputs.errors import raise_status
from .._inputs.foreign import find_sparse, type_name
from .._inputs.out import apart_from, arrays_apart, check_out, check_out_dtype
from .._inputs.scalars import activation_code, integral_factor, scalar
from .._inputs.sparse import (
    is_hypersparse,
    positions,
    sparse_arrays,
    to_csc,
    to_csr,
    to_kernel_format,
    validated,
)
from .._runtime.threads import resolve_workers
from .crossover import pays_as_csc, scipy_is_faster
from .epilogue import check_epilogue, dense_product, finish

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from .._inputs.types import Activation, Order, Out, Result, SparseLike, Tensor

__all__ = ["multiply_dense", "multiply_packed", "spmm"]

_ORDERS = (None, "C", "F", "K")

# The formats without kernels.
_CONVERTED = ("dia", "lil", "dok")


@overload
def spmm(  # type: ignore[overload-overlap]  # types of tensors tell no layouts
    A: SparseLike | ArrayLike,
    B: Tensor[Result],
    *,
    out: None = None,
    alpha: float = 1.0,
    beta: float = 0.0,
    bias: ArrayLike | None = None,
    activation: Activation | None = None,
    order: Order | None = None,
    workers: int | None = None,
    check: bool = True,
) -> Result: ...
@overload
def spmm(  # type: ignore[overload-overlap]  # types of tensors tell no layouts
    A: Tensor[Result],
    B: SparseLike,
    *,
    out: None = None,
    alpha: float = 1.0,
    beta: float = 0.0,
    bias: ArrayLike | None = None,
    activation: Activation | None = None,
    order: Order | None = None,
    workers: int | None = None,
    check: bool = True,
) -> Result: ...
@overload
def spmm(
    A: SparseLike | ArrayLike,
    B: SparseLike | ArrayLike,
    *,
    out: None = None,
    alpha: float = 1.0,
    beta: float = 0.0,
    bias: ArrayLike | None = None,
    activation: Activation | None = None,
    order: Order | None = None,
    workers: int | None = None,
    check: bool = True,
) -> NDArray[Any]: ...
@overload
def spmm(
    A: SparseLike | ArrayLike,
    B: SparseLike | ArrayLike,
    *,
    out: Out,
    alpha: float = 1.0,
    beta: float = 0.0,
    bias: ArrayLike | None = None,
    activation: Activation | None = None,
    order: None = None,
    workers: int | None = None,
    check: bool = True,
) -> Out: ...
def spmm(
    A: SparseLike | ArrayLike,
    B: SparseLike | ArrayLike,
    *,
    out: NDArray[Any] | Tensor[Any] | None = None,
    alpha: float = 1.0,
    beta: float = 0.0,
    bias: ArrayLike | None = None,
    activation: Activation | None = None,
    order: Order | None = None,
    workers: int | None = None,
    check: bool = True,
) -> Any:
    """Multiply a sparse and a dense matrix: ``activation(alpha * A @ B + beta * out + bias)``.

    One of `A` and `B` is a scipy.sparse array or matrix, and the other is dense.  Shapes, dtypes
    and containers follow ``A @ B`` of scipy.  Dense operands and `out` may have any strides.  These
    operands are copied as a whole: those of another dtype than the result's, those that are not
    aligned or have strides of partial elements, those that `out` overlaps, and sparse operands as
    described below.

    Parameters
    ----------
    A : sparse array or matrix of shape (m, k), or array_like of shape (k,) or (m, k)
        The left operand.  CSR, CSC, COO and BSR are used as they are, with two exceptions.  BSR on
        the right is transposed first.  COO with few entries or more than some 65,000 rows or
        columns is converted by ``tocsr()`` (on the right by ``tocsc()``, if most of its rows are
        empty), unless the dense operand and the result are row-major (on the right: column-major)
        or 1-D.  Other formats are converted to CSR, or to COO if they have many more rows than
        entries.  Small products of DIA and DOK are left to scipy, which needs no conversion.
        Indices may be unsorted, duplicates are summed, and explicit zeros are allowed.
    B : array_like of shape (k,) or (k, n), or sparse array or matrix of shape (k, n)
        The right operand, which must be sparse if `A` is dense.
    out : ndarray, optional
        The array for the result, which is returned.  It has the shape and dtype of the result, and
        any strides.
    alpha, beta : float, optional
        The factors of the product and of the old content of `out`.  A `beta` other than 0 needs
        `out`.  With a `beta` of 0 `out` is not read, so that NaN in it is overwritten.  Factors
        that are whole numbers keep integer results integer.  The notes say when factors are
        applied.
    bias : array_like, optional
        Is added to the product, and broadcasts by NumPy's rules: shape (n,) or (1, n) has an
        element per column, (m, 1) an element per row, and () one for all; for a 1-D result the
        shape is (m,).
    activation : str, optional
        Is applied last: "relu", "gelu", "silu", "tanh", "sigmoid", "gelu_tanh", "leaky_relu",
        "elu", "hardswish", "hardsigmoid" or "relu6", as PyTorch defines them.  "gelu" is the exact
        form ``x * Phi(x)``, and "gelu_tanh" is PyTorch's ``approximate="tanh"``.  The slope of
        "leaky_relu" is 0.01, and the alpha of "elu" is 1.  All activations are right to within 2
        units in the last place of the result, over the whole range.  NaN stays NaN, and infinities
        become the limit.
    order : {None, "C", "F", "K"}, optional
        The memory layout of a new result.  None means "C", and "K" follows the dense operand.
    workers : int, optional
        The largest number of threads; a negative number counts from the number of CPUs, as in
        `scipy.fft`.  The default is `get_num_threads`.  Small products use fewer threads.
    check : bool, optional
        Whether to check the index arrays before data are read through them, which takes a few
        percent of the time.  With False the caller guarantees that they are valid, and that
        ``has_sorted_indices`` is right if it was ever computed: a wrong index then reads outside of
        `B`.  Other threads must not change the arrays between the check and the product.

    Returns
    -------
    ndarray
        Of shape (m, n), or 1-D if the dense operand is.  float32 and float64 are kept, and mixed
        dtypes are promoted by NumPy's rules.  scipy multiplies integer, complex and other dtypes.

    Raises
    ------
    TypeError
        If not exactly one of `A` and `B` is sparse, or an argument has the wrong type.
    ValueError
        If shapes do not fit, an option is unknown, or the sparse operand is corrupted.

    See Also
    --------
    sddmm : samples the product of two dense matrices.
    prepare : packs a sparse matrix once for many products.
    accelerate : lets scipy's own ``A @ B`` run on these kernels.

    Notes
    -----
    The call takes ``2 * nnz * n`` operations and a workspace of a few MiB per thread, for all
    shapes.  Another 16 MiB for all threads together are taken for CSC, for COO, and for dense
    operands in F order (on the left: in C order) or with other strides; of these operands up to 64
    bytes per row (column) are copied at a time.

    Sparse operands of other libraries are converted.  Tensors of PyTorch on the CPU take the place
    of any array, and the result is then a tensor; see :ref:`foreign`.  An object that `prepare`
    returns multiplies as its own `PreparedMatrix.spmm` does.

    Structural zeros do not read `B`: NaN in a row of `B` reaches only rows of the result that have
    an entry in that column, as in scipy.  The result has the same bits for every number of threads.

    In all formats and layouts, sums are finished first.  Then the sum is multiplied by ``alpha``,
    ``beta`` times `out` and `bias` are added, and the activation is applied.  Sums, factors and
    each of these steps are rounded to the dtype of the result.  So a sum that overflows is
    infinite, and a sum that underflows is 0 or subnormal, for any `alpha`.  In float32, 1e-38 times
    1e-30 is 0, and ``alpha=1e38`` does not restore it; 1e-30 times 1e30 is 1, which ``alpha=1e10``
    makes 1e10.  Neither gives a warning.

    With `beta`, CSC, unsorted COO, and CSR on the right are converted to CSR (CSC) at each call if
    the result is tall: more than 65,000 rows, and 16 MiB in the first 64 columns.

    The product splits rows as in [1]_; [2]_ uses this form on pruned layers.

    References
    ----------
    .. [1] C. Yang, A. Buluc, J. D. Owens, "Design Principles for Sparse Matrix Multiplication on
       the GPU", Euro-Par 2018.
    .. [2] T. Gale, M. Zaharia, C. Young, E. Elsen, "Sparse GPU Kernels for Deep Learning", SC'20.

    Examples
    --------
    >>> import numpy as np
    >>> import scipy.sparse as sp
    >>> from spkernels import spmm
    >>> A = sp.csr_array([[0.0, 2.0], [1.0, 0.0]])
    >>> B = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    >>> spmm(A, B)
    array([[ 8., 10., 12.],
           [ 1.,  2.,  3.]])
    >>> spmm(A, B, bias=[-9.0, 0.0, 0.0], activation="relu")
    array([[ 0., 10., 12.],
           [ 0.,  2.,  3.]])
    """
    result = _core.spmm_fast(A, B, out, alpha, beta, bias, activation, order, workers, check)
    if result is not None:
        return result
    arrays = tensors.ordinary(out, A, B, bias)
    if arrays is not None:
        into, left, right, added = arrays
        result = _core.spmm_fast(
            left, right, into, alpha, beta, added, activation, order, workers, check
        )
        if result is not None:
            return tensors.returned(result, out)
    if tensors.dense_among(A, B, out, bias):
        given = {
            "out": out, "alpha": alpha, "beta": beta, "bias": bias, "activation": activation,
            "order": order, "workers": workers, "check": check,
        }  # fmt: skip
        dense = A if tensors.dense_among(A) else B
        return tensors.call(spmm, {"A": A, "B": B}, given, dense)
    options = (out, alpha, beta, bias, activation, order)
    dense_first = not sp.issparse(A)
    if dense_first != sp.issparse(B):
        return _spmm_of_others(A, B, *options, workers, check)
    S: Any
    D: Any
    S, D = (B, A) if dense_first else (A, B)
    by_scipy = False
    if S.format in _CONVERTED and S.ndim == 2 and S.dtype in NATIVE and type(D) is np.ndarray:
        # This comes before the checks below, which take longer than a small product by scipy.
        name = "B" if dense_first else "A"
        if S.format == "dia":
            S = validated(S, name)
        by_scipy = scipy_is_faster(S, D, dense_first)
        if by_scipy and S.format == "dok" and check:
            by_scipy = _has_valid_keys(S)
        if by_scipy and workers is None and _is_plain(S, D, dense_first, *options):
            return np.asarray(D @ S if dense_first else S @ D, order="C")
        if not by_scipy:
            S = to_kernel_format(S, name)
            left, right = (D, S) if dense_first else (S, D)
            result = _core.spmm_fast(left, right, *options, workers, check)
            if result is not None:
                return result
    threads = resolve_workers(workers)
    names = ("B", "A") if dense_first else ("A", "B")
    D = _dense(D, names[1])
    return _spmm(S, D, *names, dense_first, by_scipy, *options, threads, check)


def _spmm_of_others(A, B, out, alpha, beta, bias, activation, order, workers, check):
    """Multiply where not exactly one operand is a sparse array of scipy, or raise TypeError."""
    rule = "exactly one of A and B must be a scipy.sparse array"
    if sp.issparse(A):
        raise TypeError(
            f"{rule}, both are sparse (spmspm(A, B) makes a dense product of these, A @ B a sparse "
            "one)"
        )
    options = {
        "out": out, "alpha": alpha, "beta": beta, "bias": bias, "activation": activation,
        "order": order, "workers": workers,
    }  # fmt: skip
    if hasattr(A, "_spmm"):
        return A._spmm(B, **options)
    if hasattr(B, "_rspmm"):
        return B._rspmm(A, **options)
    sparse = find_sparse(A, "A")
    if sparse is not None:
        return spmm(sparse, B, **options, check=check)
    sparse = find_sparse(B, "B")
    if sparse is not None:
        return spmm(A, sparse, **options, check=check)
    raise TypeError(f"{rule}, both are dense (use numpy.matmul): {type_name(A)} and {type_name(B)}")


def multiply_packed(packed, csr, B, *options, workers):
    """Return `spmm` of a matrix that was packed from `csr`, for a `B` of its dtype."""
    D = _dense(B, "B")
    return _spmm(csr, D, "W", "B", False, False, *options, resolve_workers(workers), False, packed)


def multiply_dense(dense, B, *options, workers):
    """Return `spmm` of a matrix that is stored as a dense array."""
    resolve_workers(workers)
    return _spmm(dense, _dense(B, "B"), "W", "B", False, True, *options, 0, False)


def _is_plain(S, D, dense_first, out, alpha, beta, bias, activation, order):
    """Return whether scipy's own product of DIA is the whole result, and raises no error."""
    return (
        S.format == "dia"
        and D.dtype == S.dtype
        and D.ndim in (1, 2)
        and (D.shape[-1] == S.shape[0] if dense_first else D.shape[0] == S.shape[1])
        and out is bias is activation is order is None
        and (type(alpha), alpha, type(beta), beta) == (float, 1.0, float, 0.0)
    )


def _has_valid_keys(S):
    """Return whether all keys of DOK are valid; the conversion raises the error for others."""
    rows, cols = S.shape
    try:
        return all(0 <= i < rows and 0 <= j < cols for i, j in S.keys())
    except (TypeError, ValueError):
        return False


def _dense(array, name):
    array = dense_array(array, name, np.asanyarray)
    if array.ndim not in (1, 2):
        hint = " (use * for scalars)" if array.ndim == 0 else ""
        raise ValueError(f"{name} must be 1-D or 2-D, got shape {array.shape}{hint}")
    return numbers(array, name)


def _result_shape(S, D, s_name, d_name, dense_first):
    """Return the shape of the product, or raise with both shapes."""
    if dense_first:
        # Only scipy multiplies operands of more than two dimensions, as stacks of matrices.
        fits = D.shape[-1] == S.shape[-2:][0]
        shape = S.shape[:-2] + D.shape[:-1] + S.shape[1:][-1:]
        signature = f"{d_name} @ {s_name}"
        shapes = f"{d_name} has shape {D.shape} and {s_name} has shape {S.shape}"
    else:
        fits = D.shape[0] == S.shape[-1]
        shape = S.shape[:-1] + D.shape[1:]
        signature = f"{s_name} @ {d_name}"
        shapes = f"{s_name} has shape {S.shape} and {d_name} has shape {D.shape}"
    if not fits:
        raise ValueError(f"dimension mismatch in {signature}: {shapes}")
    return tuple(int(extent) for extent in shape)


def _spmm(
    S,
    D,
    s_name,
    d_name,
    dense_first,
    by_scipy,
    out,
    alpha,
    beta,
    bias,
    activation,
    order,
    threads,
    check,
    packed=None,
):
    code = activation_code(activation)
    if not isinstance(order, str | None) or order not in _ORDERS:
        raise ValueError(f"order must be None, 'C', 'F' or 'K', got {order!r}")
    shape = _result_shape(S, D, s_name, d_name, dense_first)
    # As in scipy, np.matrix gives np.matrix if the sparse operand is a sparse matrix, too.
    as_matrix = isinstance(D, np.matrix) and is_spmatrix(S) and out is None
    D = np.asarray(D)
    dtype = np.result_type(S.dtype, D.dtype)
    native = dtype in NATIVE and S.ndim == 2
    alpha, beta = scalar(alpha, "alpha", real=native), scalar(beta, "beta", real=native)
    if out is not None:
        check_out(out, shape)
        if order is not None:
            raise ValueError(
                f"order must be None where out is given, whose layout is used, got {order!r}"
            )
    elif beta != 0:
        raise ValueError(
            f"beta must be 0 without out, which holds what it multiplies, got {beta!r}"
        )
    layout = "F" if order == "F" or (order == "K" and D.flags.fnc) else "C"
    if not native:
        alpha = integral_factor(alpha, "alpha", dtype)
        beta = integral_factor(beta, "beta", dtype)
        check_epilogue(shape, dtype, out, alpha, beta, bias, activation)
        S = validated(S, s_name, check=check)
        S, D = _without_gaps(S, D, dense_first)
        with np.errstate(all="ignore"):  # silent, as the kernels are
            # Some versions of scipy return a scalar for a row in COO times a vector.
            product = np.asarray(D @ S if dense_first else S @ D).reshape(shape)
            result = finish(product, out, alpha, beta, bias, activation, layout)
        return np.asmatrix(result) if as_matrix else result

    if out is not None:
        check_out_dtype(out, dtype)
    if by_scipy and dtype == S.dtype:
        bias = None if bias is None else _checked_bias(bias, shape, dtype)
        rest = dtype.type(alpha), dtype.type(beta), bias, activation, layout
        with np.errstate(all="ignore"):  # silent, as the kernels are
            if type(S) is np.ndarray:
                return dense_product(S, D, out, *rest)
            try:
                product = np.asarray(D @ S if dense_first else S @ D, dtype)
            except IndexError:  # keys of DOK that are not integers
                validated(S, s_name)
                raise
            return finish(product, out, *rest)

    result = _core.empty(shape, dtype, layout) if out is None else out
    D = apart_from(out, dense_view(D, dtype))
    bias_row, bias_col = (apart_from(out, part) for part in plan_bias(bias, shape, dtype))
    if packed is None and S.format in _CONVERTED:
        S = to_kernel_format(S, s_name)
    tall = beta != 0 and len(shape) == 2 and S.format in ("coo", "csr" if dense_first else "csc")
    if tall and _core.walks_often(*(shape[::-1] if dense_first else shape), dtype.itemsize):
        # The offsets have an element per row (column) of the result, so they need less memory than
        # the result.
        S = (to_csc if dense_first else to_csr)(S, s_name, dtype=dtype, check=check)
    elif (
        S.format == "coo"
        and not all(_has_plain_rows(view.T if dense_first else view) for view in (D, result))
        and not _takes_strides(S, result, dense_first)
    ):
        # The kernel for unsorted entries reads and writes rows of dense operands; in other layouts
        # it has a cache miss per element.
        convert = to_csc if dense_first and pays_as_csc(S) else to_csr
        S = convert(S, s_name, dtype=dtype, check=check)
    elif S.format == "bsr" and dense_first:
        S = validated(S, s_name, check=check)  # scipy, which does not check, transposes it next
    if packed is not None:
        arrays = packed
    else:
        arrays = sparse_arrays(S, dtype, s_name)
        if out is not None:
            arrays = arrays_apart(out, arrays)
    direct = result.flags.aligned and all(step % result.itemsize == 0 for step in result.strides)
    target = result if direct else result.copy()
    flags = _core.trusted_flags(S, check)

    into = target
    if dense_first:
        # D @ S = (S^T D^T)^T.  All transposes are views; only that of BSR is a copy.
        arrays, D, into = transposed_arrays(arrays), D.T, target.T
        if target.ndim == 2:
            bias_row, bias_col = bias_col, bias_row
    status = _core.spmm(
        arrays,
        D,
        into,
        alpha,
        beta,
        bias_row,
        bias_col,
        code,
        threads,
        flags,
    )
    if status:
        raise_status(status, S, s_name)
    if target is not result:
        result[...] = target
    return np.asmatrix(result) if as_matrix else result


def _without_gaps(S, D, dense_first):
    """Return both operands without the rows (columns) of `D` that meet no entry of `S`.

    scipy copies `D`, which may be much larger than `S` needs.  Both are returned as they are if
    most of `D` is needed, or if `S` is not 2-D.  `S` must be validated.
    """
    if S.ndim == 2 and S.format == "dia" and is_hypersparse(max(S.shape), S.data.size):
        S = to_kernel_format(S, "")
    inner = S.shape[0 if dense_first else -1]
    if S.ndim != 2 or S.format == "dia" or not is_hypersparse(inner, S.data.size):
        return S, D
    coords = list(positions(S))
    axis = 0 if dense_first else 1
    used, coords[axis] = np.unique(coords[axis], return_inverse=True)
    shape = (used.size, S.shape[1]) if dense_first else (S.shape[0], used.size)
    S = sp.coo_array((S.data.reshape(-1), tuple(coords)), shape=shape)
    return S, D[..., used] if dense_first else D[used]


def _takes_strides(S, result, dense_first):
    rows, cols = S.shape[::-1] if dense_first else S.shape
    return _core.takes_strides(rows, cols, S.data.size, result.size // max(1, rows))


def _has_plain_rows(array):
    # The stride of an axis of at most one element may be any number, and does not matter.
    return array.ndim == 1 or array.shape[1] <= 1 or array.strides[1] == array.itemsize


def _checked_bias(bias, shape, dtype):
    """Return `bias` in the dtype of the result, after the checks that kernels' products make."""
    plan_bias(bias, shape, dtype)
    return np.asarray(bias).astype(dtype, copy=False)
