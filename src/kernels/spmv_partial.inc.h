/* CSR, CSC and COO x vector, into sums that no other task writes to (driver/partial_sums.c).
 *
 * A loop over the entries of a short row (column) ends in a branch that no predictor knows.  It
 * takes about 15 cycles, where an entry takes 2 to 3 (Zen 4, 100,000 rows of 3 entries: 8.8 ns a
 * row).  So rows go by blocks: first come the products of all entries of the block, which stay in
 * L1, and then their sums, row by row, by a number of masked loads that does not depend on the
 * length of the row (2.5 to 3 ns a row).  Products take 9 loads, 3 insertions, a multiplication and
 * a store for four entries; a core has three loads a cycle.
 *
 * If rows are longer, or so few that the predictor has learned their lengths after some products, a
 * loop over each row is as fast or faster, because loads of B wait while sums of blocks are made.
 * The plan decides it, from the shape and the entries of A alone (`by_blocks`).  The order in which
 * the entries of a row are added does not depend on how rows are cut into blocks.
 *
 * Indices are compared with their bound by vectors, block by block, just before they are used.  If
 * A comes from memory (`streams`), the product would wait for the indices twice a block; and the
 * loop of COO is bound by its five loads.  In these two cases, each index is compared as it is
 * used.  A pass over all indices before would cost 0.1 to 0.3 ns per entry.  A kernel that meets a
 * wrong index sets `outside` and returns. */
#define U SPK_CAT2(u, I)
/* The entries of a block.  Longer rows are summed one by one. */
#define BLOCK 512
/* The entries from which on a row has several sums, if the plan allows it.  Shorter rows take one
 * loop, and so one branch to mispredict. */
#define LONG_ROW 32

/* Whether all indices are below the bound: neither the index nor bound - 1 - index is negative. */
static __attribute__((noinline)) int FN(are_inside)(const I *idx, ptrdiff_t count, U bound) {
  const U last = bound - 1;
  U outside = 0;
  for (ptrdiff_t q = 0; q < count; q++) outside |= (U)idx[q] | (last - (U)idx[q]);
  return (I)outside >= 0;
}

/* The number of rows, at least one and at most `left`, whose entries fit a block. */
SPK_INLINE ptrdiff_t FN(rows_of_block)(const I *begin, const I *end, ptrdiff_t left) {
  ptrdiff_t rows = spk_min(left, BLOCK);
  while (rows > 1 && end[rows - 1] - begin[0] > BLOCK) rows = rows / 2;
  return rows;
}

#define TERM(q, u)                                             \
  do {                                                         \
    const U col = (U)idx[(q) + (u)];                           \
    if (checks && __builtin_expect(col >= bound, 0)) return 0; \
    s##u += val[(q) + (u)] * B[(ptrdiff_t)col * ldb];          \
  } while (0)

/* The sum of the entries p .. stop.  If it `checks`, returns 0 at an index that is not below the
 * bound. */
SPK_SCALAR_LOOPS SPK_INLINE int FN(sum_row)(T *sum, const I *idx, const T *val, ptrdiff_t p,
                                            ptrdiff_t stop, const T *B, const ptrdiff_t ldb,
                                            const int several, const int checks, U bound) {
  T s0 = 0;
  if (several && stop - p >= LONG_ROW) {
    T s1 = 0, s2 = 0, s3 = 0;
    for (; p + 4 <= stop; p += 4) {
      TERM(p, 0);
      TERM(p, 1);
      TERM(p, 2);
      TERM(p, 3);
    }
    s0 = (s0 + s1) + (s2 + s3);
  }
  for (; p < stop; p++) TERM(p, 0);
  *sum = s0;
  return 1;
}
#undef TERM

SPK_SCALAR_LOOPS SPK_INLINE int FN(csr_by_rows)(const spk_spmm_task *t, const ptrdiff_t ldb,
                                                const int several, const int checks) {
  const I *idx = t->indices, *begin = t->begin, *end = t->end;
  const T *val = t->values, *B = t->B;
  const U bound = (U)t->bound;
  T *C = t->C;
  ptrdiff_t rows = t->rows;
  for (ptrdiff_t i = 0; i < t->rows; i += rows) {
    if (!checks) {
      rows = FN(rows_of_block)(begin + i, end + i, t->rows - i);
      if (!FN(are_inside)(idx + begin[i], end[i + rows - 1] - begin[i], bound)) return 0;
    }
    for (ptrdiff_t r = i; r < i + rows; r++)
      if (!FN(sum_row)(C + r, idx, val, begin[r], end[r], B, ldb, several, checks, bound)) return 0;
  }
  return 1;
}

