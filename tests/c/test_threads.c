/* Threads: the same bits for any number of them, and calls at once. */
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "epilogues.h"
#include "exact.h"
#include "matrix.h"
#include "sparse.h"

static const int counts[] = {2, 3, 5, 64, INT_MAX, 0};
enum { COUNTS = sizeof counts / sizeof *counts };

typedef struct product {
  sparse A;
  matrix B, X, Y;
} product;

static product random_product(const sparse_shape *shape, ptrdiff_t n, layout how) {
  ptrdiff_t row_stride, col_stride;
  product p = {.A = sparse_random(shape)};
  matrix_strides(shape->cols, n, how, 1, &row_stride, &col_stride);
  p.B = matrix_input(shape->dtype, shape->cols, n, row_stride, col_stride);
  matrix_strides(shape->rows, n, how, 1, &row_stride, &col_stride);
  p.X = matrix_input(shape->dtype, shape->rows, n, row_stride, col_stride);
  matrix_strides(n, shape->cols, how, 1, &row_stride, &col_stride);
  p.Y = matrix_input(shape->dtype, n, shape->cols, row_stride, col_stride);
  return p;
}

static void run_both(const product *p, const matrix *C, const matrix *values, int threads) {
  const spk_epilogue e = {.alpha = 0.75, .beta = 0.5, .activation = SPK_GELU};
  const spk_sampling s = {.alpha = 1.5, .beta = 1};
  spk_status status = spk_spmm(&p->A.view, &p->B.view, &C->view, &e, threads);
  CHECK(status == SPK_OK, "spmm, %d threads: %s", threads, spk_status_string(status));
  status = spk_sddmm(&p->A.view, &p->X.view, &p->Y.view, values->memory, &s, threads);
  CHECK(status == SPK_OK, "sddmm, %d threads: %s", threads, spk_status_string(status));
}

/* In row panels (width 0) or slices (1), packed and multiplied on so many threads. */
static void run_prepared(const product *p, const matrix *C, ptrdiff_t width, int threads) {
  const spk_epilogue e = {.alpha = 0.75, .beta = 0.5, .activation = SPK_RELU};
  spk_prepared *prepared = NULL;
  spk_status status =
      spk_prepare(&p->A.view, width, 50 * (1 - width), SPK_STORAGE_SAME, threads, &prepared);
  CHECK(status == SPK_OK, "prepare, %d threads: %s", threads, spk_status_string(status));
  status = spk_prepared_spmm(prepared, &p->B.view, &C->view, &e, threads);
  CHECK(status == SPK_OK, "prepared, %d threads: %s", threads, spk_status_string(status));
  spk_prepared_free(prepared);
}

/* Sums of products that underflow to -0: what pads rows must not make +0 of it. */
static void check_underflow(void) {
  const sparse_shape shape = {SPK_CSR, SPK_F32, SPK_I32, 300, 64, 1, 1, 700, 1};
  for (ptrdiff_t n = 1; n <= 100; n += 33) {
    test_case("underflow, n = %td", n);
    const sparse A = sparse_random(&shape);
    const matrix B = matrix_input(SPK_F32, 64, n, n, 1);
    for (ptrdiff_t p = 0; p < A.entries; p++) ((float *)A.view.values)[p] = -1e-30f;
    for (ptrdiff_t i = 0; i < 64 * n; i++) ((float *)B.view.data)[i] = 1e-30f;
    const matrix C = matrix_output(SPK_F32, 300, n, n, 1), c = matrix_copy(&C);
    for (int threads = 1; threads <= 64; threads *= 8) {
      spk_prepared *prepared = NULL;
      const spk_dense *to = threads > 1 ? &c.view : &C.view;
      CHECK(spk_prepare(&A.view, n, 64, SPK_STORAGE_SAME, threads, &prepared) == SPK_OK);
      CHECK(spk_prepared_spmm(prepared, &B.view, to, NULL, 1) == SPK_OK);
      CHECK(threads == 1 || matrix_same_bits(&C, &c), "prepared by %d threads", threads);
      spk_prepared_free(prepared);
    }
    if (n > 1) {
      CHECK(spk_spmm(&A.view, &B.view, &c.view, NULL, 1) == SPK_OK);
      CHECK(matrix_same_bits(&C, &c), "not prepared");
    }
    exact_memory_release();
  }
}

