/* Pieces of a bitmap, from values of 8 and 16 bits, of any bits and with the last value at the end
 * of what may be read. */

#include "../../../src/common/float16.h"

/* Where column c of a piece lies, by the rule of generic.h. */
static int place_of(int c, int stride) {
  const int whole = stride * SPK_LANES_f32, within = c % whole;
  return c - within + within % stride * SPK_LANES_f32 + within / stride;
}

#define CHECK_EXPAND(kind, type, convert, bits)                                               \
  do {                                                                                        \
    const ptrdiff_t count = __builtin_popcountll(bits);                                       \
    const size_t bytes = (size_t)count * sizeof(type) + SPK_EXPAND_BYTES;                     \
    type *p = exact_memory(bytes);                                                            \
    for (size_t i = 0; i < bytes / sizeof(type); i++) p[i] = (type)random_below(1 << 16);     \
    v_f32 a[SPK_PIECE / SPK_LANES_f32];                                                       \
    float found[SPK_PIECE];                                                                   \
    exact_memory_freeze();                                                                    \
    v_f32_expand_##kind(p, bits, a);                                                          \
    for (int v = 0; v < SPK_PIECE / SPK_LANES_f32; v++)                                       \
      v_f32_store(found + v * SPK_LANES_f32, a[v]);                                           \
    for (int c = 0, at = 0; c < SPK_PIECE; c++) {                                             \
      const int here = (int)((bits) >> c & 1);                                                \
      const float expected = here ? convert(p[at]) : 0.0f,                                    \
                  is = found[place_of(c, SPK_EXPAND_STRIDE_##kind)];                          \
      CHECK(is == expected || (isnan(is) && isnan(expected)), #kind ", bits %llx, column %d", \
            (unsigned long long)(bits), c);                                                   \
      at += here;                                                                             \
    }                                                                                         \
    exact_memory_release();                                                                   \
  } while (0)

static void check_expand(void) {
  test_case("words that expand, %s", SPK_SIMD_HEADER);
  for (int round = 0; round < 300; round++) {
    uint64_t bits = 0;
    /* From empty to full, and single bits. */
    for (int c = 0; c < SPK_PIECE; c++)
      if (random_below(20) < round % 21) bits |= (uint64_t)1 << c;
    if (round % 10 == 9) bits = (uint64_t)1 << random_below(SPK_PIECE);
    CHECK_EXPAND(s8, int8_t, (float), bits);
    CHECK_EXPAND(f16, uint16_t, spk_from_f16, bits);
    CHECK_EXPAND(bf16, uint16_t, spk_from_bf16, bits);
  }
}
