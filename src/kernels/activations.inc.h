/* Activations of U vectors at once.
 *
 * Results are within 2 units in the last place, for every x, including subnormal results
 * (tests/c/kernels/activations.c).  The rounding error of a product, sum or quotient is carried
 * along (`rest`, Dekker's and Knuth's sums) where it would exceed a fraction of a unit.  No step
 * looks at other lanes, so a result does not depend on its place. */
#define SPK_C(x) V(set1)((T)(x))

/* The number that is added to the exponents of results to keep them away from subnormal numbers,
 * and 2 to minus that number. */
#define SPK_LIFT (sizeof(T) == 4 ? 64 : 512)
#define SPK_LIFTED SPK_C(sizeof(T) == 4 ? 0x1p-64 : 0x1p-512)

/* x Phi(x): the exact form of gelu (Hendrycks and Gimpel, arXiv 1606.08415).
 *
 * It is max(x, 0) - g(t) with g(t) = t Phi(-t) and t = |x|.  The result is right in relative terms
 * on both sides if g is:
 *
 *   g(t) = t / (t + a) * S(w) * exp(-t^2 / 2),   w = (t - k) / (t + k)
 *
 * S is (t + a) times half of the scaled complementary error function of t / sqrt(2) (as in Shepherd
 * and Laframboise, Math.  Comp.  36, 1981).  It only varies from 0.399 to 0.472, so the roundings
 * of its polynomial are a tenth of its own.  Its terms minimise the greatest relative error (Remez'
 * exchange on 200 bits, coefficients rounded; k such that the first coefficient is nearly a float):
 * 2^-27.7 in float32, 2^-58.8 in float64. */
SPK_INLINE void FT(gelu)(VEC *x, const int U) {
  const int single = sizeof(T) == 4;
  static const double f32_terms[] = {0x1.ebb252p-13, 0x1.a1fa86p-18, -0x1.e8fdd6p-10, 0x1.d81572p-8,
                                     -0x1.183904p-6, 0x1.db95fep-6,  -0x1.20484cp-5,  0x1.957e4cp-6,
                                     0x1.3ba5d6p-7,  -0x1.089ebcp-4, 0x1.c9a68p-2};
  static const double f64_terms[] = {
      -0x1.4fb6b80efd8a2p-33, -0x1.24f442bf9ef04p-30, -0x1.f8b385ee364cbp-32,
      0x1.31a66ab14f17dp-27,  0x1.0edcc615b7968p-29,  -0x1.114e84a3f9249p-24,
      0x1.0949508f39ca9p-24,  0x1.9befc8dcb8d24p-22,  -0x1.422eb44938272p-20,
      -0x1.2fb8b8722a47cp-21, 0x1.8c2aac9f36b93p-17,  -0x1.ef8ecdb0c8a9cp-16,
      -0x1.84505ba2c7c3cp-17, 0x1.6796203db83c6p-12,  -0x1.822dbd3fe4b61p-10,
      0x1.1165068336bdbp-8,   -0x1.2b8da99eb02c6p-7,  0x1.0b3c5665ff2f2p-6,
      -0x1.88e4d155a7417p-6,  0x1.d1c445911d7c6p-6,   -0x1.93800fdacd854p-6,
      0x1.0ecf301e2e0e9p-7,   0x1.630502a2d89ddp-6,   -0x1.f4e0288feba91p-5,
      0x1.c2b6ff2c164cbp-2};
  /* a has few bits, so that d - a is exact. */
  const VEC a = SPK_C(0.8125), k = SPK_C(single ? 0x1.41ae3p+2 : 0x1.8eb9b4f2e954dp+2);
  const VEC most = SPK_C(single ? 14.7 : 39), one = SPK_C(1), two = SPK_C(2), minus = SPK_C(-1);
  VEC t[SPK_TOGETHER], h[SPK_TOGETHER], rest[SPK_TOGETHER], p[SPK_TOGETHER];
  VEC power[SPK_TOGETHER];
  EACH t[u] = V(min)(most, V(abs)(x[u]));
  EACH {
    const VEC half = V(mul)(t[u], SPK_C(-0.5));
    h[u] = V(mul)(t[u], half);
    rest[u] = V(residual)(t[u], half, h[u]);
  }
  FT(exp_parts)(h, rest, SPK_LIFT, p, power, U);
  VEC q[SPK_TOGETHER], excess[SPK_TOGETHER], w[SPK_TOGETHER], s[SPK_TOGETHER];
  EACH {
    const VEC d = V(add)(t[u], a), dropped = V(sub)(t[u], V(sub)(d, a)), e = V(add)(t[u], k);
    const VEC y = V(div)(one, V(mul)(d, e)), inverse = V(mul)(y, e); /* about 1 / (t + a) */
    w[u] = V(fma)(V(mul)(t[u], V(mul)(y, d)), two, minus);
    q[u] = V(mul)(t[u], inverse);
    excess[u] = V(mul)(V(fma)(q[u], dropped, V(residual)(q[u], d, t[u])), inverse);
  }
  const int count = single ? 11 : 25;
  const double *terms = single ? f32_terms : f64_terms;
  FT(polynomial)(terms, count - 1, w, s, U);
  EACH {
    const VEC last = SPK_C(terms[count - 1]), most = V(fma)(s[u], w[u], last);
    const VEC most_lacks = V(fma)(s[u], w[u], V(sub)(last, most)), g = V(mul)(q[u], most);
    const VEC lacks =
        V(fma)(q[u], most_lacks, V(fnma)(excess[u], most, V(residual)(q[u], most, g)));
    const VEC more = V(fma)(lacks, p[u], lacks);
    const VEC whole = V(add)(g, V(fma)(g, p[u], more));
    const VEC tail = V(mul)(V(mul)(whole, power[u]), SPK_LIFTED);
    x[u] = V(copysign)(V(sub)(V(relu)(x[u]), tail), x[u]);
  }
}

