/* spkernels: the public C interface.
 *
 * Plain C11, no Python, no OpenMP type.  Every function returns a status, never aborts and never
 * prints.  Sizes and strides count elements, not bytes, and are ptrdiff_t, so that products of two
 * of them above 2**31 are right.  No argument is kept after a call returns.
 *
 * Operands must not change while a call runs.  Index arrays are checked once, and then trusted: one
 * that another thread writes to between check and product may be read or written through outside
 * of the operands.  What was packed or made of a matrix (spk_prepared, spk_int8, spk_column_runs)
 * is the library's own, and spk_column_runs_make and spk_column_runs_from notice such changes:
 * what they make lies inside its shape, whoever writes meanwhile.
 */
#ifndef SPKERNELS_SPKERNELS_H
#define SPKERNELS_SPKERNELS_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SPK_ABI_VERSION 1

typedef enum spk_status {
  SPK_OK = 0,
  SPK_ERR_ARGUMENT = 1, /* a null pointer, a negative size, an unknown enum value; sizes and strides
                           of arrays that no address space holds */
  SPK_ERR_SHAPE = 2,    /* the shapes of the operands do not fit together */
  SPK_ERR_DTYPE = 3,    /* the operands differ in their dtype */
  SPK_ERR_INDPTR = 4,   /* offsets do not start at 0, decrease, or pass nnz */
  SPK_ERR_INDEX = 5,    /* an index is negative or not below the dimension */
  SPK_ERR_MEMORY = 6,   /* no memory for the workspace; the output is untouched */
  SPK_ERR_ISA = 7,      /* SPKERNELS_ISA names an unknown or unsupported instruction set */
  SPK_ERR_SPARSE = 8    /* too few entries for its shape to be packed */
} spk_status;

typedef enum spk_dtype { SPK_F32 = 0, SPK_F64 = 1 } spk_dtype;
typedef enum spk_itype { SPK_I32 = 0, SPK_I64 = 1 } spk_itype;
typedef enum spk_format { SPK_CSR = 0, SPK_CSC = 1, SPK_COO = 2, SPK_BSR = 3 } spk_format;

typedef enum spk_activation {
  SPK_IDENTITY = 0,
  SPK_RELU = 1,
  SPK_GELU = 2, /* x * Phi(x), the exact form with erf */
  SPK_SILU = 3,
  SPK_TANH = 4,
  SPK_SIGMOID = 5,
  SPK_GELU_TANH = 6,    /* x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x^3))) */
  SPK_LEAKY_RELU = 7,   /* x where x >= 0, else 0.01 * x */
  SPK_ELU = 8,          /* x where x >= 0, else exp(x) - 1 */
  SPK_HARDSWISH = 9,    /* x * hardsigmoid(x) */
  SPK_HARDSIGMOID = 10, /* min(6, max(0, x + 3)) / 6 */
  SPK_RELU6 = 11        /* min(6, max(0, x)) */
} spk_activation;

/* What is known of a sparse operand; spk_check finds it. */
#define SPK_SORTED                                                                      \
  1u                   /* CSR, CSC, BSR: indices do not decrease inside a row (column); \
                          COO: nor do row indices */
#define SPK_CHECKED 2u /* offsets and indices were checked: the verbs do not check again */

/* A sparse matrix that belongs to the caller.
 *
 *   CSR  offsets[rows + 1], indices[nnz] are columns
 *   CSC  offsets[cols + 1], indices[nnz] are rows
 *   COO  offsets is NULL, row_indices[nnz], indices[nnz] are columns
 *   BSR  offsets[rows / block_rows + 1], indices[nnz] are block columns, nnz counts blocks,
 *        values holds nnz blocks of block_rows x block_cols, each row-major
 */
typedef struct spk_sparse {
  spk_format format;
  spk_dtype dtype;
  spk_itype itype;
  unsigned flags;
  ptrdiff_t rows, cols, nnz;
  ptrdiff_t block_rows, block_cols; /* 1, 1 but for BSR */
  const void *offsets;
  const void *indices;
  const void *row_indices;
  const void *values;
} spk_sparse;

