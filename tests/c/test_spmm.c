/* spk_spmm against a plain loop in double: formats, types, layouts, epilogues, sizes, threads. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "epilogues.h"
#include "exact.h"
#include "matrix.h"
#include "sparse.h"

/* What the plans chose over all cases, from the kernels' names. */
static int packed, cut_in_blocks, strided, in_slices;

static matrix dense(spk_dtype dtype, ptrdiff_t rows, ptrdiff_t cols, layout how, int output) {
  ptrdiff_t row_stride, col_stride;
  matrix_strides(rows, cols, how, random_below(3), &row_stride, &col_stride);
  return output ? matrix_output(dtype, rows, cols, row_stride, col_stride)
                : matrix_input(dtype, rows, cols, row_stride, col_stride);
}

static matrix bias_of(spk_dtype dtype, ptrdiff_t count, int special) {
  matrix bias = matrix_input(dtype, count, 1, 1, 1);
  if (special && count > 0) matrix_put(&bias, count / 2, 0, NAN);
  return bias;
}

static void note_kernel(const spk_sparse *A, const spk_dense *B, const spk_dense *C, int threads) {
  char name[160] = "";
  CHECK(spk_spmm_kernel_name(A, B, C, threads, name, sizeof name) == SPK_OK);
  CHECK(!strncmp(name, "spmm_", 5), "%s", name);
  packed |= strstr(name, "packed") != NULL;
  cut_in_blocks |= strstr(name, "blocks of") != NULL;
  strided |= strstr(name, "strided") != NULL;
}

/* Multiples of 1/64 below 2, which float16 and bfloat16 hold, so that nothing depends on how they
 * are stored. */
static void simplify(sparse *A) {
  float *values = (float *)A->view.values;
  for (ptrdiff_t p = 0; p < A->entries; p++) values[p] = rintf(values[p] * 64) / 64;
}

/* What was packed comes out again, entry by entry, in any order where rows were not sorted or lie
 * in slices. */
static void check_unpacked(const sparse *A, const spk_prepared *prepared) {
  const size_t size = spk_dtype_size(A->view.dtype), entries = (size_t)A->view.nnz;
  int64_t *offsets = malloc(((size_t)A->view.rows + 1) * sizeof *offsets);
  int64_t *indices = malloc((entries + 1) * sizeof *indices);
  char *values = malloc((entries + 1) * size), *used = calloc(entries + 1, 1);
  CHECK(spk_prepared_csr(prepared, SPK_I64, offsets, indices, values) == SPK_OK);
  CHECK(offsets[0] == 0 && offsets[A->view.rows] == (int64_t)entries);
  for (ptrdiff_t p = 0; p < A->view.nnz; p++) {
    const ptrdiff_t row = A->row[p];
    ptrdiff_t q = offsets[row];
    while (q < offsets[row + 1] && (used[q] || indices[q] != A->col[p] ||
                                    get_value(values, A->view.dtype, q) != sparse_value(A, p)))
      q++;
    CHECK(q < offsets[row + 1], "entry (%td, %td) is missing", row, A->col[p]);
    used[q] = 1;
    if (A->view.flags & SPK_SORTED && spk_prepared_layout(prepared) == SPK_ROW_PANELS)
      CHECK(q == p, "entry %td is at %td", p, q);
  }
  free(offsets);
  free(indices);
  free(values);
  free(used);
}

/* Blocks of any height and any storage must do; if rows are sorted, the same bits come out. */
static void run_prepared(const sparse *A, const matrix *B, const matrix *C, const spk_epilogue *e,
                         ptrdiff_t width, int threads) {
  spk_prepared *prepared = NULL;
  const ptrdiff_t block_rows = width != 1 && random_below(2) ? random_below(A->view.cols + 2) : 0;
  const spk_storage storage =
      A->view.dtype == SPK_F32 ? (spk_storage)random_below(3) : SPK_STORAGE_SAME;
  spk_status status = spk_prepare(&A->view, width, block_rows, storage, threads, &prepared);
  CHECK(status == SPK_OK, "prepare: %s", spk_status_string(status));
  in_slices |= spk_prepared_layout(prepared) == SPK_SELL;
  CHECK(spk_prepared_bytes(prepared) >
        (size_t)A->entries * (storage ? sizeof(uint16_t) : spk_dtype_size(A->view.dtype)));
  status = spk_prepared_spmm(prepared, &B->view, &C->view, e, threads);
  CHECK(status == SPK_OK, "prepared: %s", spk_status_string(status));
  check_unpacked(A, prepared);
  spk_prepared_free(prepared);
}

typedef struct product {
  sparse_shape a;
  ptrdiff_t n;
  layout b_layout, c_layout;
  int epilogue, threads;
} product;

