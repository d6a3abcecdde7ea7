/* The vocabulary of avx2.h with what AVX_VNNI adds: AVX512_VNNI's instruction for vectors of 256
 * bits, in CPUs without AVX-512 as well. */
#ifndef SPK_SIMD_AVX2_VNNI_H
#define SPK_SIMD_AVX2_VNNI_H

#define SPK_OWN_DOT
#define SPK_INT8_PASS 2 /* vectors, see int8_gather4.inc.h */
#include "../isa/avx2.h"

typedef __m256i spk_weights;

static inline spk_weights spk_weights_load(const int8_t *p) {
  int32_t all;
  memcpy(&all, p, sizeof all);
  return _mm256_set1_epi32(all);
}
static inline v_s32 v_s32_dot(v_u8 q, spk_weights w, v_s32 sum) {
  return _mm256_dpbusd_avx_epi32(sum, q, w);
}

#include "q32.h"

static inline v_q32 v_q32_fma(v_q32 weights, v_q32 bytes, v_q32 sum) {
  return _mm256_castsi256_ps(_mm256_dpbusd_avx_epi32(
      _mm256_castps_si256(sum), _mm256_castps_si256(bytes), _mm256_castps_si256(weights)));
}
static inline v_q32 v_q32_add(v_q32 a, v_q32 b) {
  return _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(a), _mm256_castps_si256(b)));
}

#endif
