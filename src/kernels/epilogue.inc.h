/* What happens between the accumulators and C: alpha, beta, biases, activation.
 *
 * One rule holds for all kernels, and every operation is rounded to T: alpha times the finished
 * sum, plus beta times C, plus the bias of the row, plus the bias of the column; then the
 * activation.  No operations are fused, so that overflow and underflow are the same on all ISAs. */

/* Two cases deserve a path without branches: a whole product, and a further block of K. */
enum FT(store_mode) { FT(STORE_PLAIN), FT(STORE_ADD), FT(STORE_GENERAL), FT(STORE_RELU) };

static inline enum FT(store_mode) FT(store_mode_of)(const spk_epilogue *e) {
  if (e->alpha != 1.0 || e->bias_row || e->bias_col || e->activation != SPK_IDENTITY)
    return FT(STORE_GENERAL);
  return e->beta == 0.0 ? FT(STORE_PLAIN) : e->beta == 1.0 ? FT(STORE_ADD) : FT(STORE_GENERAL);
}

/* The mode for store_row.  Relu alone has a mode of its own, because the general case would take 4
 * ns more for each row. */
static inline enum FT(store_mode) FT(row_mode_of)(const spk_epilogue *e) {
  spk_epilogue rest = *e;
  rest.activation = SPK_IDENTITY;
  const int plain = FT(store_mode_of)(&rest) == FT(STORE_PLAIN);
  return plain && e->activation == SPK_RELU ? FT(STORE_RELU) : FT(store_mode_of)(e);
}

/* The mode for sums in registers that get a bias of their row and relu, if e has these, by
 * FT(add_bias_row): through the general case, a row would take 13 cycles more
 * (doc/decisions/row-panels.rst, decision-bias-in-registers). */
static inline enum FT(store_mode) FT(biased_mode_of)(const spk_epilogue *e) {
  spk_epilogue rest = *e;
  rest.bias_row = NULL;
  if (rest.activation == SPK_RELU) rest.activation = SPK_IDENTITY;
  return FT(store_mode_of)(&rest) == FT(STORE_PLAIN) ? FT(STORE_PLAIN) : FT(store_mode_of)(e);
}

/* Add the bias of row i, unless there is none, to NV sums, and apply relu, if asked for. */
SPK_INLINE void FT(add_bias_row)(VEC *acc, ptrdiff_t i, const int NV, const T *bias_row, int relu) {
  if (bias_row) {
    const VEC bias = V(set1)(bias_row[i]);
    SPK_UNROLL for (int v = 0; v < NV; v++) acc[v] = V(add)(acc[v], bias);
  }
  if (relu) SPK_UNROLL for (int v = 0; v < NV; v++) acc[v] = V(relu)(acc[v]);
}

/* Take an activation other than relu out of e, as it is applied to blocks of C that are still in
 * L1.  Returns SPK_IDENTITY if there is none. */
static inline spk_activation FT(take_activation)(spk_epilogue *e) {
  const spk_activation activation = e->activation;
  if (activation <= SPK_RELU) return SPK_IDENTITY;
  e->activation = SPK_IDENTITY;
  return activation;
}

/* The number of rows of n elements after which the activation is applied; all rows if there is
 * none. */
static inline ptrdiff_t FT(rows_together)(spk_activation taken, ptrdiff_t rows, ptrdiff_t n) {
  const ptrdiff_t bytes = 8192;
  return taken ? 1 + bytes / spk_max(1, n * (ptrdiff_t)sizeof(T)) : rows;
}

/* The terms of the general case besides the sums.  `old`, `row` and `relu` say whether beta, the
 * bias of the row and relu apply. */
typedef struct FT(store_terms) {
  VEC alpha, beta, bias;
  int old, row, relu;
} FT(store_terms);

/* Store one vector of the general case; only the lanes of `mask` if `masked`. */
SPK_INLINE void FT(store_vector)(const T *sums, const T *old, T *to, const T *bias_col,
                                 const FT(store_terms) * t, const int masked, MASK mask) {
  VEC x = V(mul)(t->alpha, masked ? V(load_masked)(sums, mask) : V(load)(sums));
  if (t->old) x = V(add)(x, V(mul)(t->beta, masked ? V(load_masked)(old, mask) : V(load)(old)));
  if (t->row) x = V(add)(x, t->bias);
  if (bias_col) x = V(add)(x, masked ? V(load_masked)(bias_col, mask) : V(load)(bias_col));
  if (t->relu) x = V(relu)(x);
  if (masked)
    V(store_masked)(to, mask, x);
  else
    V(store)(to, x);
}

