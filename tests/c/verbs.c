#include "verbs.h"

enum { ROWS = 160, COLS = 144, DEPTH = 24, HEADS = 2 };

static const spk_epilogue epilogue = {.alpha = 0.75, .beta = 0.5, .activation = SPK_GELU};
static const spk_sampling sampling = {.alpha = 1.5, .beta = 0.5, .scale = 1};
static const ptrdiff_t no_offsets[HEADS] = {0, 0};

/* --- what they do --- */

static spk_status run_check(const verb *v, int threads) {
  spk_sparse A = v->A.view;
  return spk_check(&A, threads);
}

static spk_status run_spmm(const verb *v, int threads) {
  return spk_spmm(&v->A.view, &v->B.view, &v->C.view, &epilogue, threads);
}

static spk_status run_name(const verb *v, int threads) {
  char name[160];
  return spk_spmm_kernel_name(&v->A.view, &v->B.view, &v->C.view, threads, name, sizeof name);
}

static spk_status run_prepared(const verb *v, int threads) {
  spk_prepared *made = NULL;
  spk_status status = spk_prepare(&v->A.view, v->width, 0, (spk_storage)v->choice, threads, &made);
  CHECK((status == SPK_OK) == (made != NULL));
  if (status == SPK_OK)
    status = spk_prepared_spmm(made, &v->B.view, &v->C.view, &epilogue, threads);
  spk_prepared_free(made);
  return status;
}

/* As a bitmap, whose storage is `choice`, or in slices of int8; back to CSR if there is no C. */
static spk_status run_bitmap(const verb *v, int threads) {
  spk_prepared *made = NULL;
  spk_status status = v->choice ? spk_prepare_bitmap(&v->A.view, v->numbers, v->width,
                                                     (spk_storage)v->choice, threads, &made)
                                : spk_prepare_sell(&v->A.view, v->numbers, threads, &made);
  if (status == SPK_ERR_SPARSE) return SPK_OK; /* no slices in this instruction set */
  CHECK((status == SPK_OK) == (made != NULL));
  if (status == SPK_OK)
    status = v->count ? spk_prepared_csr(made, SPK_I64, v->X.memory, v->ids, v->outputs[0])
                      : spk_prepared_spmm(made, &v->B.view, &v->C.view, &epilogue, threads);
  spk_prepared_free(made);
  return status;
}

/* Three layers, of which the last one is not packed if `choice` says so. */
static spk_status run_chain(const verb *v, int threads) {
  spk_prepared *wide = NULL, *tall = NULL;
  const ptrdiff_t n = v->B.view.cols;
  spk_status status = spk_prepare(&v->A.view, n, 0, SPK_STORAGE_SAME, threads, &wide);
  if (status == SPK_OK) status = spk_prepare(&v->S.view, n, 0, SPK_STORAGE_SAME, threads, &tall);
  const spk_layer layers[] = {{.packed = wide, .activation = SPK_RELU},
                              {.packed = tall, .bias = v->X.memory},
                              {.packed = v->choice ? NULL : wide, .A = &v->A.view}};
  if (status == SPK_OK) status = spk_chain(layers, 3, &v->B.view, &v->C.view, threads);
  spk_prepared_free(wide);
  spk_prepared_free(tall);
  return status;
}

/* Back to CSR: from row panels or slices, whose values may have 16 bits. */
static spk_status run_unpack(const verb *v, int threads) {
  spk_prepared *made = NULL;
  int32_t *indices = v->ids;
  spk_status status = spk_prepare(&v->A.view, v->width, 0, (spk_storage)v->choice, threads, &made);
  if (status == SPK_OK)
    status = spk_prepared_csr(made, SPK_I32, v->outputs[1], indices, v->outputs[0]);
  spk_prepared_free(made);
  return status;
}

