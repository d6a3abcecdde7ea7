/* Memory that runs out: each allocation of each function fails once.
 *
 * Linked with --wrap for every function that allocates: all allocations of the library go through
 * here.  A function either says SPK_ERR_MEMORY, and has written nothing, or has done its work; what
 * it took it has given back, and the same call succeeds when there is memory again.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "../../src/threads/workspace.h"
#include "verbs.h"

static atomic_int watching, asked, refused, held;
static atomic_int refuse_from, refuse_to; /* numbers of the allocations that fail */

/* Whether an allocation fails. */
static int refuses(void) {
  if (!atomic_load(&watching)) return 0;
  const int number = atomic_fetch_add(&asked, 1);
  const int refuse = number >= atomic_load(&refuse_from) && number < atomic_load(&refuse_to);
  if (refuse) atomic_fetch_add(&refused, 1);
  return refuse;
}

static void *held_if(void *memory) {
  if (memory && atomic_load(&watching)) atomic_fetch_add(&held, 1);
  return memory;
}

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *memory, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);
int __real_posix_memalign(void **memory, size_t alignment, size_t size);
void __real_free(void *memory);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *memory, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);
int __wrap_posix_memalign(void **memory, size_t alignment, size_t size);
void __wrap_free(void *memory);

void *__wrap_malloc(size_t size) { return refuses() ? NULL : held_if(__real_malloc(size)); }

void *__wrap_calloc(size_t count, size_t size) {
  return refuses() ? NULL : held_if(__real_calloc(count, size));
}

void *__wrap_realloc(void *memory, size_t size) {
  if (refuses()) return NULL;
  void *moved = __real_realloc(memory, size);
  return memory ? moved : held_if(moved);
}

void *__wrap_aligned_alloc(size_t alignment, size_t size) {
  return refuses() ? NULL : held_if(__real_aligned_alloc(alignment, size));
}

int __wrap_posix_memalign(void **memory, size_t alignment, size_t size) {
  if (refuses()) return 12; /* ENOMEM */
  const int status = __real_posix_memalign(memory, alignment, size);
  if (status == 0) held_if(*memory);
  return status;
}

void __wrap_free(void *memory) {
  if (memory && atomic_load(&watching)) atomic_fetch_sub(&held, 1);
  __real_free(memory);
}

/* One call whose allocations from `from` to before `to` fail; what it kept is given back. */
static spk_status run_short(const verb *v, int threads, int from, int to) {
  atomic_store(&asked, 0);
  atomic_store(&refused, 0);
  atomic_store(&held, 0);
  atomic_store(&refuse_from, from);
  atomic_store(&refuse_to, to);
  atomic_store(&watching, 1);
  const spk_status status = verb_run(v, threads);
  spk_workspace_drop();
  atomic_store(&watching, 0);
  CHECK(atomic_load(&held) == 0, "%d blocks were not given back", atomic_load(&held));
  return status;
}

enum { MANY = 1 << 20 };

static void check_verb(const verb *v, int threads) {
  void *expected[MAX_OUTPUTS] = {NULL, NULL};
  test_case("%s, %d threads", v->name, threads);
  /* Once before: the threads of a region, and what is known of them, stay. */
  CHECK(verb_run(v, threads) == SPK_OK);
  spk_workspace_drop();
  verb_keep(v, expected);
  CHECK(run_short(v, threads, MANY, MANY) == SPK_OK);
  const int allocations = atomic_load(&asked);
  for (int k = 0; k < allocations; k++)
    for (int all = 0; all < 2; all++) {
      const spk_status status = run_short(v, threads, k, all ? MANY : k + 1);
      /* Threads may have come in another order, but each asks as often. */
      CHECK(atomic_load(&refused) > 0, "allocation %d of %d", k, allocations);
      CHECK(status == SPK_OK || status == SPK_ERR_MEMORY, "%s", spk_status_string(status));
      if (status == SPK_OK)
        CHECK(verb_same(v, expected), "allocation %d: another result", k);
      else
        CHECK(verb_untouched(v), "allocation %d: something was written", k);
      CHECK(run_short(v, threads, MANY, MANY) == SPK_OK && verb_same(v, expected),
            "allocation %d: the next call", k);
    }
}

/* A thread's first region takes no memory that it cannot do without. */
static void *check_first_region(void *argument) {
  const verb *v = argument;
  void *expected[MAX_OUTPUTS] = {NULL, NULL};
  test_case("%s, the first region of a thread", v->name);
  CHECK(verb_run(v, 1) == SPK_OK);
  verb_keep(v, expected);
  for (int all = 0; all < 2; all++)
    for (int k = 0; k < 5; k++) {
      atomic_store(&asked, 0);
      atomic_store(&refuse_from, k);
      atomic_store(&refuse_to, all ? MANY : k + 1);
      atomic_store(&watching, 1);
      const spk_status status = verb_run(v, 3);
      atomic_store(&watching, 0);
      CHECK(status == SPK_OK || status == SPK_ERR_MEMORY, "%s", spk_status_string(status));
      CHECK(status == SPK_OK ? verb_same(v, expected) : verb_untouched(v));
    }
  return NULL;
}

/* Sizes whose product is none. */
static void check_sizes(void) {
  test_case("more than an address space");
  spk_workspace space;
  double rate = 0;
  for (int shift = 58; shift < 63; shift++) {
    const size_t bytes = (size_t)1 << shift;
    CHECK(spk_workspace_take(&space, 0, bytes, 64) == SPK_ERR_MEMORY);
    CHECK(spk_workspace_take(&space, bytes, bytes, 64) == SPK_ERR_MEMORY);
    CHECK(spk_measure_roofline(SPK_ROOFLINE_LOAD, SPK_F32, bytes, 64, &rate) == SPK_ERR_MEMORY);
  }
}

int main(void) {
  if (!spk_isa()) return TEST_SKIPPED;
  seed_random(1974);
  check_sizes();
  int number = 0;
  /* Sanitizers take their time: a number that has no factor in common with what is enumerated. */
  for (; number < verb_count(); number += UNDER_SANITIZER ? 5 : 1) {
    verb v;
    if (verb_make(number, &v))
      for (int threads = 1; threads < 3; threads++) check_verb(&v, threads);
    exact_memory_release();
  }
  for (number = 0; number < verb_count(); number += 11) {
    verb v;
    pthread_t thread;
    if (verb_make(number, &v)) {
      if (pthread_create(&thread, NULL, check_first_region, &v)) abort();
      pthread_join(thread, NULL);
    }
    exact_memory_release();
  }
  return test_result();
}
