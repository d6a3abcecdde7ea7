/* Small stacks: what a call takes of the caller's, in every function and on its every path. */
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "verbs.h"

/* The build warns of a single frame this large (src/meson.build); this is
 * for all frames of a call, with those of the C library and of OpenMP. */
#define MAX_STACK ((size_t)16 << 10)
#define STACK_BYTES ((size_t)256 << 10)
#define PAINT 0xc7

typedef struct job {
  const verb *v;
  int threads;
  spk_status status;
} job;

static void *run(void *argument) {
  job *j = argument;
  if (j->v) j->status = verb_run(j->v, j->threads);
  return NULL;
}

/* The bytes of a thread's stack that were used. */
static size_t taken_by(job *j) {
  unsigned char *stack =
      mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  pthread_attr_t attributes;
  pthread_t thread;
  if (stack == MAP_FAILED) abort();
  memset(stack, PAINT, STACK_BYTES);
  if (pthread_attr_init(&attributes) || pthread_attr_setstack(&attributes, stack, STACK_BYTES) ||
      pthread_create(&thread, &attributes, run, j))
    abort();
  pthread_join(thread, NULL);
  pthread_attr_destroy(&attributes);
  size_t unused = 0;
  while (unused < STACK_BYTES && stack[unused] == PAINT) unused++;
  munmap(stack, STACK_BYTES);
  return STACK_BYTES - unused;
}

int main(void) {
  if (!spk_isa()) return TEST_SKIPPED;
  if (UNDER_SANITIZER) return TEST_SKIPPED; /* which makes frames of its own */
  seed_random(1975);
  size_t most = 0;
  job nothing = {.v = NULL};
  const size_t thread_itself = taken_by(&nothing);
  for (int number = 0; number < verb_count(); number++) {
    verb v;
    if (verb_make(number, &v))
      for (int threads = 1; threads < 4; threads += 2) {
        test_case("%s, %d threads", v.name, threads);
        job j = {.v = &v, .threads = threads};
        /* A thread that starts and ends may reach deeper than a small call does. */
        const size_t reached = taken_by(&j);
        const size_t taken = reached > thread_itself ? reached - thread_itself : 0;
        CHECK(j.status == SPK_OK, "%s", spk_status_string(j.status));
        CHECK(taken <= MAX_STACK, "%zu bytes of the stack", taken);
        if (taken > most) most = taken;
      }
    exact_memory_release();
  }
  printf("at most %zu bytes of the stack\n", most);
  return test_result();
}
