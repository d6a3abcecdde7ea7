/* The vocabulary (generic.h says what each word means) in AArch64 Advanced SIMD. */
#ifndef SPK_SIMD_NEON_H
#define SPK_SIMD_NEON_H

#include <arm_neon.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "../expand_table.h"

#define SPK_ISA_NAME neon
#define SPK_LANES_f32 4
#define SPK_LANES_f64 2
#define SPK_SIMD_REGISTERS 32

/* The words of this header; generic.h adds the others. */
#define SPK_OWN_BOTH                                                                         \
  (SPK_WORD_set1 | SPK_WORD_set2 | SPK_WORD_load | SPK_WORD_store | SPK_WORD_load_masked |   \
   SPK_WORD_store_masked | SPK_WORD_add | SPK_WORD_sub | SPK_WORD_mul | SPK_WORD_div |       \
   SPK_WORD_fma | SPK_WORD_fnma | SPK_WORD_residual | SPK_WORD_relu | SPK_WORD_max |         \
   SPK_WORD_min | SPK_WORD_abs | SPK_WORD_copysign | SPK_WORD_select_less | SPK_WORD_blend | \
   SPK_WORD_nonzero_mask | SPK_WORD_exp2_int | SPK_WORD_reduce | SPK_WORD_reduce8 |          \
   SPK_WORD_transpose)
#define SPK_OWN_f32 (SPK_OWN_BOTH | SPK_WORD_from_f16 | SPK_WORD_from_bf16 | SPK_WORD_from_s8)
#define SPK_OWN_f64 SPK_OWN_BOTH
#define SPK_OWN_INT8
#define SPK_OWN_EXPAND

typedef float32x4_t v_f32;
typedef ptrdiff_t m_f32;
typedef float64x2_t v_f64;
typedef ptrdiff_t m_f64;

