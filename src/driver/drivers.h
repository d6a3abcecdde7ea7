/* The drivers: partition, workspace, threads.  api/ has checked and normalised the operands. */
#ifndef SPK_DRIVER_DRIVERS_H
#define SPK_DRIVER_DRIVERS_H

#include "../common/common.h"
#include "../dispatch/dispatch.h"
#include "../pack/bitmap.h"
#include "../pack/column_runs.h"
#include "../pack/int8.h"
#include "../pack/row_panels.h"
#include "../pack/sell.h"
#include "../plan/int8_plan.h"
#include "../plan/partial_plan.h"
#include "../plan/row_panels_plan.h"
#include "../plan/sddmm_plan.h"
#include "../plan/spmm_plan.h"

/* A is CSR, BSR, or COO sorted by row. */
spk_status spk_drive_gather(const spk_sparse *A, const spk_dense *B, const spk_dense *C,
                            const spk_epilogue *epilogue, const spk_spmm_plan *plan,
                            const spk_kernels *kernels);
/* A is CSC, or COO in any order. */
spk_status spk_drive_scatter(const spk_sparse *A, const spk_dense *B, const spk_dense *C,
                             const spk_epilogue *epilogue, const spk_spmm_plan *plan,
                             const spk_kernels *kernels);

/* By partial sums: A is CSC, COO in any order, or CSR times a vector.  Offsets are checked before
 * the call, and each index just before it is used.  On SPK_ERR_INDEX, nothing has been written to
 * C. */
spk_status spk_drive_partial(const spk_sparse *A, const spk_dense *B, const spk_dense *C,
                             const spk_epilogue *epilogue, const spk_partial_plan *plan,
                             const spk_kernels *kernels);

spk_status spk_drive_row_panels(const spk_row_panels *A, const spk_dense *B, const spk_dense *C,
                                const spk_epilogue *epilogue, const spk_row_panels_plan *plan);

/* The same on the calling thread, in `memory` of spk_row_panels_scratch(plan) bytes that is aligned
 * to a cache line; the plan is for one thread. */
void spk_run_row_panels(const spk_row_panels *A, const spk_dense *B, const spk_dense *C,
                        const spk_epilogue *epilogue, const spk_row_panels_plan *plan,
                        char *memory);
size_t spk_row_panels_scratch(const spk_row_panels_plan *plan);

/* A layer of a chain: a product, and what follows its sums. */
typedef struct spk_panel_layer {
  const spk_row_panels *A;
  spk_epilogue epilogue;
} spk_panel_layer;
/* Y = the layers one after the other, from X on.  Each thread takes slices of the columns through
 * all layers. */
spk_status spk_drive_chain(const spk_panel_layer *layers, ptrdiff_t count, const spk_dense *X,
                           const spk_dense *Y, ptrdiff_t slices, int threads,
                           const spk_machine *machine);

spk_status spk_drive_sell(const spk_sell *A, const spk_dense *B, const spk_dense *C,
                          const spk_epilogue *epilogue, int threads, const spk_kernels *kernels);

/* A and B are float32. */
spk_status spk_drive_bitmap(const spk_bitmap *A, const spk_dense *B, const spk_dense *C,
                            const spk_epilogue *epilogue, int threads, const spk_kernels *kernels);

/* C = what `how` makes of A @ B.  C has the shape of A @ B, and the operands are checked.  row_sums
 * are those of A. */
spk_status spk_drive_int8_gather4(const spk_int8_gather4 *A, const int32_t *row_sums,
                                  const spk_bytes *B, void *C, ptrdiff_t row_stride,
                                  ptrdiff_t col_stride, const spk_requantise *how,
                                  const spk_int8_gather4_plan *plan);
/* The same by the row panels or SELL slices of A. */
spk_status spk_drive_int8_block4(const spk_int8 *A, const spk_bytes *B, void *C,
                                 ptrdiff_t row_stride, ptrdiff_t col_stride,
                                 const spk_requantise *how, int threads);

/* P is CSR, BSR or COO.  Yt, the transpose of Y, is n x k. */
spk_status spk_drive_sddmm(const spk_sparse *P, const spk_column_runs *column_runs,
                           const spk_dense *X, const spk_dense *Yt, void *values,
                           const spk_sampling *sampling, const spk_sddmm_plan *plan,
                           const spk_kernels *kernels);

/* The operands are checked. */
spk_status spk_drive_attention(const spk_column_runs *mask, const spk_attention *attention,
                               int threads, const spk_kernels *kernels);

void spk_drive_softmax(const spk_sparse *P, void *values, double scale, int threads,
                       const spk_kernels *kernels);

/* The operands are checked except for indices.  y is dense. */
spk_status spk_drive_spmspv(const spk_sparse *A, const void *ids, const void *x, ptrdiff_t count,
                            void *y, int threads, const spk_kernels *kernels);
spk_status spk_drive_spmspv_dense(const spk_sparse *A, const void *x, ptrdiff_t stride, void *y,
                                  int threads, const spk_kernels *kernels);
/* The cache lines that a kernel prefetches of a column of A, which has `columns` columns. */
ptrdiff_t spk_usual_lines(const spk_sparse *A, ptrdiff_t columns);

/* Both operands are in CSR and checked. */
void spk_drive_spmspm(const spk_sparse *A, const spk_sparse *B, void *C, ptrdiff_t ldc, int threads,
                      const spk_kernels *kernels);

/* The checked arguments of spk_kwinners, with k <= cols. */
typedef struct spk_winners {
  spk_dtype dtype;
  ptrdiff_t rows, cols;
  const void *X;
  ptrdiff_t ldx, k;
  void *out;
  ptrdiff_t ldout;
  int32_t *winners;
} spk_winners;
void spk_drive_kwinners(const spk_winners *w, int threads, const spk_kernels *kernels);

/* The checked arguments of spk_quantise; `low` is the least byte. */
typedef struct spk_floats {
  ptrdiff_t rows, cols;
  const float *X;
  ptrdiff_t ldx;
  float scale;
  int low, zero_point;
  uint8_t *out;
  ptrdiff_t ldout;
} spk_floats;
void spk_drive_quantise(const spk_floats *f, int threads, const spk_kernels *kernels);

/* Whether indices lie in [0, bound).  *descents becomes the number of indices that are below their
 * left neighbour, unless descents is NULL. */
int spk_drive_validate(const void *indices, spk_itype itype, ptrdiff_t count, ptrdiff_t bound,
                       ptrdiff_t *descents, int threads, const spk_kernels *kernels);

#define SPK_MAX_ROOFLINE_THREADS 256

/* Operations or bytes per second of all threads together, each of which works on `bytes` of its
 * own. */
spk_status spk_drive_roofline(spk_roofline what, spk_dtype dtype, size_t bytes, int threads,
                              const spk_kernels *kernels, double *rate);

/* Pack A, in CSR and checked, for products with `width` columns, into row panels or SELL slices.
 * block_rows == 0: the plan decides. */
spk_status spk_drive_prepare(const spk_sparse *A, ptrdiff_t width, ptrdiff_t block_rows,
                             spk_storage storage, int threads, const spk_kernels *kernels,
                             const spk_machine *machine, spk_row_panels **row_panels,
                             spk_sell **sell);
/* The same for int8.  A must be sorted, and its own values are not read. */
spk_status spk_drive_int8_prepare(const spk_sparse *A, const int8_t *values, ptrdiff_t width,
                                  int threads, const spk_kernels *kernels,
                                  const spk_machine *machine, spk_int8 **made);

#endif
