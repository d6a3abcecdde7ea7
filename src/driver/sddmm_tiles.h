/* Sampled products by tiles of 16 rows, where rows of a pattern have most columns in common. */
#ifndef SPK_DRIVER_SDDMM_TILES_H
#define SPK_DRIVER_SDDMM_TILES_H

#include "../dispatch/dispatch.h"
#include "../kernels/table.h"
#include "../pack/column_runs.h"

/* As a task of sddmm_csr, whose first row is row `first` of P, a multiple of SPK_TILE_ROWS.  Tiles
 * that have too little in common go to `rows`.  `column_runs`: P's own, if its rows are whole, or
 * NULL.
 */
void spk_sddmm_tiles(const spk_sddmm_task *task, spk_dtype dtype, spk_itype itype,
                     const spk_column_runs *column_runs, ptrdiff_t first, void *scratch,
                     const spk_kernels *kernels, spk_sddmm_fn rows);

#endif
