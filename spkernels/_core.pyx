# cython: language_level=3, boundscheck=False, wraparound=False, freethreading_compatible=True
"""The compiled module: pointers in, status out.

Arguments are checked by the Python modules around it, but for what `spmm_plain` takes as it comes.
"""
cimport numpy as cnp

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
    spk_status spk_check(spk_sparse *A)
    spk_status spk_spmm(const spk_sparse *A, const spk_dense *B, const spk_dense *C,
                        const spk_epilogue *epilogue, int threads)
    spk_status spk_sddmm(const spk_sparse *P, const spk_dense *X, const spk_dense *Y,
                         void *values, const spk_sampling *sampling, int threads)
    spk_status spk_spmm_kernel_name(const spk_sparse *A, const spk_dense *B, const spk_dense *C,
                                    int threads, char *name, size_t size)
    int spk_get_num_threads()
    void spk_set_num_threads(int threads)
    void spk_limit_threads(int limit)
    const char *spk_isa()
    const char *const *spk_isa_list()
    const char *spk_openmp()
    const char *spk_status_string(spk_status status)
    int spk_abi_version()
    size_t spk_workspace_limit()

CSR = <int>SPK_CSR
CSC = <int>SPK_CSC
COO = <int>SPK_COO
BSR = <int>SPK_BSR
SORTED = SPK_SORTED
CHECKED = SPK_CHECKED

# csr_array, csr_matrix, csc_array, csc_matrix -> format: filled once, at import.
cdef dict _plain_formats = {}


def register_formats(formats):
    """Say which classes `spmm_plain` takes, and their formats."""
    _plain_formats.update(formats)


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


def spmm(tuple A, cnp.ndarray B, cnp.ndarray C, double alpha, double beta, bias_row, bias_col,
         int activation, int threads, unsigned flags):
    """Write the product into C; return the status."""
    cdef spk_sparse a
    cdef spk_dense b, c
    cdef spk_epilogue e
    cdef spk_status status
    _fill_sparse(&a, A, flags)
    _fill_dense(&b, B)
    _fill_dense(&c, C)
    e.alpha = alpha
    e.beta = beta
    e.bias_row = _data(bias_row)
    e.bias_col = _data(bias_col)
    e.activation = <spk_activation>activation
    with nogil:
        status = spk_spmm(&a, &b, &c, &e, threads)
    return <int>status


def sddmm(tuple P, cnp.ndarray X, cnp.ndarray Y, cnp.ndarray values, double alpha, double beta,
          bint scale, int threads, unsigned flags):
    """Write the sampled product into values; return the status."""
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
        status = spk_sddmm(&p, &x, &y, out, &s, threads)
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
    status = spk_spmm_kernel_name(&a, &b, &c, threads, name, sizeof(name))
    return <int>status, name.decode()


def check(tuple A):
    """Return the status and flags of a sparse operand whose indices were scanned."""
    cdef spk_sparse a
    cdef spk_status status
    _fill_sparse(&a, A, 0)
    with nogil:
        status = spk_check(&a)
    return <int>status, a.flags


cdef inline bint _plain_1d(object array) noexcept:
    """An aligned, contiguous, native 1-D ndarray."""
    return (cnp.PyArray_CheckExact(array) and cnp.PyArray_NDIM(<cnp.ndarray>array) == 1
            and cnp.PyArray_ISCARRAY_RO(<cnp.ndarray>array))


