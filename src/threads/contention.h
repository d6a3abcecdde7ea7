/* When a worker that lost its CPU to others may try again.
 *
 * A worker that finds itself disturbed is parked: products do without it.  Probes at growing
 * intervals find out whether its CPU is free, so that their cost stays a small share of the time.
 * If a worker ran undisturbed for longer than it had been parked, the next interval is short again.
 * Each worker is judged by itself, because on many CPUs a CPU that is busy all the time says
 * nothing about the others. */
#ifndef SPK_THREADS_CONTENTION_H
#define SPK_THREADS_CONTENTION_H

#include <stdatomic.h>

#include "../common/common.h"

/* The state of one worker.  It starts as all zeros. */
typedef struct spk_contention {
  _Atomic(int64_t) probe_at; /* no probe before this time; 0: the worker is not parked */
  _Atomic(int64_t) interval, undisturbed_since; /* nanoseconds; 0: never */
} spk_contention;

void spk_contention_reset(spk_contention *c);

/* Park a worker that was disturbed.  `cost` is how long a product waited for it. */
void spk_contention_park(spk_contention *c, int64_t now, int64_t cost);
/* A probe found the worker disturbed again. */
void spk_contention_postpone(spk_contention *c, int64_t now);
/* A probe found the worker undisturbed: it is parked no longer. */
void spk_contention_release(spk_contention *c, int64_t now);
/* Whether the caller is to probe the worker.  It is true for one caller, then false for a while. */
int spk_contention_probe(spk_contention *c, int64_t now);

#endif
