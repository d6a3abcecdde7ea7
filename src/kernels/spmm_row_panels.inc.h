/* Row panels x a panel of B: groups of G rows in lockstep, NV vectors of columns each.
 *
 * Port model per entry: NV loads of B (as operands of the FMAs), NV FMAs, and a shuffle for the
 * value, as one load brings four values and another one four offsets.  Two loads and two FMAs a
 * cycle allow NV / (NV + 0.5) of peak, 89% for NV = 4.  One load of 64 bytes and one FMA a cycle
 * (AVX-512 on Zen 4) allow NV / (NV + 0.25), 94%.  An FMA takes 4 cycles, so 4 to 8 sums have to be
 * in flight.  With one vector of columns they come from 8 rows.  Sums of a row with several blocks
 * wait in memory in between: 2 NV more loads and stores per row and block.
 *
 * Rows of a group that have the same columns (V x 1 vectors, blocks, N:M patterns that rows share)
 * load B once for all of them: NV + G loads for G NV FMAs, so that the FMA units bind.
 *
 * An element of C is summed in the order of the entries of its (sorted) row, one after the other,
 * whatever the blocks.  So it does not depend on how A was packed.  Rows that are shorter than
 * their group end in zeros, which meet a row of zeros in the panel. */
SPK_INLINE void FT(row_panel_rows)(const spk_row_panel_task *t, const T *panel, T *sums, T *C,
                                   ptrdiff_t ldc, const uint16_t *ids, const uint16_t *o,
                                   const T *a, ptrdiff_t entries, const int G, const int NV,
                                   const int S, const int first, enum FT(store_mode) mode) {
  VEC acc[SPK_MAX_ROW_PANEL_SUMS];
  SPK_UNROLL for (int g = 0; g < G; g++) {
    const T *s = sums + (ptrdiff_t)ids[g] * (NV * LANES);
    SPK_UNROLL for (int v = 0; v < NV; v++) acc[g * NV + v] =
        first ? V(zero)() : V(load)(s + v * LANES);
  }
  const int Q = G < 4 ? G : 4; /* values that come by one load */
  for (const uint16_t *end = o + G * entries; o < end; o += G, a += G) {
    if (S > 1) {
      SPK_UNROLL for (int q = 0; q < G; q += S) {
        const T *b = panel + (ptrdiff_t)o[q] * (NV * LANES);
        VEC x[SPK_MAX_ROW_PANEL_VECTORS];
        SPK_UNROLL for (int v = 0; v < NV; v++) x[v] = V(load)(b + v * LANES);
        SPK_UNROLL for (int g = q; g < q + S; g++) {
          const VEC w = V(set1)(a[g]);
          SPK_UNROLL for (int v = 0; v < NV; v++) acc[g * NV + v] =
              V(fma)(w, x[v], acc[g * NV + v]);
        }
      }
      continue;
    }
    SPK_UNROLL for (int q = 0; q < G; q += Q) {
      ptrdiff_t k[4] = {o[q]};
      VEC x[4];
      if (Q == 1) {
        x[0] = V(set1)(*a);
      } else if (Q == 2) {
        spk_pair(o, k);
        V(set2)(a, x);
      } else {
        spk_four(o + q, k);
        V(set4)(a + q, x);
      }
      SPK_UNROLL for (int i = 0; i < Q; i++) {
        const T *b = panel + k[i] * (NV * LANES);
        VEC *sum = acc + (q + i) * NV;
        SPK_UNROLL for (int v = 0; v < NV; v++) sum[v] =
            V(fma)(x[i], V(load)(b + v * LANES), sum[v]);
      }
    }
  }
  if (!C) {
    SPK_UNROLL for (int g = 0; g < G; g++) {
      T *s = sums + (ptrdiff_t)ids[g] * (NV * LANES);
      SPK_UNROLL for (int v = 0; v < NV; v++) V(store)(s + v * LANES, acc[g * NV + v]);
    }
    return;
  }
  const ptrdiff_t n = t->n;
  if (mode == FT(STORE_GENERAL)) {
    /* All sums are stored first.  If a vector lived across a call, it would not stay in a register
     * in the loop. */
    T whole[SPK_MAX_ROW_PANEL_SUMS * LANES];
    SPK_UNROLL for (int i = 0; i < G * NV; i++) V(store)(whole + i * LANES, acc[i]);
    FT(store_rows)(whole, NV * LANES, C, ldc, ids, G, n, &t->epilogue);
    return;
  }
  const T *bias_row = t->epilogue.bias_row;
  const int relu = t->epilogue.activation == SPK_RELU;
  if (mode == FT(STORE_PLAIN) && (bias_row || relu))
    SPK_UNROLL for (int g = 0; g < G; g++)
        FT(add_bias_row)(acc + g * NV, ids[g], NV, bias_row, relu);
  const MASK mask = V(mask)(n - (NV - 1) * LANES);
  const enum FT(store_mode) how = mode == FT(STORE_ADD) ? FT(STORE_ADD) : FT(STORE_PLAIN);
  SPK_UNROLL for (int g = 0; g < G; g++) {
    T *c = C + ids[g] * ldc;
    if (n == NV * LANES)
      FT(store_row)(acc + g * NV, c, ids[g], n, NV, 0, mask, how, &t->epilogue);
    else
      FT(store_row)(acc + g * NV, c, ids[g], n, NV, 1, mask, how, &t->epilogue);
  }
}

