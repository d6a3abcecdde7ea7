/* A packed for many products: row panels x blocks of columns.
 *
 * A block is so low that its rows of B, one tile wide, stay in L1 (or L2) while all rows of a row
 * panel use them.  Rows of A are short inside of a block, so a loop over each of them would end in
 * a mispredicted branch.  Therefore the rows of a row panel are sorted by their number of entries
 * in the block, and rows of equal length make a *run*: each loop of a run ends when the loop before
 * it did.  (Sorting rows by length: Saad, "Krylov subspace methods on supercomputers", 1989.
 * Sorting within windows, and adjacent rows in lockstep: Kreutzer et al., "A unified sparse matrix
 * data format", SIAM J.  Sci.  Comput.  2014.  Runs of equal length need no padding.)
 *
 * Rows go in lockstep by groups, and their entries alternate in memory.  Rows of a group that are
 * shorter than its longest row are filled with zeros.  The zeros meet a row of zeros below the
 * block, so that no padding meets infinity or NaN.  If a group needed much padding, its rows go
 * alone.  The narrower a tile, the more rows are in a group, because enough sums have to be in
 * flight at any time.
 *
 * Groups whose rows have the same columns, as in V x 1 vectors and blocks (Gale et al., "Sparse GPU
 * kernels for deep learning", SC 2020), make runs of their own.  They load a row of B once for all
 * rows that share its column.  Rows that share columns may be shorter than other rows of their
 * group.
 *
 * Entries lie in the order in which they are used.  16 bits give the row of the block, and the
 * values lie apart. */
#ifndef SPK_PACK_ROW_PANELS_H
#define SPK_PACK_ROW_PANELS_H

#include "../common/common.h"
#include "../dispatch/dispatch.h"
#include "../threads/partition.h"

/* The most rows of a row panel.  More rows make longer runs.  With fewer rows, the sums of a row
 * panel stay closer to the core, and there are more row panels for threads to share. */
#define SPK_ROW_PANEL_ROWS 256
/* The most rows of a block: a panel one vector wide holds them, and 16 bits can number them. */
#define SPK_MAX_BLOCK_ROWS (SPK_MAX_PANEL_BYTES / SPK_ALIGN)

/* Where the paired rows of a block (spmm_paired_rows.inc.h), or its other rows, begin in the arrays
 * of a row panel. */
typedef struct spk_row_panel_cell {
  ptrdiff_t run, row, entry, offset;
} spk_row_panel_cell;

typedef struct spk_row_panel {
  ptrdiff_t rows, shared, paired;
  spk_row_panel_cell *cells; /* two per block, and one at the end */
  spk_row_panel_run *runs;
  /* The first and the last block list all rows, even rows that are empty there. */
  uint16_t *row_ids;
  uint16_t *offsets;
  void *values;
  size_t bytes; /* of all arrays: they share one allocation, which begins with cells */
} spk_row_panel;

typedef struct spk_row_panels {
  const spk_kernels *kernels;   /* for tiles as wide as A was packed for */
  int group, vectors;           /* rows in lockstep; the most vectors of a tile */
  spk_row_panel_fn paired_rows; /* the kernel of paired rows; NULL: no rows are paired */
  spk_dtype dtype;
  spk_storage storage; /* of values */
  ptrdiff_t rows, cols, nnz;
  ptrdiff_t longest; /* the most entries of a row in a block */
  ptrdiff_t shared;  /* the number of shared entries */
  ptrdiff_t paired;  /* the number of shared entries in paired rows */
  ptrdiff_t row_panel_rows, row_panels;
  ptrdiff_t block_rows, blocks;
  ptrdiff_t *weights; /* row panels + 1: the entries and rows before each row panel */
  spk_row_panel *row_panel;
} spk_row_panels;

/* How A is cut up; plan/row_panels_plan.h decides it. */
typedef struct spk_row_panels_shape {
  const spk_kernels *kernels;
  int group, vectors;           /* rows in lockstep; the most vectors of a tile */
  spk_row_panel_fn paired_rows; /* the kernel of paired rows; NULL: no rows are paired */
  ptrdiff_t row_panel_rows;     /* at most SPK_ROW_PANEL_ROWS */
  ptrdiff_t blocks, block_rows; /* at most SPK_MAX_BLOCK_ROWS */
} spk_row_panels_shape;

/* Pack A, which is in CSR and checked. */
spk_status spk_row_panels_pack(const spk_sparse *A, const spk_row_panels_shape *shape,
                               spk_storage storage, int threads, spk_row_panels **made);
void spk_row_panels_free(spk_row_panels *row_panels);
size_t spk_row_panels_bytes(const spk_row_panels *row_panels);

/* The first row panel of a part.  Parts hold about the same number of entries. */
ptrdiff_t spk_row_panels_part(const spk_row_panels *A, ptrdiff_t part, ptrdiff_t parts);

#endif
