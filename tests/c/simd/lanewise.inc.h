/* Words that do the same in every lane, each against its expression in C. */

static T FT(plus)(T a, T b) { return a + b; }
static T FT(minus)(T a, T b) { return a - b; }
static T FT(times)(T a, T b) { return a * b; }
static T FT(over)(T a, T b) { return a / b; }
static T FT(greater)(T a, T b) { return a > b ? a : b; }
static T FT(lesser)(T a, T b) { return a < b ? a : b; }
static T FT(cut)(T a) { return a < 0 ? (T)0 : a; }

static void FT(check_unary)(const char *word, VEC (*vector)(VEC), T (*scalar)(T)) {
  for (int at = 0; at < FT(NUMBERS); at += LANES) {
    T got[LANES];
    V(store)(got, vector(V(load)(FT(first) + at)));
    for (int i = 0; i < LANES; i++) {
      const T a = FT(first)[at + i], expected = scalar(a);
      CHECK(FT(same)(got[i], expected), "%s of %g is %.17g, not %.17g", word, (double)a,
            (double)got[i], (double)expected);
    }
  }
}

static void FT(check_binary)(const char *word, VEC (*vector)(VEC, VEC), T (*scalar)(T, T)) {
  for (int at = 0; at < FT(NUMBERS); at += LANES) {
    T got[LANES];
    V(store)(got, vector(V(load)(FT(first) + at), V(load)(FT(second) + at)));
    for (int i = 0; i < LANES; i++) {
      const T a = FT(first)[at + i], b = FT(second)[at + i], expected = scalar(a, b);
      CHECK(FT(same)(got[i], expected), "%s of %g, %g is %.17g, not %.17g", word, (double)a,
            (double)b, (double)got[i], (double)expected);
    }
  }
}

/* Rounded once or twice: by all lanes in the same way. */
static void FT(check_fused)(void) {
  int once = 1, twice = 1;
  for (int at = 0; at < FT(NUMBERS); at += LANES) {
    const VEC x = V(load)(FT(first) + at), y = V(load)(FT(second) + at);
    const VEC z = V(load)(FT(third) + at);
    T sums[LANES], differences[LANES];
    V(store)(sums, V(fma)(x, y, z));
    V(store)(differences, V(fnma)(x, y, z));
    for (int i = 0; i < LANES; i++) {
      const T a = FT(first)[at + i], b = FT(second)[at + i], c = FT(third)[at + i];
      once &= FT(same)(sums[i], T_FN(fma)(a, b, c));
      once &= FT(same)(differences[i], T_FN(fma)(-a, b, c));
      twice &= FT(same)(sums[i], a * b + c) && FT(same)(differences[i], c - a * b);
    }
  }
  CHECK(once || twice, "fma and fnma");
}

/* Of products and quotients, where what they lack is a number. */
static void FT(check_residual)(void) {
  for (int at = 0; at < FT(NUMBERS); at += LANES) {
    T got[2][LANES], product[LANES], quotient[LANES];
    const VEC x = V(load)(FT(first) + at), y = V(load)(FT(second) + at);
    V(store)(product, V(mul)(x, y));
    V(store)(quotient, V(div)(x, y));
    V(store)(got[0], V(residual)(x, y, V(load)(product)));
    V(store)(got[1], V(residual)(V(load)(quotient), y, x));
    for (int i = 0; i < LANES; i++) {
      const T a = FT(first)[at + i], b = FT(second)[at + i];
      if (isfinite(product[i]))
        CHECK(FT(same)(got[0][i], T_FN(fma)(a, b, -product[i])), "residual of %g * %g", (double)a,
              (double)b);
      if (isfinite(quotient[i]) && isfinite(b))
        CHECK(FT(same)(got[1][i], T_FN(fma)(quotient[i], b, -a)), "residual of %g / %g", (double)a,
              (double)b);
    }
  }
}

/* Lanes are moved, not computed with: a NaN stays the one that it is. */
static void FT(check_choices)(void) {
  for (int at = 0; at < FT(NUMBERS); at += LANES) {
    const T *a = FT(first) + at, *b = FT(second) + at, *c = FT(third) + at;
    T expected[LANES];
    const VEC x = V(load)(a), y = V(load)(b), z = V(load)(c);
    for (int i = 0; i < LANES; i++) expected[i] = a[i] < b[i] ? b[i] : c[i];
    FT(expect)("select_less", V(select_less)(x, y, y, z), expected);
    const unsigned bits = (unsigned)random_below(1 << LANES);
    for (int i = 0; i < LANES; i++) expected[i] = bits >> i & 1 ? a[i] : b[i];
    FT(expect)("blend", V(blend)(x, bits, y), expected);
    for (int i = 0; i < LANES; i++) expected[i] = T_FN(copysign)(a[i], b[i]);
    FT(expect)("copysign", V(copysign)(x, y), expected);
    for (int i = 0; i < LANES; i++) expected[i] = T_FN(fabs)(a[i]);
    FT(expect)("abs", V(abs)(x), expected);
  }
}

/* All that are normal. */
static void FT(check_exp2_int)(void) {
  const int least = T_LIMIT(MIN_EXP) - 1, most = T_LIMIT(MAX_EXP) - 1;
  const double shift = ldexp(1.5, T_LIMIT(MANT_DIG) - 1) + most;
  for (int n = least; n <= most; n++) {
    T expected[LANES];
    for (int i = 0; i < LANES; i++) expected[i] = (T)ldexp(1, n);
    FT(expect)("exp2_int", V(exp2_int)(V(set1)((T)(shift + n))), expected);
  }
}

static void FT(check_lanewise)(void) {
  test_case("words of lanes, %s", SPK_SIMD_HEADER);
  FT(check_binary)("add", V(add), FT(plus));
  FT(check_binary)("sub", V(sub), FT(minus));
  FT(check_binary)("mul", V(mul), FT(times));
  FT(check_binary)("div", V(div), FT(over));
  FT(check_binary)("max", V(max), FT(greater));
  FT(check_binary)("min", V(min), FT(lesser));
  FT(check_unary)("relu", V(relu), FT(cut));
  FT(check_fused)();
  FT(check_residual)();
  FT(check_choices)();
  FT(check_exp2_int)();
}
