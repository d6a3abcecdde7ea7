# cython: language_level=3, boundscheck=False, wraparound=False
"""The compiled module: pointers in, status out.

Arguments are checked by the Python modules around it, but for the ordinary calls that the fast
entries take as they come, for the microseconds; all else, errors among it, they leave to Python.
"""
cimport numpy as cnp
from libc.stdint cimport int8_t, int32_t, int64_t
from libc.string cimport memcmp, memset

from numpy import promote_types

cnp.import_array()

cdef extern from "spkernels/spkernels.h" nogil:
    ctypedef enum spk_status:
        SPK_OK
        SPK_ERR_ARGUMENT
    ctypedef enum spk_dtype:
        SPK_F32
        SPK_F64
    ctypedef enum spk_itype:
        SPK_I32
        SPK_I64
    ctypedef enum spk_format:
        SPK_CSR
        SPK_CSC
        SPK_COO
        SPK_BSR
    ctypedef enum spk_activation:
        SPK_IDENTITY
        SPK_RELU
        SPK_GELU
        SPK_SILU
        SPK_TANH
        SPK_SIGMOID
        SPK_GELU_TANH
        SPK_LEAKY_RELU
        SPK_ELU
        SPK_HARDSWISH
        SPK_HARDSIGMOID
        SPK_RELU6
    unsigned SPK_SORTED
    unsigned SPK_CHECKED
    ctypedef struct spk_sparse:
        spk_format format
        spk_dtype dtype
        spk_itype itype
        unsigned flags
        Py_ssize_t rows, cols, nnz
        Py_ssize_t block_rows, block_cols
        const void *offsets
        const void *indices
        const void *row_indices
        const void *values
    ctypedef struct spk_dense:
        spk_dtype dtype
        Py_ssize_t rows, cols
        Py_ssize_t row_stride, col_stride
        void *data
    ctypedef struct spk_epilogue:
        double alpha, beta
        const void *bias_row
        const void *bias_col
        spk_activation activation
    ctypedef struct spk_sampling:
        double alpha, beta
        int scale
    spk_status spk_init()
    spk_status spk_check(spk_sparse *A, int threads)
    spk_status spk_transpose_blocks(const spk_sparse *A, void *offsets, void *indices,
                                    void *values)
    spk_status spk_spmm(const spk_sparse *A, const spk_dense *B, const spk_dense *C,
                        const spk_epilogue *epilogue, int threads)
    spk_status spk_spmspv(const spk_sparse *A, const void *ids, const void *x, ptrdiff_t count,
                          void *y, int threads)
    spk_status spk_spmspv_dense(const spk_sparse *A, const void *x, ptrdiff_t stride, void *y,
                                int threads)
    spk_status spk_spmspm(const spk_sparse *A, const spk_sparse *B, void *C, ptrdiff_t ldc,
                          int threads)
    spk_status spk_kwinners(spk_dtype dtype, ptrdiff_t rows, ptrdiff_t cols, const void *X,
                            ptrdiff_t ldx, ptrdiff_t k, void *out, ptrdiff_t ldout,
                            int32_t *winners, int threads)
    ctypedef struct spk_prepared:
        pass
    ctypedef enum spk_storage:
        pass
    spk_status spk_prepare(const spk_sparse *A, ptrdiff_t width, ptrdiff_t block_rows,
                           spk_storage storage, int threads, spk_prepared **prepared)
    ctypedef enum spk_way:
        pass
    double spk_predict(const spk_sparse *A, ptrdiff_t n, spk_way way)
    ptrdiff_t spk_prepare_width(spk_dtype dtype, ptrdiff_t n)
    spk_status spk_prepared_spmm(const spk_prepared *prepared, const spk_dense *B,
                                 const spk_dense *C, const spk_epilogue *epilogue, int threads)
    size_t spk_prepared_bytes(const spk_prepared *prepared)
    ctypedef enum spk_layout:
        SPK_STRIPS
        SPK_SLICES
        SPK_QUADS
    spk_layout spk_prepared_layout(const spk_prepared *prepared)
    ptrdiff_t spk_prepared_block_rows(const spk_prepared *prepared)
    ptrdiff_t spk_prepared_shared(const spk_prepared *prepared)
    spk_status spk_prepared_csr(const spk_prepared *prepared, spk_itype itype, void *offsets,
                                void *indices, void *values)
    void spk_prepared_free(spk_prepared *prepared)
    ctypedef struct spk_int8:
        pass
    ctypedef struct spk_bytes:
        int is_signed
        Py_ssize_t rows, cols, row_stride, col_stride
        const void *data
    ctypedef enum spk_result:
        pass
    ctypedef struct spk_requantise:
        spk_result result
        int zero_point
        const int32_t *column_zero_points
        const float *scale
        const float *column_scale
        const float *bias
        spk_activation activation
        float out_scale
        int out_zero_point
    spk_status spk_int8_prepare(const spk_sparse *A, const int8_t *values, ptrdiff_t width,
                                int threads, spk_int8 **prepared)
    ptrdiff_t spk_int8_width(ptrdiff_t n)
    spk_layout spk_int8_layout(const spk_int8 *A)
    spk_status spk_int8_spmm(const spk_int8 *A, const spk_bytes *B, void *C,
                             ptrdiff_t row_stride, ptrdiff_t col_stride,
                             const spk_requantise *how, int threads)
    size_t spk_int8_bytes(const spk_int8 *A)
    double spk_int8_share(const spk_int8 *A)
    void spk_int8_free(spk_int8 *A)
    spk_status spk_sddmm(const spk_sparse *P, const spk_dense *X, const spk_dense *Y,
                         void *values, const spk_sampling *sampling, int threads)
    ctypedef struct spk_runs:
        Py_ssize_t rows, cols
        const int64_t *offsets
        const int32_t *starts
        const int32_t *stops
    ctypedef struct spk_pattern:
        pass
    spk_status spk_pattern_make(const spk_sparse *P, int threads, spk_pattern **made)
    spk_status spk_pattern_from_runs(const spk_runs *runs, int threads, spk_pattern **made)
    ptrdiff_t spk_pattern_nnz(const spk_pattern *pattern)
    size_t spk_pattern_bytes(const spk_pattern *pattern)
    void spk_pattern_free(spk_pattern *pattern)
    ctypedef struct spk_attention:
        spk_dtype dtype
        Py_ssize_t heads, d, dv
        double scale
        const void *Q
        const void *K
        const void *V
        void *out
        Py_ssize_t q_stride, k_stride, v_stride, out_stride
        const Py_ssize_t *q_offsets
        const Py_ssize_t *k_offsets
        const Py_ssize_t *v_offsets
        const Py_ssize_t *out_offsets
        const void *bias
        Py_ssize_t bias_row_stride, bias_col_stride
        const Py_ssize_t *bias_offsets
        void *lse
    spk_status spk_attend(const spk_pattern *mask, const spk_attention *attention, int threads)
    spk_status spk_pattern_sddmm(const spk_pattern *pattern, const spk_sparse *P,
                                 const spk_dense *X, const spk_dense *Y, void *values,
                                 const spk_sampling *sampling, int threads)
    ptrdiff_t spk_pattern_tiled(const spk_pattern *pattern, ptrdiff_t k)
    spk_status spk_softmax(const spk_sparse *P, void *values, double scale, int threads)
    spk_status spk_spmm_kernel_name(const spk_sparse *A, const spk_dense *B, const spk_dense *C,
                                    int threads, char *name, size_t size)
    int spk_get_num_threads()
    void spk_set_num_threads(int threads)
    void spk_limit_threads(int limit)
    const char *spk_isa()
    const char *const *spk_isa_list()
    const char *spk_openmp()
    size_t spk_contended_regions()
    const char *spk_status_string(spk_status status)
    int spk_abi_version()
    size_t spk_workspace_limit()
    size_t spk_shared_limit(ptrdiff_t rows)
    ctypedef enum spk_ceiling:
        SPK_CEILING_FMA
        SPK_CEILING_LOAD
    spk_status spk_measure_ceiling(spk_ceiling what, spk_dtype dtype, size_t bytes, int threads,
                                   double *rate)

