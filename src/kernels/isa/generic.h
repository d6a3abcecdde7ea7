/* The vocabulary: what every word means, and a lowering of it that every instruction set can have.
 *
 * Kernels are written in these words.  A header per instruction set (ISA) includes this one at its
 * end and defines before it
 *
 *   SPK_ISA_NAME          its name, without quotes
 *   SPK_LANES_f32, SPK_LANES_f64
 *                         lanes of a vector; vectors of both types have the same bytes
 *   SPK_SIMD_REGISTERS    how many vectors it has registers for
 *   v_f32, v_f64          vectors
 *   m_f32, m_f64          masks of their lanes: ptrdiff_t, or what its own `mask` returns
 *   SPK_LANE(a, i)        lane i of vector a, to be read and written, where that is not a[i]
 *
 * That much is a working instruction set: scalar.h has no more.  Then it defines the words that its
 * instructions do better, and lists them:
 *
 *   SPK_OWN_f32, SPK_OWN_f64
 *                         SPK_WORD_<word> of the words of v_f32 and v_f64 that are its own
 *   SPK_OWN_INT8          defined where the words of int8 and their types are its own, all of them
 *   SPK_OWN_DOT           defined where spk_weights and v_s32_dot are those of an overlay
 *
 * Words of a vector type v_X are v_X_<word>, and are described in generic.inc.h.  What follows has
 * no lowering here: kernels that use it are left out where it takes more than a few instructions.
 *
 * SPK_FAST_LOAD_MASKED is defined where load_masked is as fast as load.
 *
 * Pieces of a bitmap (spmm_bitmap.inc.h), as SPK_PIECE / SPK_LANES_f32 vectors; the words may read
 * SPK_EXPAND_BYTES bytes from p on:
 *
 *   v_f32_expand_s8(p, bits, a)
 *                         column c of the piece is p[number of bits set below bit c] where bit c is
 *                         set, else 0
 *   v_f32_expand_f16, v_f32_expand_bf16
 *                         the same from values of 16 bits
 *   SPK_OWN_EXPAND        defined where all three are its own
 *   SPK_EXPAND_STRIDE_s8, SPK_EXPAND_STRIDE_f16, SPK_EXPAND_STRIDE_bf16
 *                         how many vectors share neighbouring columns: column c is lane c / stride
 *                         of vector c % stride, for each stride * SPK_LANES_f32 columns.  1, the
 *                         natural order, where not defined
 *
 * Lane permutes, where SPK_PERMUTE_BITS is defined:
 *
 *   spk_codes             a vector of 32-bit words, each of which holds as many codes of
 *                         SPK_PERMUTE_BITS as fit
 *   spk_codes_load(p)     from memory of any alignment
 *   spk_codes_next(c)     drops the lowest code of every word
 *   v_X_permute2(a, b, c) 32-bit word i is the word of a and b, one after the other, which the
 *                         lowest code of word i of c says; double k has the words 2 k and 2 k + 1
 *   v_X_permute(a, c)     the same for words of a alone; codes count from 0 again past its end
 *   v_X_load4(p, x)       lanes 4 g .. 4 g + 3 of x[i] are p[g][i], i < 4
 *
 * Paired rows, where SPK_HAS_PAIRED_ROWS is defined.  A vector holds 2 rows of lanes / 2 columns,
 * and element (r, c) is lane 2 c + r:
 *
 *   v_X_paired_values(p)  p[r] at (r, c)
 *   v_X_paired_columns(p) p[c] at (r, c)
 *   v_X_paired_load(p, q) p[c] at (0, c), q[c] at (1, c)
 *   v_X_paired_store(p, q, a)
 *                         the inverse
 */
#ifndef SPK_SIMD_GENERIC_H
#define SPK_SIMD_GENERIC_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "../../common/common.h"
#include "../../common/float16.h"

#ifndef SPK_LANE
#define SPK_LANE(a, i) ((a)[i])
#endif

#define SPK_WORD_zero (1 << 0)
#define SPK_WORD_set1 (1 << 1)
#define SPK_WORD_set2 (1 << 2)
#define SPK_WORD_set4 (1 << 3)
#define SPK_WORD_mask (1 << 4)
#define SPK_WORD_load (1 << 5)
#define SPK_WORD_store (1 << 6)
#define SPK_WORD_load_masked (1 << 7)
#define SPK_WORD_store_masked (1 << 8)
#define SPK_WORD_add (1 << 9)
#define SPK_WORD_sub (1 << 10)
#define SPK_WORD_mul (1 << 11)
#define SPK_WORD_div (1 << 12)
#define SPK_WORD_fma (1 << 13)
#define SPK_WORD_fnma (1 << 14)
#define SPK_WORD_residual (1 << 15)
#define SPK_WORD_relu (1 << 16)
#define SPK_WORD_max (1 << 17)
#define SPK_WORD_min (1 << 18)
#define SPK_WORD_abs (1 << 19)
#define SPK_WORD_copysign (1 << 20)
#define SPK_WORD_select_less (1 << 21)
#define SPK_WORD_blend (1 << 22)
#define SPK_WORD_nonzero_mask (1 << 23)
#define SPK_WORD_exp2_int (1 << 24)
#define SPK_WORD_reduce (1 << 25)
#define SPK_WORD_reduce8 (1 << 26)
#define SPK_WORD_transpose (1 << 27)
#define SPK_WORD_from_f16 (1 << 28)
#define SPK_WORD_from_bf16 (1 << 29)
#define SPK_WORD_from_s8 (1 << 30)

