#include "matrix.h"

#include <math.h>
#include <string.h>

/* No sum of the tests comes to it, and it is a float. */
#define CANARY (-98765.5)

static ptrdiff_t place(const matrix *m, ptrdiff_t i, ptrdiff_t j) {
  return m->origin + i * m->view.row_stride + j * m->view.col_stride;
}

static matrix with_gaps(const spk_dense *shape, double gap) {
  matrix m = {.view = *shape};
  if (shape->rows > 0 && shape->cols > 0) {
    const ptrdiff_t down = (shape->rows - 1) * shape->row_stride;
    const ptrdiff_t across = (shape->cols - 1) * shape->col_stride;
    m.origin = -spk_min(0, down) - spk_min(0, across);
    m.held = m.origin + spk_max(0, down) + spk_max(0, across) + 1;
  }
  const size_t size = spk_dtype_size(shape->dtype);
  m.memory = exact_memory((size_t)m.held * size);
  m.view.data = spk_at_mut(m.memory, m.origin, size);
  for (ptrdiff_t p = 0; p < m.held && m.held > shape->rows * shape->cols; p++)
    put_value(m.memory, shape->dtype, p, gap);
  for (ptrdiff_t i = 0; i < shape->rows; i++)
    for (ptrdiff_t j = 0; j < shape->cols; j++) matrix_put(&m, i, j, random_number());
  return m;
}

matrix matrix_input(spk_dtype dtype, ptrdiff_t rows, ptrdiff_t cols, ptrdiff_t row_stride,
                    ptrdiff_t col_stride) {
  const spk_dense shape = {dtype, rows, cols, row_stride, col_stride, NULL};
  return with_gaps(&shape, NAN);
}

matrix matrix_output(spk_dtype dtype, ptrdiff_t rows, ptrdiff_t cols, ptrdiff_t row_stride,
                     ptrdiff_t col_stride) {
  const spk_dense shape = {dtype, rows, cols, row_stride, col_stride, NULL};
  return with_gaps(&shape, CANARY);
}

void matrix_strides(ptrdiff_t rows, ptrdiff_t cols, layout how, ptrdiff_t gap,
                    ptrdiff_t *row_stride, ptrdiff_t *col_stride) {
  const ptrdiff_t wide = cols + gap;
  const ptrdiff_t strides[INPUT_LAYOUTS][2] = {
      [ROW_MAJOR] = {wide, 1},  [COLUMN_MAJOR] = {1, rows + gap}, [SPACED] = {3 * wide, 3},
      [REVERSED] = {-wide, -1}, [UPSIDE_DOWN] = {-wide, 1},       [BROADCAST] = {0, 1},
  };
  *row_stride = strides[how][0];
  *col_stride = strides[how][1];
}

matrix matrix_copy(const matrix *m) {
  const size_t size = spk_dtype_size(m->view.dtype);
  matrix copy = *m;
  copy.memory = exact_memory((size_t)m->held * size);
  copy.view.data = spk_at_mut(copy.memory, m->origin, size);
  memcpy(copy.memory, m->memory, (size_t)m->held * size);
  return copy;
}

double matrix_get(const matrix *m, ptrdiff_t i, ptrdiff_t j) {
  return get_value(m->memory, m->view.dtype, place(m, i, j));
}

void matrix_put(matrix *m, ptrdiff_t i, ptrdiff_t j, double x) {
  put_value(m->memory, m->view.dtype, place(m, i, j), x);
}

int matrix_gaps_intact(const matrix *m) {
  ptrdiff_t canaries = 0;
  for (ptrdiff_t p = 0; p < m->held; p++)
    canaries += get_value(m->memory, m->view.dtype, p) == CANARY;
  return canaries == (m->held ? m->held - m->view.rows * m->view.cols : 0);
}

int matrix_same_bits(const matrix *a, const matrix *b) {
  return a->held == b->held &&
         !memcmp(a->memory, b->memory, (size_t)a->held * spk_dtype_size(a->view.dtype));
}
