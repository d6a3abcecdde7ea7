#include "chain_plan.h"

/* The vectors of a slice from which on it pays: with fewer, entries cost more in loads of values
 * than is saved between layers (doc/decisions/chain.rst, decision-chain-slices). */
#define MIN_VECTORS 2

ptrdiff_t spk_plan_chain_slices(const spk_row_panels *const *layers, ptrdiff_t count, ptrdiff_t n,
                                int threads) {
  if (count < 2 || threads < 2) return 1;
  ptrdiff_t widest = 1, least = 1, lanes = 1; /* columns */
  for (ptrdiff_t i = 0; i < count; i++) {
    const ptrdiff_t of_layer = layers[i]->kernels->lanes[layers[i]->dtype];
    lanes = spk_max(lanes, of_layer);
    widest = spk_max(widest, layers[i]->vectors * of_layer);
    least = spk_max(least, spk_min(layers[i]->vectors, MIN_VECTORS) * of_layer);
  }
  const ptrdiff_t each = n / threads / lanes * lanes; /* whole vectors, so that no slice is empty */
  return each < least ? 1 : threads * spk_ceil_div(each, widest);
}
