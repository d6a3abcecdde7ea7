/* spkernels: the public C interface.
 *
 * The interface is plain C11 without a type of Python or OpenMP.  Every function that can fail
 * returns an spk_status.  No function aborts or prints.  Sizes and strides count elements, not
 * bytes, and are ptrdiff_t, so that products of two sizes may exceed 2**31.  The library keeps no
 * argument after a call returns.
 *
 * Operands must not change while a call runs.  Index arrays are checked once and then trusted: if
 * another thread writes to an index array between check and product, the product may read or write
 * outside of the operands.  What the library makes of a matrix (spk_prepared, spk_int8,
 * spk_column_runs) is its own copy.  spk_column_runs_make and spk_column_runs_from stay inside the
 * shape of their result even if another thread writes to the arrays meanwhile.
 *
 * Errors that every function with operands may return: SPK_ERR_ARGUMENT, SPK_ERR_SHAPE and
 * SPK_ERR_DTYPE for structs that do not fit, SPK_ERR_INDPTR and SPK_ERR_INDEX for index arrays,
 * SPK_ERR_MEMORY, and SPK_ERR_ISA.  Comments of functions name further reasons. */
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
  SPK_ERR_DTYPE = 3,    /* the dtypes of the operands differ */
  SPK_ERR_INDPTR = 4,   /* offsets do not start at 0, decrease, or pass nnz */
  SPK_ERR_INDEX = 5,    /* an index is negative or not below the dimension */
  SPK_ERR_MEMORY = 6,   /* no memory for the workspace; the output is untouched */
  SPK_ERR_ISA = 7,      /* SPKERNELS_ISA names an unknown or unsupported instruction set */
  SPK_ERR_SPARSE = 8    /* the matrix has too few entries for its shape to be packed */
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

/* Flags of a sparse operand, which spk_check sets.
 *
 * SPK_SORTED: indices do not decrease inside a row (CSR, BSR) or a column (CSC).  In COO, row
 * indices do not decrease either.
 * SPK_CHECKED: offsets and indices have been checked, and no function checks them again. */
#define SPK_SORTED 1u
#define SPK_CHECKED 2u

/* A sparse matrix whose arrays belong to the caller.
 *
 *   CSR  offsets[rows + 1]; indices[nnz] are columns
 *   CSC  offsets[cols + 1]; indices[nnz] are rows
 *   COO  offsets is NULL; row_indices[nnz]; indices[nnz] are columns
 *   BSR  offsets[rows / block_rows + 1]; indices[nnz] are block columns; nnz counts blocks;
 *        values holds nnz blocks of block_rows x block_cols, each row-major
 *
 * offsets, indices and row_indices have the type itype, and values has the type dtype.  nnz is the
 * length of the arrays; offsets may end before it. */
typedef struct spk_sparse {
  spk_format format;
  spk_dtype dtype;
  spk_itype itype;
  unsigned flags;
  ptrdiff_t rows, cols, nnz;
  ptrdiff_t block_rows, block_cols; /* both 1 unless the format is BSR */
  const void *offsets;
  const void *indices;
  const void *row_indices;
  const void *values;
} spk_sparse;

/* A dense matrix whose memory belongs to the caller: element (i, j) lies i*row_stride +
 * j*col_stride elements behind `data`. */
typedef struct spk_dense {
  spk_dtype dtype;
  ptrdiff_t rows, cols;
  ptrdiff_t row_stride, col_stride;
  void *data;
} spk_dense;

/* What follows a finished sum:
 *
 *   C = activation(alpha * A @ B + beta * C + bias_row[:, None] + bias_col[None, :])
 *
 * The operations happen in this order: the finished sum is multiplied by alpha, then beta * C is
 * added, then bias_row, then bias_col.  Factors, sums and the result of each step are rounded to
 * the dtype.  So a sum that overflows stays infinite, and a sum that underflows stays 0 or
 * subnormal, whatever alpha is.  All formats and layouts follow this rule.  Activations are right
 * to 2 units in the last place of the result.
 *
 * If beta == 0, C is not read.  bias_row has one element per row of C and bias_col one per column,
 * both of the dtype of the operands; NULL means no bias.  A null epilogue means alpha = 1 and
 * nothing else: C = A @ B. */
typedef struct spk_epilogue {
  double alpha, beta;
  const void *bias_row;
  const void *bias_col;
  spk_activation activation;
} spk_epilogue;

