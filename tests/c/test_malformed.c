/* Malformed operands: each gives its status, nothing is read out of bounds, nothing is written. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "matrix.h"
#include "sparse.h"

enum { ROWS = 12, COLS = 18, N = 5, K = 7, ENTRIES = 60 };

/* A product of each kind, with all of its memory. */
typedef struct operands {
  sparse A;
  matrix B, C, X, Y, values;
} operands;

static operands well_formed(spk_format format, spk_itype itype) {
  const int bsr = format == SPK_BSR;
  const sparse_shape shape = {format,      SPK_F32,     itype,   ROWS, COLS,
                              bsr ? 2 : 1, bsr ? 3 : 1, ENTRIES, 1};
  operands o;
  do { /* at least some entries in the first and in the last row */
    exact_memory_release();
    o.A = sparse_random(&shape);
  } while (o.A.view.nnz < 4);
  o.B = matrix_input(SPK_F32, COLS, N, N, 1);
  o.X = matrix_input(SPK_F32, ROWS, K, K, 1);
  o.Y = matrix_input(SPK_F32, K, COLS, COLS, 1);
  o.C = matrix_output(SPK_F32, ROWS, N, N, 1);
  o.values = matrix_output(SPK_F32, o.A.entries, 1, 1, 1);
  return o;
}

static void expect_status(const operands *o, spk_status expected, const char *verb,
                          spk_status status) {
  CHECK(status == expected, "%s of %s i%d: %s; not: %s", verb, sparse_format_name(o->A.view.format),
        o->A.view.itype == SPK_I32 ? 32 : 64, spk_status_string(status),
        spk_status_string(expected));
}

/* All verbs give `expected` for A as it now is, and leave their outputs alone. */
static void expect_all(operands *o, spk_status expected) {
  const int mark = exact_memory_mark();
  const matrix c = matrix_copy(&o->C), values = matrix_copy(&o->values);
  const spk_sampling reads_values = {1, 1, 1};
  char name[160];
  spk_sparse copy = o->A.view;
  expect_status(o, expected, "check", spk_check(&copy, 1));
  if (expected != SPK_OK) CHECK(!(copy.flags & SPK_CHECKED));
  for (int threads = 0; threads < 3; threads++) {
    expect_status(o, expected, "spmm", spk_spmm(&o->A.view, &o->B.view, &o->C.view, NULL, threads));
    expect_status(
        o, expected, "sddmm",
        spk_sddmm(&o->A.view, &o->X.view, &o->Y.view, o->values.memory, &reads_values, threads));
  }
  spk_prepared *bitmap = NULL;
  const spk_status status = spk_prepare_bitmap(&o->A.view, NULL, 0, SPK_STORAGE_BF16, 1, &bitmap);
  CHECK((status == SPK_OK) == (bitmap != NULL));
  CHECK(expected == SPK_OK || status != SPK_OK);
  spk_prepared_free(bitmap);
  for (ptrdiff_t width = 0; width < 2; width++) {
    spk_prepared *prepared = NULL;
    const spk_status wanted = o->A.view.format == SPK_CSR ? expected : SPK_ERR_ARGUMENT;
    const spk_status status = spk_prepare(&o->A.view, width, 0, SPK_STORAGE_SAME, 1, &prepared);
    /* Of two things that are wrong either may be said. */
    if (status != expected) expect_status(o, wanted, "prepare", status);
    CHECK((status == SPK_OK) == (prepared != NULL));
    spk_prepared_free(prepared);
  }
  if (o->A.view.format == SPK_BSR && expected == SPK_ERR_INDEX) {
    const ptrdiff_t offsets = o->A.view.cols / o->A.view.block_cols + 1;
    const size_t bytes = (size_t)(offsets + o->A.view.nnz) * sizeof(int64_t);
    int64_t *arrays = exact_memory(bytes), *before = exact_memory(bytes);
    memset(arrays, 7, bytes);
    memcpy(before, arrays, bytes);
    expect_status(o, expected, "transpose blocks",
                  spk_transpose_blocks(&o->A.view, arrays, arrays + offsets, o->values.memory));
    CHECK(memcmp(arrays, before, bytes) == 0);
  }
  expect_status(o, expected, "kernel name",
                spk_spmm_kernel_name(&o->A.view, &o->B.view, &o->C.view, 1, name, sizeof name));
  if (expected != SPK_OK) {
    CHECK(matrix_same_bits(&c, &o->C));
    CHECK(matrix_same_bits(&values, &o->values));
  }
  exact_memory_release_to(mark);
}