static const sparse_shape shapes[] = {
    {SPK_CSR, SPK_F32, SPK_I32, 301, 257, 1, 1, 9000, 1},
    {SPK_CSR, SPK_F64, SPK_I64, 64, 3000, 1, 1, 40000, 1},
    {SPK_CSR, SPK_F32, SPK_I32, 50, 200, 1, 1, 3000, 0},
    {SPK_CSC, SPK_F32, SPK_I32, 301, 257, 1, 1, 9000, 1},
    {SPK_COO, SPK_F32, SPK_I64, 301, 257, 1, 1, 9000, 1},
    {SPK_COO, SPK_F64, SPK_I32, 301, 257, 1, 1, 9000, 0},
    {SPK_BSR, SPK_F32, SPK_I32, 300, 256, 4, 4, 20000, 1},
    {SPK_CSR, SPK_F32, SPK_I32, 1, 900, 1, 1, 700, 1},
    {SPK_CSR, SPK_F32, SPK_I32, 301, 257, 1, 1, 30000, IN_RUNS},
    {SPK_CSC, SPK_F64, SPK_I64, 257, 301, 1, 1, 30000, IN_RUNS},
};
enum { SHAPES = sizeof shapes / sizeof *shapes };

static void check_same_bits(void) {
  for (int s = 0; s < SHAPES; s++)
    for (int how = 0; how < OUTPUT_LAYOUTS; how++) {
      const ptrdiff_t n = how % 2 ? 33 : 150;
      const sparse_shape *shape = &shapes[s];
      test_case("%s %td x %td, n = %td, layout %d", sparse_format_name(shape->format), shape->rows,
                shape->cols, n, how);
      const product p = random_product(shape, n, (layout)how);
      ptrdiff_t row_stride, col_stride;
      matrix_strides(shape->rows, n, (layout)how, 0, &row_stride, &col_stride);
      const matrix C = matrix_output(shape->dtype, shape->rows, n, row_stride, col_stride);
      const matrix values = matrix_output(shape->dtype, p.A.entries, 1, 1, 1);
      const matrix c1 = matrix_copy(&C), values1 = matrix_copy(&values);
      run_both(&p, &c1, &values1, 1);
      /* Every other count: each meets each shape and each layout. */
      for (int c = (s + how) % 2; c < COUNTS; c += 2) {
        const matrix ct = matrix_copy(&C), valuest = matrix_copy(&values);
        run_both(&p, &ct, &valuest, counts[c]);
        CHECK(matrix_same_bits(&c1, &ct), "spmm, %d threads", counts[c]);
        CHECK(matrix_same_bits(&values1, &valuest), "sddmm, %d threads", counts[c]);
      }
      for (ptrdiff_t width = 0; shape->format == SPK_CSR && width < 2; width++) {
        const matrix p1 = matrix_copy(&C);
        run_prepared(&p, &p1, width, 1);
        for (int c = (s + how) % 2; c < COUNTS; c += 2) {
          const matrix pt = matrix_copy(&C);
          run_prepared(&p, &pt, width, counts[c]);
          CHECK(matrix_same_bits(&p1, &pt), "prepared for %td, %d threads", width, counts[c]);
        }
      }
      exact_memory_release();
    }
}

/* Sparse vectors: parts of the active columns, in more than one chunk of a dense x; the same sums,
 * and nothing written where a column of any part is corrupt. */
