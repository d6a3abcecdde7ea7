/* The vocabulary in portable C: the reference that every other header answers to.
 *
 * A vector here is 16 bytes of lanes in a struct; compilers turn the lane loops into whatever the
 * baseline offers.  The meaning of each word is written here once, for all headers.  X is f32 or
 * f64, SPK_LANES_X is the number of lanes, and i and j count lanes.
 *
 *   v_X, m_X              a vector; a mask of its lanes
 *   v_X_zero()            all lanes 0
 *   v_X_set1(x)           all lanes x
 *   v_X_set2(p, x)        x[i] has p[i] in all lanes, i < 2; one load where the ISA can
 *   v_X_set4(p, x)        the same for i < 4
 *   v_X_mask(n)           the mask of the first n lanes, 0 <= n <= lanes
 *   v_X_load(p)           the lanes from memory of any alignment
 *   v_X_store(p, a)       the lanes to memory of any alignment
 *   v_X_load_masked(p, m)
 *                         the masked lanes; others are 0 and their memory is never touched.
 *                         SPK_FAST_LOAD_MASKED is defined where this is as fast as load
 *   v_X_store_masked(p, m, a)
 *                         the masked lanes; the memory of others is never touched
 *   v_X_add, sub, mul, div(a, b)
 *                         lane by lane
 *   v_X_fma(a, b, c)      a * b + c, rounded once where the ISA has such an instruction
 *   v_X_fnma(a, b, c)     c - a * b, likewise
 *   v_X_residual(a, b, c) a * b - c, rounded once, where c is about a * b: what a rounded product
 *                         or quotient lacks
 *   v_X_relu(a)           0 where a < 0, else a: NaN and -0 stay
 *   v_X_max, min(a, b)    the greater, the lesser; b where one of them is NaN
 *   v_X_abs(a)            without its sign
 *   v_X_copysign(a, x)    with the sign of x
 *   v_X_select_less(x, y, a, b)
 *                         a in the lanes where x < y, else b
 *   v_X_blend(a, bits, b) a in the lanes whose bit is set, else b; bit 0 is lane 0
 *   v_X_nonzero_mask(a)   a bit for each lane that is not zero, NaN included; bit 0 is lane 0
 *   v_X_exp2_int(m)       2^n for m = 1.5 * 2^23 + 127 + n in float and 1.5 * 2^52 + 1023 + n in
 *                         double, where n is an integer and the result is normal
 *   v_X_reduce(a)         the sum of the lanes
 *   v_X_reduce8(a, y)     y[i] is the sum of the lanes of a[i], i < 8: one transposition for all
 *   v_X_transpose(a)      a[i] and a[j] exchange lanes j and i
 *
 *   v_f32_from_f16(p)     the lanes from float16 in memory
 *   v_f32_from_bf16(p)    the lanes from bfloat16 in memory
 *
 * Bytes and 32-bit integers, for int8:
 *
 *   v_u8, v_s32           vectors of 4 SPK_LANES_f32 bytes, of SPK_LANES_f32 integers
 *   v_u8_load, store      from and to memory of any alignment
 *   v_s32_load, store     likewise
 *   v_u8_order(a, flip)   the bytes of a, each with the bits of `flip` inverted, in the order that
 *                         v_u8_interleave4 takes
 *   v_u8_interleave4(a, q)
 *                         from four ordered vectors: byte i of integer e of q[v] is byte
 *                         v * SPK_LANES_f32 + e of what a[i] was before it was ordered
 *   spk_weights_load(p)   four signed bytes, for v_s32_dot
 *   v_s32_dot(q, w, sum)  each integer of sum plus the four products of its bytes of q, which are
 *                         unsigned, and the bytes of w
 *
 * Lane permutes, where few instructions do one (SPK_PERMUTE_BITS is defined there):
 *
 *   spk_codes             a vector of 32-bit words, each of which holds as many codes of
 *                         SPK_PERMUTE_BITS as fit
 *   spk_codes_load(p)     from memory of any alignment
 *   spk_codes_next(c)     drops the lowest code of every word
 *   v_X_permute2(a, b, c) 32-bit word i is the word of a and b, one after the other, which the
 *                         lowest code of word i of c says; double k has the words 2 k and 2 k + 1
 *   v_X_load4(p, x)       lanes 4 g .. 4 g + 3 of x[i] are p[g][i], i < 4
 *
 * Paired rows, where a load repeats pairs (SPK_HAS_PAIRED_ROWS is defined there): a vector holds
 * 2 rows of lanes / 2 columns, and element (r, c) is lane 2 c + r:
 *
 *   v_X_paired_values(p)  p[r] at (r, c)
 *   v_X_paired_columns(p) p[c] at (r, c)
 *   v_X_paired_load(p, q) p[c] at (0, c), q[c] at (1, c)
 *   v_X_paired_store(p, q, a)
 *                         the inverse
 */
