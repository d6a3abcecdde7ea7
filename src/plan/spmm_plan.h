/* How a product is cut up.  It is decided before any work, from shapes, layouts and the machine
 * alone. */
#ifndef SPK_PLAN_SPMM_PLAN_H
#define SPK_PLAN_SPMM_PLAN_H

#include "../common/common.h"
#include "../dispatch/dispatch.h"

typedef struct spk_spmm_plan {
  int threads;
  /* the kernel walks B and C through their strides, as there are no row-major tiles */
  int strided;
  int pack;  /* B goes through packed panels */
  int copy;  /* all workers copy some tiles of B together before they use them */
  int stage; /* C goes through a row-major buffer */
  /* gather: sums of several blocks are added in the stage, and go to C afterwards */
  int apart;
  int hollow;            /* most rows of A are empty: runs of empty rows are filled at once */
  ptrdiff_t tile, tiles; /* columns of a tile, and the number of tiles */
  ptrdiff_t copy_tiles;  /* tiles that are copied at a time; all tiles if none is copied */
  ptrdiff_t copy_ld;     /* columns of a copied tile */
  ptrdiff_t panel_rows;  /* rows of B in a panel; all rows if B is not packed */
  ptrdiff_t block_rows;  /* rows of B between two cuts of the rows of A */
  ptrdiff_t blocks;      /* the number of blocks */
  ptrdiff_t band_rows;   /* rows of A whose cuts are kept at a time */
  ptrdiff_t row_chunk;   /* rows of A for which a worker's workspace is filled at a time */
  ptrdiff_t col_parts, row_parts; /* tasks: tiles, or groups of tiles, x ranges of rows */
  size_t cut_bytes, copy_bytes;   /* workspace of all workers together */
  size_t panel_bytes, stage_bytes, offset_bytes; /* workspace per worker */
} spk_spmm_plan;

/* Plan a gather (CSR, BSR, COO sorted by row): each row of C is written once per block of K.
 * `keeps`: beta is not 0, so C must keep its values until the sums are complete. */
void spk_plan_gather(const spk_sparse *A, const spk_dense *B, const spk_dense *C, int keeps,
                     int threads, const spk_kernels *kernels, const spk_machine *machine,
                     spk_spmm_plan *plan);

/* Plan a scatter (CSC, COO in any order): rows of B are read once and added to C, or, with `keeps`,
 * to a stage. */
void spk_plan_scatter(const spk_sparse *A, const spk_dense *B, const spk_dense *C, int keeps,
                      int threads, const spk_kernels *kernels, const spk_machine *machine,
                      spk_spmm_plan *plan);

/* The most bytes of workspace that a worker of a gather or a scatter takes, whatever the shapes. */
size_t spk_gather_workspace_limit(void);

#endif
