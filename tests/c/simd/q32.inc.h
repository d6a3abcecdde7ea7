/* Words of an overlay whose numbers are four bytes each, four values or two: sums of products, as
 * 32-bit integers. */

static void check_q32(void) {
  test_case("words of q32, %s", SPK_SIMD_HEADER);
  for (int round = 0; round < 500; round++) {
    uint8_t bytes[BYTES];
    int8_t weights[BYTES];
    int32_t sums[SPK_LANES_q32], got[SPK_LANES_q32];
    for (int i = 0; i < BYTES; i++) bytes[i] = any_byte(), weights[i] = (int8_t)any_byte();
    for (int e = 0; e < SPK_LANES_q32; e++) sums[e] = (int32_t)random_below(2000000) - 1000000;
    v_q32 w, b, s;
#if SPK_Q32_VALUES == 4
    memcpy(&w, weights, sizeof w);
    memcpy(&b, bytes, sizeof b);
#else
    int16_t wide[2 * SPK_LANES_q32], pairs[2 * SPK_LANES_q32];
    for (int i = 0; i < 2 * SPK_LANES_q32; i++) wide[i] = weights[i], pairs[i] = bytes[i];
    memcpy(&w, wide, sizeof w);
    memcpy(&b, pairs, sizeof b);
#endif
    memcpy(&s, sums, sizeof s);
    const v_q32 dot = v_q32_fma(w, b, s), twice = v_q32_add(dot, s);
    memcpy(got, &dot, sizeof got);
    for (int e = 0; e < SPK_LANES_q32; e++) {
      int32_t expected = sums[e];
      for (int i = SPK_Q32_VALUES * e; i < SPK_Q32_VALUES * (e + 1); i++)
        expected += (int32_t)bytes[i] * weights[i];
      CHECK(got[e] == expected, "fma %d: %d, not %d", e, got[e], expected);
    }
    int32_t added[SPK_LANES_q32];
    memcpy(added, &twice, sizeof added);
    for (int e = 0; e < SPK_LANES_q32; e++)
      CHECK(added[e] == got[e] + sums[e], "add %d: %d, not %d", e, added[e], got[e] + sums[e]);
  }
}
