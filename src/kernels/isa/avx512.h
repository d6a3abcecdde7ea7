/* The vocabulary (generic.h says what each word means) in AVX-512 F, BW, VL and DQ. */
#ifndef SPK_SIMD_AVX512_H
#define SPK_SIMD_AVX512_H

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "../expand_table.h"

#define SPK_ISA_NAME avx512
#define SPK_LANES_f32 16
#define SPK_LANES_f64 8
#define SPK_SIMD_REGISTERS 32
#define SPK_FAST_LOAD_MASKED
#define SPK_PERMUTE_BITS 5
#define SPK_HAS_PAIRED_ROWS

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

typedef __m512i spk_codes;
typedef __m512 v_f32;
typedef __mmask16 m_f32;
typedef __m512d v_f64;
typedef __mmask8 m_f64;

static inline v_f32 v_f32_set1(float x) { return _mm512_set1_ps(x); }
static inline spk_codes spk_codes_load(const uint32_t *p) {
  spk_codes c = _mm512_loadu_si512(p);
  __asm__("" : "+v"(c)); /* once, not again for the shift of a copy */
  return c;
}
static inline spk_codes spk_codes_next(spk_codes c) {
  return _mm512_srli_epi32(c, SPK_PERMUTE_BITS);
}
static inline v_f32 v_f32_permute2(v_f32 a, v_f32 b, spk_codes c) {
  return _mm512_permutex2var_ps(a, c, b);
}
static inline v_f32 v_f32_permute(v_f32 a, spk_codes c) { return _mm512_permutexvar_ps(c, a); }
static inline void v_f32_load4(const float *const p[4], v_f32 x[4]) {
  __m512 all = _mm512_castps128_ps512(_mm_loadu_ps(p[0]));
  all = _mm512_insertf32x4(all, _mm_loadu_ps(p[1]), 1);
  all = _mm512_insertf32x4(all, _mm_loadu_ps(p[2]), 2);
  all = _mm512_insertf32x4(all, _mm_loadu_ps(p[3]), 3);
  x[0] = _mm512_permute_ps(all, 0x00);
  x[1] = _mm512_permute_ps(all, 0x55);
  x[2] = _mm512_permute_ps(all, 0xaa);
  x[3] = _mm512_permute_ps(all, 0xff);
}
static inline void v_f32_set2(const float *p, v_f32 x[2]) {
  double both;
  memcpy(&both, p, sizeof both);
  const v_f32 pairs = _mm512_castpd_ps(_mm512_set1_pd(both));
  x[0] = _mm512_moveldup_ps(pairs);
  x[1] = _mm512_movehdup_ps(pairs);
}
static inline void v_f32_set4(const float *p, v_f32 x[4]) {
  const v_f32 repeated = _mm512_broadcast_f32x4(_mm_loadu_ps(p));
  x[0] = _mm512_permute_ps(repeated, 0x00);
  x[1] = _mm512_permute_ps(repeated, 0x55);
  x[2] = _mm512_permute_ps(repeated, 0xaa);
  x[3] = _mm512_permute_ps(repeated, 0xff);
}
static inline v_f32 v_f32_paired_values(const float *p) {
  double both;
  memcpy(&both, p, sizeof both);
  return _mm512_castpd_ps(_mm512_set1_pd(both));
}
static inline v_f32 v_f32_paired_columns(const float *p) {
  const __m512i twice = _mm512_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7);
  return _mm512_permutexvar_ps(twice, _mm512_castps256_ps512(_mm256_loadu_ps(p)));
}
static inline v_f32 v_f32_paired_load(const float *p, const float *q) {
  const __m512i mix = _mm512_setr_epi32(0, 8, 1, 9, 2, 10, 3, 11, 4, 12, 5, 13, 6, 14, 7, 15);
  const __m512 rows = _mm512_castps256_ps512(_mm256_loadu_ps(p));
  return _mm512_permutexvar_ps(mix, _mm512_insertf32x8(rows, _mm256_loadu_ps(q), 1));
}
static inline void v_f32_paired_store(float *p, float *q, v_f32 a) {
  const __m512i part = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 1, 3, 5, 7, 9, 11, 13, 15);
  const __m512 rows = _mm512_permutexvar_ps(part, a);
  _mm256_storeu_ps(p, _mm512_castps512_ps256(rows));
  _mm256_storeu_ps(q, _mm512_extractf32x8_ps(rows, 1));
}
static inline v_f32 v_f32_from_f16(const uint16_t *p) {
  return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(const void *)p));
}
static inline v_f32 v_f32_from_bf16(const uint16_t *p) {
  const __m256i packed = _mm256_loadu_si256((const __m256i *)(const void *)p);
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(packed), 16));
}
static inline v_f32 v_f32_from_s8(const int8_t *p) {
  const __m128i packed = _mm_loadu_si128((const __m128i *)(const void *)p);
  return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(packed));
}
#ifndef SPK_OWN_EXPAND /* an overlay has better ones */
#define SPK_OWN_EXPAND
/* Sixteen columns at a time.  The bytes of the upper eight begin where those of the lower end. */
static inline void v_f32_expand_s8(const int8_t *p, uint64_t bits, v_f32 a[4]) {
  for (int i = 0; i < 4; i++, bits >>= 16) {
    const int lower = __builtin_popcount((unsigned)(bits & 0xff));
    int64_t from[2];
    memcpy(&from[0], spk_expand_bytes[bits & 0xff], sizeof *from);
    memcpy(&from[1], spk_expand_bytes[bits >> 8 & 0xff], sizeof *from);
    const __m128i more = _mm_set_epi64x(lower * INT64_C(0x0101010101010101), 0);
    const __m128i shuffle = _mm_add_epi8(_mm_set_epi64x(from[1], from[0]), more);
    const __m128i values = _mm_loadu_si128((const __m128i *)(const void *)p);
    a[i] = _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_shuffle_epi8(values, shuffle)));
    p += __builtin_popcount((unsigned)(bits & 0xffff));
  }
}
static inline void v_f32_expand_f16(const uint16_t *p, uint64_t bits, v_f32 a[4]) {
  for (int i = 0; i < 4; i++, bits >>= 16) {
    a[i] = _mm512_maskz_expand_ps((__mmask16)bits, v_f32_from_f16(p));
    p += __builtin_popcount((unsigned)(bits & 0xffff));
  }
}
static inline void v_f32_expand_bf16(const uint16_t *p, uint64_t bits, v_f32 a[4]) {
  for (int i = 0; i < 4; i++, bits >>= 16) {
    a[i] = _mm512_maskz_expand_ps((__mmask16)bits, v_f32_from_bf16(p));
    p += __builtin_popcount((unsigned)(bits & 0xffff));
  }
}
#endif
static inline m_f32 v_f32_mask(ptrdiff_t n) { return (__mmask16)((1u << n) - 1u); }
static inline v_f32 v_f32_load(const float *p) { return _mm512_loadu_ps(p); }
static inline void v_f32_store(float *p, v_f32 a) { _mm512_storeu_ps(p, a); }
static inline v_f32 v_f32_load_masked(const float *p, m_f32 m) {
  return _mm512_maskz_loadu_ps(m, p);
}
static inline void v_f32_store_masked(float *p, m_f32 m, v_f32 a) {
  _mm512_mask_storeu_ps(p, m, a);
}
static inline v_f32 v_f32_add(v_f32 a, v_f32 b) { return _mm512_add_ps(a, b); }
static inline v_f32 v_f32_sub(v_f32 a, v_f32 b) { return _mm512_sub_ps(a, b); }
static inline v_f32 v_f32_mul(v_f32 a, v_f32 b) { return _mm512_mul_ps(a, b); }
static inline v_f32 v_f32_div(v_f32 a, v_f32 b) { return _mm512_div_ps(a, b); }
static inline v_f32 v_f32_fma(v_f32 a, v_f32 b, v_f32 c) { return _mm512_fmadd_ps(a, b, c); }
static inline v_f32 v_f32_fnma(v_f32 a, v_f32 b, v_f32 c) { return _mm512_fnmadd_ps(a, b, c); }
static inline v_f32 v_f32_residual(v_f32 a, v_f32 b, v_f32 c) { return _mm512_fmsub_ps(a, b, c); }
/* max returns its second operand when one is NaN: the order matters. */
static inline v_f32 v_f32_relu(v_f32 a) { return _mm512_max_ps(_mm512_setzero_ps(), a); }
static inline v_f32 v_f32_max(v_f32 a, v_f32 b) { return _mm512_max_ps(a, b); }
static inline v_f32 v_f32_min(v_f32 a, v_f32 b) { return _mm512_min_ps(a, b); }
static inline v_f32 v_f32_abs(v_f32 a) { return _mm512_abs_ps(a); }
static inline v_f32 v_f32_copysign(v_f32 a, v_f32 x) {
  const v_f32 sign = _mm512_set1_ps(-0.0f);
  return _mm512_or_ps(_mm512_andnot_ps(sign, a), _mm512_and_ps(sign, x));
}
static inline v_f32 v_f32_select_less(v_f32 x, v_f32 y, v_f32 a, v_f32 b) {
  return _mm512_mask_mov_ps(b, _mm512_cmp_ps_mask(x, y, _CMP_LT_OQ), a);
}
static inline v_f32 v_f32_blend(v_f32 a, unsigned bits, v_f32 b) {
  return _mm512_mask_mov_ps(b, (__mmask16)bits, a);
}
static inline unsigned v_f32_nonzero_mask(v_f32 a) {
  return _mm512_cmp_ps_mask(a, _mm512_setzero_ps(), _CMP_NEQ_UQ);
}
static inline v_f32 v_f32_exp2_int(v_f32 m) {
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_castps_si512(m), 23));
}
static inline float v_f32_reduce(v_f32 a) { return _mm512_reduce_add_ps(a); }
static inline __m512 spk_fold4_f32(const v_f32 a[4]) {
  const __m512 t0 = _mm512_add_ps(_mm512_unpacklo_ps(a[0], a[1]), _mm512_unpackhi_ps(a[0], a[1]));
  const __m512 t1 = _mm512_add_ps(_mm512_unpacklo_ps(a[2], a[3]), _mm512_unpackhi_ps(a[2], a[3]));
  return _mm512_add_ps(_mm512_shuffle_ps(t0, t1, 0x44), _mm512_shuffle_ps(t0, t1, 0xee));
}
static inline void v_f32_reduce8(const v_f32 a[8], float y[8]) {
  const __m512 u = spk_fold4_f32(a), w = spk_fold4_f32(a + 4);
  const __m512 z =
      _mm512_add_ps(_mm512_shuffle_f32x4(u, w, 0x88), _mm512_shuffle_f32x4(u, w, 0xdd));
  _mm256_storeu_ps(y, _mm512_castps512_ps256(_mm512_add_ps(_mm512_shuffle_f32x4(z, z, 0x88),
                                                           _mm512_shuffle_f32x4(z, z, 0xdd))));
}

