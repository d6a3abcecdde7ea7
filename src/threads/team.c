#include "team.h"

#include <pthread.h>
#include <stdatomic.h>

#include "contention.h"
#include "system.h"

/* A region that waits longer than this, and longer than it worked, waits for a thread that has lost
 * its CPU.  To start or wake the threads of a team takes less. */
#define LATE (500 * SPK_MICROSECOND)

static _Thread_local spk_team lent;
/* Whether the thread is the one that a fork left in the child.  The other threads of its team are
 * missing there, and an OpenMP library would wait for them. */
static _Thread_local int is_forked;

/* OpenMP waits at the end of a region for all threads, those without a task included.  Where other
 * programs use the CPUs, a region of 20 microseconds was seen to take 8 milliseconds, two time
 * slices (doc/decisions/threads.rst, decision-lent-team).  So teams that were disturbed are left
 * alone for a while.  All teams share this state, as they share the CPUs. */
static spk_contention contention;
static atomic_size_t contended;

static void note_fork(void) {
  is_forked = 1;
  spk_contention_reset(&contention);
}

void spk_team_init(void) { pthread_atfork(NULL, NULL, note_fork); }

void spk_team_set(const spk_team *team) { lent = team ? *team : (spk_team){0}; }

const spk_team *spk_team_find(void) { return lent.threads > 1 && !is_forked ? &lent : NULL; }

size_t spk_team_contended(void) { return atomic_load_explicit(&contended, memory_order_relaxed); }

int spk_team_is_of_use(void) {
  const int64_t at = atomic_load_explicit(&contention.probe_at, memory_order_relaxed);
  return at == 0 || spk_now() >= at;
}

typedef struct member_region {
  const spk_team *team;
  int threads;
  void (*fn)(void *, int);
  void *context;
  int64_t end;     /* when the caller had done its part */
  atomic_int left; /* threads that are done */
} member_region;

/* The part of one thread.  `left` orders what the caller and the others write, as a tool that looks
 * for data races does not see the barriers of another library. */
static void run_member(void *data) {
  member_region *r = data;
  atomic_load_explicit(&r->left, memory_order_acquire);
  const int number = r->team->thread_num();
  if (number < r->threads) r->fn(r->context, number);
  if (number == 0) r->end = spk_now();
  atomic_fetch_add_explicit(&r->left, 1, memory_order_acq_rel);
}

static void judge(int64_t begin, int64_t end, int64_t now) {
  const int64_t waited = now - end;
  if (waited > LATE && waited > end - begin) {
    atomic_fetch_add_explicit(&contended, 1, memory_order_relaxed);
    spk_contention_park(&contention, now, waited);
  } else if (atomic_load_explicit(&contention.probe_at, memory_order_relaxed) != 0) {
    spk_contention_release(&contention, now);
  }
}

int spk_team_run(const spk_team *team, int threads, void (*fn)(void *, int), void *context) {
  member_region r = {.team = team, .threads = threads, .fn = fn, .context = context};
  const int64_t begin = spk_now();
  if (atomic_load_explicit(&contention.probe_at, memory_order_relaxed) != 0 &&
      !spk_contention_probe(&contention, begin))
    return 0;
  atomic_store_explicit(&r.left, 0, memory_order_release);
  /* A region always has all threads of the team.  An OpenMP library ends those that a smaller
   * region has no use for, and would start them again for the next region of its owner. */
  team->parallel(run_member, &r, (unsigned)team->threads, 0);
  atomic_load_explicit(&r.left, memory_order_acquire);
  judge(begin, r.end, spk_now());
  return 1;
}
