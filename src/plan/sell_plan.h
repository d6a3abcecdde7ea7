/* Which matrices are packed in SELL slices, and how a product with them is partitioned. */
#ifndef SPK_PLAN_SELL_PLAN_H
#define SPK_PLAN_SELL_PLAN_H

#include "../pack/sell.h"

/* Whether A, which is in CSR and checked, can be packed in SELL slices whose windows are not mostly
 * empty. */
int spk_sell_suit(const spk_sparse *A, const spk_kernels *kernels);

typedef struct spk_sell_plan {
  int threads;
  ptrdiff_t parts; /* ranges of row panels */
} spk_sell_plan;

void spk_plan_sell(const spk_sell *A, int threads, spk_sell_plan *plan);

#endif