cdef extern from "numpy/ndarraytypes.h":
    int NPY_HALF

cdef extern from "Python.h":
    long long PyLong_AsLongLongAndOverflow(object, int *) except? -1

CSR = <int>SPK_CSR
CSC = <int>SPK_CSC
COO = <int>SPK_COO
BSR = <int>SPK_BSR
SORTED = SPK_SORTED
ERR_ARGUMENT = <int>SPK_ERR_ARGUMENT
CHECKED = SPK_CHECKED

cdef dict _activations = {
    None: <int>SPK_IDENTITY,
    "relu": <int>SPK_RELU,
    "gelu": <int>SPK_GELU,
    "silu": <int>SPK_SILU,
    "tanh": <int>SPK_TANH,
    "sigmoid": <int>SPK_SIGMOID,
    "gelu_tanh": <int>SPK_GELU_TANH,
    "leaky_relu": <int>SPK_LEAKY_RELU,
    "elu": <int>SPK_ELU,
    "hardswish": <int>SPK_HARDSWISH,
    "hardsigmoid": <int>SPK_HARDSIGMOID,
    "relu6": <int>SPK_RELU6,
}
ACTIVATIONS = _activations

# What the fast entries need of Python, filled once, at import: scipy's own classes -> format, and
# the one function that says what `workers` means.
cdef dict _formats = {}
cdef object _resolve_workers = None


def register(formats, resolve_workers):
    """Say which sparse classes the fast entries take, and how `workers` becomes threads."""
    global _resolve_workers
    _formats.update(formats)
    _resolve_workers = resolve_workers


cdef inline bint _is_value_type(int typenum) noexcept:
    return typenum == cnp.NPY_FLOAT32 or typenum == cnp.NPY_FLOAT64


cdef inline spk_dtype _dtype(cnp.ndarray array) noexcept:
    return SPK_F32 if cnp.PyArray_TYPE(array) == cnp.NPY_FLOAT32 else SPK_F64


cdef inline spk_itype _itype(cnp.ndarray array) noexcept:
    return SPK_I32 if cnp.PyArray_ITEMSIZE(array) == 4 else SPK_I64


cdef inline void _fill_dense(spk_dense *d, cnp.ndarray array) noexcept:
    cdef Py_ssize_t size = cnp.PyArray_ITEMSIZE(array)
    d.dtype = _dtype(array)
    d.rows = cnp.PyArray_DIM(array, 0)
    d.row_stride = cnp.PyArray_STRIDE(array, 0) // size
    if cnp.PyArray_NDIM(array) == 2:
        d.cols = cnp.PyArray_DIM(array, 1)
        d.col_stride = cnp.PyArray_STRIDE(array, 1) // size
    else:
        d.cols = 1
        d.col_stride = 1
    d.data = cnp.PyArray_DATA(array)


cdef inline const void *_data(object array) noexcept:
    return NULL if array is None else cnp.PyArray_DATA(<cnp.ndarray>array)


cdef int _fill_sparse(spk_sparse *s, tuple arrays, unsigned flags) except -1:
    """`arrays`: format, (rows, cols), (block rows, block cols), offsets or None, indices, row
    indices or None, values; the last four 1-D, contiguous and of one index width."""
    cdef int format
    format, shape, block, offsets, indices, row_indices, values = arrays
    cdef Py_ssize_t held = cnp.PyArray_SIZE(values)
    s.format = <spk_format>format
    s.rows, s.cols = shape
    s.block_rows, s.block_cols = block
    s.nnz = cnp.PyArray_SIZE(indices)
    if s.nnz > held // (s.block_rows * s.block_cols):
        s.nnz = held // (s.block_rows * s.block_cols)
    s.dtype = _dtype(values)
    s.itype = _itype(indices)
    s.flags = flags
    s.offsets = _data(offsets)
    s.indices = _data(indices)
    s.row_indices = _data(row_indices)
    s.values = _data(values)
    return 0


# `threads` of all functions below: at most so many, or 0 for the default.


cdef class Packed:
    """A sparse matrix that `pack` has packed, for `spmm` and `spmm_fast`; it never changes."""
    cdef spk_prepared *handle
    cdef spk_sparse like  # shape and dtype; no arrays

    def __dealloc__(self):
        spk_prepared_free(self.handle)

    @property
    def nbytes(self):
        """The memory that it takes."""
        return spk_prepared_bytes(self.handle)

    @property
    def layout(self):
        """How it was packed."""
        return "slices" if spk_prepared_layout(self.handle) == SPK_SLICES else "strips"

    @property
    def block_rows(self):
        """The rows of the dense operand that are used together."""
        return spk_prepared_block_rows(self.handle)

    @property
    def shared(self):
        """The entries of rows that share what is loaded of the dense operand."""
        return spk_prepared_shared(self.handle)

    def unpack(self, cnp.ndarray offsets, cnp.ndarray indices, cnp.ndarray values):
        """Write the arrays of the matrix in CSR, whose sizes are right; return the status."""
        cdef spk_itype itype = SPK_I32 if cnp.PyArray_ITEMSIZE(offsets) == 4 else SPK_I64
        cdef spk_status status
        cdef void *to_offsets = cnp.PyArray_DATA(offsets)
        cdef void *to_indices = cnp.PyArray_DATA(indices)
        cdef void *to_values = cnp.PyArray_DATA(values)
        with nogil:
            status = spk_prepared_csr(self.handle, itype, to_offsets, to_indices, to_values)
        return <int>status


def pack_width(bint double, Py_ssize_t n):
    """Return a width that packs as `n` does, the same for all that share what is packed."""
    return spk_prepare_width(SPK_F64 if double else SPK_F32, n)


def predict(Py_ssize_t rows, Py_ssize_t cols, Py_ssize_t nnz, bint double, Py_ssize_t n, int way):
    """Return the cycles that one core is said to take for a product."""
    cdef spk_sparse a
    a.format = SPK_CSR
    a.rows, a.cols, a.nnz = rows, cols, nnz
    a.dtype = SPK_F64 if double else SPK_F32
    a.flags = 0
    return spk_predict(&a, n, <spk_way>way)


def pack(tuple A, Py_ssize_t width, Py_ssize_t block_rows, int threads, unsigned flags,
         int storage=0):
    """Return the status and, on success, A packed for products with `width` columns."""
    cdef Packed packed = Packed()
    cdef spk_sparse a
    cdef spk_status status
    _fill_sparse(&a, A, flags)
    with nogil:
        status = spk_prepare(&a, width, block_rows, <spk_storage>storage, -threads, &packed.handle)
    if status != SPK_OK:
        return <int>status, None
    packed.like.format = SPK_CSR
    packed.like.rows, packed.like.cols, packed.like.dtype = a.rows, a.cols, a.dtype
    return <int>status, packed


cdef inline spk_status _multiply(object A, const spk_sparse *a, const spk_dense *b,
                                 const spk_dense *c, const spk_epilogue *e, int threads) noexcept:
    """`A`: Packed, or anything else, whose arrays are in `a`."""
    cdef const spk_prepared *packed = (<Packed>A).handle if type(A) is Packed else NULL
    cdef spk_status status
    with nogil:
        if packed != NULL:
            status = spk_prepared_spmm(packed, b, c, e, -threads)
        else:
            status = spk_spmm(a, b, c, e, -threads)
    return status


