/* The vocabulary of avx512.h with what AVX512_VBMI2 adds: one instruction expands 64 bytes or 32
 * pairs of bytes.  Lanes come from neighbouring bytes by shifts, so vectors take every fourth or
 * every other column; float16, whose conversion takes neighbours, excepted. */
#ifndef SPK_SIMD_AVX512_VBMI2_H
#define SPK_SIMD_AVX512_VBMI2_H

#define SPK_OWN_EXPAND
#define SPK_EXPAND_STRIDE_s8 4
#define SPK_EXPAND_STRIDE_f16 1
#define SPK_EXPAND_STRIDE_bf16 2
#include "../isa/avx512.h"

static inline void v_f32_expand_s8(const int8_t *p, uint64_t bits, v_f32 a[4]) {
  const __m512i placed = _mm512_maskz_expand_epi8(bits, _mm512_loadu_si512(p));
  a[0] = _mm512_cvtepi32_ps(_mm512_srai_epi32(_mm512_slli_epi32(placed, 24), 24));
  a[1] = _mm512_cvtepi32_ps(_mm512_srai_epi32(_mm512_slli_epi32(placed, 16), 24));
  a[2] = _mm512_cvtepi32_ps(_mm512_srai_epi32(_mm512_slli_epi32(placed, 8), 24));
  a[3] = _mm512_cvtepi32_ps(_mm512_srai_epi32(placed, 24));
}
/* The 32 columns that the lower half of `bits` chooses. */
static inline __m512i spk_expand_32_words(const uint16_t **p, uint64_t bits) {
  const __m512i values = _mm512_loadu_si512(*p);
  *p += __builtin_popcount((uint32_t)bits);
  return _mm512_maskz_expand_epi16((uint32_t)bits, values);
}
static inline void v_f32_expand_f16(const uint16_t *p, uint64_t bits, v_f32 a[4]) {
  for (int half = 0; half < 2; half++, bits >>= 32) {
    const __m512i placed = spk_expand_32_words(&p, bits);
    a[2 * half] = _mm512_cvtph_ps(_mm512_castsi512_si256(placed));
    a[2 * half + 1] = _mm512_cvtph_ps(_mm512_extracti64x4_epi64(placed, 1));
  }
}
static inline void v_f32_expand_bf16(const uint16_t *p, uint64_t bits, v_f32 a[4]) {
  const __m512i upper = _mm512_set1_epi32((int)0xffff0000u);
  for (int half = 0; half < 2; half++, bits >>= 32) {
    const __m512i placed = spk_expand_32_words(&p, bits);
    a[2 * half] = _mm512_castsi512_ps(_mm512_slli_epi32(placed, 16));
    a[2 * half + 1] = _mm512_castsi512_ps(_mm512_and_si512(placed, upper));
  }
}

#endif
