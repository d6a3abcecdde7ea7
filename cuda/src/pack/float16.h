/* Roundings of float that the host does: to 16 bits as the CPU library has them, and to TF32. */
#ifndef SPK_CUDA_FLOAT16_H
#define SPK_CUDA_FLOAT16_H

#include "../../../src/common/float16.h"

/* To a float whose last bit tells whether anything was lost: what is rounded to fewer bits next is
 * then as if it had been rounded once.  (Boldo and Melquiond, "Emulation of FMA and correctly
 * rounded sums: proved algorithms using rounding to odd", IEEE Trans. Comput. 2008.) */
static inline float spk_to_odd(double x) {
  const float near = (float)x;
  if (x != x || (double)near == x || near - near != 0) return near;
  uint32_t bits = spk_bits_of(near);
  if ((near < 0 ? -(double)near : (double)near) > (x < 0 ? -x : x)) bits--; /* towards zero */
  return spk_float_of(bits | 1u);
}

/* To 10 bits of fraction, to the nearest, ties away from zero (cvt.rna.tf32.f32); the 13 bits below
 * are 0. */
static inline uint32_t spk_to_tf32(float x) {
  const uint32_t bits = spk_bits_of(x);
  if (x != x) return bits | 0x00400000u; /* quiet, and not rounded to infinity */
  if ((bits & 0x7f800000u) == 0x7f800000u) return bits;
  return (bits + 0x1000u) & ~0x1fffu;
}

#endif