/* One element of an index array replaced by a wrong one, and put back. */
static void expect_wrong(operands *o, const void *array, ptrdiff_t at, int64_t wrong,
                         spk_status expected) {
  void *writable = (void *)(uintptr_t)array;
  const spk_itype itype = o->A.view.itype;
  const int64_t was = spk_index(array, itype, at);
  test_case("%s i%d, element %td of %s is %lld", sparse_format_name(o->A.view.format),
            itype == SPK_I32 ? 32 : 64, at,
            array == o->A.view.offsets   ? "offsets"
            : array == o->A.view.indices ? "indices"
                                         : "row indices",
            (long long)wrong);
  put_index(writable, itype, at, wrong);
  expect_all(o, expected);
  put_index(writable, itype, at, was);
}

static void check_indices(operands *o, const void *indices, ptrdiff_t bound) {
  const int64_t wide = o->A.view.itype == SPK_I64;
  const int64_t wrong[] = {-1,
                           bound,
                           bound + 100,
                           INT32_MIN,
                           INT32_MAX,
                           wide ? INT64_MIN : -2,
                           wide ? INT64_MAX : INT32_MAX - 1};
  const ptrdiff_t places[] = {0, 1, o->A.view.nnz / 2, o->A.view.nnz - 1};
  for (size_t p = 0; p < sizeof places / sizeof *places; p++)
    for (size_t w = 0; w < sizeof wrong / sizeof *wrong; w++)
      expect_wrong(o, indices, places[p], wrong[w], SPK_ERR_INDEX);
}

static void check_offsets(operands *o, ptrdiff_t outer) {
  const int64_t nnz = o->A.view.nnz, wide = o->A.view.itype == SPK_I64;
  const int64_t wrong[] = {-1, nnz + 1, INT32_MIN, INT32_MAX, wide ? INT64_MAX : INT32_MAX - 1};
  const ptrdiff_t places[] = {0, 1, outer / 2, outer};
  for (size_t p = 0; p < sizeof places / sizeof *places; p++)
    for (size_t w = 0; w < sizeof wrong / sizeof *wrong; w++)
      expect_wrong(o, o->A.view.offsets, places[p], wrong[w], SPK_ERR_INDPTR);
  expect_wrong(o, o->A.view.offsets, 0, 1, SPK_ERR_INDPTR);
}

static void check_contents(spk_format format, spk_itype itype) {
  operands o = well_formed(format, itype);
  const int by_column = format == SPK_CSC;
  test_case("%s, well formed", sparse_format_name(format));
  expect_all(&o, SPK_OK);
  if (format != SPK_COO) check_offsets(&o, by_column ? COLS : ROWS / o.A.view.block_rows);
  check_indices(&o, o.A.view.indices, by_column ? ROWS : COLS / o.A.view.block_cols);
  if (format == SPK_COO) check_indices(&o, o.A.view.row_indices, ROWS);
  exact_memory_release();
}

/* Arrays that are missing or that hold less than offsets say. */
static void check_arrays(spk_format format) {
  operands o = well_formed(format, SPK_I32);
  const spk_sparse A = o.A.view;
  test_case("%s, arrays that are missing", sparse_format_name(format));
  o.A.view.indices = NULL;
  expect_all(&o, SPK_ERR_ARGUMENT);
  o.A.view = A;
  o.A.view.values = NULL;
  expect_all(&o, SPK_ERR_ARGUMENT);
  o.A.view = A;
  if (format == SPK_COO)
    o.A.view.row_indices = NULL;
  else
    o.A.view.offsets = NULL;
  expect_all(&o, SPK_ERR_ARGUMENT);

  test_case("%s, one entry less than offsets say", sparse_format_name(format));
  o.A.view = A;
  o.A.view.nnz--;
  if (format != SPK_COO) expect_all(&o, SPK_ERR_INDPTR);
  o.A.view.nnz = -1;
  expect_all(&o, SPK_ERR_ARGUMENT);
  exact_memory_release();
}