static void check_spmspv(void) {
  static const sparse_shape of[] = {
      {SPK_CSC, SPK_F32, SPK_I32, 1301, 2000, 1, 1, 90000, 1},
      {SPK_CSC, SPK_F64, SPK_I64, 300, 9000, 1, 1, 90000, 0},
      {SPK_CSC, SPK_F32, SPK_I64, 701, 900, 1, 1, 90000, IN_RUNS},
  };
  for (int s = 0; s < (int)(sizeof of / sizeof *of); s++) {
    const sparse_shape *shape = &of[s];
    test_case("spmspv, %td x %td", shape->rows, shape->cols);
    const sparse A = sparse_random(shape);
    matrix x = matrix_input(shape->dtype, shape->cols, 1, 1, 1);
    for (ptrdiff_t k = 0; k < shape->cols; k++)
      if (random_below(2)) matrix_put(&x, k, 0, 0);
    exact *expected = calloc((size_t)shape->rows, sizeof *expected);
    if (!expected) abort();
    for (ptrdiff_t p = 0; p < A.entries; p++)
      exact_add(&expected[A.row[p]], sparse_value(&A, p) * matrix_get(&x, A.col[p], 0));
    const matrix y = matrix_output(shape->dtype, shape->rows, 1, 1, 1), before = matrix_copy(&y);
    CHECK(spk_spmspv_dense(&A.view, x.memory, 1, y.memory, 1) == SPK_OK);
    for (ptrdiff_t i = 0; i < shape->rows; i++)
      CHECK(exact_matches(expected[i], shape->dtype, matrix_get(&y, i, 0)), "row %td", i);
    /* The same entries of x from the last to the first. */
    void *ids = exact_memory((size_t)shape->cols * spk_itype_size(shape->itype));
    void *kept = exact_memory((size_t)shape->cols * spk_dtype_size(shape->dtype));
    ptrdiff_t count = 0;
    for (ptrdiff_t k = shape->cols; k-- > 0;)
      if (matrix_get(&x, k, 0) != 0) {
        put_index(ids, shape->itype, count, k);
        put_value(kept, shape->dtype, count++, matrix_get(&x, k, 0));
      }
    const matrix z = matrix_copy(&before);
    CHECK(spk_spmspv(&A.view, ids, kept, count, z.memory, 1) == SPK_OK);
    for (ptrdiff_t i = 0; i < shape->rows; i++)
      CHECK(exact_matches(expected[i], shape->dtype, matrix_get(&z, i, 0)), "row %td", i);
    free(expected);
    for (int c = 0; c < COUNTS; c++) {
      const matrix yt = matrix_copy(&before), zt = matrix_copy(&before);
      CHECK(spk_spmspv_dense(&A.view, x.memory, 1, yt.memory, counts[c]) == SPK_OK);
      CHECK(spk_spmspv(&A.view, ids, kept, count, zt.memory, counts[c]) == SPK_OK);
      CHECK(matrix_same_bits(&y, &yt), "dense x, %d threads", counts[c]);
      CHECK(matrix_same_bits(&z, &zt), "sparse x, %d threads", counts[c]);
    }
    /* The last entry of the last active column, then of the first: of the ends of ids. */
    for (int end = 0; end < 2; end++) {
      const ptrdiff_t k = spk_index(ids, shape->itype, end ? 0 : count - 1);
      const ptrdiff_t p = spk_index(A.view.offsets, shape->itype, k + 1) - 1;
      if (p < spk_index(A.view.offsets, shape->itype, k)) continue;
      void *indices = (void *)(uintptr_t)A.view.indices;
      const ptrdiff_t was = spk_index(indices, shape->itype, p);
      put_index(indices, shape->itype, p, shape->rows);
      for (int threads = 1; threads < 4; threads++) {
        const matrix yt = matrix_copy(&before);
        CHECK(spk_spmspv_dense(&A.view, x.memory, 1, yt.memory, threads) == SPK_ERR_INDEX);
        CHECK(spk_spmspv(&A.view, ids, kept, count, yt.memory, threads) == SPK_ERR_INDEX);
        CHECK(matrix_same_bits(&before, &yt), "end %d, %d threads", end, threads);
      }
      put_index(indices, shape->itype, p, was);
    }
    exact_memory_release();
  }
}

/* Products by partial sums: right, the same bits for every number of threads, and nothing written
 * where an index of any part is out of range. */
