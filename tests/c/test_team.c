/* A team that another OpenMP library lends: which threads do the tasks, and when the pool does. */
#include <dlfcn.h>
#include <omp.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../src/threads/parallel.h"
#include "../../src/threads/system.h"
#include "matrix.h"
#include "sparse.h"

enum { TEAM = 3, TASKS = 40 };

/* --- A team of threads that live as long as a region --- */

static _Thread_local int number, is_member;
static atomic_int regions;   /* that the team has run */
static atomic_int delay;     /* microseconds that its last thread sleeps at the end */
static atomic_int most = 64; /* threads that the team has, whatever it is asked for */

typedef struct member {
  void (*fn)(void *);
  void *data;
  int number, delay;
} member;

static void *run_member(void *argument) {
  const member *m = argument;
  number = m->number;
  is_member = 1;
  m->fn(m->data);
  if (m->delay) usleep((useconds_t)m->delay);
  is_member = number = 0;
  return NULL;
}

static void run_region(void (*fn)(void *), void *data, unsigned wanted, unsigned flags) {
  const int threads = (int)spk_min(wanted, atomic_load(&most));
  pthread_t others[64];
  member members[64];
  (void)flags;
  atomic_fetch_add(&regions, 1);
  for (int i = 0; i < threads; i++)
    members[i] = (member){fn, data, i, i == threads - 1 ? atomic_load(&delay) : 0};
  for (int i = 1; i < threads; i++)
    if (pthread_create(&others[i], NULL, run_member, &members[i])) abort();
  run_member(&members[0]);
  for (int i = 1; i < threads; i++) pthread_join(others[i], NULL);
}

static int thread_num(void) { return number; }
static int in_parallel(void) { return is_member; }

static const spk_team fake = {run_region, thread_num, in_parallel, TEAM};

/* --- Regions --- */

typedef struct tally {
  atomic_int first[TASKS], second[TASKS]; /* how often each task ran */
  atomic_int done, early;                 /* first tasks; second ones before all of these */
  atomic_int inside[TEAM + 2], shared;    /* by worker; a number that two threads had at once */
  atomic_int by_members;                  /* tasks that threads of the team ran */
} tally;

static void run_task(tally *t, atomic_int *count, int worker) {
  if (atomic_fetch_add(&t->inside[worker], 1) != 0) atomic_fetch_add(&t->shared, 1);
  if (is_member) atomic_fetch_add(&t->by_members, 1);
  if (atomic_fetch_add(count, 1) % 7 == 0) sched_yield();
  atomic_fetch_sub(&t->inside[worker], 1);
}

static void run_first(void *context, ptrdiff_t task, int worker) {
  tally *t = context;
  run_task(t, &t->first[task], worker);
  atomic_fetch_add(&t->done, 1);
}

static void run_second(void *context, ptrdiff_t task, int worker) {
  tally *t = context;
  if (atomic_load(&t->done) != TASKS) atomic_fetch_add(&t->early, 1);
  run_task(t, &t->second[task], worker);
}

/* Run a region, and check that each task ran once, in order.  Returns the number of tasks that
 * threads of the team ran. */
static int run(int threads) {
  tally t = {0};
  spk_parallel(threads, (spk_phase){TASKS, run_first}, (spk_phase){TASKS, run_second}, &t);
  int right = !atomic_load(&t.early) && !atomic_load(&t.shared);
  for (int task = 0; task < TASKS; task++)
    right &= atomic_load(&t.first[task]) == 1 && atomic_load(&t.second[task]) == 1;
  CHECK(right, "%d threads", threads);
  return atomic_load(&t.by_members);
}

/* Regions of a busy machine leave the team alone for a while, a second at most. */
static int is_used_soon(int threads) {
  for (const int64_t end = spk_now() + 20000 * SPK_MILLISECOND; spk_now() < end; usleep(1000))
    if (run(threads) == 2 * TASKS) return 1;
  return 0;
}

static void check_regions(void) {
  test_case("regions of up to %d threads", TEAM);
  CHECK(spk_use_team(&fake) == SPK_OK);
  for (int threads = 2; threads <= TEAM; threads++) CHECK(is_used_soon(threads));
  for (int i = 0; i < 200; i++) run(1 + i % TEAM);
  test_case("one thread, and more than the team has");
  const int before = atomic_load(&regions);
  CHECK(run(1) == 0 && run(TEAM + 1) == 0);
  CHECK(atomic_load(&regions) == before);
  test_case("a team that has fewer threads than it was asked for");
  for (int threads = 1; threads <= TEAM; threads++) {
    atomic_store(&most, threads);
    CHECK(is_used_soon(TEAM), "%d threads", threads);
  }
  atomic_store(&most, 64);
  test_case("none any more");
  CHECK(spk_use_team(NULL) == SPK_OK);
  CHECK(run(TEAM) == 0);
}

static void *run_elsewhere(void *argument) {
  *(int *)argument = run(TEAM);
  return NULL;
}

static void check_other_thread(void) {
  pthread_t thread;
  int by_members = -1;
  test_case("another thread has no team");
  CHECK(spk_use_team(&fake) == SPK_OK);
  if (pthread_create(&thread, NULL, run_elsewhere, &by_members)) abort();
  pthread_join(thread, NULL);
  CHECK(by_members == 0);
}