#ifdef SPK_FAST_LOAD_MASKED
typedef T FN(few) __attribute__((vector_size(16), aligned(sizeof(T)), may_alias));
#define FEW ((int)(16 / sizeof(T)))

/* to[q] = val[q] * B[idx[q] * ldb] for q < count, by whole groups.  The last group may overlap the
 * one before. */
SPK_SCALAR_LOOPS SPK_INLINE void FN(products)(T *to, const I *idx, const T *val, ptrdiff_t count,
                                              const T *B, const ptrdiff_t ldb) {
  if (count < FEW) {
    for (ptrdiff_t q = 0; q < count; q++) to[q] = val[q] * B[(ptrdiff_t)idx[q] * ldb];
    return;
  }
  for (ptrdiff_t q = 0; q < count; q += FEW) {
    q = spk_min(q, count - FEW);
    FN(few) x = {0};
    SPK_UNROLL for (int u = 0; u < FEW; u++) x[u] = B[(ptrdiff_t)(U)idx[q + u] * ldb];
    *(FN(few) *)(to + q) = *(const FN(few) *)(val + q) * x;
  }
}

static __attribute__((noinline)) void FN(products_of_near)(T *to, const I *idx, const T *val,
                                                           ptrdiff_t count, const T *B) {
  FN(products)(to, idx, val, count, B, 1);
}

static __attribute__((noinline)) void FN(products_of_far)(T *to, const I *idx, const T *val,
                                                          ptrdiff_t count, const T *B,
                                                          ptrdiff_t ldb) {
  FN(products)(to, idx, val, count, B, ldb);
}

/* A mask of those of the first `count` lanes that lie in vector v. */
SPK_INLINE MASK FN(lanes_of)(ptrdiff_t count, ptrdiff_t v) {
  const ptrdiff_t left = v == 0 ? count : spk_max(0, count - v * LANES);
  return V(mask)(spk_min(left, LANES));
}

SPK_INLINE VEC FN(fold_row)(const T *products, ptrdiff_t count, const int vectors) {
  VEC x = V(load_masked)(products, FN(lanes_of)(count, 0));
  SPK_UNROLL for (int v = 1; v < vectors; v++) x =
      V(add)(x, V(load_masked)(products + v * LANES, FN(lanes_of)(count, v)));
  for (ptrdiff_t v = vectors; v * LANES < count; v++)
    x = V(add)(x, V(load_masked)(products + v * LANES, FN(lanes_of)(count, v)));
  /* A lane of -0 becomes 0, as if the lanes that are left out were added.  The sign of a row of
   * zeros must not depend on its neighbours, which determine `vectors`. */
  return V(add)(x, V(zero)());
}

/* sums[i] of the products of row i, which go from begin[i] - first to end[i] - first. */
SPK_INLINE void FN(fold_rows)(T *sums, const T *products, const I *begin, const I *end,
                              ptrdiff_t first, ptrdiff_t rows, const int vectors) {
  ptrdiff_t i = 0;
  for (; i + 8 <= rows; i += 8) {
    VEC x[8];
    SPK_UNROLL for (int r = 0; r < 8; r++) x[r] =
        FN(fold_row)(products + (begin[i + r] - first), end[i + r] - begin[i + r], vectors);
    V(reduce8)(x, sums + i);
  }
  if (i == rows) return;
  VEC x[8];
  T rest[8];
  SPK_UNROLL for (int r = 0; r < 8; r++) x[r] = V(zero)();
  for (int r = 0; r < rows - i; r++)
    x[r] = FN(fold_row)(products + (begin[i + r] - first), end[i + r] - begin[i + r], vectors);
  V(reduce8)(x, rest);
  for (int r = 0; r < rows - i; r++) sums[i + r] = rest[r];
}