static spk_status run_int8(const verb *v, int threads) {
  spk_int8 *made = NULL;
  const spk_requantise how = {.result = (spk_result)v->choice, .zero_point = 3, .out_scale = 2};
  const spk_bytes B = {1, COLS, v->count, v->count, 1, v->ids};
  spk_status status = spk_int8_prepare(&v->A.view, v->numbers, v->width, threads, &made);
  CHECK((status == SPK_OK) == (made != NULL));
  if (status == SPK_OK) status = spk_int8_spmm(made, &B, v->outputs[0], v->count, 1, &how, threads);
  spk_int8_free(made);
  return status;
}

static spk_status run_sddmm(const verb *v, int threads) {
  return spk_sddmm(&v->A.view, &v->X.view, &v->Y.view, v->outputs[0], &sampling, threads);
}

static spk_status run_pattern_sddmm(const verb *v, int threads) {
  spk_column_runs *made = NULL;
  spk_status status = spk_column_runs_make(&v->A.view, threads, &made);
  CHECK((status == SPK_OK) == (made != NULL));
  if (status == SPK_OK)
    status = spk_column_runs_sddmm(made, &v->A.view, &v->X.view, &v->Y.view, v->outputs[0],
                                   &sampling, threads);
  spk_column_runs_free(made);
  return status;
}

static spk_status attend(const verb *v, const spk_column_runs *mask, int threads) {
  const spk_attention a = {.dtype = v->A.view.dtype,
                           .heads = HEADS,
                           .d = DEPTH,
                           .dv = DEPTH,
                           .scale = 0.5,
                           .Q = v->X.memory,
                           .K = v->Y.memory,
                           .V = v->B.memory,
                           .out = v->outputs[0],
                           .q_stride = DEPTH,
                           .k_stride = DEPTH,
                           .v_stride = DEPTH,
                           .out_stride = DEPTH,
                           .q_offsets = no_offsets,
                           .k_offsets = no_offsets,
                           .v_offsets = no_offsets,
                           .out_offsets = (const ptrdiff_t[]){0, ROWS * DEPTH},
                           .lse = v->outputs[1]};
  return spk_attend(mask, &a, threads);
}

static spk_status run_attention(const verb *v, int threads) {
  spk_column_runs *made = NULL;
  spk_status status = spk_column_runs_make(&v->A.view, threads, &made);
  CHECK((status == SPK_OK) == (made != NULL));
  if (status == SPK_OK) status = attend(v, made, threads);
  spk_column_runs_free(made);
  return status;
}

/* Each row has one run of columns. */
static spk_status run_runs(const verb *v, int threads) {
  spk_column_runs *made = NULL;
  const int32_t *bounds = v->ids;
  const spk_runs runs = {ROWS, COLS, v->numbers, bounds, bounds + ROWS};
  spk_status status = spk_column_runs_from(&runs, threads, &made);
  CHECK((status == SPK_OK) == (made != NULL));
  if (status == SPK_OK) status = attend(v, made, threads);
  spk_column_runs_free(made);
  return status;
}

static spk_status run_softmax(const verb *v, int threads) {
  return spk_softmax(&v->A.view, v->outputs[0], 0.5, threads);
}

static spk_status run_spmspv(const verb *v, int threads) {
  return spk_spmspv(&v->A.view, v->ids, v->B.memory, v->count, v->outputs[0], threads);
}

static spk_status run_spmspv_dense(const verb *v, int threads) {
  return spk_spmspv_dense(&v->A.view, v->B.memory, 1, v->outputs[0], threads);
}

static spk_status run_spmspm(const verb *v, int threads) {
  return spk_spmspm(&v->A.view, &v->S.view, v->outputs[0], v->S.view.cols, threads);
}

static spk_status run_kwinners(const verb *v, int threads) {
  return spk_kwinners(v->X.view.dtype, ROWS, COLS, v->X.memory, COLS, 9, v->outputs[0], COLS,
                      v->outputs[1], threads);
}

/* One choice for uint8, one for int8. */
static spk_status run_quantise(const verb *v, int threads) {
  return spk_quantise(ROWS, COLS, v->X.memory, COLS, 0.01f, 100, v->choice, v->outputs[0], COLS,
                      threads);
}

