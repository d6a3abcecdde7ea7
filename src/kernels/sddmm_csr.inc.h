/* SDDMM over CSR: dot products of a row of X with the rows of Yt that the pattern names, eight of
 * them at a time (dots.inc.h). */
/* y[u] = x . Yt[idx[u]], u < U; y[U .. 7] is unspecified. */
SPK_INLINE void FN(sddmm_dots)(const T *x, const T *Yt, ptrdiff_t ldy, const I *idx, ptrdiff_t k,
                               const int U, T *y) {
  const T *rows[8];
  SPK_UNROLL for (int u = 0; u < U; u++) rows[u] = Yt + (ptrdiff_t)idx[u] * ldy;
  FT(dots)(x, rows, k, U, y);
}

static void FN(sddmm_csr)(const spk_sddmm_task *t) {
  const I *idx = t->indices, *begin = t->begin, *end = t->end;
  const T *values = t->values;
  /* Where row 0 of Yt would lie: as an integer, since it may lie outside of the panel. */
  const T *Yt =
      (const T *)((uintptr_t)t->Yt - (uintptr_t)(t->base * t->ldy * (ptrdiff_t)sizeof(T)));
  T *out = t->out;
  const ptrdiff_t k = t->k, ldy = t->ldy, ldx = t->ldx, rows = t->rows;
  const int plain = t->sampling.alpha == 1.0 && t->sampling.beta == 0.0 && !t->sampling.scale;
  for (ptrdiff_t i = 0; i < rows; i++) {
    const T *x = (const T *)t->X + i * ldx;
    const ptrdiff_t stop = end[i];
    for (ptrdiff_t p = begin[i]; p < stop; p += 8) {
      const ptrdiff_t count = spk_min(8, stop - p);
      T y[8];
      if (count == 8 && plain) {
        FN(sddmm_dots)(x, Yt, ldy, idx + p, k, 8, out + p);
        continue;
      }
      if (count == 8) {
        FN(sddmm_dots)(x, Yt, ldy, idx + p, k, 8, y);
      } else {
        /* The tail of a row: a short group repeats its last entry. */
        I tail[8];
        SPK_UNROLL for (int u = 0; u < 8; u++) tail[u] = idx[spk_min(p + u, stop - 1)];
        if (count > 4)
          FN(sddmm_dots)(x, Yt, ldy, tail, k, 8, y);
        else
          FN(sddmm_dots)(x, Yt, ldy, tail, k, 4, y);
      }
      if (plain)
        for (ptrdiff_t u = 0; u < count; u++) out[p + u] = y[u];
      else
        FT(sample_all)(y, out + p, values ? values + p : NULL, count, &t->sampling);
    }
  }
}

/* Any strides. */
SPK_SCALAR_LOOPS static void FN(sddmm_csr_strided)(const spk_sddmm_task *t) {
  const I *idx = t->indices, *begin = t->begin, *end = t->end;
  for (ptrdiff_t i = 0; i < t->rows; i++) {
    const T *x = (const T *)t->X + i * t->ldx;
    for (ptrdiff_t p = begin[i]; p < (ptrdiff_t)end[i]; p++) {
      const T *y = (const T *)t->Yt + ((ptrdiff_t)idx[p] - t->base) * t->ldy;
      T s = 0;
      for (ptrdiff_t j = 0; j < t->k; j++) s += x[j * t->col_stridex] * y[j * t->col_stridey];
      FT(sample)(s, (T *)t->out + p, t->values ? (const T *)t->values + p : NULL, &t->sampling);
    }
  }
}
