/* The vocabulary of avx2.h, and words for numbers of four bytes that are two values of 16 bits
 * each: without AVX_VNNI, four bytes take six instructions, and a pair of 16 bits takes two, and
 * saturates nowhere. */
#ifndef SPK_SIMD_AVX2_PAIRS_H
#define SPK_SIMD_AVX2_PAIRS_H

#define SPK_Q32_VALUES 2
#include "../isa/avx2.h"
#include "q32.h"

static inline v_q32 v_q32_add(v_q32 a, v_q32 b) {
  return _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(a), _mm256_castps_si256(b)));
}
static inline v_q32 v_q32_fma(v_q32 weights, v_q32 pairs, v_q32 sum) {
  return v_q32_add(sum, _mm256_castsi256_ps(_mm256_madd_epi16(_mm256_castps_si256(weights),
                                                              _mm256_castps_si256(pairs))));
}

#endif
