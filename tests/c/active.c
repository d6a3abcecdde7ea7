#include "active.h"

#include <math.h>

static ptrdiff_t column_begin(ptrdiff_t k) { return (k - 1) * PER_COLUMN; } /* 0 has no entry */

void active_mend(const active *a, int sound) {
  for (ptrdiff_t p = column_begin(CORRUPT); p < column_begin(CORRUPT + 1); p++)
    put_index(a->indices, a->A.itype, p, sound ? 0 : INT32_MAX);
}

active active_random(spk_dtype dtype, spk_itype itype, ptrdiff_t count) {
  const ptrdiff_t entries = ACTIVE_COLS * PER_COLUMN; /* more than columns have */
  const size_t isize = spk_itype_size(itype);
  active a = {.count = count};
  void *offsets = exact_memory((ACTIVE_COLS + 1) * isize);
  a.indices = exact_memory((size_t)entries * isize);
  a.ids = exact_memory((size_t)count * isize);
  matrix values = matrix_input(dtype, entries, 1, 1, 1);
  a.x = matrix_input(dtype, count, 1, 1, 1);
  for (ptrdiff_t k = 0; k <= ACTIVE_COLS; k++)
    put_index(offsets, itype, k, k ? column_begin(k) : 0);
  for (ptrdiff_t p = 0; p < entries; p++) put_index(a.indices, itype, p, random_below(ACTIVE_ROWS));
  /* Rows that follow one another: all of column 2's, column 4's but one that is repeated. */
  for (ptrdiff_t i = 0; i < PER_COLUMN; i++) {
    put_index(a.indices, itype, column_begin(2) + i, 5 + i);
    put_index(a.indices, itype, column_begin(4) + i, 9 + i - (i == 11));
    matrix_put(&values, column_begin(CORRUPT) + i, 0, NAN);
  }
  for (ptrdiff_t c = 0; c < count; c++)
    put_index(a.ids, itype, c, c % 3 ? 2 + random_below(ACTIVE_COLS - 2) : 0);
  for (ptrdiff_t c = 0; c < count; c++) {
    const ptrdiff_t k = spk_index(a.ids, itype, c);
    for (ptrdiff_t p = spk_index(offsets, itype, k); p < spk_index(offsets, itype, k + 1); p++)
      exact_add(&a.expected[spk_index(a.indices, itype, p)],
                matrix_get(&values, p, 0) * matrix_get(&a.x, c, 0));
  }
  a.A = (spk_sparse){.format = SPK_CSC,
                     .dtype = dtype,
                     .itype = itype,
                     .rows = ACTIVE_ROWS,
                     .cols = ACTIVE_COLS,
                     .nnz = entries,
                     .block_rows = 1,
                     .block_cols = 1,
                     .offsets = offsets,
                     .indices = a.indices,
                     .values = values.memory};
  active_mend(&a, 0);
  return a;
}
