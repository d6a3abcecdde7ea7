/* Integers of a bitmap times up to four columns in fixed point, with AVX512_VBMI2 and AVX512_VNNI.
 *
 * A column x becomes integers of 32 bits: its largest magnitude lies between 2^29 and 2^30.  An
 * integer is four digits of 8 bits with a sign, and each digit of all columns is a vector of bytes
 * of its own.  vpdpbusd multiplies the 64 bytes of a piece by a digit and adds four products to
 * each 32-bit sum, which is exact.  As it takes bytes without a sign on one side, numbers of A are
 * shifted by 128, those of places without an entry too; sums begin with -128 times the digits, lane
 * by lane, which is the same for all rows.
 *
 * Each element of x is rounded to a multiple of 2^-29 of the largest or less, where float32 has
 * 2^-24 of the element itself: a sum is off by 2^-30 of the largest |x| times the magnitudes of the
 * row more, and by less rounding.  Sums have no other error within a group of columns.  Columns
 * whose elements differ by more than 2^20 are multiplied in float32.
 *
 * Port model: an expansion takes 3 operations of port 5, the shift one of either port, and each
 * digit one vpdpbusd: 8 operations of two ports, 4 cycles for 64 columns, where conversions to
 * float32 take 9 (../spmm_bitmap.inc.h). */
#ifndef SPK_KERNELS_BITMAP_DOT_H
#define SPK_KERNELS_BITMAP_DOT_H

#include "../table.h"

enum { DIGITS = 4, FIXED_BITS = 30 };
/* The largest quotient of elements of x that are not 0.  The smallest is then rounded to 2^-9 of
 * itself or better, as integers of 8 bits are to 2^-8 of the largest. */
#define RANGE 0x1p20f

/* A column of B as bitmap_x writes it: pieces of DIGITS x 64 bytes; what the sums of each group of
 * pieces begin with; and the exponent of the unit. */
typedef struct fixed_column {
  const int8_t *digits;
  const int32_t *start;
  int exponent;
} fixed_column;

#define PIECE_BYTES (DIGITS * SPK_PIECE)
#define LANES_S32 16

SPK_INLINE fixed_column fixed_column_of(const float *x, ptrdiff_t pieces, ptrdiff_t column) {
  const char *at = (const char *)(x + column * spk_bitmap_x_floats(pieces));
  fixed_column c = {.digits = (const int8_t *)at,
                    .start = (const int32_t *)(const void *)(at + pieces * PIECE_BYTES)};
  int32_t exponent;
  memcpy(&exponent, at + 2 * pieces * PIECE_BYTES, sizeof exponent);
  c.exponent = exponent;
  return c;
}

/* The exponent e for which the largest magnitude times 2^e lies in [2^29, 2^30); 0 for 0. */
static int exponent_for(float largest) {
  int exponent = 0;
  if (largest == 0) return 0;
  (void)frexpf(largest, &exponent);
  return FIXED_BITS - exponent;
}

/* x * 2^exponent, rounded to integers, where the product is below 2^30.  In two steps, as
 * 2^exponent may be no float. */
static inline __m512i fixed_of(__m512 x, int exponent) {
  const int half = exponent / 2;
  const __m512 scaled = _mm512_scalef_ps(_mm512_scalef_ps(x, _mm512_set1_ps((float)half)),
                                         _mm512_set1_ps((float)(exponent - half)));
  return _mm512_cvtps_epi32(scaled);
}

/* The largest magnitude, or infinity if elements are not finite, or differ by more than RANGE. */
static float largest_of(const float *src, ptrdiff_t stride, ptrdiff_t count) {
  uint32_t most = 0, least = UINT32_MAX; /* 0, minus 1, is the largest number */
  float largest, smallest;
  for (ptrdiff_t i = 0; i < count; i++) {
    uint32_t bits;
    memcpy(&bits, src + i * stride, sizeof bits);
    bits &= 0x7fffffffu;
    most = bits > most ? bits : most;
    least = bits - 1 < least ? bits - 1 : least;
  }
  if (most == 0) return 0;
  least++;
  memcpy(&largest, &most, sizeof largest);
  memcpy(&smallest, &least, sizeof smallest);
  return largest <= FLT_MAX && smallest >= largest / RANGE ? largest : INFINITY;
}

