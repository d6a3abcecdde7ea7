/* CSC x sparse vector: y += x[c] * column ids[c], for the columns that x has an entry for.
 *
 * An entry takes two loads of floats, a load of an index and a store.  Entries go one after the
 * other, because a row may occur twice.  The column after the next is prefetched from L2 or L3, as
 * columns that are chosen at random are too short for a hardware prefetcher.  As many lines are
 * prefetched as a column of usual length has, since a loop that ended with the column would end
 * unpredictably (2048 x 2048, 95% sparse, another 205 columns at each call: 8.9 us, not 9.7;
 * doc/decisions/vectors.rst, decision-active-prefetch).
 *
 * Columns that begin with consecutive rows (V x 1 vectors, blocks) go by vectors as far as rows are
 * consecutive. */
#define AHEAD 2
#define UNROLLED 8

#ifdef __GNUC__
/* Eight entries whose rows are consecutive: y[u] += val[u] * x.  Returns 0, and does nothing, if
 * rows are not consecutive.  No masks are used, because a masked store is not forwarded to a load
 * of the next rows (16 x 1, 21,000 entries: 11 us with masks, 5 without). */
SPK_INLINE int FN(add_run)(T *y, const I *idx, const T *val, T x) {
  typedef I eight_indices __attribute__((vector_size(8 * sizeof(I))));
  typedef T eight __attribute__((vector_size(8 * sizeof(T))));
  const I first = idx[0];
  eight_indices at;
  eight a, sum;
  int64_t words[sizeof at / sizeof(int64_t)], any = 0;
  if ((uintptr_t)idx[7] - (uintptr_t)first != 7) return 0;
  memcpy(&at, idx, sizeof at);
  at = (at - first) ^ (eight_indices) { 0, 1, 2, 3, 4, 5, 6, 7 };
  memcpy(words, &at, sizeof at);
  SPK_UNROLL for (size_t w = 0; w < sizeof words / sizeof *words; w++) any |= words[w];
  if (any) return 0;
  memcpy(&a, val, sizeof a);
  memcpy(&sum, y + first, sizeof sum);
  sum += a * x;
  memcpy(y + first, &sum, sizeof sum);
  return 1;
}
#else
SPK_INLINE int FN(add_run)(T *y, const I *idx, const T *val, T x) {
  (void)y, (void)idx, (void)val, (void)x;
  return 0;
}
#endif

SPK_SCALAR_LOOPS static void FN(spmspv_csc)(const spk_spmspv_task *t) {
  const I *off = t->offsets, *idx = t->indices, *ids = t->ids;
  const T *val = t->values, *xs = t->x;
  T *y = t->y;
  const ptrdiff_t count = t->count, lines = t->lines;
  for (ptrdiff_t c = 0; c < count; c++) {
    if (c + AHEAD < count) {
      const ptrdiff_t next = off[ids[c + AHEAD]];
      const char *i = (const char *)(idx + next), *v = (const char *)(val + next);
      for (ptrdiff_t line = 0; line < lines; line++) {
        SPK_PREFETCH(i + line * SPK_ALIGN);
        SPK_PREFETCH(v + line * SPK_ALIGN);
      }
    }
    const T x = xs[c];
    const ptrdiff_t stop = off[ids[c] + 1];
    ptrdiff_t p = off[ids[c]];
    if (p + UNROLLED <= stop && FN(add_run)(y, idx + p, val + p, x)) {
      for (p += UNROLLED; p + UNROLLED <= stop; p += UNROLLED)
        if (!FN(add_run)(y, idx + p, val + p, x))
          SPK_UNROLL for (int u = 0; u < UNROLLED; u++) y[idx[p + u]] += val[p + u] * x;
    }
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

/* The only branch that depends on the values is the number of nonzeros among 64 elements. */
SPK_SCALAR_LOOPS static ptrdiff_t FN(spmspv_nonzeros)(const void *x, ptrdiff_t stride,
                                                      ptrdiff_t count, ptrdiff_t first, void *ids,
                                                      void *kept) {
  const T *from = x;
  I *at = ids;
  T *to = kept;
  ptrdiff_t n = 0, k = 0;
  for (; stride == 1 && k + 64 <= count; k += 64) {
    uint64_t bits = 0;
    SPK_UNROLL for (int i = 0; i < 64; i += LANES) bits |=
        (uint64_t)V(nonzero_mask)(V(load)(from + k + i)) << i;
    for (; bits; bits &= bits - 1, n++) {
      const ptrdiff_t i = k + spk_lowest_bit(bits);
      at[n] = (I)(first + i);
      to[n] = from[i];
    }
  }
  for (; k < count; k++) {
    const T value = from[k * stride];
    at[n] = (I)(first + k);
    to[n] = value;
    n += value != (T)0;
  }
  return n;
}
