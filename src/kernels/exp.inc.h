/* The exponential that softmax and the activations share.  It takes U vectors at once, at most
 * SPK_TOGETHER, because one vector alone would wait for its chain of dependent FMAs.
 * (activations.inc.h undefines the macros.) */
#define SPK_TOGETHER 4
#define EACH SPK_UNROLL for (int u = 0; u < U; u++)
/* A number plus SPK_MAGIC has no bits left for a fraction, and its lowest bits are the exponent of
 * a float. */
#define SPK_MAGIC (sizeof(T) == 4 ? 0x1.8p23 + 127 : 0x1.8p52 + 1023)

/* A polynomial in x; the highest term comes first. */
SPK_INLINE void FT(polynomial)(const double *terms, const int count, const VEC *x, VEC *y,
                               const int U) {
  EACH y[u] = V(set1)((T)terms[0]);
  SPK_UNROLL for (int i = 1; i < count; i++) EACH y[u] = V(fma)(y[u], x[u], V(set1)((T)terms[i]));
}

/* exp(x + rest) = 2^n (1 + p) with |p| < 0.42. power = 2^(n + shift), which must be normal. `rest`
 * is the rounding error of x, and NULL means 0. NaN makes p NaN.
 *
 * p = r + r^2 q(r), where r = x - n log(2) and |r| <= log(2) / 2.  q minimises the greatest
 * relative error of p (Remez' exchange on 200 bits, coefficients rounded): 2^-26.0 in float32,
 * 2^-61.2 in float64. */
SPK_INLINE void FT(exp_parts)(const VEC *x, const VEC *rest, const int shift, VEC *p, VEC *power,
                              const int U) {
  const int single = sizeof(T) == 4;
  /* -log(2) in two parts.  The first part has few bits, so that its product with n is exact. */
  const VEC high_part = V(set1)((T)(single ? -0x1.62e4p-1 : -0x1.62e42feep-1));
  const VEC low_part = V(set1)((T)(single ? -0x1.7f7d1cf79abcap-20 : -0x1.a39ef35793c76p-33));
  static const double f32_terms[] = {0x1.6aca88p-10, 0x1.122fe0p-7, 0x1.555790p-5, 0x1.5554a6p-3,
                                     0x1.fffffep-2};
  static const double f64_terms[] = {0x1.1fdd55d115e5bp-29,
                                     0x1.af6a400a131bdp-26,
                                     0x1.27e497f5cce28p-22,
                                     0x1.71ddf1ca5a597p-19,
                                     0x1.a01a01c399582p-16,
                                     0x1.a01a01b26c61ep-13,
                                     0x1.6c16c16c11836p-10,
                                     0x1.111111110f0a5p-7,
                                     0x1.555555555555dp-5,
                                     0x1.555555555555ap-3,
                                     0x1.0p-1};
  const VEC magic = V(set1)((T)(SPK_MAGIC + shift));
  VEC n[SPK_TOGETHER], r[SPK_TOGETHER], q[SPK_TOGETHER];
  EACH power[u] = V(fma)(x[u], V(set1)((T)0x1.71547652b82fep+0), magic);
  EACH n[u] = V(sub)(power[u], magic);
  EACH r[u] = V(fma)(n[u], high_part, x[u]);
  if (rest)
    EACH r[u] = V(add)(r[u], V(fma)(n[u], low_part, rest[u]));
  else
    EACH r[u] = V(fma)(n[u], low_part, r[u]);
  FT(polynomial)(single ? f32_terms : f64_terms, single ? 5 : 11, r, q, U);
  EACH p[u] = V(fma)(V(mul)(r[u], r[u]), q[u], r[u]);
  EACH power[u] = V(exp2_int)(power[u]);
}

/* exp(x) for x <= 0, as softmax needs it.  The result is within 1.1 units in the last place if it
 * is normal, 0 if it would not be, and NaN for NaN. */
SPK_INLINE VEC FT(exp)(VEC x) {
  /* log(2^-126), log(2^-1022) */
  const VEC low = V(set1)((T)(sizeof(T) == 4 ? -0x1.5d589ep+6 : -0x1.6232bdd7abcd2p+9));
  const VEC y = V(max)(low, x);
  VEC p, power;
  FT(exp_parts)(&y, NULL, 0, &p, &power, 1);
  return V(select_less)(x, low, V(zero)(), V(fma)(power, p, power));
}
