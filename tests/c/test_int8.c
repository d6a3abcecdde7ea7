/* spk_int8_spmm: against sums of products, exactly; layouts, threads, blocks, what is refused. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "../../src/dispatch/dispatch.h"
#include "sparse.h"
#include "testing.h"

/* Values for the entries of A, and bytes of any layout. */
typedef struct product {
  sparse A;
  int8_t *values;
  spk_bytes B;
} product;

static product random_product(const sparse_shape *shape, ptrdiff_t n, int is_signed, int how) {
  product p = {.A = sparse_random(shape)};
  const ptrdiff_t rows = shape->cols;
  p.values = exact_memory((size_t)p.A.entries);
  for (ptrdiff_t e = 0; e < p.A.entries; e++) p.values[e] = (int8_t)(random_below(256) - 128);
  p.B = (spk_bytes){.is_signed = is_signed, .rows = rows, .cols = n};
  p.B.row_stride = how ? 1 : n + 1;
  p.B.col_stride = how ? rows + 2 : 1;
  const ptrdiff_t held = rows && n ? (rows - 1) * p.B.row_stride + (n - 1) * p.B.col_stride + 1 : 0;
  uint8_t *bytes = exact_memory((size_t)held);
  for (ptrdiff_t i = 0; i < held; i++) bytes[i] = (uint8_t)random_below(256);
  p.B.data = bytes;
  return p;
}

static int32_t byte_at(const spk_bytes *B, ptrdiff_t k, ptrdiff_t j) {
  const uint8_t x = ((const uint8_t *)B->data)[k * B->row_stride + j * B->col_stride];
  return B->is_signed ? (int8_t)x : x;
}

static void check_product(const sparse_shape *shape, ptrdiff_t n, int is_signed, int how,
                          int threads, ptrdiff_t width) {
  test_case("%td x %td, %td columns, for %td, signed %d, layout %d, %d threads", shape->rows,
            shape->cols, n, width, is_signed, how, threads);
  const product p = random_product(shape, n, is_signed, how);
  exact_memory_freeze();
  spk_int8 *made = NULL;
  spk_status status = spk_int8_prepare(&p.A.view, p.values, width, threads, &made);
  CHECK(status == SPK_OK, "%s", spk_status_string(status));
  CHECK(spk_int8_bytes(made) > 0 && spk_int8_share(made) >= 0 && spk_int8_share(made) <= 1);
  const int has_block4 = spk_active_kernels()->bytes != NULL;
  const spk_layout layout = spk_int8_layout(made);
  if (!has_block4) CHECK(layout == SPK_INT8_GATHER4, "%d", layout);
  if (has_block4 && width == 7) CHECK(layout == SPK_ROW_PANELS, "%d", layout);
  if (has_block4 && width != 1) CHECK(layout != SPK_SELL, "%d", layout);
  const int zero = is_signed ? -128 + (int)random_below(256) : (int)random_below(256);
  /* One for all columns, or one for each. */
  int32_t *zeros = random_below(2) ? exact_memory((size_t)n * sizeof *zeros) : NULL;
  for (ptrdiff_t j = 0; zeros && j < n; j++)
    zeros[j] = (int32_t)random_below(256) - (is_signed ? 128 : 0);
  const spk_requantise what = {
      .result = SPK_RESULT_I32, .zero_point = zero, .column_zero_points = zeros};
  int32_t *C = exact_memory((size_t)(shape->rows * n) * sizeof *C);
  status = spk_int8_spmm(made, &p.B, C, how ? 1 : n, how ? shape->rows : 1, &what, threads);
  CHECK(status == SPK_OK, "%s", spk_status_string(status));
  for (ptrdiff_t i = 0; i < shape->rows; i++)
    for (ptrdiff_t j = 0; j < n; j++) {
      int64_t sum = 0;
      for (ptrdiff_t e = spk_index(p.A.view.offsets, shape->itype, i);
           e < spk_index(p.A.view.offsets, shape->itype, i + 1); e++)
        sum += p.values[e] * (byte_at(&p.B, spk_index(p.A.view.indices, shape->itype, e), j) -
                              (zeros ? zeros[j] : zero));
      const int32_t got = C[how ? j * shape->rows + i : i * n + j];
      CHECK(got == sum, "[%td, %td] = %d, not %lld", i, j, got, (long long)sum);
    }
  spk_int8_free(made);
  exact_memory_release();
}