static inline void v_f32_transpose(v_f32 a[16]) {
  v_f32 t[16];
  for (int i = 0; i < 16; i += 2) {
    t[i] = _mm512_unpacklo_ps(a[i], a[i + 1]);
    t[i + 1] = _mm512_unpackhi_ps(a[i], a[i + 1]);
  }
  /* a[4 i + j]: columns j, 4 + j, 8 + j, 12 + j of rows 4 i .. 4 i + 3, in quarters */
  for (int i = 0; i < 16; i += 4)
    for (int j = 0; j < 2; j++) {
      const __m512d low = _mm512_castps_pd(t[i + j]), high = _mm512_castps_pd(t[i + j + 2]);
      a[i + 2 * j] = _mm512_castpd_ps(_mm512_unpacklo_pd(low, high));
      a[i + 2 * j + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(low, high));
    }
  for (int i = 0; i < 16; i += 8)
    for (int j = 0; j < 4; j++) {
      t[i + j] = _mm512_shuffle_f32x4(a[i + j], a[i + j + 4], 0x88);
      t[i + j + 4] = _mm512_shuffle_f32x4(a[i + j], a[i + j + 4], 0xdd);
    }
  for (int j = 0; j < 8; j++) {
    a[j] = _mm512_shuffle_f32x4(t[j], t[j + 8], 0x88);
    a[j + 8] = _mm512_shuffle_f32x4(t[j], t[j + 8], 0xdd);
  }
}