/* y is about 2^SPK_LIFT / (1 + exp(z + rest)).  d is the denominator, divided by 2^SPK_LIFT, and
 * `lacks` its rounding error. */
SPK_INLINE void FT(logistic)(const VEC *z, const VEC *rest, VEC *y, VEC *d, VEC *lacks,
                             const int U) {
  VEC clamped[SPK_TOGETHER], p[SPK_TOGETHER], power[SPK_TOGETHER];
  /* exp(-40) is nothing beside 1 in float32, and exp(-80) in float64.  From the upper limits on,
   * the result is 0. */
  EACH clamped[u] =
      V(max)(SPK_C(sizeof(T) == 4 ? -40 : -80), V(min)(SPK_C(sizeof(T) == 4 ? 110 : 760), z[u]));
  FT(exp_parts)(clamped, rest, -SPK_LIFT, p, power, U);
  EACH {
    const VEC e = V(fma)(power[u], p[u], power[u]);
    const VEC greater = V(max)(e, SPK_LIFTED), lesser = V(min)(e, SPK_LIFTED);
    d[u] = V(add)(greater, lesser);
    lacks[u] =
        V(add)(V(sub)(lesser, V(sub)(d[u], greater)), V(fma)(power[u], p[u], V(sub)(power[u], e)));
    y[u] = V(div)(SPK_C(1), d[u]);
  }
}

SPK_INLINE void FT(sigmoid)(VEC *x, const int U) {
  VEC y[SPK_TOGETHER], d[SPK_TOGETHER], lacks[SPK_TOGETHER];
  EACH x[u] = V(sub)(V(zero)(), x[u]);
  FT(logistic)(x, NULL, y, d, lacks, U);
  EACH {
    const VEC excess = V(fma)(y[u], lacks[u], V(residual)(y[u], d[u], SPK_C(1)));
    x[u] = V(mul)(V(fnma)(excess, y[u], y[u]), SPK_LIFTED);
  }
}