static inline v_f32 v_f32_set1(float x) { return vdupq_n_f32(x); }
static inline void v_f32_set2(const float *p, v_f32 x[2]) {
  const float32x2_t both = vld1_f32(p);
  x[0] = vdupq_lane_f32(both, 0);
  x[1] = vdupq_lane_f32(both, 1);
}
static inline v_f32 v_f32_from_f16(const uint16_t *p) {
  return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p)));
}
static inline v_f32 v_f32_from_bf16(const uint16_t *p) {
  return vreinterpretq_f32_u32(vshll_n_u16(vld1_u16(p), 16));
}
static inline v_f32 v_f32_from_s8(const int8_t *p) {
  int32_t four;
  memcpy(&four, p, sizeof four);
  const int16x8_t wide = vmovl_s8(vreinterpret_s8_s32(vdup_n_s32(four)));
  return vcvtq_f32_s32(vmovl_s16(vget_low_s16(wide)));
}
/* Eight columns at a time, as their byte of bits chooses the shuffle. */
static inline void v_f32_expand_s8(const int8_t *p, uint64_t bits, v_f32 a[16]) {
  for (int i = 0; i < 8; i++, bits >>= 8) {
    const uint8x8_t from = vld1_u8(spk_expand_bytes[bits & 0xff]);
    const int16x8_t wide = vmovl_s8(vtbl1_s8(vld1_s8(p), vreinterpret_s8_u8(from)));
    a[2 * i] = vcvtq_f32_s32(vmovl_s16(vget_low_s16(wide)));
    a[2 * i + 1] = vcvtq_f32_s32(vmovl_s16(vget_high_s16(wide)));
    p += __builtin_popcount((unsigned)(bits & 0xff));
  }
}
static inline uint16x8_t spk_expand_8_words(const uint16_t **p, uint64_t bits) {
  const uint8x16_t from = vld1q_u8(spk_expand_words[bits & 0xff]);
  const uint8x16_t values = vreinterpretq_u8_u16(vld1q_u16(*p));
  *p += __builtin_popcount((unsigned)(bits & 0xff));
  return vreinterpretq_u16_u8(vqtbl1q_u8(values, from));
}
static inline void v_f32_expand_f16(const uint16_t *p, uint64_t bits, v_f32 a[16]) {
  for (int i = 0; i < 8; i++, bits >>= 8) {
    const float16x8_t placed = vreinterpretq_f16_u16(spk_expand_8_words(&p, bits));
    a[2 * i] = vcvt_f32_f16(vget_low_f16(placed));
    a[2 * i + 1] = vcvt_f32_f16(vget_high_f16(placed));
  }
}
static inline void v_f32_expand_bf16(const uint16_t *p, uint64_t bits, v_f32 a[16]) {
  for (int i = 0; i < 8; i++, bits >>= 8) {
    const uint16x8_t placed = spk_expand_8_words(&p, bits);
    a[2 * i] = vreinterpretq_f32_u32(vshll_n_u16(vget_low_u16(placed), 16));
    a[2 * i + 1] = vreinterpretq_f32_u32(vshll_n_u16(vget_high_u16(placed), 16));
  }
}
static inline v_f32 v_f32_load(const float *p) { return vld1q_f32(p); }
static inline void v_f32_store(float *p, v_f32 a) { vst1q_f32(p, a); }
/* No masked load here: lane by lane, so that nothing past the row is touched. */
static inline v_f32 v_f32_load_masked(const float *p, m_f32 m) {
  if (m >= 4) return vld1q_f32(p);
  v_f32 r = vdupq_n_f32(0.0f);
  if (m > 0) r = vld1q_lane_f32(p, r, 0);
  if (m > 1) r = vld1q_lane_f32(p + 1, r, 1);
  if (m > 2) r = vld1q_lane_f32(p + 2, r, 2);
  return r;
}
static inline void v_f32_store_masked(float *p, m_f32 m, v_f32 a) {
  if (m >= 4) {
    vst1q_f32(p, a);
    return;
  }
  if (m > 0) vst1q_lane_f32(p, a, 0);
  if (m > 1) vst1q_lane_f32(p + 1, a, 1);
  if (m > 2) vst1q_lane_f32(p + 2, a, 2);
}
static inline v_f32 v_f32_add(v_f32 a, v_f32 b) { return vaddq_f32(a, b); }
static inline v_f32 v_f32_sub(v_f32 a, v_f32 b) { return vsubq_f32(a, b); }
static inline v_f32 v_f32_mul(v_f32 a, v_f32 b) { return vmulq_f32(a, b); }
static inline v_f32 v_f32_div(v_f32 a, v_f32 b) { return vdivq_f32(a, b); }
static inline v_f32 v_f32_fma(v_f32 a, v_f32 b, v_f32 c) { return vfmaq_f32(c, a, b); }
static inline v_f32 v_f32_fnma(v_f32 a, v_f32 b, v_f32 c) { return vfmsq_f32(c, a, b); }
static inline v_f32 v_f32_residual(v_f32 a, v_f32 b, v_f32 c) {
  return vfmaq_f32(vnegq_f32(c), a, b);
}
/* Not the maximum, which makes 0 of -0. */
static inline v_f32 v_f32_relu(v_f32 a) { return vbslq_f32(vcltzq_f32(a), vdupq_n_f32(0.0f), a); }
static inline v_f32 v_f32_max(v_f32 a, v_f32 b) { return vbslq_f32(vcgtq_f32(a, b), a, b); }
static inline v_f32 v_f32_min(v_f32 a, v_f32 b) { return vbslq_f32(vcltq_f32(a, b), a, b); }
static inline v_f32 v_f32_abs(v_f32 a) { return vabsq_f32(a); }
static inline v_f32 v_f32_copysign(v_f32 a, v_f32 x) {
  return vbslq_f32(vdupq_n_u32(0x80000000u), x, a);
}
static inline v_f32 v_f32_select_less(v_f32 x, v_f32 y, v_f32 a, v_f32 b) {
  return vbslq_f32(vcltq_f32(x, y), a, b);
}
static inline v_f32 v_f32_blend(v_f32 a, unsigned bits, v_f32 b) {
  static const uint32_t lanes[4] = {1, 2, 4, 8};
  return vbslq_f32(vtstq_u32(vdupq_n_u32(bits), vld1q_u32(lanes)), a, b);
}
static inline unsigned v_f32_nonzero_mask(v_f32 a) {
  static const uint32_t bits[4] = {1, 2, 4, 8};
  return vaddvq_u32(vbicq_u32(vld1q_u32(bits), vceqzq_f32(a)));
}
static inline v_f32 v_f32_exp2_int(v_f32 m) {
  return vreinterpretq_f32_u32(vshlq_n_u32(vreinterpretq_u32_f32(m), 23));
}
static inline float v_f32_reduce(v_f32 a) { return vaddvq_f32(a); }
static inline void v_f32_reduce8(const v_f32 a[8], float y[8]) {
  vst1q_f32(y, vpaddq_f32(vpaddq_f32(a[0], a[1]), vpaddq_f32(a[2], a[3])));
  vst1q_f32(y + 4, vpaddq_f32(vpaddq_f32(a[4], a[5]), vpaddq_f32(a[6], a[7])));
}

