/* When workers that lost their CPU to others may try again.
 *
 * A worker that finds itself disturbed is parked: products do without it.  It is probed at growing
 * intervals, so that what trying costs stays a small part of the time, and soon again where it was
 * undisturbed for long. */
#ifndef SPK_DRIVER_CONTENTION_H
#define SPK_DRIVER_CONTENTION_H

#include <stdatomic.h>

#include "../common.h"

typedef struct spk_contention {
  atomic_int parked;                            /* workers */
  _Atomic(int64_t) probe_at;                    /* not before this time */
  _Atomic(int64_t) interval, undisturbed_since; /* nanoseconds; 0: never */
} spk_contention;

void spk_contention_reset(spk_contention *c);

/* A worker, not parked, was disturbed; a product waited so long for it. */
void spk_contention_park(spk_contention *c, int64_t now, int64_t cost);
/* A parked worker was probed, and was disturbed again. */
void spk_contention_postpone(spk_contention *c, int64_t now);
/* A parked worker was probed, and was not. */
void spk_contention_release(spk_contention *c, int64_t now);
/* Whether the caller is to probe a parked worker: true for one caller, then not for a while. */
int spk_contention_probe(spk_contention *c, int64_t now);

#endif
