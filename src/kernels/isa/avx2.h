/* The vocabulary (generic.h says what each word means) in AVX2, FMA and F16C. */
#ifndef SPK_SIMD_AVX2_H
#define SPK_SIMD_AVX2_H

#include <immintrin.h>
#include <stddef.h>
#include <string.h>
#include <stdint.h>

#include "../expand_table.h"

#define SPK_ISA_NAME avx2
#define SPK_LANES_f32 8
#define SPK_LANES_f64 4
#define SPK_SIMD_REGISTERS 16
#define SPK_FAST_LOAD_MASKED
#define SPK_PERMUTE_BITS 4

/* The words of this header; generic.h adds the others. */
#define SPK_OWN_BOTH                                                                           \
  (SPK_WORD_set1 | SPK_WORD_set2 | SPK_WORD_mask | SPK_WORD_load | SPK_WORD_store |            \
   SPK_WORD_load_masked | SPK_WORD_store_masked | SPK_WORD_add | SPK_WORD_sub | SPK_WORD_mul | \
   SPK_WORD_div | SPK_WORD_fma | SPK_WORD_fnma | SPK_WORD_residual | SPK_WORD_relu |           \
   SPK_WORD_max | SPK_WORD_min | SPK_WORD_abs | SPK_WORD_copysign | SPK_WORD_select_less |     \
   SPK_WORD_blend | SPK_WORD_nonzero_mask | SPK_WORD_exp2_int | SPK_WORD_reduce |              \
   SPK_WORD_reduce8 | SPK_WORD_transpose)
#define SPK_OWN_f32 \
  (SPK_OWN_BOTH | SPK_WORD_set4 | SPK_WORD_from_f16 | SPK_WORD_from_bf16 | SPK_WORD_from_s8)
#define SPK_OWN_f64 SPK_OWN_BOTH
#define SPK_OWN_INT8
#define SPK_OWN_EXPAND

typedef __m256i spk_codes;
typedef __m256 v_f32;
typedef __m256i m_f32;
typedef __m256d v_f64;
typedef __m256i m_f64;

/* A window of lanes into ones then zeros makes a mask without a branch. */
static const int32_t spk_mask_window_f32[16] = {-1, -1, -1, -1, -1, -1, -1, -1,
                                                0,  0,  0,  0,  0,  0,  0,  0};
static const int64_t spk_mask_window_f64[8] = {-1, -1, -1, -1, 0, 0, 0, 0};

static inline spk_codes spk_codes_load(const uint32_t *p) {
  return _mm256_loadu_si256((const __m256i *)(const void *)p);
}
static inline spk_codes spk_codes_next(spk_codes c) {
  return _mm256_srli_epi32(c, SPK_PERMUTE_BITS);
}

