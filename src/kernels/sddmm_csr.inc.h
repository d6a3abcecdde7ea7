/* SDDMM over CSR: dot products of a row of X with the rows of Yt that the pattern names.
 *
 * Eight dot products at a time share each load of X (9 loads for 8 FMAs: 89% of the load bound) and
 * one transposition reduces all eight.  The order of a sum depends on k and on the place in the row
 * alone.
 */
SPK_INLINE void FN(sddmm_finish)(T dot, T *out, const T *values, ptrdiff_t p,
                                 const spk_sampling *s) {
  T x = (T)s->alpha * dot;
  if (s->scale) x *= values[p];
  if (s->beta != 0.0) x += (T)s->beta * values[p];
  out[p] = x;
}

/* y[u] = x . b[u], u < 8 */
SPK_INLINE void FN(sddmm_dots8)(const T *x, const T *const b[8], ptrdiff_t k, T y[8]) {
  VEC acc[8];
  SPK_UNROLL for (int u = 0; u < 8; u++) acc[u] = V(zero)();
  ptrdiff_t j = 0;
  for (; j + LANES <= k; j += LANES) {
    const VEC xv = V(load)(x + j);
    SPK_UNROLL for (int u = 0; u < 8; u++) acc[u] = V(fma)(xv, V(load)(b[u] + j), acc[u]);
  }
  if (j < k) {
    const MASK mask = V(mask)(k - j);
    const VEC xv = V(loadm)(x + j, mask);
    SPK_UNROLL for (int u = 0; u < 8; u++) acc[u] = V(fma)(xv, V(loadm)(b[u] + j, mask), acc[u]);
  }
  V(reduce8)(acc, y);
}

static void FN(sddmm_csr)(const spk_sddmm_task *t) {
  const I *idx = t->indices, *begin = t->begin, *end = t->end;
  const T *values = t->values;
  const T *Yt = t->Yt;
  T *out = t->out;
  const ptrdiff_t k = t->k;
  for (ptrdiff_t i = 0; i < t->rows; i++) {
    const T *x = (const T *)t->X + i * t->ldx;
    ptrdiff_t p = begin[i];
    const ptrdiff_t stop = end[i];
    while (p < stop) {
      /* A short group repeats its last entry: the work of a row ends on whole groups. */
      const int count = (int)spk_min(8, stop - p);
      const T *b[8];
      T y[8];
      SPK_UNROLL for (int u = 0; u < 8; u++)
          b[u] = Yt + ((ptrdiff_t)idx[p + (u < count ? u : count - 1)] - t->base) * t->ldy;
      FN(sddmm_dots8)(x, b, k, y);
      for (int u = 0; u < count; u++) FN(sddmm_finish)(y[u], out, values, p + u, &t->sampling);
      p += count;
    }
  }
}

/* Any strides. */
static void FN(sddmm_csr_strided)(const spk_sddmm_task *t) {
  const I *idx = t->indices, *begin = t->begin, *end = t->end;
  for (ptrdiff_t i = 0; i < t->rows; i++) {
    const T *x = (const T *)t->X + i * t->ldx;
    for (ptrdiff_t p = begin[i]; p < (ptrdiff_t)end[i]; p++) {
      const T *y = (const T *)t->Yt + ((ptrdiff_t)idx[p] - t->base) * t->ldy;
      T s = 0;
      for (ptrdiff_t j = 0; j < t->k; j++) s += x[j * t->col_stridex] * y[j * t->col_stridey];
      FN(sddmm_finish)(s, t->out, t->values, p, &t->sampling);
    }
  }
}
