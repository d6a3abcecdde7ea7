# A function for each function of the C library.  Python has checked its arguments, and it returns a
# status.  `threads` is the largest number of threads, or 0 for the default.


def predict(
    Py_ssize_t rows, Py_ssize_t cols, Py_ssize_t nnz, bint double, Py_ssize_t n, int strategy
):
    """Return the predicted cycles of a product on one core; 0 for sizes that cannot be packed."""
    cdef spk_sparse a
    a.format = SPK_CSR
    a.rows, a.cols, a.nnz = rows, cols, nnz
    a.dtype = SPK_F64 if double else SPK_F32
    a.flags = 0
    return spk_predict(&a, n, <spk_strategy>strategy)


cdef inline spk_status _multiply(object A, const spk_sparse *a, const spk_dense *b,
                                 const spk_dense *c, const spk_epilogue *e, int threads) noexcept:
    """Multiply by `A` if it is Packed, else by the arrays in `a`."""
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
    """Write the product to C; return the status.  `A` is SparseArrays or Packed."""
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
    """Write the scaled or requantised sums to C; return the status.

    B is int8 or uint8, of any strides.  scale and bias are float32 with an element per row, or
    None.  column_scale (float32) and column_zero_points (int32) have an element per column, or are
    None.
    """
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


def spmspv(A, cnp.ndarray ids, cnp.ndarray x, cnp.ndarray y, int threads, unsigned flags):
    """Write the product with a vector that has the values x at the columns ids to y; return the
    status."""
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


def spmspm(A, B, cnp.ndarray C, int threads):
    """Write the product of two matrices in CSR to a contiguous C; return the status.

    The library checks the index arrays.
    """
    cdef spk_sparse a, b
    cdef void *into = cnp.PyArray_DATA(C)
    cdef spk_status status
    _fill_sparse(&a, A, 0)
    _fill_sparse(&b, B, 0)
    with nogil:
        status = spk_spmspm(&a, &b, into, b.cols, -threads)
    return <int>status


def kwinners(cnp.ndarray X, Py_ssize_t k, out, winners, int threads):
    """Write the k largest elements of each row of X to out, and their columns to winners (int32).

    X is 2-D and contiguous; out and winners are contiguous or None.  Returns the status.
    """
    cdef spk_dtype dtype = _dtype(X)
    cdef Py_ssize_t rows = cnp.PyArray_DIM(X, 0), cols = cnp.PyArray_DIM(X, 1)
    cdef const void *values = cnp.PyArray_DATA(X)
    cdef void *kept = <void *>_data(out)
    cdef int32_t *at = <int32_t *>_data(winners)
    cdef spk_status status
    with nogil:
        status = spk_kwinners(dtype, rows, cols, values, cols, k, kept, cols, at, -threads)
    return <int>status


def quantise(cnp.ndarray X, Py_ssize_t ldx, float scale, int zero_point, cnp.ndarray out,
             int threads):
    """Round X to bytes and write them to out; return the status.

    X is float32 and 2-D; its rows are contiguous and lie ldx elements apart.  out is contiguous,
    and int8 or uint8.
    """
    cdef Py_ssize_t rows = cnp.PyArray_DIM(X, 0), cols = cnp.PyArray_DIM(X, 1)
    cdef const float *values = <const float *>cnp.PyArray_DATA(X)
    cdef int is_signed = cnp.PyArray_TYPE(out) == cnp.NPY_INT8
    cdef void *to = cnp.PyArray_DATA(out)
    cdef spk_status status
    with nogil:
        status = spk_quantise(rows, cols, values, ldx, scale, zero_point, is_signed, to, cols,
                              -threads)
    return <int>status


def sddmm(P, cnp.ndarray X, cnp.ndarray Y, cnp.ndarray values, double alpha, double beta,
          bint scale, int threads, unsigned flags, ColumnRuns column_runs=None):
    """Write the sampled product to values; return the status.

    `column_runs` are those of P, or None if they are not known.
    """
    cdef const spk_column_runs *known = NULL if column_runs is None else column_runs.handle
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
            status = spk_column_runs_sddmm(known, &p, &x, &y, out, &s, -threads)
        else:
            status = spk_sddmm(&p, &x, &y, out, &s, -threads)
    return <int>status


def attend(ColumnRuns mask, tuple Q, tuple K, tuple V, tuple out, tuple bias, lse, double scale,
           int threads):
    """Write the result of attention to out; return the status.

    Q, K, V and out are each a pair: an array whose last two dimensions are those of a head and
    whose last dimension is contiguous, and the offset of each head in elements (intp).  bias is
    such a pair with any strides, or (None, None).
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


def softmax(P, cnp.ndarray values, double scale, int threads, unsigned flags):
    """Write the softmax of each row of a matrix in CSR to values; return the status."""
    cdef spk_sparse p
    cdef void *to = cnp.PyArray_DATA(values)
    cdef spk_status status
    _fill_sparse(&p, P, flags)
    with nogil:
        status = spk_softmax(&p, to, scale, -threads)
    return <int>status


def kernel_name(A, cnp.ndarray B, cnp.ndarray C, int threads, unsigned flags):
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


def check(A):
    """Return the status and the flags of a sparse operand after a check of its index arrays.

    One thread checks, as the operation of scipy that follows takes far longer.
    """
    cdef spk_sparse a
    cdef spk_status status
    _fill_sparse(&a, A, 0)
    with nogil:
        status = spk_check(&a, 1)
    return <int>status, a.flags


cdef tuple _transpose_blocks(spk_sparse *s, int typenum):
    """Transpose `s`, in BSR; return the new arrays that it points into, or None for a failure."""
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


def transpose_blocks(A):
    """Return the arrays of the transpose of valid BSR; they are valid, too."""
    cdef spk_sparse s
    _fill_sparse(&s, A, SPK_CHECKED)
    arrays = _transpose_blocks(&s, cnp.PyArray_TYPE(<cnp.ndarray>A.values))
    if arrays is None:
        raise ValueError("index arrays changed while they were read")
    offsets, indices, values = arrays
    used = offsets[-1]
    shape, block = (s.rows, s.cols), (s.block_rows, s.block_cols)
    return SparseArrays(A.format, shape, block, offsets, indices[:used], None, values[:used])