/* What becomes of the dot products of a sampled product:
 *
 *   values = alpha * (X @ Y at the stored positions of P) * (scale ? P.values : 1)
 *            + beta * P.values
 *
 * The operations happen from left to right, and the result of each is rounded to the dtype.  If
 * beta == 0 and scale == 0, P.values is not read.  A null sampling means alpha = 1 and nothing
 * else: values = X @ Y at the stored positions of P. */
typedef struct spk_sampling {
  double alpha, beta;
  int scale;
} spk_sampling;

/* Check offsets and indices of A against its shape before anything is read through them.  On
 * success, set SPK_CHECKED in A->flags, and SPK_SORTED if indices are sorted.  Time grows with the
 * length of the index arrays.  threads: as for spk_spmm. */
spk_status spk_check(spk_sparse *A, int threads);

/* The transpose of A, in BSR, whose blocks are transposed too.  The caller allocates A->cols /
 * A->block_cols + 1 offsets, A->nnz indices, and values for A->nnz blocks.  Indices of the result
 * ascend in each row.  A must be in BSR, else SPK_ERR_ARGUMENT. */
spk_status spk_transpose_blocks(const spk_sparse *A, void *offsets, void *indices, void *values);

/* C = epilogue(A @ B): C is m x n and dense, A is m x k and sparse, B is k x n and dense.  All have
 * one dtype.  C must not overlap B or the arrays of A.
 *
 *   threads > 0:   exactly this number of threads
 *   threads < 0:   at most -threads; fewer if the work is small
 *   threads == 0:  at most spk_get_num_threads(); fewer if the work is small
 *
 * A call with one thread starts no thread.  If the system refuses to start a thread, the threads
 * that exist do the work.  The result has the same bits for any number of threads.  Positions of A
 * without an entry read nothing: NaN of B does not spread through them.  Time grows with A->nnz *
 * n.
 */
spk_status spk_spmm(const spk_sparse *A, const spk_dense *B, const spk_dense *C,
                    const spk_epilogue *epilogue, int threads);

/* y = A @ x for a sparse vector x.  A is m x k and in CSC, else SPK_ERR_ARGUMENT; y is dense with m
 * contiguous elements.  The vector has `count` entries: values x, of A's dtype, at the columns ids,
 * of A's index type, in any order.  Entries of the same column add up.  Only the columns that ids
 * names are checked and read, so time grows with their entries and with m.  y must not overlap the
 * operands.  threads: as for spk_spmm. */
spk_status spk_spmspv(const spk_sparse *A, const void *ids, const void *x, ptrdiff_t count, void *y,
                      int threads);
/* The same for a dense vector x of k elements that lie `stride` elements apart.  Columns that meet
 * a zero of x are not read: NaN and infinity in them do not reach y. */
spk_status spk_spmspv_dense(const spk_sparse *A, const void *x, ptrdiff_t stride, void *y,
                            int threads);

/* C = A @ B for two sparse matrices.  A is m x k and B is k x n, both in CSR, with one dtype and
 * one index type.  C is m x n and dense; rows lie ldc elements apart.  C must not overlap the
 * operands.  Time grows with m * n and with the number of products of entries.  threads: as for
 * spk_spmm. */
spk_status spk_spmspm(const spk_sparse *A, const spk_sparse *B, void *C, ptrdiff_t ldc,
                      int threads);

/* The k largest elements of each row of X, which is rows x cols.  Rows of X lie ldx elements apart,
 * and rows of out lie ldout elements apart.  out, of the shape of X, becomes X at the k largest
 * elements and 0 elsewhere.  winners, which is rows x min(k, cols) and contiguous, becomes the
 * columns of the k largest elements, in ascending order.  out or winners may be NULL, and out may
 * be X itself.  NaN counts as larger than any number, and -0 equals 0.  Of equal elements, those of
 * lower columns win.  SPK_ERR_ARGUMENT too if winners are wanted and cols exceeds INT32_MAX.
 * Time grows with rows * cols, whatever k is.  threads: as for spk_spmm. */
spk_status spk_kwinners(spk_dtype dtype, ptrdiff_t rows, ptrdiff_t cols, const void *X,
                        ptrdiff_t ldx, ptrdiff_t k, void *out, ptrdiff_t ldout, int32_t *winners,
                        int threads);

/* A sparse matrix that was packed once, for many products.  It does not refer to the arrays that it
 * was made from.  Any number of threads may use it at once. */