/* A dense matrix that belongs to the caller: element (i, j) is at i*row_stride + j*col_stride. */
typedef struct spk_dense {
  spk_dtype dtype;
  ptrdiff_t rows, cols;
  ptrdiff_t row_stride, col_stride;
  void *data;
} spk_dense;

/* C = activation(alpha * A @ B + beta * C + bias_row[:, None] + bias_col[None, :]), in this order:
 * sums are finished, then multiplied by alpha; beta * C is added, bias_row, bias_col.  Factors,
 * sums and each step are rounded to the dtype: a sum that overflows stays infinite, and one that
 * underflows stays 0 or subnormal, whatever alpha is.  This holds for all formats and layouts.
 * Activations are right to 2 units in the last place of the result.
 * beta == 0 never reads C.  A null bias is no bias.  Both have the dtype of the operands.
 * A null epilogue stands for alpha = 1 and nothing else: C = A @ B. */
typedef struct spk_epilogue {
  double alpha, beta;
  const void *bias_row;
  const void *bias_col;
  spk_activation activation;
} spk_epilogue;

/* S.values = alpha * (X @ Y at the stored positions of P) * (scale ? P.values : 1)
 *            + beta * P.values, from left to right, each step rounded to the dtype.  P.values is
 * not read when beta == 0 and scale == 0. A null sampling stands for alpha = 1 and nothing else:
 * S.values = X @ Y at those positions. */
typedef struct spk_sampling {
  double alpha, beta;
  int scale;
} spk_sampling;

/* Check offsets and indices of A against its shape before anything is read through them; on
 * success set SPK_CHECKED and, if it holds, SPK_SORTED in A->flags.  threads: as for spk_spmm. */
spk_status spk_check(spk_sparse *A, int threads);

/* The transpose of A, in BSR, whose blocks are transposed too: A->cols / A->block_cols + 1 offsets,
 * A->nnz indices (in order in each row) and blocks. */
spk_status spk_transpose_blocks(const spk_sparse *A, void *offsets, void *indices, void *values);

/* C (m x n) from A (m x k, sparse) and B (k x n, dense), which must not overlap C.
 * threads > 0: so many; threads < 0: at most -threads, fewer where the work is small; threads == 0:
 * the same for the default, spk_get_num_threads().  With one, no thread is started.  Where the
 * system refuses to start one, those that there are do the work, with the same bits. */
spk_status spk_spmm(const spk_sparse *A, const spk_dense *B, const spk_dense *C,
                    const spk_epilogue *epilogue, int threads);

/* y (m, dense) = A (m x k, in CSC) times a sparse vector: `count` values x, of A's dtype, at the
 * columns ids, of A's index type, in any order; repeated ones add up.  Only these columns are read
 * or checked.  y must not overlap the operands.  threads: as for spk_spmm. */
spk_status spk_spmspv(const spk_sparse *A, const void *ids, const void *x, ptrdiff_t count, void *y,
                      int threads);
/* The same with a dense vector, k elements that lie `stride` apart, whose zeros are skipped. */
spk_status spk_spmspv_dense(const spk_sparse *A, const void *x, ptrdiff_t stride, void *y,
                            int threads);

/* C (m x n, dense, ldc elements from row to row) = A (m x k) times B (k x n), both in CSR, of one
 * dtype and one index type.  C must not overlap the operands.  threads: as for spk_spmm. */
spk_status spk_spmspm(const spk_sparse *A, const spk_sparse *B, void *C, ptrdiff_t ldc,
                      int threads);

/* The k largest of each row of X, rows x cols with ldx elements from row to row: out, of the same
 * shape, is X there and 0 elsewhere; winners, rows x min(k, cols) and dense, is where they are, in
 * order.  Either may be NULL, and out may be X itself.  By value: NaN is larger than any number, -0
 * equals 0, and of equals the first win.  threads: as for spk_spmm. */
spk_status spk_kwinners(spk_dtype dtype, ptrdiff_t rows, ptrdiff_t cols, const void *X,
                        ptrdiff_t ldx, ptrdiff_t k, void *out, ptrdiff_t ldout, int32_t *winners,
                        int threads);

