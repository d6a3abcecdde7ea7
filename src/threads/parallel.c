#include "parallel.h"

#include <stdatomic.h>

#ifdef _OPENMP
#include <omp.h>
#include <pthread.h>
#include <stdlib.h>

#include "affinity.h"
#include "deal.h"
#include "pool.h"
#include "system.h"
#include "team.h"
#endif

/* Multiply-adds per thread below which a second thread costs more than it saves.  Two threads that
 * are awake are as fast as one at 90,000 multiply-adds, which take 10 microseconds (Zen 4, CSR, 8
 * columns). */
#define WORK_PER_THREAD 40000.0
/* Multiply-adds from which on it pays to wake a thread.  The caller loses 8 microseconds, and the
 * thread comes after 15 (Zen 4, two virtual CPUs).  One core does about 170,000 multiply-adds in
 * that time. */
#define WAKE_WORK 400000.0
/* Multiply-adds, about 20 milliseconds on one thread, from which on all threads are used even if
 * the machine is busy.  A time slice that one of the threads loses is short against what they
 * save. */
#define LONG_WORK 2e8

static atomic_int user_threads;  /* set by spk_set_default_threads; 0: not set */
static atomic_int limit_threads; /* the limit of affinity and cgroup; 0: none */

int spk_default_threads(void) {
  const int set = atomic_load_explicit(&user_threads, memory_order_relaxed);
  if (set > 0) return set;
#ifdef _OPENMP
  const int limit = atomic_load_explicit(&limit_threads, memory_order_relaxed);
  /* OpenMP is asked at every call, so that the limits of threadpoolctl hold. */
  const int openmp = omp_get_max_threads();
  return limit > 0 && limit < openmp ? limit : openmp;
#else
  return 1;
#endif
}

void spk_set_default_threads(int threads) {
  atomic_store_explicit(&user_threads, threads > 0 ? threads : 0, memory_order_relaxed);
}

void spk_limit_default_threads(int limit) {
  atomic_store_explicit(&limit_threads, limit > 0 ? limit : 0, memory_order_relaxed);
}

static void run_serially(spk_phase phase, void *context) {
  for (ptrdiff_t task = 0; task < phase.tasks; task++) phase.fn(context, task, 0);
}

#ifdef _OPENMP

#define SPK_STR_(x) #x
#define SPK_STR(x) SPK_STR_(x)
const char *spk_openmp_version(void) { return SPK_STR(_OPENMP); }

/* The CPUs of OpenMP's places if OpenMP binds threads, else NULL.  The calling thread is then bound
 * to one of these CPUs, and workers must not inherit that. */
static const spk_cpus *bound_cpus(void) {
  static spk_cpus cpus;
  const int binds = omp_get_proc_bind() != omp_proc_bind_false;
  const int places = binds ? omp_get_num_places() : 0;
  for (int place = 0; place < places; place++) {
    const int count = omp_get_place_num_procs(place);
    int *ids = malloc((size_t)spk_max(1, count) * sizeof *ids);
    if (!ids) return NULL;
    omp_get_place_proc_ids(place, ids);
    for (int i = 0; i < count; i++) spk_cpus_add(&cpus, ids[i]);
    free(ids);
  }
  return places > 0 ? &cpus : NULL;
}

static void init(void) {
  spk_pool_init(bound_cpus());
  spk_team_init();
}

void spk_parallel_init(void) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, init);
}

void spk_set_team(const spk_team *team) {
  spk_parallel_init();
  spk_team_set(team);
}

size_t spk_parallel_contended(void) { return spk_pool_contended() + spk_team_contended(); }

/* The answer is kept, because libgomp makes a system call for it (doc/decisions/threads.rst,
 * decision-processors-once). */
static int most_threads(void) {
  static atomic_int known;
  int most = atomic_load_explicit(&known, memory_order_relaxed);
  if (most == 0) {
    const ptrdiff_t many = spk_max(64, 4 * omp_get_num_procs());
    most = (int)spk_min(spk_min(many, SPK_MAX_THREADS), omp_get_thread_limit());
    atomic_store_explicit(&known, most, memory_order_relaxed);
  }
  return most;
}

/* The team that a region of `threads` threads runs on, or NULL: it runs on the pool. */
static const spk_team *find_team(int threads) {
  const spk_team *team = spk_team_find();
  return team && threads <= team->threads && spk_team_is_of_use() ? team : NULL;
}

