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

/* Multiples of 1/64 below 2, which halves of any kind hold, so that nothing depends on how they are
 * stored. */
static void simplify(sparse *A) {
  float *values = (float *)A->view.values;
  for (ptrdiff_t p = 0; p < A->entries; p++) values[p] = rintf(values[p] * 64) / 64;
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
  in_slices |= spk_prepared_layout(prepared) == SPK_SLICES;
  CHECK(spk_prepared_bytes(prepared) >
        (size_t)A->entries * (storage ? sizeof(uint16_t) : spk_dtype_size(A->view.dtype)));
  status = spk_prepared_spmm(prepared, &B->view, &C->view, e, threads);
  CHECK(status == SPK_OK, "prepared: %s", spk_status_string(status));
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
  const int ways = A.view.format == SPK_CSR ? 4 : 1;
  const matrix results[] = {C, matrix_copy(&old), matrix_copy(&old), matrix_copy(&old)};
  const spk_status status = spk_spmm(&A.view, &B.view, &C.view, &e, x->threads);
  CHECK(status == SPK_OK, "%s", spk_status_string(status));
  for (int way = 1; way < ways; way++)
    run_prepared(&A, &B, &results[way], &e, way == 3 ? 1 : 2 + random_below(200), x->threads);
  if (ways > 1 && x->a.sorted)
    CHECK(matrix_same_bits(&results[1], &results[2]), "two ways of packing");
  for (int way = 0; way < ways; way++) {
    const matrix *got = &results[way];
    for (ptrdiff_t i = 0; i < m; i++)
      for (ptrdiff_t j = 0; j < n; j++) {
        const exact c = exact_epilogue(expected[i * n + j], &e, matrix_get(&old, i, j),
                                       matrix_get(&bias_row, i, 0), matrix_get(&bias_col, j, 0));
        CHECK(exact_matches(c, dtype, matrix_get(got, i, j)), "%s: C[%td, %td] = %.17g, not %.17g",
              way ? "prepared" : "plain", i, j, matrix_get(got, i, j), c.value);
      }
    CHECK(matrix_gaps_intact(got));
  }
  note_kernel(&A.view, &B.view, &C.view, x->threads);
  free(expected);
  exact_memory_release();
}

static sparse_shape random_shape(ptrdiff_t most) {
  static const ptrdiff_t blocks[][2] = {{1, 1}, {2, 3}, {4, 4}, {16, 1}, {1, 8}, {5, 2}};
  const spk_format format = (spk_format)random_below(4);
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
  for (int format = 0; format < 4; format++)
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

int main(void) {
  if (!spk_isa()) return TEST_SKIPPED;
  seed_random(1912);
  check_small(2000);
  check_large();
  return test_result();
}
