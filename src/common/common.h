/* What every layer shares: token pasting and small inline helpers.  No state. */
#ifndef SPK_COMMON_H
#define SPK_COMMON_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "spkernels/spkernels.h"

#define SPK_CAT2_(a, b) a##b
#define SPK_CAT2(a, b) SPK_CAT2_(a, b)
#define SPK_CAT3_(a, b, c) a##b##c
#define SPK_CAT3(a, b, c) SPK_CAT3_(a, b, c)

#if defined(__GNUC__) || defined(__clang__)
#define SPK_INLINE static inline __attribute__((always_inline))
#define SPK_PREFETCH(p) __builtin_prefetch(p)
#else
#define SPK_INLINE static inline
#define SPK_PREFETCH(p) ((void)(p))
#endif

#if defined(__clang__)
#define SPK_UNROLL _Pragma("clang loop unroll(full)")
#elif defined(__GNUC__)
#define SPK_UNROLL _Pragma("GCC unroll 16")
#else
#define SPK_UNROLL
#endif

/* Keeps GCC from unrolling a loop of constant length before it vectorises the loop. */
#if defined(__GNUC__) && !defined(__clang__)
#define SPK_ROLLED _Pragma("GCC unroll 1")
#else
#define SPK_ROLLED
#endif

/* For loops over few entries.  A compiler would turn them into long vector loops, whose prologues
 * cost more than the loop itself (3.8 against 2.2 ns for a row of one entry). */
#if defined(__GNUC__) && !defined(__clang__)
#define SPK_SCALAR_LOOPS __attribute__((optimize("no-tree-vectorize", "no-tree-slp-vectorize")))
#else
#define SPK_SCALAR_LOOPS
#endif

/* Keeps GCC from replacing one pointer with offsets by a pointer per element. */
#if defined(__GNUC__)
#define SPK_ONE_POINTER(p) __asm__("" : "+r"(p))
#else
#define SPK_ONE_POINTER(p) ((void)0)
#endif

/* The position of the lowest set bit.  bits != 0. */
static inline int spk_lowest_bit(uint64_t bits) {
#if defined(__GNUC__)
  return __builtin_ctzll(bits);
#else
  int i = 0;
  while (!(bits >> i & 1)) i++;
  return i;
#endif
}

/* How many values spk_format has. */
#define SPK_FORMATS 4

/* Columns of a piece of a bitmap (pack/bitmap.h), and the bytes behind the values of a matrix that
 * kernels may read. */
#define SPK_PIECE 64
#define SPK_EXPAND_BYTES 128

/* Bytes of a cache line, and the alignment of packed panels. */
#define SPK_ALIGN 64

static inline ptrdiff_t spk_min(ptrdiff_t a, ptrdiff_t b) { return a < b ? a : b; }
static inline ptrdiff_t spk_max(ptrdiff_t a, ptrdiff_t b) { return a > b ? a : b; }
/* a >= 0, b > 0.  a + b may exceed PTRDIFF_MAX, as shapes may be as large as a ptrdiff_t. */
static inline ptrdiff_t spk_ceil_div(ptrdiff_t a, ptrdiff_t b) { return a / b + (a % b != 0); }
/* The least multiple of b that is not below a, or PTRDIFF_MAX if the multiple exceeds it. */
static inline ptrdiff_t spk_round_up(ptrdiff_t a, ptrdiff_t b) {
  const ptrdiff_t more = a % b ? b - a % b : 0;
  return a > PTRDIFF_MAX - more ? PTRDIFF_MAX : a + more;
}
/* a * b, or PTRDIFF_MAX if the product exceeds it.  a, b >= 0. */
static inline ptrdiff_t spk_product(ptrdiff_t a, ptrdiff_t b) {
  ptrdiff_t product;
  return __builtin_mul_overflow(a, b, &product) ? PTRDIFF_MAX : product;
}

/* Sizes of allocations.  A size that exceeds that of any object becomes PTRDIFF_MAX, which no
 * allocation gets. */
static inline size_t spk_size_sum(size_t a, size_t b) {
  size_t sum;
  return __builtin_add_overflow(a, b, &sum) || sum > PTRDIFF_MAX ? PTRDIFF_MAX : sum;
}
static inline size_t spk_size_product(size_t a, size_t b) {
  size_t product;
  return __builtin_mul_overflow(a, b, &product) || product > PTRDIFF_MAX ? PTRDIFF_MAX : product;
}

static inline size_t spk_dtype_size(spk_dtype dtype) { return dtype == SPK_F32 ? 4 : 8; }
/* Whether values of a storage are integers that scales multiply. */
static inline int spk_has_scales(spk_storage storage) { return storage >= SPK_STORAGE_S8; }
static inline size_t spk_result_size(spk_result result) { return result <= SPK_RESULT_F32 ? 4 : 1; }

/* What is subtracted from all elements of B.  Kernels take B's bytes as unsigned, so signed ones
 * are shifted by 128.  Zero points of columns are subtracted in addition. */
static inline int32_t spk_int8_shift(const spk_requantise *how, const spk_bytes *B) {
  return (how->column_zero_points ? 0 : how->zero_point) + (B->is_signed ? 128 : 0);
}
static inline size_t spk_itype_size(spk_itype itype) { return itype == SPK_I32 ? 4 : 8; }

/* x rounded to a dtype.  The variable is volatile because GCC 12.2, from -O2 on, drops the rounding
 * where two neighbouring members of a returned struct are rounded under a condition. */
static inline double spk_rounded(double x, spk_dtype dtype) {
  if (dtype != SPK_F32) return x;
  const volatile float narrow = (float)x;
  return (double)narrow;
}

/* Element i of an index array of either width. */
static inline ptrdiff_t spk_index(const void *array, spk_itype itype, ptrdiff_t i) {
  return itype == SPK_I32 ? (ptrdiff_t)((const int32_t *)array)[i]
                          : (ptrdiff_t)((const int64_t *)array)[i];
}

static inline const void *spk_at(const void *base, ptrdiff_t elements, size_t size) {
  return (const char *)base + elements * (ptrdiff_t)size;
}
static inline void *spk_at_mut(void *base, ptrdiff_t elements, size_t size) {
  return (char *)base + elements * (ptrdiff_t)size;
}

/* Two neighbouring elements of an array, by one load. */
static inline void spk_pair(const uint16_t *p, ptrdiff_t pair[2]) {
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
  uint32_t both;
  memcpy(&both, p, sizeof both);
  pair[0] = (ptrdiff_t)(both & 0xffffu);
  pair[1] = (ptrdiff_t)(both >> 16);
#else
  pair[0] = (ptrdiff_t)p[0];
  pair[1] = (ptrdiff_t)p[1];
#endif
}

/* Four neighbouring elements of an array, by one load. */
static inline void spk_four(const uint16_t *p, ptrdiff_t four[4]) {
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
  uint64_t all;
  memcpy(&all, p, sizeof all);
  for (int i = 0; i < 4; i++) four[i] = (ptrdiff_t)(all >> (16 * i) & 0xffffu);
#else
  for (int i = 0; i < 4; i++) four[i] = (ptrdiff_t)p[i];
#endif
}

/* The size of a part of a workspace, rounded up to whole cache lines, or PTRDIFF_MAX. */
static inline size_t spk_aligned_size(size_t bytes) {
  if (bytes > (size_t)PTRDIFF_MAX - SPK_ALIGN) return PTRDIFF_MAX;
  return (bytes + SPK_ALIGN - 1) / SPK_ALIGN * SPK_ALIGN;
}

#endif
