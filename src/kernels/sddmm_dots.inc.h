/* Dot products, and what a sampled product makes of them.
 *
 * y[u] = xs[u] . rows[u] for u < U; y[U .. 7] is unspecified.  With `shared`, all use xs[0].
 *
 * Eight dot products that share each load of x take 9 loads for 8 FMAs (89% of the load bound), and
 * 16 loads otherwise.  One transposition reduces all eight.  The order of a sum depends on k
 * alone. */
SPK_INLINE void FT(dots)(const T *const *xs, const int shared, const T *const rows[8], ptrdiff_t k,
                         const int U, T *y) {
  VEC acc[8];
  SPK_UNROLL for (int u = 0; u < 8; u++) acc[u] = V(zero)();
  ptrdiff_t j = 0;
  for (; j + LANES <= k; j += LANES) {
    VEC x = V(load)(xs[0] + j);
    SPK_UNROLL for (int u = 0; u < U; u++) {
      if (!shared) x = V(load)(xs[u] + j);
      acc[u] = V(fma)(x, V(load)(rows[u] + j), acc[u]);
    }
  }
  if (j < k) {
    const MASK mask = V(mask)(k - j);
    VEC x = V(load_masked)(xs[0] + j, mask);
    SPK_UNROLL for (int u = 0; u < U; u++) {
      if (!shared) x = V(load_masked)(xs[u] + j, mask);
      acc[u] = V(fma)(x, V(load_masked)(rows[u] + j, mask), acc[u]);
    }
  }
  V(reduce8)(acc, y);
}

/* What a sampled product stores.  `value` is read only if the sampling needs it. */
SPK_INLINE void FT(sample)(T dot, T *out, const T *value, const spk_sampling *s) {
  T x = (T)s->alpha * dot;
  if (s->scale) x *= *value;
  if (s->beta != 0.0) x += (T)s->beta * *value;
  *out = x;
}

static __attribute__((noinline)) void FT(sample_all)(const T *dots, T *out, const T *values,
                                                     ptrdiff_t count, const spk_sampling *s) {
  const int reads = s->scale || s->beta != 0.0;
  for (ptrdiff_t u = 0; u < count; u++) FT(sample)(dots[u], out + u, reads ? values + u : NULL, s);
}
