/* Conversions of float16 (IEEE 754 binary16) and bfloat16, held as 16 bits, in portable C. */
#ifndef SPK_FLOAT16_H
#define SPK_FLOAT16_H

#include "common.h"

static inline float spk_float_of(uint32_t bits) {
  float x;
  memcpy(&x, &bits, sizeof x);
  return x;
}

static inline uint32_t spk_bits_of(float x) {
  uint32_t bits;
  memcpy(&bits, &x, sizeof bits);
  return bits;
}

static inline float spk_from_bf16(uint16_t h) { return spk_float_of((uint32_t)h << 16); }

static inline float spk_from_f16(uint16_t h) {
  const uint32_t sign = (uint32_t)(h & 0x8000u) << 16, rest = h & 0x7fffu;
  if (rest >= 0x7c00u) return spk_float_of(sign | 0x7f800000u | (rest & 0x3ffu) << 13);
  /* The factor 2^112 corrects the bias of the exponent and makes subnormals right as well. */
  const float magnitude = spk_float_of(rest << 13) * 0x1p112f;
  return spk_float_of(sign | spk_bits_of(magnitude));
}

/* Rounds to nearest, ties to even.  NaN stays NaN. */
static inline uint16_t spk_to_bf16(float x) {
  const uint32_t bits = spk_bits_of(x);
  if (x != x) return (uint16_t)(bits >> 16 | 0x40u);
  return (uint16_t)((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}

/* Rounds to nearest, ties to even.  What rounds to more than 65504 becomes infinite. */
static inline uint16_t spk_to_f16(float x) {
  const uint32_t sign = spk_bits_of(x) >> 16 & 0x8000u, bits = spk_bits_of(x) & 0x7fffffffu;
  if (bits > 0x7f800000u) return (uint16_t)(sign | 0x7e00u);
  if (bits >= 0x477ff000u) return (uint16_t)(sign | 0x7c00u);
  if (bits < 0x38800000u) {
    /* A subnormal counts units of 2^-24, and 2^-24 is the last bit of 0.5f. */
    const uint32_t units = spk_bits_of(spk_float_of(bits) + 0.5f) - spk_bits_of(0.5f);
    return (uint16_t)(sign | units);
  }
  const uint32_t rounded = bits + 0xfffu + (bits >> 13 & 1u);
  return (uint16_t)(sign | ((rounded - 0x38000000u) >> 13));
}

#endif
