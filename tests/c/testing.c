#include "testing.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define MAX_PRINTED 20
#define MAX_BLOCKS 64
#define FRONT 0xa5

static char current[256];
static long cases, failures;

void test_failed(const char *file, int line, const char *condition, const char *format, ...) {
  if (failures++ >= MAX_PRINTED) return;
  const char *name = strrchr(file, '/');
  printf("%s:%d: %s: not %s", name ? name + 1 : file, line, current, condition);
  if (format[2]) { /* more than the ": " that CHECK begins it with */
    va_list arguments;
    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
  }
  printf("\n");
  fflush(stdout);
}

void test_case(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(current, sizeof current, format, arguments);
  va_end(arguments);
  cases++;
}

int test_result(void) {
  exact_memory_release();
  const char *isa = spk_isa();
  printf("%ld cases, %ld failures (%s, OpenMP %s)\n", cases, failures, isa ? isa : "no ISA",
         spk_openmp() ? spk_openmp() : "off");
  return failures ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* Tests take thousands of small arrays: a block keeps its pages for the next one, up to this size.
 */
#define MAX_KEPT ((size_t)1 << 20)

/* Pages, of which the last faults; `memory` ends where that begins.  `front` bytes before it are
 * FRONT until a test writes there. */
static struct block {
  unsigned char *pages, *memory;
  size_t mapped, front;
  int frozen;
} blocks[MAX_BLOCKS];
static int taken;

static size_t page_size(void) {
  static size_t size;
  if (!size) size = (size_t)sysconf(_SC_PAGESIZE);
  return size;
}

static void map_block(struct block *b, size_t mapped) {
  const size_t guard = page_size();
  if (b->mapped < mapped) {
    if (b->mapped) munmap(b->pages, b->mapped);
    b->pages = mmap(NULL, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    b->mapped = mapped;
    if (b->pages == MAP_FAILED || mprotect(b->pages + mapped - guard, guard, PROT_NONE)) abort();
  } else if (b->frozen && mprotect(b->pages, b->mapped - guard, PROT_READ | PROT_WRITE)) {
    abort();
  }
  b->frozen = 0;
}

void *exact_memory(size_t bytes) {
  if (taken == MAX_BLOCKS) abort();
  struct block *b = &blocks[taken++];
  if (UNDER_SANITIZER) return b->memory = malloc(bytes);
  const size_t page = page_size(), used = (bytes + page - 1) / page * page + page;
  map_block(b, used + page);
  b->memory = b->pages + b->mapped - page - bytes;
  b->front = used - bytes;
  memset(b->memory - b->front, FRONT, used);
  return b->memory;
}

void exact_memory_freeze(void) {
  for (struct block *b = blocks; !UNDER_SANITIZER && b < blocks + taken; b++) {
    if (!b->frozen && mprotect(b->pages, b->mapped - page_size(), PROT_READ)) abort();
    b->frozen = 1;
  }
}

int exact_memory_mark(void) { return taken; }

void exact_memory_release(void) { exact_memory_release_to(0); }

static void release(struct block *b) {
  if (UNDER_SANITIZER) {
    free(b->memory);
    return;
  }
  const unsigned char *front = b->memory - b->front;
  const int intact = *front == FRONT && !memcmp(front, front + 1, b->front - 1);
  CHECK(intact, "written before an array of %td bytes",
        b->pages + b->mapped - page_size() - b->memory);
  if (b->mapped <= MAX_KEPT) return;
  munmap(b->pages, b->mapped);
  b->mapped = 0;
}

void exact_memory_release_to(int mark) {
  while (taken > mark) release(&blocks[--taken]);
}

/* SplitMix64 (Steele, Lea, Flood, OOPSLA 2014). */
static uint64_t state;

void seed_random(uint64_t seed) { state = seed; }

static uint64_t random_bits(void) {
  uint64_t z = state += 0x9e3779b97f4a7c15u;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

ptrdiff_t random_below(ptrdiff_t below) {
  return below < 1 ? 0 : (ptrdiff_t)(random_bits() % (uint64_t)below);
}

double random_number(void) {
  const double x = (double)((random_bits() >> 41) * 2 + 1) / (double)(1 << 24);
  return random_bits() & 1 ? x : -x;
}
