/* BSR x dense: MR rows of a block share each load of B.
 *
 * Port model: 4 x 4 tiles on 32 registers take 4 loads of B and 4 broadcasts for 16 FMAs, so the
 * FMA ports bind and not the load ports.  ISAs with 16 registers take 4 x 2 tiles. */
SPK_INLINE void FN(spmm_bsr_rows)(const spk_spmm_task *t, ptrdiff_t block, ptrdiff_t r,
                                  const int MR, const int NV, const int masked, MASK mask,
                                  enum FT(store_mode) mode, const spk_epilogue *e) {
  const I *idx = t->indices, *begin = t->begin, *end = t->end;
  const ptrdiff_t R = t->block_rows, W = t->block_cols, area = R * W;
  VEC acc[4 * SPK_MAX_BSR_VECTORS];
  SPK_UNROLL for (int x = 0; x < MR * NV; x++) acc[x] = V(zero)();
  for (ptrdiff_t p = begin[block]; p < (ptrdiff_t)end[block]; p++) {
    const T *a = (const T *)t->values + p * area + r * W;
    const T *b = (const T *)t->B + ((ptrdiff_t)idx[p] * W - t->base) * t->ldb;
    for (ptrdiff_t c = 0; c < W; c++, b += t->ldb) {
      VEC x[SPK_MAX_BSR_VECTORS];
      SPK_UNROLL for (int v = 0; v < NV; v++) {
        const int last = masked && v == NV - 1;
        x[v] = last ? V(load_masked)(b + v * LANES, mask) : V(load)(b + v * LANES);
      }
      SPK_UNROLL for (int q = 0; q < MR; q++) {
        const VEC w = V(set1)(a[q * W + c]);
        SPK_UNROLL for (int v = 0; v < NV; v++) acc[q * NV + v] = V(fma)(w, x[v], acc[q * NV + v]);
      }
    }
  }
  for (int q = 0; q < MR; q++) {
    const ptrdiff_t i = block * R + r + q;
    FT(store_row)(acc + q * NV, (T *)t->C + i * t->ldc, i, t->n, NV, masked, mask, mode, e);
  }
}

SPK_INLINE void FN(spmm_bsr_tile)(const spk_spmm_task *t, const int NV, const int masked) {
  const MASK mask = V(mask)(t->n - (NV - 1) * LANES);
  spk_epilogue e = t->epilogue;
  const spk_activation activation = FT(take_activation)(&e);
  const enum FT(store_mode) mode = FT(row_mode_of)(&e);
  const ptrdiff_t R = t->block_rows;
  const ptrdiff_t some = spk_ceil_div(FT(rows_together)(activation, t->rows * R, t->n), R);
  for (ptrdiff_t block = 0; block < t->rows;) {
    const ptrdiff_t from = block, stop = spk_min(t->rows, block + some);
    for (; block < stop; block++) {
      ptrdiff_t r = 0;
      for (; r + 4 <= R; r += 4) FN(spmm_bsr_rows)(t, block, r, 4, NV, masked, mask, mode, &e);
      for (; r + 2 <= R; r += 2) FN(spmm_bsr_rows)(t, block, r, 2, NV, masked, mask, mode, &e);
      for (; r < R; r++) FN(spmm_bsr_rows)(t, block, r, 1, NV, masked, mask, mode, &e);
    }
    if (activation)
      FT(activate_tile)((T *)t->C + from * R * t->ldc, t->ldc, 1, (stop - from) * R, t->n,
                        activation);
  }
}

#define SPK_SPMM_BSR(NV)                                       \
  static void FN(spmm_bsr_1x##NV##v)(const spk_spmm_task *t) { \
    if (t->n == NV * LANES)                                    \
      FN(spmm_bsr_tile)(t, NV, 0);                             \
    else                                                       \
      FN(spmm_bsr_tile)(t, NV, 1);                             \
  }
SPK_SPMM_BSR(1)
SPK_SPMM_BSR(2)
SPK_SPMM_BSR(3)
SPK_SPMM_BSR(4)
#undef SPK_SPMM_BSR

/* MR rows of a block row times one column.  W is a constant if it is small. */
SPK_SCALAR_LOOPS SPK_INLINE void FN(spmm_bsr_sums)(const spk_spmm_task *t, ptrdiff_t block,
                                                   ptrdiff_t r, ptrdiff_t j, const int MR,
                                                   const ptrdiff_t W, const int plain) {
  const I *idx = t->indices, *begin = t->begin, *end = t->end;
  const ptrdiff_t R = t->block_rows, ldb = t->ldb;
  const T *values = t->values, *B = t->B;
  T s[4] = {0};
  for (ptrdiff_t p = begin[block]; p < (ptrdiff_t)end[block]; p++) {
    const T *a = values + (p * R + r) * W;
    /* b is computed only if there is an entry, because a B without rows may be NULL. */
    const T *b = B + ((ptrdiff_t)idx[p] * W - t->base) * ldb + j * t->col_strideb;
    for (ptrdiff_t c = 0; c < W; c++) {
      const T x = b[c * ldb];
      SPK_UNROLL for (int q = 0; q < MR; q++) s[q] += a[q * W + c] * x;
    }
  }
  SPK_UNROLL for (int q = 0; q < MR; q++) {
    const ptrdiff_t i = block * R + r + q;
    T *c = (T *)t->C + i * t->ldc + j * t->col_stridec;
    if (plain)
      *c = s[q];
    else
      FT(store_one)(s[q], c, i, j, &t->epilogue);
  }
}