typedef struct spk_prepared spk_prepared;

/* How a matrix was packed.  SPK_ROW_PANELS: row panels that are cut into blocks of columns.
 * SPK_SELL: for products with a vector, slices with one row for each lane of a vector.
 * SPK_INT8_GATHER4: row panels of int8 whose entries are taken four at a time.  SPK_BITMAP: a bit
 * for every place, and the values of those that have an entry. */
typedef enum spk_layout {
  SPK_ROW_PANELS = 0,
  SPK_SELL = 1,
  SPK_INT8_GATHER4 = 2,
  SPK_BITMAP = 3
} spk_layout;

/* How packed values are stored: as they are, or float32 values rounded to float16 or bfloat16.
 * Values of 16 bits become float32 again before they are used.  In float16, magnitudes above 65504
 * become infinite.  S8 and S4, of spk_prepare_bitmap and spk_prepare_sell: integers of 8 and 4
 * bits, which scales multiply. */
typedef enum spk_storage {
  SPK_STORAGE_SAME = 0,
  SPK_STORAGE_F16 = 1,
  SPK_STORAGE_BF16 = 2,
  SPK_STORAGE_S8 = 3,
  SPK_STORAGE_S4 = 4
} spk_storage;

/* Pack A for products with `width` columns (0: 128).  The packed matrix serves any other number of
 * columns too, but less quickly.  Products use `block_rows` rows of B together (0: a number that
 * suits this machine).  With a width of 1, block_rows == 0 and sorted rows, A is packed in SELL
 * slices where the instruction set allows it.  `threads`, as for spk_spmm, is the number of threads
 * that pack, and that A is partitioned for.  A must be in CSR, else SPK_ERR_ARGUMENT.  A storage of
 * 16 bits needs SPK_F32, else SPK_ERR_DTYPE.  SPK_ERR_SPARSE if A has too few entries for its
 * shape.  Time and memory grow with A->nnz.  The caller frees *prepared with spk_prepared_free. */
spk_status spk_prepare(const spk_sparse *A, ptrdiff_t width, ptrdiff_t block_rows,
                       spk_storage storage, int threads, spk_prepared **prepared);
/* Pack A for few columns as a bitmap: a bit for every place, and values of 16, 8 or 4 bits.  That
 * pays where A comes from memory and is not very sparse.  A must be float32 (else SPK_ERR_DTYPE)
 * and in CSR, with sorted rows and without duplicates (else SPK_ERR_ARGUMENT).
 *
 * With S8 or S4, an entry becomes the nearest of the integers -127 .. 127 or -7 .. 7 times a scale.
 * `group` columns of a row share a scale: 32, a multiple of 64, or the columns of A and more.
 * `scales` has them row by row, ceil(cols / group) for each row; they must be finite and not
 * negative.  With F16 and BF16, `scales` and `group` are not read.
 *
 * Products sum integers times B in float32, and multiply the sum of each group by its scale, so
 * finite products of more than 2e36 in magnitude may become infinite.  With AVX512_VBMI2 and VNNI
 * they sum exactly, but take a column of B whose nonzero elements differ by at most 2**20 in fixed
 * point: elements are rounded by at most 2**-30 of the largest.  SPK_ERR_SPARSE if A has
 * fewer entries than pieces of 64 places, or more than 2**20 columns.  Time and memory grow with
 * A->nnz. threads, and the end of *prepared: as for spk_prepare. */
spk_status spk_prepare_bitmap(const spk_sparse *A, const float *scales, ptrdiff_t group,
                              spk_storage storage, int threads, spk_prepared **prepared);
/* Pack A in SELL slices with values of 8 bits, for products with a vector: the same as with S8 by
 * spk_prepare_bitmap, with one scale for each row, but with places of entries instead of bits,
 * which is faster from about two thirds zeros on.  SPK_ERR_SPARSE too if A does not suit SELL
 * slices, or the instruction set has none. */
spk_status spk_prepare_sell(const spk_sparse *A, const float *scales, int threads,
                            spk_prepared **prepared);
/* A width for spk_prepare.  All numbers of columns n for which this function returns the same width
 * can share one packed matrix. */
