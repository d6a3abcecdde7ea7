"""The declarations of the C library's header that the compiled module uses."""
from libc.stdint cimport int8_t, int32_t, int64_t


cdef extern from "spkernels/spkernels.h" nogil:
    ctypedef enum spk_status:
        SPK_OK
        SPK_ERR_ARGUMENT
        SPK_ERR_INDPTR
        SPK_ERR_INDEX
        SPK_ERR_MEMORY
        SPK_ERR_ISA
        SPK_ERR_SPARSE
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
    spk_status spk_quantise(ptrdiff_t rows, ptrdiff_t cols, const float *X, ptrdiff_t ldx,
                            float scale, int zero_point, int is_signed, void *out,
                            ptrdiff_t ldout, int threads)
    ctypedef struct spk_prepared:
        pass
    ctypedef enum spk_storage:
        pass
    spk_status spk_prepare(const spk_sparse *A, ptrdiff_t width, ptrdiff_t block_rows,
                           spk_storage storage, int threads, spk_prepared **prepared)
    spk_status spk_prepare_bitmap(const spk_sparse *A, const float *scales, ptrdiff_t group,
                                  spk_storage storage, int threads, spk_prepared **prepared)
    spk_status spk_prepare_sell(const spk_sparse *A, const float *scales, int threads,
                                spk_prepared **prepared)
    ctypedef enum spk_strategy:
        pass
    double spk_predict(const spk_sparse *A, ptrdiff_t n, spk_strategy strategy)
    ptrdiff_t spk_prepare_width(spk_dtype dtype, ptrdiff_t n)
    spk_status spk_prepared_spmm(const spk_prepared *prepared, const spk_dense *B,
                                 const spk_dense *C, const spk_epilogue *epilogue, int threads)
    ctypedef struct spk_layer:
        const spk_prepared *packed
        const spk_sparse *A
        const void *bias
        spk_activation activation
    spk_status spk_chain(const spk_layer *layers, ptrdiff_t count, const spk_dense *X,
                         const spk_dense *Y, int threads)
    size_t spk_prepared_bytes(const spk_prepared *prepared)
    ctypedef enum spk_layout:
        SPK_ROW_PANELS
        SPK_SELL
        SPK_INT8_GATHER4
        SPK_BITMAP
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
    ctypedef struct spk_column_runs:
        pass
    spk_status spk_column_runs_make(const spk_sparse *P, int threads, spk_column_runs **made)
    spk_status spk_column_runs_from(const spk_runs *runs, int threads, spk_column_runs **made)
    ptrdiff_t spk_column_runs_nnz(const spk_column_runs *column_runs)
    size_t spk_column_runs_bytes(const spk_column_runs *column_runs)
    void spk_column_runs_free(spk_column_runs *column_runs)
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
    spk_status spk_attend(const spk_column_runs *mask, const spk_attention *attention, int threads)
    spk_status spk_column_runs_sddmm(const spk_column_runs *column_runs, const spk_sparse *P,
                                     const spk_dense *X, const spk_dense *Y, void *values,
                                     const spk_sampling *sampling, int threads)
    ptrdiff_t spk_column_runs_tiled(const spk_column_runs *column_runs, ptrdiff_t k)
    spk_status spk_softmax(const spk_sparse *P, void *values, double scale, int threads)
    spk_status spk_spmm_kernel_name(const spk_sparse *A, const spk_dense *B, const spk_dense *C,
                                    int threads, char *name, size_t size)
    int spk_get_num_threads()
    void spk_set_num_threads(int threads)
    void spk_limit_threads(int limit)
    ctypedef struct spk_team:
        void (*parallel)(void (*fn)(void *) noexcept, void *data, unsigned threads,
                         unsigned flags) noexcept
        int (*thread_num)() noexcept
        int (*in_parallel)() noexcept
        int threads
    spk_status spk_use_team(const spk_team *team)
    const char *spk_isa()
    const char *const *spk_isa_list()
    const char *spk_openmp()
    size_t spk_contended_regions()
    const char *spk_status_string(spk_status status)
    int spk_abi_version()
    size_t spk_workspace_limit()
    size_t spk_shared_limit(ptrdiff_t rows)
    void *spk_result_new(size_t bytes)
    void *spk_result_resize(void *result, size_t bytes)
    void spk_result_free(void *result)
    void spk_keep_results(size_t bytes, int huge_pages)
    size_t spk_kept_results()
    size_t spk_release_memory()
    ctypedef enum spk_roofline:
        SPK_ROOFLINE_FMA
        SPK_ROOFLINE_LOAD
    spk_status spk_measure_roofline(spk_roofline what, spk_dtype dtype, size_t bytes, int threads,
                                    double *rate)