/* The fourth bit of a code says from which of the two; a blend looks at the sign. */
static inline v_f32 v_f32_permute2(v_f32 a, v_f32 b, spk_codes c) {
  return _mm256_blendv_ps(_mm256_permutevar8x32_ps(a, c), _mm256_permutevar8x32_ps(b, c),
                          _mm256_castsi256_ps(_mm256_slli_epi32(c, 28)));
}
static inline v_f32 v_f32_permute(v_f32 a, spk_codes c) { return _mm256_permutevar8x32_ps(a, c); }
static inline v_f32 v_f32_set1(float x) { return _mm256_set1_ps(x); }
static inline void v_f32_load4(const float *const p[2], v_f32 x[4]) {
  const __m256 low = _mm256_castps128_ps256(_mm_loadu_ps(p[0]));
  const __m256 both = _mm256_insertf128_ps(low, _mm_loadu_ps(p[1]), 1);
  x[0] = _mm256_permute_ps(both, 0x00);
  x[1] = _mm256_permute_ps(both, 0x55);
  x[2] = _mm256_permute_ps(both, 0xaa);
  x[3] = _mm256_permute_ps(both, 0xff);
}
static inline void v_f32_set2(const float *p, v_f32 x[2]) {
  double both;
  memcpy(&both, p, sizeof both);
  const v_f32 pairs = _mm256_castpd_ps(_mm256_set1_pd(both));
  x[0] = _mm256_moveldup_ps(pairs);
  x[1] = _mm256_movehdup_ps(pairs);
}
static inline void v_f32_set4(const float *p, v_f32 x[4]) {
  const __m128 four = _mm_loadu_ps(p);
  const v_f32 repeated = _mm256_insertf128_ps(_mm256_castps128_ps256(four), four, 1);
  x[0] = _mm256_permute_ps(repeated, 0x00);
  x[1] = _mm256_permute_ps(repeated, 0x55);
  x[2] = _mm256_permute_ps(repeated, 0xaa);
  x[3] = _mm256_permute_ps(repeated, 0xff);
}
static inline v_f32 v_f32_from_f16(const uint16_t *p) {
  return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)p));
}
static inline v_f32 v_f32_from_bf16(const uint16_t *p) {
  const __m128i packed = _mm_loadu_si128((const __m128i *)(const void *)p);
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(packed), 16));
}
static inline v_f32 v_f32_from_s8(const int8_t *p) {
  const __m128i packed = _mm_loadl_epi64((const __m128i *)(const void *)p);
  return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(packed));
}
/* Eight columns at a time, as their byte of bits chooses the shuffle. */
static inline void v_f32_expand_s8(const int8_t *p, uint64_t bits, v_f32 a[8]) {
  for (int i = 0; i < 8; i++, bits >>= 8) {
    const uint8_t *from = spk_expand_bytes[bits & 0xff];
    const __m128i values = _mm_loadl_epi64((const __m128i *)(const void *)p);
    const __m128i placed =
        _mm_shuffle_epi8(values, _mm_loadl_epi64((const __m128i *)(const void *)from));
    a[i] = _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(placed));
    p += __builtin_popcount((unsigned)(bits & 0xff));
  }
}
static inline __m128i spk_expand_8_words(const uint16_t **p, uint64_t bits) {
  const uint8_t *from = spk_expand_words[bits & 0xff];
  const __m128i values = _mm_loadu_si128((const __m128i *)(const void *)*p);
  *p += __builtin_popcount((unsigned)(bits & 0xff));
  return _mm_shuffle_epi8(values, _mm_loadu_si128((const __m128i *)(const void *)from));
}
static inline void v_f32_expand_f16(const uint16_t *p, uint64_t bits, v_f32 a[8]) {
  for (int i = 0; i < 8; i++, bits >>= 8) a[i] = _mm256_cvtph_ps(spk_expand_8_words(&p, bits));
}
static inline void v_f32_expand_bf16(const uint16_t *p, uint64_t bits, v_f32 a[8]) {
  for (int i = 0; i < 8; i++, bits >>= 8) {
    const __m256i wide = _mm256_cvtepu16_epi32(spk_expand_8_words(&p, bits));
    a[i] = _mm256_castsi256_ps(_mm256_slli_epi32(wide, 16));
  }
}
static inline m_f32 v_f32_mask(ptrdiff_t n) {
  return _mm256_loadu_si256((const __m256i *)(spk_mask_window_f32 + 8 - n));
}
static inline v_f32 v_f32_load(const float *p) { return _mm256_loadu_ps(p); }
static inline void v_f32_store(float *p, v_f32 a) { _mm256_storeu_ps(p, a); }
static inline v_f32 v_f32_load_masked(const float *p, m_f32 m) { return _mm256_maskload_ps(p, m); }
/* Masks are ones then zeros.  By halves: vmaskmovps to memory takes 12 cycles and more on AMD's
 * CPUs, and the branches go the same way in every row of a tile. */
