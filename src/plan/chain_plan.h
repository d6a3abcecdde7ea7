/* How many slices of columns go through layers in row panels one after the other. */
#ifndef SPK_PLAN_CHAIN_PLAN_H
#define SPK_PLAN_CHAIN_PLAN_H

#include "../pack/row_panels.h"

/* The number of slices that `threads` threads take through `count` layers; 1 if all threads share
 * each layer. */
ptrdiff_t spk_plan_chain_slices(const spk_row_panels *const *layers, ptrdiff_t count, ptrdiff_t n,
                                int threads);

#endif
