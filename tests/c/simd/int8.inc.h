/* Words of bytes and of 32-bit integers. */

enum { BYTES = 4 * SPK_LANES_f32 };

/* Extremes among them, as sums of products may saturate only there. */
static uint8_t any_byte(void) {
  static const uint8_t extremes[] = {0, 127, 128, 255};
  return random_below(2) ? extremes[random_below(4)] : (uint8_t)random_below(256);
}

static void check_interleave4(uint8_t flip) {
  uint8_t a[4][BYTES], *got = exact_memory(BYTES);
  v_u8 ordered[4], q[4];
  for (int i = 0; i < 4; i++) {
    uint8_t *p = exact_memory(BYTES);
    for (int j = 0; j < BYTES; j++) p[j] = a[i][j] = any_byte();
    ordered[i] = v_u8_order(v_u8_load(p), flip);
  }
  v_u8_interleave4(ordered, q);
  for (int v = 0; v < 4; v++) {
    v_u8_store(got, q[v]);
    for (int at = 0; at < BYTES; at++) {
      const int wanted = a[at % 4][v * SPK_LANES_f32 + at / 4] ^ flip;
      CHECK(got[at] == wanted, "byte %d of vector %d: %d, not %d", at, v, got[at], wanted);
    }
  }
  exact_memory_release();
}

static void check_dot(void) {
  uint8_t *bytes = exact_memory(BYTES);
  int8_t *weights = exact_memory(4);
  int32_t *sums = exact_memory(SPK_LANES_f32 * sizeof *sums), expected[SPK_LANES_f32];
  for (int i = 0; i < BYTES; i++) bytes[i] = any_byte();
  for (int i = 0; i < 4; i++) weights[i] = (int8_t)any_byte();
  for (int e = 0; e < SPK_LANES_f32; e++) {
    expected[e] = sums[e] = (int32_t)random_below(2000000) - 1000000;
    for (int i = 0; i < 4; i++) expected[e] += (int32_t)bytes[4 * e + i] * weights[i];
  }
  v_s32_store(sums, v_s32_dot(v_u8_load(bytes), spk_weights_load(weights), v_s32_load(sums)));
  for (int e = 0; e < SPK_LANES_f32; e++)
    CHECK(sums[e] == expected[e], "dot %d: %d, not %d", e, sums[e], expected[e]);
  exact_memory_release();
}

static void check_int8(void) {
  test_case("words of int8, %s", SPK_SIMD_HEADER);
  for (int round = 0; round < 500; round++) {
    check_interleave4(round % 3 ? (uint8_t)random_below(256) : 0x80);
    check_dot();
  }
}
