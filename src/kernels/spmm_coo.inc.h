/* COO x dense, for entries in any order: each adds a row of B into a row of C.
 *
 * C must hold beta * C already (tile_scale); biases and activation follow (tile_finish).  A task
 * owns rows [row_low, row_high) of C.  begin[0] .. end[0] is the range of entries.
 */
static void FN(spmm_coo)(const spk_spmm_task *t) {
  const I *row_of = t->rows_coo, *col_of = t->indices;
  const T *val = t->values;
  const T alpha = (T)t->epilogue.alpha;
  const uint64_t owned = (uint64_t)(t->row_high - t->row_low);
  const ptrdiff_t first = *(const I *)t->begin, last = *(const I *)t->end;
  const ptrdiff_t sb = t->col_strideb, sc = t->col_stridec;
  const ptrdiff_t whole = sb == 1 && sc == 1 ? t->n - t->n % LANES : 0;
  for (ptrdiff_t p = first; p < last; p++) {
    const ptrdiff_t row = (ptrdiff_t)row_of[p] - t->row_low;
    if ((uint64_t)row >= owned) continue;
    const T *b = (const T *)t->B + (ptrdiff_t)col_of[p] * t->ldb;
    T *c = (T *)t->C + row * t->ldc;
    const T a = alpha * val[p];
    const VEC av = V(set1)(a);
    ptrdiff_t j = 0;
    for (; j < whole; j += LANES) V(store)(c + j, V(fma)(av, V(load)(b + j), V(load)(c + j)));
    for (; j < t->n; j++) c[j * sc] += a * b[j * sb];
  }
}
