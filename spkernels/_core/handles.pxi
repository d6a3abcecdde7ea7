# The handles of data that the C library has packed, and the functions that make them.


cdef class Packed:
    """A sparse matrix that `pack` has packed, for `spmm` and `spmm_fast`; it never changes."""
    cdef spk_prepared *handle
    cdef spk_sparse like  # the shape and the dtype, without arrays

    def __dealloc__(self):
        spk_prepared_free(self.handle)

    @property
    def nbytes(self):
        """The memory in use, in bytes."""
        return spk_prepared_bytes(self.handle)

    @property
    def layout(self):
        """The name of the layout."""
        cdef spk_layout layout = spk_prepared_layout(self.handle)
        return "bitmap" if layout == SPK_BITMAP else "sell" if layout == SPK_SELL else "row_panels"

    @property
    def block_rows(self):
        """The number of rows of the dense operand in a block."""
        return spk_prepared_block_rows(self.handle)

    @property
    def shared(self):
        """The number of shared entries, whose rows share the loads of the dense operand."""
        return spk_prepared_shared(self.handle)

    def unpack(self, cnp.ndarray offsets, cnp.ndarray indices, cnp.ndarray values):
        """Write the matrix in CSR to arrays of the right sizes; return the status."""
        cdef spk_itype itype = SPK_I32 if cnp.PyArray_ITEMSIZE(offsets) == 4 else SPK_I64
        cdef spk_status status
        cdef void *to_offsets = cnp.PyArray_DATA(offsets)
        cdef void *to_indices = cnp.PyArray_DATA(indices)
        cdef void *to_values = cnp.PyArray_DATA(values)
        with nogil:
            status = spk_prepared_csr(self.handle, itype, to_offsets, to_indices, to_values)
        return <int>status


def pack_width(bint double, Py_ssize_t n):
    """Return the width that stands for all numbers of columns with the same packing as `n`."""
    return spk_prepare_width(SPK_F64 if double else SPK_F32, n)


def pack(A, Py_ssize_t width, Py_ssize_t block_rows, int threads, unsigned flags,
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


def pack_stored(A, cnp.ndarray scales, Py_ssize_t group, int threads, unsigned flags, int storage,
                bint sell=False):
    """Return the status and, on success, A packed as a bitmap, or in SELL slices of int8.

    `scales` is contiguous, of float32 and of shape (rows, groups), or None if values have 16 bits.
    """
    cdef Packed packed = Packed()
    cdef spk_sparse a
    cdef spk_status status
    cdef const float *factors = NULL if scales is None else <const float *>cnp.PyArray_DATA(scales)
    _fill_sparse(&a, A, flags)
    with nogil:
        if sell:
            status = spk_prepare_sell(&a, factors, -threads, &packed.handle)
        else:
            status = spk_prepare_bitmap(&a, factors, group, <spk_storage>storage, -threads,
                                        &packed.handle)
    if status != SPK_OK:
        return <int>status, None
    packed.like.format = SPK_CSR
    packed.like.rows, packed.like.cols, packed.like.dtype = a.rows, a.cols, a.dtype
    return <int>status, packed


cdef class PackedInt8:
    """A matrix of int8 that `pack_int8` has packed, for `spmm_int8`; it never changes."""
    cdef spk_int8 *handle
    cdef Py_ssize_t rows, cols

    def __dealloc__(self):
        spk_int8_free(self.handle)

    @property
    def nbytes(self):
        """The memory in use, in bytes."""
        return spk_int8_bytes(self.handle)

    @property
    def layout(self):
        """The name of the layout."""
        cdef spk_layout layout = spk_int8_layout(self.handle)
        if layout == SPK_SELL:
            return "sell"
        return "row_panels" if layout == SPK_ROW_PANELS else "int8_gather4"

    @property
    def share(self):
        """The share of entries whose rows share the loads of the dense operand."""
        return spk_int8_share(self.handle)


def int8_width(Py_ssize_t n):
    """Return the width that stands for all numbers of columns that `pack_int8` packs as `n`."""
    return spk_int8_width(n)


def pack_int8(A, Py_ssize_t width, int threads, unsigned flags):
    """Return the status and, on success, A packed for `width` columns, whose values are int8."""
    cdef PackedInt8 packed = PackedInt8()
    cdef spk_sparse a
    cdef spk_status status
    _fill_sparse(&a, A, flags)
    a.dtype = SPK_F32  # the library does not read these values
    with nogil:
        status = spk_int8_prepare(&a, <const int8_t *>a.values, width, -threads, &packed.handle)
    packed.rows, packed.cols = a.rows, a.cols
    return <int>status, packed if status == SPK_OK else None


cdef class ColumnRuns:
    """The structure of a matrix as column runs; `column_runs_of` and `column_runs_from` make it."""
    cdef spk_column_runs *handle
    cdef readonly tuple shape

    def __dealloc__(self):
        spk_column_runs_free(self.handle)

    @property
    def nnz(self):
        """The number of entries."""
        return spk_column_runs_nnz(self.handle)

    @property
    def nbytes(self):
        """The memory in use, in bytes."""
        return spk_column_runs_bytes(self.handle)

    def tiled(self, Py_ssize_t k):
        """Return the number of entries that sampled products with k elements compute by tiles."""
        return spk_column_runs_tiled(self.handle, k)


def column_runs_of(P, int threads, unsigned flags):
    """Return the status and, on success, the column runs of a sorted matrix in CSR."""
    cdef ColumnRuns column_runs = ColumnRuns()
    cdef spk_sparse p
    cdef spk_status status
    _fill_sparse(&p, P, flags)
    column_runs.shape = P.shape
    with nogil:
        status = spk_column_runs_make(&p, -threads, &column_runs.handle)
    return <int>status, column_runs if status == SPK_OK else None


def column_runs_from(tuple shape, cnp.ndarray offsets, cnp.ndarray starts, cnp.ndarray stops,
                     int threads):
    """Return the status and, on success, the column runs of three contiguous arrays.

    `offsets` are int64, `starts` and `stops` int32; `masks._runs` describes them.
    """
    cdef ColumnRuns column_runs = ColumnRuns()
    cdef spk_runs runs
    cdef spk_status status
    runs.rows, runs.cols = shape
    runs.offsets = <const int64_t *>cnp.PyArray_DATA(offsets)
    runs.starts = <const int32_t *>cnp.PyArray_DATA(starts)
    runs.stops = <const int32_t *>cnp.PyArray_DATA(stops)
    column_runs.shape = shape
    with nogil:
        status = spk_column_runs_from(&runs, -threads, &column_runs.handle)
    return <int>status, column_runs if status == SPK_OK else None