static inline void v_f32_store_masked(float *p, m_f32 m, v_f32 a) {
  const int n = __builtin_popcount((unsigned)_mm256_movemask_ps(_mm256_castsi256_ps(m)));
  __m128 part = _mm256_castps256_ps128(a);
  if (n == 8) {
    _mm256_storeu_ps(p, a);
    return;
  }
  if (n & 4) {
    _mm_storeu_ps(p, part);
    part = _mm256_extractf128_ps(a, 1);
    p += 4;
  }
  if (n & 2) {
    _mm_storel_pi((__m64 *)(void *)p, part);
    part = _mm_movehl_ps(part, part);
    p += 2;
  }
  if (n & 1) _mm_store_ss(p, part);
}
static inline v_f32 v_f32_add(v_f32 a, v_f32 b) { return _mm256_add_ps(a, b); }
static inline v_f32 v_f32_sub(v_f32 a, v_f32 b) { return _mm256_sub_ps(a, b); }
static inline v_f32 v_f32_mul(v_f32 a, v_f32 b) { return _mm256_mul_ps(a, b); }
static inline v_f32 v_f32_div(v_f32 a, v_f32 b) { return _mm256_div_ps(a, b); }
static inline v_f32 v_f32_fma(v_f32 a, v_f32 b, v_f32 c) { return _mm256_fmadd_ps(a, b, c); }
static inline v_f32 v_f32_fnma(v_f32 a, v_f32 b, v_f32 c) { return _mm256_fnmadd_ps(a, b, c); }
static inline v_f32 v_f32_residual(v_f32 a, v_f32 b, v_f32 c) { return _mm256_fmsub_ps(a, b, c); }
/* max returns its second operand when one is NaN: the order matters. */
static inline v_f32 v_f32_relu(v_f32 a) { return _mm256_max_ps(_mm256_setzero_ps(), a); }
static inline v_f32 v_f32_max(v_f32 a, v_f32 b) { return _mm256_max_ps(a, b); }
static inline v_f32 v_f32_min(v_f32 a, v_f32 b) { return _mm256_min_ps(a, b); }
static inline v_f32 v_f32_abs(v_f32 a) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), a); }
static inline v_f32 v_f32_copysign(v_f32 a, v_f32 x) {
  return _mm256_or_ps(v_f32_abs(a), _mm256_and_ps(_mm256_set1_ps(-0.0f), x));
}
static inline v_f32 v_f32_select_less(v_f32 x, v_f32 y, v_f32 a, v_f32 b) {
  return _mm256_blendv_ps(b, a, _mm256_cmp_ps(x, y, _CMP_LT_OQ));
}
static inline v_f32 v_f32_blend(v_f32 a, unsigned bits, v_f32 b) {
  const __m256i lane = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
  const __m256i set = _mm256_and_si256(_mm256_set1_epi32((int)bits), lane);
  return _mm256_blendv_ps(b, a, _mm256_castsi256_ps(_mm256_cmpeq_epi32(set, lane)));
}
static inline unsigned v_f32_nonzero_mask(v_f32 a) {
  return (unsigned)_mm256_movemask_ps(_mm256_cmp_ps(a, _mm256_setzero_ps(), _CMP_NEQ_UQ));
}
static inline v_f32 v_f32_exp2_int(v_f32 m) {
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_castps_si256(m), 23));
}
static inline float v_f32_reduce(v_f32 a) {
  __m128 s = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
  s = _mm_add_ps(s, _mm_movehl_ps(s, s));
  return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}
static inline __m256 spk_fold4_f32(const v_f32 a[4]) {
  const __m256 t0 = _mm256_add_ps(_mm256_unpacklo_ps(a[0], a[1]), _mm256_unpackhi_ps(a[0], a[1]));
  const __m256 t1 = _mm256_add_ps(_mm256_unpacklo_ps(a[2], a[3]), _mm256_unpackhi_ps(a[2], a[3]));
  return _mm256_add_ps(_mm256_shuffle_ps(t0, t1, 0x44), _mm256_shuffle_ps(t0, t1, 0xee));
}
static inline void v_f32_reduce8(const v_f32 a[8], float y[8]) {
  const __m256 u = spk_fold4_f32(a), w = spk_fold4_f32(a + 4);
  _mm256_storeu_ps(
      y, _mm256_add_ps(_mm256_permute2f128_ps(u, w, 0x20), _mm256_permute2f128_ps(u, w, 0x31)));
}

