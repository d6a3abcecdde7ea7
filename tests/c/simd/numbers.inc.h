/* What words are given, and how results are compared. */

/* Every pair of special values is among (first[i], second[i]); other numbers have any exponent. */
enum { FT(SPECIALS) = 20, FT(NUMBERS) = 1024 };
static T FT(first)[FT(NUMBERS)], FT(second)[FT(NUMBERS)], FT(third)[FT(NUMBERS)];

static T FT(any_number)(const T specials[FT(SPECIALS)]) {
  if (random_below(3) == 0) return specials[random_below(FT(SPECIALS))];
  const int exponents = T_LIMIT(MAX_EXP) - T_LIMIT(MIN_EXP) + T_LIMIT(MANT_DIG);
  const int wild = random_below(4) == 0;
  const int exponent = wild ? T_LIMIT(MIN_EXP) - T_LIMIT(MANT_DIG) + (int)random_below(exponents)
                            : (int)random_below(9) - 4;
  return (T)ldexp(random_number(), exponent);
}

static void FT(make_numbers)(void) {
  const T least = T_LIMIT(MIN), most = T_LIMIT(MAX), subnormal = T_LIMIT(TRUE_MIN);
  const T specials[FT(SPECIALS)] = {(T)0,
                                    (T)-0.0,
                                    (T)INFINITY,
                                    (T)-INFINITY,
                                    (T)NAN,
                                    T_FN(copysign)((T)NAN, (T)-1),
                                    (T)1,
                                    (T)-1,
                                    least,
                                    -least,
                                    most,
                                    -most,
                                    subnormal,
                                    -subnormal,
                                    least - subnormal,
                                    subnormal - least,
                                    (T)2,
                                    (T)-0.5,
                                    (T)1 + T_LIMIT(EPSILON),
                                    (T)1e-3};
  for (int i = 0; i < FT(NUMBERS); i++) {
    const int pair = i < FT(SPECIALS) * FT(SPECIALS);
    FT(first)[i] = pair ? specials[i % FT(SPECIALS)] : FT(any_number)(specials);
    FT(second)[i] = pair ? specials[i / FT(SPECIALS)] : FT(any_number)(specials);
    FT(third)[i] = FT(any_number)(specials);
  }
}

static int FT(same_bits)(T a, T b) { return memcmp(&a, &b, sizeof a) == 0; }
/* Which NaN arithmetic gives is up to the instruction. */
static int FT(same)(T a, T b) { return (isnan(a) && isnan(b)) || FT(same_bits)(a, b); }

static void FT(expect)(const char *word, VEC vector, const T expected[LANES]) {
  T got[LANES];
  V(store)(got, vector);
  for (int i = 0; i < LANES; i++)
    CHECK(FT(same_bits)(got[i], expected[i]), "%s, lane %d: %.17g, not %.17g", word, i,
          (double)got[i], (double)expected[i]);
}
