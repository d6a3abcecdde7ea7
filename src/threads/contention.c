#include "contention.h"

#include "system.h"

/* Between probes, at least and at most; and at most where products lost nothing, as all that a
 * probe takes is a tenth of a millisecond of a CPU: when the machine is idle again, that is seen
 * soon. */
#define SHORTEST (4 * SPK_MILLISECOND)
#define LONGEST (1000 * SPK_MILLISECOND)
#define LONGEST_FOR_PROBES (125 * SPK_MILLISECOND)
/* What a worker cost that was lost in the middle of a task, against the time until the next try: a
 * second thread is worth far more than 6%, and one that is never free costs no more than that. */
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
  /* Undisturbed for longer than it was parked: the next interval is as short as the first.  A
   * virtual machine takes a CPU away for milliseconds some times a second; where every such time
   * made the next interval longer, solvers ran on one thread half of the time. */
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
