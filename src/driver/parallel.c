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

/* libgomp keeps its pool of threads across fork(), where they no longer exist: the next region of
 * the child would wait for them forever.  So a child of a process that ran a region is serial. */
static atomic_int ran_region;
static atomic_int serial_only;
static pthread_once_t fork_once = PTHREAD_ONCE_INIT;

static void after_fork_in_child(void) {
  if (atomic_load_explicit(&ran_region, memory_order_relaxed))
    atomic_store_explicit(&serial_only, 1, memory_order_relaxed);
}
static void watch_forks(void) { pthread_atfork(NULL, NULL, after_fork_in_child); }

int spk_choose_threads(int requested, double work) {
  if (atomic_load_explicit(&serial_only, memory_order_relaxed)) return 1;
  if (requested > 0) return requested;
  if (work < 2 * WORK_PER_THREAD) return 1;
  const int most = spk_get_num_threads();
  const double useful = work / WORK_PER_THREAD;
  return useful < most ? (int)useful : most;
}

void spk_parallel_for(ptrdiff_t tasks, int threads, spk_task_fn fn, void *context) {
  if (threads > tasks) threads = (int)tasks;
  if (threads <= 1) {
    for (ptrdiff_t task = 0; task < tasks; task++) fn(context, task, 0);
    return;
  }
  pthread_once(&fork_once, watch_forks);
  atomic_store_explicit(&ran_region, 1, memory_order_relaxed);
#pragma omp parallel for schedule(dynamic, 1) num_threads(threads)
  for (ptrdiff_t task = 0; task < tasks; task++) fn(context, task, omp_get_thread_num());
}

#else

const char *spk_openmp(void) { return NULL; }

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
