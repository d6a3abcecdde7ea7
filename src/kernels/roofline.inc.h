/* Measures what this machine reaches at most: the roofs under which benchmarks draw the other
 * kernels. */

/* FMAs from registers, in 12 chains: more than 2 units with a latency of 4 or 5 cycles need.  The
 * chains start at different numbers, and the factor is no constant; otherwise a compiler could join
 * the chains and fold the product.  Returns the sum of all lanes.  Those of chain u go from 1 + u
 * to 1 + 2**-20 in one round, and stay there within rounding. */
static double FT(roofline_fma)(const void *buffer, ptrdiff_t count, ptrdiff_t rounds) {
  volatile T factor = (T)9.5367431640625e-07;
  const VEC x = V(set1)(factor), y = V(set1)((T)1);
  VEC acc[12];
  (void)buffer;
  (void)count;
  SPK_UNROLL for (int u = 0; u < 12; u++) acc[u] = V(set1)((T)(1 + u));
  for (ptrdiff_t r = 0; r < rounds; r++)
    SPK_UNROLL for (int u = 0; u < 12; u++) acc[u] = V(fma)(x, acc[u], y);
  double sum = 0;
  SPK_UNROLL for (int u = 0; u < 12; u++) sum += (double)V(reduce)(acc[u]);
  return sum;
}

/* Loads: sums `count` values, a multiple of 8 vectors, `rounds` times. */
static double FT(roofline_load)(const void *buffer, ptrdiff_t count, ptrdiff_t rounds) {
  const T *p = buffer;
  VEC acc[8];
  SPK_UNROLL for (int u = 0; u < 8; u++) acc[u] = V(zero)();
  for (ptrdiff_t r = 0; r < rounds; r++)
    for (ptrdiff_t i = 0; i < count; i += 8 * LANES)
      SPK_UNROLL for (int u = 0; u < 8; u++) acc[u] = V(add)(acc[u], V(load)(p + i + u * LANES));
  double sum = 0;
  SPK_UNROLL for (int u = 0; u < 8; u++) sum += (double)V(reduce)(acc[u]);
  return sum;
}
