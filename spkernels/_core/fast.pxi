# The fast entries: they multiply for ordinary calls, whose overhead is below a microsecond, and
# return None for all other calls.


def spmm_int8_fast(PackedInt8 A, cnp.ndarray B, bint by_rows=False):
    """Return the sums ``A @ B`` or (`by_rows`) ``B @ A.T`` as int32, or None.

    None is returned if the operands need checks or conversions.  The default threads are used.
    """
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
    cdef cnp.ndarray result = _new_result(ndim, shape, cnp.NPY_INT32, 0), C = result
    if by_rows:
        B, C = cnp.PyArray_Transpose(B, NULL), cnp.PyArray_Transpose(C, NULL)
    memset(&how, 0, sizeof(how))  # plain int32 sums, without zero points
    return result if _multiply_int8(A, B, C, &how, 0) == SPK_OK else None


cdef dict _promoted = {}


cdef int _promote(int a, int b) except -1:
    """Return the number of the type to which NumPy promotes two types."""
    key = (a, b)
    found = _promoted.get(key)
    if found is None:
        found = promote_types(cnp.PyArray_DescrFromType(a), cnp.PyArray_DescrFromType(b)).num
        _promoted[key] = found
    return found


cdef inline bint _is_real(object array) noexcept:
    """Return whether an object is an ndarray of booleans, integers, or floats up to float64."""
    if not cnp.PyArray_CheckExact(array):
        return False
    cdef int typenum = cnp.PyArray_TYPE(<cnp.ndarray>array)
    return typenum <= cnp.NPY_DOUBLE or typenum == NPY_HALF


