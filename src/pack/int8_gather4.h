/* A matrix of int8, packed for products with matrices of bytes: row panels by blocks of
 * columns, as in row_panels.h, with entries in *groups*: any four columns of a row, or of four
 * neighbouring rows that have enough of them in common (as V x 1 vectors and blocks do), where a
 * row that lacks one has a zero.  What a row, or four, have in a block is an *item*; items of as
 * many groups make a *run*.  Padding is a zero as well, times any row of the panel: whole numbers
 * have no NaN.
 */
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
  ptrdiff_t shared; /* entries of rows that go by four */
  size_t bytes;     /* of all of these: one allocation, which begins with cells */
} spk_int8_gather4_row_panel;

typedef struct spk_int8_gather4 {
  const spk_kernels *kernels;
  ptrdiff_t rows, cols, nnz;
  ptrdiff_t shared;
  ptrdiff_t tile; /* columns of a panel */
  ptrdiff_t row_panel_rows, row_panels;
  ptrdiff_t block_rows, blocks;
  ptrdiff_t *weights; /* row panels + 1: entries and rows before each */
  spk_int8_gather4_row_panel *row_panel;
} spk_int8_gather4;

/* Rows of a row panel, at most. */
#define SPK_INT8_GATHER4_PANEL_ROWS 256

/* How A is cut up: decided by plan/int8_plan.h. */
typedef struct spk_int8_gather4_shape {
  const spk_kernels *kernels;
  ptrdiff_t tile;           /* columns of a panel */
  ptrdiff_t row_panel_rows; /* at most SPK_INT8_GATHER4_PANEL_ROWS */
  ptrdiff_t block_rows, blocks;
  double row_cycles, rows_cycles; /* of a group of one row, and of SPK_INT8_GATHER4_ROWS rows */
} spk_int8_gather4_shape;

/* Pack A, in CSR, sorted and checked. */
spk_status spk_int8_gather4_pack(const spk_sparse *A, const int8_t *values,
                                 const spk_int8_gather4_shape *shape, int threads,
                                 spk_int8_gather4 **made);
void spk_int8_gather4_free(spk_int8_gather4 *packed);
size_t spk_int8_gather4_bytes(const spk_int8_gather4 *packed);

/* The first row panel of a part: parts hold about the same number of entries. */
ptrdiff_t spk_int8_gather4_part(const spk_int8_gather4 *A, ptrdiff_t part, ptrdiff_t parts);

#endif
