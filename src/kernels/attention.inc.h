/* Attention: softmax of the scores of a tile, or of a row, and the weighted sum of values.
 *
 * Softmax is taken online (Milakov and Gimelshein, arXiv 1805.02867; Dao et al., FlashAttention,
 * arXiv 2205.14135): for each chunk of keys, earlier sums are rescaled to the new maximum.  Lanes
 * are queries in scores, so maxima and sums go lane by lane.  Lanes are elements of V in the
 * output, so a vector of V serves several queries, whose weights are broadcast from memory. */
#define T_LOWEST ((T) - (sizeof(T) == 4 ? FLT_MAX : DBL_MAX))
#define NV (SPK_TILE_ROWS / LANES)
/* The output of QUERIES rows by WIDE vectors is in registers at a time. */
#define QUERIES (SPK_SIMD_REGISTERS >= 32 ? 8 : 4)
#define WIDE (SPK_SIMD_REGISTERS >= 32 ? 2 : 3)

/* Update the maxima by all scores. */
SPK_INLINE void FT(tile_greatest)(const T *S, ptrdiff_t count, VEC m[NV]) {
  /* One maximum would wait for the one before. */
  VEC more[4 * NV];
  SPK_UNROLL for (int v = 0; v < 4 * NV; v++) more[v] = m[v % NV];
  ptrdiff_t j = 0;
  for (; j + 4 <= count; j += 4)
    SPK_UNROLL for (int v = 0; v < 4 * NV; v++) more[v] =
        V(max)(V(load)(S + j * SPK_TILE_ROWS + v * LANES), more[v]);
  for (; j < count; j++)
    SPK_UNROLL for (int v = 0; v < NV; v++) more[v] =
        V(max)(V(load)(S + j * SPK_TILE_ROWS + v * LANES), more[v]);
  SPK_UNROLL for (int v = 0; v < NV; v++) m[v] =
      V(max)(V(max)(more[v], more[NV + v]), V(max)(more[2 * NV + v], more[3 * NV + v]));
}

/* Set scores to -infinity where the row does not attend to the key, and update the maxima. */
SPK_INLINE void FT(tile_mask)(T *S, const uint16_t *bits, ptrdiff_t count, VEC m[NV]) {
  uint16_t common = UINT16_MAX;
  for (ptrdiff_t j = 0; j < count; j++) common &= bits[j];
  if (common == UINT16_MAX) {
    FT(tile_greatest)(S, count, m);
    return;
  }
  const VEC none = V(set1)((T)-INFINITY);
  for (ptrdiff_t j = 0; j < count; j++) {
    SPK_UNROLL for (int v = 0; v < NV; v++) {
      T *s = S + j * SPK_TILE_ROWS + v * LANES;
      const VEC x = V(blend)(V(load)(s), (unsigned)bits[j] >> (v * LANES), none);
      V(store)(s, x);
      m[v] = V(max)(x, m[v]);
    }
  }
}

/* Update W vectors of the outputs of QUERIES rows: rescale them, and add V times the weights of all
 * keys.  `mask` is that of the last vector, if it is partial. */
SPK_INLINE void FT(tile_values)(const T *S, const T *values, ptrdiff_t ldv, const int32_t *keys,
                                ptrdiff_t count, T *O, ptrdiff_t ldo, const T *scale, const int W,
                                const int partial, MASK mask) {
  VEC sum[QUERIES * WIDE];
  SPK_UNROLL for (int g = 0; g < QUERIES; g++) {
    const VEC factor = V(set1)(scale[g]);
    SPK_UNROLL for (int w = 0; w < W; w++) sum[g * W + w] =
        V(mul)(V(load)(O + g * ldo + w * LANES), factor);
  }
  for (ptrdiff_t j = 0; j < count; j++) {
    const T *row = values + (ptrdiff_t)keys[j] * ldv, *s = S + j * SPK_TILE_ROWS;
    SPK_ONE_POINTER(row);
    VEC x[WIDE];
    SPK_UNROLL for (int w = 0; w < W; w++) x[w] =
        w == W - 1 && partial ? V(load_masked)(row + w * LANES, mask) : V(load)(row + w * LANES);
    SPK_UNROLL for (int g = 0; g < QUERIES; g++) {
      const VEC p = V(set1)(s[g]);
      SPK_UNROLL for (int w = 0; w < W; w++) sum[g * W + w] = V(fma)(p, x[w], sum[g * W + w]);
    }
  }
  SPK_UNROLL for (int g = 0; g < QUERIES; g++) SPK_UNROLL for (int w = 0; w < W; w++)
      V(store)(O + g * ldo + w * LANES, sum[g * W + w]);
}

