#include "gather.h"

#include <math.h>

static void check_epilogue(const gather *g, const epilogue_case *how) {
  const ptrdiff_t R = g->block_rows, W = g->block_cols, n = g->n, width = 6, first = 5;
  test_case("%s %s %s, n = %td, blocks %td x %td, layouts %d %d, %s", g->field,
            dtype_names[g->dtype], itype_names[g->itype], n, R, W, g->b_layout, g->c_layout,
            how->name);
  const entries a = random_entries(g->dtype, g->itype, width, first, R * W);
  const matrix B = random_input(g->dtype, width * W, n, g->b_layout);
  const matrix bias_row = random_bias(g->dtype, ROWS * R, 0);
  const matrix bias_col = random_bias(g->dtype, n, how->special);
  exact_memory_freeze();
  matrix C = random_output(g->dtype, ROWS * R, n, g->c_layout);
  if (how->beta == 0) matrix_put(&C, 0, 0, NAN);
  const matrix old = matrix_copy(&C);
  const spk_spmm_task task = {.indices = a.indices,
                              .values = a.values,
                              .begin = a.begin,
                              .end = a.end,
                              .B = B.view.data,
                              .C = C.view.data,
                              .ldb = B.view.row_stride,
                              .ldc = C.view.row_stride,
                              .base = first * W,
                              .rows = ROWS,
                              .n = n,
                              .block_rows = R,
                              .block_cols = W,
                              .col_strideb = B.view.col_stride,
                              .col_stridec = C.view.col_stride,
                              .epilogue = epilogue_of(how, &bias_row, &bias_col)};
  g->kernel(&task);
  for (ptrdiff_t i = 0; i < ROWS * R; i++)
    for (ptrdiff_t j = 0; j < n; j++) {
      exact e = {0};
      for (ptrdiff_t p = begin_of(&a, i / R); p < end_of(&a, i / R); p++)
        for (ptrdiff_t c = 0; c < W; c++)
          exact_add(&e, value_of(&a, (p * R + i % R) * W + c) *
                            matrix_get(&B, (index_of(&a, p) - first) * W + c, j));
      e = exact_epilogue(e, &task.epilogue, matrix_get(&old, i, j), matrix_get(&bias_row, i, 0),
                         matrix_get(&bias_col, j, 0));
      CHECK(exact_matches(e, g->dtype, matrix_get(&C, i, j)), "C[%td, %td] = %.17g, not %.17g", i,
            j, matrix_get(&C, i, j), e.value);
    }
  CHECK(matrix_gaps_intact(&C));
  exact_memory_release();
}

void check_gather(const gather *g) {
  for (int c = 0; c < EPILOGUE_CASES; c++) check_epilogue(g, &epilogue_cases[c]);
}

void check_gather_strided(const char *field, spk_spmm_fn kernel, spk_dtype dtype, spk_itype itype,
                          ptrdiff_t R, ptrdiff_t W) {
  for (ptrdiff_t n = 1; n <= 9; n++)
    for (int b = 0; b < INPUT_LAYOUTS; b++) {
      const gather g = {field, kernel, dtype, itype, n, R, W, b, random_below(OUTPUT_LAYOUTS)};
      check_gather(&g);
    }
}
