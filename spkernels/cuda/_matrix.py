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

#: What errors call the operands.
_BW, _XW = ("B", "W"), ("X", "W")


class CudaMatrix:
    """A sparse matrix in the memory of a GPU, packed for its kernels; made by `prepare`.

    ``W @ B``, ``X @ W`` and ``X @ W.T`` multiply by dense arrays on the same GPU: CuPy's, tensors
    of torch, and whatever has ``__cuda_array_interface__`` or DLPack.  Results are of the caller's
    library, and are enqueued on its current stream: nothing waits for them.  It holds copies: what
    becomes of the matrix that it was made from does not matter.

    Any number of threads may multiply by it at once, on any streams, but not while `update_values`
    runs.  It cannot be pickled.

    Attributes
    ----------
    shape : (int, int)
        Its shape.
    dtype : str
        "float32", "float64", "float16" or "bfloat16": of its values, and of operands and results.
    nnz : int
        Stored entries, duplicates included.
    nbytes : int
        The device memory that it takes by now, together with `T`.
    kernel : str
        The kernel that multiplies as many columns as it was prepared for.
    T : CudaMatrix
        The transpose, which shares all of this.  ``X @ W.T``, a linear layer with a sample per row
        of X, is done by what ``W`` packed; what ``W.T @ B`` and ``X @ W`` need is packed when one
        of them is first used.
    """

    #: Has NumPy's arrays and CuPy's leave ``X @ W`` to ``W``.
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
        """The transpose."""
        if self._transposed is None:
            self._transposed = CudaMatrix(self._source, not self._is_transposed)
            self._transposed._transposed = self
        return self._transposed

    @property
    def nbytes(self) -> int:
        """The device memory that it takes by now, together with `T`."""
        return sum(packed.nbytes for packed in self._source.made())

    @property
    def kernel(self) -> str:
        """The kernel that multiplies as many columns as it was prepared for."""
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
            The dense operand, of W's dtype, row-major or column-major with rows (columns) that may
            lie apart.  Row-major ones are read where they lie, others are transposed in a
            workspace.
        out : array on the GPU, optional
            Where to write, with the shape and dtype of the result, row-major or column-major; must
            not overlap `B`.  Returned.
        alpha, beta : float, optional
            Factors of the product and of what `out` held; `beta` other than 0 needs `out`, and with
            0 `out` is not read: NaN in it is overwritten.
        bias : number or array on the GPU, optional
            Added to the product: of shape (n,) or (1, n) along the columns, (m, 1) along the rows;
            (m,) where the result is 1-D; contiguous.
        activation : str, optional
            Applied last: the same as in `spkernels.spmm`, by CUDA's exponential and error function:
            results are a few units in the last place off, and those below 1e-36 may be 0.
        order : {None, "C", "F", "K"}, optional
            Memory layout of a new result; None is "C", "K" follows `B`.
        stream : int or object with ``__cuda_stream__``, ``cuda_stream`` or ``ptr``, optional
            The stream to enqueue on, 0 being the legacy default one.  By default the current one of
            B's library, or the one that its ``__cuda_array_interface__`` names.

        Returns
        -------
        array
            On the GPU, of B's library; of shape (m, n), or (m,) where `B` is 1-D.

        Raises
        ------
        TypeError
            If an operand is not on the GPU, or has another dtype than W.
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

        ``alpha * (X @ Y) + beta * W`` at the stored positions; with `scale`,
        ``alpha * W * (X @ Y) + beta * W``.

        Parameters
        ----------
        X : array on the GPU, of shape (..., m, k)
            The left factor, of W's dtype; row-major is read where it lies.  Leading dimensions
            (heads, batches) are products of their own.
        Y : array on the GPU, of shape (..., k, n)
            The right factor; ``Yt.T`` with row-major `Yt` of shape (n, k) is read where it lies.
        out : array on the GPU, of shape (..., nnz), optional
            Where to write; contiguous.  Returned.
        alpha, beta, scale
            As in `spkernels.sddmm`.
        stream
            As in `spmm`.

        Returns
        -------
        array of shape (..., nnz)
            On the GPU, of X's library: the values alone, in the order of the arrays of the matrix
            that was prepared, as `update_values` takes them.

        Raises
        ------
        TypeError, ValueError
            As `spmm`; also where W was not prepared with ``op="sddmm"``.

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
        """Attend to the keys that W, a mask, names: ``softmax(scale * Q @ K.T) @ V`` over these.

        Parameters
        ----------
        Q : array on the GPU, of shape (..., heads, n, d)
            Queries, float16 or bfloat16: 2 to 4 dimensions.  Rows are contiguous, aligned to 16
            bytes, and of a multiple of 8 elements up to 256; so are those of `K`, `V` and `out`.
        K : array on the GPU, of shape (..., key_heads, m, d)
            Keys.  `key_heads` divides `heads`: so many heads of `Q`, one after the other, share one
            of `K`.
        V : array on the GPU, of shape (..., key_heads, m, dv)
            Values.
        scale : float, optional
            Factor of the scores, ``1 / sqrt(d)`` by default.
        out : array on the GPU, of shape (..., heads, n, dv), optional
            Where to write.  Returned.
        return_lse : bool, optional
            Whether to return the logarithm of the sum of the exponentials of each query's scores,
            too, in float32.
        stream
            As in `spmm`.

        Returns
        -------
        out : array of shape (..., heads, n, dv)
            On the GPU, of Q's library.  A query that attends to nothing gets zeros.
        lse : array of shape (..., heads, n)
            With `return_lse` only; -infinity for queries that attend to nothing.

        Raises
        ------
        TypeError, ValueError
            As `spmm`; also where W was not prepared with ``op="attention"``.
        """
        packed = self._source.packed(self._is_transposed)
        return attend(packed, Q, K, V, scale, out, return_lse, stream)

    def update_values(self, values: Any, *, stream: Any = None) -> None:
        """Take new values for the same pattern, as when weights were trained on.

        Parameters
        ----------
        values : array on the GPU, of shape (nnz,)
            Of W's dtype, contiguous, in the order of the ``data`` of the CSR, CSC, COO or BSR
            matrix that was prepared, duplicates included (for ``W.T`` too).
        stream
            As in `spmm`.  Products that follow on the same stream use the new values.

        Raises
        ------
        TypeError, ValueError
            If `values` is not that; or if the matrix was prepared in a format without such an order
            (DIA, DOK, LIL).
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
    """Give a handle values that came in the order of the matrix that was passed."""
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
        Of scipy.sparse in any format, `cupyx.scipy.sparse`, a sparse tensor of torch, a
        `spkernels.formats.NMArray`, or a mask of `spkernels.masks`.  Rows need not be sorted,
        duplicates add up, explicit zeros stay.  CSR is taken as it is.  What lies on a GPU is
        copied to the host first, where it is packed, and packed for that GPU.
    dtype : {"float32", "float64", "float16", "bfloat16"}, optional
        Of the dense operands to come, as a string or a dtype of NumPy, CuPy or torch; values are
        rounded to it.  By default that of `A`, and for integers and booleans the one that NumPy
        promotes them and float32 to.
    pattern : str, optional
        The structure that `A` has.  A declared one ("2:4", "16x1", "balanced 4:32",
        "complementary 8") is checked, as by `spkernels.prepare`; what rows have in common is made
        use of whatever is said.
    kernel : {"auto", "rows", "panels", "gather", "bitmap"}, optional
        The kernel of ``W @ B``; "auto" chooses by `A` and `n`.  "rows" and "panels" sum in the
        order of FMA, "gather" and "bitmap" on tensor cores.
    precision : {"strict", "tf32", "3xtf32"}, optional
        How float32 operands are multiplied: as they are; rounded to 11 bits, on tensor cores; or as
        the sum of two such parts each, on tensor cores, which keeps about 21 bits.
    op : str or tuple of str, optional
        What it is for: "spmm" (``W @ B``), "sddmm" (sampled products) and "attention" (as a mask);
        several in a tuple.
    n : int, optional
        Columns of the dense operands to come (for "sddmm", elements of a row of X), 128 if nothing
        is said.  Others work too.
    transpose : bool, optional
        Whether to pack the transpose at once, too, for ``X @ W`` and ``W.T @ B``; ``X @ W.T`` does
        not need it.  If nothing is said it is packed when it is first used, which must be before
        the first `CudaMatrix.update_values`.

    Returns
    -------
    CudaMatrix
        With ``W @ B``, ``X @ W``, ``W.spmm``, ``W.sddmm``, ``W.attend``, ``W.update_values`` and
        ``W.T``.

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
    spkernels.prepare : the same on the CPU.

    Notes
    -----
    Packing takes some tens of nanoseconds per entry on the CPU, and waits for the GPU; so does
    giving a matrix back, when its last reference goes.  Products do not wait, allocate only by the
    caller's library, and can be captured into CUDA graphs.  Nothing is summed by atomics: the same
    operands give the same bits.

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
    """Return a matrix that is packed when it is used, after all checks."""
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
        raise ValueError(f"precision={precision!r} is for float32, got dtype {dtype}")
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
