#include "parallel.h"

#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>

#ifdef _OPENMP
#include <omp.h>

#include "placement.h"
#include "pool.h"
#include "threads.h"
#endif

/* Below this many multiply-adds per thread, waking one costs more than it saves: a region costs
 * 1 - 5 microseconds, in which one core does some 30,000 multiply-adds. */
#define WORK_PER_THREAD 40000.0

static atomic_int user_threads;  /* spk_set_num_threads; 0: not set */
static atomic_int limit_threads; /* affinity and cgroup; 0: none */

int spk_get_num_threads(void) {
  const int set = atomic_load_explicit(&user_threads, memory_order_relaxed);
  if (set > 0) return set;
#ifdef _OPENMP
  const int limit = atomic_load_explicit(&limit_threads, memory_order_relaxed);
  /* Asked anew at every call, so that threadpoolctl's limits hold. */
  const int openmp = omp_get_max_threads();
  return limit > 0 && limit < openmp ? limit : openmp;
#else
  return 1;
#endif
}

void spk_set_num_threads(int threads) {
  atomic_store_explicit(&user_threads, threads > 0 ? threads : 0, memory_order_relaxed);
}

void spk_limit_threads(int limit) {
  atomic_store_explicit(&limit_threads, limit > 0 ? limit : 0, memory_order_relaxed);
}

static void run_serially(spk_phase phase, void *context) {
  for (ptrdiff_t task = 0; task < phase.tasks; task++) phase.fn(context, task, 0);
}

#ifdef _OPENMP

#define SPK_STR_(x) #x
#define SPK_STR(x) SPK_STR_(x)
const char *spk_openmp(void) { return SPK_STR(_OPENMP); }

/* libgomp keeps its pool of threads, which belongs to the thread that ran the region, across
 * fork(), where the pool's threads no longer exist: the next region of the child would wait for
 * them forever, also where it was another user of the same libgomp who ran the first one.  So a
 * child starts threads of its own for each region. */
static atomic_int forked;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void after_fork_in_child(void) { atomic_store_explicit(&forked, 1, memory_order_relaxed); }

static void prepare(void) {
  pthread_atfork(NULL, NULL, after_fork_in_child);
  spk_pool_init();
}

void spk_parallel_init(void) { pthread_once(&once, prepare); }

/* Asked once: libgomp makes a system call of it. */
static int most_threads(void) {
  static atomic_int known;
  int most = atomic_load_explicit(&known, memory_order_relaxed);
  if (most == 0) {
    const ptrdiff_t many = spk_max(64, 4 * omp_get_num_procs());
    most = (int)spk_min(spk_min(many, SPK_MOST_THREADS), omp_get_thread_limit());
    atomic_store_explicit(&known, most, memory_order_relaxed);
  }
  return most;
}

int spk_choose_threads(int requested, double work) {
  if (requested > 0) return requested < most_threads() ? requested : most_threads();
  if (work < 2 * WORK_PER_THREAD) return 1;
  const int most =
      requested < 0 ? (int)-spk_max(requested, -SPK_MOST_THREADS) : spk_get_num_threads();
  const double useful = work / WORK_PER_THREAD;
  const int threads = useful < most ? (int)useful : most;
  return threads < most_threads() ? threads : most_threads();
}

typedef struct region {
  spk_phase phases[2];
  int threads; /* for which there are ranges of tasks; no more of them run */
  void *context;
  spk_counter *counters;       /* threads for each phase */
  spk_pool *pool;              /* whose threads run it, if OpenMP does */
  atomic_ptrdiff_t first_done; /* tasks of the first phase */
  atomic_int arrived;          /* workers */
  spk_places places;
} region;