/* Enough vectors are loaded without a branch to make the loop over further vectors rare. */
static void FN(sum_rows)(T *sums, const T *products, const I *begin, const I *end, ptrdiff_t first,
                         ptrdiff_t rows) {
  const ptrdiff_t entries = end[rows - 1] - first;
  if (2 * entries <= rows * LANES)
    FN(fold_rows)(sums, products, begin, end, first, rows, 1);
  else if (entries <= rows * LANES)
    FN(fold_rows)(sums, products, begin, end, first, rows, 2);
  else
    FN(fold_rows)(sums, products, begin, end, first, rows, 4);
}

static int FN(csr_by_blocks)(const spk_spmm_task *t) {
  const I *idx = t->indices, *begin = t->begin, *end = t->end;
  const T *val = t->values, *B = t->B;
  const ptrdiff_t ldb = t->ldb;
  T *C = t->C;
  T products[BLOCK];
  ptrdiff_t rows;
  for (ptrdiff_t i = 0; i < t->rows; i += rows) {
    rows = FN(rows_of_block)(begin + i, end + i, t->rows - i);
    rows = rows > 8 ? rows / 8 * 8 : rows;
    const ptrdiff_t p = begin[i], count = end[i + rows - 1] - p;
    if (!FN(are_inside)(idx + p, count, (U)t->bound)) return 0;
    if (count > BLOCK) {
      FN(sum_row)(C + i, idx, val, p, p + count, B, ldb, 1, 0, (U)t->bound);
      continue;
    }
    if (ldb == 1)
      FN(products_of_near)(products, idx + p, val + p, count, B);
    else
      FN(products_of_far)(products, idx + p, val + p, count, B, ldb);
    FN(sum_rows)(C + i, products, begin + i, end + i, p, rows);
  }
  return 1;
}
#endif

/* CSR, whose indices are columns and whose rows follow one another: C[i] of row i. */
SPK_SCALAR_LOOPS static void FN(spmv_partial_csr)(const spk_spmm_task *t) {
  const int several = t->several;
  int right;
#ifdef SPK_FAST_LOAD_MASKED
  if (t->by_blocks)
    right = FN(csr_by_blocks)(t);
  else
#endif
      if (t->ldb != 1)
    right = FN(csr_by_rows)(t, t->ldb, several, 1);
  else if (t->streams)
    right = several ? FN(csr_by_rows)(t, 1, 1, 1) : FN(csr_by_rows)(t, 1, 0, 1);
  else
    right = several ? FN(csr_by_rows)(t, 1, 1, 0) : FN(csr_by_rows)(t, 1, 0, 0);
  if (!right) *t->outside = 1;
}

#ifdef SPK_FAST_LOAD_MASKED
/* x[k] times the values of column k, for columns whose entries fit a block.  Whole vectors are
 * stored, and the next column overwrites what is too much. */
static __attribute__((noinline)) void FN(expand_columns)(T *to, const T *val, const I *begin,
                                                         const I *end, const T *x, ptrdiff_t ldb,
                                                         ptrdiff_t columns) {
  const ptrdiff_t first = begin[0];
  for (ptrdiff_t k = 0; k < columns; k++, x += ldb) {
    const ptrdiff_t p = begin[k], count = end[k] - p, at = p - first;
    const VEC a = V(set1)(*x);
    /* The test keeps writes inside of `to`, even if another thread writes to the offsets at this
     * moment. */
    if (__builtin_expect((size_t)at > BLOCK || (size_t)count > (size_t)(BLOCK - at), 0)) return;
    V(store)(to + at, V(mul)(V(load_masked)(val + p, FN(lanes_of)(count, 0)), a));
    for (ptrdiff_t v = 1; v * LANES < count; v++)
      V(store)(to + at + v * LANES,
               V(mul)(V(load_masked)(val + p + v * LANES, FN(lanes_of)(count, v)), a));
  }
}

SPK_SCALAR_LOOPS static void FN(add_products)(T *C, const I *idx, const T *products,
                                              ptrdiff_t count) {
  for (ptrdiff_t q = 0; q < count; q++) C[idx[q]] += products[q];
}