/* Write 64 elements as digits, and add to what sums begin with. */
static void fix_piece(const float piece[SPK_PIECE], int exponent, int8_t *digits, int32_t *start) {
  for (int v = 0; v < SPK_PIECE / LANES_S32; v++) {
    __m512i x = fixed_of(_mm512_loadu_ps(piece + v * LANES_S32), exponent);
    for (int d = 0; d < DIGITS; d++) {
      const __m512i digit = _mm512_srai_epi32(_mm512_slli_epi32(x, 24), 24);
      _mm_storeu_si128((__m128i *)(void *)(digits + d * SPK_PIECE + v * LANES_S32),
                       _mm512_cvtepi32_epi8(digit));
      x = _mm512_srai_epi32(_mm512_sub_epi32(x, digit), 8);
    }
  }
  for (int d = 0; d < DIGITS; d++) {
    const __m512i shift = _mm512_set1_epi8((char)-128); /* 128, as a byte without a sign */
    const __m512i sum = _mm512_dpbusd_epi32(_mm512_setzero_si512(), shift,
                                            _mm512_loadu_si512(digits + d * SPK_PIECE));
    int32_t *of_digit = start + d * LANES_S32;
    _mm512_storeu_si512(of_digit, _mm512_sub_epi32(_mm512_loadu_si512(of_digit), sum));
  }
}

/* `together`: the pieces of a group.  Returns 0, and writes nothing, if an element is not finite.
 */
static int fixed_x(float *to, const float *src, ptrdiff_t stride, ptrdiff_t count,
                   ptrdiff_t together) {
  const ptrdiff_t pieces = spk_ceil_div(count, SPK_PIECE);
  const float largest = largest_of(src, stride, count);
  if (largest > FLT_MAX) return 0;
  const int32_t exponent = exponent_for(largest);
  int8_t *digits = (int8_t *)to;
  int32_t *start = (int32_t *)(void *)(digits + pieces * PIECE_BYTES);
  memset(start, 0, (size_t)(pieces * PIECE_BYTES));
  for (ptrdiff_t p = 0; p < pieces; p++) {
    float piece[SPK_PIECE] = {0};
    const ptrdiff_t first = p * SPK_PIECE, here = spk_min(SPK_PIECE, count - first);
    for (ptrdiff_t i = 0; i < here; i++) piece[i] = src[(first + i) * stride];
    fix_piece(piece, exponent, digits + p * PIECE_BYTES, start + p / together * DIGITS * LANES_S32);
  }
  memcpy(start + pieces * DIGITS * LANES_S32, &exponent, sizeof exponent);
  return 1;
}

/* Numbers of a piece, shifted by 128. */
SPK_INLINE __m512i shifted_piece(const int8_t *values, uint64_t bits) {
  return _mm512_xor_si512(_mm512_maskz_expand_epi8(bits, _mm512_loadu_si512(values)),
                          _mm512_set1_epi8((char)-128));
}

/* The exact sums of a column, digit by digit: their sum over the lanes. */
SPK_INLINE int64_t whole_sum(const __m512i sum[DIGITS]) {
  __m512i total = _mm512_setzero_si512();
  for (int half = 0; half < 2; half++) {
    __m512i part = _mm512_setzero_si512();
    SPK_UNROLL for (int d = DIGITS - 1; d >= 0; d--) {
      const __m256i lanes =
          half ? _mm512_extracti64x4_epi64(sum[d], 1) : _mm512_castsi512_si256(sum[d]);
      part = _mm512_add_epi64(_mm512_slli_epi64(part, 8), _mm512_cvtepi32_epi64(lanes));
    }
    total = _mm512_add_epi64(total, part);
  }
  return _mm512_reduce_add_epi64(total);
}

/* How many columns share a scale: all of a row, some pieces, or half a piece. */
typedef enum scaling { BY_ROW, BY_PIECES, BY_HALVES } scaling;

