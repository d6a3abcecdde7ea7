/* Sampled products by tiles of 16 rows, for structures whose rows have most columns in common. */
#ifndef SPK_DRIVER_SDDMM_TILES_H
#define SPK_DRIVER_SDDMM_TILES_H

#include "../dispatch/dispatch.h"
#include "../kernels/table.h"
#include "../pack/column_runs.h"

/* Run a task of sddmm_csr by tiles.  Its first row is row `first` of P, a multiple of
 * SPK_TILE_ROWS.  Tiles whose rows have too few columns in common go to the kernel `rows`.
 * `column_runs` are P's own if the task has whole rows, else NULL. */
void spk_sddmm_tiles(const spk_sddmm_task *task, spk_dtype dtype, spk_itype itype,
                     const spk_column_runs *column_runs, ptrdiff_t first, void *scratch,
                     const spk_kernels *kernels, spk_sddmm_fn rows);

#endif
