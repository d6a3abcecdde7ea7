/* The pool of threads: workers that come late or not at all, callers at once, fork, contention. */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../src/threads/contention.h"
#include "../../src/threads/parallel.h"
#include "../../src/threads/pool.h"
#include "../../src/threads/system.h"
#include "testing.h"

enum { THREADS = 3, TASKS = 40 };

typedef struct tally {
  atomic_int first[TASKS], second[TASKS]; /* how often each task ran */
  atomic_int done, early;                 /* of the first; second ones before all of these */
  atomic_int workers[THREADS];            /* inside right now */
  atomic_int shared;                      /* a number that two threads had at once */
} tally;

static void enter(tally *t, int worker) {
  if (atomic_fetch_add(&t->workers[worker], 1) != 0) atomic_fetch_add(&t->shared, 1);
}

static void run_first(void *context, ptrdiff_t task, int worker) {
  tally *t = context;
  enter(t, worker);
  if (task % 7 == 0) sched_yield();
  atomic_fetch_add(&t->first[task], 1);
  atomic_fetch_add(&t->done, 1);
  atomic_fetch_sub(&t->workers[worker], 1);
}

static void run_second(void *context, ptrdiff_t task, int worker) {
  tally *t = context;
  enter(t, worker);
  if (atomic_load(&t->done) != TASKS) atomic_fetch_add(&t->early, 1);
  atomic_fetch_add(&t->second[task], 1);
  atomic_fetch_sub(&t->workers[worker], 1);
}

/* Whether each task ran once, and the second ones after the first. */
static int is_right(int threads) {
  tally t = {0};
  spk_parallel(threads, (spk_phase){TASKS, run_first}, (spk_phase){TASKS, run_second}, &t);
  int right = !atomic_load(&t.early) && !atomic_load(&t.shared);
  for (int task = 0; task < TASKS; task++)
    right &= atomic_load(&t.first[task]) == 1 && atomic_load(&t.second[task]) == 1;
  return right;
}

static void check_tasks(void) {
  for (int threads = 1; threads <= THREADS; threads++) {
    test_case("%d threads", threads);
    for (int i = 0; i < 300; i++) CHECK(is_right(threads));
  }
}

static void *call_often(void *argument) {
  int *wrong = argument;
  for (int i = 0; i < 200; i++) *wrong += !is_right(1 + i % THREADS);
  return NULL;
}

/* More of them than there are jobs at once. */
static void check_callers(void) {
  enum { CALLERS = 24 };
  pthread_t threads[CALLERS];
  int wrong[CALLERS] = {0};
  test_case("%d callers at once", CALLERS);
  for (int i = 0; i < CALLERS; i++)
    if (pthread_create(&threads[i], NULL, call_often, &wrong[i])) abort();
  for (int i = 0; i < CALLERS; i++) {
    pthread_join(threads[i], NULL);
    CHECK(wrong[i] == 0, "%d regions are wrong", wrong[i]);
  }
}

/* A job that keeps its workers until it is told to let them go. */
typedef struct holding {
  atomic_int inside;
  atomic_uint go;
} holding;

static void hold(void *context, int worker) {
  holding *h = context;
  (void)worker;
  atomic_fetch_add(&h->inside, 1);
  spk_gate_await(&h->go);
}

static spk_job *hold_all_workers(holding *h) {
  int threads = THREADS;
  spk_job *job = spk_pool_claim(&threads, THREADS);
  CHECK(job && threads == THREADS);
  if (!job) return NULL;
  spk_job_open(job, hold, h);
  while (atomic_load(&h->inside) < THREADS - 1) sched_yield();
  return job;
}

static void *let_go_later(void *argument) {
  usleep(20000);
  spk_gate_open(&((holding *)argument)->go);
  return NULL;
}

static void check_absent_workers(void) {
  holding h = {0};
  pthread_t thread;
  test_case("no worker comes");
  CHECK(is_right(THREADS));
  spk_job *job = hold_all_workers(&h);
  if (!job) return;
  for (int i = 0; i < 20; i++) CHECK(is_right(THREADS));
  CHECK(atomic_load(&h.inside) == THREADS - 1);
  test_case("those inside are waited for, asleep after a while");
  if (pthread_create(&thread, NULL, let_go_later, &h)) abort();
  spk_job_close(job);
  CHECK(atomic_load(&h.go) != 0, "it was closed before they were gone");
  pthread_join(thread, NULL);
  CHECK(is_right(THREADS));
}