/* Update `width` elements of the outputs of all rows, which are W vectors. */
SPK_INLINE void FT(tile_output)(const T *S, const T *values, ptrdiff_t ldv, const int32_t *keys,
                                ptrdiff_t count, T *O, ptrdiff_t ldo, const T *scale, const int W,
                                ptrdiff_t width) {
  const MASK mask = V(mask)(width % LANES);
  for (int i = 0; i < SPK_TILE_ROWS; i += QUERIES)
    if (width % LANES == 0)
      FT(tile_values)(S + i, values, ldv, keys, count, O + i * ldo, ldo, scale + i, W, 0, mask);
    else
      FT(tile_values)(S + i, values, ldv, keys, count, O + i * ldo, ldo, scale + i, W, 1, mask);
}

/* Add the bias of LANES consecutive keys, which lie in rows, to their scores. */
SPK_INLINE void FT(tile_bias_block)(T *S, const T *bias, ptrdiff_t ld, ptrdiff_t rows) {
  for (int v = 0; v < NV; v++) {
    VEC a[LANES];
    SPK_UNROLL for (int i = 0; i < LANES; i++) {
      const ptrdiff_t row = v * LANES + i;
      a[i] = row < rows ? V(load)(bias + row * ld) : V(zero)();
    }
    V(transpose)(a);
    SPK_UNROLL for (int i = 0; i < LANES; i++) {
      T *s = S + i * SPK_TILE_ROWS + v * LANES;
      V(store)(s, V(add)(V(load)(s), a[i]));
    }
  }
}

/* Add the bias to all scores. */
static __attribute__((noinline)) void FT(tile_bias)(const spk_attend_task *task) {
  const T *bias = task->bias;
  T *S = task->scores;
  const int32_t *keys = task->keys;
  const ptrdiff_t ld = task->bias_row_stride, step = task->bias_col_stride, rows = task->rows;
  for (ptrdiff_t j = 0; j < task->count;) {
    ptrdiff_t run = 1;
    if (step == 1 && j + LANES <= task->count)
      while (run < LANES && keys[j + run] == keys[j] + run) run++;
    if (run == LANES) {
      FT(tile_bias_block)(S + j * SPK_TILE_ROWS, bias + keys[j], ld, rows);
      j += LANES;
      continue;
    }
    const T *column = bias + (ptrdiff_t)keys[j] * step;
    for (ptrdiff_t i = 0; i < rows; i++) S[j * SPK_TILE_ROWS + i] += column[i * ld];
    j++;
  }
}

static void FT(attend_tile)(const spk_attend_task *task) {
  const T *values = task->V;
  const ptrdiff_t count = task->count, dv = task->dv, ldv = task->ldv;
  const int32_t *keys = task->keys;
  T *S = task->scores, *maxima = task->maxima, *sums = task->sums, *O = task->O;
  FT(tile_scores)(task->q, task->K, task->ldk, keys, count, task->d, S);
  if (task->bias) FT(tile_bias)(task);
  VEC m[NV], base[NV], sum[NV], scale[NV];
  SPK_UNROLL for (int v = 0; v < NV; v++) m[v] = V(load)(maxima + v * LANES);
  FT(tile_mask)(S, task->bits, count, m);
  SPK_UNROLL for (int v = 0; v < NV; v++) {
    /* A maximum of -infinity would give NaN for rows that have no key yet. */
    base[v] = V(max)(V(set1)(T_LOWEST), m[v]);
    const VEC minus = V(mul)(base[v], V(set1)((T)-1));
    scale[v] = FT(exp)(V(add)(V(load)(maxima + v * LANES), minus));
    sum[v] = V(mul)(V(load)(sums + v * LANES), scale[v]);
    V(store)(maxima + v * LANES, m[v]);
    base[v] = minus;
  }
  for (ptrdiff_t j = 0; j < count; j++) {
    SPK_UNROLL for (int v = 0; v < NV; v++) {
      T *s = S + j * SPK_TILE_ROWS + v * LANES;
      const VEC p = FT(exp)(V(add)(V(load)(s), base[v]));
      V(store)(s, p);
      sum[v] = V(add)(sum[v], p);
    }
  }
  SPK_UNROLL for (int v = 0; v < NV; v++) V(store)(sums + v * LANES, sum[v]);
  T factors[SPK_TILE_ROWS];
  SPK_UNROLL for (int v = 0; v < NV; v++) V(store)(factors + v * LANES, scale[v]);
  const ptrdiff_t ldo = spk_round_up(dv, LANES);
  ptrdiff_t t = 0;
  for (; t + (WIDE - 1) * LANES < dv; t += WIDE * LANES)
    FT(tile_output)(S, values + t, ldv, keys, count, O + t, ldo, factors, WIDE,
                    spk_min(WIDE * LANES, dv - t));
  if (WIDE > 2 && t + LANES < dv)
    FT(tile_output)(S, values + t, ldv, keys, count, O + t, ldo, factors, 2, dv - t);
  else if (t < dv)
    FT(tile_output)(S, values + t, ldv, keys, count, O + t, ldo, factors, 1, dv - t);
}

