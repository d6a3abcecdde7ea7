/* How a product is cut up: decided before any work, from shapes, layouts and the machine alone. */
#ifndef SPK_PLAN_SPMM_PLAN_H
#define SPK_PLAN_SPMM_PLAN_H

#include "../common/common.h"
#include "../dispatch/dispatch.h"

typedef struct spk_spmm_plan {
  int threads;
  int strided;           /* no row-major tiles: the kernel walks B and C through their strides */
  int pack;              /* B goes through packed panels */
  int copy;              /* all workers copy some tiles of B first, then all of them use them */
  int stage;             /* C goes through a row-major buffer */
  int apart;             /* gather: sums of several blocks meet in the stage, and C afterwards */
  int hollow;            /* most rows of A are empty: runs of them are filled at once */
  ptrdiff_t tile, tiles; /* columns of a tile, and how many tiles */
  ptrdiff_t copy_tiles;  /* tiles that are copied at a time; all of them where nothing is copied */
  ptrdiff_t copy_ld;     /* columns of a copied tile */
  ptrdiff_t panel_rows;  /* rows of B in a panel; all of them where nothing is packed */
  ptrdiff_t block_rows;  /* rows of B between two cuts of the rows of A */
  ptrdiff_t blocks;      /* how many such blocks */
  ptrdiff_t band_rows;   /* rows of A whose cuts are held at a time */
  ptrdiff_t row_chunk;   /* rows of A between two looks at a worker's workspace */
  ptrdiff_t col_parts, row_parts; /* tasks: tiles or groups of them x ranges of rows */
  size_t cut_bytes, copy_bytes;   /* workspace of all workers */
  size_t panel_bytes, stage_bytes, offset_bytes; /* workspace of each */
} spk_spmm_plan;

/* `keeps`: beta is not 0, and C must keep its values until the sums are finished.
 *
 * For a gather (CSR, BSR, COO sorted by row): each row of C is written once per block of K. */
void spk_plan_gather(const spk_sparse *A, const spk_dense *B, const spk_dense *C, int keeps,
                     int threads, const spk_kernels *kernels, const spk_machine *machine,
                     spk_spmm_plan *plan);

/* For a scatter (CSC, COO in any order): rows of B are read once and added into C, or, with
 * `keeps`, into a stage. */
void spk_plan_scatter(const spk_sparse *A, const spk_dense *B, const spk_dense *C, int keeps,
                      int threads, const spk_kernels *kernels, const spk_machine *machine,
                      spk_spmm_plan *plan);

/* What a worker of either takes of the workspace, at most, whatever the shapes. */
size_t spk_gather_workspace_limit(void);

#endif