/* The general case, out of line: sums[0 .. n) of row i, and the elements `old` of C, go to `to`.
 * Activations that FT(take_activation) takes are not applied. */
static __attribute__((noinline)) void FT(store_general)(const T *sums, const T *old, T *to,
                                                        ptrdiff_t i, ptrdiff_t n,
                                                        const spk_epilogue *e) {
  const FT(store_terms) t = {V(set1)((T)e->alpha),
                             V(set1)((T)e->beta),
                             V(set1)(e->bias_row ? ((const T *)e->bias_row)[i] : (T)0),
                             e->beta != 0.0,
                             e->bias_row != NULL,
                             e->activation == SPK_RELU};
  const T *col = e->bias_col;
  const MASK mask = V(mask)(n % LANES);
  ptrdiff_t j = 0;
  for (; j + LANES <= n; j += LANES)
    FT(store_vector)(sums + j, old + j, to + j, col ? col + j : NULL, &t, 0, mask);
  if (j < n) FT(store_vector)(sums + j, old + j, to + j, col ? col + j : NULL, &t, 1, mask);
}

/* Store NV accumulators of row i into the row c of C.  The last one is masked if `masked`. */
SPK_INLINE void FT(store_row)(const VEC *acc, T *c, ptrdiff_t i, ptrdiff_t n, const int NV,
                              const int masked, MASK mask, enum FT(store_mode) mode,
                              const spk_epilogue *e) {
  if (mode == FT(STORE_GENERAL)) {
    T sums[SPK_MAX_VECTORS * LANES];
    SPK_UNROLL for (int v = 0; v < NV; v++) V(store)(sums + v * LANES, acc[v]);
    FT(store_general)(sums, c, c, i, n, e);
    return;
  }
  SPK_UNROLL for (int v = 0; v < NV; v++) {
    T *d = c + v * LANES;
    const int last = masked && v == NV - 1;
    VEC x = acc[v];
    if (mode == FT(STORE_ADD)) x = V(add)(x, last ? V(load_masked)(d, mask) : V(load)(d));
    if (mode == FT(STORE_RELU)) x = V(relu)(x);
    if (last)
      V(store_masked)(d, mask, x);
    else
      V(store)(d, x);
  }
}

/* The general case of rows of C that lie anywhere.  Their sums are contiguous, with rows ld apart,
 * and may be overwritten. */
static __attribute__((noinline)) void FT(store_rows)(T *sums, ptrdiff_t ld, T *C, ptrdiff_t ldc,
                                                     const uint16_t *ids, ptrdiff_t rows,
                                                     ptrdiff_t n, const spk_epilogue *whole) {
  spk_epilogue e = *whole;
  const spk_activation activation = FT(take_activation)(&e);
  const int plain = FT(store_mode_of)(&e) == FT(STORE_PLAIN);
  for (ptrdiff_t g = 0; g < rows && !plain; g++) {
    T *s = sums + g * ld, *c = C + ids[g] * ldc;
    FT(store_general)(s, c, activation ? s : c, ids[g], n, &e);
  }
  if (!activation) return;
  FT(activate_row)(sums, rows * ld, activation);
  const MASK mask = V(mask)(n % LANES);
  for (ptrdiff_t g = 0; g < rows; g++) {
    const T *s = sums + g * ld;
    T *c = C + ids[g] * ldc;
    ptrdiff_t j = 0;
    for (; j + LANES <= n; j += LANES) V(store)(c + j, V(load)(s + j));
    if (j < n) V(store_masked)(c + j, mask, V(load_masked)(s + j, mask));
  }
}

/* The general case of one scalar.  Activations that FT(take_activation) takes are not applied. */
static inline T FT(finished)(T sum, const T *old, ptrdiff_t i, ptrdiff_t j, const spk_epilogue *e) {
  T x = (T)e->alpha * sum;
  if (e->beta != 0.0) x += (T)e->beta * *old;
  if (e->bias_row) x += ((const T *)e->bias_row)[i];
  if (e->bias_col) x += ((const T *)e->bias_col)[j];
  return e->activation == SPK_RELU && x < (T)0 ? (T)0 : x;
}

static inline void FT(store_one)(T sum, T *c, ptrdiff_t i, ptrdiff_t j, const spk_epilogue *e) {
  *c = FT(finished)(sum, c, i, j, e);
}

/* Add the partial sums of the same elements, in the order of the parts. */
static void FT(partial_add)(void *sums, ptrdiff_t stride, ptrdiff_t parts, ptrdiff_t count) {
  T *s = sums;
  for (ptrdiff_t i = 0; i < count; i += LANES) {
    VEC x = V(load)(s + i);
    for (ptrdiff_t part = 1; part < parts; part++) x = V(add)(x, V(load)(s + part * stride + i));
    V(store)(s + i, x);
  }
}

