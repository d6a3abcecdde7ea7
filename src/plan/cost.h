/* What our own kernels take, in cycles of one core: the model that plans and predictions rest on.
 *
 * Rough, for ratios between kernels and between heights of blocks; `prepare` measures on top. */
#ifndef SPK_PLAN_COST_H
#define SPK_PLAN_COST_H

#include "../common/common.h"
#include "../dispatch/dispatch.h"

/* The share of loads that find their line in L2 and not in L1, where rows of A use `bytes` of B. */
double spk_missing(double bytes, const spk_machine *machine);

/* A row of A in row panels of `kernels` against a tile of `vectors` vectors, with blocks of `block`
 * rows; `shared`: the share of entries that wait for no load of B, as other rows use it too. */
double spk_row_panel_row_cost(const spk_sparse *A, double shared, ptrdiff_t block,
                              ptrdiff_t vectors, const spk_kernels *kernels,
                              const spk_machine *machine);

/* Times that a row of B must be read for its copy into an aligned panel to pay, with n columns. */
double spk_panel_reads(ptrdiff_t n, ptrdiff_t lanes);

/* Sampled products.  In cycles, from Zen 4: what an entry of a lone row takes, by k and besides;
 * what a column of a tile takes besides one per element, a run, and a tile by k and besides. */
#define SPK_SDDMM_ENTRY_K 0.165
#define SPK_SDDMM_ENTRY 1.0
#define SPK_SDDMM_COLUMN 8.0
#define SPK_SDDMM_RUN 45.0
#define SPK_SDDMM_TILE_K 8.0
#define SPK_SDDMM_TILE 300.0

/* int8_gather4.  Cycles (Zen 5, AVX-512 with VNNI, 64 columns): a group of one row and of four,
 * measured in a loop of their own.  The rest is reckoned, not measured: four lines from L2 at 32
 * bytes a cycle; sums of a row of a block that come and go; a row of a panel that is ordered. */
#define SPK_INT8_GROUP_CYCLES 4.2
#define SPK_INT8_GROUP4_CYCLES 8.6
#define SPK_INT8_GROUP_CYCLES_L2 8.0
#define SPK_INT8_ROW_CYCLES 12.0
#define SPK_INT8_PANEL_ROW_CYCLES 4.0

#endif
