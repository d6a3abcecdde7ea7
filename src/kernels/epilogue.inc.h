/* What happens between the accumulators and C: alpha, beta, biases, activation. */

/* One element through an activation other than relu, which the vector path does itself.  libm gives
 * each to within a few units in the last place; gelu is the exact form (Hendrycks and Gimpel,
 * arXiv 1606.08415), not its tanh approximation. */
static inline T FT(activate_one)(T x, spk_activation activation) {
  /* The limits of gelu and silu, where the formulas would multiply infinity by zero. */
  if (x == (T)-INFINITY && (activation == SPK_GELU || activation == SPK_SILU)) return (T)-0.0;
  switch (activation) {
    case SPK_RELU:
      return x < (T)0 ? (T)0 : x;
    case SPK_GELU:
      /* erfc keeps the relative accuracy of the left tail, where 1 + erf would cancel. */
      return (T)0.5 * x * T_FN(erfc)(-x * (T)0.70710678118654752440);
    case SPK_SILU:
      return x / ((T)1 + T_FN(exp)(-x));
    case SPK_TANH:
      return T_FN(tanh)(x);
    case SPK_SIGMOID:
      return (T)1 / ((T)1 + T_FN(exp)(-x));
    default:
      return x;
  }
}

/* The two cases worth a path without branches: a whole product, and a further block of K. */
enum FT(store_mode) { FT(STORE_PLAIN), FT(STORE_ADD), FT(STORE_GENERAL) };

static inline enum FT(store_mode) FT(store_mode_of)(const spk_epilogue *e) {
  if (e->alpha != 1.0 || e->bias_row || e->bias_col || e->activation != SPK_IDENTITY)
    return FT(STORE_GENERAL);
  return e->beta == 0.0 ? FT(STORE_PLAIN) : e->beta == 1.0 ? FT(STORE_ADD) : FT(STORE_GENERAL);
}

/* The general case, out of line: sums[0 .. n) of row i into the row c of C. */
static __attribute__((noinline)) void FT(store_general)(const T *sums, T *c, ptrdiff_t i,
                                                        ptrdiff_t n, const spk_epilogue *e) {
  const VEC alpha = V(set1)((T)e->alpha), beta = V(set1)((T)e->beta);
  const VEC bias = V(set1)(e->bias_row ? ((const T *)e->bias_row)[i] : (T)0);
  for (ptrdiff_t j = 0; j < n; j += LANES) {
    const MASK mask = V(mask)(spk_min(LANES, n - j));
    VEC x = V(mul)(alpha, V(loadm)(sums + j, mask));
    if (e->beta != 0.0) x = V(fma)(beta, V(loadm)(c + j, mask), x);
    if (e->bias_row) x = V(add)(x, bias);
    if (e->bias_col) x = V(add)(x, V(loadm)((const T *)e->bias_col + j, mask));
    if (e->activation == SPK_RELU) x = V(relu)(x);
    V(storem)(c + j, mask, x);
  }
  if (e->activation > SPK_RELU)
    for (ptrdiff_t j = 0; j < n; j++) c[j] = FT(activate_one)(c[j], e->activation);
}

/* NV accumulators of row i into the row c of C; the last one masked if `masked`. */
SPK_INLINE void FT(store_row)(const VEC *acc, T *c, ptrdiff_t i, ptrdiff_t n, const int NV,
                              const int masked, MASK mask, enum FT(store_mode) mode,
                              const spk_epilogue *e) {
  if (mode == FT(STORE_GENERAL)) {
    T sums[SPK_MAX_VECTORS * LANES];
    SPK_UNROLL for (int v = 0; v < NV; v++) V(store)(sums + v * LANES, acc[v]);
    FT(store_general)(sums, c, i, n, e);
    return;
  }
  SPK_UNROLL for (int v = 0; v < NV; v++) {
    T *d = c + v * LANES;
    const int last = masked && v == NV - 1;
    VEC x = acc[v];
    if (mode == FT(STORE_ADD)) x = V(add)(x, last ? V(loadm)(d, mask) : V(load)(d));
    if (last)
      V(storem)(d, mask, x);
    else
      V(store)(d, x);
  }
}

/* The same for one scalar. */
static inline void FT(store_one)(T acc, T *c, ptrdiff_t i, ptrdiff_t j, const spk_epilogue *e) {
  T x = (T)e->alpha * acc;
  if (e->beta != 0.0) x += (T)e->beta * *c;
  if (e->bias_row) x += ((const T *)e->bias_row)[i];
  if (e->bias_col) x += ((const T *)e->bias_col)[j];
  *c = e->activation == SPK_IDENTITY ? x : FT(activate_one)(x, e->activation);
}

