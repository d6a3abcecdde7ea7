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

#include "q32.h"

static inline v_q32 v_q32_fma(v_q32 weights, v_q32 bytes, v_q32 sum) {
  return _mm512_castsi512_ps(_mm512_dpbusd_epi32(
      _mm512_castps_si512(sum), _mm512_castps_si512(bytes), _mm512_castps_si512(weights)));
}
static inline v_q32 v_q32_add(v_q32 a, v_q32 b) {
  return _mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(a), _mm512_castps_si512(b)));
}

#endif