def spmm(A, cnp.ndarray B, cnp.ndarray C, double alpha, double beta, bias_row, bias_col,
         int activation, int threads, unsigned flags):
    """Write the product into C; return the status.  `A` is a tuple of arrays, or Packed."""
    cdef spk_sparse a
    cdef spk_dense b, c
    cdef spk_epilogue e
    if type(A) is not Packed:
        _fill_sparse(&a, A, flags)
    _fill_dense(&b, B)
    _fill_dense(&c, C)
    e.alpha = alpha
    e.beta = beta
    e.bias_row = _data(bias_row)
    e.bias_col = _data(bias_col)
    e.activation = <spk_activation>activation
    return <int>_multiply(A, &a, &b, &c, &e, threads)


cdef class PackedInt8:
    """A matrix of int8 that `pack_int8` has packed, for `spmm_int8`; it never changes."""
    cdef spk_int8 *handle
    cdef Py_ssize_t rows, cols

    def __dealloc__(self):
        spk_int8_free(self.handle)

    @property
    def nbytes(self):
        """The memory that it takes."""
        return spk_int8_bytes(self.handle)

    @property
    def layout(self):
        """How it was packed."""
        cdef spk_layout layout = spk_int8_layout(self.handle)
        return "slices" if layout == SPK_SLICES else "strips" if layout == SPK_STRIPS else "quads"

    @property
    def share(self):
        """The share of what it stores whose rows share what is loaded of the dense operand."""
        return spk_int8_share(self.handle)


def int8_width(Py_ssize_t n):
    """Return a width that `pack_int8` packs for as it does for `n`."""
    return spk_int8_width(n)


def pack_int8(tuple A, Py_ssize_t width, int threads, unsigned flags):
    """Return the status and, on success, A packed for `width` columns, whose values are int8."""
    cdef PackedInt8 packed = PackedInt8()
    cdef spk_sparse a
    cdef spk_status status
    _fill_sparse(&a, A, flags)
    a.dtype = SPK_F32  # of values that are not read
    with nogil:
        status = spk_int8_prepare(&a, <const int8_t *>a.values, width, -threads, &packed.handle)
    packed.rows, packed.cols = a.rows, a.cols
    return <int>status, packed if status == SPK_OK else None


cdef spk_status _multiply_int8(PackedInt8 A, cnp.ndarray B, cnp.ndarray C,
                               const spk_requantise *how, int threads) noexcept:
    cdef spk_bytes b
    cdef spk_status status
    cdef Py_ssize_t size = cnp.PyArray_ITEMSIZE(C)
    cdef Py_ssize_t row_stride = cnp.PyArray_STRIDE(C, 0) // size, col_stride = 1
    cdef void *into = cnp.PyArray_DATA(C)
    b.is_signed = cnp.PyArray_TYPE(B) == cnp.NPY_INT8
    b.rows = cnp.PyArray_DIM(B, 0)
    b.cols = b.col_stride = 1
    b.row_stride = cnp.PyArray_STRIDE(B, 0)
    b.data = cnp.PyArray_DATA(B)
    if cnp.PyArray_NDIM(B) == 2:
        b.cols = cnp.PyArray_DIM(B, 1)
        b.col_stride = cnp.PyArray_STRIDE(B, 1)
        col_stride = cnp.PyArray_STRIDE(C, 1) // size
    with nogil:
        status = spk_int8_spmm(A.handle, &b, into, row_stride, col_stride, how, -threads)
    return status


def spmm_int8(PackedInt8 A, cnp.ndarray B, cnp.ndarray C, int zero_point, scale, bias,
              int activation, float out_scale, int out_zero_point, int threads,
              column_scale=None, column_zero_points=None):
    """Write what the sums become into C; return the status.  B: int8 or uint8, of any strides;
    scale and bias: float32, one per row, or None; column_scale and column_zero_points: float32 and
    int32, one per column, or None."""
    cdef spk_requantise how
    cdef int kind = cnp.PyArray_TYPE(C)
    how.result = <spk_result>(0 if kind == cnp.NPY_INT32 else 1 if kind == cnp.NPY_FLOAT32
                              else 2 if kind == cnp.NPY_INT8 else 3)
    how.zero_point = zero_point
    how.column_zero_points = <const int32_t *>_data(column_zero_points)
    how.scale = <const float *>_data(scale)
    how.column_scale = <const float *>_data(column_scale)
    how.bias = <const float *>_data(bias)
    how.activation = <spk_activation>activation
    how.out_scale = out_scale
    how.out_zero_point = out_zero_point
    return <int>_multiply_int8(A, B, C, &how, threads)


def spmm_int8_fast(PackedInt8 A, cnp.ndarray B, bint by_rows=False):
    """Return the sums with B, or with its rows (``B @ A.T``), as int32, on the default threads, or
    None where that takes more than a look."""
    cdef int ndim = cnp.PyArray_NDIM(B), kind = cnp.PyArray_TYPE(B)
    cdef cnp.npy_intp shape[2]
    cdef spk_requantise how
    if not (kind == cnp.NPY_INT8 or kind == cnp.NPY_UINT8) or not 1 <= ndim <= 2:
        return None
    by_rows = by_rows and ndim == 2
    if cnp.PyArray_DIM(B, by_rows) != A.cols:
        return None
    shape[by_rows] = A.rows
    shape[not by_rows] = cnp.PyArray_DIM(B, not by_rows) if ndim == 2 else 1
    cdef cnp.ndarray result = cnp.PyArray_EMPTY(ndim, shape, cnp.NPY_INT32, 0), C = result
    if by_rows:
        B, C = cnp.PyArray_Transpose(B, NULL), cnp.PyArray_Transpose(C, NULL)
    memset(&how, 0, sizeof(how))  # the sums, of operands without zero points
    return result if _multiply_int8(A, B, C, &how, 0) == SPK_OK else None


def spmspv(tuple A, cnp.ndarray ids, cnp.ndarray x, cnp.ndarray y, int threads, unsigned flags):
    """Write the product with the values x at the columns ids into y; return the status."""
    cdef spk_sparse a
    cdef spk_status status
    cdef const void *at = cnp.PyArray_DATA(ids)
    cdef const void *values = cnp.PyArray_DATA(x)
    cdef void *into = cnp.PyArray_DATA(y)
    cdef Py_ssize_t count = cnp.PyArray_SIZE(ids)
    _fill_sparse(&a, A, flags)
    with nogil:
        status = spk_spmspv(&a, at, values, count, into, -threads)
    return <int>status


def spmspm(tuple A, tuple B, cnp.ndarray C, int threads):
    """Write the product of two matrices in CSR, checked here, into C, contiguous; return the
    status."""
    cdef spk_sparse a, b
    cdef void *into = cnp.PyArray_DATA(C)
    cdef spk_status status
    _fill_sparse(&a, A, 0)
    _fill_sparse(&b, B, 0)
    with nogil:
        status = spk_spmspm(&a, &b, into, b.cols, -threads)
    return <int>status


def kwinners(cnp.ndarray X, Py_ssize_t k, out, winners, int threads):
    """Write the k largest of each row of X, 2-D and contiguous, into out and where they are into
    winners (int32), both contiguous or None; return the status."""
    cdef spk_dtype dtype = _dtype(X)
    cdef Py_ssize_t rows = cnp.PyArray_DIM(X, 0), cols = cnp.PyArray_DIM(X, 1)
    cdef const void *values = cnp.PyArray_DATA(X)
    cdef void *kept = <void *>_data(out)
    cdef int32_t *at = <int32_t *>_data(winners)
    cdef spk_status status
    with nogil:
        status = spk_kwinners(dtype, rows, cols, values, cols, k, kept, cols, at, -threads)
    return <int>status