static inline v_f64 v_f64_set1(double x) { return _mm512_set1_pd(x); }
static inline v_f64 v_f64_permute(v_f64 a, spk_codes c) {
  return _mm512_castps_pd(v_f32_permute(_mm512_castpd_ps(a), c));
}
static inline v_f64 v_f64_permute2(v_f64 a, v_f64 b, spk_codes c) {
  return _mm512_castps_pd(v_f32_permute2(_mm512_castpd_ps(a), _mm512_castpd_ps(b), c));
}
static inline void v_f64_load4(const double *const p[2], v_f64 x[4]) {
  const __m512d low = _mm512_castpd256_pd512(_mm256_loadu_pd(p[0]));
  const __m512d all = _mm512_insertf64x4(low, _mm256_loadu_pd(p[1]), 1);
  x[0] = _mm512_permutex_pd(all, 0x00);
  x[1] = _mm512_permutex_pd(all, 0x55);
  x[2] = _mm512_permutex_pd(all, 0xaa);
  x[3] = _mm512_permutex_pd(all, 0xff);
}
static inline void v_f64_set2(const double *p, v_f64 x[2]) {
  const v_f64 pairs = _mm512_broadcast_f64x2(_mm_loadu_pd(p));
  x[0] = _mm512_unpacklo_pd(pairs, pairs);
  x[1] = _mm512_unpackhi_pd(pairs, pairs);
}
static inline v_f64 v_f64_paired_values(const double *p) {
  return _mm512_broadcast_f64x2(_mm_loadu_pd(p));
}
static inline v_f64 v_f64_paired_columns(const double *p) {
  const __m512i twice = _mm512_setr_epi64(0, 0, 1, 1, 2, 2, 3, 3);
  return _mm512_permutexvar_pd(twice, _mm512_castpd256_pd512(_mm256_loadu_pd(p)));
}
static inline v_f64 v_f64_paired_load(const double *p, const double *q) {
  const __m512d rows = _mm512_castpd256_pd512(_mm256_loadu_pd(p));
  return _mm512_permutexvar_pd(_mm512_setr_epi64(0, 4, 1, 5, 2, 6, 3, 7),
                               _mm512_insertf64x4(rows, _mm256_loadu_pd(q), 1));
}
static inline void v_f64_paired_store(double *p, double *q, v_f64 a) {
  const __m512d rows = _mm512_permutexvar_pd(_mm512_setr_epi64(0, 2, 4, 6, 1, 3, 5, 7), a);
  _mm256_storeu_pd(p, _mm512_castpd512_pd256(rows));
  _mm256_storeu_pd(q, _mm512_extractf64x4_pd(rows, 1));
}
static inline m_f64 v_f64_mask(ptrdiff_t n) { return (__mmask8)((1u << n) - 1u); }
static inline v_f64 v_f64_load(const double *p) { return _mm512_loadu_pd(p); }
static inline void v_f64_store(double *p, v_f64 a) { _mm512_storeu_pd(p, a); }
static inline v_f64 v_f64_load_masked(const double *p, m_f64 m) {
  return _mm512_maskz_loadu_pd(m, p);
}
static inline void v_f64_store_masked(double *p, m_f64 m, v_f64 a) {
  _mm512_mask_storeu_pd(p, m, a);
}
static inline v_f64 v_f64_add(v_f64 a, v_f64 b) { return _mm512_add_pd(a, b); }
static inline v_f64 v_f64_sub(v_f64 a, v_f64 b) { return _mm512_sub_pd(a, b); }
static inline v_f64 v_f64_mul(v_f64 a, v_f64 b) { return _mm512_mul_pd(a, b); }
static inline v_f64 v_f64_div(v_f64 a, v_f64 b) { return _mm512_div_pd(a, b); }
static inline v_f64 v_f64_fma(v_f64 a, v_f64 b, v_f64 c) { return _mm512_fmadd_pd(a, b, c); }
static inline v_f64 v_f64_fnma(v_f64 a, v_f64 b, v_f64 c) { return _mm512_fnmadd_pd(a, b, c); }
static inline v_f64 v_f64_residual(v_f64 a, v_f64 b, v_f64 c) { return _mm512_fmsub_pd(a, b, c); }
static inline v_f64 v_f64_relu(v_f64 a) { return _mm512_max_pd(_mm512_setzero_pd(), a); }
static inline v_f64 v_f64_max(v_f64 a, v_f64 b) { return _mm512_max_pd(a, b); }
static inline v_f64 v_f64_min(v_f64 a, v_f64 b) { return _mm512_min_pd(a, b); }
static inline v_f64 v_f64_abs(v_f64 a) { return _mm512_abs_pd(a); }
static inline v_f64 v_f64_copysign(v_f64 a, v_f64 x) {
  const v_f64 sign = _mm512_set1_pd(-0.0);
  return _mm512_or_pd(_mm512_andnot_pd(sign, a), _mm512_and_pd(sign, x));
}
static inline v_f64 v_f64_select_less(v_f64 x, v_f64 y, v_f64 a, v_f64 b) {
  return _mm512_mask_mov_pd(b, _mm512_cmp_pd_mask(x, y, _CMP_LT_OQ), a);
}
static inline v_f64 v_f64_blend(v_f64 a, unsigned bits, v_f64 b) {
  return _mm512_mask_mov_pd(b, (__mmask8)bits, a);
}
static inline unsigned v_f64_nonzero_mask(v_f64 a) {
  return _mm512_cmp_pd_mask(a, _mm512_setzero_pd(), _CMP_NEQ_UQ);
}
static inline v_f64 v_f64_exp2_int(v_f64 m) {
  return _mm512_castsi512_pd(_mm512_slli_epi64(_mm512_castpd_si512(m), 52));
}
static inline double v_f64_reduce(v_f64 a) { return _mm512_reduce_add_pd(a); }
static inline __m512d spk_fold2_f64(v_f64 a, v_f64 b) {
  return _mm512_add_pd(_mm512_unpacklo_pd(a, b), _mm512_unpackhi_pd(a, b));
}
static inline __m512d spk_fold_lanes_f64(__m512d a, __m512d b) {
  return _mm512_add_pd(_mm512_shuffle_f64x2(a, b, 0x88), _mm512_shuffle_f64x2(a, b, 0xdd));
}
static inline void v_f64_reduce8(const v_f64 a[8], double y[8]) {
  const __m512d p = spk_fold_lanes_f64(spk_fold2_f64(a[0], a[1]), spk_fold2_f64(a[2], a[3]));
  const __m512d q = spk_fold_lanes_f64(spk_fold2_f64(a[4], a[5]), spk_fold2_f64(a[6], a[7]));
  _mm512_storeu_pd(y, spk_fold_lanes_f64(p, q));
}