/* Groups of rows with the same columns, of which some lack a few: by four, or not. */
static void check_groups(ptrdiff_t lacking, ptrdiff_t width) {
  enum { HEIGHT = 64, WIDTH = 90, N = 5, PER_ROW = 13 };
  test_case("rows in groups that lack %td, for %td columns", lacking, width);
  int32_t offsets[HEIGHT + 1] = {0}, indices[HEIGHT * PER_ROW];
  int8_t values[HEIGHT * PER_ROW];
  for (int i = 0; i < HEIGHT; i++) {
    offsets[i + 1] = offsets[i];
    for (int k = 0; k < PER_ROW; k++) {
      if (random_below(PER_ROW) < lacking) continue;
      values[offsets[i + 1]] = (int8_t)(random_below(256) - 128);
      indices[offsets[i + 1]++] = 5 * k + i / 4;
    }
  }
  const spk_sparse A = {.format = SPK_CSR,
                        .itype = SPK_I32,
                        .rows = HEIGHT,
                        .cols = WIDTH,
                        .nnz = offsets[HEIGHT],
                        .block_rows = 1,
                        .block_cols = 1,
                        .offsets = offsets,
                        .indices = indices};
  uint8_t B[WIDTH * N];
  for (int i = 0; i < WIDTH * N; i++) B[i] = (uint8_t)random_below(256);
  const spk_bytes b = {.rows = WIDTH, .cols = N, .row_stride = N, .col_stride = 1, .data = B};
  spk_int8 *made = NULL;
  CHECK(spk_int8_prepare(&A, values, width, 1, &made) == SPK_OK);
  if (lacking == 0 && width != 1) CHECK(spk_int8_share(made) == 1, "%g", spk_int8_share(made));
  if (lacking == PER_ROW - 2) CHECK(spk_int8_share(made) < 1);
  const spk_requantise what = {.result = SPK_RESULT_I32};
  int32_t C[HEIGHT * N];
  CHECK(spk_int8_spmm(made, &b, C, N, 1, &what, 1) == SPK_OK);
  for (int i = 0; i < HEIGHT; i++)
    for (int j = 0; j < N; j++) {
      int32_t sum = 0;
      for (int e = offsets[i]; e < offsets[i + 1]; e++) sum += values[e] * B[indices[e] * N + j];
      CHECK(C[i * N + j] == sum, "[%d, %d] = %d, not %d", i, j, C[i * N + j], sum);
    }
  spk_int8_free(made);
}

/* The most that a row may have, against bytes that make the most of it. */
static void check_extremes(void) {
  enum { LENGTH = INT_MAX / 255 / 127 };
  test_case("extremes");
  int32_t *indices = malloc((LENGTH + 1) * sizeof *indices);
  int8_t *values = malloc(LENGTH + 1);
  uint8_t *bytes = malloc(LENGTH + 1);
  for (int32_t i = 0; i <= LENGTH; i++) indices[i] = i, values[i] = -127, bytes[i] = 0;
  int32_t offsets[] = {0, LENGTH};
  spk_sparse A = {.format = SPK_CSR,
                  .itype = SPK_I32,
                  .rows = 1,
                  .cols = LENGTH + 1,
                  .nnz = LENGTH,
                  .block_rows = 1,
                  .block_cols = 1,
                  .offsets = offsets,
                  .indices = indices};
  spk_int8 *made = NULL;
  CHECK(spk_int8_prepare(&A, values, 0, 1, &made) == SPK_OK);
  for (int is_signed = 0; is_signed < 2; is_signed++) {
    const spk_bytes b = {is_signed, LENGTH + 1, 1, 1, 1, bytes};
    const spk_requantise what = {.zero_point = is_signed ? 127 : 255};
    memset(bytes, is_signed ? -128 : 0, LENGTH + 1);
    int32_t sum = 0;
    CHECK(spk_int8_spmm(made, &b, &sum, 1, 1, &what, 1) == SPK_OK);
    CHECK(sum == 127 * 255 * LENGTH, "%d", sum);
  }
  spk_int8_free(made);
  made = NULL;
  offsets[1] = LENGTH + 1;
  A.nnz = LENGTH + 1;
  CHECK(spk_int8_prepare(&A, values, 0, 1, &made) == SPK_ERR_ARGUMENT && !made);
  free(indices);
  free(values);
  free(bytes);
}

