/* For each byte of bits, which bytes a shuffle takes so that packed values come where the bits are:
 * the number of lower bits where a bit is set, and 0x80, for which shuffles write zero, where it is
 * not.  spk_expand_bytes moves single bytes, spk_expand_words pairs of them. */
#ifndef SPK_KERNELS_EXPAND_TABLE_H
#define SPK_KERNELS_EXPAND_TABLE_H

#include <stdint.h>

/* clang-format off */
#define SPK_BIT(c, i) ((c) >> (i) & 1)
#define SPK_COUNT(c)                                                                     \
  (SPK_BIT(c, 0) + SPK_BIT(c, 1) + SPK_BIT(c, 2) + SPK_BIT(c, 3) + SPK_BIT(c, 4) + SPK_BIT(c, 5) + \
   SPK_BIT(c, 6))
#define SPK_RANK(c, i) SPK_COUNT((c) & ((1 << (i)) - 1))
#define SPK_FROM(c, i) (SPK_BIT(c, i) ? SPK_RANK(c, i) : 0x80)
#define SPK_FROM2(c, i)                       \
  (SPK_BIT(c, i) ? 2 * SPK_RANK(c, i) : 0x80), \
  (SPK_BIT(c, i) ? 2 * SPK_RANK(c, i) + 1 : 0x80)
#define SPK_TABLE_ROW(f, c) \
  {f(c, 0), f(c, 1), f(c, 2), f(c, 3), f(c, 4), f(c, 5), f(c, 6), f(c, 7)}
#define SPK_ROWS4(f, c) \
  SPK_TABLE_ROW(f, c), SPK_TABLE_ROW(f, (c) + 1), SPK_TABLE_ROW(f, (c) + 2), SPK_TABLE_ROW(f, (c) + 3)
#define SPK_ROWS16(f, c) \
  SPK_ROWS4(f, c), SPK_ROWS4(f, (c) + 4), SPK_ROWS4(f, (c) + 8), SPK_ROWS4(f, (c) + 12)
#define SPK_ROWS64(f, c) \
  SPK_ROWS16(f, c), SPK_ROWS16(f, (c) + 16), SPK_ROWS16(f, (c) + 32), SPK_ROWS16(f, (c) + 48)
#define SPK_ROWS256(f) \
  SPK_ROWS64(f, 0), SPK_ROWS64(f, 64), SPK_ROWS64(f, 128), SPK_ROWS64(f, 192)
/* clang-format on */

static const uint8_t spk_expand_bytes[256][8] = {SPK_ROWS256(SPK_FROM)};
static const uint8_t spk_expand_words[256][16] = {SPK_ROWS256(SPK_FROM2)};

#undef SPK_BIT
#undef SPK_COUNT
#undef SPK_RANK
#undef SPK_FROM
#undef SPK_FROM2
#undef SPK_TABLE_ROW
#undef SPK_ROWS4
#undef SPK_ROWS16
#undef SPK_ROWS64
#undef SPK_ROWS256

#endif