static inline void v_f64_transpose(v_f64 a[8]) {
  v_f64 t[8];
  for (int i = 0; i < 8; i += 2) {
    t[i] = _mm512_unpacklo_pd(a[i], a[i + 1]);
    t[i + 1] = _mm512_unpackhi_pd(a[i], a[i + 1]);
  }
  for (int i = 0; i < 8; i += 4)
    for (int j = 0; j < 2; j++) {
      a[i + j] = _mm512_shuffle_f64x2(t[i + j], t[i + j + 2], 0x88);
      a[i + j + 2] = _mm512_shuffle_f64x2(t[i + j], t[i + j + 2], 0xdd);
    }
  for (int j = 0; j < 4; j++) {
    t[j] = _mm512_shuffle_f64x2(a[j], a[j + 4], 0x88);
    t[j + 4] = _mm512_shuffle_f64x2(a[j], a[j + 4], 0xdd);
  }
  for (int j = 0; j < 8; j++) a[j] = t[j];
}

typedef __m512i v_u8;
typedef __m512i v_s32;

static inline v_u8 v_u8_load(const uint8_t *p) { return _mm512_loadu_si512(p); }
static inline void v_u8_store(uint8_t *p, v_u8 a) { _mm512_storeu_si512(p, a); }
static inline v_s32 v_s32_load(const int32_t *p) { return _mm512_loadu_si512(p); }
static inline void v_s32_store(int32_t *p, v_s32 a) { _mm512_storeu_si512(p, a); }
static inline v_u8 v_u8_order(v_u8 a, uint8_t flip) {
  const __m512i from = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  return _mm512_xor_si512(_mm512_permutexvar_epi32(from, a), _mm512_set1_epi8((char)flip));
}
/* Within 128 bits: bytes, then pairs of them; which leaves columns in the order that v_u8_order
 * undoes. */