static spk_status run_transpose(const verb *v, int threads) {
  (void)threads; /* it has one */
  return spk_transpose_blocks(&v->A.view, v->ids, v->outputs[1], v->outputs[0]);
}

static spk_status run_roofline(const verb *v, int threads) {
  double rate;
  return spk_measure_roofline((spk_roofline)v->choice, SPK_F32, 1 << 12, threads, &rate);
}

/* --- what they do it with --- */

static void writes(verb *v, int which, void *memory, size_t bytes) {
  v->outputs[which] = memory;
  v->bytes[which] = bytes;
  v->before[which] = exact_memory(bytes);
  memcpy(v->before[which], memory, bytes);
}

static void writes_matrix(verb *v, int which, const matrix *m) {
  writes(v, which, m->memory, (size_t)m->held * spk_dtype_size(m->view.dtype));
}

static matrix plain(spk_dtype dtype, ptrdiff_t rows, ptrdiff_t cols) {
  return matrix_output(dtype, rows, cols, cols, 1);
}

static sparse some(spk_format format, spk_dtype dtype, spk_itype itype, int sorted) {
  const ptrdiff_t block = format == SPK_BSR ? 4 : 1;
  const sparse_shape shape = {format, dtype, itype, ROWS, COLS, block, block, 3000, sorted};
  return sparse_random(&shape);
}

/* Every column, or every third one, from some column on: no duplicates. */
static sparse distinct(spk_dtype dtype, int step) {
  sparse s = {.entries = 0};
  int64_t *offsets = exact_memory((ROWS + 1) * sizeof *offsets);
  int32_t start[ROWS];
  offsets[0] = 0;
  for (int i = 0; i < ROWS; i++) {
    start[i] = (int32_t)random_below(COLS);
    s.entries += (COLS - start[i] + step - 1) / step;
    offsets[i + 1] = s.entries;
  }
  int64_t *indices = exact_memory((size_t)s.entries * sizeof *indices);
  void *values = exact_memory((size_t)s.entries * spk_dtype_size(dtype));
  for (int i = 0; i < ROWS; i++)
    for (int64_t p = offsets[i]; p < offsets[i + 1]; p++) {
      indices[p] = start[i] + step * (p - offsets[i]);
      put_value(values, dtype, p, random_number());
    }
  s.view = (spk_sparse){.format = SPK_CSR,
                        .dtype = dtype,
                        .itype = SPK_I64,
                        .rows = ROWS,
                        .cols = COLS,
                        .nnz = s.entries,
                        .block_rows = 1,
                        .block_cols = 1,
                        .offsets = offsets,
                        .indices = indices,
                        .values = values};
  return s;
}

/* Formats, in and out of order, runs of columns. */
static const struct {
  spk_format format;
  int sorted;
} orders[] = {{SPK_CSR, 1}, {SPK_CSR, 0}, {SPK_CSR, IN_RUNS}, {SPK_CSC, 1},
              {SPK_COO, 1}, {SPK_COO, 0}, {SPK_BSR, 1}};
enum { ORDERS = sizeof orders / sizeof *orders };

static const ptrdiff_t columns[] = {1, 7, 150};
enum { COLUMNS = sizeof columns / sizeof *columns };

/* A number in base `of`, digit by digit. */
static int next(int *number, int of) {
  const int digit = *number % of;
  *number /= of;
  return digit;
}

static int made_spmm(int number, verb *v) {
  const int order = next(&number, ORDERS), dtype = next(&number, 2);
  const ptrdiff_t n = columns[next(&number, COLUMNS)];
  const layout how = (layout)next(&number, 2);
  ptrdiff_t row_stride, col_stride;
  v->run = number ? run_name : run_spmm;
  v->A = some(orders[order].format, (spk_dtype)dtype, SPK_I32, orders[order].sorted);
  matrix_strides(COLS, n, how, 0, &row_stride, &col_stride);
  v->B = matrix_input((spk_dtype)dtype, COLS, n, row_stride, col_stride);
  matrix_strides(ROWS, n, how, 0, &row_stride, &col_stride);
  v->C = matrix_output((spk_dtype)dtype, ROWS, n, row_stride, col_stride);
  writes_matrix(v, 0, &v->C);
  snprintf(v->name, sizeof v->name, "spmm, order %d, dtype %d, n = %td, layout %d%s", order, dtype,
           n, how, number ? ", name" : "");
  return 1;
}

