#include "checks.h"
#include "fixtures.h"

#include <math.h>

void check_spmspv_nonzeros(spk_nonzeros_fn kernel, spk_dtype dtype, spk_itype itype) {
  for (ptrdiff_t count = 0; count < 200; count += count < 20 ? 1 : 37)
    for (ptrdiff_t stride = 1; stride < 3; stride++) {
      test_case("spmspv_nonzeros %s %s, %td, stride %td", dtype_names[dtype], itype_names[itype],
                count, stride);
      void *ids = exact_memory((size_t)count * spk_itype_size(itype));
      matrix x = matrix_input(dtype, count, 1, stride, 1);
      matrix kept = matrix_output(dtype, count, 1, 1, 1);
      for (ptrdiff_t k = 0; k < count; k++)
        if (k % 3 != 1) matrix_put(&x, k, 0, k % 5 == 3 ? NAN : k % 2 ? -0.0 : 0.0);
      const ptrdiff_t found = kernel(x.view.data, stride, count, 7, ids, kept.view.data);
      ptrdiff_t n = 0;
      for (ptrdiff_t k = 0; k < count; k++) {
        const double value = matrix_get(&x, k, 0);
        if (value == 0) continue;
        const double got = n < found ? matrix_get(&kept, n, 0) : 0;
        CHECK(n < found && spk_index(ids, itype, n) == 7 + k, "number %td", n);
        CHECK(got == value || (isnan(got) && isnan(value)), "number %td", n);
        n++;
      }
      CHECK(n == found, "%td, not %td", found, n);
      exact_memory_release();
    }
}

