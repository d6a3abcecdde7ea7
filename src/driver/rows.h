/* Rows of a sparse matrix dealt out by the entries they hold. */
#ifndef SPK_DRIVER_ROWS_H
#define SPK_DRIVER_ROWS_H

#include "../common/common.h"

/* The first row of part `part` of `parts` of rows [first, last): parts hold about the same number
 * of entries, where an empty row counts as one (it is written too).  A: CSR, BSR (rows are block
 * rows) or COO sorted by row. */
ptrdiff_t spk_partition_begin(const spk_sparse *A, ptrdiff_t first, ptrdiff_t last, ptrdiff_t part,
                              ptrdiff_t parts);

/* Offsets of rows [first, last), last - first + 1 of them: A's own, or for COO written to space. */
const void *spk_row_offsets(const spk_sparse *A, ptrdiff_t first, ptrdiff_t last, void *space);

/* How many rows (block rows) there are to deal out. */
static inline ptrdiff_t spk_outer_rows(const spk_sparse *A) { return A->rows / A->block_rows; }

#endif
