"""A sparse matrix on the GPU that is packed once and multiplied many times."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from .._inputs.canonical import canonical_pattern
from .._inputs.scalars import as_count
from .._prepare.structure import Structure
from .._runtime.describe import describe
from . import _library
from ._arrays import dtype_name
from ._attend import attend
from ._errors import raise_status
from ._multiply import Options, multiply
from ._operands import enqueue, read
from ._packed import Source
from ._sample import check_values, sample
from ._sparse import as_scipy, rows_of

if TYPE_CHECKING:
    from .._inputs.types import Activation, CudaOperation, Order, SparseLike

__all__ = ["CudaMatrix", "prepare", "source_of"]

#: The names of the operands in errors.
_BW, _XW = ("B", "W"), ("X", "W")


class CudaMatrix:
    """A sparse matrix that is packed in the memory of a GPU; `prepare` makes it.

    ``W @ B``, ``X @ W`` and ``X @ W.T`` multiply by dense arrays on the same GPU: arrays of CuPy,
    tensors of torch, and arrays with ``__cuda_array_interface__`` or DLPack.  Results are arrays of
    the caller's library.  Products are enqueued on that library's current stream, and do not wait
    for the GPU.  The matrix holds copies, so later changes of its source do not matter.

    Any number of threads may multiply by a matrix at once, on any streams, but not while
    `update_values` runs.  A matrix cannot be pickled.

    Attributes
    ----------
    shape : (int, int)
        The numbers of rows and columns.
    dtype : str
        The dtype of values, operands and results: "float32", "float64", "float16" or "bfloat16".
    nnz : int
        The number of entries, duplicates included.
    nbytes : int
        The device memory in use now, in bytes, with that of `T`.
    kernel : str
        The name of the kernel for the number of columns that the matrix was prepared for.
    T : CudaMatrix
        The transpose, which shares the packed data.  ``X @ W.T``, a linear layer with a sample per
        row of X, uses the data that ``W`` packed.  ``W.T @ B`` and ``X @ W`` need other data, which
        the first of these products packs.
    """

    #: These two make the arrays of NumPy and CuPy leave ``X @ W`` to ``W``.
    __array_ufunc__ = None
    __array_priority__ = 1000

    def __init__(self, source, transposed=False):
        self._source, self._is_transposed = source, transposed
        self._transposed = None
        self.shape = source.shape[::-1] if transposed else source.shape
        self.dtype = source.dtype
        self.nnz = source.nnz

    @property
    def T(self) -> CudaMatrix:
        """The transpose, which shares the packed data."""
        if self._transposed is None:
            self._transposed = CudaMatrix(self._source, not self._is_transposed)
            self._transposed._transposed = self
        return self._transposed

    @property
    def nbytes(self) -> int:
        """The device memory in use now, in bytes, with that of `T`."""
        return sum(packed.nbytes for packed in self._source.made())

    @property
    def kernel(self) -> str:
        """The name of the kernel for the number of columns that the matrix was prepared for."""
        return self._source.packed(self._is_transposed).kernel_name(self._source.width)

    def spmm(
        self,
        B: Any,
        *,
        out: Any = None,
        alpha: float = 1.0,
        beta: float = 0.0,
        bias: Any = None,
        activation: Activation | None = None,
        order: Order | None = None,
        stream: Any = None,
    ) -> Any:
        """Multiply: ``activation(alpha * W @ B + beta * out + bias)``.

        Parameters
        ----------
        B : array on the GPU, of shape (k,) or (k, n)
            The dense operand, of W's dtype, row-major or column-major; its leading dimension may be
            larger than needed.  A row-major operand is read in place, and a column-major one is
            transposed into a workspace.
        out : array on the GPU, optional
            The array for the result, which is returned.  It has the shape and dtype of the result,
            is row-major or column-major, and must not overlap `B`.
        alpha, beta : float, optional
            The factors of the product and of the old content of `out`.  A `beta` other than 0 needs
            `out`.  With a `beta` of 0 `out` is not read, so that NaN in it is overwritten.
        bias : number or array on the GPU, optional
            Is added to the product.  Shape (n,) or (1, n) has an element per column, and (m, 1) an
            element per row; for a 1-D result the shape is (m,).  The array must be contiguous.
        activation : str, optional
            Is applied last; the names are those of `spkernels.spmm`.  CUDA's exponential and error
            function are used: results are a few units in the last place off, and results below
            1e-36 may be 0.
        order : {None, "C", "F", "K"}, optional
            The memory layout of a new result.  None means "C", and "K" follows `B`.
        stream : int or object with ``__cuda_stream__``, ``cuda_stream`` or ``ptr``, optional
            The stream to enqueue on; 0 is the legacy default stream.  By default this is the
            current stream of B's library, or the stream that its ``__cuda_array_interface__``
            names.

        Returns
        -------
        array
            On the GPU, of B's library; of shape (m, n), or (m,) if `B` is 1-D.

        Raises
        ------
        TypeError
            If an operand is not on the GPU, or its dtype is not W's.
        ValueError
            If shapes, strides or devices do not fit, or an option is unknown.

        Examples
        --------
        >>> import cupy  # doctest: +SKIP
        >>> W = spkernels.cuda.prepare(weights, "float16")  # doctest: +SKIP
        >>> Y = W.spmm(cupy.ones((512, 64), "float16"), activation="relu")  # doctest: +SKIP
        """
        packed = self._source.packed(self._is_transposed)
        options = Options.of(out, alpha, beta, bias, activation, order)
        return multiply(packed, False, B, _BW, options, stream)

    def __matmul__(self, B):
        return multiply(self._source.packed(self._is_transposed), False, B, _BW)

    def __rmatmul__(self, X):
        return multiply(self._source.packed(not self._is_transposed), True, X, _XW)

    def sddmm(
        self,
        X: Any,
        Y: Any,
        *,
        out: Any = None,
        alpha: float = 1.0,
        beta: float = 0.0,
        scale: bool = False,
        stream: Any = None,
    ) -> Any:
        """Sample the product of two dense matrices at the stored positions of W.

        The result is ``alpha * (X @ Y) + beta * W`` at the stored positions.  With `scale` it is
        ``alpha * W * (X @ Y) + beta * W``.

        Parameters
        ----------
        X : array on the GPU, of shape (..., m, k)
            The left factor, of W's dtype.  A row-major factor is read in place.  Each index of the
            leading dimensions (heads, batches) is a product of its own.
        Y : array on the GPU, of shape (..., k, n)
            The right factor.  ``Yt.T`` of a row-major `Yt` of shape (n, k) is read in place.
        out : array on the GPU, of shape (..., nnz), optional
            The array for the result, which is returned.  It must be contiguous.
        alpha, beta, scale
            As in `spkernels.sddmm`.
        stream
            As in `spmm`.

        Returns
        -------
        array of shape (..., nnz)
            The sampled values, on the GPU, of X's library.  Their order is that of the arrays of
            the matrix that was prepared, and so `update_values` takes them.

        Raises
        ------
        TypeError, ValueError
            As `spmm`.  If W was not prepared with ``op="sddmm"``, a ValueError is raised, too.

        Examples
        --------
        >>> P = spkernels.cuda.prepare(graph, op=("sddmm", "spmm"))  # doctest: +SKIP
        >>> P.update_values(P.sddmm(X, X.T))  # doctest: +SKIP
        """
        packed = self._source.packed(self._is_transposed)
        return sample(packed, X, Y, out, alpha, beta, scale, stream)

    def attend(
        self,
        Q: Any,
        K: Any,
        V: Any,
        *,
        scale: float | None = None,
        out: Any = None,
        return_lse: bool = False,
        stream: Any = None,
    ) -> Any:
        """Compute sparse attention: ``softmax(scale * Q @ K.T) @ V`` over the entries of W, a mask.

        Parameters
        ----------
        Q : array on the GPU, of shape (..., heads, n, d)
            The queries, in float16 or bfloat16, of 2 to 4 dimensions.  The rows of `Q`, `K`, `V`
            and `out` are contiguous and aligned to 16 bytes, and have a multiple of 8 elements, up
            to 256.
        K : array on the GPU, of shape (..., key_heads, m, d)
            The keys.  `key_heads` divides `heads`: ``heads / key_heads`` consecutive heads of `Q`
            share a head of `K`.
        V : array on the GPU, of shape (..., key_heads, m, dv)
            The values.
        scale : float, optional
            The factor of the scores, ``1 / sqrt(d)`` by default.
        out : array on the GPU, of shape (..., heads, n, dv), optional
            The array for the result, which is returned.
        return_lse : bool, optional
            Whether to return, in float32, the logarithm of the sum of the exponentials of each
            query's scores, too.
        stream
            As in `spmm`.

        Returns
        -------
        out : array of shape (..., heads, n, dv)
            On the GPU, of Q's library.  A query that attends to no key gets zeros.
        lse : array of shape (..., heads, n)
            The logarithms, only with `return_lse`; -infinity for a query that attends to no key.

        Raises
        ------
        TypeError, ValueError
            As `spmm`.  If W was not prepared with ``op="attention"``, a ValueError is raised, too.
        """
        packed = self._source.packed(self._is_transposed)
        return attend(packed, Q, K, V, scale, out, return_lse, stream)

    def update_values(self, values: Any, *, stream: Any = None) -> None:
        """Replace the values and keep the structure, as a step of training needs it.

        Parameters
        ----------
        values : array on the GPU, of shape (nnz,)
            The new values, of W's dtype and contiguous.  Their order is that of the ``data`` of the
            CSR, CSC, COO or BSR matrix that was prepared, duplicates included, also for ``W.T``.
        stream
            As in `spmm`.  Later products on the same stream use the new values.

        Raises
        ------
        TypeError
            If `values` is not on the GPU, or its dtype is not W's.
        ValueError
            If `values` has another shape or is not contiguous, or if the matrix was prepared in a
            format without an order of values (DIA, DOK, LIL).
        """
        values = read(values, "values")
        self._source.update(
            lambda packed: enqueue(values, packed.device, stream, _fill, packed, values)
        )

    def __reduce__(self):
        raise TypeError(
            "a CudaMatrix cannot be pickled or copied, as it lies on a GPU: pickle the matrix that "
            "it was made from, and prepare that again"
        )

    def __repr__(self) -> str:
        packed = self._source.known(self._is_transposed)
        width = self._source.width
        name = "kernel not chosen yet" if packed is None else f"kernel {packed.kernel_name(width)}"
        return describe(
            "CudaMatrix",
            self.shape,
            f"{self.nnz} stored",
            self.dtype,
            f"for {' and '.join(self._source.operations)}",
            name,
            "transposed" if self._is_transposed else None,
        )

    def __sizeof__(self) -> int:
        return object.__sizeof__(self) + self.nbytes


def _fill(packed, values, stream):
    """Give a handle new values, which come in the order of the matrix that was prepared."""
    check_values(values, packed, (packed.nnz,))
    if isinstance(packed.order, str):
        raise ValueError(
            f"values have no order of their own in {packed.order.upper()}: prepare the matrix in "
            "CSR"
        )
    pointer = values.pointer
    if packed.order is not None:
        arrays = values.library
        taken = arrays.take(values.array, packed.index(arrays, inverse=False))
        pointer = read(taken, "values").pointer
    status = packed.library.spk_cuda_update_values(packed.pointer, pointer, stream)
    if status != _library.OK:
        raise_status(packed.library, status, "taking new values")


def prepare(
    A: SparseLike | Any,
    dtype: Any = None,
    pattern: str | None = "auto",
    *,
    kernel: Literal["auto", "rows", "panels", "gather", "bitmap"] = "auto",
    precision: Literal["strict", "tf32", "3xtf32"] = "strict",
    op: CudaOperation | tuple[CudaOperation, ...] = "spmm",
    n: int | None = None,
    transpose: bool = False,
) -> CudaMatrix:
    """Pack a sparse matrix once into the memory of the current GPU, for many products.

    Parameters
    ----------
    A : sparse array or matrix of shape (m, k)
        A matrix of scipy.sparse in any format, of `cupyx.scipy.sparse`, a sparse tensor of torch, a
        `spkernels.formats.NMArray`, or a mask of `spkernels.masks`.  Rows need not be sorted,
        duplicates are summed in products, and explicit zeros stay.  CSR is taken as it is.  A
        matrix on a GPU is copied to the host, packed there, and stored on that GPU.
    dtype : {"float32", "float64", "float16", "bfloat16"}, optional
        The dtype of the dense operands, as a string or a dtype of NumPy, CuPy or torch.  Values are
        rounded to it.  By default this is the dtype of `A`; for integers and booleans it is the
        dtype to which NumPy promotes them together with float32.
    pattern : str, optional
        The pattern of `A`.  A declared one ("2:4", "16x1", "balanced 4:32", "complementary 8") is
        checked as by `spkernels.prepare`.  Columns that rows share are used in any case.
    kernel : {"auto", "rows", "panels", "gather", "bitmap"}, optional
        The kernel of ``W @ B``; "auto" chooses by `A` and `n`.  "rows" and "panels" sum by FMA in
        order, and "gather" and "bitmap" use tensor cores.
    precision : {"strict", "tf32", "3xtf32"}, optional
        The precision of float32 products.  "strict" multiplies operands as they are.  "tf32" rounds
        them to 11 bits, for tensor cores.  "3xtf32" splits each operand into the sum of two such
        parts, for tensor cores, which keeps about 21 bits.
    op : str or tuple of str, optional
        The operations that the matrix is for: "spmm" (``W @ B``), "sddmm" (sampled products) and
        "attention" (as a mask).  A tuple names several.
    n : int, optional
        The number of columns of the dense operands (for "sddmm", the number of elements of a row of
        X), 128 by default.  Other numbers work, too.
    transpose : bool, optional
        Whether to pack the transpose at once, too, for ``X @ W`` and ``W.T @ B``; ``X @ W.T`` does
        not need it.  By default its first use packs it, which must be before the first
        `CudaMatrix.update_values`.

    Returns
    -------
    CudaMatrix
        The packed matrix W, with ``W @ B``, ``X @ W``, ``W.spmm``, ``W.sddmm``, ``W.attend``,
        ``W.update_values`` and ``W.T``.

    Raises
    ------
    spkernels.cuda.UnavailableError
        If the library for GPUs, a driver or a GPU is missing.
    TypeError
        If `A` is not sparse or not real, or an argument has the wrong type.
    ValueError
        If `A` is not 2-D or corrupted, an option is unknown, options do not go together, or `A`
        breaks a declared pattern.
    MemoryError
        If the GPU has not enough memory.

    See Also
    --------
    spkernels.prepare : packs a matrix for the CPU.

    Notes
    -----
    Packing takes some tens of nanoseconds per entry on the CPU, and waits for the GPU.  Freeing a
    matrix, when its last reference goes, waits for the GPU, too.  Products do not wait, allocate
    memory only through the caller's library, and can be captured into CUDA graphs.  Sums use no
    atomics, so the same operands give the same bits.

    Examples
    --------
    >>> import torch  # doctest: +SKIP
    >>> W = spkernels.cuda.prepare(weights, torch.float16)  # doctest: +SKIP
    >>> Y = X @ W.T  # a linear layer; X is a tensor on the GPU  # doctest: +SKIP
    """
    source = source_of(A, "A", dtype, pattern, kernel, precision, op, n)
    source.packed(False)
    if transpose:
        source.packed(True)
    return CudaMatrix(source)


def source_of(
    A,
    name,
    dtype=None,
    pattern="auto",
    kernel="auto",
    precision="strict",
    op="spmm",
    n=None,
):
    """Return a `Source` after all checks; the first use of the matrix will pack it."""
    operations = _operations(op)
    for what, value, known in (
        ("kernel", kernel, _library.KERNELS),
        ("precision", precision, _library.PRECISIONS),
    ):
        if value not in known:
            names = ", ".join(repr(other) for other in known)
            raise ValueError(f"{what} must be one of {names}, got {value!r}")
    width = 0 if n is None else as_count("n", n, high=2**31 - 1)
    structure = Structure.of(pattern, None)
    A, given, device = as_scipy(A, name)
    dtype = _value_type(given if dtype is None else dtype, dtype is None)
    if precision != "strict" and dtype != "float32":
        raise ValueError(f"precision must be 'strict' for dtype {dtype}, got {precision!r}")
    rows = rows_of(A, name, values=operations != ("attention",))
    if structure.kind not in (None, "auto"):
        structure.check(canonical_pattern(A, name))
    return Source(rows, device, dtype, precision, kernel, operations, width)


def _operations(op):
    operations = (op,) if isinstance(op, str) else tuple(op)
    if not operations or not set(operations) <= set(_library.OPERATIONS):
        names = ", ".join(repr(name) for name in _library.OPERATIONS)
        raise ValueError(f"op must be one of {names}, or several in a tuple, got {op!r}")
    return tuple(sorted(set(operations)))


def _value_type(dtype, default):
    name = dtype_name(dtype)
    if name in _library.DTYPES:
        return name
    if default and np.dtype(name).kind != "f":
        return np.result_type(name, np.float32).name
    names = ", ".join(_library.DTYPES)
    raise TypeError(f"dtype must be one of {names}, got {name}")
