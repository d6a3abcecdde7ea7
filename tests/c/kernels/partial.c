#include "checks.h"
#include "fixtures.h"

#include <math.h>

/* Rows of the sums of CSC and COO; entries of COO before the first and after the last. */
enum { C_ROWS = 12, STRAYS = 2 };

/* Rows one after the other, as kernels of vectors want them: what was between them belongs to the
 * one before. */
static void join_rows(entries *a, ptrdiff_t width) {
  put_index(a->begin, a->itype, 0, 0);
  for (ptrdiff_t i = 0; i < a->rows; i++)
    put_index(a->end, a->itype, i, i + 1 < a->rows ? begin_of(a, i + 1) : a->count);
  for (ptrdiff_t p = 0; p < a->count; p++)
    if (index_of(a, p) == STRAY) {
      put_index(a->indices, a->itype, p, random_below(width));
      put_value(a->values, a->dtype, p, random_number());
    }
}

/* Rows of the sums: all that entries name; one of them is out of bounds where `wrong`. */
static void check_partial(const char *field, spk_spmm_fn kernel, spk_dtype dtype, spk_itype itype,
                          ptrdiff_t n, spk_format format, int wrong, int sorted, int loop) {
  test_case("%s %s %s, n = %td, wrong %d, sorted %d, loop %d", field, dtype_names[dtype],
            itype_names[itype], n, wrong, sorted, loop);
  const size_t isize = spk_itype_size(itype), size = spk_dtype_size(dtype);
  const ptrdiff_t lanes = lanes_of(dtype), ld = n == 1 ? 1 : spk_round_up(n, lanes);
  const ptrdiff_t bound = format == SPK_CSR ? ROWS : C_ROWS;
  const ptrdiff_t sum_rows = format == SPK_CSR ? ROWS : C_ROWS;
  entries a = random_entries(dtype, itype, bound, 0, 1);
  if (n == 1 && format != SPK_COO) join_rows(&a, bound);
  const matrix B = random_input(dtype, ROWS, n, tile_layout());
  void *rows_coo = NULL;
  ptrdiff_t first = 0, last = a.count;
  if (format == SPK_COO) {
    rows_coo = exact_memory((size_t)a.count * isize);
    first = STRAYS, last = a.count - STRAYS;
    for (ptrdiff_t p = 0; p < a.count; p++) {
      const int stray = p < first || p >= last;
      const ptrdiff_t row = sorted ? (p - first) * C_ROWS / a.count : random_below(C_ROWS);
      put_index(rows_coo, itype, p, stray ? STRAY : row);
      put_index(a.indices, itype, p, stray ? STRAY : random_below(ROWS));
      put_value(a.values, dtype, p, stray ? NAN : random_number());
    }
  }
  const ptrdiff_t outer = format == SPK_COO ? 1 : a.rows;
  int found = 0;
  for (ptrdiff_t k = 0; wrong && k < outer && !found; k++) {
    const ptrdiff_t p = format == SPK_COO ? last - 1 : begin_of(&a, k);
    if (format != SPK_COO && p == end_of(&a, k)) continue;
    const ptrdiff_t beyond = wrong == 1 ? -1 : bound;
    if (format == SPK_COO && wrong == 3)
      put_index(rows_coo, itype, p, C_ROWS);
    else
      put_index(a.indices, itype, p, format == SPK_COO ? (wrong == 1 ? -1 : ROWS) : beyond);
    found = 1;
  }
  exact_memory_freeze();
  matrix C = matrix_output(dtype, sum_rows, ld, ld, 1);
  for (ptrdiff_t i = 0; i < sum_rows; i++)
    for (ptrdiff_t j = 0; j < ld; j++) matrix_put(&C, i, j, 0);
  int outside = 0;
  const spk_spmm_task task = {.indices = spk_at(a.indices, format == SPK_COO ? first : 0, isize),
                              .values = spk_at(a.values, format == SPK_COO ? first : 0, size),
                              .begin = a.begin,
                              .end = a.end,
                              .rows_coo = rows_coo ? spk_at(rows_coo, first, isize) : NULL,
                              .B = B.view.data,
                              .C = C.view.data,
                              .ldb = B.view.row_stride,
                              .rows = format == SPK_COO ? last - first : a.rows,
                              .n = n,
                              .bound = (uint64_t)bound,
                              .col_bound = ROWS,
                              .outside = &outside,
                              .by_blocks = loop == 1,
                              .several = loop == 2,
                              .streams = loop == 2};
  kernel(&task);
  CHECK(outside == found, "outside is %d", outside);
  for (ptrdiff_t i = 0; i < sum_rows && !found; i++)
    for (ptrdiff_t j = 0; j < n; j++) {
      exact e = {0};
      for (ptrdiff_t k = 0; k < outer; k++) {
        const ptrdiff_t from = format == SPK_COO ? first : begin_of(&a, k);
        const ptrdiff_t to = format == SPK_COO ? last : end_of(&a, k);
        for (ptrdiff_t p = from; p < to; p++) {
          const ptrdiff_t index = index_of(&a, p);
          const ptrdiff_t row = format == SPK_CSR   ? k
                                : format == SPK_CSC ? index
                                                    : spk_index(rows_coo, itype, p);
          const ptrdiff_t col = format == SPK_CSC ? k : index;
          if (row == i) exact_add(&e, value_of(&a, p) * matrix_get(&B, col, j));
        }
      }
      CHECK(exact_matches(e, dtype, matrix_get(&C, i, j)), "sums[%td, %td] = %.17g, not %.17g", i,
            j, matrix_get(&C, i, j), e.value);
    }
  exact_memory_release();
}