static const struct {
  sparse_shape shape;
  ptrdiff_t n;
} partial[] = {
    {{SPK_CSR, SPK_F32, SPK_I32, 1301, 900, 1, 1, 30000, 1}, 1},
    {{SPK_CSR, SPK_F64, SPK_I64, 300, 2000, 1, 1, 30000, 0}, 1},
    /* Short rows and columns, by blocks: with vectors of up to 16 lanes; and one part. */
    {{SPK_CSR, SPK_F32, SPK_I32, 9001, 700, 1, 1, 33000, 0}, 1},
    {{SPK_CSR, SPK_F32, SPK_I64, 9001, 700, 1, 1, 6000, 1}, 1},
    {{SPK_CSR, SPK_F64, SPK_I32, 40001, 700, 1, 1, 110000, 1}, 1},
    {{SPK_CSC, SPK_F32, SPK_I32, 900, 30001, 1, 1, 110000, 0}, 1},
    {{SPK_CSC, SPK_F64, SPK_I64, 5000, 60001, 1, 1, 110000, 1}, 1},
    {{SPK_CSC, SPK_F32, SPK_I32, 900, 700, 1, 1, 3000, 1}, 1},
    {{SPK_COO, SPK_F32, SPK_I32, 900, 700, 1, 1, 3000, 0}, 3},
    {{SPK_CSC, SPK_F32, SPK_I32, 900, 1301, 1, 1, 70000, 1}, 1},
    {{SPK_CSC, SPK_F64, SPK_I64, 5000, 700, 1, 1, 70000, 0}, 1},
    {{SPK_CSC, SPK_F32, SPK_I64, 700, 900, 1, 1, 20000, 1}, 9},
    {{SPK_CSC, SPK_F64, SPK_I32, 700, 900, 1, 1, 20000, 0}, 75},
    {{SPK_COO, SPK_F32, SPK_I32, 900, 1301, 1, 1, 70000, 1}, 1},
    {{SPK_COO, SPK_F64, SPK_I64, 900, 1301, 1, 1, 70000, 0}, 1},
    {{SPK_COO, SPK_F32, SPK_I64, 700, 900, 1, 1, 20000, 1}, 5},
    {{SPK_COO, SPK_F64, SPK_I32, 700, 900, 1, 1, 20000, 0}, 75},
};
enum { PARTIAL = sizeof partial / sizeof *partial };

static void break_index(const product *p, const matrix *before, ptrdiff_t entry, int of_rows) {
  const spk_sparse *A = &p->A.view;
  const ptrdiff_t bound = of_rows ? A->rows : A->format == SPK_CSC ? A->rows : A->cols;
  void *indices = (void *)(uintptr_t)(of_rows ? A->row_indices : A->indices);
  const ptrdiff_t was = spk_index(indices, A->itype, entry);
  const ptrdiff_t wrong[] = {bound, -1};
  for (int w = 0; w < 2; w++)
    for (int threads = 1; threads < 4; threads++) {
      put_index(indices, A->itype, entry, wrong[w]);
      const int mark = exact_memory_mark();
      const matrix ct = matrix_copy(before);
      CHECK(spk_spmm(A, &p->B.view, &ct.view, NULL, threads) == SPK_ERR_INDEX,
            "index %td of entry %td, %d threads", wrong[w], entry, threads);
      CHECK(matrix_same_bits(before, &ct), "written, %d threads", threads);
      exact_memory_release_to(mark);
    }
  put_index(indices, A->itype, entry, was);
}

static void check_partial_sums(void) {
  for (int s = 0; s < PARTIAL; s++)
    for (int how = 0; how < OUTPUT_LAYOUTS; how++) {
      const sparse_shape *shape = &partial[s].shape;
      const ptrdiff_t m = shape->rows, n = partial[s].n;
      test_case("partial sums, %s %td x %td, n = %td, layout %d", sparse_format_name(shape->format),
                m, shape->cols, n, how);
      const product p = random_product(shape, n, (layout)how);
      ptrdiff_t row_stride, col_stride;
      matrix_strides(m, n, (layout)((how + s) % OUTPUT_LAYOUTS), 0, &row_stride, &col_stride);
      const matrix C = matrix_output(shape->dtype, m, n, row_stride, col_stride);
      const matrix bias = matrix_input(shape->dtype, n, 1, 1, 1), c1 = matrix_copy(&C);
      const spk_epilogue e = {.alpha = 0.75, .beta = s % 2, .bias_col = bias.memory};
      char name[160];
      CHECK(spk_spmm_kernel_name(&p.A.view, &p.B.view, &C.view, 2, name, sizeof name) == SPK_OK);
      CHECK(strstr(name, "partial sums"), "%s", name);
      CHECK(spk_spmm(&p.A.view, &p.B.view, &c1.view, &e, 1) == SPK_OK);
      exact *expected = calloc((size_t)(m * n), sizeof *expected);
      if (!expected) abort();
      for (ptrdiff_t q = 0; q < p.A.entries; q++)
        for (ptrdiff_t j = 0; j < n; j++)
          exact_add(&expected[p.A.row[q] * n + j],
                    sparse_value(&p.A, q) * matrix_get(&p.B, p.A.col[q], j));
      for (ptrdiff_t i = 0; i < m; i++)
        for (ptrdiff_t j = 0; j < n; j++) {
          const exact x = exact_epilogue(expected[i * n + j], &e, matrix_get(&C, i, j), 0,
                                         matrix_get(&bias, j, 0));
          CHECK(exact_matches(x, shape->dtype, matrix_get(&c1, i, j)), "C[%td, %td]", i, j);
        }
      free(expected);
      CHECK(matrix_gaps_intact(&c1));
      for (int c = 0; c < COUNTS; c++) {
        const matrix ct = matrix_copy(&C);
        CHECK(spk_spmm(&p.A.view, &p.B.view, &ct.view, &e, counts[c]) == SPK_OK);
        CHECK(matrix_same_bits(&c1, &ct), "%d threads", counts[c]);
      }
      if (how == 0)
        for (int end = 0; end < 3; end++) {
          const ptrdiff_t entry = end * (p.A.view.nnz - 1) / 2;
          break_index(&p, &C, entry, 0);
          if (shape->format == SPK_COO) break_index(&p, &C, entry, 1);
        }
      exact_memory_release();
    }
}

