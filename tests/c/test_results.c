/* Memory of large results: what is kept, for whom, how much, and until when. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "testing.h"

#define MIB ((size_t)1 << 20)
/* A child that hangs is killed after as many seconds. */
#define PATIENCE 60

static int holds(const unsigned char *block, unsigned char value, size_t bytes) {
  for (size_t i = 0; i < bytes; i += 509)
    if (block[i] != value) return 0;
  return block[bytes - 1] == value;
}

/* A block that was written from end to end. */
static void *filled(size_t bytes, int value) {
  void *block = spk_result_new(bytes);
  CHECK(block, "%zu bytes", bytes);
  if (!block) abort();
  memset(block, value, bytes);
  return block;
}

static void check_reuse(void) {
  test_case("a block of the same size, of others, and of none");
  void *first = filled(40 * MIB, 1);
  CHECK((uintptr_t)first % (2 * MIB) == 0);
  spk_result_free(first);
  CHECK(spk_kept_results() == 40 * MIB);
  void *second = filled(80 * MIB, 2);
  CHECK(second != first, "a larger one");
  void *third = filled(20 * MIB, 3);
  CHECK(third != first, "a much smaller one");
  void *fourth = filled(39 * MIB, 4);
  CHECK(fourth == first, "a little smaller");
  CHECK(spk_kept_results() == 0);
  CHECK(holds(second, 2, 80 * MIB) && holds(third, 3, 20 * MIB) && holds(fourth, 4, 39 * MIB));
  spk_result_free(second);
  spk_result_free(third);
  spk_result_free(fourth);
  spk_result_free(NULL);
  CHECK(spk_kept_results() == 140 * MIB);
  CHECK(spk_release_memory() >= 140 * MIB);
  CHECK(spk_kept_results() == 0);
  void *one = spk_result_new(0);
  CHECK(one, "a block without bytes");
  spk_result_free(one);
  CHECK(spk_release_memory() == 2 * MIB);
  CHECK(!spk_result_new(SIZE_MAX) && !spk_result_new(SIZE_MAX / 2 - 1));
}

static void check_resize(void) {
  test_case("another size keeps the content");
  void *block = filled(33 * MIB, 5);
  block = spk_result_resize(block, 70 * MIB);
  CHECK(block && holds(block, 5, 33 * MIB), "grown");
  block = spk_result_resize(block, 1000);
  CHECK(block && holds(block, 5, 1000), "shrunk");
  CHECK(!spk_result_resize(block, SIZE_MAX) && holds(block, 5, 1000), "no memory");
  spk_result_free(block);
  block = spk_result_resize(NULL, 10);
  CHECK(block, "of none");
  spk_result_free(block);
  spk_release_memory();
}

static void check_limit(void) {
  test_case("the limit");
  static const size_t kept[3] = {40 * MIB, 100 * MIB, 80 * MIB};
  void *blocks[12];
  spk_keep_results(100 * MIB, 1);
  for (int i = 0; i < 3; i++) blocks[i] = filled((size_t)(40 + 20 * i) * MIB, i);
  for (int i = 0; i < 3; i++) {
    spk_result_free(blocks[i]);
    CHECK(spk_kept_results() == kept[i], "%d: %zu", i, spk_kept_results());
  }
  void *larger = filled(102 * MIB, 1);
  spk_result_free(larger);
  CHECK(spk_kept_results() == 80 * MIB, "a block beyond the limit, others stay");
  spk_keep_results(60 * MIB, 1);
  CHECK(spk_kept_results() == 0, "a lower limit");
  test_case("the number of blocks");
  spk_keep_results(100 * MIB, 0);
  for (int i = 0; i < 12; i++) blocks[i] = filled(4 * MIB, i);
  for (int i = 0; i < 12; i++) spk_result_free(blocks[i]);
  CHECK(spk_kept_results() == 32 * MIB);
  CHECK(spk_result_new(4 * MIB) == blocks[11], "the last one first");
  spk_result_free(blocks[11]);
  test_case("nothing is kept");
  spk_keep_results(0, 1);
  CHECK(spk_kept_results() == 0);
  spk_result_free(filled(40 * MIB, 1));
  CHECK(spk_kept_results() == 0);
  spk_keep_results(256 * MIB, 1);
}

/* The bytes of a block that the system may take, or -1 where it does not tell. */
static long free_bytes(const void *block) {
  FILE *maps = fopen("/proc/self/smaps", "r");
  char line[512];
  long found = -1;
  int inside = 0;
  while (maps && fgets(line, sizeof line, maps)) {
    unsigned long begin, end;
    long kib;
    if (sscanf(line, "%lx-%lx", &begin, &end) == 2)
      inside = begin <= (uintptr_t)block && (uintptr_t)block < end;
    if (inside && sscanf(line, "LazyFree: %ld", &kib) == 1) found = kib * 1024;
  }
  if (maps) fclose(maps);
  return found;
}

