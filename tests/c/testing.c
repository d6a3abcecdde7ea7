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

static struct {
  unsigned char *pages, *memory;
  size_t mapped;
} blocks[MAX_BLOCKS];
static int taken;

void *exact_memory(size_t bytes) {
  if (taken == MAX_BLOCKS) abort();
  const size_t page = (size_t)sysconf(_SC_PAGESIZE);
  if (UNDER_SANITIZER) {
    blocks[taken].memory = malloc(bytes);
  } else {
    const size_t used = (bytes + page - 1) / page * page + page;
    unsigned char *pages =
        mmap(NULL, used + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pages == MAP_FAILED || mprotect(pages + used, page, PROT_NONE)) abort();
    memset(pages, FRONT, used - bytes);
    blocks[taken].pages = pages;
    blocks[taken].mapped = used + page;
    blocks[taken].memory = pages + used - bytes;
  }
  return blocks[taken++].memory;
}

void exact_memory_freeze(void) {
  const size_t page = (size_t)sysconf(_SC_PAGESIZE);
  for (int i = 0; !UNDER_SANITIZER && i < taken; i++)
    if (mprotect(blocks[i].pages, blocks[i].mapped - page, PROT_READ)) abort();
}

int exact_memory_mark(void) { return taken; }

void exact_memory_release(void) { exact_memory_release_to(0); }

void exact_memory_release_to(int mark) {
  while (taken > mark) {
    taken--;
    if (UNDER_SANITIZER) {
      free(blocks[taken].memory);
      continue;
    }
    const unsigned char *p = blocks[taken].pages;
    while (p < blocks[taken].memory && *p == FRONT) p++;
    CHECK(p == blocks[taken].memory, "written %td bytes before an array", blocks[taken].memory - p);
    munmap(blocks[taken].pages, blocks[taken].mapped);
  }
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