def sddmm(tuple P, cnp.ndarray X, cnp.ndarray Y, cnp.ndarray values, double alpha, double beta,
          bint scale, int threads, unsigned flags, Pattern pattern=None):
    """Write the sampled product into values; return the status.  `pattern`: of P, if known."""
    cdef const spk_pattern *known = NULL if pattern is None else pattern.handle
    cdef spk_sparse p
    cdef spk_dense x, y
    cdef spk_sampling s
    cdef spk_status status
    cdef void *out = cnp.PyArray_DATA(values)
    _fill_sparse(&p, P, flags)
    _fill_dense(&x, X)
    _fill_dense(&y, Y)
    s.alpha = alpha
    s.beta = beta
    s.scale = scale
    with nogil:
        if known != NULL:
            status = spk_pattern_sddmm(known, &p, &x, &y, out, &s, -threads)
        else:
            status = spk_sddmm(&p, &x, &y, out, &s, -threads)
    return <int>status


cdef class Pattern:
    """Which entries of a matrix are wanted; made by `pattern_of` or `pattern_of_runs`."""
    cdef spk_pattern *handle
    cdef readonly tuple shape

    def __dealloc__(self):
        spk_pattern_free(self.handle)

    @property
    def nnz(self):
        """How many."""
        return spk_pattern_nnz(self.handle)

    @property
    def nbytes(self):
        """The memory that it takes."""
        return spk_pattern_bytes(self.handle)

    def tiled(self, Py_ssize_t k):
        """Return how many entries sampled products take by tiles, for rows of k elements."""
        return spk_pattern_tiled(self.handle, k)


def pattern_of(tuple P, int threads, unsigned flags):
    """Return the status and, on success, the pattern of a sorted matrix in CSR."""
    cdef Pattern pattern = Pattern()
    cdef spk_sparse p
    cdef spk_status status
    _fill_sparse(&p, P, flags)
    pattern.shape = P[1]
    with nogil:
        status = spk_pattern_make(&p, -threads, &pattern.handle)
    return <int>status, pattern if status == SPK_OK else None


def pattern_of_runs(tuple shape, cnp.ndarray offsets, cnp.ndarray starts, cnp.ndarray stops,
                    int threads):
    """Return the status and, on success, the pattern of runs: int64, int32, int32, contiguous."""
    cdef Pattern pattern = Pattern()
    cdef spk_runs runs
    cdef spk_status status
    runs.rows, runs.cols = shape
    runs.offsets = <const int64_t *>cnp.PyArray_DATA(offsets)
    runs.starts = <const int32_t *>cnp.PyArray_DATA(starts)
    runs.stops = <const int32_t *>cnp.PyArray_DATA(stops)
    pattern.shape = shape
    with nogil:
        status = spk_pattern_from_runs(&runs, -threads, &pattern.handle)
    return <int>status, pattern if status == SPK_OK else None


cdef inline const Py_ssize_t *_offsets(object array) noexcept:
    return <const Py_ssize_t *>_data(array)


