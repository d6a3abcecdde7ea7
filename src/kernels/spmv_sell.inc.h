/* SELL slices x a vector: a step multiplies one entry of every row of a slice.
 *
 * Port model: a step loads its values, and every 32 / SPK_PERMUTE_BITS steps a vector of permutes.
 * It takes a shift, a permute and an FMA.  A segment loads the two vectors of its window and its
 * sums, and stores the sums.  With AVX-512 on Zen 4, shifts and permutes of 64 bytes share a pipe
 * that does one a cycle, so a step takes 2 cycles; but values and permutes come from L2 at 32 bytes
 * a cycle, which makes 2.3.  If rows share their columns, a step with one group loads its values
 * and broadcasts an element of x.
 *
 * With AVX2, a permute from two vectors takes two, a shift and a blend.  Windows of one vector take
 * one, if they need no padding; if they do, a zero comes from a second vector. */
#ifdef SPK_PERMUTE_BITS

#ifndef SPK_STORED_VALUES /* whether values may be stored in fewer bits */
#define SPK_STORED_VALUES (sizeof(T) == sizeof(float))
#endif

static void FT(spmv_sell_windows)(void *windows, const void *src, ptrdiff_t stride,
                                  ptrdiff_t count) {
  T *to = windows;
  const T *from = src;
  for (; count > 0; count -= 2 * LANES - 1, from += (2 * LANES - 1) * stride, to += 2 * LANES) {
    const ptrdiff_t here = spk_min(count, 2 * LANES - 1), low = spk_min(here, LANES);
    if (stride == 1) {
      V(store)(to, V(load_masked)(from, V(mask)(low)));
      V(store)(to + LANES, V(load_masked)(from + low, V(mask)(here - low)));
    } else {
      for (ptrdiff_t i = 0; i < here; i++) to[i] = from[i * stride];
      for (ptrdiff_t i = here; i < 2 * LANES; i++) to[i] = (T)0;
    }
  }
}

enum { FT(CODES_PER_WORD) = 32 / SPK_PERMUTE_BITS };

/* Where the arrays of the next segment begin. */
typedef struct FT(sell_at) {
  const spk_sell_segment *segment;
  const uint32_t *permutes;
  const char *values;
} FT(sell_at);

/* Bytes of the stored values of a vector. */
SPK_INLINE ptrdiff_t FT(sell_bytes)(const spk_storage stored) {
  const ptrdiff_t each = stored == SPK_STORAGE_SAME ? (ptrdiff_t)sizeof(T)
                         : stored == SPK_STORAGE_S8 ? 1
                                                    : 2;
  return each * LANES;
}

/* The values of a step, converted from what is stored. */
SPK_INLINE VEC FT(sell_values)(const char *p, const spk_storage stored) {
  if (stored == SPK_STORAGE_SAME) return V(load)((const T *)(const void *)p);
  const v_f32 converted = stored == SPK_STORAGE_S8 ? v_f32_from_s8((const int8_t *)p)
                          : stored == SPK_STORAGE_F16
                              ? v_f32_from_f16((const uint16_t *)(const void *)p)
                              : v_f32_from_bf16((const uint16_t *)(const void *)p);
  VEC v; /* T is float here, which double's compiler does not know */
  memcpy(&v, &converted, sizeof v);
  return v;
}

/* The elements of x of a step. */
SPK_INLINE VEC FT(sell_select)(VEC low, VEC high, spk_codes permutes, const int kind) {
  return kind == SPK_SELL_ONE ? V(permute)(low, permutes) : V(permute2)(low, high, permutes);
}

SPK_INLINE VEC FT(sell_steps)(VEC sum, VEC low, VEC high, FT(sell_at) * at, ptrdiff_t steps,
                              const int kind, const spk_storage stored) {
  spk_codes permutes = spk_codes_load(at->permutes);
  at->permutes += LANES * sizeof(T) / sizeof *at->permutes;
  SPK_UNROLL for (ptrdiff_t i = 0; i < steps; i++, at->values += FT(sell_bytes)(stored)) {
    if (i > 0) permutes = spk_codes_next(permutes);
    sum = V(fma)(FT(sell_values)(at->values, stored), FT(sell_select)(low, high, permutes, kind),
                 sum);
  }
  return sum;
}

