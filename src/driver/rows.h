/* Partitions the rows of a sparse matrix by the entries that they hold. */
#ifndef SPK_DRIVER_ROWS_H
#define SPK_DRIVER_ROWS_H

#include "../common/common.h"

/* The first row of part `part` of `parts` of rows [first, last).  Parts hold about the same number
 * of entries plus rows, because an empty row is written, too.  A is CSR, BSR (rows are block rows)
 * or COO sorted by row. */
ptrdiff_t spk_partition_begin(const spk_sparse *A, ptrdiff_t first, ptrdiff_t last, ptrdiff_t part,
                              ptrdiff_t parts);

/* The last - first + 1 offsets of rows [first, last): A's own, or for COO written to `space`. */
const void *spk_row_offsets(const spk_sparse *A, ptrdiff_t first, ptrdiff_t last, void *space);

/* The number of rows (block rows) to partition. */
static inline ptrdiff_t spk_outer_rows(const spk_sparse *A) { return A->rows / A->block_rows; }

#endif