/* C of rows that have no sum: C = alpha * 0 + beta * C.  If beta == 0, C is not read.  With alpha =
 * 1 and beta = 0, C becomes zeros for a scatter to add to. */
static void FT(tile_scale)(void *C, ptrdiff_t row_stride, ptrdiff_t col_stride, ptrdiff_t rows,
                           ptrdiff_t n, const spk_epilogue *e) {
  const T beta = (T)e->beta, none = (T)e->alpha * (T)0;
  if (beta == (T)1 && none == (T)0) return; /* C would change only in the sign of a zero */
  if (n == 1 || (row_stride == 1 && col_stride != 1)) {
    /* Along columns. */
    const ptrdiff_t one = n == 1 ? 0 : col_stride, down = row_stride, count = rows;
    rows = n, n = count, col_stride = down, row_stride = one;
  }
  for (ptrdiff_t i = 0; i < rows; i++) {
    T *c = (T *)C + i * row_stride;
    if (beta != (T)0)
      for (ptrdiff_t j = 0; j < n; j++) c[j * col_stride] = none + beta * c[j * col_stride];
    else if (none == (T)0 && !signbit(none) && col_stride == 1)
      memset(c, 0, (size_t)n * sizeof(T));
    else
      for (ptrdiff_t j = 0; j < n; j++) c[j * col_stride] = none;
  }
}

/* The rows that are transposed at a time, in vectors. */
#define SPK_STORE_VECTORS 8

/* tile_store for contiguous columns of C and at most one bias: columns of C are handled as rows. */
static void FT(store_columns)(const T *s, ptrdiff_t ld, T *c, ptrdiff_t col_stride, ptrdiff_t rows,
                              ptrdiff_t n, const spk_epilogue *e) {
  if (FT(store_mode_of)(e) == FT(STORE_PLAIN)) {
    FT(transpose)(c, col_stride, s, ld, n, rows);
    return;
  }
  T columns[LANES * SPK_STORE_VECTORS * LANES];
  const ptrdiff_t most = SPK_STORE_VECTORS * LANES;
  spk_epilogue here = *e;
  here.bias_row = e->bias_col;
  for (ptrdiff_t j0 = 0; j0 < n; j0 += LANES)
    for (ptrdiff_t i0 = 0; i0 < rows; i0 += most) {
      const ptrdiff_t width = spk_min(LANES, n - j0), height = spk_min(most, rows - i0);
      FT(transpose)(columns, most, s + i0 * ld + j0, ld, width, height);
      here.bias_col = e->bias_row ? (const T *)e->bias_row + i0 : NULL;
      for (ptrdiff_t j = 0; j < width; j++) {
        T *to = c + (j0 + j) * col_stride + i0;
        FT(store_general)(columns + j * most, to, to, j0 + j, height, &here);
      }
    }
}
#undef SPK_STORE_VECTORS

/* The elements of C that are brought together at a time. */
#define SPK_STORE_TOGETHER 512

/* tile_store for a C of any strides: block by block through contiguous rows (with beta 0.6 ns an
 * element, against 11 one by one). */
static void FT(store_strided)(const T *s, ptrdiff_t ld, T *c, ptrdiff_t row_stride,
                              ptrdiff_t col_stride, ptrdiff_t rows, ptrdiff_t n,
                              const spk_epilogue *e) {
  T block[SPK_STORE_TOGETHER];
  const ptrdiff_t wide = rows < 16 ? SPK_STORE_TOGETHER / spk_max(1, rows) : 2 * 16;
  const ptrdiff_t high = SPK_STORE_TOGETHER / wide;
  for (ptrdiff_t i = 0; i < rows; i += high)
    for (ptrdiff_t j = 0; j < n; j += wide) {
      const ptrdiff_t height = spk_min(high, rows - i), width = spk_min(wide, n - j);
      T *to = c + i * row_stride + j * col_stride;
      spk_epilogue here = *e;
      if (e->bias_col) here.bias_col = (const T *)e->bias_col + j;
      if (e->beta != 0.0) FT(pack)(block, wide, to, row_stride, col_stride, height, width);
      for (ptrdiff_t r = 0; r < height; r++) {
        T *row = block + r * wide;
        FT(store_general)(s + (i + r) * ld + j, row, row, i + r, width, &here);
      }
      FT(unpack)(block, wide, to, row_stride, col_stride, height, width);
    }
}
#undef SPK_STORE_TOGETHER

