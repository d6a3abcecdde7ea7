/* What products take, predicted from shapes and the machine: cycles of one core.
 *
 * Rough, for ratios between kernels and between heights of blocks; `prepare` measures on top. */
#ifndef SPK_PLAN_COST_H
#define SPK_PLAN_COST_H

#include "../common/common.h"
#include "../dispatch/dispatch.h"

/* A x n dense columns; of A only shape, dtype, flags and number of entries are read.  Infinite
 * where A is too sparse for it. */
double spk_cost(const spk_sparse *A, ptrdiff_t n, spk_strategy strategy, const spk_kernels *kernels,
                const spk_machine *machine);

/* A row of A in row panels of `kernels` against a tile of `vectors` vectors, with blocks of `block`
 * rows; `shared`: the share of entries that wait for no load of B, as other rows use it too. */
double spk_row_panel_row_cost(const spk_sparse *A, double shared, ptrdiff_t block,
                              ptrdiff_t vectors, const spk_kernels *kernels,
                              const spk_machine *machine);

#endif