static void check_header(spk_format format) {
  operands o = well_formed(format, SPK_I64);
  const spk_sparse A = o.A.view;
  test_case("%s, sizes and enum values", sparse_format_name(format));
#define EXPECT_FIELD(field, wrong, expected) \
  do {                                       \
    o.A.view.field = (wrong);                \
    expect_all(&o, expected);                \
    o.A.view = A;                            \
  } while (0)
  EXPECT_FIELD(rows, -1, SPK_ERR_ARGUMENT);
  EXPECT_FIELD(cols, -COLS, SPK_ERR_ARGUMENT);
  EXPECT_FIELD(format, (spk_format)FORMATS, SPK_ERR_ARGUMENT);
  EXPECT_FIELD(format, (spk_format)-1, SPK_ERR_ARGUMENT);
  EXPECT_FIELD(dtype, (spk_dtype)2, SPK_ERR_ARGUMENT);
  EXPECT_FIELD(itype, (spk_itype)-1, SPK_ERR_ARGUMENT);
  EXPECT_FIELD(block_rows, 0, SPK_ERR_ARGUMENT);
  EXPECT_FIELD(block_cols, -3, SPK_ERR_ARGUMENT);
  if (format == SPK_BSR)
    EXPECT_FIELD(block_rows, 5, SPK_ERR_SHAPE);
  else
    EXPECT_FIELD(block_rows, 2, SPK_ERR_ARGUMENT);
#undef EXPECT_FIELD
  exact_memory_release();
}