SPK_SCALAR_LOOPS SPK_INLINE void FN(spmm_bsr_columns)(const spk_spmm_task *t, const ptrdiff_t W) {
  const int plain = FT(store_mode_of)(&t->epilogue) == FT(STORE_PLAIN);
  const ptrdiff_t R = t->block_rows;
  const I *begin = t->begin, *end = t->end;
  /* whether a block row without blocks is set to 0 */
  const int zeros = plain && t->n == 1 && t->ldc == 1;
  for (ptrdiff_t block = 0; block < t->rows; block++) {
    ptrdiff_t r = 0;
    if (zeros && begin[block] == end[block]) {
      for (; r < R; r++) ((T *)t->C)[block * R + r] = 0;
      continue;
    }
    for (; r + 4 <= R; r += 4)
      for (ptrdiff_t j = 0; j < t->n; j++) FN(spmm_bsr_sums)(t, block, r, j, 4, W, plain);
    for (; r + 2 <= R; r += 2)
      for (ptrdiff_t j = 0; j < t->n; j++) FN(spmm_bsr_sums)(t, block, r, j, 2, W, plain);
    for (; r < R; r++)
      for (ptrdiff_t j = 0; j < t->n; j++) FN(spmm_bsr_sums)(t, block, r, j, 1, W, plain);
  }
}

/* One contiguous column, small blocks of N x N, block rows [first, last).  Each block makes a
 * vector of products, which are summed once per block row.  The loop over blocks is the only
 * branch, so it is the only one to be mispredicted if rows have few blocks. */
SPK_INLINE void FN(spmm_bsr_squares)(const spk_spmm_task *t, const int N, ptrdiff_t first,
                                     ptrdiff_t last, T *sums) {
  const I *idx = t->indices, *begin = t->begin, *end = t->end;
  const T *values = t->values;
  /* The address is an integer, because a B without rows may be NULL. */
  const uintptr_t B = (uintptr_t)t->B - (uintptr_t)(t->base * (ptrdiff_t)sizeof(T));
  for (ptrdiff_t i = first; i < last; i++, sums += N) {
    T s[4 * 4] = {0};
    const ptrdiff_t stop = end[i];
    for (ptrdiff_t p = begin[i]; p < stop; p++) {
      const T *a = values + p * (N * N);
      const T *b = (const T *)(B + (uintptr_t)(idx[p] * (ptrdiff_t)(N * sizeof(T))));
      SPK_UNROLL for (int q = 0; q < N; q++) SPK_UNROLL for (int w = 0; w < N; w++) s[q * N + w] +=
          a[q * N + w] * b[w];
    }
    SPK_UNROLL for (int q = 0; q < N; q++) {
      T sum = s[q * N];
      SPK_UNROLL for (int w = 1; w < N; w++) sum += s[q * N + w];
      sums[q] = sum;
    }
  }
}

static void FN(spmm_bsr_squares_2)(const spk_spmm_task *t, ptrdiff_t first, ptrdiff_t last, T *to) {
  FN(spmm_bsr_squares)(t, 2, first, last, to);
}

static void FN(spmm_bsr_squares_3)(const spk_spmm_task *t, ptrdiff_t first, ptrdiff_t last, T *to) {
  FN(spmm_bsr_squares)(t, 3, first, last, to);
}

static void FN(spmm_bsr_squares_4)(const spk_spmm_task *t, ptrdiff_t first, ptrdiff_t last, T *to) {
  FN(spmm_bsr_squares)(t, 4, first, last, to);
}

/* The same with the epilogue, except for the activation. */
#define SUMS 256
static void FN(spmm_bsr_vector)(const spk_spmm_task *t) {
  void (*const all[])(const spk_spmm_task *, ptrdiff_t, ptrdiff_t, T *) = {
      FN(spmm_bsr_squares_2), FN(spmm_bsr_squares_3), FN(spmm_bsr_squares_4)};
  const ptrdiff_t N = t->block_rows, some = SUMS / N;
  T *C = t->C;
  if (FT(store_mode_of)(&t->epilogue) == FT(STORE_PLAIN)) {
    all[N - 2](t, 0, t->rows, C);
    return;
  }
  for (ptrdiff_t i = 0; i < t->rows; i += some) {
    const ptrdiff_t last = spk_min(t->rows, i + some);
    T sums[SUMS];
    spk_epilogue e = t->epilogue; /* of the column as a row */
    e.bias_col = t->epilogue.bias_row ? (const T *)t->epilogue.bias_row + i * N : NULL;
    e.bias_row = t->epilogue.bias_col;
    all[N - 2](t, i, last, sums);
    FT(tile_store)(sums, SUMS, C + i * N, SUMS, 1, 1, (last - i) * N, &e);
  }
}
#undef SUMS

/* For any strides, and for n == 1, which would fill one lane of a vector. */
SPK_SCALAR_LOOPS static void FN(spmm_bsr_strided)(const spk_spmm_task *t) {
  spk_spmm_task task = *t;
  const spk_activation activation = FT(take_activation)(&task.epilogue);
  const int small = t->block_cols >= 2 && t->block_cols <= 4 && t->block_rows == t->block_cols;
  if (small && t->n == 1 && t->ldb == 1 && t->ldc == 1)
    FN(spmm_bsr_vector)(&task);
  else if (t->block_cols == 2)
    FN(spmm_bsr_columns)(&task, 2);
  else if (t->block_cols == 4)
    FN(spmm_bsr_columns)(&task, 4);
  else
    FN(spmm_bsr_columns)(&task, t->block_cols);
  if (activation)
    FT(activate_tile)(t->C, t->ldc, t->col_stridec, t->rows * t->block_rows, t->n, activation);
}