static void run_inside(void *data) {
  atomic_int *wrong = data;
  const int before = atomic_load(&regions);
  CHECK(spk_use_team(&fake) == SPK_OK);
  if (spk_choose_threads(0, 1e7) != 1 || run(TEAM) != 2 * TASKS) atomic_fetch_add(wrong, 1);
  if (atomic_load(&regions) != before) atomic_fetch_add(wrong, 1);
}

static void check_nested(void) {
  atomic_int wrong = 0;
  test_case("inside a region of the team");
  spk_set_num_threads(TEAM);
  run_region(run_inside, &wrong, TEAM, 0);
  CHECK(atomic_load(&wrong) == 0);
  test_case("outside of it");
  CHECK(spk_choose_threads(0, 1e9) == TEAM);
  spk_set_num_threads(0);
}

/* After a region that waited for a thread that was late, the pool is used for a while. */
static void check_contention(void) {
  test_case("a thread that is late");
  CHECK(spk_use_team(&fake) == SPK_OK);
  size_t before = 0;
  int left = 0, delayed = 0;
  /* On a busy machine the team may be left before a region was delayed: then once more. */
  for (int tries = 0; tries < 20 && !delayed; tries++) {
    atomic_store(&delay, 0);
    CHECK(is_used_soon(TEAM));
    before = spk_contended_regions();
    atomic_store(&delay, 20000);
    left = 0;
    for (int i = 0; i < 20 && !left; i++) {
      left = run(TEAM) == 0;
      delayed += !left;
    }
  }
  CHECK(delayed > 0, "no region is delayed");
  CHECK(left, "the team is used all the time");
  CHECK(spk_contended_regions() > before, "it is not counted");
  int used = 0;
  const int64_t begin = spk_now();
  for (int64_t now = begin; now - begin < 3000 * SPK_MILLISECOND; now = spk_now())
    used += run(TEAM) != 0;
  CHECK(used > 0 && used < 15, "it is tried %d times in 3 seconds", used);
  test_case("a thread that is late no more");
  atomic_store(&delay, 0);
  CHECK(is_used_soon(TEAM));
}

static void check_fork(void) {
  test_case("a child");
  CHECK(spk_use_team(&fake) == SPK_OK && is_used_soon(TEAM));
  fflush(stdout);
  const pid_t child = fork();
  if (child == 0) {
    alarm(60);
    const int before = atomic_load(&regions);
    int right = run(TEAM) == 0 && spk_use_team(&fake) == SPK_OK && run(TEAM) == 0;
    _exit(right && atomic_load(&regions) == before ? 0 : 1);
  }
  int status = 0;
  CHECK(child > 0 && waitpid(child, &status, 0) == child && status == 0);
  CHECK(is_used_soon(TEAM), "the parent");
}

static void check_arguments(void) {
  spk_team team = fake;
  test_case("arguments");
  team.threads = 0;
  CHECK(spk_use_team(&team) == SPK_ERR_ARGUMENT);
  team = (spk_team){NULL, thread_num, in_parallel, TEAM};
  CHECK(spk_use_team(&team) == SPK_ERR_ARGUMENT);
  team = (spk_team){run_region, NULL, in_parallel, TEAM};
  CHECK(spk_use_team(&team) == SPK_ERR_ARGUMENT);
  team = (spk_team){run_region, thread_num, NULL, TEAM};
  CHECK(spk_use_team(&team) == SPK_ERR_ARGUMENT);
}

/* --- The team of this compiler's OpenMP --- */

enum { ROWS = 301, COLS = 257, N = 64 };

static void check_openmp(void) {
  static const sparse_shape shape = {SPK_CSR, SPK_F32, SPK_I32, ROWS, COLS, 1, 1, 9000, 1};
  spk_team team = {NULL, omp_get_thread_num, omp_in_parallel, 1};
  test_case("the compiler's OpenMP");
  *(void **)&team.parallel = dlsym(RTLD_DEFAULT, "GOMP_parallel");
  CHECK(team.parallel);
  if (!team.parallel) return;
  const sparse A = sparse_random(&shape);
  const matrix B = matrix_input(SPK_F32, COLS, N, N, 1);
  const matrix expected = matrix_output(SPK_F32, ROWS, N, N, 1), C = matrix_copy(&expected);
  CHECK(spk_spmm(&A.view, &B.view, &expected.view, NULL, 1) == SPK_OK);
  for (team.threads = 1; team.threads <= 4; team.threads++) {
    CHECK(spk_use_team(&team) == SPK_OK);
    for (int i = 0; i < 100; i++) {
      const int threads = i % 6 - 1;
      CHECK(spk_spmm(&A.view, &B.view, &C.view, NULL, threads) == SPK_OK);
      CHECK(matrix_same_bits(&C, &expected), "a team of %d, %d threads", team.threads, threads);
    }
  }
  CHECK(spk_use_team(NULL) == SPK_OK);
  exact_memory_release();
}

int main(void) {
  if (!spk_isa()) return TEST_SKIPPED;
  seed_random(1979);
  check_arguments();
  check_regions();
  check_other_thread();
  check_nested();
  check_fork();
  check_contention();
  check_openmp();
  return test_result();
}