/* The dense operands and what is not a matrix. */
static void check_dense(void) {
  operands o = well_formed(SPK_CSR, SPK_I32);
  const spk_sparse *A = &o.A.view;
  const matrix c = matrix_copy(&o.C), values = matrix_copy(&o.values);
  test_case("dense operands");
#define EXPECT_DENSE(operand, field, wrong, expected)                                      \
  do {                                                                                     \
    const spk_dense was = o.operand.view;                                                  \
    o.operand.view.field = (wrong);                                                        \
    spk_status status = SPK_OK;                                                            \
    if (&o.operand == &o.B || &o.operand == &o.C)                                          \
      status = spk_spmm(A, &o.B.view, &o.C.view, NULL, 1);                                 \
    else                                                                                   \
      status = spk_sddmm(A, &o.X.view, &o.Y.view, o.values.memory, NULL, 1);               \
    CHECK(status == (expected), "%s.%s: %s", #operand, #field, spk_status_string(status)); \
    o.operand.view = was;                                                                  \
  } while (0)
  EXPECT_DENSE(B, rows, COLS - 1, SPK_ERR_SHAPE);
  EXPECT_DENSE(B, cols, N + 1, SPK_ERR_SHAPE);
  EXPECT_DENSE(B, cols, -1, SPK_ERR_ARGUMENT);
  EXPECT_DENSE(B, data, NULL, SPK_ERR_ARGUMENT);
  EXPECT_DENSE(B, dtype, SPK_F64, SPK_ERR_DTYPE);
  EXPECT_DENSE(B, dtype, (spk_dtype)7, SPK_ERR_ARGUMENT);
  EXPECT_DENSE(C, rows, ROWS + 1, SPK_ERR_SHAPE);
  EXPECT_DENSE(C, rows, -1, SPK_ERR_ARGUMENT);
  EXPECT_DENSE(C, data, NULL, SPK_ERR_ARGUMENT);
  EXPECT_DENSE(C, dtype, SPK_F64, SPK_ERR_DTYPE);
  EXPECT_DENSE(X, rows, ROWS - 1, SPK_ERR_SHAPE);
  EXPECT_DENSE(X, cols, K + 1, SPK_ERR_SHAPE);
  EXPECT_DENSE(X, data, NULL, SPK_ERR_ARGUMENT);
  EXPECT_DENSE(X, dtype, SPK_F64, SPK_ERR_DTYPE);
  EXPECT_DENSE(Y, cols, COLS + 1, SPK_ERR_SHAPE);
  EXPECT_DENSE(Y, rows, -1, SPK_ERR_ARGUMENT);
  EXPECT_DENSE(Y, dtype, SPK_F64, SPK_ERR_DTYPE);
#undef EXPECT_DENSE
  CHECK(spk_spmm(NULL, &o.B.view, &o.C.view, NULL, 1) == SPK_ERR_ARGUMENT);
  CHECK(spk_spmm(A, NULL, &o.C.view, NULL, 1) == SPK_ERR_ARGUMENT);
  CHECK(spk_spmm(A, &o.B.view, NULL, NULL, 1) == SPK_ERR_ARGUMENT);
  CHECK(spk_sddmm(NULL, &o.X.view, &o.Y.view, o.values.memory, NULL, 1) == SPK_ERR_ARGUMENT);
  CHECK(spk_sddmm(A, NULL, &o.Y.view, o.values.memory, NULL, 1) == SPK_ERR_ARGUMENT);
  CHECK(spk_sddmm(A, &o.X.view, NULL, o.values.memory, NULL, 1) == SPK_ERR_ARGUMENT);
  CHECK(spk_sddmm(A, &o.X.view, &o.Y.view, NULL, NULL, 1) == SPK_ERR_ARGUMENT);
  const spk_epilogue unknown = {.alpha = 1, .activation = (spk_activation)12};
  CHECK(spk_spmm(A, &o.B.view, &o.C.view, &unknown, 1) == SPK_ERR_ARGUMENT);
  char name[8];
  CHECK(spk_spmm_kernel_name(A, &o.B.view, &o.C.view, 1, NULL, 8) == SPK_ERR_ARGUMENT);
  CHECK(spk_spmm_kernel_name(A, &o.B.view, &o.C.view, 1, name, 0) == SPK_ERR_ARGUMENT);
  CHECK(spk_spmm_kernel_name(A, &o.B.view, &o.C.view, 1, name, sizeof name) == SPK_OK);
  CHECK(memchr(name, 0, sizeof name) != NULL);
  CHECK(matrix_same_bits(&c, &o.C));
  CHECK(matrix_same_bits(&values, &o.values));
  exact_memory_release();
}

/* A dimension that no 32-bit index reaches does not let negative ones through. */
static void check_wide_dimension(void) {
  const ptrdiff_t wide = (ptrdiff_t)1 << 33;
  const int32_t offsets[] = {0, 1};
  int32_t index = -1;
  const float value = 1;
  spk_sparse A = {.format = SPK_CSR,
                  .dtype = SPK_F32,
                  .itype = SPK_I32,
                  .rows = 1,
                  .cols = wide,
                  .nnz = 1,
                  .block_rows = 1,
                  .block_cols = 1,
                  .offsets = offsets,
                  .indices = &index,
                  .values = &value};
  test_case("a negative 32-bit index below 2**33 columns");
  CHECK(spk_check(&A, 1) == SPK_ERR_INDEX);
  index = INT32_MAX;
  CHECK(spk_check(&A, 1) == SPK_OK);
}

/* Entries behind the last offset belong to no row and may be anything. */
static void check_unused_tail(void) {
  operands o = well_formed(SPK_CSR, SPK_I32);
  test_case("an unused tail");
  const int32_t used = (int32_t)o.A.view.nnz - 2;
  int32_t *offsets = (int32_t *)(uintptr_t)o.A.view.offsets;
  int32_t *indices = (int32_t *)(uintptr_t)o.A.view.indices;
  for (int i = 0; i <= ROWS; i++) offsets[i] = offsets[i] < used ? offsets[i] : used;
  indices[used] = -5;
  indices[used + 1] = COLS + 5;
  expect_all(&o, SPK_OK);
  exact_memory_release();
}

/* Arrays that several threads validate, piece by piece: what is wrong at the seams is found as
 * well. */
static void check_pieces(spk_itype itype) {
  enum { PIECE = 1 << 15, LENGTH = 50000, COUNT = 2 * LENGTH };
  const size_t size = spk_itype_size(itype);
  char *offsets = calloc(3, size), *indices = calloc(COUNT, size);
  float *values = calloc(COUNT, sizeof *values);
  spk_sparse A = {.format = SPK_CSR,
                  .dtype = SPK_F32,
                  .itype = itype,
                  .rows = 2,
                  .cols = LENGTH,
                  .nnz = COUNT,
                  .block_rows = 1,
                  .block_cols = 1,
                  .offsets = offsets,
                  .indices = indices,
                  .values = values};
  const ptrdiff_t seams[] = {0, PIECE - 1, PIECE, 2 * PIECE, 3 * PIECE - 1, COUNT - 1};
  put_index(offsets, itype, 1, LENGTH);
  put_index(offsets, itype, 2, COUNT);
  for (ptrdiff_t p = 0; p < COUNT; p++) put_index(indices, itype, p, p % LENGTH);
  test_case("validated in pieces, i%d", itype == SPK_I32 ? 32 : 64);
  CHECK(spk_check(&A, 1) == SPK_OK && A.flags & SPK_SORTED);
  for (size_t s = 0; s < sizeof seams / sizeof *seams; s++) {
    const ptrdiff_t p = seams[s], was = p % LENGTH;
    test_case("validated in pieces, entry %td", p);
    put_index(indices, itype, p, LENGTH);
    CHECK(spk_check(&A, 1) == SPK_ERR_INDEX);
    put_index(indices, itype, p, -1);
    CHECK(spk_check(&A, 1) == SPK_ERR_INDEX);
    put_index(indices, itype, p, 0); /* below its left neighbour, but for the first of a row */
    CHECK(spk_check(&A, 1) == SPK_OK);
    CHECK(!(A.flags & SPK_SORTED) == (was > 0));
    put_index(indices, itype, p, was);
  }
  free(offsets);
  free(indices);
  free(values);
}

static void check_prepared_arguments(void) {
  operands o = well_formed(SPK_CSR, SPK_I32);
  test_case("arguments of prepared products");
  spk_prepared *p = NULL;
  const spk_sparse *A = &o.A.view;
  CHECK(spk_prepare(NULL, 0, 0, SPK_STORAGE_SAME, 1, &p) == SPK_ERR_ARGUMENT);
  CHECK(spk_prepare(A, 0, 0, SPK_STORAGE_SAME, 1, NULL) == SPK_ERR_ARGUMENT);
  CHECK(spk_prepare(A, -1, 0, SPK_STORAGE_SAME, 1, &p) == SPK_ERR_ARGUMENT);
  CHECK(spk_prepare(A, 0, -1, SPK_STORAGE_SAME, 1, &p) == SPK_ERR_ARGUMENT);
  CHECK(spk_prepare(A, 0, 0, (spk_storage)3, 1, &p) == SPK_ERR_ARGUMENT);
  spk_sparse doubles = *A;
  doubles.dtype = SPK_F64;
  CHECK(spk_prepare(&doubles, 0, 0, SPK_STORAGE_F16, 1, &p) == SPK_ERR_DTYPE);
  CHECK(!p && spk_prepared_bytes(p) == 0 && spk_prepared_block_rows(p) == 0 &&
        spk_prepared_shared(p) == 0);
  spk_prepared_free(p);
  for (ptrdiff_t n = 1; n < 300; n++)
    for (int dtype = SPK_F32; dtype <= SPK_F64; dtype++) {
      const ptrdiff_t width = spk_prepare_width((spk_dtype)dtype, n);
      CHECK(width >= 1 && (width == 1) == (n == 1));
      CHECK(spk_prepare_width((spk_dtype)dtype, width) == width, "%td, %td", n, width);
      doubles.dtype = (spk_dtype)dtype;
      for (int strategy = SPK_STRATEGY_ROWS; strategy <= SPK_STRATEGY_BITMAP; strategy++)
        CHECK(spk_predict(&doubles, n, (spk_strategy)strategy) > 0, "strategy %d, n = %td",
              strategy, n);
    }
  CHECK(spk_predict(NULL, 8, SPK_STRATEGY_ROWS) == 0 && spk_predict(A, 0, SPK_STRATEGY_ROWS) == 0);
  CHECK(spk_predict(A, 8, (spk_strategy)4) == 0);
  for (ptrdiff_t width = 0; width < 2; width++) {
    CHECK(spk_prepare(A, width, 0, SPK_STORAGE_SAME, 1, &p) == SPK_OK);
    const spk_dense *B = &o.B.view, *C = &o.C.view;
    const matrix c = matrix_copy(&o.C);
    const matrix wide = matrix_input(SPK_F32, COLS, N + 1, N + 1, 1);
    const matrix f64 = matrix_input(SPK_F64, COLS, N, N, 1);
    const spk_epilogue unknown = {.alpha = 1, .activation = (spk_activation)12};
    CHECK(spk_prepared_spmm(NULL, B, C, NULL, 1) == SPK_ERR_ARGUMENT);
    CHECK(spk_prepared_spmm(p, NULL, C, NULL, 1) == SPK_ERR_ARGUMENT);
    CHECK(spk_prepared_spmm(p, B, C, &unknown, 1) == SPK_ERR_ARGUMENT);
    CHECK(spk_prepared_spmm(p, &o.X.view, C, NULL, 1) == SPK_ERR_SHAPE);
    CHECK(spk_prepared_spmm(p, &wide.view, C, NULL, 1) == SPK_ERR_SHAPE);
    CHECK(spk_prepared_spmm(p, &f64.view, C, NULL, 1) == SPK_ERR_DTYPE);
    CHECK(matrix_same_bits(&c, &o.C));
    CHECK(spk_prepared_spmm(p, B, C, NULL, 1) == SPK_OK);
    spk_prepared_free(p);
    p = NULL;
  }
  exact_memory_release();
}

static void check_bitmap_arguments(void) {
  operands o = well_formed(SPK_CSR, SPK_I32);
  test_case("arguments of bitmaps");
  enum { GROUPS = (COLS + 31) / 32 };
  float scales[ROWS * GROUPS];
  spk_prepared *p = NULL;
  const spk_sparse *A = &o.A.view;
  for (int i = 0; i < ROWS * GROUPS; i++) scales[i] = 1.0f;
  CHECK(spk_prepare_bitmap(NULL, scales, 32, SPK_STORAGE_S8, 1, &p) == SPK_ERR_ARGUMENT);
  CHECK(spk_prepare_bitmap(A, scales, 32, SPK_STORAGE_S8, 1, NULL) == SPK_ERR_ARGUMENT);
  CHECK(spk_prepare_bitmap(A, scales, 32, SPK_STORAGE_SAME, 1, &p) == SPK_ERR_ARGUMENT);
  CHECK(spk_prepare_bitmap(A, scales, 32, (spk_storage)5, 1, &p) == SPK_ERR_ARGUMENT);
  CHECK(spk_prepare_bitmap(A, NULL, 32, SPK_STORAGE_S4, 1, &p) == SPK_ERR_ARGUMENT);
  CHECK(spk_prepare_bitmap(A, scales, 0, SPK_STORAGE_S4, 1, &p) == SPK_ERR_ARGUMENT);
  CHECK(spk_prepare_bitmap(A, scales, 1, SPK_STORAGE_S4, 1, &p) ==
        (COLS > 1 ? SPK_ERR_ARGUMENT : SPK_OK));
  static const float wrong[] = {-1.0f, INFINITY, NAN};
  for (int i = 0; i < 3; i++) {
    scales[ROWS * GROUPS - 1] = wrong[i];
    CHECK(spk_prepare_bitmap(A, scales, 32, SPK_STORAGE_S8, 1, &p) == SPK_ERR_ARGUMENT);
  }
  scales[ROWS * GROUPS - 1] = 0.0f;
  CHECK(spk_prepare_sell(NULL, scales, 1, &p) == SPK_ERR_ARGUMENT);
  CHECK(spk_prepare_sell(A, NULL, 1, &p) == SPK_ERR_ARGUMENT);
  CHECK(spk_prepare_sell(A, scales, 1, NULL) == SPK_ERR_ARGUMENT);
  spk_sparse other = *A;
  other.dtype = SPK_F64;
  CHECK(spk_prepare_sell(&other, scales, 1, &p) == SPK_ERR_DTYPE);
  CHECK(spk_prepare_bitmap(&other, scales, 32, SPK_STORAGE_S8, 1, &p) == SPK_ERR_DTYPE);
  other = *A;
  other.cols = (1 << 20) + 1;
  CHECK(spk_prepare_bitmap(&other, NULL, 0, SPK_STORAGE_F16, 1, &p) == SPK_ERR_SPARSE);
  CHECK(!p);
  exact_memory_release();
}

int main(void) {
  if (!spk_isa()) return TEST_SKIPPED;
  seed_random(404);
  for (int format = 0; format < FORMATS; format++) {
    for (int itype = 0; itype < 2; itype++) check_contents((spk_format)format, (spk_itype)itype);
    check_arrays((spk_format)format);
    check_header((spk_format)format);
  }
  check_dense();
  check_wide_dimension();
  check_unused_tail();
  check_pieces(SPK_I32);
  check_pieces(SPK_I64);
  check_prepared_arguments();
  check_bitmap_arguments();
  return test_result();
}
