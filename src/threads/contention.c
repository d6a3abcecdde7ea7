#include "contention.h"

#include "system.h"

/* The shortest and the longest interval between probes.  LONGEST_FOR_PROBES is the longest interval
 * if products lost nothing.  A probe takes only a tenth of a millisecond of a CPU, so an idle
 * machine is noticed soon (doc/decisions/threads.rst, decision-probe-often). */
#define SHORTEST (4 * SPK_MILLISECOND)
#define LONGEST (1000 * SPK_MILLISECOND)
#define LONGEST_FOR_PROBES (125 * SPK_MILLISECOND)
/* The least ratio of the interval until the next try to the time that products lost by the last
 * one.  A worker that never keeps its CPU costs 1/16, or 6%, of the time at most.  A second thread
 * is worth far more than that. */
#define COST_SHARE 16

void spk_contention_reset(spk_contention *c) {
  atomic_store(&c->probe_at, 0);
  atomic_store(&c->interval, 0);
  atomic_store(&c->undisturbed_since, 0);
}

static void wait_for(spk_contention *c, int64_t now, int64_t interval) {
  atomic_store(&c->interval, interval);
  atomic_store(&c->probe_at, now + interval);
}

void spk_contention_park(spk_contention *c, int64_t now, int64_t cost) {
  int64_t interval = atomic_load(&c->interval);
  /* If the worker ran undisturbed for longer than it was parked, the next interval is as short as
   * the first.  A virtual machine takes a CPU away for milliseconds several times a second.  Where
   * each of these events made the next interval longer, solvers ran on one thread half of the
   * time. */
  const int calm = now - atomic_load(&c->undisturbed_since) > interval;
  interval = calm ? SHORTEST : spk_max(interval, spk_min(2 * interval, LONGEST_FOR_PROBES));
  interval = spk_max(spk_max(interval, SHORTEST), COST_SHARE * cost);
  wait_for(c, now, spk_min(interval, LONGEST));
}

void spk_contention_postpone(spk_contention *c, int64_t now) {
  const int64_t interval = atomic_load(&c->interval);
  atomic_store(&c->undisturbed_since, now);
  wait_for(c, now, spk_max(interval, spk_min(2 * interval, LONGEST_FOR_PROBES)));
}

void spk_contention_release(spk_contention *c, int64_t now) {
  atomic_store(&c->undisturbed_since, now);
  atomic_store(&c->probe_at, 0);
}

int spk_contention_probe(spk_contention *c, int64_t now) {
  int64_t at = atomic_load_explicit(&c->probe_at, memory_order_relaxed);
  if (at == 0 || now < at) return 0;
  const int64_t interval = atomic_load_explicit(&c->interval, memory_order_relaxed);
  return atomic_compare_exchange_strong(&c->probe_at, &at, now + spk_max(interval, SHORTEST));
}