static void check_partial_cases(const char *field, spk_spmm_fn kernel, spk_dtype dtype,
                                spk_itype itype, ptrdiff_t n, spk_format format) {
  for (int wrong = 0; wrong < (format == SPK_COO ? 4 : 3); wrong++)
    for (int sorted = 0; sorted < (format == SPK_COO ? 2 : 1); sorted++)
      for (int repeat = 0; repeat < 3; repeat++)
        for (int loop = 0; loop < (n == 1 ? 3 : 1); loop++)
          check_partial(field, kernel, dtype, itype, n, format, wrong, sorted, loop);
}

void check_spmm_partial_csc(spk_spmm_fn kernel, spk_dtype dtype, spk_itype itype, int vectors) {
  FOR_TILE(n, dtype, vectors)
  if (n > 1) check_partial_cases("spmm_partial_csc", kernel, dtype, itype, n, SPK_CSC);
}

void check_spmm_partial_coo(spk_spmm_fn kernel, spk_dtype dtype, spk_itype itype, int vectors) {
  FOR_TILE(n, dtype, vectors)
  if (n > 1) check_partial_cases("spmm_partial_coo", kernel, dtype, itype, n, SPK_COO);
}

void check_spmv_partial_csr(spk_spmm_fn kernel, spk_dtype dtype, spk_itype itype) {
  check_partial_cases("spmv_partial_csr", kernel, dtype, itype, 1, SPK_CSR);
}

void check_spmv_partial_csc(spk_spmm_fn kernel, spk_dtype dtype, spk_itype itype) {
  check_partial_cases("spmv_partial_csc", kernel, dtype, itype, 1, SPK_CSC);
}

void check_spmv_partial_coo(spk_spmm_fn kernel, spk_dtype dtype, spk_itype itype) {
  check_partial_cases("spmv_partial_coo", kernel, dtype, itype, 1, SPK_COO);
}

void check_partial_add(spk_partial_add_fn kernel, spk_dtype dtype) {
  const ptrdiff_t count = 3 * SPK_MAX_LANES, stride = count + SPK_MAX_LANES;
  for (ptrdiff_t parts = 1; parts <= 5; parts++) {
    test_case("partial_add %s, %td parts", dtype_names[dtype], parts);
    const matrix sums = random_output(dtype, parts, stride, 0);
    const matrix old = matrix_copy(&sums);
    kernel(sums.view.data, sums.view.row_stride, parts, count);
    for (ptrdiff_t j = 0; j < stride; j++) {
      double sum = matrix_get(&old, 0, j);
      for (ptrdiff_t part = 1; part < parts && j < count; part++)
        sum = dtype == SPK_F32 ? (double)((float)sum + (float)matrix_get(&old, part, j))
                               : sum + matrix_get(&old, part, j);
      CHECK(matrix_get(&sums, 0, j) == sum, "sums[%td]", j);
    }
    exact_memory_release();
  }
}
