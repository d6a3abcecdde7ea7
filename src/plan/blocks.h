/* How many rows of B a block has: those that stay in a cache while the rows of A use them. */
#ifndef SPK_PLAN_BLOCKS_H
#define SPK_PLAN_BLOCKS_H

#include "../dispatch/dispatch.h"

/* Of row panels: the rows of a block that the model says are best, where that share of A's entries
 * is of rows that have the same columns. */
ptrdiff_t spk_row_panels_block(const spk_sparse *A, double shared, ptrdiff_t vectors,
                               const spk_kernels *kernels, const spk_machine *machine);
/* Of int8_gather4, with panels of `tile` columns. */
ptrdiff_t spk_int8_gather4_block(const spk_sparse *A, ptrdiff_t tile, const spk_machine *machine);

#endif
