/* Shapes and strides near the limits of ptrdiff_t: a status or the right result, and no overflow on
 * the way (what the undefined-behaviour sanitizer sees).  Operands take little memory: strides of 0
 * repeat a row, and the stride of a lone row or column may be anything. */
#include <math.h>
#include <string.h>
#include <sys/mman.h>

#include "sparse.h"

#define HUGE_SIZE PTRDIFF_MAX

static const ptrdiff_t huge_sizes[] = {(ptrdiff_t)1 << 31, (ptrdiff_t)1 << 33, (ptrdiff_t)1 << 60,
                                       (ptrdiff_t)1 << 62, HUGE_SIZE - 1,      HUGE_SIZE};
enum { HUGE_SIZES = sizeof huge_sizes / sizeof *huge_sizes };

static spk_sparse sparse_of(spk_format format, ptrdiff_t rows, ptrdiff_t cols, ptrdiff_t nnz) {
  return (spk_sparse){.format = format,
                      .dtype = SPK_F32,
                      .itype = SPK_I64,
                      .rows = rows,
                      .cols = cols,
                      .nnz = nnz,
                      .block_rows = 1,
                      .block_cols = 1};
}

static spk_dense dense_of(ptrdiff_t rows, ptrdiff_t cols, ptrdiff_t row_stride,
                          ptrdiff_t col_stride, const float *data) {
  return (spk_dense){SPK_F32, rows, cols, row_stride, col_stride, (void *)(uintptr_t)data};
}

/* A pattern of three entries in COO, in the corners of a huge shape. */
static void check_sampled(ptrdiff_t rows, ptrdiff_t cols, int sorted, int threads) {
  const float x[] = {2, 3}, y[] = {5, 7}, old[] = {1, 2, 3};
  const int64_t row[] = {0, rows - 1, rows - 1}, col[] = {cols - 1, 0, cols - 1};
  const int64_t backwards_row[] = {rows - 1, rows - 1, 0}, backwards_col[] = {cols - 1, 0, 0};
  spk_sparse P = sparse_of(SPK_COO, rows, cols, 3);
  P.row_indices = sorted ? row : backwards_row;
  P.indices = sorted ? col : backwards_col;
  P.values = old;
  const spk_sampling how = {.alpha = 1, .beta = 10};
  const spk_dense X = dense_of(rows, 2, 0, 1, x), Y = dense_of(2, cols, 1, 0, y);
  float values[3] = {0};
  test_case("sampled: %td x %td, sorted %d, %d threads", rows, cols, sorted, threads);
  CHECK(spk_sddmm(&P, &X, &Y, values, &how, threads) == SPK_OK);
  for (int p = 0; p < 3; p++) CHECK(values[p] == 31.0f + 10.0f * old[p], "%g", (double)values[p]);
  P.nnz = 0;
  CHECK(spk_sddmm(&P, &X, &Y, values, &how, threads) == SPK_OK);
}