/* x / (1 + exp(z + rest)).  The result is 0 where x is below `low`, and x where x is above 50. */
SPK_INLINE void FT(gated)(VEC *x, const VEC *z, const VEC *rest, double low, const int U) {
  VEC y[SPK_TOGETHER], d[SPK_TOGETHER], lacks[SPK_TOGETHER];
  FT(logistic)(z, rest, y, d, lacks, U);
  EACH {
    const VEC from = V(max)(SPK_C(low), x[u]), q = V(mul)(from, y[u]);
    const VEC excess = V(fma)(q, lacks[u], V(residual)(q, d[u], from));
    const VEC whole = V(mul)(V(fnma)(excess, y[u], q), SPK_LIFTED);
    x[u] = V(select_less)(SPK_C(50), x[u], x[u], V(copysign)(whole, x[u]));
  }
}

SPK_INLINE void FT(silu)(VEC *x, const int U) {
  VEC z[SPK_TOGETHER];
  EACH z[u] = V(sub)(V(zero)(), x[u]);
  FT(gated)(x, z, NULL, sizeof(T) == 4 ? -110 : -760, U);
}

/* x / 2 (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))), computed as x / (1 + exp(z)).  z goes up to
 * 104 or 745, and its rounding error is kept. */
SPK_INLINE void FT(gelu_tanh)(VEC *x, const int U) {
  /* k0 is -2 sqrt(2 / pi), and k1 is 0.044715 times that. */
  const int single = sizeof(T) == 4;
  const VEC k0 = SPK_C(single ? -0x1.988454p+0 : -0x1.9884533d43651p+0),
            k0_rest = SPK_C(single ? 0x1.857936p-25 : 0x1.cbc0d30ebfd15p-54);
  const VEC k1 = SPK_C(single ? -0x1.2444f2p-4 : -0x1.2444f2a4d8b4bp-4),
            k1_rest = SPK_C(single ? -0x1.49b16ap-29 : 0x1.6c843a29d1c7p-61);
  const double most = single ? 12 : 24;
  VEC z[SPK_TOGETHER], rest[SPK_TOGETHER];
  EACH {
    const VEC c = V(min)(SPK_C(most), V(max)(SPK_C(-most), x[u]));
    const VEC c2 = V(mul)(c, c), c2_rest = V(residual)(c, c, c2), t = V(mul)(c2, k1);
    const VEC t_rest =
        V(add)(V(residual)(c2, k1, t), V(fma)(c2_rest, k1, V(fma)(c2, k1_rest, k0_rest)));
    const VEC greater = V(min)(t, k0), lesser = V(max)(t, k0), s = V(add)(greater, lesser);
    const VEC s_rest = V(add)(V(sub)(lesser, V(sub)(s, greater)), t_rest);
    z[u] = V(mul)(c, s);
    rest[u] = V(fma)(c, s_rest, V(residual)(c, s, z[u]));
  }
  FT(gated)(x, z, rest, -most, U);
}

/* e / (e + 2), with e = exp(2 |x|) - 1. */
SPK_INLINE void FT(tanh)(VEC *x, const int U) {
  const VEC one = SPK_C(1), two = SPK_C(2);
  VEC z[SPK_TOGETHER], p[SPK_TOGETHER], power[SPK_TOGETHER];
  EACH {
    const VEC t = V(min)(SPK_C(sizeof(T) == 4 ? 10 : 20), V(abs)(x[u]));
    z[u] = V(add)(t, t);
  }
  FT(exp_parts)(z, NULL, 0, p, power, U);
  EACH {
    const VEC most = V(sub)(power[u], one), part = V(mul)(power[u], p[u]);
    const VEC e = V(add)(most, part), e_lacks = V(sub)(part, V(sub)(e, most));
    const VEC d = V(add)(e, two), d_lacks = V(add)(V(sub)(e, V(sub)(d, two)), e_lacks);
    const VEC y = V(div)(one, d), q = V(mul)(e, y);
    const VEC excess = V(sub)(V(fma)(q, d_lacks, V(residual)(q, d, e)), e_lacks);
    x[u] = V(copysign)(V(fnma)(excess, y, q), x[u]);
  }
}