/* All segments of a run.  `fixed` is their number of steps if it is a constant, else 0. */
SPK_INLINE void FT(sell_run)(FT(sell_at) * to, const spk_sell_run *run, const T *x, T *sums,
                             const ptrdiff_t fixed, const int kind, const spk_storage stored) {
  const ptrdiff_t most = FT(CODES_PER_WORD);
  FT(sell_at) at = *to;
  for (const spk_sell_segment *end = at.segment + run->segments; at.segment < end; at.segment++) {
    const T *window = x + (ptrdiff_t)at.segment->window * (kind == SPK_SELL_TWO ? 2 : 1) * LANES;
    T *s = sums + (ptrdiff_t)at.segment->slice * LANES;
    const VEC low = V(load)(window);
    const VEC high = kind == SPK_SELL_TWO ? V(load)(window + LANES) : V(zero)();
    VEC sum = V(load)(s);
    if (fixed) {
      SPK_UNROLL for (ptrdiff_t i = 0; i < fixed; i += most) sum =
          FT(sell_steps)(sum, low, high, &at, fixed - i < most ? fixed - i : most, kind, stored);
    } else {
      /* Two sums hide the latency of the FMA. */
      VEC other = V(zero)();
      ptrdiff_t left = run->steps;
      for (; left >= 2 * most; left -= 2 * most) {
        sum = FT(sell_steps)(sum, low, high, &at, most, kind, stored);
        other = FT(sell_steps)(other, low, high, &at, most, kind, stored);
      }
      if (left >= most) {
        sum = FT(sell_steps)(sum, low, high, &at, most, kind, stored);
        left -= most;
      }
      if (left > 0) {
        spk_codes permutes = spk_codes_load(at.permutes);
        at.permutes += LANES * sizeof(T) / sizeof *at.permutes;
        for (; left > 0; left--, permutes = spk_codes_next(permutes)) {
          other = V(fma)(FT(sell_values)(at.values, stored),
                         FT(sell_select)(low, high, permutes, kind), other);
          at.values += FT(sell_bytes)(stored);
        }
      }
      sum = V(add)(sum, other);
    }
    V(store)(s, sum);
  }
  *to = at;
}

/* x[o[g]] in each of `groups` groups of lanes. */
SPK_INLINE VEC FT(sell_spread)(const T *x, const uint32_t *o, const int groups) {
  VEC v = V(set1)(x[o[0]]);
  const int lanes = LANES / groups;
  SPK_UNROLL for (int g = 1; g < groups; g++) v =
      V(blend)(V(set1)(x[o[g]]), ((1u << lanes) - 1u) << (g * lanes), v);
  return v;
}

/* A run of one segment without permutes: `groups` + 1 loads per step.  Four sums hide the latency
 * of the FMA. */
SPK_INLINE void FT(sell_shared)(FT(sell_at) * at, const spk_sell_run *run, const T *x, T *sums,
                                const int groups, const spk_storage stored) {
  const ptrdiff_t words = LANES * sizeof(T) / sizeof *at->permutes, steps = run->steps;
  const uint32_t *o = at->permutes;
  const ptrdiff_t bytes = FT(sell_bytes)(stored);
  const char *a = at->values;
  T *s = sums + (ptrdiff_t)at->segment->slice * LANES;
  VEC sum[4] = {V(load)(s), V(zero)(), V(zero)(), V(zero)()};
  ptrdiff_t i = 0;
  for (; i + 4 <= steps; i += 4, a += 4 * bytes, o += 4 * groups)
    SPK_UNROLL for (int u = 0; u < 4; u++) sum[u] = V(fma)(
        FT(sell_values)(a + u * bytes, stored), FT(sell_spread)(x, o + u * groups, groups), sum[u]);
  for (; i < steps; i++, a += bytes, o += groups)
    sum[0] = V(fma)(FT(sell_values)(a, stored), FT(sell_spread)(x, o, groups), sum[0]);
  V(store)(s, V(add)(V(add)(sum[0], sum[1]), V(add)(sum[2], sum[3])));
  at->segment++;
  at->values = a;
  at->permutes += spk_ceil_div(steps * groups, words) * words;
}

/* The same for blocks: a load per group of lanes for four steps. */
SPK_INLINE void FT(sell_blocks)(FT(sell_at) * at, const spk_sell_run *run, const T *x, T *sums,
                                const spk_storage stored) {
  enum { GROUPS = LANES / 4 };
  const ptrdiff_t words = LANES * sizeof(T) / sizeof *at->permutes, blocks = run->steps / 4;
  const uint32_t *o = at->permutes;
  const ptrdiff_t bytes = FT(sell_bytes)(stored);
  const char *a = at->values;
  T *s = sums + (ptrdiff_t)at->segment->slice * LANES;
  VEC sum[4] = {V(load)(s), V(zero)(), V(zero)(), V(zero)()};
  for (ptrdiff_t i = 0; i < blocks; i++, a += 4 * bytes, o += GROUPS) {
    const T *p[GROUPS];
    VEC each[4];
    SPK_UNROLL for (int g = 0; g < GROUPS; g++) p[g] = x + o[g];
    V(load4)(p, each);
    SPK_UNROLL for (int u = 0; u < 4; u++) sum[u] =
        V(fma)(FT(sell_values)(a + u * bytes, stored), each[u], sum[u]);
  }
  V(store)(s, V(add)(V(add)(sum[0], sum[1]), V(add)(sum[2], sum[3])));
  at->segment++;
  at->values = a;
  at->permutes += spk_ceil_div(blocks * GROUPS, words) * words;
}

