/* CSC and COO x dense into partial sums (for vectors: spmv_partial.inc.h). A part of the entries
 * adds to sums of all rows. No other part touches these sums, and they start at zero.
 *
 * Rows of the sums are contiguous whole vectors.  Elements behind the last column of B are never
 * read, so no store is masked.  (A load after a masked store waits until the store has left the
 * store queue: 2.9 ns per entry with 8 columns of float32 on Zen 4, 1.1 without;
 * doc/decisions/vectors.rst, decision-padded-sums.)
 *
 * Each index is compared with its bound just before it is used.  The branch is predicted and costs
 * nothing if loads bind.  A pass over the indices before would cost 0.1 to 0.3 ns per entry, as it
 * waits for memory that the product reads anyway.  A kernel that meets a wrong index sets `outside`
 * and returns. */
#define U SPK_CAT2(u, I)
#define SPK_BOUND(index, bound)                    \
  do {                                             \
    if (__builtin_expect((index) >= (bound), 0)) { \
      *t->outside = 1;                             \
      return;                                      \
    }                                              \
  } while (0)

SPK_INLINE void FN(spmm_partial_csc_tile)(const spk_spmm_task *t, const int NV, const int masked) {
  const I *idx = t->indices, *begin = t->begin, *end = t->end;
  const T *val = t->values, *b = t->B;
  const MASK mask = V(mask)(t->n - (NV - 1) * LANES);
  const ptrdiff_t ldb = t->ldb, cols = t->rows;
  const U bound = (U)t->bound;
  T *C = t->C;
  for (ptrdiff_t k = 0; k < cols; k++, b += ldb) {
    const ptrdiff_t stop = (ptrdiff_t)end[k];
    VEC x[SPK_MAX_PARTIAL_VECTORS];
    SPK_UNROLL for (int v = 0; v < NV; v++) {
      const int last = masked && v == NV - 1;
      x[v] = last ? V(load_masked)(b + v * LANES, mask) : V(load)(b + v * LANES);
    }
    for (ptrdiff_t p = (ptrdiff_t)begin[k]; p < stop; p++) {
      const U row = (U)idx[p];
      SPK_BOUND(row, bound);
      T *c = C + (ptrdiff_t)row * (NV * LANES);
      const VEC a = V(set1)(val[p]);
      SPK_UNROLL for (int v = 0; v < NV; v++)
          V(store)(c + v * LANES, V(fma)(a, x[v], V(load)(c + v * LANES)));
    }
  }
}

/* The first `rows` entries of rows_coo, indices and values.  If `sorted`, the sums of the current
 * row stay in registers; otherwise entries that are sorted by row would wait for the stores before.
 * The bits are the same. */
SPK_INLINE void FN(spmm_partial_coo_tile)(const spk_spmm_task *t, const int NV, const int masked,
                                          const int sorted) {
  const I *row_of = t->rows_coo, *col_of = t->indices;
  const T *val = t->values, *B = t->B;
  const MASK mask = V(mask)(t->n - (NV - 1) * LANES);
  const ptrdiff_t ldb = t->ldb, count = t->rows;
  const U bound = (U)t->bound, col_bound = (U)t->col_bound;
  T *c = t->C; /* row 0 */
  U at = 0;
  VEC sums[SPK_MAX_PARTIAL_VECTORS];
  SPK_UNROLL for (int v = 0; v < NV; v++) sums[v] = V(load)(c + v * LANES);
  for (ptrdiff_t p = 0; p < count; p++) {
    const U row = (U)row_of[p], col = (U)col_of[p];
    SPK_BOUND(row, bound);
    SPK_BOUND(col, col_bound);
    if (!sorted || row != at) {
      if (sorted) SPK_UNROLL for (int v = 0; v < NV; v++) V(store)(c + v * LANES, sums[v]);
      at = row;
      c = (T *)t->C + (ptrdiff_t)row * (NV * LANES);
      SPK_UNROLL for (int v = 0; v < NV; v++) sums[v] = V(load)(c + v * LANES);
    }
    const T *b = B + (ptrdiff_t)col * ldb;
    const VEC a = V(set1)(val[p]);
    SPK_UNROLL for (int v = 0; v < NV; v++) {
      const int last = masked && v == NV - 1;
      const VEC x = last ? V(load_masked)(b + v * LANES, mask) : V(load)(b + v * LANES);
      sums[v] = V(fma)(a, x, sums[v]);
    }
    if (!sorted) SPK_UNROLL for (int v = 0; v < NV; v++) V(store)(c + v * LANES, sums[v]);
  }
  if (sorted) SPK_UNROLL for (int v = 0; v < NV; v++) V(store)(c + v * LANES, sums[v]);
}

/* Whether at least `many` of the first 64 entries are in the row of the entry before; entries are
 * then taken to be sorted by row.  A change of row that no predictor knows takes as long as waiting
 * for several stores. */
static int FN(has_runs)(const spk_spmm_task *t, ptrdiff_t many) {
  const I *row_of = t->rows_coo;
  ptrdiff_t shared = 0;
  for (ptrdiff_t p = 1; p < spk_min(t->rows, 64); p++) shared += row_of[p] == row_of[p - 1];
  return shared >= many;
}

/* The thresholds correspond to rows of about 5 entries, and, for a vector, where entries take less
 * time, of about 11. */
#define MANY_SHARED 50
#define MANY_SHARED_VECTOR 58

#define SPK_PARTIAL(NV)                                                \
  static void FN(spmm_partial_csc_1x##NV##v)(const spk_spmm_task *t) { \
    if (t->n == NV * LANES)                                            \
      FN(spmm_partial_csc_tile)(t, NV, 0);                             \
    else                                                               \
      FN(spmm_partial_csc_tile)(t, NV, 1);                             \
  }                                                                    \
  static void FN(spmm_partial_coo_1x##NV##v)(const spk_spmm_task *t) { \
    const int runs = FN(has_runs)(t, MANY_SHARED);                     \
    if (t->n == NV * LANES && runs)                                    \
      FN(spmm_partial_coo_tile)(t, NV, 0, 1);                          \
    else if (t->n == NV * LANES)                                       \
      FN(spmm_partial_coo_tile)(t, NV, 0, 0);                          \
    else if (runs)                                                     \
      FN(spmm_partial_coo_tile)(t, NV, 1, 1);                          \
    else                                                               \
      FN(spmm_partial_coo_tile)(t, NV, 1, 0);                          \
  }
SPK_PARTIAL(1)
SPK_PARTIAL(2)
SPK_PARTIAL(3)
SPK_PARTIAL(4)
#undef SPK_PARTIAL
#undef SPK_BOUND
#undef U