static int FT(attend_finish)(const spk_attend_task *task, void *out, ptrdiff_t ld, void *lse) {
  const T *maxima = task->maxima, *sums = task->sums, *O = task->O;
  T *to = out, *log_sums = lse;
  const ptrdiff_t rows = task->rows, dv = task->dv, ldo = spk_round_up(dv, LANES);
  if (log_sums)
    for (ptrdiff_t i = 0; i < rows; i++) log_sums[i] = maxima[i] + T_FN(log)(sums[i]);
  const MASK mask = V(mask)(dv % LANES);
  VEC strange = V(zero)();
  for (ptrdiff_t i = 0; i < rows; i++) {
    const VEC factor = V(set1)(sums[i] == 0 ? 0 : 1 / sums[i]);
    const T *from = O + i * ldo;
    T *row = to + i * ld;
    ptrdiff_t t = 0;
    for (; t + LANES <= dv; t += LANES) {
      const VEC x = V(mul)(V(load)(from + t), factor);
      strange = V(fma)(x, V(zero)(), strange);
      V(store)(row + t, x);
    }
    if (t < dv) {
      const VEC x = V(mul)(V(load_masked)(from + t, mask), factor);
      strange = V(fma)(x, V(zero)(), strange);
      V(store_masked)(row + t, mask, x);
    }
  }
  return V(reduce)(strange) == 0;
}

#undef NV
#undef QUERIES
#undef WIDE

/* --- One row alone, with lanes along d --- */

/* o = scale * o + sum of weights[j] * V[keys[j], :NV vectors]. */
SPK_INLINE void FT(row_values)(const T *weights, const T *values, ptrdiff_t ldv,
                               const int32_t *keys, ptrdiff_t count, T *o, VEC scale, const int NV,
                               ptrdiff_t width) {
  const int partial = width < NV * LANES;
  const MASK mask = V(mask)(spk_min(LANES, width - (NV - 1) * LANES));
  VEC sum[2][4];
  SPK_UNROLL for (int v = 0; v < NV; v++) {
    sum[0][v] = V(mul)(V(load)(o + v * LANES), scale);
    sum[1][v] = V(zero)();
  }
  ptrdiff_t j = 0;
  for (; j + 2 <= count; j += 2) {
    SPK_UNROLL for (int u = 0; u < 2; u++) {
      const T *row = values + (ptrdiff_t)keys[j + u] * ldv;
      const VEC p = V(set1)(weights[j + u]);
      SPK_UNROLL for (int v = 0; v < NV; v++) {
        const VEC x = v == NV - 1 && partial ? V(load_masked)(row + v * LANES, mask)
                                             : V(load)(row + v * LANES);
        sum[u][v] = V(fma)(p, x, sum[u][v]);
      }
    }
  }
  for (; j < count; j++) {
    const T *row = values + (ptrdiff_t)keys[j] * ldv;
    const VEC p = V(set1)(weights[j]);
    SPK_UNROLL for (int v = 0; v < NV; v++) {
      const VEC x =
          v == NV - 1 && partial ? V(load_masked)(row + v * LANES, mask) : V(load)(row + v * LANES);
      sum[0][v] = V(fma)(p, x, sum[0][v]);
    }
  }
  SPK_UNROLL for (int v = 0; v < NV; v++) V(store)(o + v * LANES, V(add)(sum[0][v], sum[1][v]));
}

/* Replace scores [0, count) by exp(s - maximum).  count is whole vectors, filled up with -infinity.
 * Returns the sum. */