/* Enough entries for partial sums. */
static int made_partial(int number, verb *v) {
  static const spk_format formats[] = {SPK_CSR, SPK_CSC, SPK_COO};
  const spk_format format = formats[next(&number, 3)];
  const layout how = (layout)next(&number, 2);
  const ptrdiff_t n = number ? 9 : 1;
  ptrdiff_t row_stride, col_stride;
  if (n > 1 && format == SPK_CSR) return 0;
  const sparse_shape shape = {format, SPK_F32, SPK_I32, ROWS, COLS, 1, 1, 70000, 0};
  v->run = run_spmm;
  v->A = sparse_random(&shape);
  matrix_strides(COLS, n, how, 0, &row_stride, &col_stride);
  v->B = matrix_input(SPK_F32, COLS, n, row_stride, col_stride);
  v->C = matrix_output(SPK_F32, ROWS, n, n, 1);
  writes_matrix(v, 0, &v->C);
  snprintf(v->name, sizeof v->name, "spmm by partial sums, format %d, n = %td, layout %d", format,
           n, how);
  return 1;
}

static int made_check(int number, verb *v) {
  const int order = next(&number, ORDERS);
  v->run = run_check;
  v->A = some(orders[order].format, SPK_F32, SPK_I64, orders[order].sorted);
  snprintf(v->name, sizeof v->name, "check, order %d", order);
  return 1;
}

static int made_prepared(int number, verb *v) {
  const int order = next(&number, 3), n = next(&number, COLUMNS), dtype = next(&number, 2);
  const layout how = (layout)next(&number, 2);
  if (number && dtype != SPK_F32) return 0;
  ptrdiff_t row_stride, col_stride;
  v->run = run_prepared;
  v->width = columns[n];
  v->choice = number ? SPK_STORAGE_F16 : SPK_STORAGE_SAME;
  v->A = some(SPK_CSR, (spk_dtype)dtype, SPK_I32, orders[order].sorted);
  v->B = plain((spk_dtype)dtype, COLS, columns[n]);
  matrix_strides(ROWS, columns[n], how, 0, &row_stride, &col_stride);
  v->C = matrix_output((spk_dtype)dtype, ROWS, columns[n], row_stride, col_stride);
  writes_matrix(v, 0, &v->C);
  snprintf(v->name, sizeof v->name, "prepared, order %d, n = %td, dtype %d, layout %d, storage %d",
           order, columns[n], dtype, how, number);
  return 1;
}

static int made_bitmap(int number, verb *v) {
  const int storage = next(&number, 5);
  const ptrdiff_t n = columns[next(&number, COLUMNS)], group = next(&number, 2) ? 32 : COLS;
  v->run = run_bitmap;
  v->choice = storage;
  v->width = group;
  v->A = distinct(SPK_F32, 1);
  float *scales = exact_memory((size_t)(ROWS * spk_ceil_div(COLS, group)) * sizeof *scales);
  for (ptrdiff_t i = 0; i < ROWS * spk_ceil_div(COLS, group); i++) scales[i] = 0x1p-5f;
  v->numbers = scales;
  v->X = plain(SPK_F64, ROWS + 1, 1); /* room for offsets */
  v->ids = exact_memory((size_t)v->A.entries * sizeof(int64_t));
  v->B = plain(SPK_F32, COLS, n);
  v->count = number;
  v->C = number ? plain(SPK_F32, v->A.entries, 1) : plain(SPK_F32, ROWS, n);
  writes_matrix(v, 0, &v->C);
  snprintf(v->name, sizeof v->name, "bitmap, storage %d, n = %td, groups of %td, back %d",
           v->choice, n, group, number);
  return 1;
}

