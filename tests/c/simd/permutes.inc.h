/* Lane permutes, by words of 32 bits of which several hold codes, and what groups of four share. */

static void FT(check_permute2)(const T *numbers) {
  enum { CODES = 32 / SPK_PERMUTE_BITS };
  uint32_t from[2 * SPK_LANES_f32], to[SPK_LANES_f32];
  memcpy(from, numbers, sizeof from);
  uint32_t *words = exact_memory(SPK_LANES_f32 * sizeof *words);
  for (int i = 0; i < SPK_LANES_f32; i++) words[i] = (uint32_t)random_below((ptrdiff_t)1 << 32);
  spk_codes codes = spk_codes_load(words);
  for (int k = 0; k < CODES; k++, codes = spk_codes_next(codes)) {
    const VEC a = V(load)(numbers), b = V(load)(numbers + LANES);
    T expected[LANES];
    for (int i = 0; i < SPK_LANES_f32; i++)
      to[i] = from[words[i] >> (k * SPK_PERMUTE_BITS) & (2 * SPK_LANES_f32 - 1)];
    memcpy(expected, to, sizeof to);
    FT(expect)("permute2", V(permute2)(a, b, codes), expected);
  }
  codes = spk_codes_load(words);
  for (int k = 0; k < CODES; k++, codes = spk_codes_next(codes)) {
    T expected[LANES];
    for (int i = 0; i < SPK_LANES_f32; i++)
      to[i] = from[words[i] >> (k * SPK_PERMUTE_BITS) & (SPK_LANES_f32 - 1)];
    memcpy(expected, to, sizeof to);
    FT(expect)("permute", V(permute)(V(load)(numbers), codes), expected);
  }
  exact_memory_release();
}

static void FT(check_load4)(const T *numbers) {
  const T *p[LANES / 4];
  VEC x[4];
  T expected[LANES];
  for (int g = 0; g < LANES / 4; g++) p[g] = FT(exact_numbers)(4, numbers + 4 * g);
  V(load4)(p, x);
  for (int k = 0; k < 4; k++) {
    for (int i = 0; i < LANES; i++) expected[i] = numbers[i / 4 * 4 + k];
    FT(expect)("load4", x[k], expected);
  }
  exact_memory_release();
}

static void FT(check_permutes)(void) {
  test_case("lane permutes, %s", SPK_SIMD_HEADER);
  for (int at = 0; at + 2 * LANES <= FT(NUMBERS); at += LANES) {
    FT(check_permute2)(FT(first) + at);
    FT(check_load4)(FT(first) + at);
  }
}
