/* y[u] = x . rows[u], u < U; y[U .. 7] is unspecified.
 *
 * Eight dot products share each load of x (9 loads for 8 FMAs: 89% of the load bound) and one
 * transposition reduces all eight.  The order of a sum depends on k alone.
 */
SPK_INLINE void FT(dots)(const T *x, const T *const rows[8], ptrdiff_t k, const int U, T *y) {
  VEC acc[8];
  SPK_UNROLL for (int u = 0; u < 8; u++) acc[u] = V(zero)();
  ptrdiff_t j = 0;
  for (; j + LANES <= k; j += LANES) {
    const VEC xv = V(load)(x + j);
    SPK_UNROLL for (int u = 0; u < U; u++) acc[u] = V(fma)(xv, V(load)(rows[u] + j), acc[u]);
  }
  if (j < k) {
    const MASK mask = V(mask)(k - j);
    const VEC xv = V(loadm)(x + j, mask);
    SPK_UNROLL for (int u = 0; u < U; u++) acc[u] = V(fma)(xv, V(loadm)(rows[u] + j, mask), acc[u]);
  }
  V(reduce8)(acc, y);
}
