/* A as a bitmap (pack/bitmap.h) times up to four columns, in float32.
 *
 * Port model, for a piece of 64 columns and one column of B.  With AVX512_VBMI2, values of 8 bits
 * take one expansion (2 operations of port 5, and one for the mask), 7 shifts, 4 conversions and
 * 4 FMAs: 18 operations of two ports, 9 cycles; 10 were measured (Intel, 4.1 GHz), and bfloat16
 * takes 9.  With AVX2, 8 columns take a shuffle by a table, an extension, a conversion and an FMA,
 * beside the scalar operations that find the values: 17 to 19 cycles a piece were measured.  Values
 * of 4 bits are unpacked row by row to bytes in L1, which takes 3 cycles a piece more.
 *
 * So a core expands some 6 columns a cycle with AVX512_VBMI2 and 3.5 with AVX2, or 15 and 9 GB/s of
 * half full int8.  Where memory gives more, the kernel is bound by that, not by bytes.  Integers go
 * another way with VBMI2 and VNNI (overlay/bitmap_dot.h). */

#define BITMAP(name) SPK_NAME1(bitmap_##name, SPK_ISA_NAME)

/* Where a column of a piece lies in its vectors (generic.h, SPK_EXPAND_STRIDE_s8). */
SPK_INLINE int BITMAP(place)(int column, const spk_storage storage) {
  const int stride = spk_has_scales(storage)      ? SPK_EXPAND_STRIDE_s8
                     : storage == SPK_STORAGE_F16 ? SPK_EXPAND_STRIDE_f16
                                                  : SPK_EXPAND_STRIDE_bf16;
  const int within = column % (stride * SPK_LANES_f32);
  return column - within + within % stride * SPK_LANES_f32 + within / stride;
}

/* Copy whole pieces; returns the largest magnitude, as bits. */
SPK_INLINE uint32_t BITMAP(order)(float *to, const float *src, ptrdiff_t stride, ptrdiff_t count,
                                  const spk_storage storage) {
  uint32_t largest = 0;
  for (ptrdiff_t first = 0; first < count; first += SPK_PIECE, to += SPK_PIECE) {
    float piece[SPK_PIECE] = {0};
    const ptrdiff_t here = spk_min(SPK_PIECE, count - first);
    for (ptrdiff_t i = 0; i < here; i++) piece[i] = src[(first + i) * stride];
    for (int i = 0; i < SPK_PIECE; i++) {
      uint32_t bits;
      memcpy(&bits, piece + i, sizeof bits);
      bits &= 0x7fffffffu;
      largest = bits > largest ? bits : largest;
      to[BITMAP(place)(i, storage)] = piece[i];
    }
  }
  return largest;
}

static int BITMAP(x)(float *to, const float *src, ptrdiff_t stride, ptrdiff_t count,
                     spk_storage storage, ptrdiff_t group, int floats) {
  const uint32_t infinity = 0x7f800000u;
  (void)group, (void)floats; /* this copy serves all */
  if (spk_has_scales(storage))
    return BITMAP(order)(to, src, stride, count, SPK_STORAGE_S8) < infinity;
  if (storage == SPK_STORAGE_F16)
    return BITMAP(order)(to, src, stride, count, SPK_STORAGE_F16) < infinity;
  return BITMAP(order)(to, src, stride, count, SPK_STORAGE_BF16) < infinity;
}

/* Bytes and words of bits ahead of the kernel that are prefetched: rows follow each other, but the
 * prefetchers of CPUs end at pages, and two streams of few bytes keep few lines in flight
 * (doc/decisions/bitmap.rst, decision-bitmap-prefetch). */
#define BYTES_AHEAD 4096
#define WORDS_AHEAD 512

/* Two numbers of 4 bits from each byte, the low one first, times 16: their sign is in place then.
 */
static void BITMAP(unpack)(int8_t *to, const uint8_t *from, ptrdiff_t count) {
  const ptrdiff_t bytes = spk_ceil_div(count, 2);
  for (ptrdiff_t first = 0; first < bytes; first += SPK_ALIGN) {
    const ptrdiff_t here = spk_min(SPK_ALIGN, bytes - first);
    SPK_PREFETCH(from + first + BYTES_AHEAD);
    for (ptrdiff_t i = first; i < first + here; i++) {
      const unsigned low = (unsigned)from[i] << 4 & 0xf0u, high = from[i] & 0xf0u;
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
      const uint16_t both = (uint16_t)(low << 8 | high);
#else
      const uint16_t both = (uint16_t)(low | high << 8);
#endif
      memcpy(to + 2 * i, &both, sizeof both);
    }
  }
}

enum { BITMAP(VECTORS) = SPK_PIECE / SPK_LANES_f32 };
#define VECTORS BITMAP(VECTORS)