/* Where nothing is added up, or before it is: C = beta * C, and 0 for beta == 0 whatever C held.
 * But NaN where alpha is not finite, which times an empty sum is that. */
static void FT(tile_scale)(void *C, ptrdiff_t row_stride, ptrdiff_t col_stride, ptrdiff_t rows,
                           ptrdiff_t n, const spk_epilogue *e) {
  const T beta = (T)e->beta, none = (T)e->alpha * (T)0;
  if (beta == (T)1 && none == (T)0) return;
  for (ptrdiff_t i = 0; i < rows; i++) {
    T *c = (T *)C + i * row_stride;
    if (none != (T)0) {
      for (ptrdiff_t j = 0; j < n; j++) c[j * col_stride] = none;
    } else if (beta == (T)0) {
      if (col_stride == 1)
        memset(c, 0, (size_t)n * sizeof(T));
      else
        for (ptrdiff_t j = 0; j < n; j++) c[j * col_stride] = (T)0;
    } else {
      for (ptrdiff_t j = 0; j < n; j++) c[j * col_stride] *= beta;
    }
  }
}

/* After a scatter: biases and activation. */
static void FT(tile_finish)(void *C, ptrdiff_t row_stride, ptrdiff_t col_stride, ptrdiff_t rows,
                            ptrdiff_t n, const spk_epilogue *e) {
  if (!e->bias_row && !e->bias_col && e->activation == SPK_IDENTITY) return;
  spk_epilogue rest = *e;
  rest.alpha = 1.0;
  rest.beta = 0.0;
  for (ptrdiff_t i = 0; i < rows; i++) {
    T *c = (T *)C + i * row_stride;
    for (ptrdiff_t j = 0; j < n; j++)
      FT(store_one)(c[j * col_stride], c + j * col_stride, i, j, &rest);
  }
}

/* The whole epilogue of sums that lie row-major apart from C. */
static void FT(tile_store)(const void *sums, ptrdiff_t ld, void *C, ptrdiff_t row_stride,
                           ptrdiff_t col_stride, ptrdiff_t rows, ptrdiff_t n,
                           const spk_epilogue *e) {
  const enum FT(store_mode) mode = FT(store_mode_of)(e);
  const T *s = sums;
  T *c = C;
  if (col_stride == 1) {
    const MASK mask = V(mask)(n % LANES);
    for (ptrdiff_t i = 0; i < rows; i++, s += ld, c += row_stride) {
      if (mode == FT(STORE_GENERAL)) {
        FT(store_general)(s, c, i, n, e);
        continue;
      }
      ptrdiff_t j = 0;
      for (; j + LANES <= n; j += LANES) {
        const VEC x = V(load)(s + j);
        V(store)(c + j, mode == FT(STORE_ADD) ? V(add)(x, V(load)(c + j)) : x);
      }
      if (j < n) {
        const VEC x = V(loadm)(s + j, mask);
        V(storem)(c + j, mask, mode == FT(STORE_ADD) ? V(add)(x, V(loadm)(c + j, mask)) : x);
      }
    }
    return;
  }
  if (row_stride == 1) {
    /* Columns of C lie whole: blocks that are turned on the way, finished row by row in between. */
    for (ptrdiff_t i0 = 0; i0 < rows; i0 += LANES) {
      const ptrdiff_t height = spk_min(LANES, rows - i0);
      for (ptrdiff_t j0 = 0; j0 < n; j0 += LANES) {
        const ptrdiff_t width = spk_min(LANES, n - j0);
        T *to = c + i0 + j0 * col_stride, block[LANES * LANES];
        const T *from = s + i0 * ld + j0;
        if (mode == FT(STORE_PLAIN)) {
          FT(transpose_block)(to, col_stride, from, ld, width, height);
          continue;
        }
        spk_epilogue here = *e;
        if (e->bias_col) here.bias_col = (const T *)e->bias_col + j0;
        if (e->beta != 0.0) FT(transpose_block)(block, LANES, to, col_stride, height, width);
        for (ptrdiff_t i = 0; i < height; i++)
          FT(store_general)(from + i * ld, block + i * LANES, i0 + i, width, &here);
        FT(transpose_block)(to, col_stride, block, LANES, width, height);
      }
    }
    return;
  }
  /* Square blocks, so that as many lines of the sums as of C stay in L1. */
  for (ptrdiff_t i0 = 0; i0 < rows; i0 += 16)
    for (ptrdiff_t j0 = 0; j0 < n; j0 += 16)
      for (ptrdiff_t j = j0; j < spk_min(n, j0 + 16); j++)
        for (ptrdiff_t i = i0; i < spk_min(rows, i0 + 16); i++)
          FT(store_one)(s[i * ld + j], c + i * row_stride + j * col_stride, i, j, e);
}