SPK_INLINE void FT(leaky_relu)(VEC *x, const int U) {
  EACH x[u] = V(select_less)(x[u], V(zero)(), V(mul)(x[u], SPK_C(0.01)), x[u]);
}

/* x, or exp(x) - 1 below 0. */
SPK_INLINE void FT(elu)(VEC *x, const int U) {
  VEC z[SPK_TOGETHER], p[SPK_TOGETHER], power[SPK_TOGETHER];
  EACH z[u] = V(max)(SPK_C(sizeof(T) == 4 ? -20 : -40), V(min)(V(zero)(), x[u]));
  FT(exp_parts)(z, NULL, 0, p, power, U);
  EACH x[u] =
      V(select_less)(x[u], V(zero)(), V(fma)(power[u], p[u], V(sub)(power[u], SPK_C(1))), x[u]);
}

/* x max(0, min(6, x + 3)) / 6. */
SPK_INLINE void FT(hardswish)(VEC *x, const int U) {
  const VEC three = SPK_C(3);
  EACH {
    const VEC c = V(max)(SPK_C(-3), x[u]), w = V(add)(c, three);
    const VEC lacks = V(sub)(c, V(sub)(w, three));
    const VEC y = V(fma)(c, V(div)(w, SPK_C(6)), V(mul)(V(mul)(c, lacks), SPK_C(1.0 / 6)));
    x[u] = V(select_less)(x[u], three, V(copysign)(y, x[u]), x[u]);
  }
}

SPK_INLINE void FT(hardsigmoid)(VEC *x, const int U) {
  EACH x[u] = V(div)(V(min)(SPK_C(6), V(relu)(V(add)(x[u], SPK_C(3)))), SPK_C(6));
}

SPK_INLINE void FT(relu6)(VEC *x, const int U) { EACH x[u] = V(min)(SPK_C(6), V(relu)(x[u])); }

/* --- Elements in memory --- */

#define SPK_BLOCK (SPK_TOGETHER * LANES)

/* Whole blocks, in place. */
#define SPK_ACTIVATION(name)                                                         \
  static __attribute__((noinline)) void FT(name##_blocks)(T * x, ptrdiff_t blocks) { \
    enum { U = SPK_TOGETHER };                                                       \
    for (; blocks > 0; blocks--, x += SPK_BLOCK) {                                   \
      VEC v[SPK_TOGETHER];                                                           \
      EACH v[u] = V(load)(x + u * LANES);                                            \
      FT(name)(v, U);                                                                \
      EACH V(store)(x + u * LANES, v[u]);                                            \
    }                                                                                \
  }
SPK_ACTIVATION(gelu)
SPK_ACTIVATION(silu)
SPK_ACTIVATION(tanh)
SPK_ACTIVATION(sigmoid)
SPK_ACTIVATION(gelu_tanh)
SPK_ACTIVATION(leaky_relu)
SPK_ACTIVATION(elu)
SPK_ACTIVATION(hardswish)
SPK_ACTIVATION(hardsigmoid)
SPK_ACTIVATION(relu6)
#undef SPK_ACTIVATION

static void FT(activate_blocks)(T *x, ptrdiff_t blocks, spk_activation activation) {
  switch (activation) {
    case SPK_GELU:
      FT(gelu_blocks)(x, blocks);
      break;
    case SPK_SILU:
      FT(silu_blocks)(x, blocks);
      break;
    case SPK_TANH:
      FT(tanh_blocks)(x, blocks);
      break;
    case SPK_SIGMOID:
      FT(sigmoid_blocks)(x, blocks);
      break;
    case SPK_GELU_TANH:
      FT(gelu_tanh_blocks)(x, blocks);
      break;
    case SPK_LEAKY_RELU:
      FT(leaky_relu_blocks)(x, blocks);
      break;
    case SPK_ELU:
      FT(elu_blocks)(x, blocks);
      break;
    case SPK_HARDSWISH:
      FT(hardswish_blocks)(x, blocks);
      break;
    case SPK_HARDSIGMOID:
      FT(hardsigmoid_blocks)(x, blocks);
      break;
    case SPK_RELU6:
      FT(relu6_blocks)(x, blocks);
      break;
    case SPK_IDENTITY:
    case SPK_RELU: /* applied when sums are stored */
      break;
  }
}

