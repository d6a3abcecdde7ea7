/* The vocabulary of avx512.h with what AVX512_VNNI adds: one instruction multiplies four bytes by
 * four signed bytes and adds the products to an integer of 32 bits. */
#ifndef SPK_SIMD_AVX512_VNNI_H
#define SPK_SIMD_AVX512_VNNI_H

#define SPK_OWN_DOT
#include "../isa/avx512.h"

typedef __m512i spk_weights;

static inline spk_weights spk_weights_load(const int8_t *p) {
  int32_t all;
  memcpy(&all, p, sizeof all);
  return _mm512_set1_epi32(all);
}
static inline v_s32 v_s32_dot(v_u8 q, spk_weights w, v_s32 sum) {
  return _mm512_dpbusd_epi32(sum, q, w);
}

/* Words for kernels of float32 whose numbers are four bytes each (`bytes` in table.h): v_q32 is
 * v_f32 but for fma, whose sums are integers, and add.  Epilogues, which multiply, have no part in
 * these products: mul and relu are there for kernels to compile. */
typedef v_f32 v_q32;
typedef m_f32 m_q32;
#define SPK_LANES_q32 SPK_LANES_f32

static inline v_q32 v_q32_fma(v_q32 weights, v_q32 bytes, v_q32 sum) {
  return _mm512_castsi512_ps(_mm512_dpbusd_epi32(
      _mm512_castps_si512(sum), _mm512_castps_si512(bytes), _mm512_castps_si512(weights)));
}
static inline v_q32 v_q32_add(v_q32 a, v_q32 b) {
  return _mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(a), _mm512_castps_si512(b)));
}
#define v_q32_zero v_f32_zero
#define v_q32_set1 v_f32_set1
#define v_q32_set2 v_f32_set2
#define v_q32_set4 v_f32_set4
#define v_q32_mask v_f32_mask
#define v_q32_load v_f32_load
#define v_q32_load_masked v_f32_load_masked
#define v_q32_store v_f32_store
#define v_q32_store_masked v_f32_store_masked
#define v_q32_mul v_f32_mul
#define v_q32_relu v_f32_relu
#define v_q32_blend v_f32_blend
#define v_q32_transpose v_f32_transpose
#define v_q32_permute2 v_f32_permute2
#define v_q32_load4 v_f32_load4
#define v_q32_paired_values v_f32_paired_values
#define v_q32_paired_columns v_f32_paired_columns
#define v_q32_paired_load v_f32_paired_load
#define v_q32_paired_store v_f32_paired_store

#endif
