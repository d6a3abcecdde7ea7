# Arrays for results.  The data of large ones comes from the C library, which keeps the memory for
# later results, by a memory handler of NumPy: such arrays own their data, as all others do.

cdef extern from "numpy/arrayobject.h":
    PyObject *PyDataMem_DefaultHandler

# Smaller blocks are kept by the heap: 32 MiB is the most that glibc's threshold for blocks that are
# mapped grows to.
cdef size_t LARGE = 1 << 25

cdef cnp.PyDataMem_Handler _kept_memory
cdef bint _keeps_results = False


cdef void *_take_result(void *_, size_t size) noexcept:
    return spk_result_new(size)


cdef void *_take_zeros(void *_, size_t count, size_t size) noexcept:
    # NumPy has checked the product.
    cdef void *result = spk_result_new(count * size)
    if result != NULL:
        memset(result, 0, count * size)
    return result


cdef void *_resize_result(void *_, void *result, size_t size) noexcept:
    return spk_result_resize(result, size)


cdef void _give_result(void *_, void *result, size_t size) noexcept:
    spk_result_free(result)


strcpy(_kept_memory.name, "spkernels")
_kept_memory.version = 1
_kept_memory.allocator.malloc = _take_result
_kept_memory.allocator.calloc = _take_zeros
_kept_memory.allocator.realloc = _resize_result
_kept_memory.allocator.free = _give_result
cdef object _handler = PyCapsule_New(&_kept_memory, "mem_handler", NULL)


def keep_results(size_t limit, bint huge_pages):
    """Keep memory of at most `limit` bytes for results; with 0, results are arrays like others."""
    global _keeps_results
    _keeps_results = limit > 0
    spk_keep_results(limit, huge_pages)


def kept_results():
    """Return how many bytes are kept."""
    return spk_kept_results()


def release_memory():
    """Give the memory that is kept back to the system, and return how many bytes it was."""
    return spk_release_memory()


cdef inline bint _uses_own_memory() except -1:
    """Return whether large results come from the C library."""
    # A program that has chosen a memory handler of its own gets that one's memory.
    if not _keeps_results:
        return False
    cdef object current = cnp.PyDataMem_GetHandler()
    return <PyObject *>current == PyDataMem_DefaultHandler


cdef inline cnp.ndarray _new_result(int ndim, cnp.npy_intp *dims, int typenum, bint column_major):
    """Return a new array of float64, or of a type of four bytes."""
    cdef double size = 8 if typenum == cnp.NPY_DOUBLE else 4
    cdef int axis
    for axis in range(ndim):
        size *= dims[axis]
    if size < LARGE or not _uses_own_memory():
        return cnp.PyArray_EMPTY(ndim, dims, typenum, column_major)
    cdef object before = cnp.PyDataMem_SetHandler(_handler)
    try:
        return cnp.PyArray_EMPTY(ndim, dims, typenum, column_major)
    finally:
        cnp.PyDataMem_SetHandler(before)


def empty(shape, dtype, order="C"):
    """Return a new array of numbers, as `numpy.empty` does."""
    if prod(shape) * dtype.itemsize < LARGE or not _uses_own_memory():
        return numpy_empty(shape, dtype, order)
    cdef object before = cnp.PyDataMem_SetHandler(_handler)
    try:
        return numpy_empty(shape, dtype, order)
    finally:
        cnp.PyDataMem_SetHandler(before)