/* A run with permutes, by its number of steps. */
SPK_INLINE void FT(sell_permuted)(FT(sell_at) * at, const spk_sell_run *run, const T *x, T *sums,
                                  const int kind, const spk_storage stored) {
#define SPK_STEPS(n)                                 \
  case n:                                            \
    FT(sell_run)(at, run, x, sums, n, kind, stored); \
    break;
  switch (run->steps) {
    SPK_STEPS(1)
    SPK_STEPS(2)
    SPK_STEPS(3)
    SPK_STEPS(4)
    SPK_STEPS(5)
    SPK_STEPS(6)
    SPK_STEPS(7)
    SPK_STEPS(8)
    default:
      FT(sell_run)(at, run, x, sums, 0, kind, stored);
  }
#undef SPK_STEPS
}

/* The sums of a row panel. */
SPK_INLINE void FT(sell_sums)(const spk_sell_task *t, const spk_storage stored) {
  const T *x = t->x, *plain = t->plain;
  T *sums = t->sums;
  for (ptrdiff_t i = 0; i < t->rows; i += LANES) V(store)(sums + i, V(zero)());
  FT(sell_at) at = {t->segments, t->permutes, t->values};
  for (ptrdiff_t r = 0; r < t->run_count; r++) {
    const spk_sell_run *run = &t->runs[r];
    switch (run->shared) {
      case 1:
        FT(sell_shared)(&at, run, plain, sums, 1, stored);
        continue;
      case 2:
        FT(sell_shared)(&at, run, plain, sums, 2, stored);
        continue;
      case 4:
        FT(sell_shared)(&at, run, plain, sums, 4, stored);
        continue;
      case SPK_SELL_BLOCKS:
        FT(sell_blocks)(&at, run, plain, sums, stored);
        continue;
      default:
        break;
    }
    switch (t->windows) {
      case SPK_SELL_ONE:
        FT(sell_permuted)(&at, run, x, sums, SPK_SELL_ONE, stored);
        break;
      case SPK_SELL_ONE_PADDED:
        FT(sell_permuted)(&at, run, x, sums, SPK_SELL_ONE_PADDED, stored);
        break;
      default:
        FT(sell_permuted)(&at, run, x, sums, SPK_SELL_TWO, stored);
    }
  }
}

static void FT(spmv_sell)(const spk_sell_task *t) {
  switch (SPK_STORED_VALUES ? t->storage : SPK_STORAGE_SAME) {
    case SPK_STORAGE_F16:
      FT(sell_sums)(t, SPK_STORAGE_F16);
      break;
    case SPK_STORAGE_BF16:
      FT(sell_sums)(t, SPK_STORAGE_BF16);
      break;
    case SPK_STORAGE_S8:
      FT(sell_sums)(t, SPK_STORAGE_S8);
      break;
    default:
      FT(sell_sums)(t, SPK_STORAGE_SAME);
  }
  T *sums = t->sums;
  T *C = t->C;
  const uint32_t *ids = t->row_ids;
  const ptrdiff_t rows = t->rows, first = t->first, ldc = t->ldc;
  if (t->scales)
    for (ptrdiff_t i = 0; i < rows; i++)
      sums[i] *= (T)t->scales[ids ? (ptrdiff_t)ids[i] : first + i];
  spk_epilogue e = t->epilogue;
  const spk_activation activation = FT(take_activation)(&e);
  if (FT(store_mode_of)(&e) != FT(STORE_PLAIN))
    for (ptrdiff_t i = 0; i < rows; i++) {
      const ptrdiff_t row = ids ? (ptrdiff_t)ids[i] : first + i;
      sums[i] = FT(finished)(sums[i], C + row * ldc, row, 0, &e);
    }
  if (activation) FT(activate_row)(sums, rows, activation);
  if (ids) {
    for (ptrdiff_t i = 0; i < rows; i++) C[ids[i] * ldc] = sums[i];
  } else if (ldc == 1) {
    memcpy(C + first, sums, (size_t)rows * sizeof(T));
  } else {
    for (ptrdiff_t i = 0; i < rows; i++) C[(first + i) * ldc] = sums[i];
  }
}
#endif
