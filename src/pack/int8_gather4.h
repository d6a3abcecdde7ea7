/* A matrix of int8, packed for products with matrices of bytes.
 *
 * It consists of row panels by blocks of columns, as in row_panels.h.  The entries come in
 * *groups*: any four columns of a row, or of four neighbouring rows that have enough columns in
 * common (as in V x 1 vectors and blocks).  In the latter, a row that lacks a column has a zero.
 * The groups of one row, or of four rows, in a block are an *item*.  Items with the same number of
 * groups make a *run*.  Padding is a zero, too, and meets any row of the panel, because integers
 * have no NaN. */
#ifndef SPK_PACK_INT8_GATHER4_H
#define SPK_PACK_INT8_GATHER4_H

#include "../common/common.h"
#include "../dispatch/dispatch.h"

/* Where a block begins in the arrays of its row panel. */
typedef struct spk_int8_gather4_cell {
  ptrdiff_t run, item, group, value;
} spk_int8_gather4_cell;

typedef struct spk_int8_gather4_row_panel {
  ptrdiff_t rows;
  spk_int8_gather4_cell *cells; /* blocks + 1 */
  spk_int8_gather4_run *runs;
  uint16_t *row_ids, *offsets;
  int8_t *values;
  ptrdiff_t shared; /* entries of items of four rows */
  size_t bytes;     /* of all arrays: they share one allocation, which begins with cells */
} spk_int8_gather4_row_panel;

typedef struct spk_int8_gather4 {
  const spk_kernels *kernels;
  ptrdiff_t rows, cols, nnz;
  ptrdiff_t shared;
  ptrdiff_t tile; /* the columns of a panel of B */
  ptrdiff_t row_panel_rows, row_panels;
  ptrdiff_t block_rows, blocks;
  ptrdiff_t *weights; /* row panels + 1: the entries and rows before each row panel */
  spk_int8_gather4_row_panel *row_panel;
} spk_int8_gather4;

/* The most rows of a row panel. */
#define SPK_INT8_GATHER4_PANEL_ROWS 256

/* How A is cut up; plan/int8_plan.h decides it. */
typedef struct spk_int8_gather4_shape {
  const spk_kernels *kernels;
  ptrdiff_t tile;           /* the columns of a panel of B */
  ptrdiff_t row_panel_rows; /* at most SPK_INT8_GATHER4_PANEL_ROWS */
  ptrdiff_t block_rows, blocks;
  /* the cycles of a group of one row, and of SPK_INT8_GATHER4_ROWS rows */
  double row_cycles, rows_cycles;
} spk_int8_gather4_shape;

/* Pack A, which is in CSR, sorted and checked. */
spk_status spk_int8_gather4_pack(const spk_sparse *A, const int8_t *values,
                                 const spk_int8_gather4_shape *shape, int threads,
                                 spk_int8_gather4 **made);
void spk_int8_gather4_free(spk_int8_gather4 *packed);
size_t spk_int8_gather4_bytes(const spk_int8_gather4 *packed);

/* The first row panel of a part.  Parts hold about the same number of entries. */
ptrdiff_t spk_int8_gather4_part(const spk_int8_gather4 *A, ptrdiff_t part, ptrdiff_t parts);

#endif