ptrdiff_t spk_prepare_width(spk_dtype dtype, ptrdiff_t n);
/* The cycles that one core takes to multiply a sorted A with n columns.  The number is rough; it
 * serves to choose between spk_spmm (ROWS), spk_prepared_spmm (PACKED; infinite if A is too sparse
 * to be packed), a BLAS product of A with its zeros written out (DENSE), and spk_prepared_spmm with
 * what spk_prepare_bitmap makes (BITMAP).  Only the shape, the
 * dtype and nnz of A are read.  The result is 0 if n or a size of A is invalid. */
typedef enum spk_strategy {
  SPK_STRATEGY_ROWS = 0,
  SPK_STRATEGY_PACKED = 1,
  SPK_STRATEGY_DENSE = 2,
  SPK_STRATEGY_BITMAP = 3
} spk_strategy;
double spk_predict(const spk_sparse *A, ptrdiff_t n, spk_strategy strategy);
/* C = epilogue(A @ B), as spk_spmm, for a packed A.  If A is in row panels and its rows were
 * sorted, each element of C is summed in the order of the entries of its row, whatever the
 * blocks. */
spk_status spk_prepared_spmm(const spk_prepared *prepared, const spk_dense *B, const spk_dense *C,
                             const spk_epilogue *epilogue, int threads);
/* A product of a chain and what follows its sums: activation(W @ B + bias[:, None]).  W is `packed`
 * if that is not NULL, and else A, which belongs to the caller.  bias has an element per row of W;
 * NULL: none. */
typedef struct spk_layer {
  const spk_prepared *packed;
  const spk_sparse *A;
  const void *bias;
  spk_activation activation;
} spk_layer;

/* Y = what the last of `count` layers makes of what the layer before makes, and so on down to X.
 * Each matrix has as many columns as the one before has rows, X has as many rows as the first has
 * columns, and Y has the rows of the last; all have one dtype.  Results have the bits that
 * spk_prepared_spmm and spk_spmm have, one after the other, with row-major results between layers.
 * Y must not overlap X.  The call takes memory for two or three results of layers.
 * SPK_ERR_ARGUMENT too if count < 1.  threads: as for spk_spmm. */
spk_status spk_chain(const spk_layer *layers, ptrdiff_t count, const spk_dense *X,
                     const spk_dense *Y, int threads);
/* Properties of a packed matrix: its layout, the bytes of memory that it takes, and the number of
 * rows of B that are used together. */
spk_layout spk_prepared_layout(const spk_prepared *prepared);
size_t spk_prepared_bytes(const spk_prepared *prepared);
ptrdiff_t spk_prepared_block_rows(const spk_prepared *prepared);
/* The number of shared entries: entries of rows that have the same columns as neighbouring rows, as
 * in V x 1 vectors and blocks.  Such rows load a row of B once for all of them.  In row panels, 2
 * or more rows share it.  In SELL slices, as many rows share it as a vector, a half or a quarter of
 * a vector has lanes. */
ptrdiff_t spk_prepared_shared(const spk_prepared *prepared);
/* Unpack the matrix, in CSR, with values as they are stored.  The caller allocates rows + 1
 * offsets, and as many indices and values as the matrix has entries.  SPK_ERR_ARGUMENT if its
 * numbers do not fit `itype`.  From row panels, rows that were sorted are sorted again; from SELL
 * slices, entries of a row are in no order. */
spk_status spk_prepared_csr(const spk_prepared *prepared, spk_itype itype, void *offsets,
                            void *indices, void *values);
/* Free the matrix; NULL is allowed. */
void spk_prepared_free(spk_prepared *prepared);

/* A matrix of 8-bit integers that was packed once, for many products with matrices of bytes.  It
 * does not refer to the arrays that it was made from.  Any number of threads may use it at once. */
typedef struct spk_int8 spk_int8;

/* A dense matrix of bytes: element (i, j) is data[i*row_stride + j*col_stride].  Elements are
 * int8_t if `is_signed`, else uint8_t. */
typedef struct spk_bytes {
  int is_signed;
  ptrdiff_t rows, cols, row_stride, col_stride;
  const void *data;
} spk_bytes;

/* What becomes of the sums S = A @ (B - zero_point), which are exact:
 *
 *   I32     S, as int32_t
 *   F32     activation((scale[:, None] * column_scale) * S + bias[:, None]) as float, rounded after
 *           each operation
 *   S8, U8  the value of F32, divided by out_scale, rounded to the nearest integer (ties to even),
 *           plus out_zero_point, clamped to the range of the type; NaN becomes the least value */