/* One row of A, few entries, times what is one row for all. */
static void check_product(spk_format format, ptrdiff_t cols, ptrdiff_t n, int threads) {
  enum { MAX = 40 };
  const int64_t offsets[] = {0, 2}, row[] = {0, 0}, col[] = {0, cols - 1};
  const float values[] = {2, 3};
  float b[MAX], c[MAX];
  for (int j = 0; j < MAX; j++) b[j] = (float)(j + 1), c[j] = -1;
  spk_sparse A = sparse_of(format, 1, cols, 2);
  A.offsets = format == SPK_COO ? NULL : offsets;
  A.row_indices = row;
  A.indices = col;
  A.values = values;
  const spk_dense B = dense_of(cols, n, 0, 1, b), C = dense_of(1, n, HUGE_SIZE, 1, c);
  test_case("%s, 1 x %td, times %td columns", sparse_format_name(format), cols, n);
  char name[96];
  CHECK(spk_spmm_kernel_name(&A, &B, &C, threads, name, sizeof name) == SPK_OK);
  CHECK(spk_spmm(&A, &B, &C, NULL, threads) == SPK_OK);
  for (ptrdiff_t j = 0; j < n; j++) CHECK(c[j] == 5 * b[j]);
  const spk_dense none = dense_of(cols, 0, HUGE_SIZE, HUGE_SIZE, NULL);
  const spk_dense nothing = dense_of(1, 0, HUGE_SIZE, HUGE_SIZE, NULL);
  CHECK(spk_spmm(&A, &none, &nothing, NULL, threads) == SPK_OK);
  CHECK(spk_predict(&A, HUGE_SIZE, SPK_STRATEGY_ROWS) >= 0);
  if (format != SPK_CSR) return;
  spk_prepared *prepared = NULL;
  for (ptrdiff_t width = 0; width < 2; width++) {
    spk_status status = spk_prepare(&A, width, 0, SPK_STORAGE_SAME, threads, &prepared);
    CHECK(status == SPK_OK || status == SPK_ERR_SPARSE);
    if (status == SPK_OK) {
      memset(c, 0, sizeof c);
      CHECK(spk_prepared_spmm(prepared, &B, &C, NULL, threads) == SPK_OK);
      for (ptrdiff_t j = 0; j < n; j++) CHECK(c[j] == 5 * b[j]);
    }
    spk_prepared_free(prepared);
    prepared = NULL;
    status = spk_prepare(&A, HUGE_SIZE, HUGE_SIZE, SPK_STORAGE_SAME, threads, &prepared);
    CHECK(status == SPK_OK || status == SPK_ERR_SPARSE);
    spk_prepared_free(prepared);
    prepared = NULL;
  }
  const int8_t bytes[] = {2, 3};
  spk_int8 *packed = NULL;
  const ptrdiff_t widths[] = {1, 20, 100, HUGE_SIZE};
  for (int w = 0; w < 4; w++) {
    const spk_status status = spk_int8_prepare(&A, bytes, widths[w], threads, &packed);
    CHECK(status == SPK_OK || status == SPK_ERR_SPARSE);
    spk_int8_free(packed);
    packed = NULL;
  }
}

/* Rows of a huge number of columns in blocks that are wider than their index type counts. */
static void check_blocks(ptrdiff_t cols) {
  const ptrdiff_t width = 4;
  const int32_t offsets[] = {0, 1}, last = (int32_t)(cols / width - 1);
  const size_t bytes = (size_t)cols * sizeof(float);
  float *y =
      mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (y == MAP_FAILED) return; /* a limit on address space */
  const float x = 2, values[4] = {1, 1, 1, 1};
  float out[4] = {0};
  spk_sparse P = sparse_of(SPK_BSR, 1, cols, 1);
  P.itype = SPK_I32;
  P.block_cols = width;
  P.offsets = offsets;
  P.indices = &last;
  P.values = values;
  for (ptrdiff_t c = 0; c < width; c++) y[cols - width + c] = (float)(c + 1);
  const spk_dense X = dense_of(1, 1, HUGE_SIZE, HUGE_SIZE, &x);
  const spk_dense Y = dense_of(1, cols, HUGE_SIZE, 1, y);
  const spk_dense B = dense_of(cols, 1, 1, HUGE_SIZE, y);
  float sum = 0;
  const spk_dense C = dense_of(1, 1, HUGE_SIZE, HUGE_SIZE, &sum);
  test_case("blocks of %td columns", cols);
  CHECK(spk_sddmm(&P, &X, &Y, out, NULL, 1) == SPK_OK);
  for (ptrdiff_t c = 0; c < width; c++) CHECK(out[c] == 2 * (float)(c + 1), "%g", (double)out[c]);
  CHECK(spk_spmm(&P, &B, &C, NULL, 1) == SPK_OK && sum == 10, "%g", (double)sum);
  munmap(y, bytes);
}