#ifndef SPK_SIMD_SCALAR_H
#define SPK_SIMD_SCALAR_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "../../common/float16.h"

#define SPK_ISA_NAME scalar
#define SPK_LANES_f32 4
#define SPK_LANES_f64 2
#define SPK_SIMD_REGISTERS 16

/* Products of floats are exact in double.  For doubles fma is a call where the ISA has none, but
 * few elements need it. */
#define SPK_REST_f32(a, b, c) ((float)((double)(a) * (b) - (c)))
#define SPK_REST_f64(a, b, c) fma(a, b, -(c))

/* BITS, SHIFT: an unsigned integer of the size of T, and where exponents begin in it. */
#define SPK_SCALAR_VOCABULARY(X, T, REST, BITS, SHIFT)                                         \
  typedef struct {                                                                             \
    T lane[SPK_LANES_##X];                                                                     \
  } v_##X;                                                                                     \
  typedef ptrdiff_t m_##X;                                                                     \
  static inline v_##X v_##X##_set1(T x) {                                                      \
    v_##X r;                                                                                   \
    for (int i = 0; i < SPK_LANES_##X; i++) r.lane[i] = x;                                     \
    return r;                                                                                  \
  }                                                                                            \
  static inline void v_##X##_set2(const T *p, v_##X x[2]) {                                    \
    x[0] = v_##X##_set1(p[0]);                                                                 \
    x[1] = v_##X##_set1(p[1]);                                                                 \
  }                                                                                            \
  static inline void v_##X##_set4(const T *p, v_##X x[4]) {                                    \
    v_##X##_set2(p, x);                                                                        \
    v_##X##_set2(p + 2, x + 2);                                                                \
  }                                                                                            \
  static inline v_##X v_##X##_zero(void) { return v_##X##_set1((T)0); }                        \
  static inline m_##X v_##X##_mask(ptrdiff_t n) { return n; }                                  \
  static inline v_##X v_##X##_load(const T *p) {                                               \
    v_##X r;                                                                                   \
    for (int i = 0; i < SPK_LANES_##X; i++) r.lane[i] = p[i];                                  \
    return r;                                                                                  \
  }                                                                                            \
  static inline void v_##X##_store(T *p, v_##X a) {                                            \
    for (int i = 0; i < SPK_LANES_##X; i++) p[i] = a.lane[i];                                  \
  }                                                                                            \
  static inline v_##X v_##X##_load_masked(const T *p, m_##X m) {                               \
    v_##X r;                                                                                   \
    for (int i = 0; i < SPK_LANES_##X; i++) r.lane[i] = i < m ? p[i] : (T)0;                   \
    return r;                                                                                  \
  }                                                                                            \
  static inline void v_##X##_store_masked(T *p, m_##X m, v_##X a) {                            \
    for (int i = 0; i < SPK_LANES_##X; i++)                                                    \
      if (i < m) p[i] = a.lane[i];                                                             \
  }                                                                                            \
  static inline void v_##X##_transpose(v_##X a[SPK_LANES_##X]) {                               \
    for (int i = 0; i < SPK_LANES_##X; i++)                                                    \
      for (int j = 0; j < i; j++) {                                                            \
        const T x = a[i].lane[j];                                                              \
        a[i].lane[j] = a[j].lane[i];                                                           \
        a[j].lane[i] = x;                                                                      \
      }                                                                                        \
  }                                                                                            \
  static inline v_##X v_##X##_add(v_##X a, v_##X b) {                                          \
    for (int i = 0; i < SPK_LANES_##X; i++) a.lane[i] += b.lane[i];                            \
    return a;                                                                                  \
  }                                                                                            \
  static inline v_##X v_##X##_sub(v_##X a, v_##X b) {                                          \
    for (int i = 0; i < SPK_LANES_##X; i++) a.lane[i] -= b.lane[i];                            \
    return a;                                                                                  \
  }                                                                                            \
  static inline v_##X v_##X##_mul(v_##X a, v_##X b) {                                          \
    for (int i = 0; i < SPK_LANES_##X; i++) a.lane[i] *= b.lane[i];                            \
    return a;                                                                                  \
  }                                                                                            \
  static inline v_##X v_##X##_div(v_##X a, v_##X b) {                                          \
    for (int i = 0; i < SPK_LANES_##X; i++) a.lane[i] /= b.lane[i];                            \
    return a;                                                                                  \
  }                                                                                            \
  static inline v_##X v_##X##_fma(v_##X a, v_##X b, v_##X c) {                                 \
    for (int i = 0; i < SPK_LANES_##X; i++) c.lane[i] += a.lane[i] * b.lane[i];                \
    return c;                                                                                  \
  }                                                                                            \
  static inline v_##X v_##X##_fnma(v_##X a, v_##X b, v_##X c) {                                \
    for (int i = 0; i < SPK_LANES_##X; i++) c.lane[i] -= a.lane[i] * b.lane[i];                \
    return c;                                                                                  \
  }                                                                                            \
  static inline v_##X v_##X##_residual(v_##X a, v_##X b, v_##X c) {                            \
    for (int i = 0; i < SPK_LANES_##X; i++) a.lane[i] = REST(a.lane[i], b.lane[i], c.lane[i]); \
    return a;                                                                                  \
  }                                                                                            \
  static inline v_##X v_##X##_relu(v_##X a) {                                                  \
    for (int i = 0; i < SPK_LANES_##X; i++) a.lane[i] = a.lane[i] < (T)0 ? (T)0 : a.lane[i];   \
    return a;                                                                                  \
  }                                                                                            \
  static inline v_##X v_##X##_max(v_##X a, v_##X b) {                                          \
    for (int i = 0; i < SPK_LANES_##X; i++)                                                    \
      a.lane[i] = a.lane[i] > b.lane[i] ? a.lane[i] : b.lane[i];                               \
    return a;                                                                                  \
  }                                                                                            \
  static inline v_##X v_##X##_min(v_##X a, v_##X b) {                                          \
    for (int i = 0; i < SPK_LANES_##X; i++)                                                    \
      a.lane[i] = a.lane[i] < b.lane[i] ? a.lane[i] : b.lane[i];                               \
    return a;                                                                                  \
  }                                                                                            \
  static inline v_##X v_##X##_abs(v_##X a) {                                                   \
    for (int i = 0; i < SPK_LANES_##X; i++) a.lane[i] = (T)fabs(a.lane[i]);                    \
    return a;                                                                                  \
  }                                                                                            \
  static inline v_##X v_##X##_copysign(v_##X a, v_##X x) {                                     \
    for (int i = 0; i < SPK_LANES_##X; i++) a.lane[i] = (T)copysign(a.lane[i], x.lane[i]);     \
    return a;                                                                                  \
  }                                                                                            \
  static inline v_##X v_##X##_select_less(v_##X x, v_##X y, v_##X a, v_##X b) {                \
    for (int i = 0; i < SPK_LANES_##X; i++)                                                    \
      b.lane[i] = x.lane[i] < y.lane[i] ? a.lane[i] : b.lane[i];                               \
    return b;                                                                                  \
  }                                                                                            \
  static inline v_##X v_##X##_blend(v_##X a, unsigned bits, v_##X b) {                         \
    for (int i = 0; i < SPK_LANES_##X; i++)                                                    \
      if (!(bits >> i & 1)) a.lane[i] = b.lane[i];                                             \
    return a;                                                                                  \
  }                                                                                            \
  static inline unsigned v_##X##_nonzero_mask(v_##X a) {                                       \
    unsigned bits = 0;                                                                         \
    for (int i = 0; i < SPK_LANES_##X; i++) bits |= (unsigned)(a.lane[i] != (T)0) << i;        \
    return bits;                                                                               \
  }                                                                                            \
  static inline v_##X v_##X##_exp2_int(v_##X m) {                                              \
    for (int i = 0; i < SPK_LANES_##X; i++) {                                                  \
      BITS bits;                                                                               \
      memcpy(&bits, &m.lane[i], sizeof bits);                                                  \
      bits <<= SHIFT;                                                                          \
      memcpy(&m.lane[i], &bits, sizeof bits);                                                  \
    }                                                                                          \
    return m;                                                                                  \
  }                                                                                            \
  static inline T v_##X##_reduce(v_##X a) {                                                    \
    T s = a.lane[0];                                                                           \
    for (int i = 1; i < SPK_LANES_##X; i++) s += a.lane[i];                                    \
    return s;                                                                                  \
  }                                                                                            \
  static inline void v_##X##_reduce8(const v_##X a[8], T y[8]) {                               \
    for (int i = 0; i < 8; i++) y[i] = v_##X##_reduce(a[i]);                                   \
  }

