/* SDDMM over CSR: dot products of a row of X with the rows of Yt that the row of P names.
 *
 * Eight dot products are computed at a time (sddmm_dots.inc.h).  A row is cut into groups of eight
 * entries; the leftovers of several rows go together.  Rows of graphs have few entries: one by one,
 * they would leave most of the eight unused, and end unpredictably (Zen 5, 3 entries a row, k = 64:
 * 6.8 ns an entry, and 5.4 together; doc/decisions/sampled.rst, decision-leftovers). */

/* The most entries, of any rows, that wait for others. */
#define SPK_WAITING 64
typedef struct FN(waiting) {
  ptrdiff_t count;
  /* There are 8 more places, because eight entries are written at a time, whatever their number. */
  ptrdiff_t row[SPK_WAITING + 8], entry[SPK_WAITING + 8];
} FN(waiting);

/* Sample `count` waiting entries from `first` on, U at a time. */
SPK_INLINE void FN(sddmm_apart)(const spk_sddmm_task *t, const T *Yt, const FN(waiting) * w,
                                ptrdiff_t first, ptrdiff_t count, const int U, int plain) {
  const T *xs[8], *rows[8];
  T y[8], *out = t->out;
  SPK_UNROLL for (int u = 0; u < U; u++) {
    const ptrdiff_t at = first + spk_min(u, count - 1);
    xs[u] = (const T *)t->X + w->row[at] * t->ldx;
    rows[u] = Yt + (ptrdiff_t)((const I *)t->indices)[w->entry[at]] * t->ldy;
  }
  FT(dots)(xs, 0, rows, t->k, U, y);
  for (ptrdiff_t u = 0; u < count; u++) {
    const ptrdiff_t at = w->entry[first + u];
    if (plain)
      out[at] = y[u];
    else
      FT(sample_all)(y + u, out + at, t->values ? (const T *)t->values + at : NULL, 1,
                     &t->sampling);
  }
}

/* Sample waiting entries by eights.  The leftovers move to the front, or, at the end, are sampled,
 * too. */
static __attribute__((noinline)) void FN(sddmm_waiting)(const spk_sddmm_task *t, const T *Yt,
                                                        FN(waiting) * w, int plain, int end) {
  ptrdiff_t first = 0;
  for (; w->count - first >= 8; first += 8) FN(sddmm_apart)(t, Yt, w, first, 8, 8, plain);
  const ptrdiff_t left = w->count - first;
  if (end && left > 4) FN(sddmm_apart)(t, Yt, w, first, left, 8, plain);
  if (end && left > 0 && left <= 4) FN(sddmm_apart)(t, Yt, w, first, left, 4, plain);
  SPK_UNROLL for (int u = 0; u < 8; u++) {
    w->row[u] = w->row[first + u];
    w->entry[u] = w->entry[first + u];
  }
  w->count = left;
}

static void FN(sddmm_csr)(const spk_sddmm_task *t) {
  const I *idx = t->indices, *begin = t->begin, *end = t->end;
  const T *values = t->values;
  /* Where row 0 of Yt would lie.  It is computed as an integer, since it may lie outside of the
   * panel. */
  const T *Yt =
      (const T *)((uintptr_t)t->Yt - (uintptr_t)(t->base * t->ldy * (ptrdiff_t)sizeof(T)));
  T *out = t->out;
  const ptrdiff_t k = t->k, ldy = t->ldy, ldx = t->ldx, rows = t->rows;
  const int plain = t->sampling.alpha == 1.0 && t->sampling.beta == 0.0 && !t->sampling.scale;
  FN(waiting) wait = {.count = 0};
  for (ptrdiff_t i = 0; i < rows; i++) {
    const T *x = (const T *)t->X + i * ldx;
    const ptrdiff_t stop = end[i];
    ptrdiff_t p = begin[i];
    for (; stop - p >= 8; p += 8) {
      const T *of[8];
      T y[8];
      SPK_UNROLL for (int u = 0; u < 8; u++) of[u] = Yt + (ptrdiff_t)idx[p + u] * ldy;
      FT(dots)(&x, 1, of, k, 8, plain ? out + p : y);
      if (!plain) FT(sample_all)(y, out + p, values ? values + p : NULL, 8, &t->sampling);
    }
    /* Eight entries are written without a test of their number, because branches on it would be
     * mispredicted. */
    SPK_UNROLL for (int u = 0; u < 8; u++) {
      wait.row[wait.count + u] = i;
      wait.entry[wait.count + u] = p + u;
    }
    wait.count += stop - p;
    if (wait.count >= SPK_WAITING) FN(sddmm_waiting)(t, Yt, &wait, plain, 0);
  }
  FN(sddmm_waiting)(t, Yt, &wait, plain, 1);
}
#undef SPK_WAITING

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

/* Take the entries of a tile out of the scores of all columns.  An unsigned comparison finds
 * columns below the range as well, which there are only if another thread changes the indices. */
SPK_INLINE void FN(take_rows)(const spk_take_task *t, const int plain) {
  const I *idx = t->indices;
  const T *values = t->values;
  T *out = t->out;
  const size_t from = (size_t)t->from, count = (size_t)t->count;
  for (ptrdiff_t i = 0; i < t->rows; i++) {
    const T *scores = (const T *)t->scores + i * t->ld;
    const ptrdiff_t end = t->end[i];
    ptrdiff_t p = t->next[i];
    for (; p < end; p++) {
      const size_t column = (size_t)(ptrdiff_t)idx[p] - from;
      if (column >= count) break;
      if (plain)
        out[p] = scores[column];
      else
        FT(sample)(scores[column], out + p, values ? values + p : NULL, &t->sampling);
    }
    t->next[i] = p;
  }
}

SPK_SCALAR_LOOPS static void FN(sddmm_take)(const spk_take_task *t) {
  if (t->sampling.alpha == 1.0 && t->sampling.beta == 0.0 && !t->sampling.scale)
    FN(take_rows)(t, 1);
  else
    FN(take_rows)(t, 0);
}