static void check_product(const product *x) {
  const epilogue_case *how = &epilogue_cases[x->epilogue];
  const spk_dtype dtype = x->a.dtype;
  const ptrdiff_t m = x->a.rows, k = x->a.cols, n = x->n;
  test_case(
      "%s %td x %td (blocks %td x %td, %td entries, %s), f%d i%d, n = %td, layouts %d %d, "
      "%d threads, %s",
      sparse_format_name(x->a.format), m, k, x->a.block_rows, x->a.block_cols, x->a.entries,
      x->a.sorted ? "sorted" : "unsorted", dtype == SPK_F32 ? 32 : 64,
      x->a.itype == SPK_I32 ? 32 : 64, n, x->b_layout, x->c_layout, x->threads, how->name);
  sparse A = sparse_random(&x->a);
  if (dtype == SPK_F32 && x->a.format == SPK_CSR) simplify(&A);
  const matrix B = dense(dtype, k, n, x->b_layout, 0);
  const matrix bias_row = bias_of(dtype, m, 0), bias_col = bias_of(dtype, n, how->special);
  exact_memory_freeze();
  matrix C = dense(dtype, m, n, x->c_layout, 1);
  if (how->beta == 0 && m > 0 && n > 0) matrix_put(&C, m - 1, n - 1, NAN);
  const matrix old = matrix_copy(&C);
  exact *expected = calloc((size_t)(m * n) + 1, sizeof *expected);
  for (ptrdiff_t p = 0; p < A.entries; p++)
    for (ptrdiff_t j = 0; j < n; j++)
      exact_add(&expected[A.row[p] * n + j], sparse_value(&A, p) * matrix_get(&B, A.col[p], j));

  const spk_epilogue e = {how->alpha, how->beta, how->bias_row ? bias_row.memory : NULL,
                          how->bias_col ? bias_col.memory : NULL, how->activation};
  const int strategies = A.view.format == SPK_CSR ? 4 : 1;
  const matrix results[] = {C, matrix_copy(&old), matrix_copy(&old), matrix_copy(&old)};
  const spk_status status = spk_spmm(&A.view, &B.view, &C.view, &e, x->threads);
  CHECK(status == SPK_OK, "%s", spk_status_string(status));
  for (int strategy = 1; strategy < strategies; strategy++)
    run_prepared(&A, &B, &results[strategy], &e, strategy == 3 ? 1 : 2 + random_below(200),
                 x->threads);
  if (strategies > 1 && x->a.sorted)
    CHECK(matrix_same_bits(&results[1], &results[2]), "two strategies of packing");
  for (int strategy = 0; strategy < strategies; strategy++) {
    const matrix *got = &results[strategy];
    for (ptrdiff_t i = 0; i < m; i++)
      for (ptrdiff_t j = 0; j < n; j++) {
        const exact c = exact_epilogue(expected[i * n + j], &e, matrix_get(&old, i, j),
                                       matrix_get(&bias_row, i, 0), matrix_get(&bias_col, j, 0));
        CHECK(exact_matches(c, dtype, matrix_get(got, i, j)), "%s: C[%td, %td] = %.17g, not %.17g",
              strategy ? "prepared" : "plain", i, j, matrix_get(got, i, j), c.value);
      }
    CHECK(matrix_gaps_intact(got));
  }
  note_kernel(&A.view, &B.view, &C.view, x->threads);
  free(expected);
  exact_memory_release();
}

static sparse_shape random_shape(ptrdiff_t most) {
  static const ptrdiff_t blocks[][2] = {{1, 1}, {2, 3}, {4, 4}, {16, 1}, {1, 8}, {5, 2}};
  const spk_format format = (spk_format)random_below(FORMATS);
  const ptrdiff_t *block = blocks[format == SPK_BSR ? random_below(6) : 0];
  return (sparse_shape){format,
                        (spk_dtype)random_below(2),
                        (spk_itype)random_below(2),
                        block[0] * random_below(most / block[0] + 1),
                        block[1] * random_below(most / block[1] + 1),
                        block[0],
                        block[1],
                        random_below(250),
                        (int)random_below(2)};
}

static void check_small(int count) {
  for (int i = 0; i < count; i++) {
    const product x = {random_shape(40),
                       random_below(4) ? random_below(20) : random_below(150),
                       (layout)random_below(INPUT_LAYOUTS),
                       (layout)random_below(OUTPUT_LAYOUTS),
                       (int)random_below(EPILOGUE_CASES),
                       (int)random_below(4)};
    check_product(&x);
  }
}

/* Shapes on which plans pack, stage and cut the inner dimension: B larger than a panel, few and
 * many entries per row. */
