/* Vectors of two rows: element (r, c) is lane 2 c + r. */

static void FT(check_paired)(void) {
  test_case("paired rows, %s", SPK_SIMD_HEADER);
  for (int at = 0; at < FT(NUMBERS); at += LANES) {
    enum { COLUMNS = LANES / 2 };
    T expected[LANES];
    const T *numbers = FT(first) + at;
    const T *p = FT(exact_numbers)(COLUMNS, numbers), *two = FT(exact_numbers)(2, numbers);
    const T *q = FT(exact_numbers)(COLUMNS, numbers + COLUMNS);
    for (int i = 0; i < LANES; i++) expected[i] = two[i % 2];
    FT(expect)("paired_values", V(paired_values)(two), expected);
    for (int i = 0; i < LANES; i++) expected[i] = p[i / 2];
    FT(expect)("paired_columns", V(paired_columns)(p), expected);
    for (int i = 0; i < LANES; i++) expected[i] = (i % 2 ? q : p)[i / 2];
    FT(expect)("paired_load", V(paired_load)(p, q), expected);
    T *to_p = exact_memory(COLUMNS * sizeof *to_p), *to_q = exact_memory(COLUMNS * sizeof *to_q);
    V(paired_store)(to_p, to_q, V(load)(expected));
    CHECK(memcmp(to_p, p, COLUMNS * sizeof *p) == 0 && memcmp(to_q, q, COLUMNS * sizeof *q) == 0,
          "paired_store");
    exact_memory_release();
  }
}
