/* COO x dense, for entries in any order: each entry adds a row of B to a row of C.
 *
 * C must hold zeros (tile_scale) and then holds sums, which the epilogue finishes (tile_finish,
 * tile_store).  A task takes the entries in rows [row_low, row_high).  begin[0] .. end[0] is the
 * range of entries. */
static void FN(spmm_coo)(const spk_spmm_task *t) {
  const I *row_of = t->rows_coo, *col_of = t->indices;
  const T *val = t->values;
  const uint64_t owned = (uint64_t)(t->row_high - t->row_low);
  const ptrdiff_t first = *(const I *)t->begin, last = *(const I *)t->end;
  const ptrdiff_t sb = t->col_strideb, sc = t->col_stridec;
  /* Whether each term is rounded once, by an FMA.  This must not depend on the width of the tile,
   * because the partition of columns must not change the bits. */
  const int unit = sb == 1 && sc == 1;
  /* Local copies, because stores to C could alias the task. */
  const ptrdiff_t low = t->row_low, ldb = t->ldb, ldc = t->ldc, n = t->n;
  const T *B = t->B;
  T *C = t->C;
  if (n == 1 && ldb == 1 && ldc == 1) {
    for (ptrdiff_t p = first; p < last; p++) {
      const ptrdiff_t row = (ptrdiff_t)row_of[p] - low;
      if ((uint64_t)row < owned) C[row] += val[p] * B[col_of[p]];
    }
    return;
  }
  for (ptrdiff_t p = first; p < last; p++) {
    const ptrdiff_t row = (ptrdiff_t)row_of[p] - low;
    if ((uint64_t)row >= owned) continue;
    const T *b = B + (ptrdiff_t)col_of[p] * ldb;
    T *c = C + row * ldc;
    const T a = val[p];
    if (!unit) {
      for (ptrdiff_t j = 0; j < n; j++) c[j * sc] += a * b[j * sb];
      continue;
    }
    const VEC av = V(set1)(a);
    ptrdiff_t j = 0;
    for (; j + LANES <= n; j += LANES) V(store)(c + j, V(fma)(av, V(load)(b + j), V(load)(c + j)));
    if (j < n) {
      const MASK mask = V(mask)(n - j);
      V(store_masked)(c + j, mask,
                      V(fma)(av, V(load_masked)(b + j, mask), V(load_masked)(c + j, mask)));
    }
  }
}
