#include "parallel.h"

#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>

#ifdef _OPENMP
#include <omp.h>

#include "placement.h"
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
 * them forever, also where it was another user of the same libgomp who ran the first one.  A new
 * thread has no pool yet, so a child runs its regions from one. */
static atomic_int forked;
static pthread_once_t fork_once = PTHREAD_ONCE_INIT;

static void after_fork_in_child(void) { atomic_store_explicit(&forked, 1, memory_order_relaxed); }
static void watch_forks(void) { pthread_atfork(NULL, NULL, after_fork_in_child); }

void spk_parallel_init(void) { pthread_once(&fork_once, watch_forks); }

/* More threads than this only cost memory; a request for a million would end the process. */
#define MOST_THREADS 256

/* Asked once: libgomp makes a system call of it. */
static int most_threads(void) {
  static atomic_int known;
  int most = atomic_load_explicit(&known, memory_order_relaxed);
  if (most == 0) {
    const ptrdiff_t many = spk_max(64, 4 * omp_get_num_procs());
    most = (int)spk_min(spk_min(many, MOST_THREADS), omp_get_thread_limit());
    atomic_store_explicit(&known, most, memory_order_relaxed);
  }
  return most;
}

int spk_choose_threads(int requested, double work) {
  if (requested > 0) return requested < most_threads() ? requested : most_threads();
  if (work < 2 * WORK_PER_THREAD) return 1;
  const int most = requested < 0 ? (int)-spk_max(requested, -MOST_THREADS) : spk_get_num_threads();
  const double useful = work / WORK_PER_THREAD;
  const int threads = useful < most ? (int)useful : most;
  return threads < most_threads() ? threads : most_threads();
}

/* The next task of each worker's range, each on a cache line of its own. */
typedef struct counter {
  _Alignas(SPK_ALIGN) atomic_ptrdiff_t next;
} counter;

typedef struct region {
  spk_phase phases[2];
  int threads;
  void *context;
  counter *counters;           /* threads for each phase */
  atomic_ptrdiff_t first_done; /* tasks of the first phase */
  atomic_int arrived;          /* workers */
  spk_places places;
} region;

static void run_tasks(region *r, int phase, int worker, int workers) {
  const ptrdiff_t tasks = r->phases[phase].tasks;
  counter *counters = r->counters + (ptrdiff_t)phase * r->threads;
  for (int w = 0; w < workers; w++) {
    const int range = worker + w < workers ? worker + w : worker + w - workers;
    const ptrdiff_t begin = tasks * range / workers, end = tasks * (range + 1) / workers;
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

static void *run_region(void *argument) {
  region *r = argument;
  spk_take_place(&r->places);
#pragma omp parallel num_threads(r->threads)
  {
    /* Fewer than asked for inside a region of the caller's, or at the limits of the system. */
    const int worker = omp_get_thread_num(), workers = omp_get_num_threads();
    if (worker > 0) spk_take_place(&r->places);
    atomic_fetch_add_explicit(&r->arrived, 1, memory_order_relaxed);
    if (r->phases[0].tasks > 0) {
      run_tasks(r, 0, worker, workers);
      await_first_phase(r);
    }
    run_tasks(r, 1, worker, workers);
    /* The end of the region waits for all workers.  One may be queued behind this very thread, and
     * would stay there for as long as libgomp spins. */
    for (int i = 0; i < OFFERS; i++) {
      if (atomic_load_explicit(&r->arrived, memory_order_relaxed) >= workers) break;
      spk_yield();
    }
  }
  return NULL;
}

void spk_parallel(int threads, spk_phase first, spk_phase second, void *context) {
  const ptrdiff_t most = spk_max(first.tasks, second.tasks);
  counter counters[2 * MOST_THREADS];
  region r = {.phases = {first, second},
              .threads = threads < most ? threads : (int)most,
              .context = context,
              .counters = counters};
  pthread_t starter;
  if (r.threads <= 1) {
    run_serially(first, context);
    run_serially(second, context);
    return;
  }
  for (int i = 0; i < 2 * r.threads; i++) atomic_init(&counters[i].next, 0);
  atomic_init(&r.first_done, 0);
  atomic_init(&r.arrived, 0);
  spk_places_init(&r.places);
  if (!atomic_load_explicit(&forked, memory_order_relaxed)) {
    run_region(&r);
  } else if (pthread_create(&starter, NULL, run_region, &r) == 0) {
    pthread_join(starter, NULL);
  } else {
    run_serially(first, context);
    run_serially(second, context);
  }
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
