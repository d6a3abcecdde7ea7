/* How the tasks of a region are dealt out to workers: ranges, of which every worker has one of its
 * own, and from which others take single tasks. */
#ifndef SPK_THREADS_DEAL_H
#define SPK_THREADS_DEAL_H

#include "pool.h"

/* The first of `tasks` tasks that belongs to range `range` of `ranges`. */
static inline ptrdiff_t spk_deal_begin(ptrdiff_t tasks, int ranges, int range) {
  return tasks * range / ranges;
}

/* The next task of phase `phase` for a worker, or -1 if all tasks are taken.  `seats` count the
 * tasks that were taken of each of the `ranges` ranges.  *visited is 0 at first; it counts the
 * ranges that the worker has found to be empty, from its own on. */
static inline ptrdiff_t spk_deal(spk_seat *seats, int phase, ptrdiff_t tasks, int ranges,
                                 int worker, int *visited) {
  for (; *visited < ranges; ++*visited) {
    const int at = worker + *visited, range = at < ranges ? at : at - ranges;
    const ptrdiff_t begin = spk_deal_begin(tasks, ranges, range);
    const ptrdiff_t end = spk_deal_begin(tasks, ranges, range + 1);
    atomic_ptrdiff_t *next = &seats[range].next[phase];
    /* Workers look at many empty ranges in the end.  A look shares the cache line of the range with
     * other workers, and looks at several ranges overlap.  Adding does neither. */
    if (atomic_load_explicit(next, memory_order_relaxed) >= end - begin) continue;
    const ptrdiff_t task = begin + atomic_fetch_add_explicit(next, 1, memory_order_relaxed);
    if (task < end) return task;
  }
  return -1;
}

#endif