SPK_SCALAR_VOCABULARY(f32, float, SPK_REST_f32, uint32_t, 23)
SPK_SCALAR_VOCABULARY(f64, double, SPK_REST_f64, uint64_t, 52)

#undef SPK_SCALAR_VOCABULARY
#undef SPK_REST_f32
#undef SPK_REST_f64

typedef struct {
  uint8_t byte[4 * SPK_LANES_f32];
} v_u8;
typedef struct {
  int32_t lane[SPK_LANES_f32];
} v_s32;
typedef struct {
  int8_t of[4];
} spk_weights;

static inline v_u8 v_u8_load(const uint8_t *p) {
  v_u8 r;
  memcpy(&r, p, sizeof r);
  return r;
}
static inline void v_u8_store(uint8_t *p, v_u8 a) { memcpy(p, &a, sizeof a); }
static inline v_u8 v_u8_order(v_u8 a, uint8_t flip) {
  for (int i = 0; i < 4 * SPK_LANES_f32; i++) a.byte[i] ^= flip;
  return a;
}
static inline void v_u8_interleave4(const v_u8 a[4], v_u8 q[4]) {
  for (int j = 0; j < 4 * SPK_LANES_f32; j++)
    for (int i = 0; i < 4; i++) q[j / SPK_LANES_f32].byte[j % SPK_LANES_f32 * 4 + i] = a[i].byte[j];
}
static inline v_s32 v_s32_load(const int32_t *p) {
  v_s32 r;
  memcpy(&r, p, sizeof r);
  return r;
}
static inline void v_s32_store(int32_t *p, v_s32 a) { memcpy(p, &a, sizeof a); }
static inline spk_weights spk_weights_load(const int8_t *p) {
  spk_weights w;
  memcpy(&w, p, sizeof w);
  return w;
}
static inline v_s32 v_s32_dot(v_u8 q, spk_weights w, v_s32 sum) {
  for (int e = 0; e < SPK_LANES_f32; e++)
    for (int i = 0; i < 4; i++) sum.lane[e] += (int32_t)q.byte[4 * e + i] * w.of[i];
  return sum;
}

static inline v_f32 v_f32_from_f16(const uint16_t *p) {
  v_f32 r;
  for (int i = 0; i < SPK_LANES_f32; i++) r.lane[i] = spk_from_f16(p[i]);
  return r;
}
static inline v_f32 v_f32_from_bf16(const uint16_t *p) {
  v_f32 r;
  for (int i = 0; i < SPK_LANES_f32; i++) r.lane[i] = spk_from_bf16(p[i]);
  return r;
}

#endif