#define T float
#define TN f32
#define BITS uint32_t
#define FRACTION_BITS 23
/* A product of floats is exact in double. */
#define RESIDUAL(a, b, c) ((float)((double)(a) * (b) - (c)))
#include "generic.inc.h"
#undef T
#undef TN
#undef BITS
#undef FRACTION_BITS
#undef RESIDUAL

#define T double
#define TN f64
#define BITS uint64_t
#define FRACTION_BITS 52
/* A call where the ISA has no such instruction, but few elements need it. */
#define RESIDUAL(a, b, c) fma(a, b, -(c))
#include "generic.inc.h"
#undef T
#undef TN
#undef BITS
#undef FRACTION_BITS
#undef RESIDUAL

/* The lanes from float16 in memory. */
#if !(SPK_OWN_f32 & SPK_WORD_from_f16)
static inline v_f32 v_f32_from_f16(const uint16_t *p) {
  v_f32 r;
  for (int i = 0; i < SPK_LANES_f32; i++) SPK_LANE(r, i) = spk_from_f16(p[i]);
  return r;
}
#endif

/* The lanes from bfloat16 in memory. */
#if !(SPK_OWN_f32 & SPK_WORD_from_bf16)
static inline v_f32 v_f32_from_bf16(const uint16_t *p) {
  v_f32 r;
  for (int i = 0; i < SPK_LANES_f32; i++) SPK_LANE(r, i) = spk_from_bf16(p[i]);
  return r;
}
#endif

/* The lanes from signed bytes in memory. */
#if !(SPK_OWN_f32 & SPK_WORD_from_s8)
static inline v_f32 v_f32_from_s8(const int8_t *p) {
  v_f32 r;
  for (int i = 0; i < SPK_LANES_f32; i++) SPK_LANE(r, i) = (float)p[i];
  return r;
}
#endif

#ifndef SPK_OWN_EXPAND
/* Without a branch, as nobody can predict which columns have an entry. */
#define SPK_GENERIC_EXPAND(kind, type, convert)                                        \
  static inline void v_f32_expand_##kind(const type *p, uint64_t bits,                 \
                                         v_f32 a[SPK_PIECE / SPK_LANES_f32]) {         \
    for (int c = 0; c < SPK_PIECE; c++, bits >>= 1) {                                  \
      const int here = (int)(bits & 1);                                                \
      SPK_LANE(a[c / SPK_LANES_f32], c % SPK_LANES_f32) = convert((type)(*p & -here)); \
      p += here;                                                                       \
    }                                                                                  \
  }
SPK_GENERIC_EXPAND(s8, int8_t, (float))
SPK_GENERIC_EXPAND(f16, uint16_t, spk_from_f16)
SPK_GENERIC_EXPAND(bf16, uint16_t, spk_from_bf16)
#undef SPK_GENERIC_EXPAND
#endif
#ifndef SPK_EXPAND_STRIDE_s8
#define SPK_EXPAND_STRIDE_s8 1
#define SPK_EXPAND_STRIDE_f16 1
#define SPK_EXPAND_STRIDE_bf16 1
#endif

#ifndef SPK_OWN_INT8
/* Vectors of bytes without a sign and of integers, and four signed bytes for v_s32_dot. */
typedef struct {
  uint8_t byte[4 * SPK_LANES_f32];
} v_u8;
typedef struct {
  int32_t lane[SPK_LANES_f32];
} v_s32;
typedef struct {
  int8_t of[4];
} spk_weights;

/* From and to memory of any alignment. */
static inline v_u8 v_u8_load(const uint8_t *p) {
  v_u8 r;
  memcpy(&r, p, sizeof r);
  return r;
}
static inline void v_u8_store(uint8_t *p, v_u8 a) { memcpy(p, &a, sizeof a); }
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

/* The bytes of a, each with the bits of `flip` inverted, in the order that v_u8_interleave4
 * takes. */
static inline v_u8 v_u8_order(v_u8 a, uint8_t flip) {
  for (int i = 0; i < 4 * SPK_LANES_f32; i++) a.byte[i] ^= flip;
  return a;
}

/* From four ordered vectors: byte i of integer e of q[v] is byte v * SPK_LANES_f32 + e of what a[i]
 * was before it was ordered. */
static inline void v_u8_interleave4(const v_u8 a[4], v_u8 q[4]) {
  for (int j = 0; j < 4 * SPK_LANES_f32; j++)
    for (int i = 0; i < 4; i++) q[j / SPK_LANES_f32].byte[j % SPK_LANES_f32 * 4 + i] = a[i].byte[j];
}

/* Each integer of sum plus the four products of its bytes of q and the bytes of w. */
static inline v_s32 v_s32_dot(v_u8 q, spk_weights w, v_s32 sum) {
  for (int e = 0; e < SPK_LANES_f32; e++)
    for (int i = 0; i < 4; i++) sum.lane[e] += (int32_t)q.byte[4 * e + i] * w.of[i];
  return sum;
}
#endif

#endif