def spmm_plain(A, B):
    """A @ B for the plain case, or None where anything about the operands is out of the ordinary.

    The plain case: A in CSR or CSC with native arrays, B an ndarray of the same dtype.  It is here,
    and not in Python, so that a call costs about a microsecond.
    """
    cdef object code = _plain_formats.get(type(A))
    if code is None or not cnp.PyArray_CheckExact(B):
        return None
    cdef cnp.ndarray b = <cnp.ndarray>B
    cdef int ndim = cnp.PyArray_NDIM(b), typenum = cnp.PyArray_TYPE(b)
    cdef Py_ssize_t size = cnp.PyArray_ITEMSIZE(b)
    if ndim < 1 or ndim > 2 or not _is_value_type(typenum) or not cnp.PyArray_ISBEHAVED_RO(b):
        return None
    if cnp.PyArray_STRIDE(b, 0) % size or cnp.PyArray_STRIDE(b, ndim - 1) % size:
        return None
    indptr = A.indptr
    indices = A.indices
    data = A.data
    if not (_plain_1d(indptr) and _plain_1d(indices) and _plain_1d(data)):
        return None
    cdef cnp.ndarray p = <cnp.ndarray>indptr, i = <cnp.ndarray>indices, v = <cnp.ndarray>data
    cdef int itypenum = cnp.PyArray_TYPE(i)
    if cnp.PyArray_TYPE(v) != typenum or cnp.PyArray_TYPE(p) != itypenum:
        return None
    if itypenum != cnp.NPY_INT32 and itypenum != cnp.NPY_INT64:
        return None
    shape = A.shape
    if len(shape) != 2:
        return None
    cdef spk_sparse a
    cdef spk_dense d, c
    cdef cnp.npy_intp dims[2]
    cdef spk_status status
    a.format = <spk_format><int>code
    a.rows, a.cols = shape
    a.dtype = _dtype(v)
    a.itype = _itype(i)
    a.flags = 0
    a.nnz = cnp.PyArray_DIM(i, 0)
    if cnp.PyArray_DIM(v, 0) < a.nnz:
        a.nnz = cnp.PyArray_DIM(v, 0)
    a.block_rows = a.block_cols = 1
    a.offsets = cnp.PyArray_DATA(p)
    a.indices = cnp.PyArray_DATA(i)
    a.row_indices = NULL
    a.values = cnp.PyArray_DATA(v)
    if cnp.PyArray_DIM(p, 0) != (a.rows if a.format == SPK_CSR else a.cols) + 1:
        return None
    _fill_dense(&d, b)
    if d.rows != a.cols:
        return None
    dims[0] = a.rows
    dims[1] = d.cols
    cdef cnp.ndarray out = cnp.PyArray_EMPTY(ndim, dims, typenum, 0)
    _fill_dense(&c, out)
    with nogil:
        status = spk_spmm(&a, &d, &c, NULL, 0)
    return out if status == SPK_OK else None


cdef inline bint _plain_2d(object array, int typenum) noexcept:
    """A behaved 2-D ndarray of this dtype whose strides are whole elements."""
    if not cnp.PyArray_CheckExact(array):
        return False
    cdef cnp.ndarray a = <cnp.ndarray>array
    return (cnp.PyArray_NDIM(a) == 2 and cnp.PyArray_TYPE(a) == typenum
            and cnp.PyArray_ISBEHAVED_RO(a)
            and cnp.PyArray_STRIDE(a, 0) % cnp.PyArray_ITEMSIZE(a) == 0
            and cnp.PyArray_STRIDE(a, 1) % cnp.PyArray_ITEMSIZE(a) == 0)


def sddmm_plain(P, X, Y):
    """The values of (X @ Y) sampled at P for the plain case, or None for any other.

    The plain case is that of `spmm_plain`: P in CSR or CSC with native arrays, X and Y ndarrays of
    the dtype of P.
    """
    cdef object code = _plain_formats.get(type(P))
    if code is None:
        return None
    indptr = P.indptr
    indices = P.indices
    data = P.data
    if not (_plain_1d(indptr) and _plain_1d(indices) and _plain_1d(data)):
        return None
    cdef int typenum = cnp.PyArray_TYPE(<cnp.ndarray>data)
    cdef int itypenum = cnp.PyArray_TYPE(<cnp.ndarray>indices)
    if not _is_value_type(typenum) or cnp.PyArray_TYPE(<cnp.ndarray>indptr) != itypenum:
        return None
    if itypenum != cnp.NPY_INT32 and itypenum != cnp.NPY_INT64:
        return None
    if not _plain_2d(X, typenum) or not _plain_2d(Y, typenum):
        return None
    shape = P.shape
    cdef spk_sparse p
    cdef spk_dense x, y
    cdef spk_status status
    cdef cnp.npy_intp held = cnp.PyArray_DIM(<cnp.ndarray>data, 0)
    if len(shape) != 2 or cnp.PyArray_DIM(<cnp.ndarray>indices, 0) != held:
        return None
    _fill_sparse(&p, (code, shape, (1, 1), indptr, indices, None, data), 0)
    if cnp.PyArray_DIM(<cnp.ndarray>indptr, 0) != (p.rows if p.format == SPK_CSR else p.cols) + 1:
        return None
    _fill_dense(&x, <cnp.ndarray>X)
    _fill_dense(&y, <cnp.ndarray>Y)
    if x.rows != p.rows or y.cols != p.cols or x.cols != y.rows:
        return None
    cdef cnp.ndarray out = cnp.PyArray_EMPTY(1, &held, typenum, 0)
    cdef void *values = cnp.PyArray_DATA(out)
    with nogil:
        status = spk_sddmm(&p, &x, &y, values, NULL, 0)
    return out if status == SPK_OK else None


def get_num_threads():
    """Return the number of threads that a call uses by default, at most."""
    return spk_get_num_threads()


def set_num_threads(int threads):
    """Set it; 0 goes back to the OpenMP setting."""
    spk_set_num_threads(threads)


def limit_threads(int limit):
    """Cap the OpenMP setting; 0 for no cap."""
    spk_limit_threads(limit)


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