/* One row times n columns. */
SPK_INLINE void dot_row(const spk_bitmap_task *t, ptrdiff_t row, const int8_t *values,
                        const fixed_column *x, const __m512 *units, const int n,
                        const scaling how) {
  const uint64_t *bits = t->bits + row * t->pieces;
  const float *scale = t->scales + row * t->groups;
  const ptrdiff_t together = how == BY_ROW      ? t->pieces
                             : how == BY_PIECES ? t->group / SPK_PIECE
                                                : 1;
  const double unit = t->storage == SPK_STORAGE_S4 ? 0.0625 : 1.0;
  __m512i sum[SPK_BITMAP_COLUMNS][DIGITS];
  __m512 total[SPK_BITMAP_COLUMNS][DIGITS];
  SPK_UNROLL for (int j = 0; j < n; j++) SPK_UNROLL for (int d = 0; d < DIGITS; d++) {
    total[j][d] = _mm512_setzero_ps();
    sum[j][d] = _mm512_setzero_si512();
  }
  for (ptrdiff_t p = 0, group = 0; p < t->pieces; group++) {
    const ptrdiff_t end = spk_min(t->pieces, p + together);
    SPK_UNROLL for (int j = 0; j < n; j++) SPK_UNROLL for (int d = 0; d < DIGITS; d++) sum[j][d] =
        _mm512_loadu_si512(x[j].start + (group * DIGITS + d) * LANES_S32);
    do {
      SPK_PREFETCH(values + BYTES_AHEAD);
      SPK_PREFETCH(bits + p + WORDS_AHEAD);
      const __m512i numbers = shifted_piece(values, bits[p]);
      values += __builtin_popcountll(bits[p]);
      SPK_UNROLL for (int j = 0; j < n; j++) SPK_UNROLL for (int d = 0; d < DIGITS; d++) sum[j][d] =
          _mm512_dpbusd_epi32(sum[j][d], numbers,
                              _mm512_loadu_si512(x[j].digits + p * PIECE_BYTES + d * SPK_PIECE));
    } while (++p < end);
    if (how == BY_ROW) break;
    __m512 scales = _mm512_set1_ps(*scale++);
    if (how == BY_HALVES && 2 * group + 1 < t->groups)
      scales = _mm512_mask_mov_ps(scales, 0xff00, _mm512_set1_ps(*scale++));
    SPK_UNROLL for (int j = 0; j < n; j++) {
      const __m512 factor = _mm512_mul_ps(scales, units[j]);
      SPK_UNROLL for (int d = 0; d < DIGITS; d++) total[j][d] =
          _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum[j][d]), factor, total[j][d]);
    }
  }
  SPK_UNROLL for (int j = 0; j < n; j++) {
    double result = 0;
    if (how == BY_ROW) {
      if (t->pieces) result = ldexp((double)whole_sum(sum[j]) * (double)scale[0], -x[j].exponent);
    } else {
      const __m512 digit = _mm512_set1_ps(0x1p-8f);
      __m512 lanes = total[j][0];
      SPK_UNROLL for (int d = 1; d < DIGITS; d++) lanes =
          _mm512_fmadd_ps(lanes, digit, total[j][d]);
      result = (double)_mm512_reduce_add_ps(lanes);
    }
    t->sums[row * n + j] = (float)(result * unit);
  }
}

SPK_INLINE void dot_rows(const spk_bitmap_task *t, const int n, const scaling how) {
  fixed_column x[SPK_BITMAP_COLUMNS];
  __m512 units[SPK_BITMAP_COLUMNS]; /* of the highest digit */
  for (int j = 0; j < n; j++) {
    x[j] = fixed_column_of(t->x, t->pieces, j);
    units[j] = _mm512_set1_ps(ldexpf(1.0f, 8 * (DIGITS - 1) - x[j].exponent));
  }
  for (ptrdiff_t row = 0; row < t->rows; row++)
    dot_row(t, row, SPK_NAME1(bitmap_values, SPK_ISA_NAME)(t, row), x, units, n, how);
}

/* One function for each way of scaling, as each takes most registers. */
#define SPK_DOT(name, how)                                                     \
  static __attribute__((noinline)) void dot_##name(const spk_bitmap_task *t) { \
    switch (t->n) {                                                            \
      case 1:                                                                  \
        dot_rows(t, 1, how);                                                   \
        break;                                                                 \
      case 2:                                                                  \
        dot_rows(t, 2, how);                                                   \
        break;                                                                 \
      case 3:                                                                  \
        dot_rows(t, 3, how);                                                   \
        break;                                                                 \
      default:                                                                 \
        dot_rows(t, 4, how);                                                   \
    }                                                                          \
  }
SPK_DOT(by_row, BY_ROW)
SPK_DOT(by_pieces, BY_PIECES)
SPK_DOT(by_halves, BY_HALVES)
#undef SPK_DOT

static void spmm_bitmap_dot(const spk_bitmap_task *t) {
  if (t->groups <= 1)
    dot_by_row(t);
  else if (t->group >= SPK_PIECE)
    dot_by_pieces(t);
  else
    dot_by_halves(t);
}

#endif