SPK_INLINE T FT(weights)(T *s, ptrdiff_t count, T maximum) {
  const VEC base = V(set1)(-maximum);
  VEC sum = V(zero)();
  for (ptrdiff_t j = 0; j < count; j += LANES) {
    const VEC p = FT(exp)(V(add)(V(load)(s + j), base));
    V(store)(s + j, p);
    sum = V(add)(sum, p);
  }
  return V(reduce)(sum);
}

static T FT(greatest)(const T *s, ptrdiff_t count, T than) {
  VEC m = V(set1)(than);
  for (ptrdiff_t j = 0; j < count; j += LANES) m = V(max)(V(load)(s + j), m);
  T lanes[LANES];
  V(store)(lanes, m);
  for (int i = 0; i < LANES; i++) than = lanes[i] > than ? lanes[i] : than;
  return than;
}

static void FT(attend_row)(const spk_attend_task *task) {
  const T *q = task->q, *K = task->K, *values = task->V, *bias = task->bias;
  const ptrdiff_t count = task->count, dv = task->dv, ldv = task->ldv, ldk = task->ldk;
  const int32_t *keys = task->keys;
  T *s = task->scores, *maximum = task->maxima, *sum = task->sums, *o = task->O;
  const T factor = (T)task->scale;
  for (ptrdiff_t j = 0; j < count; j += 8) {
    const T *rows[8];
    SPK_UNROLL for (int u = 0; u < 8; u++) rows[u] =
        K + (ptrdiff_t)keys[spk_min(j + u, count - 1)] * ldk;
    FT(dots)(&q, 1, rows, task->d, 8, s + j);
  }
  for (ptrdiff_t j = 0; j < count; j++) {
    s[j] *= factor;
    if (bias) s[j] += bias[(ptrdiff_t)keys[j] * task->bias_col_stride];
  }
  const ptrdiff_t whole = spk_round_up(count, LANES);
  for (ptrdiff_t j = count; j < whole; j++) s[j] = (T)-INFINITY;
  const T greatest = FT(greatest)(s, whole, *maximum);
  const T base = greatest > T_LOWEST ? greatest : T_LOWEST;
  T before[LANES];
  V(store)(before, FT(exp)(V(set1)(*maximum - base)));
  *sum = *sum * before[0] + FT(weights)(s, whole, base);
  *maximum = greatest;
  const VEC scale = V(set1)(before[0]);
  ptrdiff_t t = 0;
  for (; t + 3 * LANES < dv; t += 4 * LANES)
    FT(row_values)(s, values + t, ldv, keys, count, o + t, scale, 4, dv - t);
  for (; t < dv; t += LANES)
    FT(row_values)(s, values + t, ldv, keys, count, o + t, scale, 1, dv - t);
}

static void FT(attend_row_finish)(const spk_attend_task *task, void *out, void *lse) {
  const T *maximum = task->maxima, *sum = task->sums, *o = task->O;
  T *to = out;
  /* 0 is stored and not o times 0, because o may be infinite or NaN from weights of 0. */
  const T factor = 1 / *sum;
  for (ptrdiff_t t = 0; t < task->dv; t++) to[t] = *sum == 0 ? 0 : o[t] * factor;
  if (lse) *(T *)lse = *maximum + T_FN(log)(*sum);
}

/* --- Rows of a sparse matrix --- */

static void FT(softmax)(void *out, const void *values, ptrdiff_t count, double scale) {
  const T *x = values;
  T *y = out, most = (T)-INFINITY;
  const T factor = (T)scale;
  for (ptrdiff_t j = 0; j < count; j++) {
    const T s = x[j] * factor;
    y[j] = s;
    most = s > most ? s : most;
  }
  if (most < T_LOWEST) most = T_LOWEST;
  const ptrdiff_t whole = count - count % LANES;
  T last[LANES], sum = whole > 0 ? FT(weights)(y, whole, most) : 0;
  if (whole < count) {
    for (ptrdiff_t j = 0; j < LANES; j++) last[j] = whole + j < count ? y[whole + j] : (T)-INFINITY;
    sum += FT(weights)(last, LANES, most);
    for (ptrdiff_t j = whole; j < count; j++) y[j] = last[j - whole];
  }
  const T share = sum == 0 ? 0 : 1 / sum;
  for (ptrdiff_t j = 0; j < count; j++) y[j] *= share;
}

#undef T_LOWEST
