/* How A is cut into row panels, and how a product with row panels is cut into tasks. */
#ifndef SPK_PLAN_ROW_PANELS_PLAN_H
#define SPK_PLAN_ROW_PANELS_PLAN_H

#include "../pack/row_panels.h"

/* Columns of the tiles that products with n columns are cut into. */
ptrdiff_t spk_row_panels_tile(spk_dtype dtype, ptrdiff_t n, const spk_kernels *kernels,
                              const spk_machine *machine);

/* Choose the shape of A, which is in CSR and checked, for products with `width` columns.
 * block_rows == 0: blocks with the least cost by the model (plan/blocks.h).  SPK_ERR_SPARSE if A
 * has too few entries for its shape. */
spk_status spk_choose_row_panels(const spk_sparse *A, ptrdiff_t width, ptrdiff_t block_rows,
                                 int threads, const spk_kernels *kernels,
                                 const spk_machine *machine, spk_row_panels_shape *shape);
/* The most bytes of workspace that a worker takes, whatever the shapes. */
size_t spk_row_panels_workspace_limit(void);

/* How a product with row panels is cut up. */
typedef struct spk_row_panels_plan {
  int threads;
  /* Whether sums wait in a stage, between blocks or to be copied to a C without unit stride. */
  int stage;
  int direct;            /* whether the last block writes C */
  int in_place;          /* whether B is used in place because it is a panel already */
  ptrdiff_t tile, tiles; /* columns of a tile, and the number of tiles */
  ptrdiff_t parts;       /* ranges of row panels */
  ptrdiff_t stage_rows;
  size_t panel_bytes, stage_bytes, value_bytes; /* workspace per worker */
} spk_row_panels_plan;

void spk_plan_row_panels(const spk_row_panels *A, const spk_dense *B, const spk_dense *C,
                         int threads, const spk_machine *machine, spk_row_panels_plan *plan);

#endif