/* A sparse matrix that was packed once, for many products.  It does not refer to the arrays that it
 * was made from, and any number of threads may use it at once. */
typedef struct spk_prepared spk_prepared;

/* How it was packed: in row panels by blocks of columns, or, for products with a vector, in
 * slices of as many rows as a vector has lanes; int8 also in row panels whose entries go by four.
 */
typedef enum spk_layout { SPK_ROW_PANELS = 0, SPK_SELL = 1, SPK_INT8_GATHER4 = 2 } spk_layout;

/* How its values are stored: as they are, or float32 ones rounded to 16 bits, float16 (where what
 * exceeds 65504 becomes infinite) or bfloat16, which are float32 again before they are used. */
typedef enum spk_storage {
  SPK_STORAGE_SAME = 0,
  SPK_STORAGE_F16 = 1,
  SPK_STORAGE_BF16 = 2
} spk_storage;

/* Pack A, which is in CSR, for products with `width` columns (0: about a hundred); it serves any
 * other number of columns too, less well.  `block_rows` of B are used together (0: as many as suit
 * this machine).  A width of 1 gives slices, where rows are sorted and the instruction set allows.
 * `threads` as for spk_spmm: those that pack, and that A is cut for. */
spk_status spk_prepare(const spk_sparse *A, ptrdiff_t width, ptrdiff_t block_rows,
                       spk_storage storage, int threads, spk_prepared **prepared);
/* A width that packs as n does: the same for all numbers of columns that share what is packed. */
ptrdiff_t spk_prepare_width(spk_dtype dtype, ptrdiff_t n);
/* What multiplying A, sorted, with n columns takes one core, in cycles: roughly, to choose between
 * spk_spmm, packing A (infinite where A is too sparse for that), or writing its zeros out for a
 * BLAS.  Of A, shape, dtype and nnz are read; 0 where these or n are no sizes. */
typedef enum spk_strategy {
  SPK_STRATEGY_ROWS = 0,
  SPK_STRATEGY_PACKED = 1,
  SPK_STRATEGY_DENSE = 2
} spk_strategy;
double spk_predict(const spk_sparse *A, ptrdiff_t n, spk_strategy strategy);
/* As spk_spmm.  Where the rows of A are sorted and it lies in row panels, an element of C is a sum
 * in the order of its row's entries, whatever the blocks. */
spk_status spk_prepared_spmm(const spk_prepared *prepared, const spk_dense *B, const spk_dense *C,
                             const spk_epilogue *epilogue, int threads);
/* Its layout, the memory that it takes, in bytes, and the rows of B that are used together. */
spk_layout spk_prepared_layout(const spk_prepared *prepared);
size_t spk_prepared_bytes(const spk_prepared *prepared);
ptrdiff_t spk_prepared_block_rows(const spk_prepared *prepared);
/* The entries whose rows have the same columns as their neighbours, as in V x 1 vectors and blocks:
 * such rows, 2 or more in row panels, as many as a vector, half or a quarter of it has lanes in
 * slices, share what is loaded of B. */
ptrdiff_t spk_prepared_shared(const spk_prepared *prepared);
/* The matrix that was packed, in CSR, with values as they are stored: rows + 1 offsets, as many
 * indices and values as it has entries, all checked to fit `itype`.  In row panels, rows that were
 * sorted are again; in slices they are in no order. */
spk_status spk_prepared_csr(const spk_prepared *prepared, spk_itype itype, void *offsets,
                            void *indices, void *values);
/* Gives it back; NULL is allowed. */
void spk_prepared_free(spk_prepared *prepared);

/* A matrix of 8-bit whole numbers, packed once for products with matrices of bytes.  It does not
 * refer to the arrays that it was made from, and any number of threads may use it at once. */
typedef struct spk_int8 spk_int8;

/* A dense matrix of bytes: element (i, j) is at i*row_stride + j*col_stride, int8_t if `is_signed`,
 * else uint8_t. */
typedef struct spk_bytes {
  int is_signed;
  ptrdiff_t rows, cols, row_stride, col_stride;
  const void *data;
} spk_bytes;

