#include "checks.h"
#include "fixtures.h"

static const ptrdiff_t extents[] = {0, 1, 2, 15, 16, 17, 33};
enum { EXTENTS = sizeof extents / sizeof *extents };

static void check_copied(const matrix *from, const matrix *to) {
  for (ptrdiff_t i = 0; i < from->view.rows; i++)
    for (ptrdiff_t j = 0; j < from->view.cols; j++)
      CHECK(matrix_get(to, i, j) == matrix_get(from, i, j), "at %td, %td", i, j);
  CHECK(matrix_gaps_intact(to));
}

void check_pack(spk_pack_fn kernel, spk_dtype dtype) {
  for (int how = 0; how < INPUT_LAYOUTS; how++)
    for (int r = 0; r < EXTENTS; r++)
      for (int c = 0; c < EXTENTS; c++) {
        test_case("pack %s %td x %td, layout %d", dtype_names[dtype], extents[r], extents[c], how);
        const matrix from = random_input(dtype, extents[r], extents[c], how);
        exact_memory_freeze();
        const matrix to = random_output(dtype, extents[r], extents[c], ROW_MAJOR);
        kernel(to.view.data, to.view.row_stride, from.view.data, from.view.row_stride,
               from.view.col_stride, extents[r], extents[c]);
        check_copied(&from, &to);
        exact_memory_release();
      }
  /* Elements of a column that lie near each other, and columns far apart; and rows of which one
   * begins where the other ends, as all of every second element of an array do. */
  for (ptrdiff_t step = -5; step <= 5; step++)
    for (int r = 0; r < EXTENTS; r++)
      for (int c = 0; c < EXTENTS; c++)
        for (int across = 0; across < 2; across++) {
          const ptrdiff_t rows = extents[r], cols = extents[c];
          const ptrdiff_t far = step * (across ? cols : rows) + (across ? 0 : 3);
          if (step == 0) continue;
          test_case("pack %s %td x %td, %td apart, %s", dtype_names[dtype], rows, cols, step,
                    across ? "rows" : "columns");
          const matrix from =
              matrix_input(dtype, rows, cols, across ? far : step, across ? step : far);
          exact_memory_freeze();
          const matrix to = matrix_output(dtype, rows, cols, spk_max(1, cols), 1);
          kernel(to.view.data, to.view.row_stride, from.view.data, from.view.row_stride,
                 from.view.col_stride, rows, cols);
          check_copied(&from, &to);
          exact_memory_release();
        }
}

/* Into whole vectors, with zeros after the last column. */
void check_pack_panel(spk_pack_fn kernel, spk_dtype dtype) {
  const ptrdiff_t lanes = lanes_of(dtype);
  for (int how = 0; how < INPUT_LAYOUTS; how++)
    for (int r = 0; r < EXTENTS; r++)
      for (int c = 1; c < EXTENTS; c++) {
        const ptrdiff_t rows = extents[r], cols = extents[c];
        const ptrdiff_t ld = spk_round_up(cols, lanes) + lanes * random_below(2);
        test_case("pack_panel %s %td x %td, layout %d", dtype_names[dtype], rows, cols, how);
        const matrix from = random_input(dtype, rows, cols, how);
        exact_memory_freeze();
        const matrix to = matrix_output(dtype, rows, ld, ld, 1);
        kernel(to.view.data, ld, from.view.data, from.view.row_stride, from.view.col_stride, rows,
               cols);
        check_copied(&from, &to);
        for (ptrdiff_t i = 0; i < rows; i++)
          for (ptrdiff_t j = cols; j < ld; j++)
            CHECK(matrix_get(&to, i, j) == 0, "at %td, %td", i, j);
        exact_memory_release();
      }
}

void check_unpack(spk_unpack_fn kernel, spk_dtype dtype) {
  for (int how = 0; how < OUTPUT_LAYOUTS; how++)
    for (int r = 0; r < EXTENTS; r++)
      for (int c = 0; c < EXTENTS; c++) {
        test_case("unpack %s %td x %td, layout %d", dtype_names[dtype], extents[r], extents[c],
                  how);
        const matrix from = random_input(dtype, extents[r], extents[c], ROW_MAJOR);
        exact_memory_freeze();
        const matrix to = random_output(dtype, extents[r], extents[c], how);
        kernel(from.view.data, from.view.row_stride, to.view.data, to.view.row_stride,
               to.view.col_stride, extents[r], extents[c]);
        check_copied(&from, &to);
        exact_memory_release();
      }
}