static int made_chain(int number, verb *v) {
  const int n = next(&number, COLUMNS), dtype = next(&number, 2);
  const layout how = (layout)next(&number, 2);
  const sparse_shape back = {SPK_CSR, (spk_dtype)dtype, SPK_I32, COLS, ROWS, 1, 1, 3000, 1};
  ptrdiff_t row_stride, col_stride;
  v->run = run_chain;
  v->choice = number;
  v->A = some(SPK_CSR, (spk_dtype)dtype, SPK_I32, 1);
  v->S = sparse_random(&back);
  v->X = plain((spk_dtype)dtype, COLS, 1);
  matrix_strides(COLS, columns[n], how, 0, &row_stride, &col_stride);
  v->B = matrix_input((spk_dtype)dtype, COLS, columns[n], row_stride, col_stride);
  matrix_strides(ROWS, columns[n], how, 0, &row_stride, &col_stride);
  v->C = matrix_output((spk_dtype)dtype, ROWS, columns[n], row_stride, col_stride);
  writes_matrix(v, 0, &v->C);
  snprintf(v->name, sizeof v->name, "chain, n = %td, dtype %d, layout %d, last %d", columns[n],
           dtype, how, number);
  return 1;
}

static int made_unpack(int number, verb *v) {
  const int vector = next(&number, 2), dtype = next(&number, 2);
  if (number && dtype != SPK_F32) return 0;
  v->run = run_unpack;
  v->width = vector ? 1 : 64;
  v->choice = number ? SPK_STORAGE_BF16 : SPK_STORAGE_SAME;
  v->A = some(SPK_CSR, (spk_dtype)dtype, SPK_I32, 1);
  v->ids = exact_memory((size_t)v->A.entries * sizeof(int32_t));
  v->C = plain((spk_dtype)dtype, v->A.entries, 1);
  writes_matrix(v, 0, &v->C);
  const size_t bytes = (ROWS + 1) * sizeof(int32_t);
  writes(v, 1, memset(exact_memory(bytes), 7, bytes), bytes);
  snprintf(v->name, sizeof v->name, "unpack, vector %d, dtype %d, storage %d", vector, dtype,
           v->choice);
  return 1;
}

static int made_int8(int number, verb *v) {
  static const ptrdiff_t widths[] = {1, 8, 32, 128};
  const int width = next(&number, 4), result = next(&number, 4), runs = next(&number, 2);
  v->run = run_int8;
  v->count = v->width = widths[width];
  v->choice = result;
  v->A = some(SPK_CSR, SPK_F32, SPK_I32, runs ? IN_RUNS : 1);
  int8_t *values = exact_memory((size_t)v->A.entries);
  for (ptrdiff_t p = 0; p < v->A.entries; p++) values[p] = (int8_t)(random_below(200) - 100);
  int8_t *b = exact_memory((size_t)(COLS * v->count));
  for (ptrdiff_t p = 0; p < COLS * v->count; p++) b[p] = (int8_t)(random_below(200) - 100);
  v->numbers = values;
  v->ids = b;
  const size_t bytes = (size_t)(ROWS * v->count) * spk_result_size((spk_result)result);
  void *C = exact_memory(bytes);
  memset(C, 7, bytes);
  writes(v, 0, C, bytes);
  snprintf(v->name, sizeof v->name, "int8, width %td, result %d, runs %d", v->count, result, runs);
  return 1;
}