typedef enum spk_result {
  SPK_RESULT_I32 = 0,
  SPK_RESULT_F32 = 1,
  SPK_RESULT_S8 = 2,
  SPK_RESULT_U8 = 3
} spk_result;

typedef struct spk_requantise {
  spk_result result;
  int zero_point;                    /* a value of B's type */
  const int32_t *column_zero_points; /* one value of B's type per column of B, instead of
                                        zero_point; NULL: none */
  const float *scale; /* one per row of A; NULL: 1.  A result of I32 reads neither scale nor the
                         fields that follow */
  const float *column_scale; /* one per column of B; NULL: 1 */
  const float *bias;         /* one per row of A; NULL: none */
  spk_activation activation;
  float out_scale;
  int out_zero_point; /* a value of the result's type */
} spk_requantise;

/* Pack A, in CSR and with sorted rows, for products with `width` columns (0: 128).  Entry p of A
 * has the value values[p]; A's own values are not read.  SPK_ERR_ARGUMENT too if A is not sorted
 * CSR, or if the magnitudes of the values of a row add up to more than 8421504, as sums of such a
 * row might exceed 32 bits.  threads: as for spk_spmm.  The caller frees *prepared with
 * spk_int8_free. */
spk_status spk_int8_prepare(const spk_sparse *A, const int8_t *values, ptrdiff_t width, int threads,
                            spk_int8 **prepared);
/* C = requantised(A @ B).  C has the shape of A @ B and the type of the result, and must not
 * overlap B.  If A was packed for few columns, the call copies the columns of B.  It also buffers
 * the sums if the result has 8 bits or col_stride is not 1.  The copies take 8 MiB at most, or the
 * size of one column if that is more. */
spk_status spk_int8_spmm(const spk_int8 *A, const spk_bytes *B, void *C, ptrdiff_t row_stride,
                         ptrdiff_t col_stride, const spk_requantise *how, int threads);
/* A width for spk_int8_prepare.  All numbers of columns n for which this function returns the same
 * width can share one packed matrix. */
ptrdiff_t spk_int8_width(ptrdiff_t n);
/* Properties of a packed matrix: its layout, the bytes of memory that it takes, and the share, from
 * 0 to 1, of what it stores in rows that load a row of B once together with neighbouring rows,
 * because they have columns in common. */
spk_layout spk_int8_layout(const spk_int8 *A);
size_t spk_int8_bytes(const spk_int8 *A);
double spk_int8_share(const spk_int8 *A);
/* Free the matrix; NULL is allowed. */
void spk_int8_free(spk_int8 *A);
/* Bytes for spk_int8_spmm: out[i*ldout + j] = X[i*ldx + j] / scale, rounded to the nearest integer
 * (ties to even), plus zero_point, clamped to the range of int8_t if `is_signed`, else of uint8_t.
 * NaN becomes the least value.  scale must be positive and finite, and zero_point a value of that
 * type.  X and out must not overlap.  threads: as for spk_spmm. */
spk_status spk_quantise(ptrdiff_t rows, ptrdiff_t cols, const float *X, ptrdiff_t ldx, float scale,
                        int zero_point, int is_signed, void *out, ptrdiff_t ldout, int threads);

/* SDDMM: values[p] is what `sampling` makes of the dot product of row i of X and column j of Y, for
 * the stored entry p of P at (i, j).  P is m x n and sparse, X is m x k, Y is k x n; all have one
 * dtype.  values has one element per stored entry of P, in P's order.  values may be P.values
 * itself, but must not overlap P.values partly, nor X or Y.  P.values may be NULL if it is not
 * read.  Time grows with P->nnz * k.  threads: as for spk_spmm. */
spk_status spk_sddmm(const spk_sparse *P, const spk_dense *X, const spk_dense *Y, void *values,
                     const spk_sampling *sampling, int threads);

/* Rows that consist of runs of consecutive columns: row i has the columns starts[r] .. stops[r] - 1
 * for each r in [offsets[i], offsets[i + 1]).  The runs of a row ascend and do not overlap. */
typedef struct spk_runs {
  ptrdiff_t rows, cols;
  const int64_t *offsets;
  const int32_t *starts, *stops;
} spk_runs;

/* The structure of a matrix, as column runs and tiles of 16 rows, made once for many calls.  It
 * does not refer to the arrays that it was made from.  Any number of threads may use it at once. */
