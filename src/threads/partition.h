/* Cuts columns into tiles of about equal width, and rows into parts of about equal weight. */
#ifndef SPK_THREADS_PARTITION_H
#define SPK_THREADS_PARTITION_H

#include "../common/common.h"

/* The most bytes of a panel of B. */
#define SPK_MAX_PANEL_BYTES ((ptrdiff_t)1 << 20)
/* The most tasks per thread of a packed A.  This number suffices to even out disturbances. */
#define SPK_TASKS_PER_THREAD 4
/* The factor by which more tasks may lengthen the predicted time. */
#define SPK_ABOUT 1.03

/* Columns of a tile of at most `most` vectors.  All tiles of n columns have nearly the same
 * width. */
static inline ptrdiff_t spk_tile_of(ptrdiff_t n, ptrdiff_t lanes, ptrdiff_t most) {
  const ptrdiff_t vectors = spk_max(1, spk_ceil_div(n, lanes));
  return spk_ceil_div(vectors, spk_ceil_div(vectors, spk_max(1, most))) * lanes;
}

/* The number of parts, at least `least`, that row panels are partitioned into.  Each part packs the
 * panels of a tile again, so few parts pack less.  Many parts even out disturbances, so that
 * threads end together.  The result is the largest number of parts among those that take about the
 * least time.  `row_panel` is the time of a row panel, and `packing` the time of packing the panels
 * of a tile. */
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

/* The first of `count` items that belongs to part `part` of `parts`.  before[i] is the weight of
 * all items before item i.  Parts begin at the item that is nearest to their share: four row panels
 * of nearly equal weight are one part each, whatever the differences.  Where each part began at the
 * first item at or behind its share, two threads often had three panels and one, and products took
 * 1.5 times as long. */
static inline ptrdiff_t spk_partition_balanced(const ptrdiff_t *before, ptrdiff_t count,
                                               ptrdiff_t part, ptrdiff_t parts) {
  const double share = (double)before[count] * (double)part / (double)parts;
  ptrdiff_t low = 0, high = count;
  if (part >= parts) return count;
  while (low < high) {
    const ptrdiff_t middle = low + (high - low) / 2;
    if ((double)before[middle] < share)
      low = middle + 1;
    else
      high = middle;
  }
  if (low > 0 && share - (double)before[low - 1] < (double)before[low] - share) low--;
  return low;
}

#endif
