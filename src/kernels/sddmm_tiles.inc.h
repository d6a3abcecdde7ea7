/* Tiles of a sampled product: 16 rows of X (queries), one per lane, by the columns (keys) that at
 * least one of them has.
 *
 * Rows of K are read in place, element by element, as an FMA broadcasts its operand from memory.
 * So there is one load of Q, which is transposed once for all keys, for as many FMAs as there are
 * sums.  Two loads and one FMA of 64 bytes a cycle (Zen 4), or two of each (Intel), allow 94 to
 * 100% of peak; 98% were measured (Zen 4, d = 64; doc/decisions/attention.rst,
 * decision-queries-in-lanes). */
#define NV (SPK_TILE_ROWS / LANES)
/* Keys whose scores are summed together: enough sums to hide the latency of the FMA, and few enough
 * pointers for the registers of x86. */
#define GROUP (12 / NV > 0 ? 12 / NV : 1)
#define GROUP_2 (GROUP / 2 > 0 ? GROUP / 2 : 1)
#define GROUP_4 (GROUP / 4 > 0 ? GROUP / 4 : 1)

/* S[g, :] = K[keys[g]] . q for g < G.  q and S are as wide as a tile. */
SPK_INLINE void FT(tile_dots)(const T *q, const T *K, ptrdiff_t ldk, const int32_t *keys,
                              ptrdiff_t d, T *S, const int G) {
  const T *k[16];
  VEC sum[16 * 2];
  SPK_UNROLL for (int g = 0; g < G; g++) k[g] = K + (ptrdiff_t)keys[g] * ldk;
  SPK_UNROLL for (int i = 0; i < G * NV; i++) sum[i] = V(zero)();
  ptrdiff_t t = 0;
  for (; t + 4 <= d; t += 4) {
    SPK_UNROLL for (int u = 0; u < 4; u++) {
      const T *row = q + (t + u) * SPK_TILE_ROWS;
      VEC x[NV];
      SPK_UNROLL for (int v = 0; v < NV; v++) x[v] = V(load)(row + v * LANES);
      SPK_UNROLL for (int g = 0; g < G; g++) {
        const VEC y = V(set1)(k[g][t + u]);
        SPK_UNROLL for (int v = 0; v < NV; v++) sum[g * NV + v] = V(fma)(y, x[v], sum[g * NV + v]);
      }
    }
  }
  for (; t < d; t++) {
    SPK_UNROLL for (int g = 0; g < G; g++) {
      const VEC y = V(set1)(k[g][t]);
      SPK_UNROLL for (int v = 0; v < NV; v++) sum[g * NV + v] =
          V(fma)(y, V(load)(q + t * SPK_TILE_ROWS + v * LANES), sum[g * NV + v]);
    }
  }
  SPK_UNROLL for (int i = 0; i < G * NV; i++) V(store)(S + i * LANES, sum[i]);
}

/* The scores of all keys.  It is one function for all callers, because it takes long to compile.
 * Spare keys follow the last key to complete a group; their sums are not used. */
static __attribute__((noinline)) void FT(tile_scores)(const T *q, const T *K, ptrdiff_t ldk,
                                                      const int32_t *keys, ptrdiff_t count,
                                                      ptrdiff_t d, T *S) {
  ptrdiff_t j = 0;
  for (; j + GROUP <= count; j += GROUP)
    FT(tile_dots)(q, K, ldk, keys + j, d, S + j * SPK_TILE_ROWS, GROUP);
  for (; j + GROUP_2 <= count; j += GROUP_2)
    FT(tile_dots)(q, K, ldk, keys + j, d, S + j * SPK_TILE_ROWS, GROUP_2);
  for (; j < count; j += GROUP_4)
    FT(tile_dots)(q, K, ldk, keys + j, d, S + j * SPK_TILE_ROWS, GROUP_4);
}

static void FT(tile_pack)(void *panel, const void *rows, ptrdiff_t ld, ptrdiff_t count, ptrdiff_t d,
                          double scale) {
  T *q = panel;
  const T *x = rows;
  const VEC factor = V(set1)((T)scale);
  for (int v = 0; v < NV; v++) {
    const ptrdiff_t held = count - v * LANES;
    for (ptrdiff_t t = 0; t < d; t += LANES) {
      const ptrdiff_t width = spk_min(LANES, d - t);
      const MASK mask = V(mask)(width);
      VEC a[LANES];
      for (int i = 0; i < LANES; i++) {
        const T *from = x + (v * LANES + i) * ld + t;
        a[i] = i >= held ? V(zero)() : width == LANES ? V(load)(from) : V(load_masked)(from, mask);
      }
      V(transpose)(a);
      T *to = q + t * SPK_TILE_ROWS + v * LANES;
      for (ptrdiff_t i = 0; i < width; i++) V(store)(to + i * SPK_TILE_ROWS, V(mul)(a[i], factor));
    }
  }
}

/* Scores of all rows and some columns, transposed to rows, from which sddmm_place copies the
 * sampled entries. */
static void FT(sddmm_tile)(const spk_tile_task *task) {
  T *S = task->scores, *R = task->rows;
  const ptrdiff_t count = task->count, ld = task->ld;
  FT(tile_scores)(task->q, task->K, task->ldk, task->keys, count, task->d, S);
  for (ptrdiff_t j = 0; j < count; j += LANES) {
    for (int v = 0; v < NV; v++) {
      VEC a[LANES];
      SPK_UNROLL for (int i = 0; i < LANES; i++) a[i] =
          V(load)(S + (j + i) * SPK_TILE_ROWS + v * LANES);
      V(transpose)(a);
      SPK_UNROLL for (int i = 0; i < LANES; i++) V(store)(R + (v * LANES + i) * ld + j, a[i]);
    }
  }
}

static void FT(sddmm_place)(const spk_place_task *task) {
  const spk_sampling *sampling = &task->sampling;
  const int plain = sampling->alpha == 1.0 && sampling->beta == 0.0 && !sampling->scale;
  const ptrdiff_t end = task->from + task->count;
  T *out = task->out;
  for (ptrdiff_t r = 0; r < task->run_count; r++) {
    const spk_tile_run *run = &task->runs[r];
    const ptrdiff_t first = task->where[run->column];
    const ptrdiff_t low = spk_max(first, task->from), high = spk_min(first + run->count, end);
    const T *dots = (const T *)task->rows + run->row * task->ld + low - task->from;
    const ptrdiff_t p = run->entry + low - first, count = high - low;
    if (!plain && count > 0) {
      FT(sample_all)(dots, out + p, task->values ? (const T *)task->values + p : NULL, count,
                     sampling);
      continue;
    }
    ptrdiff_t j = 0;
    for (; j + LANES <= count; j += LANES) V(store)(out + p + j, V(load)(dots + j));
    if (j < count) {
      const MASK mask = V(mask)(count - j);
      V(store_masked)(out + p + j, mask, V(load_masked)(dots + j, mask));
    }
  }
}

#undef NV
#undef GROUP
#undef GROUP_2
#undef GROUP_4
