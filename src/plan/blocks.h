/* How many rows of B a block has.  They should stay in a cache while the rows of A use them. */
#ifndef SPK_PLAN_BLOCKS_H
#define SPK_PLAN_BLOCKS_H

#include "../dispatch/dispatch.h"

/* The fewest rows of a row panel.  A panel is that low only if some threads would have none
 * otherwise. */
#define SPK_MIN_ROW_PANEL_ROWS 64
/* The cells (a row panel in a block) beyond one per entry that a matrix may have. */
#define SPK_MAX_EMPTY_CELLS 4096.0

/* The height of row panels that are at most `height` high, nearly all equal, and dealt out to the
 * threads without a rest.  1040 rows are 6 row panels of 176 rows for two threads, and not 4 of 256
 * and one of 16: products with 8 columns took 17.9 us instead of 13.9 (Zen 5, 90% sparse). */
ptrdiff_t spk_even_row_panels(ptrdiff_t rows, ptrdiff_t height, ptrdiff_t threads);
/* For row panels: the number of rows with the least cost by the model.  `shared` is the share of
 * A's entries whose rows have the same columns as their neighbours. */
ptrdiff_t spk_row_panels_block(const spk_sparse *A, double shared, ptrdiff_t vectors,
                               const spk_kernels *kernels, const spk_machine *machine);
/* For int8_gather4 with panels of `tile` columns. */
ptrdiff_t spk_int8_gather4_block(const spk_sparse *A, ptrdiff_t tile, const spk_machine *machine);

#endif