/* Rows of a run by groups of G rows, of which each S rows share columns. */
#define SPK_GROUPS(G, S)                                                                \
  for (; rows >= G; rows -= G, ids += G, offsets += G * entries, values += G * entries) \
  FT(row_panel_rows)(t, panel, sums, C, ldc, ids, offsets, values, entries, G, NV, S, first, mode)

SPK_INLINE void FT(row_panel_runs)(const spk_row_panel_task *t, const int G, const int NV) {
  /* Local copies, because stores could alias the task. */
  const enum FT(store_mode) mode = FT(biased_mode_of)(&t->epilogue);
  const uint16_t *ids = t->row_ids, *offsets = t->offsets;
  const T *values = t->values, *panel = t->panel;
  T *sums = t->sums, *C = t->C;
  const spk_row_panel_run *runs = t->runs;
  const ptrdiff_t count = t->run_count, ldc = t->ldc;
  const int first = t->first || !sums;
  for (ptrdiff_t r = 0; r < count; r++) {
    const ptrdiff_t entries = runs[r].entries;
    ptrdiff_t rows = runs[r].rows;
    const uint32_t shared = runs[r].shared;
    if (shared == (uint32_t)G)
      SPK_GROUPS(G, G);
    else if (G > 4 && shared == 4)
      SPK_GROUPS(G, 4);
    else if (G > 2 && shared == 2)
      SPK_GROUPS(G, 2);
    else
      SPK_GROUPS(G, 1);
    for (; rows > 0; rows--, ids++, offsets += entries, values += entries)
      FT(row_panel_rows)(t, panel, sums, C, ldc, ids, offsets, values, entries, 1, NV, 1, first,
                         mode);
  }
}
#undef SPK_GROUPS

#define SPK_SPMM_ROW_PANELS(G, NV)                                               \
  static void FT(spmm_row_panels_##G##_1x##NV##v)(const spk_row_panel_task *t) { \
    FT(row_panel_runs)(t, G, NV);                                                \
  }
SPK_SPMM_ROW_PANELS(2, 1)
SPK_SPMM_ROW_PANELS(2, 2)
SPK_SPMM_ROW_PANELS(2, 3)
SPK_SPMM_ROW_PANELS(2, 4)
SPK_SPMM_ROW_PANELS(4, 1)
SPK_SPMM_ROW_PANELS(4, 2)
SPK_SPMM_ROW_PANELS(4, 3)
SPK_SPMM_ROW_PANELS(4, 4)
SPK_SPMM_ROW_PANELS(8, 1)
#undef SPK_SPMM_ROW_PANELS
