/* The layout that an int8 matrix is packed in (pack/int8.h), and how the matrix and its products
 * are cut up. */
#ifndef SPK_PLAN_INT8_PLAN_H
#define SPK_PLAN_INT8_PLAN_H

#include "../pack/int8.h"

/* The most columns of B that int8_block4 is used for. */
#define SPK_INT8_BLOCK4_MAX_COLUMNS 32

/* Whether products with `width` columns use int8_gather4 because `grouped`, of int8_block4, has too
 * many numbers for A's entries. */
int spk_int8_is_scattered(const spk_sparse *A, const spk_sparse *grouped, ptrdiff_t width,
                          const spk_kernels *kernels);

/* Choose how A is cut up.  SPK_ERR_SPARSE if A has too few entries for its shape. */
spk_status spk_choose_int8_gather4(const spk_sparse *A, int threads, const spk_kernels *kernels,
                                   const spk_machine *machine, spk_int8_gather4_shape *shape);

/* How a product with n columns is cut up. */
typedef struct spk_int8_gather4_plan {
  int threads;
  ptrdiff_t tiles, parts; /* tiles of columns; ranges of row panels */
  /* row panels whose sums wait together until their last block is done */
  ptrdiff_t stage_row_panels;
  size_t panel_bytes, stage_bytes; /* workspace per worker */
} spk_int8_gather4_plan;

void spk_plan_int8_gather4(const spk_int8_gather4 *A, ptrdiff_t n, int threads,
                           const spk_machine *machine, spk_int8_gather4_plan *plan);
size_t spk_int8_gather4_workspace_limit(void);

#endif