static void check_large(void) {
  static const ptrdiff_t shapes[][4] = {/* rows, cols, entries, n */
                                        {16, 20000, 180000, 40},
                                        {300, 2400, 3600, 35},
                                        {24, 20000, 1500, 17},
                                        {600, 48, 12000, 130}};
  for (int format = 0; format < FORMATS; format++)
    for (int s = 0; s < 4; s++)
      for (int how = 0; how < INPUT_LAYOUTS; how++) {
        if ((format + s + how / 2) % 2) continue; /* each two of the three meet, in both dtypes */
        const ptrdiff_t *shape = shapes[s], R = format == SPK_BSR ? 4 : 1, W = R == 4 ? 2 : 1;
        const product x = {{(spk_format)format, (spk_dtype)(how % 2), (spk_itype)(s % 2), shape[0],
                            shape[1], R, W, shape[2], how != SPACED},
                           shape[3],
                           (layout)how,
                           (layout)((how + s) % OUTPUT_LAYOUTS),
                           (how * 4 + s) % EPILOGUE_CASES,
                           1 + (s + how) % 3};
        check_product(&x);
      }
  CHECK(in_slices || strcmp(spk_isa(), "avx512"));
  CHECK(packed && cut_in_blocks && strided, "packed %d, cut in blocks %d, strided %d", packed,
        cut_in_blocks, strided);
}

/* --- alpha meets finished sums, in every format --- */

/* Every entry of A is a, of B is b and of C was old. */
typedef struct extreme {
  double a, b, alpha, beta, old;
} extreme;

static const extreme extremes[] = {
    /* float, where the product of alpha and b, or of alpha and a, overflows or underflows */
    {1e-30, 1e30, 1e10, 0, 0},
    {1e-30, 1e30, 1e10, 1, 2},
    {INFINITY, 1e-45, 0.5, 0, 0},
    {1e15, 1e-44, -2.5, 0, 0},
    {1e-38, 1e-30, 1e38, 0, 0},
    {1e-38, 1e-3, 1e38, 0, 0},
    {1e20, 1e20, 1e-30, 0, 0},
    {1e19, 1e19, -1, 1, 3e38},
    {1, 3e38, 1, 1.5, -3e38},
    {3, 5, INFINITY, 0, 0},
    {0, 5, INFINITY, 0, 0},
    {3, 5, NAN, 1, 4},
    {3, 5, 1e-60, 1e-60, NAN}, /* factors that are 0 in float */
    {3, 5, 1e60, 0, 0},
    /* double */
    {1e-300, 1e300, 1e100, 0, 0},
    {INFINITY, 5e-324, 0.5, 0, 0},
    {1e150, 1e-323, -2.5, 0, 0},
    {1e-300, 1e-300, 1e300, 0, 0},
};

/* Every operation rounded; what float products give in double is exact. */
static double ruled(spk_dtype dtype, const extreme *x, double sum) {
  const double alpha = spk_rounded(x->alpha, dtype), beta = spk_rounded(x->beta, dtype);
  const double scaled = spk_rounded(alpha * sum, dtype);
  if (beta == 0) return scaled;
  return spk_rounded(scaled + spk_rounded(beta * spk_rounded(x->old, dtype), dtype), dtype);
}

static void check_ruled(const char *what, const spk_sparse *A, const extreme *x, double sum,
                        ptrdiff_t n, layout b_layout, layout c_layout, int threads) {
  const spk_dtype dtype = A->dtype;
  test_case("%s %s f%d, %g * %g, alpha = %g, beta = %g, n = %td, layouts %d %d", what,
            sparse_format_name(A->format), dtype == SPK_F32 ? 32 : 64, x->a, x->b, x->alpha,
            x->beta, n, b_layout, c_layout);
  matrix B = dense(dtype, A->cols, n, b_layout, 1), C = dense(dtype, A->rows, n, c_layout, 1);
  for (ptrdiff_t j = 0; j < n; j++) {
    for (ptrdiff_t k = 0; k < A->cols; k++) matrix_put(&B, k, j, x->b);
    for (ptrdiff_t i = 0; i < A->rows; i++) matrix_put(&C, i, j, x->old);
  }
  const spk_epilogue e = {.alpha = x->alpha, .beta = x->beta};
  const double expected = ruled(dtype, x, sum);
  for (int strategy = 0; strategy < (A->format == SPK_CSR ? 3 : 1); strategy++) {
    const matrix result = matrix_copy(&C);
    spk_prepared *prepared = NULL;
    if (strategy == 0) {
      CHECK(spk_spmm(A, &B.view, &result.view, &e, threads) == SPK_OK);
    } else {
      CHECK(spk_prepare(A, strategy == 1 ? 1 : 64, 0, SPK_STORAGE_SAME, 1, &prepared) == SPK_OK);
      CHECK(spk_prepared_spmm(prepared, &B.view, &result.view, &e, threads) == SPK_OK);
      spk_prepared_free(prepared);
    }
    for (ptrdiff_t i = 0; i < A->rows; i++)
      for (ptrdiff_t j = 0; j < n; j++) {
        const double got = matrix_get(&result, i, j);
        CHECK(isnan(expected) ? isnan(got) : got == expected,
              "strategy %d: C[%td, %td] = %.9g, not %.9g", strategy, i, j, got, expected);
      }
  }
  exact_memory_release();
}