/* FT(tile_store) without the activations that FT(take_activation) takes. */
static void FT(tile_store_sums)(const void *sums, ptrdiff_t ld, void *C, ptrdiff_t row_stride,
                                ptrdiff_t col_stride, ptrdiff_t rows, ptrdiff_t n,
                                const spk_epilogue *e) {
  const enum FT(store_mode) mode = FT(store_mode_of)(e);
  const int two_biases = e->bias_row && e->bias_col; /* the order of two biases matters */
  const T *s = sums;
  T *c = C;
  if (n == 1 && rows > 1 && ld == 1 && !two_biases) {
    /* A column whose sums are contiguous is stored as a row. */
    spk_epilogue transposed = *e;
    transposed.bias_row = e->bias_col;
    transposed.bias_col = e->bias_row;
    FT(tile_store_sums)(sums, rows, C, rows, row_stride, 1, rows, &transposed);
    return;
  }
  if (col_stride == 1) {
    if (ld == n && row_stride == n && !e->bias_row && !e->bias_col) n *= rows, rows = 1;
    const MASK mask = V(mask)(n % LANES);
    for (ptrdiff_t i = 0; i < rows; i++, s += ld, c += row_stride) {
      if (mode == FT(STORE_GENERAL)) {
        FT(store_general)(s, c, c, i, n, e);
        continue;
      }
      ptrdiff_t j = 0;
      for (; j + LANES <= n; j += LANES) {
        const VEC x = V(load)(s + j);
        V(store)(c + j, mode == FT(STORE_ADD) ? V(add)(x, V(load)(c + j)) : x);
      }
      if (j < n) {
        const VEC x = V(load_masked)(s + j, mask);
        V(store_masked)(c + j, mask,
                        mode == FT(STORE_ADD) ? V(add)(x, V(load_masked)(c + j, mask)) : x);
      }
    }
    return;
  }
  if (row_stride == 1 && !two_biases) {
    FT(store_columns)(s, ld, c, col_stride, rows, n, e);
    return;
  }
  FT(store_strided)(s, ld, c, row_stride, col_stride, rows, n, e);
}

/* The whole epilogue of row-major sums, which do not overlap C, or, if col_stride is 1, lie at the
 * places of C. */
static void FT(tile_store)(const void *sums, ptrdiff_t ld, void *C, ptrdiff_t row_stride,
                           ptrdiff_t col_stride, ptrdiff_t rows, ptrdiff_t n,
                           const spk_epilogue *e) {
  spk_epilogue part = *e;
  const spk_activation activation = FT(take_activation)(&part);
  /* If columns are contiguous, all rows are stored before the activation is applied to the
   * first. */
  const ptrdiff_t some = col_stride == 1 ? FT(rows_together)(activation, rows, n) : rows;
  for (ptrdiff_t i = 0; i < rows; i += some) {
    const ptrdiff_t count = spk_min(some, rows - i);
    T *c = (T *)C + i * row_stride;
    if (e->bias_row) part.bias_row = (const T *)e->bias_row + i;
    FT(tile_store_sums)((const T *)sums + i * ld, ld, c, row_stride, col_stride, count, n, &part);
    if (activation) FT(activate_tile)(c, row_stride, col_stride, count, n, activation);
  }
}

/* The same for sums that C holds itself.  C has no old values, so beta does not apply. */
static void FT(tile_finish)(void *C, ptrdiff_t row_stride, ptrdiff_t col_stride, ptrdiff_t rows,
                            ptrdiff_t n, const spk_epilogue *e) {
  spk_epilogue rest = *e;
  rest.beta = 0.0;
  if (FT(store_mode_of)(&rest) == FT(STORE_PLAIN)) return;
  if (col_stride != 1 && row_stride == 1 && !(e->bias_row && e->bias_col)) {
    /* By columns, whose elements are contiguous. */
    rest.bias_row = e->bias_col;
    rest.bias_col = e->bias_row;
    FT(tile_store)(C, col_stride, C, col_stride, 1, n, rows, &rest);
  } else if (col_stride == 1) {
    FT(tile_store)(C, row_stride, C, row_stride, 1, rows, n, &rest);
  } else {
    const spk_activation activation = FT(take_activation)(&rest);
    for (ptrdiff_t i = 0; i < rows; i++)
      for (ptrdiff_t j = 0; j < n; j++) {
        T *c = (T *)C + i * row_stride + j * col_stride;
        FT(store_one)(*c, c, i, j, &rest);
      }
    if (activation) FT(activate_tile)(C, row_stride, col_stride, rows, n, activation);
  }
}