cdef object _spmm_mixed(object sparse, object dense, bint dense_first, object out, object alpha,
                        object beta, object bias, object activation, object order, object workers,
                        object check):
    """Return `spmm_fast` after both operands are converted to their promoted type, or None.

    None is returned if the kernels do not have that type, or if the types are equal, so that
    another argument is not ordinary.
    """
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
    # The converted copy is row-major, whereas "K" means the order of the caller's operand.
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
    """Return the result of `spmm` for an ordinary call, or None for any other call.

    An ordinary call has these arguments.  The sparse operand is Packed, or of scipy's own classes
    of CSR, CSC, COO or BSR (only on the left) with native arrays.  The dense operand is an ndarray.
    NumPy promotes both to float32 or float64.  `out` does not overlap them, `bias` needs neither
    broadcasting nor conversion, and numbers are Python's.

    `A` may be a dict of operands by the number of columns of `B`.  `data` takes the place of the
    sparse operand's values.

    This function is compiled so that a call takes about a microsecond, and each option a small part
    of one.
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
        if data is not None:  # the operands have been converted before
            return None
        return _spmm_mixed(sparse, dense, dense_first, out, alpha, beta, bias, activation, order,
                           workers, check)
    cdef int ndim = cnp.PyArray_NDIM(<cnp.ndarray>dense)
    if dense_first:
        # As in `spmm`, D @ S = (S^T D^T)^T.
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
    # This is the rule of `spmm` for unsorted entries; the check of the result's rows follows below.
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
        result = _new_result(ndim, dims, cnp.PyArray_TYPE(<cnp.ndarray>dense), column_major)
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
    # A failure, for example of a corrupted operand, has written nothing: `spmm` raises the error.
    return result if status == SPK_OK else None


def chain_fast(tuple operands, tuple biases, tuple activations, dense, out=None, workers=None):
    """Return what a chain of layers makes of the rows of `dense`, or None for any other call.

    Parameters
    ----------
    operands : tuple of dict
        For each layer, operands of `spmm_fast` by the number of columns: Packed, or a canonical CSR
        array.
    biases : tuple of ndarray of shape (m,), or of None
        They are contiguous and have the dtype of their layer.
    activations : tuple of int
    dense : ndarray of shape (k,) or (n, k)
    out : ndarray of shape (m,) or (n, m), optional
        It does not overlap `dense` or a bias.
    workers : int, optional
    """
    cdef Py_ssize_t count = len(operands), i
    cdef spk_dense x, y
    cdef cnp.npy_intp dims[2]
    cdef cnp.ndarray result
    cdef span reach
    if not _take_dense(dense, &x) or cnp.PyArray_SIZE(<cnp.ndarray>dense) == 0:
        return None
    cdef int threads = _take_workers(workers), ndim = cnp.PyArray_NDIM(<cnp.ndarray>dense)
    if threads < 0:
        return None
    if ndim == 2:
        _transpose_dense(&x)
    cdef list kept = []
    cdef tuple arrays
    cdef spk_layer *layers = <spk_layer *>PyMem_Malloc(count * sizeof(spk_layer))
    cdef spk_sparse *sparse = <spk_sparse *>PyMem_Malloc(count * sizeof(spk_sparse))
    cdef Py_ssize_t rows = 0
    cdef spk_status status
    try:
        if layers == NULL or sparse == NULL:
            raise MemoryError
        for i in range(count):
            operand = (<dict>operands[i]).get(x.cols)
            layers[i].packed = NULL
            layers[i].A = &sparse[i]
            if type(operand) is Packed:
                layers[i].packed = (<Packed>operand).handle
                rows = (<Packed>operand).like.rows
            else:
                format = _formats.get(type(operand))
                arrays = None
                if format is not None:
                    arrays = _take_sparse(operand, format, &sparse[i], False)
                if arrays is None:
                    return None
                sparse[i].flags = _trusted_flags(operand, False)
                kept.append(arrays)
                rows = sparse[i].rows
            kept.append(operand)
            layers[i].bias = _data(biases[i])
            layers[i].activation = <spk_activation><int>activations[i]
        dims[0], dims[1] = (rows if ndim == 1 else x.cols), rows
        if out is None:
            result = _new_result(ndim, dims, cnp.PyArray_TYPE(<cnp.ndarray>dense), 0)
            _fill_dense(&y, result)
        else:
            if not _take_dense(out, &y):
                return None
            result = <cnp.ndarray>out
            if cnp.PyArray_NDIM(result) != ndim or not cnp.PyArray_ISWRITEABLE(result):
                return None
            reach = _span(result)
            if _touches(reach, dense) or any([_touches(reach, bias) for bias in biases]):
                return None
        if ndim == 2:
            _transpose_dense(&y)
        with nogil:
            status = spk_chain(layers, count, &x, &y, -threads)
        return result if status == SPK_OK else None
    finally:
        PyMem_Free(layers)
        PyMem_Free(sparse)


def spmspv_fast(A, x, out=None, workers=None, check=True):
    """Return the result of `spmspv` for an ordinary call, or None for any other call.

    An ordinary call has CSC and a dense vector, with arguments as in `spmm_fast`.
    """
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
        result = _new_result(1, &rows, cnp.PyArray_TYPE(<cnp.ndarray>x), 0)
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
    """Return whether two plain vectors have the same bytes."""
    cdef cnp.ndarray x = <cnp.ndarray>a, y = <cnp.ndarray>b
    if x is y:
        return True
    if cnp.PyArray_TYPE(x) != cnp.PyArray_TYPE(y) or cnp.PyArray_SIZE(x) != cnp.PyArray_SIZE(y):
        return False
    return memcmp(cnp.PyArray_DATA(x), cnp.PyArray_DATA(y), <size_t>cnp.PyArray_NBYTES(x)) == 0


def sddmm_fast(P, X, Y, out=None, alpha=1.0, beta=0.0, scale=False, workers=None, check=True,
               ColumnRuns column_runs=None):
    """Return the values of `sddmm` for an ordinary call, or None for any other call.

    An ordinary call has arguments as in `spmm_fast`.  `out` has P's structure, and may be P itself.
    `column_runs` are those of P, or None if they are not known.
    """
    cdef spk_sparse p, o
    cdef spk_dense x, y
    cdef spk_sampling s
    cdef spk_status status
    cdef int threads
    cdef span reach
    cdef void *into
    cdef const spk_column_runs *known = NULL if column_runs is None else column_runs.handle
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
    # Values after the last index would not be written.
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
        values = _new_result(cnp.PyArray_NDIM(held), cnp.PyArray_DIMS(held),
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
        # `out` may be `P` itself, but must not overlap its arrays at an offset.
        if _touches(reach, arrays[0]) or _touches(reach, arrays[1]):
            return None
        if values is not held and _touches(reach, held):
            return None
    into = cnp.PyArray_DATA(values)
    with nogil:
        if known != NULL:
            status = spk_column_runs_sddmm(known, &p, &x, &y, into, &s, -threads)
        else:
            status = spk_sddmm(&p, &x, &y, into, &s, -threads)
    return values if status == SPK_OK else None
