/* exp(x) for x <= 0, as softmax needs it: within 1.02 units in the last place in float32 and 1.6
 * in float64 where the result is normal, 0 where it would not be, NaN for NaN.
 *
 * 2^n times a polynomial in what is left of x, |r| <= log(2) / 2: in float32 a minimax one of
 * degree 6 (its own error is 4e-9), in float64 Taylor's of degree 13 (4e-18).
 */
SPK_INLINE VEC FT(exp)(VEC x) {
  const int single = sizeof(T) == 4;
  /* log(2^-126), log(2^-1022); -log(2) in two parts, the first of few bits */
  const VEC low = V(set1)((T)(single ? -0x1.5d589ep+6 : -0x1.6232bdd7abcd2p+9));
  const VEC high_part = V(set1)((T)(single ? -0x1.62e4p-1 : -0x1.62e42feep-1));
  const VEC low_part = V(set1)((T)(single ? -0x1.7f7d1cf79abcap-20 : -0x1.a39ef35793c76p-33));
  static const double f32_terms[] = {0x1.68b5bcp-10, 0x1.123bb6p-7, 0x1.555b06p-5, 0x1.55548ep-3,
                                     0x1.fffff8p-2};
  static const double f64_terms[] = {
      1.0 / 6227020800, 1.0 / 479001600, 1.0 / 39916800, 1.0 / 3628800, 1.0 / 362880, 1.0 / 40320,
      1.0 / 5040,       1.0 / 720,       1.0 / 120,      1.0 / 24,      1.0 / 6,      1.0 / 2};
  const double *terms = single ? f32_terms : f64_terms;
  const int count = single ? 5 : 12;
  const VEC y = V(max)(low, x);
  const VEC n = V(round)(V(mul)(y, V(set1)((T)0x1.71547652b82fep+0)));
  const VEC r = V(fma)(n, low_part, V(fma)(n, high_part, y));
  VEC p = V(set1)((T)terms[0]);
  SPK_UNROLL for (int i = 1; i < count; i++) p = V(fma)(p, r, V(set1)((T)terms[i]));
  p = V(add)(V(fma)(V(mul)(r, r), p, r), V(set1)((T)1));
  return V(zero_below)(V(scale)(p, n), x, low);
}
