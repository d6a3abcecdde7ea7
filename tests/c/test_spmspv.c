/* Products with a sparse vector, and of two sparse matrices: by the columns that are active. */
#include <math.h>

#include "active.h"

static void check_vector(const active *a) {
  const spk_dtype dtype = a->A.dtype;
  matrix y = matrix_output(dtype, ACTIVE_ROWS, 1, 1, 1);
  for (ptrdiff_t i = 0; i < ACTIVE_ROWS; i++) matrix_put(&y, i, 0, NAN);
  CHECK(spk_spmspv(&a->A, a->ids, a->x.memory, a->count, y.memory, 1) == SPK_OK);
  for (ptrdiff_t i = 0; i < ACTIVE_ROWS; i++)
    CHECK(exact_matches(a->expected[i], dtype, matrix_get(&y, i, 0)), "row %td", i);
}

/* Zeros of a dense vector skip the corrupt column. */
static void check_dense_vector(const active *a) {
  const spk_sparse *A = &a->A;
  matrix x = matrix_input(A->dtype, ACTIVE_COLS, 1, 3, 1);
  matrix y = matrix_output(A->dtype, ACTIVE_ROWS, 1, 1, 1);
  for (ptrdiff_t k = 0; k < ACTIVE_COLS; k++)
    if (k == CORRUPT || k % 4 == 2) matrix_put(&x, k, 0, 0);
  CHECK(spk_spmspv_dense(A, x.view.data, 3, y.memory, 1) == SPK_OK);
  exact expected[ACTIVE_ROWS] = {{0}};
  for (ptrdiff_t k = CORRUPT + 1; k < ACTIVE_COLS; k++) {
    const ptrdiff_t end = spk_index(A->offsets, A->itype, k + 1);
    for (ptrdiff_t p = spk_index(A->offsets, A->itype, k); p < end; p++)
      exact_add(&expected[spk_index(A->indices, A->itype, p)],
                get_value(A->values, A->dtype, p) * matrix_get(&x, k, 0));
  }
  for (ptrdiff_t i = 0; i < ACTIVE_ROWS; i++)
    CHECK(exact_matches(expected[i], A->dtype, matrix_get(&y, i, 0)), "row %td", i);
  matrix_put(&x, CORRUPT, 0, 1);
  CHECK(spk_spmspv_dense(A, x.view.data, 3, y.memory, 1) == SPK_ERR_INDEX);
  CHECK(spk_spmspv_dense(A, NULL, 1, y.memory, 1) == SPK_ERR_ARGUMENT);
}

/* Rows of a product of two are products with their entries: the active columns, cut in two. */
static void check_matrices(const active *a) {
  enum { ROWS = 3, LD = ACTIVE_ROWS + 2 };
  const spk_sparse *A = &a->A;
  const ptrdiff_t cuts[ROWS + 1] = {0, a->count / 2, a->count / 2, a->count};
  void *offsets = exact_memory((ROWS + 1) * spk_itype_size(A->itype));
  for (int i = 0; i <= ROWS; i++) put_index(offsets, A->itype, i, cuts[i]);
  const spk_sparse L = {SPK_CSR, A->dtype, A->itype, 0,      ROWS, ACTIVE_COLS, a->count,
                        1,       1,        offsets,  a->ids, NULL, a->x.memory};
  spk_sparse R = *A; /* transposed */
  R.format = SPK_CSR;
  R.rows = A->cols;
  R.cols = A->rows;
  const matrix C = matrix_output(A->dtype, ROWS, ACTIVE_ROWS, LD, 1);
  const matrix y = matrix_output(A->dtype, ACTIVE_ROWS, 1, 1, 1);
  CHECK(spk_spmspm(&L, &R, C.memory, LD, 1) == SPK_ERR_INDEX);
  active_mend(a, 1);
  for (int threads = 1; threads < 4; threads++) {
    CHECK(spk_spmspm(&L, &R, C.memory, LD, threads) == SPK_OK);
    for (int i = 0; i < ROWS; i++) {
      const void *ids = spk_at(a->ids, cuts[i], spk_itype_size(A->itype));
      const void *x = spk_at(a->x.memory, cuts[i], spk_dtype_size(A->dtype));
      CHECK(spk_spmspv(A, ids, x, cuts[i + 1] - cuts[i], y.memory, 1) == SPK_OK);
      for (ptrdiff_t j = 0; j < ACTIVE_ROWS; j++)
        CHECK(matrix_get(&C, i, j) == matrix_get(&y, j, 0), "row %d, column %td", i, j);
    }
    CHECK(matrix_gaps_intact(&C));
  }
  active_mend(a, 0);
  R.rows--;
  CHECK(spk_spmspm(&L, &R, C.memory, LD, 1) == SPK_ERR_SHAPE);
  CHECK(spk_spmspm(A, &R, C.memory, LD, 1) == SPK_ERR_ARGUMENT);
}

/* The corrupt column is active, and one that there is not. */
static void check_refused(const active *a) {
  const matrix y = matrix_output(a->A.dtype, ACTIVE_ROWS, 1, 1, 1);
  const ptrdiff_t wrong[] = {CORRUPT, ACTIVE_COLS, -1};
  for (int w = 0; a->count > 0 && w < 3; w++) {
    put_index(a->ids, a->A.itype, a->count - 1, wrong[w]);
    CHECK(spk_spmspv(&a->A, a->ids, a->x.memory, a->count, y.memory, 1) == SPK_ERR_INDEX);
  }
}

int main(void) {
  if (spk_init() != SPK_OK) return TEST_SKIPPED;
  seed_random(50);
  for (int dtype = 0; dtype < 2; dtype++)
    for (int itype = 0; itype < 2; itype++)
      for (ptrdiff_t count = 0; count < 9; count++) {
        test_case("%td active columns, types %d %d", count, dtype, itype);
        const active a = active_random((spk_dtype)dtype, (spk_itype)itype, count);
        check_vector(&a);
        check_dense_vector(&a);
        check_matrices(&a);
        check_refused(&a);
        exact_memory_release();
      }
  return test_result();
}
