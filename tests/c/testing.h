/* What the C tests share: checks that count, memory that ends where it says, seeded numbers. */
#ifndef SPK_TESTING_H
#define SPK_TESTING_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "../../src/common/common.h"

#if defined(__SANITIZE_ADDRESS__)
#define UNDER_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define UNDER_SANITIZER 1
#endif
#endif
#ifndef UNDER_SANITIZER
#define UNDER_SANITIZER 0
#endif

/* Meson's status for a test that cannot run here. */
#define TEST_SKIPPED 77

/* Fails the test, not the process: the rest of it still runs.  The first few failures are printed,
 * each after the case it came from (test_case). */
#define CHECK(condition, ...)                                                        \
  do {                                                                               \
    if (!(condition)) test_failed(__FILE__, __LINE__, #condition, ": " __VA_ARGS__); \
  } while (0)

void test_failed(const char *file, int line, const char *condition, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* Names the case that runs now, for what fails in it. */
void test_case(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The status for main; says how many cases ran. */
int test_result(void);

/* Memory of exactly `bytes`, of which nothing behind can be touched: the address sanitizer's own
 * where it is in use, else the end of a page before one that faults.  What lies before is checked
 * for writes when it is given back. */
void *exact_memory(size_t bytes);
/* Makes what was taken so far read-only, where the sanitizer is not in use. */
void exact_memory_freeze(void);
/* Gives back all that was taken, or what was taken since a mark. */
void exact_memory_release(void);
int exact_memory_mark(void);
void exact_memory_release_to(int mark);

/* The same numbers in every run. */
void seed_random(uint64_t seed);
/* 0 .. below-1 */
ptrdiff_t random_below(ptrdiff_t below);
/* In (-1, 1), never 0, and a float: the product of two is exact in double. */
double random_number(void);

static inline double get_value(const void *array, spk_dtype dtype, ptrdiff_t i) {
  return dtype == SPK_F32 ? (double)((const float *)array)[i] : ((const double *)array)[i];
}
static inline void put_value(void *array, spk_dtype dtype, ptrdiff_t i, double x) {
  if (dtype == SPK_F32)
    ((float *)array)[i] = (float)x;
  else
    ((double *)array)[i] = x;
}
static inline void put_index(void *array, spk_itype itype, ptrdiff_t i, int64_t x) {
  if (itype == SPK_I32)
    ((int32_t *)array)[i] = (int32_t)x;
  else
    ((int64_t *)array)[i] = x;
}

#endif