static int made_sddmm(int number, verb *v) {
  const int order = next(&number, ORDERS), dtype = next(&number, 2);
  const layout how = (layout)next(&number, 2);
  const int known = next(&number, 2);
  ptrdiff_t row_stride, col_stride;
  v->run = known ? run_pattern_sddmm : run_sddmm;
  v->A = known ? distinct((spk_dtype)dtype, 1 + order % 3)
               : some(orders[order].format, (spk_dtype)dtype, SPK_I64, orders[order].sorted);
  matrix_strides(ROWS, DEPTH, how, 0, &row_stride, &col_stride);
  v->X = matrix_input((spk_dtype)dtype, ROWS, DEPTH, row_stride, col_stride);
  matrix_strides(DEPTH, COLS, how, 0, &row_stride, &col_stride);
  v->Y = matrix_input((spk_dtype)dtype, DEPTH, COLS, row_stride, col_stride);
  v->C = plain((spk_dtype)dtype, v->A.entries, 1);
  writes_matrix(v, 0, &v->C);
  snprintf(v->name, sizeof v->name, "sddmm, order %d, dtype %d, layout %d, known %d", order, dtype,
           how, known);
  return 1;
}

static int made_attention(int number, verb *v) {
  const int runs = next(&number, 2), dtype = next(&number, 2);
  const int order = 1 + next(&number, 2);
  v->run = runs ? run_runs : run_attention;
  v->A = some(SPK_CSR, (spk_dtype)dtype, SPK_I32, order);
  v->X = plain((spk_dtype)dtype, ROWS, DEPTH);
  v->Y = plain((spk_dtype)dtype, COLS, DEPTH);
  v->B = plain((spk_dtype)dtype, COLS, DEPTH);
  v->C = plain((spk_dtype)dtype, ROWS * HEADS, DEPTH);
  int64_t *offsets = exact_memory((ROWS + 1) * sizeof *offsets);
  int32_t *bounds = exact_memory(2 * ROWS * sizeof *bounds);
  for (int i = 0; i <= ROWS; i++) offsets[i] = i;
  for (int i = 0; i < ROWS; i++) {
    bounds[i] = (int32_t)random_below(order == 1 ? COLS : 8);
    bounds[ROWS + i] = bounds[i] + 1 + (int32_t)random_below(COLS - bounds[i]);
  }
  v->numbers = offsets;
  v->ids = bounds;
  const matrix lse = plain((spk_dtype)dtype, ROWS * HEADS, 1);
  writes_matrix(v, 0, &v->C);
  writes_matrix(v, 1, &lse);
  snprintf(v->name, sizeof v->name, "attention, runs %d, dtype %d, order %d", runs, dtype, order);
  return 1;
}

static int made_vector(int number, verb *v) {
  const int dense = next(&number, 2), dtype = next(&number, 2), large = next(&number, 2);
  const sparse_shape shape = {SPK_CSC, (spk_dtype)dtype,    SPK_I32, ROWS, large ? 9000 : COLS, 1,
                              1,       large ? 90000 : 900, 1};
  v->run = dense ? run_spmspv_dense : run_spmspv;
  v->A = sparse_random(&shape);
  v->B = plain((spk_dtype)dtype, shape.cols, 1);
  v->C = plain((spk_dtype)dtype, ROWS, 1);
  v->count = shape.cols / 2;
  int32_t *ids = exact_memory((size_t)v->count * sizeof *ids);
  for (ptrdiff_t k = 0; k < v->count; k++) ids[k] = (int32_t)random_below(shape.cols);
  v->ids = ids;
  writes_matrix(v, 0, &v->C);
  snprintf(v->name, sizeof v->name, "spmspv, dense %d, dtype %d, %td columns", dense, dtype,
           shape.cols);
  return 1;
}

static int made_transpose(int number, verb *v) {
  const int dtype = next(&number, 2);
  snprintf(v->name, sizeof v->name, "transposed blocks, dtype %d", dtype);
  v->run = run_transpose;
  v->A = some(SPK_BSR, (spk_dtype)dtype, SPK_I32, 1);
  v->ids = exact_memory((COLS / 4 + 1) * sizeof(int32_t));
  v->C = plain((spk_dtype)dtype, v->A.view.nnz, 16);
  writes_matrix(v, 0, &v->C);
  const size_t bytes = (size_t)v->A.view.nnz * sizeof(int32_t);
  void *indices = exact_memory(bytes);
  memset(indices, 7, bytes);
  writes(v, 1, indices, bytes);
  return 1;
}

