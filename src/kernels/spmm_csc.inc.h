/* CSC x dense: column k of A scatters row k of B to the rows of C in which it has entries.
 *
 * C must hold zeros (tile_scale) and then holds sums, which the epilogue finishes (tile_finish,
 * tile_store).  Row k of B stays in registers.  An entry costs NV loads and NV stores of C for NV
 * FMAs.  A task takes the entries in rows [row_low, row_high): all rows, or those that a stage of C
 * holds.  An element of C is summed in the same order in both cases. */
SPK_INLINE void FN(spmm_csc_tile)(const spk_spmm_task *t, const int NV, const int masked) {
  const I *idx = t->indices, *begin = t->begin, *end = t->end;
  const T *val = t->values;
  const MASK mask = V(mask)(t->n - (NV - 1) * LANES);
  const uint64_t owned = (uint64_t)(t->row_high - t->row_low);
  /* Local copies, because stores to C could alias the task. */
  const ptrdiff_t low = t->row_low, ldb = t->ldb, ldc = t->ldc, cols = t->rows;
  const T *B = t->B;
  T *C = t->C;
  for (ptrdiff_t k = 0; k < cols; k++) {
    const T *b = B + k * ldb;
    const ptrdiff_t stop = (ptrdiff_t)end[k];
    ptrdiff_t p = begin[k];
    /* If the task owns few rows, most columns have no entry in them.  Such columns do not read
     * B. */
    while (p < stop && (uint64_t)((ptrdiff_t)idx[p] - low) >= owned) p++;
    if (p == stop) continue;
    VEC x[8];
    SPK_UNROLL for (int v = 0; v < NV; v++) {
      const int last = masked && v == NV - 1;
      x[v] = last ? V(load_masked)(b + v * LANES, mask) : V(load)(b + v * LANES);
    }
    for (; p < stop; p++) {
      const ptrdiff_t row = (ptrdiff_t)idx[p] - low;
      if ((uint64_t)row >= owned) continue;
      T *c = C + row * ldc;
      const VEC a = V(set1)(val[p]);
      SPK_UNROLL for (int v = 0; v < NV; v++) {
        if (masked && v == NV - 1)
          V(store_masked)(c + v * LANES, mask,
                          V(fma)(a, x[v], V(load_masked)(c + v * LANES, mask)));
        else
          V(store)(c + v * LANES, V(fma)(a, x[v], V(load)(c + v * LANES)));
      }
    }
  }
}

#define SPK_SPMM_CSC(NV)                                       \
  static void FN(spmm_csc_1x##NV##v)(const spk_spmm_task *t) { \
    if (t->n == NV * LANES)                                    \
      FN(spmm_csc_tile)(t, NV, 0);                             \
    else                                                       \
      FN(spmm_csc_tile)(t, NV, 1);                             \
  }
SPK_SPMM_CSC(1)
SPK_SPMM_CSC(2)
SPK_SPMM_CSC(3)
SPK_SPMM_CSC(4)
SPK_SPMM_CSC(5)
SPK_SPMM_CSC(6)
SPK_SPMM_CSC(7)
SPK_SPMM_CSC(8)
#undef SPK_SPMM_CSC

/* For any strides, and for n == 1, which would fill one lane of a vector. */
SPK_SCALAR_LOOPS SPK_INLINE void FN(spmm_csc_column)(const spk_spmm_task *t, const T *b, T *c,
                                                     const ptrdiff_t ldb, const ptrdiff_t ldc) {
  const I *idx = t->indices, *begin = t->begin, *end = t->end;
  const T *val = t->values;
  const uint64_t owned = (uint64_t)(t->row_high - t->row_low);
  const ptrdiff_t low = t->row_low, cols = t->rows;
  for (ptrdiff_t k = 0; k < cols; k++) {
    const T x = b[k * ldb];
    const ptrdiff_t stop = end[k];
    for (ptrdiff_t p = begin[k]; p < stop; p++) {
      const ptrdiff_t row = (ptrdiff_t)idx[p] - low;
      if ((uint64_t)row < owned) c[row * ldc] += val[p] * x;
    }
  }
}

SPK_SCALAR_LOOPS static void FN(spmm_csc_strided)(const spk_spmm_task *t) {
  for (ptrdiff_t j = 0; j < t->n; j++) {
    const T *b = (const T *)t->B + j * t->col_strideb;
    T *c = (T *)t->C + j * t->col_stridec;
    /* Vectors go without the multiplications by the strides. */
    if (t->ldb == 1 && t->ldc == 1)
      FN(spmm_csc_column)(t, b, c, 1, 1);
    else
      FN(spmm_csc_column)(t, b, c, t->ldb, t->ldc);
  }
}