/* n contiguous elements, in place. */
static void FT(activate_row)(T *x, ptrdiff_t n, spk_activation activation) {
  const ptrdiff_t rest = n % SPK_BLOCK;
  FT(activate_blocks)(x, n / SPK_BLOCK, activation);
  if (rest == 0) return;
  T block[SPK_BLOCK] = {0};
  memcpy(block, x + n - rest, (size_t)rest * sizeof(T));
  FT(activate_blocks)(block, 1, activation);
  memcpy(x + n - rest, block, (size_t)rest * sizeof(T));
}

/* Rows of n contiguous elements each, fewer than a block: vectors of several rows go together. */
static void FT(activate_short_rows)(T *c, ptrdiff_t ld, ptrdiff_t rows, ptrdiff_t n,
                                    spk_activation activation) {
  const ptrdiff_t vectors = spk_ceil_div(n, LANES), some = SPK_TOGETHER / vectors;
  const MASK mask = V(mask)(n - (vectors - 1) * LANES);
  for (ptrdiff_t i = 0; i < rows; i += some, c += some * ld) {
    const ptrdiff_t count = spk_min(some, rows - i);
    T block[SPK_BLOCK] = {0};
    T *b = block, *row = c;
    for (ptrdiff_t r = 0; r < count; r++, row += ld, b += LANES) {
      ptrdiff_t v = 0;
      for (; v + 1 < vectors; v++, b += LANES) V(store)(b, V(load)(row + v * LANES));
      V(store)(b, V(load_masked)(row + v * LANES, mask));
    }
    FT(activate_blocks)(block, 1, activation);
    b = block, row = c;
    for (ptrdiff_t r = 0; r < count; r++, row += ld, b += LANES) {
      ptrdiff_t v = 0;
      for (; v + 1 < vectors; v++, b += LANES) V(store)(row + v * LANES, V(load)(b));
      V(store_masked)(row + v * LANES, mask, V(load)(b));
    }
  }
}

/* A tile of C with any strides. */
static void FT(activate_tile)(T *C, ptrdiff_t row_stride, ptrdiff_t col_stride, ptrdiff_t rows,
                              ptrdiff_t n, spk_activation activation) {
  if (n == 1 || (row_stride == 1 && col_stride != 1)) {
    /* By columns. */
    const ptrdiff_t stride = row_stride, count = rows;
    row_stride = n == 1 ? 0 : col_stride, col_stride = stride;
    rows = n, n = count;
  }
  if (col_stride == 1) {
    if (row_stride == n || rows == 1) n *= rows, rows = 1;
    const ptrdiff_t whole = rows > 1 ? n - n % SPK_BLOCK : n;
    if (whole > 0)
      for (ptrdiff_t i = 0; i < rows; i++) FT(activate_row)(C + i * row_stride, whole, activation);
    if (whole < n) FT(activate_short_rows)(C + whole, row_stride, rows, n - whole, activation);
    return;
  }
  for (ptrdiff_t i = 0; i < rows; i++)
    for (ptrdiff_t j = 0; j < n; j += SPK_BLOCK) {
      T block[SPK_BLOCK] = {0}, *c = C + i * row_stride + j * col_stride;
      const ptrdiff_t count = spk_min(SPK_BLOCK, n - j);
      for (ptrdiff_t u = 0; u < count; u++) block[u] = c[u * col_stride];
      FT(activate_blocks)(block, 1, activation);
      for (ptrdiff_t u = 0; u < count; u++) c[u * col_stride] = block[u];
    }
}
#undef SPK_BLOCK
#undef SPK_LIFT
#undef SPK_LIFTED
#undef SPK_C
#undef SPK_MAGIC
#undef EACH
#undef SPK_TOGETHER