/* What becomes of the sums S = A @ (B - zero_point), which are exact:
 *
 *   I32     S, as int32_t
 *   F32     activation((scale[:, None] * column_scale) * S + bias[:, None]), rounded after each
 *           operation, as float
 *   S8, U8  that divided by out_scale, rounded (of two nearest ones, to the even), plus
 *           out_zero_point, and where that exceeds the type, its nearest value; NaN: its least */
typedef enum spk_result {
  SPK_RESULT_I32 = 0,
  SPK_RESULT_F32 = 1,
  SPK_RESULT_S8 = 2,
  SPK_RESULT_U8 = 3
} spk_result;

typedef struct spk_requantise {
  spk_result result;
  int zero_point;                    /* a value that B's type has */
  const int32_t *column_zero_points; /* such values, one per column of B, instead; NULL: none */
  const float
      *scale; /* one per row of A; NULL: 1.  For I32 neither this nor what follows is read */
  const float *column_scale; /* one per column of B; NULL: 1 */
  const float *bias;         /* one per row of A; NULL: none */
  spk_activation activation;
  float out_scale;
  int out_zero_point; /* a value that the result's type has */
} spk_requantise;

/* Pack A, in CSR and with sorted rows, whose entry p has the value values[p], for products with
 * `width` columns (0: about a hundred); A's own values are not read.  SPK_ERR_ARGUMENT too where
 * the magnitudes of a row add up to more than 8421504, as its sums might then exceed 32 bits.
 * threads: as for spk_spmm. */
spk_status spk_int8_prepare(const spk_sparse *A, const int8_t *values, ptrdiff_t width, int threads,
                            spk_int8 **prepared);
/* C, of the shape of A @ B and of the result's type, must not overlap B.  What was packed for few
 * columns copies these, and for results of 8 bits or without a stride of 1 their sums: up to 8 MiB,
 * or one column. */
spk_status spk_int8_spmm(const spk_int8 *A, const spk_bytes *B, void *C, ptrdiff_t row_stride,
                         ptrdiff_t col_stride, const spk_requantise *how, int threads);
/* A width that packs as n does. */
ptrdiff_t spk_int8_width(ptrdiff_t n);
/* Its layout, the memory that it takes, in bytes, and the share, from 0 to 1, of what it stores
 * that rows have in common columns, so that they share what is loaded of B. */
spk_layout spk_int8_layout(const spk_int8 *A);
size_t spk_int8_bytes(const spk_int8 *A);
double spk_int8_share(const spk_int8 *A);
/* Gives it back; NULL is allowed. */
void spk_int8_free(spk_int8 *A);

/* values (one per stored entry of P, in P's order) from X (m x k), Y (k x n).  They may be P's own,
 * but must not overlap X or Y, nor P's in part.  P.values may be NULL where it is not read.
 * threads: as for spk_spmm. */
spk_status spk_sddmm(const spk_sparse *P, const spk_dense *X, const spk_dense *Y, void *values,
                     const spk_sampling *sampling, int threads);

/* Rows of runs of consecutive columns: row i has columns starts[r] .. stops[r] - 1 for r in
 * [offsets[i], offsets[i + 1]); runs ascend and do not overlap. */
typedef struct spk_runs {
  ptrdiff_t rows, cols;
  const int64_t *offsets;
  const int32_t *starts, *stops;
} spk_runs;

/* Which entries of a matrix are wanted, looked at once for many calls; it keeps nothing of what it
 * was made from, and any number of threads may use it at once. */
typedef struct spk_column_runs spk_column_runs;

/* Of P's stored entries; P is in CSR, its rows are sorted, its values are not read. */
spk_status spk_column_runs_make(const spk_sparse *P, int threads, spk_column_runs **made);
spk_status spk_column_runs_from(const spk_runs *runs, int threads, spk_column_runs **made);
ptrdiff_t spk_column_runs_nnz(const spk_column_runs *column_runs);
size_t spk_column_runs_bytes(const spk_column_runs *column_runs);
/* Gives it back; NULL is allowed. */
void spk_column_runs_free(spk_column_runs *column_runs);

/* out[h] = softmax(scale * Q[h] K[h]^T + bias[h], over the entries of the mask) V[h] for all heads;
 * rows without any entry are 0.  Strides and offsets count elements; elements of a row of Q, K, V
 * and out lie side by side.  Matrices of head h begin at the pointer plus the head's offset. */
