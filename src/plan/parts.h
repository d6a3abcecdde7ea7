/* Tiles of about equal width, parts of about equal weight. */
#ifndef SPK_PLAN_PARTS_H
#define SPK_PLAN_PARTS_H

#include "../common.h"

/* Bytes of a panel of B, at most. */
#define SPK_PANEL_MOST ((ptrdiff_t)1 << 20)
/* Tasks per thread of a packed A, at most: enough to even out disturbances. */
#define SPK_TASKS_PER_THREAD 4

/* Columns of a tile: at most `most` vectors, all tiles of n columns of nearly the same number. */
static inline ptrdiff_t spk_tile_of(ptrdiff_t n, ptrdiff_t lanes, ptrdiff_t most) {
  const ptrdiff_t vectors = spk_max(1, spk_ceil_div(n, lanes));
  return spk_ceil_div(vectors, spk_ceil_div(vectors, spk_max(1, most))) * lanes;
}

/* The first of `count` items, all alike, that belongs to part `part` of `parts`. */
static inline ptrdiff_t spk_even_part(ptrdiff_t count, ptrdiff_t part, ptrdiff_t parts) {
  return count / parts * part + spk_min(part, count % parts);
}

/* The first of `count` items that belongs to part `part` of `parts`; before item i lie before[i] of
 * what is counted. */
static inline ptrdiff_t spk_balanced_part(const ptrdiff_t *before, ptrdiff_t count, ptrdiff_t part,
                                          ptrdiff_t parts) {
  const double all = (double)before[count];
  ptrdiff_t low = 0, high = count;
  if (part >= parts) return count;
  while (low < high) {
    const ptrdiff_t middle = low + (high - low) / 2;
    if ((double)before[middle] < all * (double)part / (double)parts)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

#endif
