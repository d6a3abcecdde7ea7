/* Dense matrices of any strides, in memory that ends where they do.
 *
 * What lies between the elements is NaN in an input, so that a value read there shows in a result,
 * and a number in an output, so that any write there shows.
 */
#ifndef SPK_TESTING_MATRIX_H
#define SPK_TESTING_MATRIX_H

#include "testing.h"

typedef struct matrix {
  spk_dense view;
  void *memory;
  ptrdiff_t held;   /* how many elements memory holds, with those in between */
  ptrdiff_t origin; /* where in memory element (0, 0) is */
} matrix;

/* Layouts that callers have. */
typedef enum layout {
  ROW_MAJOR,
  COLUMN_MAJOR,
  SPACED,      /* every third element of every third row */
  REVERSED,    /* both strides negative */
  UPSIDE_DOWN, /* rows in reverse */
  OUTPUT_LAYOUTS,
  BROADCAST = OUTPUT_LAYOUTS, /* one row for all */
  INPUT_LAYOUTS
} layout;

/* Random elements; strides count elements and may be negative. */
matrix matrix_input(spk_dtype dtype, ptrdiff_t rows, ptrdiff_t cols, ptrdiff_t row_stride,
                    ptrdiff_t col_stride);
matrix matrix_output(spk_dtype dtype, ptrdiff_t rows, ptrdiff_t cols, ptrdiff_t row_stride,
                     ptrdiff_t col_stride);
/* `gap` widens the leading dimension. */
void matrix_strides(ptrdiff_t rows, ptrdiff_t cols, layout how, ptrdiff_t gap,
                    ptrdiff_t *row_stride, ptrdiff_t *col_stride);
/* The same bits in memory of its own. */
matrix matrix_copy(const matrix *m);

double matrix_get(const matrix *m, ptrdiff_t i, ptrdiff_t j);
void matrix_put(matrix *m, ptrdiff_t i, ptrdiff_t j, double x);
/* Whether nothing was written between the elements of an output. */
int matrix_gaps_intact(const matrix *m);
int matrix_same_bits(const matrix *a, const matrix *b);

#endif