typedef struct spk_attention {
  spk_dtype dtype;
  ptrdiff_t heads;
  ptrdiff_t d, dv; /* elements of a row of Q and K, of V and out */
  double scale;
  const void *Q, *K, *V;
  void *out;
  ptrdiff_t q_stride, k_stride, v_stride, out_stride; /* between rows */
  const ptrdiff_t *q_offsets, *k_offsets, *v_offsets, *out_offsets;
  const void *bias; /* or NULL */
  ptrdiff_t bias_row_stride, bias_col_stride;
  const ptrdiff_t *bias_offsets;
  void *lse; /* log of the sum of exponentials of each row of each head, side by side; or NULL */
} spk_attention;

/* out must not overlap Q, K, V or bias.  Scores are never stored: a thread takes some 100 KiB, and
 * 16 rows of Q and of out.  threads: as for spk_spmm. */
spk_status spk_attend(const spk_column_runs *mask, const spk_attention *attention, int threads);

/* values = softmax of scale * P's values in each row of P, which is in CSR; duplicates count each.
 * values may be P's own.  A row whose values are all -infinity becomes 0. */
spk_status spk_softmax(const spk_sparse *P, void *values, double scale, int threads);

/* As spk_sddmm, with what is known of P, in CSR, sorted and without duplicates: `column_runs` was
 * made of it, and P has not changed since. */
spk_status spk_column_runs_sddmm(const spk_column_runs *column_runs, const spk_sparse *P,
                                 const spk_dense *X, const spk_dense *Y, void *values,
                                 const spk_sampling *sampling, int threads);
/* The entries that it takes by tiles of 16 rows, for rows of k elements; the others go row by row.
 */
ptrdiff_t spk_column_runs_tiled(const spk_column_runs *column_runs, ptrdiff_t k);

/* Threads: the default of a call.  set(0) goes back to the OpenMP setting capped by `limit`
 * (spk_limit_threads; the package passes affinity and cgroup limits through it). */
int spk_get_num_threads(void);
void spk_set_num_threads(int threads);
void spk_limit_threads(int limit);
/* How often, until now, a parallel region of the process had fewer threads because other programs
 * or threads were seen to use the CPUs, or waited for a thread that had lost its CPU to them. */
size_t spk_contended_regions(void);

/* Instruction sets: the one in use, and all that this build and this machine share,
 * from the narrowest to the widest; NULL ends the list. */
spk_status spk_init(void);
const char *spk_isa(void);
const char *const *spk_isa_list(void);

/* What the library was built with. */
const char *spk_openmp(void); /* the OpenMP runtime's version macro, or NULL for a serial build */
int spk_abi_version(void);
const char *spk_status_string(spk_status status);

/* The bytes of workspace that a call may take per thread. */
size_t spk_workspace_limit(void);
/* The bytes that spk_spmm may take besides, for all threads together: 16 MiB, or 64 bytes for each
 * of the rows of B if that is more.  They hold partial sums of CSC and COO, and columns of a B
 * whose rows are not contiguous.  spk_sddmm takes 16 MiB at most, for a Yt whose rows are not. */
size_t spk_shared_limit(ptrdiff_t rows);

/* What this machine can do at most with the vectors in use, on all threads at once: FMA operations
 * from registers per second (an FMA counts as 2), or bytes loaded per second by threads that each
 * read `bytes` of their own again and again.  Takes some tens of milliseconds. */
typedef enum spk_roofline { SPK_ROOFLINE_FMA = 0, SPK_ROOFLINE_LOAD = 1 } spk_roofline;
spk_status spk_measure_roofline(spk_roofline what, spk_dtype dtype, size_t bytes, int threads,
                                double *rate);

/* Name of the kernel that spk_spmm would run for these operands, for reports; writes at most size
 * bytes with the closing zero. */
spk_status spk_spmm_kernel_name(const spk_sparse *A, const spk_dense *B, const spk_dense *C,
                                int threads, char *name, size_t size);

#ifdef __cplusplus
}
#endif

#endif