static void check_extremes(void) {
  enum { ROWS = 21 };
  static const ptrdiff_t widths[] = {1, 3, 40};
  int32_t offsets[ROWS + 1], diagonal[ROWS];
  for (int i = 0; i <= ROWS; i++) offsets[i] = i;
  for (int i = 0; i < ROWS; i++) diagonal[i] = (i + 1) % ROWS; /* not sorted */
  for (size_t c = 0; c < sizeof extremes / sizeof *extremes; c++)
    for (int format = 0; format <= FORMATS; format++)
      for (int dtype = 0; dtype < 2; dtype++) {
        const extreme *x = &extremes[c];
        float singles[ROWS];
        double doubles[ROWS];
        for (int i = 0; i < ROWS; i++) singles[i] = (float)x->a, doubles[i] = x->a;
        const int sorted_coo = format == FORMATS;
        const spk_sparse A = {.format = sorted_coo ? SPK_COO : (spk_format)format,
                              .dtype = (spk_dtype)dtype,
                              .itype = SPK_I32,
                              .rows = ROWS,
                              .cols = ROWS,
                              .block_rows = 1,
                              .block_cols = 1,
                              .nnz = ROWS,
                              .offsets = offsets,
                              .indices = sorted_coo ? offsets : diagonal,
                              .row_indices = sorted_coo ? offsets : diagonal,
                              .values = dtype == SPK_F32 ? (void *)singles : doubles};
        const double a = spk_rounded(x->a, A.dtype), b = spk_rounded(x->b, A.dtype);
        const double sum = spk_rounded(a * b, A.dtype);
        for (int w = 0; w < 3; w++)
          for (int how = 0; how < OUTPUT_LAYOUTS; how++)
            check_ruled("single", &A, x, sum, widths[w], (layout)how,
                        (layout)((how + c) % OUTPUT_LAYOUTS), 1 + (int)c % 3);
      }
}

/* Long rows, of which parts overflow times alpha; they are cut into blocks and panels. */
static void check_long_rows(void) {
  static const extreme cases[] = {{0x1p100, 1, 0x1p30, 0, 0}, {0x1p100, 1, 0x1p30, 1, 0x1p119}};
  enum { ROWS = 40, COLS = 9000 };
  static int32_t offsets[COLS + 1], indices[ROWS * COLS];
  static float values[ROWS * COLS];
  for (int format = 0; format < FORMATS; format++)
    for (int c = 0; c < 2; c++)
      for (int how = 0; how < OUTPUT_LAYOUTS; how++) {
        /* Powers of two, which add up exactly: + then -, and a smaller one. */
        static int32_t rows[ROWS * COLS];
        const int csc = format == SPK_CSC;
        const ptrdiff_t outer = csc ? COLS : ROWS, inner = csc ? ROWS : COLS;
        for (ptrdiff_t i = 0; i <= outer; i++) offsets[i] = (int32_t)(i * inner);
        for (ptrdiff_t i = 0; i < outer; i++)
          for (ptrdiff_t j = 0; j < inner; j++) {
            const ptrdiff_t k = csc ? i : j, p = i * inner + j;
            indices[p] = (int32_t)j;
            rows[p] = (int32_t)i;
            values[p] = k == 0 ? 0x1p90f : k % 2 == 0 ? 0.f : k < COLS / 2 ? 0x1p100f : -0x1p100f;
          }
        const spk_sparse A = {.format = (spk_format)format,
                              .dtype = SPK_F32,
                              .itype = SPK_I32,
                              .rows = ROWS,
                              .cols = COLS,
                              .block_rows = 1,
                              .block_cols = 1,
                              .nnz = ROWS * COLS,
                              .offsets = offsets,
                              .indices = indices,
                              .row_indices = rows,
                              .values = values};
        static const ptrdiff_t widths[] = {1, 17, 130};
        for (int w = 0; w < 3; w++) {
          check_ruled("long", &A, &cases[c], 0x1p90, widths[w], (layout)how,
                      (layout)((how + w) % OUTPUT_LAYOUTS), 1 + w);
        }
      }
}

int main(void) {
  if (!spk_isa()) return TEST_SKIPPED;
  seed_random(1912);
  check_extremes();
  check_long_rows();
  check_small(2000);
  check_large();
  return test_result();
}