/* The values of a piece as vectors.  Returns where those of the next piece are. */
SPK_INLINE const char *BITMAP(expand)(const char *values, uint64_t bits, v_f32 a[VECTORS],
                                      const spk_storage storage) {
  const ptrdiff_t count = __builtin_popcountll(bits);
  SPK_PREFETCH(values + BYTES_AHEAD);
  if (storage == SPK_STORAGE_F16)
    v_f32_expand_f16((const uint16_t *)(const void *)values, bits, a);
  else if (storage == SPK_STORAGE_BF16)
    v_f32_expand_bf16((const uint16_t *)(const void *)values, bits, a);
  else
    v_f32_expand_s8((const int8_t *)values, bits, a);
  return values + count * (storage == SPK_STORAGE_S8 ? 1 : 2);
}

/* Add the products of a piece to `sums` sums of each column. */
SPK_INLINE void BITMAP(piece)(const v_f32 a[VECTORS], const float *x, ptrdiff_t ldx, const int n,
                              const int first, const int last, v_f32 sum[][4], const int sums) {
  SPK_UNROLL for (int v = first; v < last; v++) SPK_UNROLL for (int j = 0; j < n; j++)
      sum[j][v % sums] =
          v_f32_fma(a[v], v_f32_load(x + j * ldx + v * SPK_LANES_f32), sum[j][v % sums]);
}

/* The sum of the sums of each column. */
SPK_INLINE void BITMAP(gather)(v_f32 sum[][4], const int n, const int sums) {
  SPK_UNROLL for (int j = 0; j < n; j++) SPK_UNROLL for (int s = sums / 2; s > 0; s /= 2)
      SPK_UNROLL for (int i = 0; i < s; i++) sum[j][i] = v_f32_add(sum[j][i], sum[j][i + s]);
}

/* Set `sums` sums of each column to zero. */
SPK_INLINE void BITMAP(zero)(v_f32 sum[][4], const int n, const int sums) {
  SPK_UNROLL for (int j = 0; j < n; j++) SPK_UNROLL for (int s = 0; s < sums; s++) sum[j][s] =
      v_f32_zero();
}

/* Half a piece to a scale: the halves of a piece are the halves of its vectors, or, where a vector
 * takes columns of both, the halves of each vector. */
SPK_INLINE void BITMAP(halves)(const v_f32 a[VECTORS], const float *x, ptrdiff_t ldx,
                               const float *scale, const int n, v_f32 total[], const int sums) {
  v_f32 sum[SPK_BITMAP_COLUMNS][4];
  if (SPK_EXPAND_STRIDE_s8 * SPK_LANES_f32 == SPK_PIECE) {
    const unsigned low = (1u << (SPK_LANES_f32 / 2)) - 1u;
    const v_f32 scales = v_f32_blend(v_f32_set1(scale[0]), low, v_f32_set1(scale[1]));
    BITMAP(zero)(sum, n, sums);
    BITMAP(piece)(a, x, ldx, n, 0, VECTORS, sum, sums);
    BITMAP(gather)(sum, n, sums);
    SPK_UNROLL for (int j = 0; j < n; j++) total[j] = v_f32_fma(sum[j][0], scales, total[j]);
    return;
  }
  SPK_UNROLL for (int half = 0; half < 2; half++) {
    const v_f32 scales = v_f32_set1(scale[half]);
    BITMAP(zero)(sum, n, sums);
    BITMAP(piece)
    (a, x, ldx, n, half * VECTORS / 2, (half + 1) * VECTORS / 2, sum, sums);
    BITMAP(gather)(sum, n, sums);
    SPK_UNROLL for (int j = 0; j < n; j++) total[j] = v_f32_fma(sum[j][0], scales, total[j]);
  }
}

