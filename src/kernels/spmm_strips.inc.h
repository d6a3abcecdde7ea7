/* Strips x a panel of B: rows of one length, two in lockstep, NV vectors of columns each.
 *
 * Port model per entry: NV loads of B (as operands of the FMAs), a broadcast, a load of 16 bits, NV
 * FMAs.  Two loads and two FMAs a cycle allow NV / (NV + 2) of peak, 67% for NV = 4; one load and
 * one FMA of 64 bytes a cycle (AVX-512 on Zen 4), where the broadcast takes half a load's place, 2
 * NV / (2 NV + 1), 89%.  Sums of a row that several blocks share wait in memory in between: 2 NV
 * more loads and stores per row and block.
 *
 * An element of C is summed in the order of the entries of its (sorted) row, one after the other,
 * whatever the blocks: so it does not depend on how A was packed.
 */
SPK_INLINE void FT(strip_rows)(const spk_strip_task *t, const T *panel, T *sums, T *C,
                               ptrdiff_t ldc, const uint16_t *ids, const uint16_t *o, const T *a,
                               ptrdiff_t entries, const int G, const int NV, const int first,
                               enum FT(store_mode) mode) {
  VEC acc[2 * SPK_MAX_STRIP_VECTORS];
  SPK_UNROLL for (int g = 0; g < G; g++) {
    const T *s = sums + (ptrdiff_t)ids[g] * (NV * LANES);
    SPK_UNROLL for (int v = 0; v < NV; v++) acc[g * NV + v] =
        first ? V(zero)() : V(load)(s + v * LANES);
  }
  for (const uint16_t *end = o + G * entries; o < end; o += G, a += G) {
    ptrdiff_t k[2] = {*o};
    VEC x[2];
    if (G == 2) {
      spk_pair(o, k);
      V(set2)(a, x);
    } else {
      x[0] = V(set1)(*a);
    }
    SPK_UNROLL for (int g = 0; g < G; g++) {
      const T *b = panel + k[g] * (NV * LANES);
      SPK_UNROLL for (int v = 0; v < NV; v++) acc[g * NV + v] =
          V(fma)(x[g], V(load)(b + v * LANES), acc[g * NV + v]);
    }
  }
  SPK_UNROLL for (int g = 0; g < G; g++) {
    const ptrdiff_t i = ids[g];
    if (C) {
      T *c = C + i * ldc;
      if (t->n == NV * LANES)
        FT(store_row)(acc + g * NV, c, i, t->n, NV, 0, V(mask)(LANES), mode, &t->epilogue);
      else
        FT(store_row)(acc + g * NV, c, i, t->n, NV, 1, V(mask)(t->n - (NV - 1) * LANES), mode,
                      &t->epilogue);
    } else {
      T *s = sums + i * (NV * LANES);
      SPK_UNROLL for (int v = 0; v < NV; v++) V(store)(s + v * LANES, acc[g * NV + v]);
    }
  }
}

SPK_INLINE void FT(strip_runs)(const spk_strip_task *t, T *sums, T *C, const int NV,
                               const int first) {
  /* Locals, as the stores could alias the task. */
  const enum FT(store_mode) mode = FT(store_mode_of)(&t->epilogue);
  const uint16_t *ids = t->row_ids, *offsets = t->offsets;
  const T *values = t->values, *panel = t->panel;
  const spk_strip_run *runs = t->runs;
  const ptrdiff_t count = t->run_count, ldc = t->ldc;
  for (ptrdiff_t r = 0; r < count; r++) {
    const ptrdiff_t entries = runs[r].entries;
    ptrdiff_t rows = runs[r].rows;
    for (; rows >= 2; rows -= 2, ids += 2, offsets += 2 * entries, values += 2 * entries)
      FT(strip_rows)(t, panel, sums, C, ldc, ids, offsets, values, entries, 2, NV, first, mode);
    if (rows) {
      FT(strip_rows)(t, panel, sums, C, ldc, ids, offsets, values, entries, 1, NV, first, mode);
      ids++, offsets += entries, values += entries;
    }
  }
}

#define SPK_SPMM_STRIPS(NV)                                        \
  static void FT(spmm_strips_1x##NV##v)(const spk_strip_task *t) { \
    if (!t->sums)                                                  \
      FT(strip_runs)(t, NULL, t->C, NV, 1);                        \
    else if (t->first)                                             \
      FT(strip_runs)(t, t->sums, NULL, NV, 1);                     \
    else                                                           \
      FT(strip_runs)(t, t->sums, NULL, NV, 0);                     \
  }
SPK_SPMM_STRIPS(1)
SPK_SPMM_STRIPS(2)
SPK_SPMM_STRIPS(3)
SPK_SPMM_STRIPS(4)
SPK_SPMM_STRIPS(5)
SPK_SPMM_STRIPS(6)
#undef SPK_SPMM_STRIPS
