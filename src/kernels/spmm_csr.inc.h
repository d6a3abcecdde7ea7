/* CSR x dense: one row of A at a time against a tile of 1 .. 8 vectors of columns.
 *
 * Port model (two loads and two FMAs a cycle): an entry costs NV loads of B, one broadcast and one
 * load of an index for NV FMAs, so NV = 1, 2, 4, 8 are capped at 33, 50, 67, 80% of peak.  An FMA
 * takes 4 cycles, so fewer than 8 accumulators in flight stall it.  Therefore narrow tiles take
 * several entries at once, each with accumulators of its own, which are added in a fixed order at
 * the end. */

/* Entries in flight for a tile of NV vectors. */
#define SPK_IN_FLIGHT(NV) ((NV) <= 2 ? 4 : (NV) <= 4 ? 2 : 1)

SPK_INLINE void FN(spmm_csr_row)(VEC *acc, const I *idx, const T *val, ptrdiff_t p, ptrdiff_t end,
                                 const T *B, ptrdiff_t ldb, ptrdiff_t base, const int NV,
                                 const int masked, MASK mask) {
  const int U = SPK_IN_FLIGHT(NV);
  SPK_UNROLL for (int v = 0; v < NV; v++) acc[v] = V(zero)();
  if (U > 1 && end - p >= 2 * U) {
    VEC more[3 * 4]; /* accumulators of entries 1 .. U-1 */
    SPK_UNROLL for (int u = 0; u < (U - 1) * NV; u++) more[u] = V(zero)();
    for (; p + U <= end; p += U) {
      SPK_UNROLL for (int u = 0; u < U; u++) {
        const T *b = B + ((ptrdiff_t)idx[p + u] - base) * ldb;
        const VEC a = V(set1)(val[p + u]);
        VEC *x = u == 0 ? acc : more + (u - 1) * NV;
        SPK_UNROLL for (int v = 0; v < NV; v++) {
          const int last = masked && v == NV - 1;
          x[v] =
              V(fma)(a, last ? V(load_masked)(b + v * LANES, mask) : V(load)(b + v * LANES), x[v]);
        }
      }
    }
    SPK_UNROLL for (int u = 0; u < U - 1; u++) SPK_UNROLL for (int v = 0; v < NV; v++) acc[v] =
        V(add)(acc[v], more[u * NV + v]);
  }
  for (; p < end; p++) {
    const T *b = B + ((ptrdiff_t)idx[p] - base) * ldb;
    const VEC a = V(set1)(val[p]);
    SPK_UNROLL for (int v = 0; v < NV; v++) {
      const int last = masked && v == NV - 1;
      acc[v] =
          V(fma)(a, last ? V(load_masked)(b + v * LANES, mask) : V(load)(b + v * LANES), acc[v]);
    }
  }
}

SPK_INLINE void FN(spmm_csr_tile)(const spk_spmm_task *t, const int NV, const int masked) {
  const I *begin = t->begin, *end = t->end;
  const MASK mask = V(mask)(t->n - (NV - 1) * LANES);
  spk_epilogue e = t->epilogue;
  const spk_activation activation = FT(take_activation)(&e);
  const enum FT(store_mode) mode = FT(row_mode_of)(&e);
  /* Local copies, because stores to C could alias the task. */
  const I *idx = t->indices;
  const T *val = t->values, *B = t->B;
  const ptrdiff_t rows = t->rows, n = t->n, ldb = t->ldb, ldc = t->ldc, base = t->base;
  const ptrdiff_t some = FT(rows_together)(activation, rows, n);
  T *c = t->C;
  for (ptrdiff_t i = 0; i < rows;) {
    const ptrdiff_t from = i, stop = spk_min(rows, i + some);
    for (; i < stop; i++, c += ldc) {
      VEC acc[SPK_MAX_VECTORS];
      FN(spmm_csr_row)(acc, idx, val, begin[i], end[i], B, ldb, base, NV, masked, mask);
      FT(store_row)(acc, c, i, n, NV, masked, mask, mode, &e);
    }
    if (activation) FT(activate_tile)(c - (stop - from) * ldc, ldc, 1, stop - from, n, activation);
  }
}

#define SPK_SPMM_CSR(NV)                                       \
  static void FN(spmm_csr_1x##NV##v)(const spk_spmm_task *t) { \
    if (t->n == NV * LANES)                                    \
      FN(spmm_csr_tile)(t, NV, 0);                             \
    else                                                       \
      FN(spmm_csr_tile)(t, NV, 1);                             \
  }
SPK_SPMM_CSR(1)
SPK_SPMM_CSR(2)
SPK_SPMM_CSR(3)
SPK_SPMM_CSR(4)
SPK_SPMM_CSR(5)
SPK_SPMM_CSR(6)
SPK_SPMM_CSR(7)
SPK_SPMM_CSR(8)
#undef SPK_SPMM_CSR
#undef SPK_IN_FLIGHT

