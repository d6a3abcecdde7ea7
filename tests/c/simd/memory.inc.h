/* Words that make vectors of numbers and memory.  Memory ends where it says, off any alignment. */

static T *FT(exact_numbers)(int count, const T *numbers) {
  T *p = exact_memory((size_t)count * sizeof *p);
  memcpy(p, numbers, (size_t)count * sizeof *p);
  return p;
}

static void FT(check_set)(const T *numbers) {
  T expected[LANES];
  VEC x[4];
  for (int i = 0; i < LANES; i++) expected[i] = 0;
  FT(expect)("zero", V(zero)(), expected);
  const T *p = FT(exact_numbers)(4, numbers);
  V(set4)(p, x);
  for (int k = 0; k < 4; k++) {
    for (int i = 0; i < LANES; i++) expected[i] = numbers[k];
    FT(expect)("set1", V(set1)(numbers[k]), expected);
    FT(expect)("set4", x[k], expected);
  }
  V(set2)(p + 2, x);
  for (int k = 0; k < 2; k++) {
    for (int i = 0; i < LANES; i++) expected[i] = numbers[2 + k];
    FT(expect)("set2", x[k], expected);
  }
  exact_memory_release();
}

static void FT(check_whole)(const T *numbers) {
  const T *p = FT(exact_numbers)(LANES, numbers);
  T *to = exact_memory(LANES * sizeof *to);
  V(store)(to, V(load)(p));
  CHECK(memcmp(to, numbers, LANES * sizeof *to) == 0, "load and store");
  exact_memory_release();
}

/* The first n lanes: what lies behind them faults. */
static void FT(check_masked)(const T *numbers, int n) {
  T expected[LANES];
  for (int i = 0; i < LANES; i++) expected[i] = i < n ? numbers[i] : (T)0;
  const T *p = FT(exact_numbers)(n, numbers);
  exact_memory_freeze();
  FT(expect)("load_masked", V(load_masked)(p, V(mask)(n)), expected);
  T *to = exact_memory((size_t)n * sizeof *to);
  V(store_masked)(to, V(mask)(n), V(load)(numbers));
  CHECK(memcmp(to, numbers, (size_t)n * sizeof *to) == 0, "store_masked of %d", n);
  exact_memory_release();
}

static void FT(check_memory)(void) {
  test_case("words of memory, %s", SPK_SIMD_HEADER);
  for (int at = 0; at < FT(NUMBERS); at += 4) FT(check_set)(FT(first) + at);
  for (int at = 0; at < FT(NUMBERS); at += LANES) FT(check_whole)(FT(first) + at);
  for (int n = 0; n <= LANES; n++)
    for (int at = 0; at < 16 * LANES; at += LANES) FT(check_masked)(FT(first) + at, n);
}