def head_offsets(cnp.ndarray array, tuple heads):
    """Return where the matrix of each of `heads` begins in an array, in elements (intp).

    Leading dimensions line up with `heads` from the last one on: equal ones go together, one of 1
    is for all, and one that divides is shared by as many heads, one after the other.
    """
    cdef cnp.npy_intp count = 1, h, left, i, extent
    cdef Py_ssize_t size = cnp.PyArray_ITEMSIZE(array), step
    cdef int lead = cnp.PyArray_NDIM(array) - 2, dims = <int>len(heads), j, axis
    cdef Py_ssize_t shape[64]
    for j in range(dims):
        shape[j] = heads[j]
        count *= shape[j]
    cdef cnp.ndarray offsets = cnp.PyArray_ZEROS(1, &count, cnp.NPY_INTP, 0)
    cdef Py_ssize_t *into = <Py_ssize_t *>cnp.PyArray_DATA(offsets)
    for h in range(count):
        left = h
        for j in range(1, dims + 1):
            i = left % shape[dims - j]
            left //= shape[dims - j]
            if j > lead:
                continue
            axis = lead - j
            extent = cnp.PyArray_DIM(array, axis)
            step = cnp.PyArray_STRIDE(array, axis) // size
            into[h] += step * (0 if extent == 1 else i // (shape[dims - j] // extent))
    return offsets


def attend(Pattern mask, tuple Q, tuple K, tuple V, tuple out, tuple bias, lse, double scale,
           int threads):
    """Write the attention into out; return the status.

    Q, K, V and out: an array whose last two dimensions are those of a head, its last one dense, and
    the offset of each head in elements (intp).  bias: the same with any strides, or (None, None).
    """
    cdef spk_attention a
    cdef cnp.ndarray q = Q[0], k = K[0], v = V[0], o = out[0], b
    cdef Py_ssize_t size = cnp.PyArray_ITEMSIZE(q)
    cdef spk_status status
    cdef int last = cnp.PyArray_NDIM(q) - 1
    a.dtype = _dtype(q)
    a.heads = cnp.PyArray_SIZE(Q[1])
    a.d = cnp.PyArray_DIM(q, last)
    a.q_stride = cnp.PyArray_STRIDE(q, last - 1) // size
    a.k_stride = cnp.PyArray_STRIDE(k, cnp.PyArray_NDIM(k) - 2) // size
    a.v_stride = cnp.PyArray_STRIDE(v, cnp.PyArray_NDIM(v) - 2) // size
    a.dv = cnp.PyArray_DIM(v, cnp.PyArray_NDIM(v) - 1)
    a.out_stride = cnp.PyArray_STRIDE(o, cnp.PyArray_NDIM(o) - 2) // size
    a.scale = scale
    a.Q, a.K, a.V = cnp.PyArray_DATA(q), cnp.PyArray_DATA(k), cnp.PyArray_DATA(v)
    a.out = cnp.PyArray_DATA(o)
    a.q_offsets, a.k_offsets = _offsets(Q[1]), _offsets(K[1])
    a.v_offsets, a.out_offsets = _offsets(V[1]), _offsets(out[1])
    a.bias = NULL
    a.bias_row_stride = a.bias_col_stride = 0
    a.bias_offsets = NULL
    if bias[0] is not None:
        b = bias[0]
        a.bias = cnp.PyArray_DATA(b)
        a.bias_row_stride = cnp.PyArray_STRIDE(b, cnp.PyArray_NDIM(b) - 2) // size
        a.bias_col_stride = cnp.PyArray_STRIDE(b, cnp.PyArray_NDIM(b) - 1) // size
        a.bias_offsets = _offsets(bias[1])
    a.lse = <void *>_data(lse)
    with nogil:
        status = spk_attend(mask.handle, &a, -threads)
    return <int>status


def softmax(tuple P, cnp.ndarray values, double scale, int threads, unsigned flags):
    """Write the softmax of each row of a matrix in CSR into values; return the status."""
    cdef spk_sparse p
    cdef void *to = cnp.PyArray_DATA(values)
    cdef spk_status status
    _fill_sparse(&p, P, flags)
    with nogil:
        status = spk_softmax(&p, to, scale, -threads)
    return <int>status


def kernel_name(tuple A, cnp.ndarray B, cnp.ndarray C, int threads, unsigned flags):
    """Return the status and the name of the kernel that `spmm` would run."""
    cdef spk_sparse a
    cdef spk_dense b, c
    cdef char name[160]
    cdef spk_status status
    name[0] = 0
    _fill_sparse(&a, A, flags)
    _fill_dense(&b, B)
    _fill_dense(&c, C)
    status = spk_spmm_kernel_name(&a, &b, &c, -threads, name, sizeof(name))
    return <int>status, name.decode()


def check(tuple A):
    """Return the status and flags of a sparse operand whose indices were scanned, on this thread:
    what goes on to scipy takes longer by far."""
    cdef spk_sparse a
    cdef spk_status status
    _fill_sparse(&a, A, 0)
    with nogil:
        status = spk_check(&a, 1)
    return <int>status, a.flags


cdef inline unsigned _trusted_flags(object A, bint check) except *:
    if check:
        return 0
    # The attribute behind has_sorted_indices: the property itself would scan where it is not known.
    if getattr(A, "_has_sorted_indices", False) is True:
        return SPK_CHECKED | SPK_SORTED
    return SPK_CHECKED


def trusted_flags(A, check):
    """Return the flags for a caller who vouches for `A` (check=False), else none."""
    return _trusted_flags(A, check)


# The fast entries ---------------------------------------------------------------------------------
#
# Each `_take_*` fills a struct from an argument and says whether it was an ordinary one.  None of
# them converts anything or raises for a strange argument: the entry returns None then, and Python
# looks at everything again.  So a doubt costs time, never an answer.


cdef inline bint _plain(object array, int ndim) noexcept:
    """An aligned, contiguous, native ndarray."""
    return (cnp.PyArray_CheckExact(array) and cnp.PyArray_NDIM(<cnp.ndarray>array) == ndim
            and cnp.PyArray_ISCARRAY_RO(<cnp.ndarray>array))


cdef tuple _take_sparse(object A, int format, spk_sparse *s, bint any_values, object data=None):
    """Return the three arrays that `s` points into, or None; floats, or values of any dtype.

    `data`: values to use instead of those of `A`."""
    shape = A.shape
    if len(shape) != 2:
        return None
    s.rows, s.cols = shape
    if data is None:
        data = A.data
    if format == SPK_COO:
        coords = getattr(A, "coords", None)
        if coords is None:  # scipy before 1.13
            first, indices = A.row, A.col
        elif type(coords) is tuple and len(coords) == 2:
            first, indices = coords
        else:
            return None
    else:
        first, indices = A.indptr, A.indices
    if not _plain(first, 1) or not _plain(indices, 1):
        return None
    if not _plain(data, 3 if format == SPK_BSR else 1):
        return None
    cdef cnp.ndarray p = <cnp.ndarray>first, i = <cnp.ndarray>indices, v = <cnp.ndarray>data
    cdef int itypenum = cnp.PyArray_TYPE(i)
    if cnp.PyArray_TYPE(p) != itypenum:
        return None
    if not _is_value_type(cnp.PyArray_TYPE(v)) and not any_values:
        return None
    if itypenum != cnp.NPY_INT32 and itypenum != cnp.NPY_INT64:
        return None
    cdef Py_ssize_t held = cnp.PyArray_DIM(v, 0), outer = s.rows
    s.format = <spk_format>format
    s.dtype = _dtype(v)
    s.itype = _itype(i)
    s.flags = 0
    s.nnz = cnp.PyArray_DIM(i, 0)
    s.block_rows = s.block_cols = 1
    s.indices = cnp.PyArray_DATA(i)
    s.values = cnp.PyArray_DATA(v)
    if format == SPK_COO:
        if s.nnz != held or s.nnz != cnp.PyArray_DIM(p, 0):
            return None
        s.offsets = NULL
        s.row_indices = cnp.PyArray_DATA(p)
        return first, indices, data
    if format == SPK_BSR:
        s.block_rows = cnp.PyArray_DIM(v, 1)
        s.block_cols = cnp.PyArray_DIM(v, 2)
        if s.block_rows < 1 or s.block_cols < 1:
            return None
        if s.rows % s.block_rows or s.cols % s.block_cols:
            return None
        outer = s.rows // s.block_rows
    elif format == SPK_CSC:
        outer = s.cols
    if cnp.PyArray_DIM(p, 0) != outer + 1:
        return None
    if held < s.nnz:
        s.nnz = held
    s.offsets = cnp.PyArray_DATA(p)
    s.row_indices = NULL
    return first, indices, data


cdef inline Py_ssize_t _integer(cnp.ndarray array, Py_ssize_t at) noexcept:
    if cnp.PyArray_ITEMSIZE(array) == 4:
        return (<const int32_t *>cnp.PyArray_DATA(array))[at]
    return (<const int64_t *>cnp.PyArray_DATA(array))[at]


cdef enum:
    MOST_DIAGONALS = 32  # that are compared with each other here


def are_plain_diagonals(A):
    """Return whether DIA has plain arrays, and few diagonals, all inside and none twice."""
    data, offsets = A.data, A.offsets
    cdef Py_ssize_t rows, cols, i, j, one
    if not _plain(data, 2) or not _plain(offsets, 1):
        return False
    cdef cnp.ndarray each = <cnp.ndarray>offsets
    cdef int typenum = cnp.PyArray_TYPE(each)
    cdef Py_ssize_t count = cnp.PyArray_DIM(each, 0)
    if typenum != cnp.NPY_INT32 and typenum != cnp.NPY_INT64:
        return False
    if count != cnp.PyArray_DIM(<cnp.ndarray>data, 0) or count > MOST_DIAGONALS:
        return False
    rows, cols = A.shape
    for i in range(count):
        one = _integer(each, i)
        if one <= -rows or one >= cols:
            return False
        for j in range(i):
            if _integer(each, j) == one:
                return False
    return True


def plain_arrays(A, int format):
    """Return the arrays of a 2-D operand as the functions above take them, values of any dtype.

    None where one of them is not plain, the widths of the indices differ, or lengths do not fit.
    """
    cdef spk_sparse s
    cdef tuple arrays = _take_sparse(A, format, &s, True)
    if arrays is None:
        return None
    first, indices, values = arrays
    shape, block = (s.rows, s.cols), (s.block_rows, s.block_cols)
    if format == SPK_COO:
        return format, shape, block, None, indices, first, values
    return format, shape, block, first, indices, None, values


cdef tuple _transpose_blocks(spk_sparse *s, int typenum):
    """Make `s`, in BSR, its transpose; return the arrays that it points into then, or None."""
    cdef cnp.npy_intp dims[3]
    cdef int itypenum = cnp.NPY_INT32 if s.itype == SPK_I32 else cnp.NPY_INT64
    cdef spk_status status
    dims[0] = s.cols // s.block_cols + 1
    cdef cnp.ndarray offsets = cnp.PyArray_EMPTY(1, dims, itypenum, 0)
    dims[0], dims[1], dims[2] = s.nnz, s.block_cols, s.block_rows
    cdef cnp.ndarray indices = cnp.PyArray_EMPTY(1, dims, itypenum, 0)
    cdef cnp.ndarray values = cnp.PyArray_EMPTY(3, dims, typenum, 0)
    cdef void *to_offsets = cnp.PyArray_DATA(offsets)
    cdef void *to_indices = cnp.PyArray_DATA(indices)
    cdef void *to_values = cnp.PyArray_DATA(values)
    with nogil:
        status = spk_transpose_blocks(s, to_offsets, to_indices, to_values)
    if status != SPK_OK:
        return None
    s.rows, s.cols = s.cols, s.rows
    s.block_rows, s.block_cols = s.block_cols, s.block_rows
    s.offsets, s.indices, s.values = to_offsets, to_indices, to_values
    s.flags = SPK_CHECKED | SPK_SORTED
    return offsets, indices, values


def transpose_blocks(tuple A):
    """Return the arrays of the transpose of BSR, which are valid, from those of a valid one."""
    cdef spk_sparse s
    _fill_sparse(&s, A, SPK_CHECKED)
    arrays = _transpose_blocks(&s, cnp.PyArray_TYPE(<cnp.ndarray>A[6]))
    if arrays is None:
        raise ValueError("index arrays changed while they were read")
    offsets, indices, values = arrays
    used = offsets[-1]
    shape, block = (s.rows, s.cols), (s.block_rows, s.block_cols)
    return A[0], shape, block, offsets, indices[:used], None, values[:used]


cdef inline void _transpose_sparse(spk_sparse *s) noexcept:
    """All but BSR, whose blocks would have to turn."""
    s.rows, s.cols = s.cols, s.rows
    if s.format == SPK_COO:
        s.row_indices, s.indices = s.indices, s.row_indices
    else:
        s.format = SPK_CSC if s.format == SPK_CSR else SPK_CSR


cdef inline bint _take_dense(object array, spk_dense *d) noexcept:
    """A behaved ndarray of one or two dimensions whose strides are whole elements."""
    if not cnp.PyArray_CheckExact(array):
        return False
    cdef cnp.ndarray a = <cnp.ndarray>array
    cdef int ndim = cnp.PyArray_NDIM(a)
    cdef Py_ssize_t size = cnp.PyArray_ITEMSIZE(a)
    if ndim < 1 or ndim > 2 or not _is_value_type(cnp.PyArray_TYPE(a)):
        return False
    if not cnp.PyArray_ISBEHAVED_RO(a):
        return False
    if cnp.PyArray_STRIDE(a, 0) % size or cnp.PyArray_STRIDE(a, ndim - 1) % size:
        return False
    _fill_dense(d, a)
    return True


cdef inline void _transpose_dense(spk_dense *d) noexcept:
    d.rows, d.cols = d.cols, d.rows
    d.row_stride, d.col_stride = d.col_stride, d.row_stride


cdef inline bint _has_plain_rows(const spk_dense *d) noexcept:
    return d.cols == 1 or d.col_stride == 1


cdef inline bint _take_number(object value, double *number) except -1:
    """A Python float, or an int that NumPy would hold in 64 bits."""
    cdef int overflow = 0
    if type(value) is float:
        number[0] = <double>value
        return True
    if type(value) is int:
        number[0] = <double>PyLong_AsLongLongAndOverflow(value, &overflow)
        return overflow == 0
    return False


cdef enum:
    MOST_WORKERS = 1 << 16  # that need no look at the machine


cdef inline int _take_workers(object workers) except? -2:
    """Threads, or -1 for what is an error."""
    if workers is None:
        return 0
    if type(workers) is int and 0 < workers < MOST_WORKERS:
        return workers
    try:
        return _resolve_workers(workers)
    except Exception:
        return -1


cdef struct span:
    size_t low, high


cdef inline span _span(cnp.ndarray array) noexcept:
    """The bytes that an array may touch, as in numpy.may_share_memory."""
    cdef span s
    cdef int axis
    cdef Py_ssize_t reach
    s.low = s.high = <size_t>cnp.PyArray_DATA(array)
    for axis in range(cnp.PyArray_NDIM(array)):
        if cnp.PyArray_DIM(array, axis) == 0:
            s.high = s.low
            return s
        reach = cnp.PyArray_STRIDE(array, axis) * (cnp.PyArray_DIM(array, axis) - 1)
        if reach < 0:
            s.low += <size_t>reach
        else:
            s.high += <size_t>reach
    s.high += <size_t>cnp.PyArray_ITEMSIZE(array)
    return s


cdef inline bint _touches(span out, object array) noexcept:
    if array is None:
        return False
    cdef span other = _span(<cnp.ndarray>array)
    return out.low < other.high and other.low < out.high


cdef inline bint _touches_any(span out, tuple arrays) noexcept:
    return (_touches(out, arrays[0]) or _touches(out, arrays[1]) or _touches(out, arrays[2]))


cdef inline bint _take_bias(object bias, cnp.ndarray result, spk_epilogue *e) noexcept:
    """A contiguous vector of the result's dtype, along its rows or columns."""
    e.bias_row = e.bias_col = NULL
    if bias is None:
        return True
    if not cnp.PyArray_CheckExact(bias):
        return False
    cdef cnp.ndarray b = <cnp.ndarray>bias
    cdef int ndim = cnp.PyArray_NDIM(b)
    if cnp.PyArray_TYPE(b) != cnp.PyArray_TYPE(result) or not cnp.PyArray_ISCARRAY_RO(b):
        return False
    cdef Py_ssize_t rows = cnp.PyArray_DIM(result, 0)
    if cnp.PyArray_NDIM(result) == 1:
        e.bias_row = cnp.PyArray_DATA(b)
        return ndim == 1 and cnp.PyArray_DIM(b, 0) == rows
    cdef Py_ssize_t cols = cnp.PyArray_DIM(result, 1)
    if ndim == 1 or (ndim == 2 and cnp.PyArray_DIM(b, 0) == 1):
        e.bias_col = cnp.PyArray_DATA(b)
        return cnp.PyArray_DIM(b, ndim - 1) == cols
    e.bias_row = cnp.PyArray_DATA(b)
    return ndim == 2 and cnp.PyArray_DIM(b, 0) == rows and cnp.PyArray_DIM(b, 1) == 1


cdef inline int _take_order(object order, cnp.ndarray dense) noexcept:
    """Whether a new result is column-major, or -1 for what is an error."""
    if order is None:
        return 0
    if type(order) is not str:
        return -1
    if order == "K":
        return (cnp.PyArray_CHKFLAGS(dense, cnp.NPY_ARRAY_F_CONTIGUOUS)
                and not cnp.PyArray_CHKFLAGS(dense, cnp.NPY_ARRAY_C_CONTIGUOUS))
    return 1 if order == "F" else 0 if order == "C" else -1


cdef object _for_columns(dict by_width, object dense):
    if not cnp.PyArray_CheckExact(dense):
        return None
    cdef cnp.ndarray array = <cnp.ndarray>dense
    return by_width.get(cnp.PyArray_DIM(array, 1) if cnp.PyArray_NDIM(array) == 2 else 1)


cdef enum:
    MOST_SUMS = 1 << 23  # bytes of two arrays of partial sums (src/plan/partial_sums.c)
    MOST_PARTIAL = 1 << 24  # with a copy of some columns
    MOST_VECTOR = 64


cdef inline bint _sums_fit(ptrdiff_t rows, ptrdiff_t cols) noexcept:
    """Whether partial sums fit for a result of `rows` rows, and a copy of `cols` rows beside."""
    cdef double sums = 2.0 * MOST_VECTOR * <double>rows
    return sums <= MOST_SUMS and sums + MOST_VECTOR * <double>cols <= MOST_PARTIAL


cdef inline bint _walks_often(ptrdiff_t rows, ptrdiff_t cols, ptrdiff_t itemsize) noexcept:
    return (cols > 1 and <double>rows * min(cols, 64) * itemsize > 16 << 20
            and not _sums_fit(rows, 0))


def walks_often(rows, cols, itemsize):
    """Whether CSC or unsorted COO had better become CSR before a product with beta.

    Sums then meet in a stage of 1 MiB, which holds few of so many rows of the result, and the
    entries are walked once for each stage (200,000 rows of 5 entries, 64 columns, Zen 4: 396 ms).
    """
    return _walks_often(rows, cols, itemsize)


cdef inline bint _takes_strides(ptrdiff_t rows, ptrdiff_t cols, ptrdiff_t nnz,
                                ptrdiff_t n) noexcept:
    # Small ones are done before a conversion would be, which takes 40 us.
    return <double>nnz * n < 60000 or (nnz >= rows and _sums_fit(rows, cols))


def takes_strides(rows, cols, nnz, n):
    """Whether COO of so many entries needs no conversion where operands are not row-major.

    It is small, or the sums of its rows, and a copy of some columns of the dense operand, fit the
    workspace.
    """
    return _takes_strides(rows, cols, nnz, n)


cdef dict _promoted = {}


cdef int _promote(int a, int b) except -1:
    """Return what NumPy promotes two types to, by their numbers."""
    key = (a, b)
    found = _promoted.get(key)
    if found is None:
        found = promote_types(cnp.PyArray_DescrFromType(a), cnp.PyArray_DescrFromType(b)).num
        _promoted[key] = found
    return found


cdef inline bint _is_real(object array) noexcept:
    """An ndarray of booleans, integers, float16, float32 or float64."""
    if not cnp.PyArray_CheckExact(array):
        return False
    cdef int typenum = cnp.PyArray_TYPE(<cnp.ndarray>array)
    return typenum <= cnp.NPY_DOUBLE or typenum == NPY_HALF


cdef object _spmm_mixed(object sparse, object dense, bint dense_first, object out, object alpha,
                        object beta, object bias, object activation, object order, object workers,
                        object check):
    """`spmm_fast` of operands of different types: each is converted to what NumPy promotes both to.

    None where that is not what the kernels compute in, or where types are not what is odd."""
    cdef bint packed = type(sparse) is Packed
    cdef object data = None if packed else sparse.data
    cdef int own, other, wanted
    if not _is_real(dense) or not (packed or _is_real(data)):
        return None
    if packed:
        own = cnp.NPY_FLOAT32 if (<Packed>sparse).like.dtype == SPK_F32 else cnp.NPY_FLOAT64
    else:
        own = cnp.PyArray_TYPE(<cnp.ndarray>data)
    other = cnp.PyArray_TYPE(<cnp.ndarray>dense)
    wanted = _promote(own, other)
    # The copy has rows that follow each other, whereas "K" asks for the order of what came.
    if own == other or not _is_value_type(wanted) or (packed and wanted != own) or order == "K":
        return None
    if other != wanted:
        dense = cnp.PyArray_Cast(<cnp.ndarray>dense, wanted)
    if own != wanted:
        data = cnp.PyArray_Cast(<cnp.ndarray>data, wanted)
    cdef tuple pair = (dense, sparse) if dense_first else (sparse, dense)
    return spmm_fast(pair[0], pair[1], out, alpha, beta, bias, activation, order, workers, check,
                     data)


def spmm_fast(A, B, out=None, alpha=1.0, beta=0.0, bias=None, activation=None, order=None,
              workers=None, check=True, data=None):
    """`spmm` where nothing about the call is out of the ordinary, or None.

    Ordinary: Packed, scipy's own classes of CSR, CSC, COO and BSR (on the left) with native arrays,
    an ndarray, both of real numbers that NumPy promotes to float32 or float64, an `out` apart from
    all of these, a bias that need not be broadcast or converted, Python numbers.  It is here, and
    not in Python, so that a call costs about a microsecond and each option a small part of one.
    `A` may be a dict that has one of these, or none, for the columns of `B`.  `data`: values that
    stand for those of the sparse operand.
    """
    if type(A) is dict:
        A = _for_columns(<dict>A, B)
    cdef spk_sparse a
    cdef spk_dense b, c
    cdef spk_epilogue e
    cdef cnp.npy_intp dims[2]
    cdef cnp.ndarray result
    cdef int threads, column_major
    cdef span reach
    sparse, dense = A, B
    cdef object format = None, found
    cdef bint packed = type(A) is Packed
    if not packed:
        format = _formats.get(type(A))
    cdef bint dense_first = format is None and not packed
    if dense_first:
        format = _formats.get(type(B))
        if format is None:
            return None
        sparse, dense = B, A
    cdef tuple arrays = (None, None, None), turned = None
    cdef bint taken = _take_dense(dense, &b)
    if packed:
        a = (<Packed>A).like
    elif taken:
        arrays = _take_sparse(sparse, format, &a, False, data)
    if not taken or arrays is None or a.dtype != b.dtype:
        if data is not None:  # converted before
            return None
        return _spmm_mixed(sparse, dense, dense_first, out, alpha, beta, bias, activation, order,
                           workers, check)
    cdef int ndim = cnp.PyArray_NDIM(<cnp.ndarray>dense)
    if dense_first:
        # D @ S = (S^T D^T)^T, as in `spmm`.
        if a.format != SPK_BSR:
            _transpose_sparse(&a)
        elif a.rows == b.rows if ndim == 1 else a.rows == b.cols:
            a.flags = _trusted_flags(sparse, check is not False)
            turned = _transpose_blocks(&a, cnp.PyArray_TYPE(<cnp.ndarray>dense))
            if turned is None:
                return None
        else:
            return None
        if ndim == 2:
            _transpose_dense(&b)
    if a.cols != b.rows:
        return None
    # The rule of `spmm` for entries in any order; the result's own rows follow below.
    cdef bint any_rows = a.format != SPK_COO or _takes_strides(a.rows, a.cols, a.nnz, b.cols)
    if not any_rows and not _has_plain_rows(&b):
        return None
    if not _take_number(alpha, &e.alpha) or not _take_number(beta, &e.beta):
        return None
    found = _activations.get(activation) if activation is None or type(activation) is str else None
    if found is None:
        return None
    e.activation = <spk_activation><int>found
    threads = _take_workers(workers)
    if threads < 0 or not (check is True or check is False):
        return None
    if turned is None:
        a.flags = 0 if packed else _trusted_flags(sparse, check)
    dims[0], dims[1] = a.rows, b.cols
    if dense_first and ndim == 2:
        dims[0], dims[1] = b.cols, a.rows
    if out is None:
        column_major = _take_order(order, <cnp.ndarray>dense)
        if column_major < 0 or e.beta != 0.0:
            return None
        result = cnp.PyArray_EMPTY(ndim, dims, cnp.PyArray_TYPE(<cnp.ndarray>dense), column_major)
        _fill_dense(&c, result)
    else:
        if order is not None or not _take_dense(out, &c):
            return None
        result = <cnp.ndarray>out
        if c.dtype != b.dtype or not cnp.PyArray_ISWRITEABLE(result):
            return None
        if cnp.PyArray_NDIM(result) != ndim or c.rows != dims[0]:
            return None
        if ndim == 2 and c.cols != dims[1]:
            return None
        reach = _span(result)
        if _touches(reach, dense) or _touches_any(reach, arrays):
            return None
    if not _take_bias(bias, result, &e) or (out is not None and _touches(reach, bias)):
        return None
    if dense_first and ndim == 2:
        _transpose_dense(&c)
        e.bias_row, e.bias_col = e.bias_col, e.bias_row
    if not any_rows and not _has_plain_rows(&c):
        return None
    if (e.beta != 0.0 and (a.format == SPK_CSC or a.format == SPK_COO)
            and _walks_often(c.rows, c.cols, cnp.PyArray_ITEMSIZE(result))):
        return None
    cdef spk_status status = _multiply(sparse, &a, &b, &c, &e, threads)
    # Corrupted operands among others, for which `spmm` has errors: nothing was written yet.
    return result if status == SPK_OK else None


def spmspv_fast(A, x, out=None, workers=None, check=True):
    """`spmspv` of CSC and a dense vector where nothing about the call is out of the ordinary, or
    None; ordinary is what it is for `spmm_fast`."""
    cdef spk_sparse a
    cdef spk_dense vector, y
    cdef spk_status status
    cdef cnp.ndarray result
    cdef span reach
    if _formats.get(type(A)) != CSC or not _take_dense(x, &vector):
        return None
    cdef tuple arrays = _take_sparse(A, SPK_CSC, &a, False)
    if arrays is None or a.dtype != vector.dtype or cnp.PyArray_NDIM(<cnp.ndarray>x) != 1:
        return None
    cdef int threads = _take_workers(workers)
    if a.cols != vector.rows or threads < 0 or not (check is True or check is False):
        return None
    a.flags = _trusted_flags(A, check)
    cdef cnp.npy_intp rows = a.rows
    if out is None:
        result = cnp.PyArray_EMPTY(1, &rows, cnp.PyArray_TYPE(<cnp.ndarray>x), 0)
    else:
        if not _plain(out, 1) or not _take_dense(out, &y):
            return None
        result = <cnp.ndarray>out
        if y.dtype != a.dtype or y.rows != rows or not cnp.PyArray_ISWRITEABLE(result):
            return None
        reach = _span(result)
        if _touches(reach, x) or _touches_any(reach, arrays):
            return None
    cdef void *into = cnp.PyArray_DATA(result)
    with nogil:
        status = spk_spmspv_dense(&a, vector.data, vector.row_stride, into, -threads)
    return result if status == SPK_OK else None


cdef inline bint _same_bytes(object a, object b) noexcept:
    """Whether two plain vectors are equal to the byte."""
    cdef cnp.ndarray x = <cnp.ndarray>a, y = <cnp.ndarray>b
    if x is y:
        return True
    if cnp.PyArray_TYPE(x) != cnp.PyArray_TYPE(y) or cnp.PyArray_SIZE(x) != cnp.PyArray_SIZE(y):
        return False
    return memcmp(cnp.PyArray_DATA(x), cnp.PyArray_DATA(y), <size_t>cnp.PyArray_NBYTES(x)) == 0


def sddmm_fast(P, X, Y, out=None, alpha=1.0, beta=0.0, scale=False, workers=None, check=True,
               Pattern pattern=None):
    """The values of `sddmm` where nothing about the call is out of the ordinary, or None.

    Ordinary is what it is for `spmm_fast`; `out` has P's pattern and may be P.  `pattern`: of P,
    if known.
    """
    cdef spk_sparse p, o
    cdef spk_dense x, y
    cdef spk_sampling s
    cdef spk_status status
    cdef int threads
    cdef span reach
    cdef void *into
    cdef const spk_pattern *known = NULL if pattern is None else pattern.handle
    cdef object format = _formats.get(type(P))
    if format is None or not _take_dense(X, &x) or not _take_dense(Y, &y):
        return None
    if cnp.PyArray_NDIM(<cnp.ndarray>X) != 2 or cnp.PyArray_NDIM(<cnp.ndarray>Y) != 2:
        return None
    cdef tuple arrays = _take_sparse(P, format, &p, False), others
    if arrays is None or p.dtype != x.dtype or p.dtype != y.dtype:
        return None
    if x.rows != p.rows or y.cols != p.cols or x.cols != y.rows:
        return None
    cdef cnp.ndarray held = <cnp.ndarray>arrays[2], values
    # Of values beyond the indices, none would be written.
    if cnp.PyArray_DIM(held, 0) != cnp.PyArray_DIM(<cnp.ndarray>arrays[1], 0):
        return None
    if not _take_number(alpha, &s.alpha) or not _take_number(beta, &s.beta):
        return None
    if not (scale is True or scale is False) or not (check is True or check is False):
        return None
    s.scale = scale is True
    threads = _take_workers(workers)
    if threads < 0:
        return None
    p.flags = _trusted_flags(P, check)
    if out is None:
        values = cnp.PyArray_EMPTY(cnp.PyArray_NDIM(held), cnp.PyArray_DIMS(held),
                                   cnp.PyArray_TYPE(held), 0)
    else:
        if _formats.get(type(out)) != format:
            return None
        others = _take_sparse(out, format, &o, False)
        if others is None or o.dtype != p.dtype or o.rows != p.rows or o.cols != p.cols:
            return None
        if o.block_rows != p.block_rows or o.block_cols != p.block_cols:
            return None
        values = <cnp.ndarray>others[2]
        if cnp.PyArray_DIM(values, 0) != cnp.PyArray_DIM(held, 0):
            return None
        if not _same_bytes(arrays[0], others[0]) or not _same_bytes(arrays[1], others[1]):
            return None
        reach = _span(values)
        if not cnp.PyArray_ISWRITEABLE(values) or _touches(reach, X) or _touches(reach, Y):
            return None
        # In place is fine, but not at an offset.
        if _touches(reach, arrays[0]) or _touches(reach, arrays[1]):
            return None
        if values is not held and _touches(reach, held):
            return None
    into = cnp.PyArray_DATA(values)
    with nogil:
        if known != NULL:
            status = spk_pattern_sddmm(known, &p, &x, &y, into, &s, -threads)
        else:
            status = spk_sddmm(&p, &x, &y, into, &s, -threads)
    return values if status == SPK_OK else None


def get_num_threads():
    """Return the number of threads that a call uses by default, at most."""
    return spk_get_num_threads()


def set_num_threads(int threads):
    """Set it; 0 goes back to the OpenMP setting."""
    spk_set_num_threads(threads)


def limit_threads(int limit):
    """Cap the OpenMP setting; 0 for no cap."""
    spk_limit_threads(limit)


def contended_regions():
    """Return how often contention for CPUs took threads from a parallel region, or held it up."""
    return spk_contended_regions()


def isa():
    """Return the name of the instruction set in use, or None if a forced one is unsupported."""
    cdef const char *name = spk_isa()
    return None if name == NULL else name.decode()


def isa_list():
    """Return the instruction sets that this build and this machine share."""
    cdef const char *const *names = spk_isa_list()
    found = []
    while names[0] != NULL:
        found.append(names[0].decode())
        names += 1
    return found


def openmp():
    """Return the OpenMP version (a date) of the build, or None for a serial build."""
    cdef const char *version = spk_openmp()
    return None if version == NULL else version.decode()


def status_string(int status):
    """Return what a status means."""
    return spk_status_string(<spk_status>status).decode()


def abi_version():
    """Return the version of the C interface."""
    return spk_abi_version()


def workspace_limit():
    """Return the bytes of workspace that a call may take per thread."""
    return spk_workspace_limit()


def shared_limit(Py_ssize_t rows):
    """Return the bytes that all threads of a call may take together, for a B of so many rows."""
    return spk_shared_limit(rows)


def ceiling(bint loads, bint double_precision, size_t size, int threads):
    """Return what the machine does at most: operations, or bytes loaded, per second."""
    cdef double rate = 0
    cdef spk_status status
    with nogil:
        status = spk_measure_ceiling(SPK_CEILING_LOAD if loads else SPK_CEILING_FMA,
                                     SPK_F64 if double_precision else SPK_F32, size, threads, &rate)
    if status == SPK_ERR_ARGUMENT:
        raise ValueError("ceiling: unknown kind")
    if status != SPK_OK:
        raise MemoryError(f"no {size} bytes per thread to measure with")
    return rate