static inline v_f64 v_f64_permute2(v_f64 a, v_f64 b, spk_codes c) {
  return _mm256_castps_pd(v_f32_permute2(_mm256_castpd_ps(a), _mm256_castpd_ps(b), c));
}
static inline v_f64 v_f64_permute(v_f64 a, spk_codes c) {
  return _mm256_castps_pd(v_f32_permute(_mm256_castpd_ps(a), c));
}
static inline v_f64 v_f64_set1(double x) { return _mm256_set1_pd(x); }
static inline void v_f64_load4(const double *const p[1], v_f64 x[4]) {
  for (int i = 0; i < 4; i++) x[i] = _mm256_broadcast_sd(p[0] + i);
}
static inline void v_f64_set2(const double *p, v_f64 x[2]) {
  const __m128d both = _mm_loadu_pd(p);
  const v_f64 pairs = _mm256_insertf128_pd(_mm256_castpd128_pd256(both), both, 1);
  x[0] = _mm256_unpacklo_pd(pairs, pairs);
  x[1] = _mm256_unpackhi_pd(pairs, pairs);
}
static inline m_f64 v_f64_mask(ptrdiff_t n) {
  return _mm256_loadu_si256((const __m256i *)(spk_mask_window_f64 + 4 - n));
}
static inline v_f64 v_f64_load(const double *p) { return _mm256_loadu_pd(p); }
static inline void v_f64_store(double *p, v_f64 a) { _mm256_storeu_pd(p, a); }
static inline v_f64 v_f64_load_masked(const double *p, m_f64 m) { return _mm256_maskload_pd(p, m); }
static inline void v_f64_store_masked(double *p, m_f64 m, v_f64 a) {
  const int n = __builtin_popcount((unsigned)_mm256_movemask_pd(_mm256_castsi256_pd(m)));
  __m128d part = _mm256_castpd256_pd128(a);
  if (n == 4) {
    _mm256_storeu_pd(p, a);
    return;
  }
  if (n & 2) {
    _mm_storeu_pd(p, part);
    part = _mm256_extractf128_pd(a, 1);
    p += 2;
  }
  if (n & 1) _mm_store_sd(p, part);
}
static inline v_f64 v_f64_add(v_f64 a, v_f64 b) { return _mm256_add_pd(a, b); }
static inline v_f64 v_f64_sub(v_f64 a, v_f64 b) { return _mm256_sub_pd(a, b); }
static inline v_f64 v_f64_mul(v_f64 a, v_f64 b) { return _mm256_mul_pd(a, b); }
static inline v_f64 v_f64_div(v_f64 a, v_f64 b) { return _mm256_div_pd(a, b); }
static inline v_f64 v_f64_fma(v_f64 a, v_f64 b, v_f64 c) { return _mm256_fmadd_pd(a, b, c); }
static inline v_f64 v_f64_fnma(v_f64 a, v_f64 b, v_f64 c) { return _mm256_fnmadd_pd(a, b, c); }
static inline v_f64 v_f64_residual(v_f64 a, v_f64 b, v_f64 c) { return _mm256_fmsub_pd(a, b, c); }
static inline v_f64 v_f64_relu(v_f64 a) { return _mm256_max_pd(_mm256_setzero_pd(), a); }
static inline v_f64 v_f64_max(v_f64 a, v_f64 b) { return _mm256_max_pd(a, b); }
static inline v_f64 v_f64_min(v_f64 a, v_f64 b) { return _mm256_min_pd(a, b); }
static inline v_f64 v_f64_abs(v_f64 a) { return _mm256_andnot_pd(_mm256_set1_pd(-0.0), a); }
static inline v_f64 v_f64_copysign(v_f64 a, v_f64 x) {
  return _mm256_or_pd(v_f64_abs(a), _mm256_and_pd(_mm256_set1_pd(-0.0), x));
}
static inline v_f64 v_f64_select_less(v_f64 x, v_f64 y, v_f64 a, v_f64 b) {
  return _mm256_blendv_pd(b, a, _mm256_cmp_pd(x, y, _CMP_LT_OQ));
}
static inline v_f64 v_f64_blend(v_f64 a, unsigned bits, v_f64 b) {
  const __m256i lane = _mm256_setr_epi64x(1, 2, 4, 8);
  const __m256i set = _mm256_and_si256(_mm256_set1_epi64x((long long)bits), lane);
  return _mm256_blendv_pd(b, a, _mm256_castsi256_pd(_mm256_cmpeq_epi64(set, lane)));
}
static inline unsigned v_f64_nonzero_mask(v_f64 a) {
  return (unsigned)_mm256_movemask_pd(_mm256_cmp_pd(a, _mm256_setzero_pd(), _CMP_NEQ_UQ));
}
static inline v_f64 v_f64_exp2_int(v_f64 m) {
  return _mm256_castsi256_pd(_mm256_slli_epi64(_mm256_castpd_si256(m), 52));
}
static inline double v_f64_reduce(v_f64 a) {
  const __m128d s = _mm_add_pd(_mm256_castpd256_pd128(a), _mm256_extractf128_pd(a, 1));
  return _mm_cvtsd_f64(_mm_add_sd(s, _mm_unpackhi_pd(s, s)));
}
static inline void spk_fold4_f64(const v_f64 a[4], double y[4]) {
  const __m256d t0 = _mm256_hadd_pd(a[0], a[1]), t1 = _mm256_hadd_pd(a[2], a[3]);
  _mm256_storeu_pd(
      y, _mm256_add_pd(_mm256_permute2f128_pd(t0, t1, 0x20), _mm256_permute2f128_pd(t0, t1, 0x31)));
}
static inline void v_f64_reduce8(const v_f64 a[8], double y[8]) {
  spk_fold4_f64(a, y);
  spk_fold4_f64(a + 4, y + 4);
}