/* As floats, these sums are signalling NaNs: wherever C lies, their bits stay. */
static void check_sums_like_nan(ptrdiff_t width, ptrdiff_t row_stride, ptrdiff_t col_stride) {
  enum { LENGTH = 300, N = 3 };
  test_case("sums like NaN, for %td columns, strides %td and %td", width, row_stride, col_stride);
  int32_t offsets[3] = {0, LENGTH, 2 * LENGTH}, indices[2 * LENGTH], C[16];
  int8_t values[2 * LENGTH];
  uint8_t bytes[LENGTH * N];
  for (int i = 0; i < 2 * LENGTH; i++) indices[i] = i % LENGTH, values[i] = -127;
  memset(bytes, 200, sizeof bytes);
  const spk_sparse A = {.format = SPK_CSR,
                        .itype = SPK_I32,
                        .rows = 2,
                        .cols = LENGTH,
                        .nnz = 2 * LENGTH,
                        .block_rows = 1,
                        .block_cols = 1,
                        .offsets = offsets,
                        .indices = indices};
  const spk_bytes b = {.rows = LENGTH, .cols = N, .row_stride = N, .col_stride = 1, .data = bytes};
  spk_int8 *made = NULL;
  CHECK(spk_int8_prepare(&A, values, width, 1, &made) == SPK_OK);
  const spk_requantise what = {.result = SPK_RESULT_I32};
  CHECK(spk_int8_spmm(made, &b, C, row_stride, col_stride, &what, 1) == SPK_OK);
  for (ptrdiff_t i = 0; i < 2; i++)
    for (ptrdiff_t j = 0; j < N; j++) {
      const int32_t got = C[i * row_stride + j * col_stride];
      CHECK(got == -127 * 200 * LENGTH, "[%td, %td] = %d", i, j, got);
    }
  spk_int8_free(made);
}

/* Whether a matrix is too sparse does not depend on the threads, which want more row panels. */
static void check_threads_refuse_none(void) {
  enum { HEIGHT = 256 };
  test_case("what threads refuse");
  int32_t offsets[HEIGHT + 1] = {0};
  const int8_t none = 0;
  for (ptrdiff_t cols = 1 << 20; cols < INT32_MAX / 2; cols *= 2) {
    const spk_sparse A = {.format = SPK_CSR,
                          .itype = SPK_I32,
                          .rows = HEIGHT,
                          .cols = cols,
                          .block_rows = 1,
                          .block_cols = 1,
                          .offsets = offsets};
    spk_int8 *one = NULL, *many = NULL;
    const spk_status status = spk_int8_prepare(&A, &none, 0, 1, &one);
    CHECK(spk_int8_prepare(&A, &none, 0, 16, &many) == status, "%td columns", cols);
    spk_int8_free(one);
    spk_int8_free(many);
  }
}