static void check_fork(void) {
  for (int held = 0; held < 2; held++) {
    holding h = {0};
    test_case(held ? "fork while workers are inside a job" : "fork while workers wait");
    CHECK(is_right(THREADS));
    spk_job *job = held ? hold_all_workers(&h) : NULL;
    fflush(stdout);
    const pid_t child = fork();
    if (child == 0) {
      alarm(60);
      int right = 1;
      for (int i = 0; i < 50; i++) right &= is_right(THREADS);
      _exit(right ? 0 : 1);
    }
    int status = 0;
    CHECK(child > 0 && waitpid(child, &status, 0) == child && status == 0);
    spk_gate_open(&h.go);
    if (job) spk_job_close(job);
    CHECK(is_right(THREADS));
  }
}

static atomic_int signals_seen;

static void see_signal(int signal) {
  (void)signal;
  atomic_fetch_add(&signals_seen, 1);
}

/* They are for the threads of the process: one that has blocked a signal waits for it, and a
 * worker that took it in its place might end the process. */
static void check_signals(void) {
  sigset_t one, before, pending;
  int taken = 0;
  test_case("signals");
  CHECK(is_right(THREADS));
  sigemptyset(&one);
  sigaddset(&one, SIGUSR1);
  signal(SIGUSR1, see_signal);
  pthread_sigmask(SIG_BLOCK, &one, &before);
  kill(getpid(), SIGUSR1);
  usleep(20000);
  sigemptyset(&pending);
  CHECK(sigpending(&pending) == 0 && sigismember(&pending, SIGUSR1) &&
            atomic_load(&signals_seen) == 0,
        "a worker took it");
  if (atomic_load(&signals_seen) == 0) CHECK(sigwait(&one, &taken) == 0 && taken == SIGUSR1);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  signal(SIGUSR1, SIG_DFL);
}

/* The policy alone, on a clock of its own. */
static void check_backoff(void) {
  const int64_t ms = SPK_MILLISECOND;
  spk_contention c;
  int64_t now = 1000 * ms, first, last = 0;
  test_case("when parked workers are probed");
  spk_contention_reset(&c);
  CHECK(!spk_contention_probe(&c, now), "it is not parked");
  spk_contention_park(&c, now, 0);
  CHECK(atomic_load(&c.probe_at) != 0 && !spk_contention_probe(&c, now));
  for (first = now; !spk_contention_probe(&c, first); first += ms / 10)
    if (first > now + 1000 * ms) break;
  first -= now;
  CHECK(first < 20 * ms, "soon, at first: %f ms", (double)first / (double)ms);
  int probes = 0;
  for (const int64_t end = now + 60000 * ms; now < end; now += ms / 10)
    if (spk_contention_probe(&c, now)) {
      CHECK(!spk_contention_probe(&c, now), "one caller alone");
      spk_contention_postpone(&c, now + ms / 10);
      if (probes++ > 20) CHECK(now - last > 100 * ms, "seldom, while it stays busy");
      last = now;
    }
  CHECK(probes > 300 && probes < 600, "%d probes in a minute", probes);
  while (!spk_contention_probe(&c, now)) now += ms / 10;
  spk_contention_release(&c, now);
  CHECK(atomic_load(&c.probe_at) == 0);
  test_case("what was undisturbed for long is tried again soon");
  now += 60000 * ms;
  spk_contention_park(&c, now, 0);
  CHECK(!spk_contention_probe(&c, now) && spk_contention_probe(&c, now + first));
  spk_contention_release(&c, now + first);
  test_case("what cost a product much is not");
  now += 60000 * ms;
  spk_contention_park(&c, now, 4 * ms);
  CHECK(!spk_contention_probe(&c, now + 12 * 4 * ms), "the cost is a small part of the time");
  CHECK(spk_contention_probe(&c, now + 2000 * ms));
  spk_contention_release(&c, now += 2000 * ms);
  test_case("what cost products much again and again is tried seldom");
  for (int i = 0; i < 10; i++) {
    spk_contention_park(&c, now, 20 * ms);
    CHECK(!spk_contention_probe(&c, now + 300 * ms), "time %d", i);
    CHECK(spk_contention_probe(&c, now += 1000 * ms));
    spk_contention_release(&c, now);
  }
  now += 60000 * ms;
  test_case("disturbances now and then do not keep it parked longer and longer");
  for (int i = 0; i < 20; i++) {
    now += 200 * ms;
    spk_contention_park(&c, now, 2 * ms);
    now += 100 * ms;
    CHECK(spk_contention_probe(&c, now), "disturbance %d", i);
    spk_contention_release(&c, now);
  }
}

#ifdef __linux__
static atomic_int stop;

static void *burn(void *unused) {
  (void)unused;
  while (!atomic_load(&stop)) {
  }
  return NULL;
}

static void run_long(void *context, ptrdiff_t task, int worker) {
  (void)context;
  (void)task;
  (void)worker;
  for (const int64_t end = spk_now() + 20 * SPK_MICROSECOND; spk_now() < end;) {
  }
}