static inline void v_u8_interleave4(const v_u8 a[4], v_u8 q[4]) {
  const __m512i low = _mm512_unpacklo_epi8(a[0], a[1]), high = _mm512_unpackhi_epi8(a[0], a[1]);
  const __m512i low2 = _mm512_unpacklo_epi8(a[2], a[3]), high2 = _mm512_unpackhi_epi8(a[2], a[3]);
  q[0] = _mm512_unpacklo_epi16(low, low2);
  q[1] = _mm512_unpackhi_epi16(low, low2);
  q[2] = _mm512_unpacklo_epi16(high, high2);
  q[3] = _mm512_unpackhi_epi16(high, high2);
}
#ifndef SPK_OWN_DOT /* an overlay has a better one */
/* vpmaddubsw would saturate: bytes 0 and 2, then 1 and 3, as 16 bits. */
typedef struct {
  __m512i even, odd;
} spk_weights;

static inline spk_weights spk_weights_load(const int8_t *p) {
  int32_t all;
  memcpy(&all, p, sizeof all);
  const __m512i w = _mm512_set1_epi32(all);
  return (spk_weights){_mm512_srai_epi16(_mm512_slli_epi16(w, 8), 8), _mm512_srai_epi16(w, 8)};
}
static inline v_s32 v_s32_dot(v_u8 q, spk_weights w, v_s32 sum) {
  const __m512i even = _mm512_and_si512(q, _mm512_set1_epi16(0xff)), odd = _mm512_srli_epi16(q, 8);
  return _mm512_add_epi32(
      sum, _mm512_add_epi32(_mm512_madd_epi16(even, w.even), _mm512_madd_epi16(odd, w.odd)));
}
#endif

#include "generic.h"

#endif