typedef struct spk_column_runs spk_column_runs;

/* Make column runs of the stored entries of P, which must be in CSR with sorted rows (else
 * SPK_ERR_ARGUMENT), or of given runs.  The values of P are not read.  The caller frees *made with
 * spk_column_runs_free. */
spk_status spk_column_runs_make(const spk_sparse *P, int threads, spk_column_runs **made);
spk_status spk_column_runs_from(const spk_runs *runs, int threads, spk_column_runs **made);
ptrdiff_t spk_column_runs_nnz(const spk_column_runs *column_runs);
size_t spk_column_runs_bytes(const spk_column_runs *column_runs);
/* Free the column runs; NULL is allowed. */
void spk_column_runs_free(spk_column_runs *column_runs);

/* out[h] = softmax(scale * Q[h] K[h]^T + bias[h], over the entries of the mask) V[h] for all heads
 * h.  Rows of the mask without an entry make rows of zeros.  Strides and offsets count elements.
 * Elements of a row of Q, K, V and out are contiguous.  The matrix of head h begins at the pointer
 * plus the head's offset. */
typedef struct spk_attention {
  spk_dtype dtype;
  ptrdiff_t heads;
  ptrdiff_t d, dv; /* the length of a row of Q and K, and of a row of V and out */
  double scale;
  const void *Q, *K, *V;
  void *out;
  ptrdiff_t q_stride, k_stride, v_stride, out_stride; /* elements from a row to the next */
  const ptrdiff_t *q_offsets, *k_offsets, *v_offsets, *out_offsets;
  const void *bias; /* added to the scores; NULL: none */
  ptrdiff_t bias_row_stride, bias_col_stride;
  const ptrdiff_t *bias_offsets;
  void *lse; /* the log of the sum of exponentials of each row, heads x rows and contiguous; NULL:
                not wanted */
} spk_attention;

/* Sparse attention: see spk_attention.  The mask has a row for each row of Q and a column for each
 * row of K and V.  out must not overlap Q, K, V or bias.  Time grows with
 * heads * (d + dv) and with the entries of the mask.  The call never stores all scores: a thread
 * takes about 100 KiB, and a copy of 16 rows of Q and of out.  threads: as for spk_spmm. */
spk_status spk_attend(const spk_column_runs *mask, const spk_attention *attention, int threads);

/* values = softmax(scale * P.values) over the stored entries of each row of P, which is in CSR.
 * Duplicates count as entries of their own.  values may be P.values itself.  A row whose values are
 * all -infinity becomes 0.  threads: as for spk_spmm. */
spk_status spk_softmax(const spk_sparse *P, void *values, double scale, int threads);

/* As spk_sddmm, with the structure of P known: `column_runs` was made of P, and P has not changed
 * since.  P must be in CSR, sorted and without duplicates. */
spk_status spk_column_runs_sddmm(const spk_column_runs *column_runs, const spk_sparse *P,
                                 const spk_dense *X, const spk_dense *Y, void *values,
                                 const spk_sampling *sampling, int threads);
/* The number of entries that spk_column_runs_sddmm takes by tiles of 16 rows, if rows of X have k
 * elements.  The other entries are taken row by row. */
ptrdiff_t spk_column_runs_tiled(const spk_column_runs *column_runs, ptrdiff_t k);

/* The default number of threads of a call.  spk_set_num_threads(0) returns to the setting of
 * OpenMP, capped by spk_limit_threads, through which the Python package passes the limits of
 * affinity and cgroups. */
int spk_get_num_threads(void);
void spk_set_num_threads(int threads);
void spk_limit_threads(int limit);
/* The threads of another OpenMP library, by the addresses of its functions.
 *
 * After a parallel region, the threads of an OpenMP library spin for some milliseconds in case
 * another region follows.  Meanwhile they take the CPUs from the threads of this library.  So a
 * program whose calls alternate with regions of another library lends the threads of that one.
 *
 * parallel: GOMP_parallel, as libgomp, libomp and libiomp5 have it: call fn(data) once on each of
 *   `threads` threads, of which the caller is one, and return when all have returned.
 * thread_num: omp_get_thread_num, the number of the calling thread among them, from 0.
 * in_parallel: omp_in_parallel, whether the calling thread is inside a region of that library.
 * threads: how many threads its regions have, at least 1. */