/* One row times n columns.  `stored` is S8 for unpacked values of 4 bits, too. */
SPK_INLINE void BITMAP(row)(const spk_bitmap_task *t, ptrdiff_t row, const char *values,
                            const spk_storage stored, const int n, const int scaled) {
  const int sums = spk_min(VECTORS, n == 1 ? 4 : 2);
  const uint64_t *bits = t->bits + row * t->pieces;
  const float *scale = scaled ? t->scales + row * t->groups : NULL, *x = t->x;
  const ptrdiff_t ldx = spk_bitmap_x_floats(t->pieces);
  v_f32 sum[SPK_BITMAP_COLUMNS][4], total[SPK_BITMAP_COLUMNS], a[VECTORS];
  const int by_halves = scaled && t->groups > 1 && t->group < SPK_PIECE;
  const ptrdiff_t together = scaled && t->groups > 1 ? spk_max(1, t->group / SPK_PIECE) : t->pieces;
  SPK_UNROLL for (int j = 0; j < n; j++) total[j] = v_f32_zero();
  for (ptrdiff_t p = 0; by_halves && p < t->pieces; p++, x += SPK_PIECE) {
    SPK_PREFETCH(bits + p + WORDS_AHEAD);
    const float pair[2] = {scale[2 * p], 2 * p + 1 < t->groups ? scale[2 * p + 1] : 0.0f};
    values = BITMAP(expand)(values, bits[p], a, stored);
    BITMAP(halves)(a, x, ldx, pair, n, total, spk_min(VECTORS / 2, sums));
  }
  for (ptrdiff_t p = 0; !by_halves && p < t->pieces;) {
    const ptrdiff_t end = spk_min(t->pieces, p + together);
    BITMAP(zero)(sum, n, sums);
    for (; p < end; p++, x += SPK_PIECE) {
      SPK_PREFETCH(bits + p + WORDS_AHEAD);
      values = BITMAP(expand)(values, bits[p], a, stored);
      BITMAP(piece)(a, x, ldx, n, 0, VECTORS, sum, sums);
    }
    BITMAP(gather)(sum, n, sums);
    const v_f32 scales = v_f32_set1(scaled ? *scale++ : 1.0f);
    SPK_UNROLL for (int j = 0; j < n; j++) total[j] =
        scaled ? v_f32_fma(sum[j][0], scales, total[j]) : sum[j][0];
  }
  const float unit = t->storage == SPK_STORAGE_S4 ? 0.0625f : 1.0f;
  SPK_UNROLL for (int j = 0; j < n; j++) t->sums[row * n + j] = unit * v_f32_reduce(total[j]);
}

/* The same where x has infinity or NaN, which must meet no zero that is not there. */
static void BITMAP(exact_row)(const spk_bitmap_task *t, ptrdiff_t row, const char *values,
                              const spk_storage stored) {
  const ptrdiff_t n = t->n, ldx = spk_bitmap_x_floats(t->pieces);
  float *sums = t->sums + row * n;
  const float *x = t->x;
  ptrdiff_t at = 0;
  for (ptrdiff_t j = 0; j < n; j++) sums[j] = 0;
  for (ptrdiff_t p = 0; p < t->pieces; p++, x += SPK_PIECE)
    for (uint64_t left = t->bits[row * t->pieces + p]; left; left &= left - 1, at++) {
      const int column = spk_lowest_bit(left);
      const uint16_t *halves = (const uint16_t *)(const void *)values;
      const float value = stored == SPK_STORAGE_F16    ? spk_from_f16(halves[at])
                          : stored == SPK_STORAGE_BF16 ? spk_from_bf16(halves[at])
                                                       : (float)((const int8_t *)values)[at];
      const float unit = t->storage == SPK_STORAGE_S4 ? 0.0625f : 1.0f;
      const float scale =
          t->scales ? t->scales[row * t->groups + (p * SPK_PIECE + column) / t->group] : 1.0f;
      for (ptrdiff_t j = 0; j < n; j++)
        sums[j] += scale * (unit * value) * x[j * ldx + BITMAP(place)(column, stored)];
    }
}

/* The integers of a row, unpacked if they have 4 bits. */
SPK_INLINE const int8_t *BITMAP(values)(const spk_bitmap_task *t, ptrdiff_t row) {
  const ptrdiff_t first = t->begin[row];
  if (t->storage != SPK_STORAGE_S4) return (const int8_t *)t->values + first;
  BITMAP(unpack)(t->unpacked, (const uint8_t *)t->values + first / 2, t->begin[row + 1] - first);
  return t->unpacked;
}

SPK_INLINE void BITMAP(rows)(const spk_bitmap_task *t, const spk_storage stored, const int n) {
  const int scaled = spk_has_scales(stored);
  for (ptrdiff_t row = 0; row < t->rows; row++) {
    const char *values =
        scaled ? (const char *)BITMAP(values)(t, row) : (const char *)t->values + 2 * t->begin[row];
    if (t->finite)
      BITMAP(row)(t, row, values, stored, n, scaled);
    else
      BITMAP(exact_row)(t, row, values, stored);
  }
}

/* By the number of columns, which is a constant in each loop. */
SPK_INLINE void BITMAP(columns)(const spk_bitmap_task *t, const spk_storage stored) {
  switch (t->n) {
    case 1:
      BITMAP(rows)(t, stored, 1);
      break;
    case 2:
      BITMAP(rows)(t, stored, 2);
      break;
    case 3:
      BITMAP(rows)(t, stored, 3);
      break;
    default:
      BITMAP(rows)(t, stored, 4);
  }
}

static void SPK_NAME1(spmm_bitmap, SPK_ISA_NAME)(const spk_bitmap_task *t) {
  switch (t->storage) {
    case SPK_STORAGE_F16:
      BITMAP(columns)(t, SPK_STORAGE_F16);
      break;
    case SPK_STORAGE_BF16:
      BITMAP(columns)(t, SPK_STORAGE_BF16);
      break;
    default:
      BITMAP(columns)(t, SPK_STORAGE_S8);
  }
}
#undef VECTORS
#undef BITMAP