static int FN(csc_by_blocks)(const spk_spmm_task *t) {
  const I *idx = t->indices, *begin = t->begin, *end = t->end;
  const T *B = t->B;
  T products[BLOCK + LANES];
  ptrdiff_t columns;
  for (ptrdiff_t k = 0; k < t->rows; k += columns) {
    columns = FN(rows_of_block)(begin + k, end + k, t->rows - k);
    const ptrdiff_t last = end[k + columns - 1];
    /* A longer column goes by parts. */
    for (ptrdiff_t p = begin[k], count; p < last; p += count) {
      count = spk_min(BLOCK, last - p);
      const I part[2] = {(I)p, (I)(p + count)};
      const int whole = columns > 1;
      if (!FN(are_inside)(idx + p, count, (U)t->bound)) return 0;
      FN(expand_columns)(products, t->values, whole ? begin + k : part, whole ? end + k : part + 1,
                         B + k * t->ldb, t->ldb, columns);
      FN(add_products)(t->C, idx + p, products, count);
    }
  }
  return 1;
}
#endif

SPK_SCALAR_LOOPS SPK_INLINE int FN(csc_by_columns)(const spk_spmm_task *t, const int checks) {
  const I *idx = t->indices, *begin = t->begin, *end = t->end;
  const T *val = t->values, *b = t->B;
  const ptrdiff_t ldb = t->ldb, all = t->rows;
  const U bound = (U)t->bound;
  T *C = t->C;
  ptrdiff_t columns = all;
  for (ptrdiff_t k = 0; k < all; k += columns) {
    if (!checks) {
      columns = FN(rows_of_block)(begin + k, end + k, all - k);
      if (!FN(are_inside)(idx + begin[k], end[k + columns - 1] - begin[k], bound)) return 0;
    }
    for (ptrdiff_t c = k; c < k + columns; c++, b += ldb) {
      const T x = *b;
      const ptrdiff_t stop = end[c];
      for (ptrdiff_t p = begin[c]; p < stop; p++) {
        const U row = (U)idx[p];
        if (checks && __builtin_expect(row >= bound, 0)) return 0;
        C[row] += val[p] * x;
      }
    }
  }
  return 1;
}

/* B has any stride. */
SPK_SCALAR_LOOPS static void FN(spmv_partial_csc)(const spk_spmm_task *t) {
  int right;
#ifdef SPK_FAST_LOAD_MASKED
  if (t->by_blocks)
    right = FN(csc_by_blocks)(t);
  else
#endif
    right = t->streams ? FN(csc_by_columns)(t, 1) : FN(csc_by_columns)(t, 0);
  if (!right) *t->outside = 1;
}

/* If `sorted`, the sum of a row stays in a register.  Otherwise entries would wait for the store
 * before (3.1 ns per entry, and 0.9 in a register; doc/decisions/vectors.rst, decision-coo-runs).
 * The bits are the same. */
SPK_SCALAR_LOOPS SPK_INLINE int FN(coo_entries)(const spk_spmm_task *t, const ptrdiff_t ldb,
                                                const int sorted) {
  const I *row_of = t->rows_coo, *col_of = t->indices;
  const T *val = t->values, *B = t->B;
  const ptrdiff_t count = t->rows;
  const U bound = (U)t->bound, col_bound = (U)t->col_bound;
  T *C = t->C;
  U at = 0;
  T sum = C[0];
  for (ptrdiff_t p = 0; p < count; p++) {
    const U row = (U)row_of[p], col = (U)col_of[p];
    if (__builtin_expect(row >= bound, 0)) return 0;
    if (__builtin_expect(col >= col_bound, 0)) return 0;
    const T term = val[p] * B[(ptrdiff_t)col * ldb];
    if (!sorted) {
      C[row] += term;
      continue;
    }
    if (row != at) {
      C[at] = sum;
      at = row;
      sum = C[at];
    }
    sum += term;
  }
  if (sorted) C[at] = sum;
  return 1;
}

SPK_SCALAR_LOOPS static void FN(spmv_partial_coo)(const spk_spmm_task *t) {
  const int runs = FN(has_runs)(t, MANY_SHARED_VECTOR);
  int right;
  if (t->ldb == 1)
    right = runs ? FN(coo_entries)(t, 1, 1) : FN(coo_entries)(t, 1, 0);
  else
    right = runs ? FN(coo_entries)(t, t->ldb, 1) : FN(coo_entries)(t, t->ldb, 0);
  if (!right) *t->outside = 1;
}
#undef MANY_SHARED
#undef MANY_SHARED_VECTOR
#undef BLOCK
#undef LONG_ROW
#undef FEW
#undef U