/* Regions until workers are used, or until they are not; 0: never. */
static int regions_until(int undisturbed) {
  for (const int64_t end = spk_now() + 60000 * SPK_MILLISECOND; spk_now() < end;) {
    if ((spk_pool_threads(2, 0) == 2) == undisturbed) return 1;
    spk_parallel(2, (spk_phase){0}, (spk_phase){8, run_long}, NULL);
  }
  return 0;
}

static void count_worker(void *context, int worker) {
  (void)worker;
  atomic_fetch_add((atomic_int *)context, 1);
}

/* Open a job and close it, before a worker came or after. */
static int run_job(int wait) {
  int threads = 2;
  atomic_int came = 0;
  spk_job *job = spk_pool_claim(&threads, 2);
  if (!job) return 0;
  spk_job_open(job, count_worker, &came);
  for (int i = 0; i < wait && !atomic_load(&came); i++) usleep(100);
  spk_job_close(job);
  return atomic_load(&came);
}

static void note_cpu(void *context, int worker) {
  (void)worker;
  atomic_store((atomic_int *)context, sched_getcpu());
}

/* A worker that slept is woken on another CPU than the caller's, where it would have to wait. */
static void check_woken_elsewhere(void) {
  cpu_set_t all;
  if (sched_getaffinity(0, sizeof all, &all) != 0 || CPU_COUNT(&all) < 2) return;
  test_case("a worker that slept");
  run_job(1000); /* starts it */
  int came = 0, here = 0;
  for (int i = 0; i < 30; i++) {
    usleep(30000); /* it sleeps, parked or not */
    int threads = 2;
    atomic_int seen = -1;
    spk_job *job = spk_pool_claim(&threads, 2);
    if (!job) continue;
    const int cpu = sched_getcpu();
    spk_job_open(job, note_cpu, &seen);
    /* Where it was woken here, it comes as this thread sleeps. */
    for (int j = 0; j < 100 && atomic_load(&seen) < 0; j++) usleep(100);
    spk_job_close(job);
    came += atomic_load(&seen) >= 0;
    here += atomic_load(&seen) == cpu;
  }
  CHECK(came > 0, "it never comes");
  /* On a busy machine it may be awake all the time, waiting for this CPU, or this thread move. */
  CHECK(here < 10, "%d times of %d", here, came);
}

/* A worker that finds the job gone is not late for the next one, however long after.  On one CPU,
 * it gets there only when the caller lets it.  On a busy machine it may be late all the same, but
 * not always. */
static void check_missed(void) {
  cpu_set_t one;
  int undisturbed = 0;
  test_case("a job that is gone when the worker comes");
  CPU_ZERO(&one);
  CPU_SET(sched_getcpu(), &one);
  if (sched_setaffinity(0, sizeof one, &one) != 0) return;
  run_job(0); /* starts it */
  for (const int64_t end = spk_now() + 30000 * SPK_MILLISECOND; spk_now() < end && !undisturbed;) {
    usleep(10000); /* it sleeps, if it is not parked */
    if (spk_pool_threads(2, 0) != 2) continue;
    if (run_job(0)) continue;
    usleep(10000);
    undisturbed = run_job(1000) && spk_pool_threads(2, 0) == 2;
  }
  CHECK(undisturbed, "it is parked each time");
}

/* All threads, and two that do nothing but spin, on one CPU: nobody else has a part in this. */
static void check_contention(void) {
  cpu_set_t one;
  pthread_t burners[2];
  test_case("a busy CPU");
  CPU_ZERO(&one);
  CPU_SET(sched_getcpu(), &one);
  if (sched_setaffinity(0, sizeof one, &one) != 0) return;
  for (int i = 0; i < 2; i++)
    if (pthread_create(&burners[i], NULL, burn, NULL)) abort();
  const size_t before = spk_pool_contended();
  CHECK(regions_until(0), "workers are used all the time");
  CHECK(spk_pool_threads(2, 0) == 2 || spk_pool_contended() > before, "it is not counted");
  CHECK(is_right(2), "parked workers");
  atomic_store(&stop, 1);
  for (int i = 0; i < 2; i++) pthread_join(burners[i], NULL);
}

/* In a child, whose affinity is its own. */
static void in_child(void (*check)(void)) {
  fflush(stdout);
  const pid_t child = fork();
  if (child == 0) {
    alarm(200);
    check();
    _exit(test_result());
  }
  int status = 0;
  test_case("a child");
  CHECK(child > 0 && waitpid(child, &status, 0) == child && status == 0);
}
#endif

int main(void) {
  spk_parallel_init();
  check_backoff();
#ifdef __linux__
  if (!spk_openmp()) return test_result();
  in_child(check_contention);
  in_child(check_missed);
  in_child(check_woken_elsewhere);
#endif
  check_tasks();
  check_callers();
  check_absent_workers();
  check_fork();
  check_signals();
  return test_result();
}