typedef struct spk_team {
  void (*parallel)(void (*fn)(void *), void *data, unsigned threads, unsigned flags);
  int (*thread_num)(void);
  int (*in_parallel)(void);
  int threads;
} spk_team;

/* Let the following calls of the calling thread use the team, until the next spk_use_team.  NULL
 * returns to the threads of this library.  The team is copied; the functions must stay loaded.
 *
 * A call that is to have more threads than the team has uses the threads of this library.  So do
 * calls for a while after one that had to wait for a thread of the team, because other programs
 * used the CPUs.  A call inside a parallel region of the team has one thread.  The child of a fork
 * has no threads of the team, so the thread that it consists of uses those of this library.
 * Results have the same bits on any threads.  SPK_ERR_ARGUMENT: a function is NULL, or threads is
 * below 1. */
spk_status spk_use_team(const spk_team *team);

/* The number of parallel regions of the process until now that ran with fewer threads than planned
 * because other programs or threads were seen to use the CPUs, or that waited for a thread which
 * had lost its CPU to them. */
size_t spk_contended_regions(void);

/* Instruction sets.  spk_init chooses one, and returns SPK_ERR_ISA if SPKERNELS_ISA names none that
 * can be used.  spk_isa names the one in use.  spk_isa_list lists those that both this build and
 * this machine have, from the narrowest to the widest, and ends with NULL. */
spk_status spk_init(void);
const char *spk_isa(void);
const char *const *spk_isa_list(void);

/* What the library was built with. */
const char *spk_openmp(void); /* the OpenMP runtime's version macro, or NULL for a serial build */
int spk_abi_version(void);
const char *spk_status_string(spk_status status);

/* The most bytes of workspace that a call takes for each thread.  A product that cuts the rows of A
 * by blocks of B takes more if the cuts of a single row, an index for each block, need more. */
size_t spk_workspace_limit(void);
/* The most bytes that spk_spmm takes in addition, for all threads together: 16 MiB, or 64 bytes for
 * each of the `rows` of B if that is more.  They hold partial sums of CSC and COO, or copied
 * columns of a B whose rows are not contiguous.  spk_sddmm takes 16 MiB at most, for a transpose of
 * Y whose rows are not contiguous. */
size_t spk_shared_limit(ptrdiff_t rows);

/* Memory for large results, of 32 MiB or more.
 *
 * Allocators map large blocks anew each time, and the system clears each page as it is first
 * written.  For a product of few entries a row, that takes as long as the product.  Memory that
 * spk_result_free gets back stays mapped for the next spk_result_new of about the same size, up to
 * 256 MiB in all and eight blocks.  The system may take pages of what is kept at any time, and does
 * so before it runs short of memory, so they count as resident without need (MADV_FREE). */

/* At least `bytes` bytes with any content, aligned to 2 MiB; NULL if there is no memory. */
void *spk_result_new(size_t bytes);
/* A block of at least `bytes` bytes with the content of `result`, which is freed.  NULL if there is
 * no memory: `result` is as it was. */
void *spk_result_resize(void *result, size_t bytes);
void spk_result_free(void *result); /* NULL is none */
/* Keep at most `bytes` bytes from now on; 0: none.  huge_pages: whether the system is asked for
 * huge pages, as it is at first. */
void spk_keep_results(size_t bytes, int huge_pages);
/* The bytes of results that are kept now. */
size_t spk_kept_results(void);
/* Give all memory that is kept back to the system, results and workspace.  Returns the bytes. */
size_t spk_release_memory(void);

/* Measure what all threads of this machine reach together with the instruction set in use.
 * SPK_ROOFLINE_FMA: floating-point operations per second from registers, where an FMA counts as 2.
 * SPK_ROOFLINE_LOAD: bytes loaded per second, where each thread reads `bytes` of its own again and
 * again.  The measurement takes some tens of milliseconds. */
typedef enum spk_roofline { SPK_ROOFLINE_FMA = 0, SPK_ROOFLINE_LOAD = 1 } spk_roofline;
spk_status spk_measure_roofline(spk_roofline what, spk_dtype dtype, size_t bytes, int threads,
                                double *rate);

/* The name of the kernel that spk_spmm would run for the operands, for reports.  At most `size`
 * bytes are written to `name`, with the terminating zero. */
spk_status spk_spmm_kernel_name(const spk_sparse *A, const spk_dense *B, const spk_dense *C,
                                int threads, char *name, size_t size);

#ifdef __cplusplus
}
#endif

#endif