typedef struct caller {
  const product *p;
  matrix C, values;
  const matrix *expected_c, *expected_values;
  int different;
} caller;

enum { CALLERS = 4, CALLS = 20 };

static void *call_often(void *argument) {
  caller *self = argument;
  const spk_epilogue e = {.alpha = 1};
  for (int i = 0; i < CALLS; i++) {
    if (spk_spmm(&self->p->A.view, &self->p->B.view, &self->C.view, &e, 2) != SPK_OK ||
        spk_sddmm(&self->p->A.view, &self->p->X.view, &self->p->Y.view, self->values.memory, NULL,
                  2) != SPK_OK ||
        !matrix_same_bits(&self->C, self->expected_c) ||
        !matrix_same_bits(&self->values, self->expected_values))
      self->different++;
  }
  return NULL;
}

/* Callers on threads of their own, whose regions overlap. */
static void check_calls_at_once(void) {
  test_case("%d callers at once", CALLERS);
  const product p = random_product(&shapes[0], 64, ROW_MAJOR);
  const matrix C = matrix_output(SPK_F32, shapes[0].rows, 64, 64, 1);
  const matrix values = matrix_output(SPK_F32, p.A.entries, 1, 1, 1);
  const spk_epilogue e = {.alpha = 1};
  caller callers[CALLERS];
  for (int i = 0; i < CALLERS; i++)
    callers[i] = (caller){&p, matrix_copy(&C), matrix_copy(&values), &C, &values, 0};
  CHECK(spk_spmm(&p.A.view, &p.B.view, &C.view, &e, 1) == SPK_OK);
  CHECK(spk_sddmm(&p.A.view, &p.X.view, &p.Y.view, values.memory, NULL, 1) == SPK_OK);
  pthread_t threads[CALLERS];
  for (int i = 0; i < CALLERS; i++)
    if (pthread_create(&threads[i], NULL, call_often, &callers[i])) abort();
  for (int i = 0; i < CALLERS; i++) {
    pthread_join(threads[i], NULL);
    CHECK(callers[i].different == 0, "caller %d: %d of %d calls", i, callers[i].different, CALLS);
  }
  exact_memory_release();
}

static void check_settings(void) {
  test_case("the default number of threads");
  const int most = spk_get_num_threads();
  CHECK(most >= 1);
  spk_set_num_threads(7);
  CHECK(spk_get_num_threads() == 7);
  spk_limit_threads(1);
  CHECK(spk_get_num_threads() == 7, "a limit bounds the default, not what was set");
  spk_set_num_threads(0);
  CHECK(spk_get_num_threads() == 1);
  spk_limit_threads(0);
  CHECK(spk_get_num_threads() == most);
  spk_set_num_threads(-3);
  CHECK(spk_get_num_threads() == most);
}

int main(void) {
  if (!spk_isa()) return TEST_SKIPPED;
  seed_random(1969);
  check_settings();
  check_underflow();
  check_same_bits();
  check_spmspv();
  check_partial_sums();
  check_calls_at_once();
  return test_result();
}
