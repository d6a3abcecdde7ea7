/* Threads that cannot be started: a product has the same bits with those that there are.
 *
 * The system's limits are played by a pthread_create of the program: no more than `allowed` of its
 * threads exist at once.  Each case runs in a child, which begins without threads.
 */
#include <dlfcn.h>
#include <errno.h>
#include <omp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "matrix.h"
#include "sparse.h"

static atomic_int alive, most_alive, refusals, allowed = 1 << 20;

typedef struct start {
  void *(*fn)(void *);
  void *argument;
} start;

static void ended(void *unused) {
  (void)unused;
  atomic_fetch_sub(&alive, 1);
}

/* However it ends: libgomp calls pthread_exit for its own. */
static void *run(void *argument) {
  const start s = *(start *)argument;
  void *result;
  free(argument);
  pthread_cleanup_push(ended, NULL);
  result = s.fn(s.argument);
  pthread_cleanup_pop(1);
  return result;
}

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*fn)(void *),
                   void *argument) {
  int (*create)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
  *(void **)&create = dlsym(RTLD_NEXT, "pthread_create");
  const int count = atomic_fetch_add(&alive, 1) + 1;
  start *s = malloc(sizeof *s);
  if (s && count <= atomic_load(&allowed)) {
    *s = (start){fn, argument};
    if (create(thread, attributes, run, s) == 0) {
      if (count > atomic_load(&most_alive)) atomic_store(&most_alive, count);
      return 0;
    }
  }
  free(s);
  atomic_fetch_add(&refusals, 1);
  atomic_fetch_sub(&alive, 1);
  return EAGAIN;
}

enum { ROWS = 301, COLS = 257, N = 64, WANTED = 5, MANY_CALLS = 200 };

static const sparse_shape shape = {SPK_CSR, SPK_F32, SPK_I32, ROWS, COLS, 1, 1, 9000, 1};
static sparse A;
static matrix B, expected;

/* Times a matrix of the calling thread's own. */
static int agrees(const matrix *C, int threads) {
  return spk_spmm(&A.view, &B.view, &C->view, NULL, threads) == SPK_OK &&
         matrix_same_bits(C, &expected);
}

/* As many more as `more` may exist while what is between runs. */
static void allow(int more) {
  atomic_store(&allowed, atomic_load(&alive) + more);
  atomic_store(&most_alive, atomic_load(&alive));
  atomic_store(&refusals, 0);
}

static int more_allowed;

static void check_limit(const matrix *C) {
  test_case("%d more threads may exist", more_allowed);
  allow(more_allowed);
  for (int call = 0; call < 3; call++) {
    CHECK(agrees(C, WANTED));
    CHECK(agrees(C, 2));
    CHECK(agrees(C, WANTED));
  }
  CHECK(atomic_load(&alive) == more_allowed, "%d threads", atomic_load(&alive));
  CHECK(more_allowed == WANTED - 1 || atomic_load(&refusals) > 0, "nothing was refused");
}

/* A limit that is lifted is noticed, though a thread is not asked for at every call. */
static void check_recovery(const matrix *C) {
  test_case("threads that are there again");
  allow(0);
  for (int call = 0; call < MANY_CALLS; call++) CHECK(agrees(C, WANTED));
  const int tries = atomic_load(&refusals);
  CHECK(tries > 0 && tries < MANY_CALLS / 10, "%d tries in %d calls", tries, MANY_CALLS);
  allow(WANTED);
  for (int call = 0; call < MANY_CALLS; call++) CHECK(agrees(C, WANTED));
  CHECK(atomic_load(&alive) == WANTED - 1, "%d threads", atomic_load(&alive));
}

static void *call_once(void *argument) {
  const matrix mine = matrix_copy(argument);
  return agrees(&mine, WANTED) ? argument : NULL;
}

/* The threads are those of the process, whoever calls. */
static void check_shared(const matrix *C) {
  test_case("callers on threads of their own");
  for (int call = 0; call < 3; call++) {
    pthread_t thread;
    void *good = NULL;
    if (pthread_create(&thread, NULL, call_once, (void *)(uintptr_t)C)) abort();
    pthread_join(thread, &good);
    CHECK(good);
    for (int i = 0; i < 10000 && atomic_load(&alive) > WANTED - 1; i++) usleep(1000);
    CHECK(atomic_load(&alive) == WANTED - 1, "%d threads", atomic_load(&alive));
  }
}

static void check_nested(const matrix *C) {
  for (int levels = 1; levels < 3; levels++)
    for (int more = 0; more < 3; more++) {
      test_case("inside a region, %d levels are parallel, %d more threads", levels, more);
      matrix mine[2] = {*C, matrix_copy(C)};
      omp_set_max_active_levels(levels);
      atomic_store(&allowed, 1 << 20);
      int good = 0;
#pragma omp parallel num_threads(2) reduction(+ : good)
      {
#pragma omp single
        allow(more);
        good += agrees(&mine[omp_get_thread_num()], WANTED);
      }
      CHECK(good == 2);
      CHECK(levels > 1 || atomic_load(&refusals) == 0);
    }
}

static void check_fork(const matrix *C) {
  for (int more = 0; more < WANTED; more++) {
    test_case("a child of a process with threads, %d more", more);
    atomic_store(&allowed, 1 << 20);
    CHECK(agrees(C, WANTED));
    fflush(stdout);
    const pid_t child = fork();
    if (child == 0) {
      alarm(60);
      atomic_store(&alive, 0);
      allow(more);
      const int same = agrees(C, WANTED) && agrees(C, 2) && agrees(C, 1);
      _exit(same && atomic_load(&alive) == more ? 0 : 1);
    }
    int status = 0;
    CHECK(child > 0 && waitpid(child, &status, 0) == child && status == 0);
  }
}

static void in_child(void (*check)(const matrix *), const matrix *C) {
  fflush(stdout);
  const pid_t child = fork();
  if (child == 0) {
    alarm(100);
    check(C);
    const int result = test_result();
    fflush(stdout);
    _exit(result);
  }
  int status = 0;
  test_case("a child");
  CHECK(child > 0 && waitpid(child, &status, 0) == child && status == 0);
}

int main(void) {
  if (!spk_isa()) return TEST_SKIPPED;
  seed_random(1973);
  A = sparse_random(&shape);
  B = matrix_input(SPK_F32, COLS, N, N, 1);
  expected = matrix_output(SPK_F32, ROWS, N, N, 1);
  const matrix C = matrix_copy(&expected);
  test_case("one thread");
  allow(0);
  CHECK(spk_spmm(&A.view, &B.view, &expected.view, NULL, 1) == SPK_OK);
  CHECK(atomic_load(&refusals) == 0, "it tried to start one");
  allow(1 << 20);
  for (more_allowed = 0; more_allowed < WANTED; more_allowed++) in_child(check_limit, &C);
  in_child(check_recovery, &C);
  in_child(check_shared, &C);
  in_child(check_nested, &C);
  in_child(check_fork, &C);
  return test_result();
}