static void run_tasks(region *r, int phase, int worker, int ranges) {
  const ptrdiff_t tasks = r->phases[phase].tasks;
  spk_counter *counters = r->counters + (ptrdiff_t)phase * r->threads;
  for (int w = 0; w < ranges; w++) {
    const int range = worker + w < ranges ? worker + w : worker + w - ranges;
    const ptrdiff_t begin = tasks * range / ranges, end = tasks * (range + 1) / ranges;
    for (;;) {
      const ptrdiff_t task =
          begin + atomic_fetch_add_explicit(&counters[range].next, 1, memory_order_relaxed);
      if (task >= end) break;
      r->phases[phase].fn(r->context, task, worker);
      if (phase == 0) atomic_fetch_add_explicit(&r->first_done, 1, memory_order_release);
    }
  }
}

/* Looks at what is waited for before the CPU is offered to others. */
#define LOOKS 200
/* Offers of the CPU to workers that have yet to begin. */
#define OFFERS 1000

/* Not a barrier: who has yet to begin is not waited for, as others do its tasks. */
static void await_first_phase(region *r) {
  for (int looks = 0;
       atomic_load_explicit(&r->first_done, memory_order_acquire) < r->phases[0].tasks; looks++)
    if (looks >= LOOKS) spk_yield();
}

static void run_worker(region *r, int worker, int ranges) {
  if (worker > 0) spk_take_place(&r->places);
  if (r->phases[0].tasks > 0) {
    run_tasks(r, 0, worker, ranges);
    await_first_phase(r);
  }
  run_tasks(r, 1, worker, ranges);
}

static void run_by_openmp(region *r) {
#pragma omp parallel num_threads(r->threads)
  {
    /* Fewer than asked for at the limits of OpenMP. */
    const int worker = omp_get_thread_num(), workers = omp_get_num_threads();
    if (worker > 0)
      spk_pool_join(r->pool);
    else
      r->pool->last = workers;
    atomic_fetch_add_explicit(&r->arrived, 1, memory_order_relaxed);
    run_worker(r, worker, workers);
    /* The end of the region waits for all workers.  One may be queued behind this very thread, and
     * would stay there for as long as libgomp spins. */
    for (int i = 0; i < OFFERS; i++) {
      if (atomic_load_explicit(&r->arrived, memory_order_relaxed) >= workers) break;
      spk_yield();
    }
  }
}

static void run_one_of_threads(void *context, int worker) {
  region *r = context;
  run_worker(r, worker, r->threads);
}

/* A region in one of the caller's gets one thread if OpenMP says so, else threads of its own, as
 * OpenMP would start new ones as well, and end the process if that fails. */
static int is_alone(void) {
  return omp_get_level() > 0 && omp_get_active_level() >= omp_get_max_active_levels();
}

void spk_parallel(int threads, spk_phase first, spk_phase second, void *context) {
  threads = (int)spk_min(spk_min(threads, most_threads()), spk_max(first.tasks, second.tasks));
  if (threads > 1) spk_parallel_init();
  spk_pool *pool = threads > 1 && !is_alone() ? spk_pool_of_thread(most_threads()) : NULL;
  const int starts = omp_get_level() > 0 || atomic_load_explicit(&forked, memory_order_relaxed);
  if (pool && !starts) threads = spk_pool_provide(pool, threads);
  if (!pool || threads <= 1) {
    run_serially(first, context);
    run_serially(second, context);
    return;
  }
  region r = {.phases = {first, second},
              .threads = threads,
              .context = context,
              .counters = pool->counters,
              .pool = pool};
  for (int i = 0; i < 2 * threads; i++) atomic_init(&r.counters[i].next, 0);
  atomic_init(&r.first_done, 0);
  atomic_init(&r.arrived, 0);
  spk_places_init(&r.places);
  spk_take_place(&r.places);
  if (starts)
    spk_run_on_threads(threads, run_one_of_threads, &r);
  else
    run_by_openmp(&r);
}

#else

const char *spk_openmp(void) { return NULL; }

void spk_parallel_init(void) {}

int spk_choose_threads(int requested, double work) {
  (void)requested;
  (void)work;
  return 1;
}

void spk_parallel(int threads, spk_phase first, spk_phase second, void *context) {
  (void)threads;
  run_serially(first, context);
  run_serially(second, context);
}

#endif
