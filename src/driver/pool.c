#include "pool.h"

#include <ctype.h>
#include <pthread.h>
#include <stdlib.h>

#include "threads.h"

/* What OpenMP may allocate for a region of another size than the last, with room to spare: libgomp
 * takes some KiB and less than 512 bytes a thread, and ends the process without. */
#define TEAM_BYTES 16384
#define MEMBER_BYTES 1024

/* Regions for which a thread that could not be started is not tried for again. */
#define POSTPONED 64

/* Not _Thread_local: glibc ends the process where it has no memory for that. */
static pthread_key_t own, joined;
static int has_keys;
static size_t stack_bytes; /* of OpenMP's threads; 0: the system's default */

static void release(void *pointer) {
  spk_pool *pool = pointer;
  if (atomic_fetch_sub_explicit(&pool->holders, 1, memory_order_acq_rel) == 1) free(pool);
}

static void leave(void *pointer) {
  spk_pool *pool = pointer;
  atomic_fetch_sub_explicit(&pool->members, 1, memory_order_relaxed);
  release(pool);
}

/* As OpenMP reads it: a number, of KiB where no unit follows.  0 where it is none. */
static size_t size_in_environment(const char *name) {
  static const char units[] = "bkmg";
  const char *text = getenv(name);
  char *end = NULL;
  if (!text) return 0;
  const unsigned long long number = strtoull(text, &end, 10);
  if (end == text) return 0;
  while (isspace((unsigned char)*end)) end++;
  const char *unit = *end ? strchr(units, tolower((unsigned char)*end)) : units + 1;
  const int shift = unit ? 10 * (int)(unit - units) : 0;
  return unit && number <= SIZE_MAX >> shift ? (size_t)number << shift : 0;
}

void spk_pool_init(void) {
  has_keys = pthread_key_create(&own, release) == 0 && pthread_key_create(&joined, leave) == 0;
  stack_bytes = size_in_environment("OMP_STACKSIZE");
  if (stack_bytes == 0) stack_bytes = size_in_environment("GOMP_STACKSIZE");
}

spk_pool *spk_pool_of_thread(int most) {
  if (!has_keys) return NULL;
  spk_pool *pool = pthread_getspecific(own);
  if (pool) return pool;
  pool = aligned_alloc(SPK_ALIGN, spk_slice(sizeof *pool) + 2 * (size_t)most * sizeof(spk_counter));
  if (!pool) return NULL;
  atomic_init(&pool->members, 0);
  atomic_init(&pool->holders, 1);
  pool->last = 1;
  pool->postponed = 0;
  if (pthread_setspecific(own, pool) == 0) return pool;
  free(pool);
  return NULL;
}

/* volatile: else a compiler may assume that it has. */
static int has_memory_for(int threads) {
  void *volatile memory = malloc(TEAM_BYTES + MEMBER_BYTES * (size_t)threads);
  const int has = memory != NULL;
  free(memory);
  return has;
}

int spk_pool_provide(spk_pool *pool, int wanted) {
  const int members = atomic_load_explicit(&pool->members, memory_order_relaxed);
  const int has = (int)spk_min(pool->last, members + 1);
  if (wanted == pool->last && wanted <= has) return wanted;
  if (wanted > has && pool->postponed > 0) {
    pool->postponed--;
    wanted = has;
  }
  if (wanted <= 1 || !has_memory_for(wanted)) return 1;
  if (wanted <= has) return wanted;
  const int more = spk_startable_threads(wanted - has, stack_bytes);
  if (more < wanted - has) pool->postponed = POSTPONED;
  return has + more;
}

void spk_pool_join(spk_pool *pool) {
  spk_pool *before = pthread_getspecific(joined);
  if (before == pool || pthread_setspecific(joined, pool) != 0) return;
  atomic_fetch_add_explicit(&pool->holders, 1, memory_order_relaxed);
  atomic_fetch_add_explicit(&pool->members, 1, memory_order_relaxed);
  if (before) leave(before);
}
