/* Random sparse operands in every format, in arrays that end where they say. */
#ifndef SPK_TESTING_SPARSE_H
#define SPK_TESTING_SPARSE_H

#include "testing.h"

/* How many values spk_format has: tests of all formats count to this. */
enum { FORMATS = 4 };

typedef struct sparse_shape {
  spk_format format;
  spk_dtype dtype;
  spk_itype itype;
  ptrdiff_t rows, cols; /* multiples of the block's */
  ptrdiff_t block_rows, block_cols;
  ptrdiff_t entries; /* about as many */
  int sorted;        /* or IN_RUNS */
} sparse_shape;

/* Sorted, and most columns follow one another; a few repeat, a few are left out. */
enum { IN_RUNS = 2 };

/* A matrix and what it stores, in the order of its values: (row[p], col[p]) is entry p.  Rows are
 * of any length, one is empty; entries repeat. */
typedef struct sparse {
  spk_sparse view;
  ptrdiff_t entries;
  ptrdiff_t *row, *col;
} sparse;

sparse sparse_random(const sparse_shape *shape);
double sparse_value(const sparse *s, ptrdiff_t entry);
const char *sparse_format_name(spk_format format);

#endif