static void check_system(void) {
  test_case("the system may take what is kept");
  void *block = filled(40 * MIB, 7);
  if (free_bytes(block) >= 0) {
    CHECK(free_bytes(block) == 0);
    spk_result_free(block);
    CHECK(free_bytes(block) == (long)(40 * MIB), "%ld", free_bytes(block));
    CHECK(spk_result_new(40 * MIB) == block);
    memset(block, 8, 40 * MIB);
    CHECK(holds(block, 8, 40 * MIB));
    CHECK(madvise(block, 40 * MIB, MADV_DONTNEED) == 0);
    CHECK(holds(block, 0, 40 * MIB), "as if it had taken all");
  }
  spk_result_free(block);
  test_case("locked memory is not kept");
  spk_release_memory();
  block = filled(8 * MIB, 9);
  if (!UNDER_SANITIZER && mlock(block, 8 * MIB) == 0) { /* a sanitizer locks nothing */
    spk_result_free(block);
    CHECK(spk_kept_results() == 0);
  } else {
    spk_result_free(block);
  }
  spk_release_memory();
}

/* In a child, as the limit of the address space is not raised again. */
static void check_exhaustion(void) {
  test_case("no memory");
  fflush(stdout);
  const pid_t child = fork();
  if (child == 0) {
    alarm(PATIENCE);
    spk_keep_results((size_t)1 << 30, 1);
    void *block = spk_result_new(200 * MIB);
    spk_result_free(block);
    int right = spk_kept_results() == 200 * MIB;
    unsigned long pages = 0;
    FILE *statm = fopen("/proc/self/statm", "r");
    right &= statm && fscanf(statm, "%lu", &pages) == 1;
    const struct rlimit room = {pages * (size_t)sysconf(_SC_PAGESIZE) + 150 * MIB, RLIM_INFINITY};
    right &= setrlimit(RLIMIT_AS, &room) == 0;
    /* What is kept makes room. */
    block = spk_result_new(300 * MIB);
    right &= block && spk_kept_results() == 0;
    right &= !spk_result_new(300 * MIB);
    right &= !spk_result_resize(block, 600 * MIB);
    spk_result_free(block);
    _exit(right ? 0 : 1);
  }
  int status = 0;
  CHECK(child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) &&
        WEXITSTATUS(status) == 0);
}

/* The values that threads write are their own, so a block that two threads have shows. */
static void *take_and_give(void *number) {
  uintptr_t mine = (uintptr_t)number, failed = 0;
  for (int i = 0; i < 400; i++) {
    const size_t bytes = (2 + ((size_t)i * 7 + mine * 5) % 5) * MIB;
    unsigned char *block = spk_result_new(bytes);
    if (!block) return (void *)(uintptr_t)1;
    for (size_t at = 0; at < bytes; at += 65536) block[at] = (unsigned char)mine;
    for (size_t at = 0; at < bytes; at += 65536) failed |= block[at] != (unsigned char)mine;
    spk_result_free(block);
    if (i % 50 == 0) spk_release_memory();
  }
  return (void *)failed;
}

enum { THREADS = 4 };

static void check_threads(void) {
  test_case("%d threads", THREADS);
  pthread_t threads[THREADS];
  spk_keep_results(12 * MIB, 1);
  for (uintptr_t i = 0; i < THREADS; i++)
    if (pthread_create(&threads[i], NULL, take_and_give, (void *)(i + 1)) != 0) abort();
  for (int i = 0; i < THREADS; i++) {
    void *failed = NULL;
    CHECK(pthread_join(threads[i], &failed) == 0 && !failed, "thread %d", i);
  }
  CHECK(spk_kept_results() <= 12 * MIB);
  spk_release_memory();
  CHECK(spk_kept_results() == 0);
  spk_keep_results(256 * MIB, 1);
}

static void check_fork(void) {
  test_case("a child has what its parent kept, and its writes are its own");
  unsigned char *kept = filled(40 * MIB, 1), *held = filled(40 * MIB, 2);
  spk_result_free(kept);
  fflush(stdout);
  const pid_t child = fork();
  if (child == 0) {
    alarm(PATIENCE);
    int right = holds(held, 2, 40 * MIB) && spk_kept_results() == 40 * MIB;
    right &= spk_result_new(40 * MIB) == kept;
    memset(kept, 3, 40 * MIB);
    spk_result_free(held);
    right &= holds(kept, 3, 40 * MIB);
    right &= spk_release_memory() >= 40 * MIB;
    _exit(right ? 0 : 1);
  }
  int status = 0;
  CHECK(child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) &&
        WEXITSTATUS(status) == 0);
  CHECK(holds(held, 2, 40 * MIB), "of the parent");
  spk_result_free(held);
  spk_release_memory();
}

int main(void) {
  check_reuse();
  check_resize();
  check_limit();
  check_system();
  if (!UNDER_SANITIZER) check_exhaustion(); /* a sanitizer maps terabytes */
  check_threads();
  check_fork();
  return test_result();
}
