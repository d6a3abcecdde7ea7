#include "fixtures.h"

#include <math.h>

const spk_kernels *checked;

const char *const dtype_names[2] = {"f32", "f64"};
const char *const itype_names[2] = {"i32", "i64"};

entries random_entries(spk_dtype dtype, spk_itype itype, ptrdiff_t width, ptrdiff_t base,
                       ptrdiff_t area) {
  ptrdiff_t starts[ROWS], stops[ROWS], count = 0;
  for (int i = 0; i < ROWS; i++) {
    starts[i] = count + random_below(3);
    /* One row with more than two rounds of any unrolled loop, one empty row. */
    stops[i] = starts[i] + (i == 0 ? 9 : i == 1 ? 0 : random_below(MAX_PER_ROW));
    count = stops[i];
  }
  const size_t size = spk_dtype_size(dtype), isize = spk_itype_size(itype);
  entries e = {.rows = ROWS, .count = count, .dtype = dtype, .itype = itype};
  e.indices = exact_memory((size_t)count * isize);
  e.values = exact_memory((size_t)(count * area) * size);
  e.begin = exact_memory(ROWS * isize);
  e.end = exact_memory(ROWS * isize);
  for (ptrdiff_t p = 0; p < count; p++) put_index(e.indices, itype, p, STRAY);
  for (ptrdiff_t p = 0; p < count * area; p++) put_value(e.values, dtype, p, NAN);
  for (int i = 0; i < ROWS; i++) {
    put_index(e.begin, itype, i, starts[i]);
    put_index(e.end, itype, i, stops[i]);
    for (ptrdiff_t p = starts[i]; p < stops[i]; p++) {
      put_index(e.indices, itype, p, base + random_below(width));
      for (ptrdiff_t q = p * area; q < (p + 1) * area; q++)
        put_value(e.values, dtype, q, random_number());
    }
  }
  return e;
}

matrix random_input(spk_dtype dtype, ptrdiff_t rows, ptrdiff_t cols, layout how) {
  ptrdiff_t row_stride, col_stride;
  matrix_strides(rows, cols, how, random_below(4), &row_stride, &col_stride);
  return matrix_input(dtype, rows, cols, row_stride, col_stride);
}

matrix random_output(spk_dtype dtype, ptrdiff_t rows, ptrdiff_t cols, layout how) {
  ptrdiff_t row_stride, col_stride;
  matrix_strides(rows, cols, how, random_below(4), &row_stride, &col_stride);
  return matrix_output(dtype, rows, cols, row_stride, col_stride);
}

layout tile_layout(void) { return random_below(2) ? ROW_MAJOR : UPSIDE_DOWN; }

matrix random_bias(spk_dtype dtype, ptrdiff_t count, int special) {
  matrix bias = matrix_input(dtype, count, 1, 1, 1);
  const double specials[] = {NAN, INFINITY, -INFINITY};
  for (ptrdiff_t i = 0; special && i < spk_min(count, 3); i++) matrix_put(&bias, i, 0, specials[i]);
  return bias;
}

spk_epilogue epilogue_of(const epilogue_case *c, const matrix *bias_row, const matrix *bias_col) {
  return (spk_epilogue){c->alpha, c->beta, c->bias_row ? bias_row->memory : NULL,
                        c->bias_col ? bias_col->memory : NULL, c->activation};
}
