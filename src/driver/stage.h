/* Stores sums that a worker has in a row-major stage to C. */
#ifndef SPK_DRIVER_STAGE_H
#define SPK_DRIVER_STAGE_H

#include "../dispatch/dispatch.h"

/* Store rows x cols sums, whose rows lie ld apart, to the tile of C at c, with the epilogue.  The
 * stage may be overwritten. */
static inline void spk_stage_store(const spk_kernels *kernels, void *stage, ptrdiff_t ld, void *c,
                                   const spk_dense *C, ptrdiff_t rows, ptrdiff_t cols,
                                   const spk_epilogue *e) {
  if (C->col_stride == 1 || cols == 1 || e->beta != 0.0) {
    kernels->tile_store[C->dtype](stage, ld, c, C->row_stride, C->col_stride, rows, cols, e);
    return;
  }
  /* Finish the sums along their rows first.  What is left is a copy, which transposes whole
   * vectors. */
  kernels->tile_finish[C->dtype](stage, ld, 1, rows, cols, e);
  kernels->unpack[C->dtype](stage, ld, c, C->row_stride, C->col_stride, rows, cols);
}

#endif
