/* Tiles of about equal width, parts of about equal weight. */
#ifndef SPK_THREADS_PARTITION_H
#define SPK_THREADS_PARTITION_H

#include "../common/common.h"

/* Bytes of a panel of B, at most. */
#define SPK_MAX_PANEL_BYTES ((ptrdiff_t)1 << 20)
/* Tasks per thread of a packed A, at most: enough to even out disturbances. */
#define SPK_TASKS_PER_THREAD 4
/* The time that more tasks may cost. */
#define SPK_ABOUT 1.03

/* Columns of a tile: at most `most` vectors, all tiles of n columns of nearly the same number. */
static inline ptrdiff_t spk_tile_of(ptrdiff_t n, ptrdiff_t lanes, ptrdiff_t most) {
  const ptrdiff_t vectors = spk_max(1, spk_ceil_div(n, lanes));
  return spk_ceil_div(vectors, spk_ceil_div(vectors, spk_max(1, most))) * lanes;
}

/* Into how many parts row panels are dealt out, at least `least`.  Each part packs the panels of a
 * tile again, and threads should end together: the most parts, to even out disturbances, of those
 * that take about the least time.  `row panel`: what one takes; `packing`: what packing a tile's
 * panels does. */
static inline ptrdiff_t spk_choose_partition(ptrdiff_t row_panels, double row_panel, double packing,
                                             ptrdiff_t tiles, ptrdiff_t threads, ptrdiff_t least) {
  const ptrdiff_t most = spk_min(row_panels, spk_max(least, SPK_TASKS_PER_THREAD * threads));
  ptrdiff_t best = spk_max(1, least);
  double best_time = 0;
  for (ptrdiff_t parts = best; threads > 1 && parts <= most; parts++) {
    const double tasks = (double)spk_ceil_div(tiles * parts, threads);
    const double time = tasks * ((double)spk_ceil_div(row_panels, parts) * row_panel + packing);
    if (best_time == 0 || time < SPK_ABOUT * best_time) best = parts;
    if (best_time == 0 || time < best_time) best_time = time;
  }
  return best;
}

/* The first of `count` equal items that belongs to part `part` of `parts`. */
static inline ptrdiff_t spk_partition_even(ptrdiff_t count, ptrdiff_t part, ptrdiff_t parts) {
  return count / parts * part + spk_min(part, count % parts);
}

/* The first of `count` items that belongs to part `part` of `parts`; before item i lie before[i] of
 * what is counted. */
static inline ptrdiff_t spk_partition_balanced(const ptrdiff_t *before, ptrdiff_t count,
                                               ptrdiff_t part, ptrdiff_t parts) {
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