static inline v_f64 v_f64_set1(double x) { return vdupq_n_f64(x); }
static inline void v_f64_set2(const double *p, v_f64 x[2]) {
  const float64x2_t both = vld1q_f64(p);
  x[0] = vdupq_laneq_f64(both, 0);
  x[1] = vdupq_laneq_f64(both, 1);
}
static inline v_f64 v_f64_load(const double *p) { return vld1q_f64(p); }
static inline void v_f64_store(double *p, v_f64 a) { vst1q_f64(p, a); }
static inline v_f64 v_f64_load_masked(const double *p, m_f64 m) {
  if (m >= 2) return vld1q_f64(p);
  return m > 0 ? vld1q_lane_f64(p, vdupq_n_f64(0.0), 0) : vdupq_n_f64(0.0);
}
static inline void v_f64_store_masked(double *p, m_f64 m, v_f64 a) {
  if (m >= 2)
    vst1q_f64(p, a);
  else if (m > 0)
    vst1q_lane_f64(p, a, 0);
}
static inline v_f64 v_f64_add(v_f64 a, v_f64 b) { return vaddq_f64(a, b); }
static inline v_f64 v_f64_sub(v_f64 a, v_f64 b) { return vsubq_f64(a, b); }
static inline v_f64 v_f64_mul(v_f64 a, v_f64 b) { return vmulq_f64(a, b); }
static inline v_f64 v_f64_div(v_f64 a, v_f64 b) { return vdivq_f64(a, b); }
static inline v_f64 v_f64_fma(v_f64 a, v_f64 b, v_f64 c) { return vfmaq_f64(c, a, b); }
static inline v_f64 v_f64_fnma(v_f64 a, v_f64 b, v_f64 c) { return vfmsq_f64(c, a, b); }
static inline v_f64 v_f64_residual(v_f64 a, v_f64 b, v_f64 c) {
  return vfmaq_f64(vnegq_f64(c), a, b);
}
/* Not the maximum, which makes 0 of -0. */
static inline v_f64 v_f64_relu(v_f64 a) { return vbslq_f64(vcltzq_f64(a), vdupq_n_f64(0.0), a); }
static inline v_f64 v_f64_max(v_f64 a, v_f64 b) { return vbslq_f64(vcgtq_f64(a, b), a, b); }
static inline v_f64 v_f64_min(v_f64 a, v_f64 b) { return vbslq_f64(vcltq_f64(a, b), a, b); }
static inline v_f64 v_f64_abs(v_f64 a) { return vabsq_f64(a); }
static inline v_f64 v_f64_copysign(v_f64 a, v_f64 x) {
  return vbslq_f64(vdupq_n_u64((uint64_t)1 << 63), x, a);
}
static inline v_f64 v_f64_select_less(v_f64 x, v_f64 y, v_f64 a, v_f64 b) {
  return vbslq_f64(vcltq_f64(x, y), a, b);
}
static inline v_f64 v_f64_blend(v_f64 a, unsigned bits, v_f64 b) {
  static const uint64_t lanes[2] = {1, 2};
  return vbslq_f64(vtstq_u64(vdupq_n_u64(bits), vld1q_u64(lanes)), a, b);
}
static inline unsigned v_f64_nonzero_mask(v_f64 a) {
  static const uint64_t bits[2] = {1, 2};
  return (unsigned)vaddvq_u64(vbicq_u64(vld1q_u64(bits), vceqzq_f64(a)));
}
static inline v_f64 v_f64_exp2_int(v_f64 m) {
  return vreinterpretq_f64_u64(vshlq_n_u64(vreinterpretq_u64_f64(m), 52));
}
static inline double v_f64_reduce(v_f64 a) { return vaddvq_f64(a); }
static inline void v_f64_reduce8(const v_f64 a[8], double y[8]) {
  for (int i = 0; i < 4; i++) vst1q_f64(y + 2 * i, vpaddq_f64(a[2 * i], a[2 * i + 1]));
}

