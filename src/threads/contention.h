/* When a worker that lost its CPU to others may try again.
 *
 * A worker that finds itself disturbed is parked: products do without it.  It is probed at growing
 * intervals, so that what trying costs stays a small part of the time, and soon again where it ran
 * undisturbed for longer than it had been parked.  Each worker is judged by itself: on many CPUs,
 * the one that is busy all the time says nothing about the others. */
#ifndef SPK_THREADS_CONTENTION_H
#define SPK_THREADS_CONTENTION_H

#include <stdatomic.h>

#include "../common/common.h"

/* Of one worker; all zeros at first. */
typedef struct spk_contention {
  _Atomic(int64_t) probe_at;                    /* not before this time; 0: it is not parked */
  _Atomic(int64_t) interval, undisturbed_since; /* nanoseconds; 0: never */
} spk_contention;

void spk_contention_reset(spk_contention *c);

/* The worker, not parked, was disturbed; a product waited so long for it. */
void spk_contention_park(spk_contention *c, int64_t now, int64_t cost);
/* It was probed, and was disturbed again. */
void spk_contention_postpone(spk_contention *c, int64_t now);
/* It was probed, and was not: it is not parked any more. */
void spk_contention_release(spk_contention *c, int64_t now);
/* Whether the caller is to probe it: true for one caller, then not for a while. */
int spk_contention_probe(spk_contention *c, int64_t now);

#endif
