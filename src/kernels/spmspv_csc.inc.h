/* CSC x sparse vector: y += x[c] * column ids[c], for the columns that x has an entry for.
 *
 * An entry takes two loads of floats, one of an index and one store, one after the other as
 * written: a row may be met twice.  The column after the next is on its way from L2 or L3
 * meanwhile, as columns that are picked at random are too short for a hardware prefetcher. */
#define AHEAD 2
#define UNROLLED 8

SPK_SCALAR_LOOPS static void FN(spmspv_csc)(const spk_spmspv_task *t) {
  const I *off = t->offsets, *idx = t->indices, *ids = t->ids;
  const T *val = t->values, *xs = t->x;
  T *y = t->y;
  const ptrdiff_t count = t->count, most = sizeof(I) > sizeof(T) ? sizeof(I) : sizeof(T),
                  line = SPK_ALIGN / most;
  for (ptrdiff_t c = 0; c < count; c++) {
    if (c + AHEAD < count)
      for (ptrdiff_t p = off[ids[c + AHEAD]]; p < (ptrdiff_t)off[ids[c + AHEAD] + 1]; p += line) {
        SPK_PREFETCH(idx + p);
        SPK_PREFETCH(val + p);
      }
    const T x = xs[c];
    const ptrdiff_t stop = off[ids[c] + 1];
    ptrdiff_t p = off[ids[c]];
    for (; p + UNROLLED <= stop; p += UNROLLED) {
      I at[UNROLLED];
      memcpy(at, idx + p, sizeof at);
      SPK_UNROLL for (int u = 0; u < UNROLLED; u++) y[at[u]] += val[p + u] * x;
    }
    for (; p < stop; p++) y[idx[p]] += val[p] * x;
  }
}

#undef AHEAD
#undef UNROLLED

/* Without a branch on what cannot be predicted. */
SPK_SCALAR_LOOPS static ptrdiff_t FN(nonzeros)(const void *x, ptrdiff_t stride, ptrdiff_t count,
                                               ptrdiff_t first, void *ids, void *kept) {
  const T *from = x;
  I *at = ids;
  T *to = kept;
  ptrdiff_t n = 0;
  for (ptrdiff_t k = 0; k < count; k++) {
    const T value = from[k * stride];
    at[n] = (I)(first + k);
    to[n] = value;
    n += value != (T)0;
  }
  return n;
}