static inline void v_f32_transpose(v_f32 a[4]) {
  const float64x2_t t0 = vreinterpretq_f64_f32(vtrn1q_f32(a[0], a[1]));
  const float64x2_t t1 = vreinterpretq_f64_f32(vtrn2q_f32(a[0], a[1]));
  const float64x2_t t2 = vreinterpretq_f64_f32(vtrn1q_f32(a[2], a[3]));
  const float64x2_t t3 = vreinterpretq_f64_f32(vtrn2q_f32(a[2], a[3]));
  a[0] = vreinterpretq_f32_f64(vtrn1q_f64(t0, t2));
  a[1] = vreinterpretq_f32_f64(vtrn1q_f64(t1, t3));
  a[2] = vreinterpretq_f32_f64(vtrn2q_f64(t0, t2));
  a[3] = vreinterpretq_f32_f64(vtrn2q_f64(t1, t3));
}
static inline void v_f64_transpose(v_f64 a[2]) {
  const v_f64 upper = vtrn1q_f64(a[0], a[1]);
  a[1] = vtrn2q_f64(a[0], a[1]);
  a[0] = upper;
}

typedef uint8x16_t v_u8;
typedef int32x4_t v_s32;
/* Bytes 0 and 2, then 1 and 3, as 16 bits. */
typedef struct {
  int16x8_t even, odd;
} spk_weights;

static inline v_u8 v_u8_load(const uint8_t *p) { return vld1q_u8(p); }
static inline void v_u8_store(uint8_t *p, v_u8 a) { vst1q_u8(p, a); }
static inline v_s32 v_s32_load(const int32_t *p) { return vld1q_s32(p); }
static inline void v_s32_store(int32_t *p, v_s32 a) { vst1q_s32(p, a); }
static inline v_u8 v_u8_order(v_u8 a, uint8_t flip) { return veorq_u8(a, vdupq_n_u8(flip)); }
static inline void v_u8_interleave4(const v_u8 a[4], v_u8 q[4]) {
  const uint16x8_t low = vreinterpretq_u16_u8(vzip1q_u8(a[0], a[1]));
  const uint16x8_t high = vreinterpretq_u16_u8(vzip2q_u8(a[0], a[1]));
  const uint16x8_t low2 = vreinterpretq_u16_u8(vzip1q_u8(a[2], a[3]));
  const uint16x8_t high2 = vreinterpretq_u16_u8(vzip2q_u8(a[2], a[3]));
  q[0] = vreinterpretq_u8_u16(vzip1q_u16(low, low2));
  q[1] = vreinterpretq_u8_u16(vzip2q_u16(low, low2));
  q[2] = vreinterpretq_u8_u16(vzip1q_u16(high, high2));
  q[3] = vreinterpretq_u8_u16(vzip2q_u16(high, high2));
}
static inline spk_weights spk_weights_load(const int8_t *p) {
  int32_t all;
  memcpy(&all, p, sizeof all);
  const int16x8_t w = vreinterpretq_s16_s32(vdupq_n_s32(all));
  return (spk_weights){vshrq_n_s16(vshlq_n_s16(w, 8), 8), vshrq_n_s16(w, 8)};
}
static inline v_s32 v_s32_dot(v_u8 q, spk_weights w, v_s32 sum) {
  const uint16x8_t pairs = vreinterpretq_u16_u8(q);
  const int16x8_t even = vreinterpretq_s16_u16(vandq_u16(pairs, vdupq_n_u16(0xff)));
  const int16x8_t odd = vreinterpretq_s16_u16(vshrq_n_u16(pairs, 8));
  int32x4_t low = vmull_s16(vget_low_s16(even), vget_low_s16(w.even));
  int32x4_t high = vmull_high_s16(even, w.even);
  low = vmlal_s16(low, vget_low_s16(odd), vget_low_s16(w.odd));
  high = vmlal_high_s16(high, odd, w.odd);
  return vaddq_s32(sum, vpaddq_s32(low, high));
}

#include "generic.h"

#endif