/* Whether the caller is inside a region of its team, whose other threads are busy then. */
static int is_inside_team(void) {
  const spk_team *team = spk_team_find();
  return team && team->in_parallel();
}

int spk_choose_threads(int requested, double work) {
  if (requested > 0) return requested < most_threads() ? requested : most_threads();
  if (work < 2 * WORK_PER_THREAD) return 1;
  const int most =
      requested < 0 ? (int)-spk_max(requested, -SPK_MAX_THREADS) : spk_default_threads();
  const double useful = work / WORK_PER_THREAD;
  int threads = useful < most ? (int)useful : most;
  threads = threads < most_threads() ? threads : most_threads();
  if (threads <= 1 || is_inside_team()) return 1;
  if (work >= LONG_WORK || find_team(threads)) return threads;
  return spk_pool_threads(threads, work < WAKE_WORK);
}

typedef struct region {
  spk_phase phases[2];
  int threads; /* the number of ranges of tasks; no more threads run */
  void *context;
  spk_seat *seats;             /* one per thread */
  atomic_ptrdiff_t first_done; /* tasks of the first phase that are done */
  atomic_uint second;          /* a gate: opens when all tasks of the first phase are done */
  spk_places places;
} region;

static void run_tasks(region *r, int phase, int worker) {
  const ptrdiff_t tasks = r->phases[phase].tasks;
  ptrdiff_t task;
  for (int visited = 0;
       (task = spk_deal(r->seats, phase, tasks, r->threads, worker, &visited)) >= 0;) {
    r->phases[phase].fn(r->context, task, worker);
    if (phase == 0 &&
        atomic_fetch_add_explicit(&r->first_done, 1, memory_order_acq_rel) == tasks - 1)
      spk_gate_open(&r->second);
  }
}

static void run_worker(void *context, int worker) {
  region *r = context;
  if (worker > 0) spk_take_place(&r->places);
  if (r->phases[0].tasks > 0) {
    run_tasks(r, 0, worker);
    /* This is no barrier: a worker that has yet to begin is not waited for, as others do its
     * tasks. */
    spk_gate_await(&r->second);
  }
  run_tasks(r, 1, worker);
}

/* Returns 0, and runs nothing, if the caller has no team for the region. */
static int run_on_team(region *r) {
  const spk_team *team = find_team(r->threads);
  spk_job *job = team ? spk_job_reserve(r->threads) : NULL;
  if (!job) return 0;
  r->seats = spk_job_seats(job);
  spk_take_place(&r->places);
  const int ran = spk_team_run(team, r->threads, run_worker, r);
  spk_job_release(job);
  return ran;
}

/* Returns 0, and runs nothing, if the caller has to work alone. */
static int run_on_pool(region *r) {
  spk_job *job = spk_pool_claim(&r->threads, most_threads());
  if (!job) return 0;
  r->seats = spk_job_seats(job);
  spk_take_place(&r->places);
  spk_job_open(job, run_worker, r);
  run_worker(r, 0);
  spk_job_close(job);
  return 1;
}

/* Whether OpenMP allows a region inside of the caller's regions only one thread. */
static int is_alone(void) {
  return omp_get_level() > 0 && omp_get_active_level() >= omp_get_max_active_levels();
}

static int run_in_parallel(int threads, spk_phase first, spk_phase second, void *context) {
  region r = {.phases = {first, second}, .threads = threads, .context = context};
  atomic_init(&r.first_done, 0);
  atomic_init(&r.second, 0);
  spk_places_init(&r.places);
  return run_on_team(&r) || run_on_pool(&r);
}

void spk_parallel(int threads, spk_phase first, spk_phase second, void *context) {
  threads = (int)spk_min(threads, spk_max(first.tasks, second.tasks));
  if (threads > 1) spk_parallel_init();
  if (threads > 1 && !is_alone() && !is_inside_team() &&
      run_in_parallel(threads, first, second, context))
    return;
  run_serially(first, context);
  run_serially(second, context);
}

#else

const char *spk_openmp_version(void) { return NULL; }

void spk_parallel_init(void) {}

void spk_set_team(const spk_team *team) { (void)team; }

size_t spk_parallel_contended(void) { return 0; }

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
