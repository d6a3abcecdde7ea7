/* Roundings of float on the host: to 16 bits as in the CPU library, and to TF32. */
#ifndef SPK_CUDA_FLOAT16_H
#define SPK_CUDA_FLOAT16_H

#include "../../../src/common/float16.h"

/* Round to a float whose last bit tells whether the rounding was inexact.  If that is rounded to
 * fewer bits next, the result is as if x had been rounded once.  (Boldo and Melquiond, "Emulation
 * of FMA and correctly rounded sums: proved algorithms using rounding to odd", IEEE Trans.  Comput.
 * 2008.) */
static inline float spk_to_odd(double x) {
  const float near = (float)x;
  if (x != x || (double)near == x || near - near != 0) return near;
  uint32_t bits = spk_bits_of(near);
  if ((near < 0 ? -(double)near : (double)near) > (x < 0 ? -x : x)) bits--; /* towards zero */
  return spk_float_of(bits | 1u);
}

/* Round to 10 bits of fraction, to nearest, ties away from zero (cvt.rna.tf32.f32).  The 13 bits
 * below become 0. */
static inline uint32_t spk_to_tf32(float x) {
  const uint32_t bits = spk_bits_of(x);
  if (x != x) return bits | 0x00400000u; /* stays NaN: quiet, and not rounded to infinity */
  if ((bits & 0x7f800000u) == 0x7f800000u) return bits;
  return (bits + 0x1000u) & ~0x1fffu;
}

#endif
