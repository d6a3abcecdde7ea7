# Functions that fill the structs of the C library from arrays.  They convert no array; arrays that
# do not fit are left to Python.


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


cdef int _fill_sparse(spk_sparse *s, arrays, unsigned flags) except -1:
    """Fill a struct from `arrays`, which are `SparseArrays`."""
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


cdef inline const Py_ssize_t *_offsets(object array) noexcept:
    return <const Py_ssize_t *>_data(array)


def head_offsets(cnp.ndarray array, tuple heads):
    """Return the offset of each head's matrix in an array, in elements (intp).

    Leading dimensions are aligned with `heads` from the last one on.  A dimension of 1 serves all
    heads.  A dimension that divides the number of heads is shared: consecutive heads use the same
    matrix.
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


cdef inline unsigned _trusted_flags(object A, bint check) except *:
    if check:
        return 0
    # This reads the attribute behind has_sorted_indices, as the property would scan the indices if
    # the answer is not known.
    if getattr(A, "_has_sorted_indices", False) is True:
        return SPK_CHECKED | SPK_SORTED
    return SPK_CHECKED


def trusted_flags(A, check):
    """Return the flags for `A` if the caller guarantees that it is valid (check=False), else 0."""
    return _trusted_flags(A, check)


cdef inline bint _plain(object array, int ndim) noexcept:
    """Return whether an object is an aligned, contiguous, native ndarray of `ndim` dimensions."""
    return (cnp.PyArray_CheckExact(array) and cnp.PyArray_NDIM(<cnp.ndarray>array) == ndim
            and cnp.PyArray_ISCARRAY_RO(<cnp.ndarray>array))


cdef tuple _take_sparse(object A, int format, spk_sparse *s, bint any_values, object data=None):
    """Return the three arrays that `s` points into, or None if `A` is not ordinary.

    Values must be float32 or float64, unless `any_values`.  `data` takes the place of A's values.
    """
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
    MAX_DIAGONALS = 32  # all pairs of diagonals are compared, so their number is limited


def are_plain_diagonals(A):
    """Return whether DIA has plain arrays and few diagonals, all distinct and in the matrix."""
    data, offsets = A.data, A.offsets
    cdef Py_ssize_t rows, cols, i, j, one
    if not _plain(data, 2) or not _plain(offsets, 1):
        return False
    cdef cnp.ndarray each = <cnp.ndarray>offsets
    cdef int typenum = cnp.PyArray_TYPE(each)
    cdef Py_ssize_t count = cnp.PyArray_DIM(each, 0)
    if typenum != cnp.NPY_INT32 and typenum != cnp.NPY_INT64:
        return False
    if count != cnp.PyArray_DIM(<cnp.ndarray>data, 0) or count > MAX_DIAGONALS:
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
    """Return the `SparseArrays` of a 2-D operand, with values of any dtype, or None.

    None is returned if an array is not plain, index arrays have different dtypes, or lengths do not
    fit.
    """
    cdef spk_sparse s
    cdef tuple arrays = _take_sparse(A, format, &s, True)
    if arrays is None:
        return None
    first, indices, values = arrays
    shape, block = (s.rows, s.cols), (s.block_rows, s.block_cols)
    if format == SPK_COO:
        return SparseArrays(format, shape, block, None, indices, first, values)
    return SparseArrays(format, shape, block, first, indices, None, values)


cdef inline void _transpose_sparse(spk_sparse *s) noexcept:
    """Transpose a struct in place; not for BSR, whose blocks must be transposed, too."""
    s.rows, s.cols = s.cols, s.rows
    if s.format == SPK_COO:
        s.row_indices, s.indices = s.indices, s.row_indices
    else:
        s.format = SPK_CSC if s.format == SPK_CSR else SPK_CSR


cdef inline void _transpose_dense(spk_dense *d) noexcept:
    d.rows, d.cols = d.cols, d.rows
    d.row_stride, d.col_stride = d.col_stride, d.row_stride