/* What has one case for each dtype. */
enum { ROOFLINE_FMA, ROOFLINE_LOAD, SPMSPM, SOFTMAX, KWINNERS, QUANTISE, OTHERS };

static int made_other(int number, verb *v) {
  const int what = next(&number, OTHERS), dtype = next(&number, 2);
  snprintf(v->name, sizeof v->name, "other %d, dtype %d", what, dtype);
  v->choice = what;
  if (what <= ROOFLINE_LOAD) {
    v->run = run_roofline;
    return 1;
  }
  if (what == QUANTISE) {
    v->run = run_quantise;
    v->choice = dtype;
    v->X = plain(SPK_F32, ROWS, COLS);
    void *bytes = exact_memory(ROWS * COLS);
    memset(bytes, 7, ROWS * COLS);
    writes(v, 0, bytes, ROWS * COLS);
    return 1;
  }
  v->A = some(SPK_CSR, (spk_dtype)dtype, SPK_I32, 0);
  if (what == SPMSPM) {
    const sparse_shape shape = {SPK_CSR, (spk_dtype)dtype, SPK_I32, COLS, 90, 1, 1, 900, 0};
    v->run = run_spmspm;
    v->S = sparse_random(&shape);
    v->C = plain((spk_dtype)dtype, ROWS, 90);
  } else if (what == SOFTMAX) {
    v->run = run_softmax;
    v->C = plain((spk_dtype)dtype, v->A.entries, 1);
  } else {
    v->run = run_kwinners;
    v->X = plain((spk_dtype)dtype, ROWS, COLS);
    v->C = plain((spk_dtype)dtype, ROWS, COLS);
    const size_t bytes = ROWS * 9 * sizeof(int32_t);
    void *winners = exact_memory(bytes);
    memset(winners, 7, bytes);
    writes(v, 1, winners, bytes);
  }
  writes_matrix(v, 0, &v->C);
  return 1;
}

static const struct {
  int count;
  int (*make)(int, verb *);
} kinds[] = {{ORDERS * 2 * COLUMNS * 2 * 2, made_spmm},
             {3 * 2 * 2, made_partial},
             {ORDERS, made_check},
             {3 * COLUMNS * 2 * 2 * 2, made_prepared},
             {COLUMNS * 2 * 2 * 2, made_chain},
             {2 * 2 * 2, made_unpack},
             {5 * COLUMNS * 2 * 2, made_bitmap},
             {4 * 4 * 2, made_int8},
             {ORDERS * 2 * 2 * 2, made_sddmm},
             {2 * 2 * 2, made_attention},
             {2 * 2 * 2, made_vector},
             {2, made_transpose},
             {OTHERS * 2, made_other}};
enum { KINDS = sizeof kinds / sizeof *kinds };

int verb_count(void) {
  int count = 0;
  for (int kind = 0; kind < KINDS; kind++) count += kinds[kind].count;
  return count;
}

int verb_make(int number, verb *v) {
  int kind = 0;
  for (; number >= kinds[kind].count; kind++) number -= kinds[kind].count;
  *v = (verb){.name = ""};
  return kinds[kind].make(number, v);
}

spk_status verb_run(const verb *v, int threads) {
  for (int i = 0; i < MAX_OUTPUTS; i++)
    if (v->outputs[i]) memcpy(v->outputs[i], v->before[i], v->bytes[i]);
  return v->run(v, threads);
}

int verb_untouched(const verb *v) { return verb_same(v, v->before); }

void verb_keep(const verb *v, void *expected[MAX_OUTPUTS]) {
  for (int i = 0; i < MAX_OUTPUTS; i++)
    if (v->outputs[i]) memcpy(expected[i] = exact_memory(v->bytes[i]), v->outputs[i], v->bytes[i]);
}

int verb_same(const verb *v, void *const expected[MAX_OUTPUTS]) {
  for (int i = 0; i < MAX_OUTPUTS; i++)
    if (v->outputs[i] && memcmp(v->outputs[i], expected[i], v->bytes[i]) != 0) return 0;
  return 1;
}
