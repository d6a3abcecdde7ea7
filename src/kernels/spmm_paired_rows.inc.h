/* Row panels whose rows share columns by fours, times a panel that is half a vector or a whole
 * vector of columns wide.
 *
 * A vector holds 2 rows by LANES / 2 columns of C, alternating.  An entry of two rows takes a load
 * of both values, which repeats the pair, and an FMA.  A row of B is loaded once for all rows that
 * share it, and spread so that each element appears twice.  With one row to a vector, half of the
 * lanes would be idle, or vectors of half the lanes would take twice the FMAs.
 *
 * Port model for S rows that share: S / 2 + 1 loads, a shuffle and S / 2 FMAs.  If two loads and
 * two FMAs are done a cycle, loads bind.  16 rows in lockstep have the 8 sums in flight that hide
 * the latency of the FMA.  The rest of a run goes by 8 and 4 rows.  Zen 5, 8 columns of floats,
 * cycles per entry of 16 rows that share by 4, 8 and 16: 6.5, 5.3, 4.7, where loads allow 6, 5,
 * 4.5.  Paired rows of 4 x 4, whose values and B are repeated by loads of 16 bytes, took 12.9, 7.8
 * and 6.1 (doc/decisions/row-panels.rst, decision-paired-rows-loads).  Sums are added in the order
 * of the entries, as in spmm_row_panels. */
#ifdef SPK_HAS_PAIRED_ROWS

SPK_INLINE void FT(paired_rows)(const spk_row_panel_task *t, const T *panel, const T *zeros,
                                ptrdiff_t padding, T *sums, T *C, ptrdiff_t ldc,
                                const uint16_t *ids, const uint16_t *o, const T *a,
                                ptrdiff_t entries, const int G, const int NP, const int S,
                                const int first, enum FT(store_mode) mode) {
  enum { HALF = LANES / 2 };
  const int width = NP * HALF;
  VEC acc[SPK_PAIRED_GROUP];
  SPK_UNROLL for (int g = 0; g < G; g += 2) {
    const T *s = sums + (ptrdiff_t)ids[g] * width, *next = sums + (ptrdiff_t)ids[g + 1] * width;
    SPK_UNROLL for (int p = 0; p < NP; p++) acc[g / 2 * NP + p] =
        first ? V(zero)() : V(paired_load)(s + p * HALF, next + p * HALF);
  }
  for (const T *end = a + G * entries; a < end; a += G, o += G / SPK_PAIRED_SHARE)
    SPK_UNROLL for (int q = 0; q < G; q += S) {
      const ptrdiff_t k = o[q / SPK_PAIRED_SHARE];
      const T *b = k == padding ? zeros : panel + k * width;
      VEC x[2];
      SPK_UNROLL for (int p = 0; p < NP; p++) x[p] = V(paired_columns)(b + p * HALF);
      SPK_UNROLL for (int g = q; g < q + S; g += 2) {
        const VEC w = V(paired_values)(a + g);
        VEC *sum = acc + g / 2 * NP;
        SPK_UNROLL for (int p = 0; p < NP; p++) sum[p] = V(fma)(w, x[p], sum[p]);
      }
    }
  /* Rows that need no epilogue are stored directly, and others by way of memory. */
  T whole[SPK_PAIRED_GROUP * LANES];
  const T *bias_row = t->epilogue.bias_row;
  const int relu = t->epilogue.activation == SPK_RELU;
  const int plain = mode == FT(STORE_PLAIN) && !bias_row && !relu;
  const int direct = !C || (plain && t->n == width);
  T *to = !C ? sums : direct ? C : whole;
  const ptrdiff_t ld = C && direct ? ldc : width;
  SPK_UNROLL for (int g = 0; g < G; g += 2) {
    T *c = to + (direct ? ids[g] : g) * ld, *next = to + (direct ? ids[g + 1] : g + 1) * ld;
    SPK_UNROLL for (int p = 0; p < NP; p++)
        V(paired_store)(c + p * HALF, next + p * HALF, acc[g / 2 * NP + p]);
  }
  if (direct) return;
  if (mode == FT(STORE_GENERAL)) {
    FT(store_rows)(whole, width, C, ldc, ids, G, t->n, &t->epilogue);
    return;
  }
  const MASK mask = V(mask)(t->n);
  for (int g = 0; g < G; g++) {
    VEC row = V(load_masked)(whole + g * width, mask);
    if (mode == FT(STORE_PLAIN)) FT(add_bias_row)(&row, ids[g], 1, bias_row, relu);
    FT(store_row)(&row, C + ids[g] * ldc, ids[g], t->n, 1, 1, mask, mode, &t->epilogue);
  }
}

/* Groups of G rows, of which each S rows share columns. */
#define SPK_GROUPS(G, S)                                                                           \
  for (; rows >= G;                                                                                \
       rows -= G, ids += G, offsets += G / SPK_PAIRED_SHARE * entries, values += G * entries)      \
  FT(paired_rows)(t, panel, zeros, padding, sums, C, ldc, ids, offsets, values, entries, G, NP, S, \
                  first, mode)

SPK_INLINE void FT(paired_runs)(const spk_row_panel_task *t, const int NP) {
  /* Local copies, because stores could alias the task. */
  const enum FT(store_mode) mode = FT(biased_mode_of)(&t->epilogue);
  const uint16_t *ids = t->row_ids, *offsets = t->offsets;
  const T *values = t->values, *panel = t->panel, *zeros = t->zeros;
  T *sums = t->sums, *C = t->C;
  const spk_row_panel_run *runs = t->runs;
  const ptrdiff_t count = t->run_count, ldc = t->ldc, padding = t->padding;
  const int first = t->first || !sums;
  for (ptrdiff_t r = 0; r < count; r++) {
    const ptrdiff_t entries = runs[r].entries;
    ptrdiff_t rows = runs[r].rows;
    const uint32_t shared = runs[r].shared;
    if (shared == 16)
      SPK_GROUPS(16, 16);
    else if (shared == 8)
      SPK_GROUPS(16, 8);
    else
      SPK_GROUPS(16, 4);
    SPK_GROUPS(8, 4);
    SPK_GROUPS(4, 4);
  }
}
#undef SPK_GROUPS

static void FT(spmm_paired_rows_half)(const spk_row_panel_task *t) { FT(paired_runs)(t, 1); }
static void FT(spmm_paired_rows_whole)(const spk_row_panel_task *t) { FT(paired_runs)(t, 2); }
#endif