/* The kernel, and then the verb, which refuses columns that are corrupted and reads no others. */
void check_spmspv_csc(spk_spmspv_fn kernel, spk_dtype dtype, spk_itype itype) {
  enum { rows = 30 };
  const ptrdiff_t per = 21; /* two rounds of the unrolled loop, and some */
  for (ptrdiff_t count = 0; count < 9; count++) {
    test_case("spmspv_csc %s %s, %td columns", dtype_names[dtype], itype_names[itype], count);
    void *offsets = exact_memory((ROWS + 1) * spk_itype_size(itype));
    void *indices = exact_memory((size_t)(ROWS * per) * spk_itype_size(itype));
    void *ids = exact_memory((size_t)count * spk_itype_size(itype));
    const matrix values = matrix_input(dtype, ROWS * per, 1, 1, 1);
    const matrix x = matrix_input(dtype, count, 1, 1, 1);
    for (ptrdiff_t k = 0; k <= ROWS; k++) put_index(offsets, itype, k, k ? (k - 1) * per : 0);
    for (ptrdiff_t p = 0; p < ROWS * per; p++)
      put_index(indices, itype, p, p < per ? STRAY : random_below(rows)); /* column 1 is corrupt */
    /* Rows that follow one another: all of column 2's, column 4's but one that is repeated. */
    for (ptrdiff_t i = 0; i < per; i++) {
      put_index(indices, itype, per + i, 5 + i);
      put_index(indices, itype, 3 * per + i, 9 + i - (i == 11));
    }
    for (ptrdiff_t c = 0; c < count; c++)
      put_index(ids, itype, c, c % 3 ? 2 + random_below(ROWS - 2) : 0);
    matrix y = matrix_output(dtype, rows, 1, 1, 1);
    exact expected[rows] = {{0}};
    for (ptrdiff_t c = 0; c < count; c++) {
      const ptrdiff_t k = spk_index(ids, itype, c);
      for (ptrdiff_t p = spk_index(offsets, itype, k); p < spk_index(offsets, itype, k + 1); p++)
        exact_add(&expected[spk_index(indices, itype, p)],
                  matrix_get(&values, p, 0) * matrix_get(&x, c, 0));
    }
    spk_sparse A = {SPK_CSC, dtype, itype,   0,       rows, ROWS,         ROWS * per,
                    1,       1,     offsets, indices, NULL, values.memory};
    for (int verb = 0; verb < 2; verb++) {
      for (ptrdiff_t i = 0; i < rows; i++) matrix_put(&y, i, 0, verb ? NAN : 0);
      const spk_spmspv_task task = {offsets, indices, values.memory, ids, x.memory,
                                    count,   2,       y.memory};
      if (verb)
        CHECK(spk_spmspv(&A, ids, x.memory, count, y.memory, 1) == SPK_OK);
      else
        kernel(&task);
      for (ptrdiff_t i = 0; i < rows; i++)
        CHECK(exact_matches(expected[i], dtype, matrix_get(&y, i, 0)), "row %td", i);
    }
    if (count == 8) { /* the corrupt column is skipped */
      const matrix dense = matrix_input(dtype, ROWS, 1, 3, 1);
      matrix vector = dense;
      for (ptrdiff_t k = 0; k < ROWS; k++)
        if (k == 1 || k % 4 == 2) matrix_put(&vector, k, 0, 0);
      CHECK(spk_spmspv_dense(&A, dense.view.data, 3, y.memory, 1) == SPK_OK);
      for (ptrdiff_t i = 0; i < rows; i++) {
        exact e = {0};
        for (ptrdiff_t k = 2; k < ROWS; k++)
          for (ptrdiff_t p = (k - 1) * per; p < k * per; p++)
            if (spk_index(indices, itype, p) == i)
              exact_add(&e, matrix_get(&values, p, 0) * matrix_get(&dense, k, 0));
        CHECK(exact_matches(e, dtype, matrix_get(&y, i, 0)), "row %td of a dense vector", i);
      }
      matrix_put(&vector, 1, 0, 1);
      CHECK(spk_spmspv_dense(&A, dense.view.data, 3, y.memory, 1) == SPK_ERR_INDEX);
      CHECK(spk_spmspv_dense(&A, NULL, 1, y.memory, 1) == SPK_ERR_ARGUMENT);
    }
    /* A product of two: its rows are products with these entries, cut in two. */
    matrix rows_of_c = matrix_output(dtype, 3, rows, rows + 2, 1);
    void *cuts = exact_memory(4 * spk_itype_size(itype));
    const ptrdiff_t cut[] = {0, count / 2, count / 2, count};
    for (int i = 0; i < 4; i++) put_index(cuts, itype, i, cut[i]);
    const spk_sparse L = {SPK_CSR, dtype, itype, 0,   3,    ROWS,    count,
                          1,       1,     cuts,  ids, NULL, x.memory};
    spk_sparse R = A;
    R.format = SPK_CSR;
    R.rows = ROWS;
    R.cols = rows;
    CHECK(spk_spmspm(&L, &R, rows_of_c.memory, rows + 2, 1) == SPK_ERR_INDEX);
    for (ptrdiff_t p = 0; p < per; p++) put_index(indices, itype, p, 0);
    for (int threads = 1; threads < 4; threads++) {
      CHECK(spk_spmspm(&L, &R, rows_of_c.memory, rows + 2, threads) == SPK_OK);
      for (int i = 0; i < 3; i++) {
        const void *some = spk_at(ids, cut[i], spk_itype_size(itype));
        CHECK(spk_spmspv(&A, some, spk_at(x.memory, cut[i], spk_dtype_size(dtype)),
                         cut[i + 1] - cut[i], y.memory, 1) == SPK_OK);
        for (ptrdiff_t j = 0; j < rows; j++)
          CHECK(matrix_get(&rows_of_c, i, j) == matrix_get(&y, j, 0), "row %d, column %td", i, j);
      }
      CHECK(matrix_gaps_intact(&rows_of_c));
    }
    for (ptrdiff_t p = 0; p < per; p++) put_index(indices, itype, p, STRAY);
    R.rows--;
    CHECK(spk_spmspm(&L, &R, rows_of_c.memory, rows + 2, 1) == SPK_ERR_SHAPE);
    CHECK(spk_spmspm(&A, &R, rows_of_c.memory, rows + 2, 1) == SPK_ERR_ARGUMENT);
    if (count > 0) {
      put_index(ids, itype, count - 1, 1);
      CHECK(spk_spmspv(&A, ids, x.memory, count, y.memory, 1) == SPK_ERR_INDEX);
      put_index(ids, itype, count - 1, ROWS);
      CHECK(spk_spmspv(&A, ids, x.memory, count, y.memory, 1) == SPK_ERR_INDEX);
    }
    exact_memory_release();
  }
}
