#include "parallel.h"

#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>

#ifdef _OPENMP
#include <omp.h>
#endif

/* Below this many multiply-adds per thread, waking one costs more than it saves: a region costs
 * 1 - 5 microseconds, in which one core does some 30,000 multiply-adds. */
#define WORK_PER_THREAD 40000.0

static atomic_int user_threads; /* spk_set_num_threads; 0: not set */
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
static int most_threads(void) {
  const int many = 4 * omp_get_num_procs() > 64 ? 4 * omp_get_num_procs() : 64;
  return many < omp_get_thread_limit() ? many : omp_get_thread_limit();
}

int spk_choose_threads(int requested, double work) {
  if (requested > 0) return requested < most_threads() ? requested : most_threads();
  if (work < 2 * WORK_PER_THREAD) return 1;
  const int most = spk_get_num_threads();
  const double useful = work / WORK_PER_THREAD;
  const int threads = useful < most ? (int)useful : most;
  return threads < most_threads() ? threads : most_threads();
}

typedef struct region {
  ptrdiff_t tasks;
  int threads;
  spk_task_fn fn;
  void *context;
} region;

static void *run_region(void *argument) {
  const region *r = argument;
#pragma omp parallel for schedule(dynamic, 1) num_threads(r->threads)
  for (ptrdiff_t task = 0; task < r->tasks; task++) r->fn(r->context, task, omp_get_thread_num());
  return NULL;
}

void spk_parallel_for(ptrdiff_t tasks, int threads, spk_task_fn fn, void *context) {
  region r = {tasks, threads < tasks ? threads : (int)tasks, fn, context};
  pthread_t starter;
  if (r.threads > 1 && !atomic_load_explicit(&forked, memory_order_relaxed)) {
    run_region(&r);
  } else if (r.threads > 1 && pthread_create(&starter, NULL, run_region, &r) == 0) {
    pthread_join(starter, NULL);
  } else {
    for (ptrdiff_t task = 0; task < tasks; task++) fn(context, task, 0);
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

void spk_parallel_for(ptrdiff_t tasks, int threads, spk_task_fn fn, void *context) {
  (void)threads;
  for (ptrdiff_t task = 0; task < tasks; task++) fn(context, task, 0);
}

#endif
