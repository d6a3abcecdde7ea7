/* A packed for many products: row panels x blocks of columns.
 *
 * A block is so low that its rows of B, one tile wide, stay in L1 (or L2) while all rows of a row
 * panel use them.  What is left of a row is short there, and a loop over it would end in a
 * mispredicted branch: so the rows of a row panel are sorted by their number of entries in the
 * block, and a *run* of rows of one length goes through a loop that ends when the last one did.
 * (Sorting rows by length: Saad, "Krylov subspace methods on supercomputers", 1989; within windows,
 * and adjacent rows in lockstep: Kreutzer et al., "A unified sparse matrix data format", SIAM J.
 * Sci. Comput. 2014. Runs of equal length need no padding.)
 *
 * Rows go in lockstep by groups, their entries alternate.  Rows of a group that are shorter than
 * its longest are filled with zeros that meet a row of zeros below the block, so that no padding
 * meets infinity or NaN; where that would be much, rows go alone.  The narrower a tile, the more
 * rows are in a group, as many sums have to be in flight at any time.  Groups whose rows have the
 * same columns, as in V x 1 vectors and blocks (Gale et al., "Sparse GPU kernels for deep
 * learning", SC 2020), make runs of their own, where a row of B is loaded once for all: rows that
 * share them may be shorter than others of their group.  Entries
 * lie in the order in which they are used: 16 bits say which row of the block, then the value.
 */
#ifndef SPK_PACK_ROW_PANELS_H
#define SPK_PACK_ROW_PANELS_H

#include "../common/common.h"
#include "../dispatch/dispatch.h"
#include "../threads/partition.h"

/* Rows of a row panel, at most: with more, runs are longer; with fewer, a row panel's sums stay
 * closer and there are more row panels to deal out. */
#define SPK_ROW_PANEL_ROWS 256
/* Rows of a block, so that one vector's width of them fits a panel; 16 bits number them. */
#define SPK_MAX_BLOCK_ROWS (SPK_MAX_PANEL_BYTES / SPK_ALIGN)

/* Where a block's paired rows (spmm_paired_rows.inc.h), or the rest of it, begin in the arrays of a
 * row panel.
 */
typedef struct spk_row_panel_cell {
  ptrdiff_t run, row, entry, offset;
} spk_row_panel_cell;

typedef struct spk_row_panel {
  ptrdiff_t rows, shared, paired;
  spk_row_panel_cell *cells; /* two per block, and one */
  spk_row_panel_run *runs;
  uint16_t *row_ids; /* the first and last block list all rows, even those that are empty there */
  uint16_t *offsets;
  void *values;
  size_t bytes; /* of all of these: one allocation, which begins with cells */
} spk_row_panel;

typedef struct spk_row_panels {
  const spk_kernels *kernels;   /* of tiles as wide as it was packed for */
  int group, vectors;           /* rows in lockstep; vectors of a tile, at most */
  spk_row_panel_fn paired_rows; /* what runs those; NULL: there are none */
  spk_dtype dtype;
  spk_storage storage; /* of values */
  ptrdiff_t rows, cols, nnz;
  ptrdiff_t longest; /* entries of a row in a block, at most */
  ptrdiff_t shared;  /* entries of rows that share what is loaded of B */
  ptrdiff_t paired;  /* those of them that go by paired rows */
  ptrdiff_t row_panel_rows, row_panels;
  ptrdiff_t block_rows, blocks;
  ptrdiff_t *weights; /* row panels + 1: entries and rows before each */
  spk_row_panel *row_panel;
} spk_row_panels;

/* How A is cut up: decided by plan/row_panels_plan.h. */
typedef struct spk_row_panels_shape {
  const spk_kernels *kernels;
  int group, vectors;           /* rows in lockstep; vectors of a tile, at most */
  spk_row_panel_fn paired_rows; /* what runs those; NULL: there are none */
  ptrdiff_t row_panel_rows;     /* at most SPK_ROW_PANEL_ROWS */
  ptrdiff_t blocks, block_rows; /* at most SPK_MAX_BLOCK_ROWS */
} spk_row_panels_shape;

/* Pack A, in CSR and checked. */
spk_status spk_row_panels_pack(const spk_sparse *A, const spk_row_panels_shape *shape,
                               spk_storage storage, int threads, spk_row_panels **made);
void spk_row_panels_free(spk_row_panels *row_panels);
size_t spk_row_panels_bytes(const spk_row_panels *row_panels);

/* The first row panel of a part: parts hold about the same number of entries. */
ptrdiff_t spk_row_panels_part(const spk_row_panels *A, ptrdiff_t part, ptrdiff_t parts);

#endif
