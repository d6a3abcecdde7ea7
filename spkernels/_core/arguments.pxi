# The arguments of the fast entries.
#
# Each `_take_*` fills a struct from an argument, and returns whether the argument is ordinary.
# These functions neither convert arguments nor raise errors.  For an argument that is not ordinary,
# the entry returns None, and Python checks all arguments again.  So a doubt takes time, but never
# changes a result.


cdef inline bint _take_dense(object array, spk_dense *d) noexcept:
    """Take a behaved 1-D or 2-D ndarray of floats whose strides are whole elements."""
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


cdef inline bint _has_plain_rows(const spk_dense *d) noexcept:
    return d.cols == 1 or d.col_stride == 1


cdef inline bint _take_number(object value, double *number) except -1:
    """Take a Python float, or an int that fits in 64 bits."""
    cdef int overflow = 0
    if type(value) is float:
        number[0] = <double>value
        return True
    if type(value) is int:
        number[0] = <double>PyLong_AsLongLongAndOverflow(value, &overflow)
        return overflow == 0
    return False


cdef enum:
    MAX_WORKERS = 1 << 16  # smaller numbers are valid on every machine


cdef inline int _take_workers(object workers) except? -2:
    """Return the number of threads, 0 for the default, or -1 for an error."""
    if workers is None:
        return 0
    if type(workers) is int and 0 < workers < MAX_WORKERS:
        return workers
    try:
        return _resolve_workers(workers)
    except Exception:
        return -1


cdef struct span:
    size_t low, high


cdef inline span _span(cnp.ndarray array) noexcept:
    """Return the addresses between which an array lies, as numpy.may_share_memory compares them."""
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
    """Take a contiguous vector of the result's dtype, with an element per row or per column."""
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
    """Return 1 if a new result is column-major, 0 if it is row-major, and -1 for an error."""
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
    MAX_SUMS = 1 << 23  # bytes of two arrays of partial sums (src/plan/partial_sums.c)
    MAX_PARTIAL = 1 << 24  # bytes of these and of a copy of some columns
    MAX_VECTOR = 64  # bytes of the widest vector


cdef inline bint _sums_fit(ptrdiff_t rows, ptrdiff_t cols) noexcept:
    """Return whether partial sums of `rows` rows and a copy of `cols` rows fit the workspace."""
    cdef double sums = 2.0 * MAX_VECTOR * <double>rows
    return sums <= MAX_SUMS and sums + MAX_VECTOR * <double>cols <= MAX_PARTIAL


cdef inline bint _walks_often(ptrdiff_t rows, ptrdiff_t cols, ptrdiff_t itemsize) noexcept:
    return (cols > 1 and <double>rows * min(cols, 64) * itemsize > 16 << 20
            and not _sums_fit(rows, 0))


def walks_often(rows, cols, itemsize):
    """Return whether CSC or unsorted COO should be converted to CSR before a product with beta.

    Without a conversion, sums are added in a stage of 1 MiB, which holds few rows of a tall result,
    and all entries are read once for each stage (200,000 rows of 5 entries, 64 columns, Zen 4: 396
    ms).
    """
    return _walks_often(rows, cols, itemsize)


cdef inline bint _takes_strides(ptrdiff_t rows, ptrdiff_t cols, ptrdiff_t nnz,
                                ptrdiff_t n) noexcept:
    # A small product takes less time than a conversion, which takes 40 us.
    return <double>nnz * n < 60000 or (nnz >= rows and _sums_fit(rows, cols))


def takes_strides(rows, cols, nnz, n):
    """Return whether COO needs no conversion although dense operands are not row-major.

    This holds if the product is small, or if the workspace holds the sums of its rows and a copy of
    some columns of the dense operand.
    """
    return _takes_strides(rows, cols, nnz, n)