static void check_refused(void) {
  test_case("what is refused");
  int32_t offsets[] = {0, 2, 3}, indices[] = {0, 2, 1};
  int8_t values[] = {1, 2, 3};
  uint8_t bytes[6] = {0};
  int32_t C[4] = {9, 9, 9, 9};
  spk_sparse A = {.format = SPK_CSR,
                  .itype = SPK_I32,
                  .rows = 2,
                  .cols = 3,
                  .nnz = 3,
                  .block_rows = 1,
                  .block_cols = 1,
                  .offsets = offsets,
                  .indices = indices};
  spk_int8 *made = NULL;
  CHECK(spk_int8_prepare(&A, values, -1, 1, &made) == SPK_ERR_ARGUMENT);
  CHECK(spk_int8_prepare(NULL, values, 0, 1, &made) == SPK_ERR_ARGUMENT);
  CHECK(spk_int8_prepare(&A, NULL, 0, 1, &made) == SPK_ERR_ARGUMENT);
  CHECK(spk_int8_prepare(&A, values, 0, 1, NULL) == SPK_ERR_ARGUMENT);
  indices[1] = 3;
  CHECK(spk_int8_prepare(&A, values, 0, 1, &made) == SPK_ERR_INDEX);
  indices[0] = 2, indices[1] = 0;
  CHECK(spk_int8_prepare(&A, values, 0, 1, &made) == SPK_ERR_ARGUMENT, "rows must be sorted");
  indices[0] = 0, indices[1] = 2, offsets[1] = 4;
  CHECK(spk_int8_prepare(&A, values, 0, 1, &made) == SPK_ERR_INDPTR);
  offsets[1] = 2, A.format = SPK_CSC;
  CHECK(spk_int8_prepare(&A, values, 0, 1, &made) != SPK_OK);
  A.format = SPK_CSR;
  const spk_sparse huge = {.format = SPK_CSR,
                           .itype = SPK_I32,
                           .rows = 2,
                           .cols = INT32_MAX,
                           .nnz = 3,
                           .block_rows = 1,
                           .block_cols = 1,
                           .offsets = offsets,
                           .indices = indices};
  CHECK(spk_int8_prepare(&huge, values, 0, 1, &made) == SPK_ERR_SPARSE);
  spk_sparse wider = huge; /* at once */
  wider.cols = (ptrdiff_t)1 << 50;
  CHECK(spk_int8_prepare(&wider, values, 0, 1, &made) == SPK_ERR_SPARSE);
  wider.cols = PTRDIFF_MAX;
  for (ptrdiff_t width = 0; width < 3; width++)
    CHECK(spk_int8_prepare(&wider, values, width, 1, &made) == SPK_ERR_SPARSE);
  CHECK(!made && spk_int8_prepare(&A, values, 0, 1, &made) == SPK_OK);
  spk_bytes B = {.rows = 3, .cols = 2, .row_stride = 2, .col_stride = 1, .data = bytes};
  spk_requantise how = {.result = SPK_RESULT_I32};
#define REFUSED(status, ...)                                                    \
  do {                                                                          \
    const spk_requantise good_how = how;                                        \
    const spk_bytes good_B = B;                                                 \
    __VA_ARGS__;                                                                \
    CHECK(spk_int8_spmm(made, &B, C, 2, 1, &how, 1) == (status), #__VA_ARGS__); \
    how = good_how, B = good_B;                                                 \
  } while (0)
  REFUSED(SPK_ERR_SHAPE, B.rows = 2);
  REFUSED(SPK_ERR_ARGUMENT, B.cols = -1);
  REFUSED(SPK_ERR_ARGUMENT, B.data = NULL);
  REFUSED(SPK_ERR_ARGUMENT, how.zero_point = -1);
  REFUSED(SPK_ERR_ARGUMENT, how.zero_point = 256);
  REFUSED(SPK_ERR_ARGUMENT, B.is_signed = 1; how.zero_point = 128);
  const int32_t too_high[] = {0, 256}, too_low[] = {-1, 0}, high[] = {127, 128};
  REFUSED(SPK_ERR_ARGUMENT, how.column_zero_points = too_high);
  REFUSED(SPK_ERR_ARGUMENT, how.column_zero_points = too_low);
  REFUSED(SPK_ERR_ARGUMENT, B.is_signed = 1; how.column_zero_points = high);
  REFUSED(SPK_ERR_ARGUMENT, how.result = (spk_result)4);
  REFUSED(SPK_ERR_ARGUMENT, how.result = SPK_RESULT_F32; how.activation = (spk_activation)12);
  REFUSED(SPK_ERR_ARGUMENT, how.result = SPK_RESULT_S8; how.out_zero_point = 128);
  REFUSED(SPK_ERR_ARGUMENT, how.result = SPK_RESULT_U8; how.out_zero_point = -1);
#undef REFUSED
  CHECK(spk_int8_spmm(NULL, &B, C, 2, 1, &how, 1) == SPK_ERR_ARGUMENT);
  CHECK(spk_int8_spmm(made, NULL, C, 2, 1, &how, 1) == SPK_ERR_ARGUMENT);
  CHECK(spk_int8_spmm(made, &B, NULL, 2, 1, &how, 1) == SPK_ERR_ARGUMENT);
  CHECK(spk_int8_spmm(made, &B, C, 2, 1, NULL, 1) == SPK_ERR_ARGUMENT);
  for (int i = 0; i < 4; i++) CHECK(C[i] == 9);
  spk_int8_free(made);
  spk_int8_free(NULL);
  CHECK(spk_int8_bytes(NULL) == 0 && spk_int8_share(NULL) == 0);
}

int main(void) {
  if (!spk_active_kernels()) {
    printf("this machine has no %s\n", getenv("SPKERNELS_ISA"));
    return TEST_SKIPPED;
  }
  seed_random(61);
  const sparse_shape shapes[] = {
      {SPK_CSR, SPK_F32, SPK_I32, 301, 257, 1, 1, 9000, 1},
      {SPK_CSR, SPK_F64, SPK_I64, 64, 3000, 1, 1, 40000, 1}, /* blocks */
      {SPK_CSR, SPK_F32, SPK_I32, 7, 5, 1, 1, 12, 1},
      {SPK_CSR, SPK_F32, SPK_I32, 3, 40, 1, 1, 0, 1},
      {SPK_CSR, SPK_F32, SPK_I32, 0, 5, 1, 1, 0, 1},
      {SPK_CSR, SPK_F32, SPK_I32, 5, 0, 1, 1, 0, 1},
      {SPK_CSR, SPK_F32, SPK_I32, 300, 256, 1, 1, 30000, IN_RUNS},
  };
  const ptrdiff_t widths[] = {0, 1, 3, 16, 64, 65, 130};
  for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
    for (size_t w = 0; w < sizeof widths / sizeof *widths; w++)
      for (int how = 0; how < 4; how++)
        for (int as = 0; as < 4; as++)
          check_product(&shapes[s], widths[w], how & 1, how >> 1, 1 + (int)random_below(3),
                        (const ptrdiff_t[]){0, 1, 7, 32}[as]);
  for (ptrdiff_t lacking = 0; lacking < 13; lacking++)
    for (ptrdiff_t width = 0; width < 3; width++) check_groups(lacking, width);
  for (ptrdiff_t width = 0; width < 3; width++) {
    check_sums_like_nan(width, 3, 1);
    check_sums_like_nan(width, 1, 2);
    check_sums_like_nan(width, 7, 2);
  }
  check_extremes();
  check_threads_refuse_none();
  check_refused();
  return test_result();
}
