/* Words that look at several lanes or vectors at once. */

static exact FT(sum_of)(const T *lanes) {
  exact sum = {0};
  for (int i = 0; i < LANES; i++) exact_add(&sum, (double)lanes[i]);
  return sum;
}

/* In any order of additions: of numbers alike in size, as sums of the greatest may overflow in one
 * order and not in another; and with an infinity or a NaN in one lane. */
static void FT(check_reduce)(int special) {
  static const double specials[] = {0, INFINITY, -INFINITY, NAN};
  T *lanes = exact_memory(8 * LANES * sizeof *lanes), *sums = exact_memory(8 * sizeof *sums);
  VEC a[8];
  for (int i = 0; i < 8 * LANES; i++) lanes[i] = (T)random_number();
  for (int k = 0; k < 8; k++) {
    if (special) lanes[k * LANES + random_below(LANES)] = (T)specials[special];
    a[k] = V(load)(lanes + k * LANES);
  }
  V(reduce8)(a, sums);
  for (int k = 0; k < 8; k++) {
    const exact sum = FT(sum_of)(lanes + k * LANES);
    const double alone = (double)V(reduce)(a[k]), together = (double)sums[k];
    CHECK(exact_matches(sum, T_DTYPE, alone), "reduce: %.17g, not %.17g", alone, sum.value);
    CHECK(exact_matches(sum, T_DTYPE, together), "reduce8: %.17g, not %.17g", together, sum.value);
  }
  exact_memory_release();
}

static void FT(check_transpose)(const T *numbers) {
  VEC a[LANES];
  T expected[LANES];
  for (int i = 0; i < LANES; i++) a[i] = V(load)(numbers + i * LANES);
  V(transpose)(a);
  for (int i = 0; i < LANES; i++) {
    for (int j = 0; j < LANES; j++) expected[j] = numbers[j * LANES + i];
    FT(expect)("transpose", a[i], expected);
  }
}

static void FT(check_nonzero_mask)(const T *numbers) {
  unsigned expected = 0;
  for (int i = 0; i < LANES; i++) expected |= (unsigned)(numbers[i] != 0) << i;
  const unsigned got = V(nonzero_mask)(V(load)(numbers));
  CHECK(got == expected, "nonzero_mask: %#x, not %#x", got, expected);
}

static void FT(check_across)(void) {
  test_case("words across lanes, %s", SPK_SIMD_HEADER);
  for (int round = 0; round < 40; round++) FT(check_reduce)(round % 4);
  for (int at = 0; at + LANES * LANES <= FT(NUMBERS); at += LANES)
    FT(check_transpose)(FT(first) + at);
  for (int at = 0; at < FT(NUMBERS); at += LANES) FT(check_nonzero_mask)(FT(first) + at);
}