/* Sizes that no arrays have: said before anything is read. */
static void check_impossible(void) {
  const int64_t offset = 0;
  const float one = 1;
  float out = -1;
  test_case("impossible sizes");
  for (int s = 3; s < HUGE_SIZES; s++) {
    const ptrdiff_t size = huge_sizes[s];
    spk_sparse A = sparse_of(SPK_CSR, size, 1, 0);
    A.offsets = &offset;
    const spk_dense lone = dense_of(1, 1, 1, 1, &one), rows = dense_of(size, 1, 0, 1, &one);
    CHECK(spk_check(&A, 1) == SPK_ERR_ARGUMENT);
    CHECK(spk_spmm(&A, &lone, &rows, NULL, 1) == SPK_ERR_ARGUMENT);
    CHECK(spk_softmax(&A, &out, 1, 1) == SPK_ERR_ARGUMENT);
    spk_prepared *prepared = NULL;
    CHECK(spk_prepare(&A, 0, 0, SPK_STORAGE_SAME, 1, &prepared) == SPK_ERR_ARGUMENT);
    spk_column_runs *pattern = NULL;
    CHECK(spk_column_runs_make(&A, 1, &pattern) == SPK_ERR_ARGUMENT);
    const spk_runs runs = {size, 1, &offset, NULL, NULL};
    CHECK(spk_column_runs_from(&runs, 1, &pattern) == SPK_ERR_ARGUMENT);
    A = sparse_of(SPK_CSC, 1, size, 0);
    A.offsets = &offset;
    CHECK(spk_spmspv(&A, &offset, &one, 1, &out, 1) == SPK_ERR_ARGUMENT);
    CHECK(spk_spmspv_dense(&A, &one, 0, &out, 1) == SPK_ERR_ARGUMENT);
    A = sparse_of(SPK_COO, 1, 1, size);
    A.indices = A.row_indices = &offset;
    A.values = &one;
    CHECK(spk_check(&A, 1) == SPK_ERR_ARGUMENT);
    A = sparse_of(SPK_BSR, (ptrdiff_t)1 << 31, size, 1);
    A.block_rows = A.rows;
    A.block_cols = A.cols;
    A.offsets = A.indices = &offset;
    A.values = &one;
    CHECK(spk_check(&A, 1) == SPK_ERR_ARGUMENT);
  }
  /* Elements of one view that lie further apart than any two bytes. */
  const int64_t offsets[] = {0, 0, 0};
  spk_sparse A = sparse_of(SPK_CSR, 2, 2, 0);
  A.offsets = offsets;
  float c[4] = {-1, -1, -1, -1};
  const ptrdiff_t strides[] = {HUGE_SIZE, HUGE_SIZE / 4, PTRDIFF_MIN, PTRDIFF_MIN / 2};
  for (int s = 0; s < 4; s++) {
    const spk_dense far = dense_of(2, 2, strides[s], 1, &one),
                    wide = dense_of(2, 2, 1, strides[s], &one);
    const spk_dense near = dense_of(2, 2, 2, 1, c);
    CHECK(spk_spmm(&A, &far, &near, NULL, 1) == SPK_ERR_ARGUMENT);
    CHECK(spk_spmm(&A, &wide, &near, NULL, 1) == SPK_ERR_ARGUMENT);
    CHECK(spk_spmm(&A, &near, &far, NULL, 1) == SPK_ERR_ARGUMENT);
    CHECK(spk_sddmm(&A, &far, &near, c, NULL, 1) == SPK_ERR_ARGUMENT);
    CHECK(spk_spmspm(&A, &A, c, strides[s], 1) == SPK_ERR_ARGUMENT);
    CHECK(spk_kwinners(SPK_F32, 2, 2, c, strides[s], 1, c, 2, NULL, 1) == SPK_ERR_ARGUMENT);
    CHECK(spk_kwinners(SPK_F32, 2, 2, c, 2, 1, c, strides[s], NULL, 1) == SPK_ERR_ARGUMENT);
  }
  CHECK(c[0] == -1 && c[3] == -1 && out == -1);
}