static inline void v_f32_transpose(v_f32 a[8]) {
  v_f32 t[8];
  for (int i = 0; i < 8; i += 2) {
    t[i] = _mm256_unpacklo_ps(a[i], a[i + 1]);
    t[i + 1] = _mm256_unpackhi_ps(a[i], a[i + 1]);
  }
  for (int i = 0; i < 8; i += 4)
    for (int j = 0; j < 2; j++) {
      const __m256d low = _mm256_castps_pd(t[i + j]), high = _mm256_castps_pd(t[i + j + 2]);
      a[i + 2 * j] = _mm256_castpd_ps(_mm256_unpacklo_pd(low, high));
      a[i + 2 * j + 1] = _mm256_castpd_ps(_mm256_unpackhi_pd(low, high));
    }
  for (int j = 0; j < 4; j++) {
    const v_f32 upper = a[j], lower = a[j + 4];
    a[j] = _mm256_permute2f128_ps(upper, lower, 0x20);
    a[j + 4] = _mm256_permute2f128_ps(upper, lower, 0x31);
  }
}
static inline void v_f64_transpose(v_f64 a[4]) {
  const v_f64 t0 = _mm256_unpacklo_pd(a[0], a[1]), t1 = _mm256_unpackhi_pd(a[0], a[1]);
  const v_f64 t2 = _mm256_unpacklo_pd(a[2], a[3]), t3 = _mm256_unpackhi_pd(a[2], a[3]);
  a[0] = _mm256_permute2f128_pd(t0, t2, 0x20);
  a[1] = _mm256_permute2f128_pd(t1, t3, 0x20);
  a[2] = _mm256_permute2f128_pd(t0, t2, 0x31);
  a[3] = _mm256_permute2f128_pd(t1, t3, 0x31);
}

typedef __m256i v_u8;
typedef __m256i v_s32;

static inline v_u8 v_u8_load(const uint8_t *p) {
  return _mm256_loadu_si256((const __m256i *)(const void *)p);
}
static inline void v_u8_store(uint8_t *p, v_u8 a) { _mm256_storeu_si256((__m256i *)(void *)p, a); }
static inline v_s32 v_s32_load(const int32_t *p) {
  return _mm256_loadu_si256((const __m256i *)(const void *)p);
}
static inline void v_s32_store(int32_t *p, v_s32 a) {
  _mm256_storeu_si256((__m256i *)(void *)p, a);
}
static inline v_u8 v_u8_order(v_u8 a, uint8_t flip) {
  const __m256i from = _mm256_setr_epi32(0, 2, 4, 6, 1, 3, 5, 7);
  return _mm256_xor_si256(_mm256_permutevar8x32_epi32(a, from), _mm256_set1_epi8((char)flip));
}
/* Within 128 bits: bytes, then pairs of them; which leaves columns in the order that v_u8_order
 * undoes. */
static inline void v_u8_interleave4(const v_u8 a[4], v_u8 q[4]) {
  const __m256i low = _mm256_unpacklo_epi8(a[0], a[1]), high = _mm256_unpackhi_epi8(a[0], a[1]);
  const __m256i low2 = _mm256_unpacklo_epi8(a[2], a[3]), high2 = _mm256_unpackhi_epi8(a[2], a[3]);
  q[0] = _mm256_unpacklo_epi16(low, low2);
  q[1] = _mm256_unpackhi_epi16(low, low2);
  q[2] = _mm256_unpacklo_epi16(high, high2);
  q[3] = _mm256_unpackhi_epi16(high, high2);
}
#ifndef SPK_OWN_DOT /* an overlay has a better one */
/* vpmaddubsw would saturate: bytes 0 and 2, then 1 and 3, as 16 bits. */
typedef struct {
  __m256i even, odd;
} spk_weights;

static inline spk_weights spk_weights_load(const int8_t *p) {
  int32_t all;
  memcpy(&all, p, sizeof all);
  const __m256i w = _mm256_set1_epi32(all);
  return (spk_weights){_mm256_srai_epi16(_mm256_slli_epi16(w, 8), 8), _mm256_srai_epi16(w, 8)};
}
static inline v_s32 v_s32_dot(v_u8 q, spk_weights w, v_s32 sum) {
  const __m256i even = _mm256_and_si256(q, _mm256_set1_epi16(0xff)), odd = _mm256_srli_epi16(q, 8);
  return _mm256_add_epi32(
      sum, _mm256_add_epi32(_mm256_madd_epi16(even, w.even), _mm256_madd_epi16(odd, w.odd)));
}
#endif

#include "generic.h"

#endif