/* n == 1.  One accumulator would wait 4 cycles per entry.  Gathers of 16 elements cost as much as
 * 16 scalar loads on many machines. */
SPK_SCALAR_LOOPS SPK_INLINE void FN(spmv_csr_rows)(const spk_spmm_task *t, const ptrdiff_t ldb) {
  /* Where row 0 of B would lie.  It is computed as an integer, since it may lie outside of the
   * panel. */
  const T *B = (const T *)((uintptr_t)t->B - (uintptr_t)(t->base * ldb * (ptrdiff_t)sizeof(T)));
  const I *idx = t->indices, *begin = t->begin, *end = t->end;
  const T *val = t->values;
  spk_epilogue e = t->epilogue;
  const spk_activation activation = FT(take_activation)(&e);
  const enum FT(store_mode) mode = FT(store_mode_of)(&e);
  const ptrdiff_t rows = t->rows, ldc = t->ldc;
  T *c = t->C;
  for (ptrdiff_t i = 0; i < rows; i++, c += ldc) {
    ptrdiff_t p = begin[i];
    const ptrdiff_t stop = end[i];
    T s0 = 0;
    /* Short rows take one loop, and so one branch to mispredict.  With two loops, rows of 0 to 3
     * entries cost 2.0 ns each and not 1.25, and a graph of 16 entries a row runs 20% slower
     * (doc/decisions/sell.rst, decision-second-loop). */
    if (stop - p >= 32) {
      T s1 = 0, s2 = 0, s3 = 0;
      for (; p + 4 <= stop; p += 4) {
        s0 += val[p] * B[(ptrdiff_t)idx[p] * ldb];
        s1 += val[p + 1] * B[(ptrdiff_t)idx[p + 1] * ldb];
        s2 += val[p + 2] * B[(ptrdiff_t)idx[p + 2] * ldb];
        s3 += val[p + 3] * B[(ptrdiff_t)idx[p + 3] * ldb];
      }
      s0 = (s0 + s1) + (s2 + s3);
    }
    for (; p < stop; p++) s0 += val[p] * B[(ptrdiff_t)idx[p] * ldb];
    if (mode == FT(STORE_PLAIN))
      *c = s0;
    else
      FT(store_one)(s0, c, i, 0, &e);
  }
  if (activation) FT(activate_tile)(t->C, ldc, 1, rows, 1, activation);
}

SPK_SCALAR_LOOPS static void FN(spmv_csr)(const spk_spmm_task *t) {
  /* A constant stride of 1 saves the multiplication, which takes an eighth of the time of short
   * rows. */
  if (t->ldb == 1)
    FN(spmv_csr_rows)(t, 1);
  else
    FN(spmv_csr_rows)(t, t->ldb);
}

/* For any strides, if packing is not possible or does not pay.  Four columns share a pass over a
 * row of A. */
SPK_SCALAR_LOOPS static void FN(spmm_csr_strided)(const spk_spmm_task *t) {
  const I *idx = t->indices, *begin = t->begin, *end = t->end;
  const T *val = t->values;
  const T *B = t->B;
  const ptrdiff_t sb = t->col_strideb, sc = t->col_stridec;
  spk_epilogue e = t->epilogue;
  const spk_activation activation = FT(take_activation)(&e);
  for (ptrdiff_t i = 0; i < t->rows; i++) {
    T *c = (T *)t->C + i * t->ldc;
    ptrdiff_t j = 0;
    for (; j + 4 <= t->n; j += 4) {
      T s0 = 0, s1 = 0, s2 = 0, s3 = 0;
      for (ptrdiff_t p = begin[i]; p < (ptrdiff_t)end[i]; p++) {
        const T *b = B + ((ptrdiff_t)idx[p] - t->base) * t->ldb + j * sb;
        const T a = val[p];
        s0 += a * b[0];
        s1 += a * b[sb];
        s2 += a * b[2 * sb];
        s3 += a * b[3 * sb];
      }
      FT(store_one)(s0, c + j * sc, i, j, &e);
      FT(store_one)(s1, c + (j + 1) * sc, i, j + 1, &e);
      FT(store_one)(s2, c + (j + 2) * sc, i, j + 2, &e);
      FT(store_one)(s3, c + (j + 3) * sc, i, j + 3, &e);
    }
    for (; j < t->n; j++) {
      T s = 0;
      for (ptrdiff_t p = begin[i]; p < (ptrdiff_t)end[i]; p++)
        s += val[p] * B[((ptrdiff_t)idx[p] - t->base) * t->ldb + j * sb];
      FT(store_one)(s, c + j * sc, i, j, &e);
    }
  }
  if (activation) FT(activate_tile)(t->C, t->ldc, sc, t->rows, t->n, activation);
}