/* No memory for it, and said so; or nothing to do. */
static void check_others(ptrdiff_t size) {
  const float x[] = {1, 3, 2};
  float out[3] = {-1, -1, -1};
  int32_t winner = -1;
  test_case("size %td", size);
  CHECK(spk_kwinners(SPK_F32, size, 0, x, size, size, out, size, &winner, 1) == SPK_OK);
  CHECK(spk_kwinners(SPK_F32, 0, size, x, size, 1, out, size, NULL, 1) == SPK_OK);
  CHECK(spk_kwinners(SPK_F32, size, 3, x, 0, 0, NULL, 0, &winner, 1) == SPK_OK);
  CHECK(winner == -1 && out[0] == -1);
  CHECK(spk_kwinners(SPK_F32, 1, 3, x, size, size, out, size, NULL, 1) == SPK_OK && out[1] == 3);
  /* A lone row of one key; then more elements than there is memory for a copy of. */
  const int64_t offsets[] = {0, 1};
  const int32_t start = 0, stop = 1;
  const spk_runs runs = {1, 1, offsets, &start, &stop};
  const ptrdiff_t zero = 0;
  spk_column_runs *pattern = NULL;
  CHECK(spk_column_runs_from(&runs, 1, &pattern) == SPK_OK);
  spk_attention a = {.dtype = SPK_F32,
                     .heads = 1,
                     .d = 1,
                     .dv = 1,
                     .scale = 1,
                     .Q = x,
                     .K = x,
                     .V = x + 1,
                     .out = out,
                     .q_stride = size,
                     .k_stride = size,
                     .v_stride = size,
                     .out_stride = size,
                     .q_offsets = &zero,
                     .k_offsets = &zero,
                     .v_offsets = &zero,
                     .out_offsets = &zero,
                     .bias = x,
                     .bias_row_stride = size,
                     .bias_col_stride = size,
                     .bias_offsets = &zero};
  CHECK(spk_attend(pattern, &a, 1) == SPK_OK && out[0] == 3);
  out[0] = -1;
  a.d = a.dv = spk_max(size, (ptrdiff_t)1 << 60);
  CHECK(spk_attend(pattern, &a, 1) == SPK_ERR_MEMORY && out[0] == -1);
  spk_column_runs_free(pattern);
  CHECK(isfinite((double)spk_prepare_width(SPK_F32, size)) && spk_int8_width(size) > 0);
}

static void check_helpers(void) {
  test_case("helpers");
  CHECK(spk_ceil_div(HUGE_SIZE, HUGE_SIZE) == 1 && spk_ceil_div(HUGE_SIZE, 2) == HUGE_SIZE / 2 + 1);
  CHECK(spk_round_up(HUGE_SIZE, 16) == HUGE_SIZE && spk_round_up(17, 16) == 32);
  CHECK(spk_round_up(0, 16) == 0 && spk_ceil_div(0, 16) == 0 && spk_ceil_div(16, 16) == 1);
  const size_t most = PTRDIFF_MAX;
  CHECK(spk_aligned_size(SIZE_MAX) == most && spk_aligned_size(65) == 128 &&
        spk_aligned_size(0) == 0);
  CHECK(spk_size_sum(most, 1) == most && spk_size_sum(SIZE_MAX, SIZE_MAX) == most);
  CHECK(spk_size_product(most, 2) == most && spk_size_product(SIZE_MAX, 3) == most);
  CHECK(spk_product(HUGE_SIZE, 2) == HUGE_SIZE && spk_product(0, HUGE_SIZE) == 0);
}

int main(void) {
  if (!spk_isa()) return TEST_SKIPPED;
  check_helpers();
  for (int s = 0; s < HUGE_SIZES; s++) {
    const ptrdiff_t size = huge_sizes[s];
    for (int threads = 1; threads < 3; threads++) {
      for (int sorted = 0; sorted < 2; sorted++) {
        check_sampled(size, 3, sorted, threads);
        check_sampled(3, size, sorted, threads);
        check_sampled(size, size, sorted, threads);
      }
      for (ptrdiff_t n = 1; n < 40; n += 19) {
        check_product(SPK_CSR, size, n, threads);
        check_product(SPK_COO, size, n, threads);
      }
    }
    check_others(size);
  }
  check_blocks((ptrdiff_t)1 << 31);
  check_blocks(((ptrdiff_t)1 << 31) + 8);
  check_impossible();
  return test_result();
}
